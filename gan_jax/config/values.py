"""A configuration as plain values: read, written, flattened, chosen from."""

import dataclasses
import difflib
import functools
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from gan_jax.config import declare, fields as configs

T = TypeVar('T')

# Of a flat average, the longest one there is: the standard deviation of times
# that are uniform on [0, 1].
_LONGEST_EMA = 12**-0.5


class Leaf(NamedTuple):
  """A value of a configuration.

  Attributes:
    name: dotted.
    value: as it stands.
    hint: its type.
    facts: what its field declares.
  """

  name: str
  value: Any
  hint: Any
  facts: declare.Facts


def leaves(config: Any, prefix: str = '') -> Iterator[Leaf]:
  """Every one, by its dotted name, such as 'data.name'.

  Those of the schedule of a number are 'schedules.NUMBER.kind' and so on. The
  settings of a network that have not been read yet, as `from_dict` leaves them,
  are leaves of any type.
  """
  hints = _hints(config.__class__)
  for field in dataclasses.fields(config):
    name, value = prefix + field.name, getattr(config, field.name)
    if dataclasses.is_dataclass(value):
      yield from leaves(value, f'{name}.')
    elif _maps_to_dataclasses(value):
      for key, item in value.items():
        yield from leaves(item, f'{name}.{key}.')
    elif hints[field.name] is Any and isinstance(value, Mapping):
      for key, item in value.items():
        # JSON has no tuples.
        item = tuple(item) if isinstance(item, list) else item
        yield Leaf(f'{name}.{key}', item, Any, declare.Facts())
    else:
      yield Leaf(name, value, hints[field.name], declare.facts(field))


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
  """The types of a dataclass's fields: a start asks for them often."""
  return typing.get_type_hints(kind)


def flatten(config: Any) -> dict[str, Any]:
  """Every leaf by its dotted name: {'seed': 0, 'data.name': 'normal', ...}."""
  return {leaf.name: leaf.value for leaf in leaves(config)}


def differing(
  a: configs.Config, b: configs.Config
) -> dict[str, tuple[Any, Any]]:
  """The leaves in which two configurations differ, None where one has none.

  Settings of a network that have not been read are compared as they would be
  read: one that is missing, as in a run older than it, has its default.
  """
  old, new = flatten(_read_as(b, a)), flatten(_read_as(a, b))
  return {
    name: (old.get(name), new.get(name))
    for name in dict.fromkeys([*old, *new])
    if old.get(name) != new.get(name)
  }


def _read_as(other: configs.Config, config: configs.Config) -> configs.Config:
  """`config`, with defaults where settings that `other` has are missing."""
  players = {}
  for name in ('gen', 'disc'):
    player, like = getattr(config, name), getattr(other, name)
    unread = isinstance(player.net, Mapping) and player.name == like.name
    if unread and dataclasses.is_dataclass(like.net):
      kind: Any = type(like.net)
      net = dataclasses.asdict(kind()) | dict(player.net)
      players[name] = dataclasses.replace(player, net=net)
  return dataclasses.replace(config, **players)


def assign(config: Any, name: str, value: Any) -> None:
  """Sets a leaf that is there by its dotted name."""
  first, _, rest = name.partition('.')
  if not rest:
    setattr(config, name, value)
    return
  inner: Any = getattr(config, first)
  if isinstance(inner, dict):
    key, _, last = rest.rpartition('.')
    inner[key] = dataclasses.replace(inner[key], **{last: value})
  elif type(inner).__dataclass_params__.frozen:
    setattr(config, first, dataclasses.replace(inner, **{rest: value}))
  else:
    assign(inner, rest, value)


def to_dict(config: configs.Config) -> dict[str, Any]:
  """Nested plain values, as written to `config.json`."""
  return dataclasses.asdict(config)


def from_dict(
  values: Mapping[str, Any], kind: type = configs.Config, prefix: str = ''
) -> Any:
  """The inverse of `to_dict`, but for the settings of networks.

  Those stay the mappings they are: which dataclass they make is not known here
  (see `build.complete`).

  Args:
    values: by field.
    kind: of dataclass.
    prefix: of the fields' dotted names, for the messages.

  Raises:
    ValueError: a field is unknown, or its value is not of its type.
  """
  hints = _hints(kind)
  kwargs = {}
  for name, value in values.items():
    if name not in hints:
      raise ValueError(
        f'{prefix}{name}: no such field; there are {", ".join(hints)}'
      )
    kwargs[name] = typed(prefix + name, value, hints[name])
  return kind(**kwargs)


def typed(name: str, value: Any, hint: Any) -> Any:
  """`value`, where it is of type `hint` (an int is a float too).

  Raises:
    ValueError: it is not.
  """
  if hint is Any:
    return value
  items = _dataclass_of_items(hint)
  group: Any = items or (hint if dataclasses.is_dataclass(hint) else None)
  if group and not isinstance(value, Mapping):
    raise ValueError(f'{name}={value!r}: expected a group of fields')
  if items:
    return {k: typed(f'{name}.{k}', item, items) for k, item in value.items()}
  if group:
    return from_dict(value, group, f'{name}.')
  if typing.get_origin(hint) is dict:
    return _lists(name, value)
  if hint == declare.Stages:
    return _stages(name, value)
  accepted = typing.get_args(hint) or (hint,)
  if float in accepted and type(value) is int:
    return float(value)
  if type(value) not in accepted:
    names = ' or '.join(
      'None' if t is types.NoneType else t.__name__ for t in accepted
    )
    raise ValueError(f'{name}={value!r}: expected {names}')
  return value


def _dataclass_of_items(hint: Any) -> type | None:
  """The dataclass that a field maps names to, if it does so."""
  if typing.get_origin(hint) is not dict:
    return None
  item: type = typing.get_args(hint)[1]
  return item if dataclasses.is_dataclass(item) else None


def _maps_to_dataclasses(value: Any) -> bool:
  return (
    isinstance(value, Mapping)
    and bool(value)
    and all(map(dataclasses.is_dataclass, value.values()))
  )


def _stages(name: str, value: Any) -> declare.Stages:
  """`value`, where it is a whole number or several."""
  several = isinstance(value, list | tuple)
  if not all(type(x) is int for x in (value if several else [value])):
    raise ValueError(f'{name}={value!r}: expected a whole number or several')
  return tuple(value) if several else int(value)


def _lists(name: str, value: Any) -> dict[str, list[float]]:
  """`value`, where it maps names to lists of numbers."""
  if isinstance(value, dict) and all(
    isinstance(item, list) and all(isinstance(x, int | float) for x in item)
    for item in value.values()
  ):
    return {key: [float(x) for x in item] for key, item in value.items()}
  raise ValueError(f'{name}={value!r}: expected names with lists of numbers')


def near(
  name: Any, names: Iterable[Any], shown: Callable[[str], str] = str
) -> str:
  """' (did you mean ...?)' where one of `names` is like `name`, or nothing."""
  matches = difflib.get_close_matches(str(name), list(map(str, names)), n=1)
  return f' (did you mean {shown(matches[0])}?)' if matches else ''


def choose(field: str, name: str, options: Mapping[str, T]) -> T:
  """`options[name]`, or a line that says what there is.

  Raises:
    ValueError: `name` is not among the options.
  """
  if name in options:
    return options[name]
  raise ValueError(
    f'{field}={name!r}: there is no such choice{near(name, options, repr)}; '
    f'there are {", ".join(options)}'
  )


def swept(config: configs.Config) -> dict[str, float]:
  """Every number that reaches the step as an array, by its dotted name."""
  return {leaf.name: leaf.value for leaf in leaves(config) if leaf.facts.swept}


def not_swept(name: str, known: Iterable[str]) -> str:
  """What is said of a name that is none of the swept numbers `known`."""
  return (
    f'{name} is not a swept number{near(name, known)}; --describe marks '
    "each that is 'swept'"
  )


def movable(config: configs.Config) -> dict[str, declare.Facts]:
  """The numbers that a schedule can move: all that are swept but its own."""
  return {
    leaf.name: leaf.facts
    for leaf in leaves(config)
    if leaf.facts.swept and not leaf.name.startswith('schedules.')
  }


def batch_samples(config: configs.Config) -> int:
  """How many samples of one kind a D update sees."""
  return config.batch_size * config.packing


def other_run(text: str) -> tuple[str, str]:
  """WORKDIR and STEP of 'WORKDIR:STEP'; a STEP of '' where there is none."""
  folder, _, step = text.rpartition(':')
  return (folder, step) if folder and step.isdecimal() else (text, '')


def chunk_length(config: configs.Config) -> int:
  """The most steps at a time that end at every row and at the last step."""
  begin = int(other_run(config.branch_from)[1] or 0)
  return math.gcd(config.log_every, config.steps, begin)


def asks_for_classes(config: configs.Config) -> bool:
  """Whether G is told of a class, of the data's or of its own codes."""
  return config.conditional or config.gen.codes > 0


def uses_ema(config: configs.Config) -> bool:
  """Whether the averaged generator is the one that is evaluated."""
  if config.eval.ema_length is not None:
    return config.eval.ema
  return config.eval.ema and largest(config, 'ema.half_life') > 0


def ema_lengths(config: configs.Config) -> tuple[float, ...]:
  """Those that `ema.posthoc` has, such as '0.05,0.1'; `()` of ''.

  Raises:
    ValueError: they are no lengths, or one is there twice.
  """
  text = config.ema.posthoc
  if not text:
    return ()
  try:
    lengths = tuple(map(float, text.split(',')))
  except ValueError:
    raise ValueError(
      f'ema.posthoc={text!r}: must be numbers with commas between them'
    ) from None
  for length in lengths:
    check_ema_length('ema.posthoc', length)
  if len(set(lengths)) < len(lengths):
    raise ValueError(f'ema.posthoc={text!r}: has a length twice')
  return lengths


def check_ema_length(field: str, length: float) -> None:
  """Raises ValueError where there is no average of this length."""
  if not 0 < length < _LONGEST_EMA:
    raise ValueError(
      f'{field}={length:g}: must be above 0 and below {_LONGEST_EMA:.4f}, of a '
      'flat average'
    )


def swept_values(config: configs.Config, name: str) -> list[float]:
  """Between what a number of the step moves, in all of a population.

  What it begins and ends at, and 0 where it also grows from there or falls
  without end.
  """
  begins, ends = _begins_and_ends(config, name)
  schedule = config.schedules.get(name)
  from_0 = schedule and (
    schedule.ramp or schedule.kind == 'cosine_inverse_sqrt'
  )
  return [*begins, *ends, *([0.0] if from_0 else [])]


def largest(config: configs.Config, name: str) -> float:
  """Of what a number of the step is, in all of a population."""
  return max(swept_values(config, name))


def largest_weight(config: configs.Config, term: str) -> float:
  """A term's weight, where it is largest; 0 if it is never on."""
  return largest(config, f'penalties.{term}.weight')


def least_peak(config: configs.Config, name: str) -> float:
  """The largest a number is over time, of the member where that is least."""
  return max(min(each) for each in _begins_and_ends(config, name) if each)


def _begins_and_ends(
  config: configs.Config, name: str
) -> tuple[list[float], list[float]]:
  """Of a number, of all members; without a schedule it ends nowhere."""
  varied = config.population.vary
  begins = varied.get(name, [operator.attrgetter(name)(config)])
  if name not in config.schedules:
    return begins, []
  final = config.schedules[name].final
  return begins, varied.get(f'schedules.{name}.final', [final])
