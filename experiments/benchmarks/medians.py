"""Rounds of measurements in turns, and what they come to."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Figure = TypeVar('Figure')


def with_spread(values: Sequence[float]) -> tuple[float, float]:
  """The median, and how far from it the farthest round is."""
  median = statistics.median(values)
  return median, max(abs(value - median) for value in values)


def take_turns(
  measures: Mapping[str, Callable[[], Figure]], rounds: int, warm_up: int = 1
) -> dict[str, list[Figure]]:
  """What each measurement gives in each round, one after the other in turns.

  Args:
    measures: a call measures once.
    rounds: that count.
    warm_up: rounds before them, which do not count.
  """
  taken: dict[str, list[Figure]] = {name: [] for name in measures}
  for turn in range(warm_up + rounds):
    for name, measure in measures.items():
      figure = measure()
      if turn >= warm_up:
        taken[name].append(figure)
  return taken
