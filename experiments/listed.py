"""Flags that list numbers, and ranges of layers."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

N = TypeVar('N', int, float)


def numbers(
  flag: str,
  texts: Sequence[str],
  kind: Callable[[str], N],
  what: str,
  least: float = float('-inf'),
  most: float = float('inf'),
) -> list[N]:
  """The numbers, in order.

  Args:
    flag: its name.
    texts: its parts.
    kind: `int` or `float`.
    what: they are, for the message.
    least: of them.
    most: of them.

  Raises:
    ValueError: there are none, or one is not such a number, or not finite.
  """
  try:
    parsed = [kind(text) for text in texts]
  except ValueError:
    parsed = []
  fits = (abs(x) < math.inf and least <= x <= most for x in parsed)
  if not parsed or not all(fits):
    raise ValueError(
      f'--{flag}={",".join(texts)}: takes {what}, with commas between them'
    )
  return parsed


def layers(text: str) -> tuple[int, int]:
  """The first and the last of `--layers`: FIRST-LAST, or one number.

  Raises:
    ValueError: it is neither.
  """
  first, _, last = text.partition('-')
  if not (first.isdecimal() and (last or first).isdecimal()):
    raise ValueError(f'--layers={text}: must be as 0-3, or a number')
  return int(first), int(last or first)
