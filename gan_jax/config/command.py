"""A configuration as flags: the inverse of `overrides`."""

import copy
from collections.abc import Callable
from typing import Any

from gan_jax.config import fields as configs, values


def flags(
  config: configs.Config, complete: Callable[[configs.Config], configs.Config]
) -> list[str]:
  """The flags that make this configuration of one with all defaults.

  Args:
    config: complete.
    complete: `build.complete`.

  Returns:
    `--config.FIELD=VALUE`, networks first.
  """
  usual = configs.Config()
  args = []
  for player in ('gen', 'disc'):
    name = getattr(config, player).name
    if name != getattr(usual, player).name:
      getattr(usual, player).name = name
      args.append(f'--config.{player}.name={name}')
  plain = copy.copy(config)
  plain.schedules = {}
  known = values.flatten(complete(usual))
  args += [
    f'--config.{leaf.name}={text(leaf.value)}'
    for leaf in values.leaves(plain)
    if leaf.value != known[leaf.name]
    and leaf.name not in ('gen.name', 'disc.name')
  ]
  for name, schedule in config.schedules.items():
    usual_fields = values.flatten(configs.Schedule(schedule.kind))
    parts = [
      f'{field}={text(value)}'
      for field, value in values.flatten(schedule).items()
      if value != usual_fields[field]
    ]
    chosen = ','.join([schedule.kind, *parts])
    args.append(f'--config.schedules.{name}={chosen}')
  return args


def text(value: Any) -> str:
  """What `overrides.parse` reads as this value."""
  if value is None:
    return 'none'
  if isinstance(value, bool):
    return str(value).lower()
  if isinstance(value, float):
    return repr(value).removesuffix('.0')
  if isinstance(value, tuple):
    return ','.join(map(str, value))
  if isinstance(value, dict):
    return ';'.join(
      f'{name}={",".join(map(text, listed))}' for name, listed in value.items()
    )
  return str(value)
