"""A configuration in words: each field with what is said of it."""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

from gan_jax.config import fields as configs, values


def comments(kind: type) -> dict[str, str]:
  """What stands above each field of a dataclass in its source, in one line."""
  by_field: dict[str, str] = {}
  for base in reversed(kind.__mro__[:-1]):
    source = inspect.getsource(base)
    lines = source.splitlines()
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    for node in tree.body:
      if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        above: list[str] = []
        for line in reversed(lines[: node.lineno - 1]):
          if not line.strip().startswith('#'):
            break
          above.insert(0, re.sub(r'^\s*#\s?', '', line))
        by_field[node.target.id] = ' '.join(above)
  return by_field


def describe(config: configs.Config, default: configs.Config) -> Iterator[str]:
  """Lines: a field, its value, what is accepted, and its comment below.

  A group of fields that has a comment has it above its first one.

  Args:
    config: complete.
    default: of the same networks, to tell what differs.
  """
  usual, said = values.flatten(default), dict(_said(config))
  last = ''
  for leaf in values.leaves(config):
    group = leaf.name.rpartition('.')[0]
    if group != last and said.get(group):
      yield f'  {group}: {said[group]}'
    last = group
    notes = []
    if leaf.name not in usual:
      notes.append('not in the default')
    elif usual[leaf.name] != leaf.value:
      notes.append(f'default {_shown(usual[leaf.name])}')
    mark = '*' if notes else ' '
    if leaf.facts.swept:
      notes.append('swept')
    if leaf.facts.accepted():
      notes.append(leaf.facts.accepted())
    told = f'   [{"; ".join(notes)}]' if notes else ''
    yield f'{mark} {leaf.name} = {_shown(leaf.value)}{told}'
    if said.get(leaf.name):
      yield f'      {said[leaf.name]}'


def _shown(value: Any) -> str:
  if isinstance(value, tuple):
    return ','.join(map(str, value))
  return repr(value) if isinstance(value, str) else str(value)


def _said(config: Any, prefix: str = '') -> Iterator[tuple[str, str]]:
  """The comment of each leaf, by its dotted name."""
  for name, comment in comments(type(config)).items():
    value, dotted = getattr(config, name), prefix + name
    yield dotted, comment
    if dataclasses.is_dataclass(value):
      yield from _said(value, f'{dotted}.')
    elif isinstance(value, dict):
      for key, item in value.items():
        if dataclasses.is_dataclass(item):
          yield from _said(item, f'{dotted}.{key}.')
