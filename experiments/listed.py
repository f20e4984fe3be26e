"""Flags that list numbers."""

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
    ValueError: there are none, or one is not such a number.
  """
  try:
    parsed = [kind(text) for text in texts]
  except ValueError:
    parsed = []
  if not parsed or not all(least <= number <= most for number in parsed):
    raise ValueError(
      f'--{flag}={",".join(texts)}: takes {what}, with commas between them'
    )
  return parsed
