"""A configuration as plain values: read, written, flattened, chosen from."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from gan_jax.config import fields as configs

T = TypeVar('T')


def flatten(config: Any, prefix: str = '') -> dict[str, Any]:
  """Every leaf by its dotted name: {'seed': 0, 'data.name': 'normal', ...}."""
  leaves: dict[str, Any] = {}
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    if dataclasses.is_dataclass(value):
      leaves |= flatten(value, f'{prefix}{field.name}.')
    else:
      leaves[prefix + field.name] = value
  return leaves


def assign(config: Any, name: str, value: Any) -> None:
  """Sets a leaf by its dotted name."""
  *groups, last = name.split('.')
  for group in groups:
    config = getattr(config, group)
  setattr(config, last, value)


def to_dict(config: configs.Config) -> dict[str, Any]:
  """Nested plain values, as written to `config.json`."""
  return dataclasses.asdict(config)


def from_dict(
  values: Mapping[str, Any], kind: type = configs.Config, prefix: str = ''
) -> Any:
  """The inverse of `to_dict`.

  Args:
    values: by field.
    kind: of dataclass.
    prefix: of the fields' dotted names, for the messages.

  Raises:
    ValueError: a field is unknown, or its value is not of its type.
  """
  hints = typing.get_type_hints(kind)
  kwargs = {}
  for name, value in values.items():
    dotted = prefix + name
    if name not in hints:
      raise ValueError(f'{dotted}: no such field of {kind.__name__}')
    if not dataclasses.is_dataclass(hints[name]):
      kwargs[name] = _typed(dotted, value, hints[name])
    elif isinstance(value, Mapping):
      group = typing.cast(type, hints[name])
      kwargs[name] = from_dict(value, group, f'{dotted}.')
    else:
      raise ValueError(f'{dotted}={value!r}: expected a group of fields')
  return kind(**kwargs)


def _typed(name: str, value: Any, hint: Any) -> Any:
  """`value`, where it is of type `hint` (an int is a float too)."""
  if typing.get_origin(hint) is dict:
    return _mapping(name, value)
  accepted = typing.get_args(hint) or (hint,)
  if float in accepted and type(value) is int:
    return float(value)
  if type(value) not in accepted:
    names = ' or '.join(
      'None' if t is types.NoneType else t.__name__ for t in accepted
    )
    raise ValueError(f'{name}={value!r}: expected {names}')
  return value


def _mapping(name: str, value: Any) -> dict[str, list[float]]:
  """`value`, where it maps names to lists of numbers."""
  if isinstance(value, dict) and all(
    isinstance(item, list) and all(isinstance(x, int | float) for x in item)
    for item in value.values()
  ):
    return {key: [float(x) for x in item] for key, item in value.items()}
  raise ValueError(f'{name}={value!r}: expected names with lists of numbers')


def choose(field: str, name: str, options: Mapping[str, T]) -> T:
  """`options[name]`, or a line that says what there is.

  Raises:
    ValueError: `name` is not among the options.
  """
  if name in options:
    return options[name]
  near = difflib.get_close_matches(name, options, n=1)
  hint = f' (did you mean {near[0]!r}?)' if near else ''
  raise ValueError(
    f'{field}={name!r}: there is no such choice{hint}; '
    f'there are {", ".join(options)}'
  )


_DEFAULTS = flatten(configs.Config())


def swept(config: configs.Config) -> dict[str, float]:
  """Every number that reaches the step as an array, by its dotted name."""
  groups = ('optim.', 'game.', 'penalties.', 'ema.')
  return {
    name: value
    for name, value in flatten(config).items()
    if name.startswith(groups) and isinstance(_DEFAULTS[name], float)
  }


def uses_ema(config: configs.Config) -> bool:
  """Whether what is looked at is made by the averaged generator."""
  return config.eval.ema and max(swept_values(config, 'ema.half_life')) > 0


def swept_values(config: configs.Config, name: str) -> list[float]:
  """A number of the step, or all that a population gives it."""
  return config.population.vary.get(name, [swept(config)[name]])
