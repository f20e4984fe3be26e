"""What several rounds of one measurement come to."""

import statistics
from collections.abc import Sequence


def with_spread(values: Sequence[float]) -> tuple[float, float]:
  """The median, and how far from it the farthest round is."""
  median = statistics.median(values)
  return median, max(abs(value - median) for value in values)
