"""What a field says of its value, besides its type and its comment."""

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

# A number for each stage of a network, or one for all of them.
Stages = int | tuple[int, ...]


class Facts(NamedTuple):
  """Of a field.

  Attributes:
    swept: the number reaches the training step as an array: changing it
      recompiles nothing, a population can vary it, a schedule can move it.
    at_least: the least value.
    above: what the value must exceed.
    at_most: the largest value.
    below: what the value must stay under.
    choices: all values there are; `()` where they are not a list.
  """

  swept: bool = False
  at_least: float | None = None
  above: float | None = None
  at_most: float | None = None
  below: float | None = None
  choices: tuple[Any, ...] = ()

  def accepted(self) -> str:
    """In words, such as 'at least 0 and below 1'; '' for anything."""
    if self.choices:
      *rest, last = map(str, self.choices)
      return f'{", ".join(rest)} or {last}'
    bounds = (
      ('at least', self.at_least),
      ('above', self.above),
      ('at most', self.at_most),
      ('below', self.below),
    )
    return ' and '.join(f'{word} {x}' for word, x in bounds if x is not None)

  def accept(self, value: Any) -> bool:
    """Whether a value of the field's type is within these bounds."""
    if value is None:
      return True
    if isinstance(value, tuple):
      return bool(value) and all(map(self.accept, value))
    if self.choices:
      return value in self.choices
    return (
      (self.at_least is None or value >= self.at_least)
      and (self.above is None or value > self.above)
      and (self.at_most is None or value <= self.at_most)
      and (self.below is None or value < self.below)
    )


def field(
  default: Any,
  *,
  swept: bool = False,
  at_least: float | None = None,
  above: float | None = None,
  at_most: float | None = None,
  below: float | None = None,
  choices: Iterable[Any] = (),
) -> Any:
  """A dataclass's field with `Facts`."""
  facts = Facts(swept, at_least, above, at_most, below, tuple(choices))
  return dataclasses.field(default=default, metadata={'facts': facts})


def facts(field: 'dataclasses.Field[Any]') -> Facts:
  """Those of a field that was made here, and of any other none."""
  declared: Facts = field.metadata.get('facts', Facts())
  return declared
