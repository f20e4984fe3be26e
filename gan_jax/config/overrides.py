"""Fields set by their text, as a command line has it."""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gan_jax.config import declare, fields as configs, values

Override = tuple[str, str]

# They decide which fields there are below them.
_FIRST = ('gen.name', 'disc.name', 'gen.net', 'disc.net')


def apply(
  config: configs.Config,
  overrides: Iterable[Override],
  complete: Callable[[configs.Config], configs.Config],
) -> configs.Config:
  """Sets fields, in turn, but networks before the settings that they have.

  A network in place of another brings its own defaults.

  Args:
    config: which may be changed.
    overrides: dotted names and texts.
    complete: `build.complete`.

  Raises:
    ValueError: one line on a field that is not there, or a text that is no
      value of it.
  """
  overrides = list(overrides)
  for name, text in overrides:
    if name in _FIRST:
      _set_network(config, name, text)
  config = complete(config)
  for name, text in overrides:
    if name not in _FIRST:
      _set(config, name, text)
  return config


def _set_network(config: configs.Config, name: str, text: str) -> None:
  player, _, field = name.partition('.')
  chosen = getattr(config, player)
  if field == 'net' and text.lower() != 'none':
    raise ValueError(
      f'{name}={text}: must be none, which sets its network back to its '
      f'defaults; {name}.FIELD=VALUE sets a field'
    )
  if field == 'net' or text != chosen.name:
    chosen.net = None
  if field == 'name':
    chosen.name = text


def _set(config: configs.Config, name: str, text: str) -> None:
  """Sets a field of a complete configuration."""
  group, _, moved = name.partition('.')
  if group == 'schedules':
    _set_schedule(config, moved, text)
    return
  leaf = {leaf.name: leaf for leaf in values.leaves(config)}.get(name)
  if leaf is None:
    raise ValueError(unknown(name, values.flatten(config)))
  values.assign(config, name, parse(name, text, leaf.hint))


def _set_schedule(config: configs.Config, name: str, text: str) -> None:
  """Of a number: KIND,FIELD=VALUE,..., 'constant', or one field alone."""
  if not name:
    raise ValueError(
      f'schedules={text}: they are set one at a time, as '
      'schedules.NUMBER=KIND,FIELD=VALUE,...'
    )
  known, field = values.movable(config), f'schedules.{name}'
  number, _, last = name.rpartition('.')
  hints = typing.get_type_hints(configs.Schedule)
  if number in config.schedules and last in hints:
    values.assign(config, field, parse(field, text, hints[last]))
    return
  if name not in known:
    raise ValueError(f'{field}={text}: {values.not_swept(name, known)}')
  if text.lower() in ('constant', 'none'):
    config.schedules.pop(name, None)
    return
  kind, *rest = text.split(',')
  given: dict[str, Any] = {'kind': kind}
  for item in rest:
    key, _, value = item.partition('=')
    if key not in hints:
      raise ValueError(
        f'{field}={text}: {key!r} is no field of a schedule'
        f'{values.near(key, hints)}; it is KIND,FIELD=VALUE,... with the '
        f'fields {", ".join(hints)}'
      )
    given[key] = parse(f'{field}.{key}', value, hints[key])
  config.schedules[name] = configs.Schedule(**given)


def check_names(config: Any) -> None:
  """Raises ValueError for a field that a file sets and that is not there."""
  for name in _strays(config):
    raise ValueError(unknown(name, values.flatten(config)))


def _strays(settings: Any, prefix: str = '') -> Iterator[str]:
  """The dotted names of attributes that are no fields of a dataclass."""
  known = {field.name for field in dataclasses.fields(settings)}
  for name, value in vars(settings).items():
    if name not in known:
      yield prefix + name
    elif dataclasses.is_dataclass(value):
      yield from _strays(value, f'{prefix}{name}.')


def unknown(name: str, leaves: dict[str, Any]) -> str:
  """What there is in the group of a field that is not there."""
  below = [leaf for leaf in leaves if leaf.startswith(f'{name}.')]
  if below:
    return f'{name}: is a group of fields: {", ".join(below)}'
  group = name.rpartition('.')[0]
  while group and not any(leaf.startswith(f'{group}.') for leaf in leaves):
    group = group.rpartition('.')[0]
  prefix = f'{group}.' if group else ''
  beside = dict.fromkeys(
    leaf.removeprefix(prefix).split('.')[0]
    for leaf in leaves
    if leaf.startswith(prefix)
  )
  there = f'{prefix}* has' if prefix else 'there are'
  if group.endswith('.net'):
    network = leaves[f'{group.removesuffix("net")}name']
    there = f'the network {network!r} has'
  return (
    f'{name}: there is no such field{values.near(name, leaves)}; {there} '
    f'{", ".join(beside)}'
  )


_BOOLS = {'true': True, '1': True, 'false': False, '0': False}


def parse(name: str, text: str, hint: Any) -> Any:
  """The value of type `hint` that a text says; 'none' where it may be None.

  Raises:
    ValueError: it says none.
  """
  if hint == declare.Stages:
    return _stages(name, text)
  accepted = typing.get_args(hint) or (hint,)
  if types.NoneType in accepted and text.lower() == 'none':
    return None
  kind = next(t for t in accepted if t is not types.NoneType)
  try:
    if typing.get_origin(hint) is dict:
      return _lists(text)
    if kind is bool:
      return _BOOLS[text.lower()]
    if kind is int:
      return _whole(text)
    return kind(text)
  except (KeyError, ValueError):
    words = {bool: 'true or false', int: 'a whole number', float: 'a number'}
    lists = 'FIELD=NUMBER,NUMBER,... with ; between fields, each once'
    expected = words.get(kind, lists)
    none = ' or none' if types.NoneType in accepted else ''
    raise ValueError(f'{name}={text}: must be {expected}{none}') from None


def _stages(name: str, text: str) -> declare.Stages:
  """'768' for all stages, '768,768,384' for each from the lowest on."""
  try:
    first, *rest = map(_whole, text.split(','))
  except ValueError:
    raise ValueError(
      f'{name}={text}: must be a whole number, or several with commas between '
      'them'
    ) from None
  return (first, *rest) if rest else first


def _whole(text: str) -> int:
  """'20000', '20_000' or '2e4'."""
  try:
    return int(text)
  except ValueError:
    number = float(text)
    if not number.is_integer():
      raise
    return int(number)


def _lists(text: str) -> dict[str, list[float]]:
  """'a.b=1,2;c.d=3,4' as a mapping; '' as an empty one."""
  items = [item.split('=') for item in text.split(';') if item]
  lists = {name: [float(x) for x in xs.split(',')] for name, xs in items}
  if len(lists) < len(items):
    raise ValueError('a field is there twice')
  return lists
