"""Intervals of a distance by resampling (Efron & Tibshirani 1993)."""

from collections.abc import Callable

import numpy as np

# Of which one lies beyond either end.
LEAST = 40


def interval(
  distance: Callable[[np.ndarray], float],
  count: int,
  rng: np.random.Generator,
  *,
  resamples: int,
) -> tuple[float, float]:
  """The 95 % interval of a distance over draws of so many samples.

  Samples are drawn with replacement, and the spread of the resampled distances
  around their own mean is put around the distance. Their mean itself is of no
  use: a sample that is drawn twice biases a distance upwards again. What the
  number of samples adds to the distance is therefore in the interval's middle,
  and the interval is of other samples at the same number, against the same
  reference. Where their law is that of the reference, squared distances are
  degenerate and the interval is too wide: by up to the root of 3 for kernel
  distances.

  Args:
    distance: a function of the row indices, `[N]`, of the samples that it is
      of; the reference stays as it is.
    count: N, the samples that there are.
    rng: draws.
    resamples: how many times, `LEAST` for ends that are not their extremes.

  Returns:
    Its ends, low and high; not finite where a resampled distance is not.
  """
  value = distance(np.arange(count))
  found = np.array(
    [distance(rng.integers(count, size=count)) for _ in range(resamples)]
  )
  if not np.isfinite(found).all():
    return float('nan'), float('nan')
  low, high = np.quantile(found - found.mean(), [0.025, 0.975])
  return value + float(low), value + float(high)
