"""Figures of several members: a mean is worth nothing without its error."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy  # Loads a module of it when one is used.

# Figures that cannot leave an interval, by the last part of their name.
_BOUNDS = {
  **dict.fromkeys(
    (
      'accuracy', 'asked_mode', 'authenticity', 'cas', 'cas_of_data',
      'class_accuracy', 'code_accuracy', 'd_fake', 'd_real', 'coverage',
      'high_quality', 'ks', 'max_d_gap', 'precision', 'prd_f1_8', 'prd_f8',
      'recall', 'rotation', 'total_variation', 'turning', 'unstable',
    ),
    (0.0, 1.0),
  ),
  **dict.fromkeys(
    (
      'cmmd', 'density', 'disc_skipped', 'fd', 'gen_skipped', 'grad_norm',
      'intra_fd', 'is_std', 'kid_std', 'memorisation', 'modes', 'nearest', 'p',
      'parzen_of_data_stderr', 'parzen_sigma', 'parzen_stderr', 'reverse_kl',
      'skipped', 'sliced_wasserstein_1', 'swd', 'wasserstein_1',
    ),
    (0.0, math.inf),
  ),
  'is': (1.0, math.inf),
  **dict.fromkeys(('growth', 'r_t'), (-1.0, 1.0)),
}  # fmt: skip
_UNBOUNDED = -math.inf, math.inf


def bounds(name: str) -> tuple[float, float]:
  """Between what a figure lies.

  A figure of features has the name of their network at its end, and one of a
  class its number before that.
  """
  last = name.rpartition('/')[2]
  plain = last.rpartition('_')[0]
  names = last, plain, plain.rstrip('0123456789').removesuffix('_')
  return next((_BOUNDS[x] for x in names if x in _BOUNDS), _UNBOUNDED)


class Estimate(NamedTuple):
  """A figure of a population.

  Attributes:
    mean: of the members that have it; NaN where none has.
    stderr: of the mean; NaN for fewer than two.
    low: of the 95 % interval of the mean.
    high: of the same.
    members: each member's, NaN where it failed to have one or was dropped.
    dropped: how many were, before this was measured (halving.py).
  """

  mean: float
  stderr: float
  low: float
  high: float
  members: tuple[float, ...]
  dropped: int = 0

  @property
  def failed(self) -> int:
    """Members that have no finite value, which the mean leaves out."""
    without = sum(not math.isfinite(x) for x in self.members)
    return without - self.dropped

  @property
  def size(self) -> int:
    """Members that were not dropped."""
    return len(self.members) - self.dropped

  def to_json(self) -> dict[str, Any]:
    """Plain values; what is no number is None."""

    def plain(x: float) -> float | None:
      return x if math.isfinite(x) else None

    return {
      'mean': plain(self.mean),
      'stderr': plain(self.stderr),
      'ci95': [plain(self.low), plain(self.high)],
      'members': [plain(x) for x in self.members],
      'failed': self.failed,
      **({'dropped': self.dropped} if self.dropped else {}),
    }

  def __str__(self) -> str:
    """`mean ± half of the interval`, of the longer half where it is cut.

    In whole numbers from a hundred on, without an exponent.
    """
    half = max(self.high - self.mean, self.mean - self.low)
    failed = f' ({self.failed} failed)' if self.failed else ''
    mean, short = (
      f'{x:.0f}' if most <= abs(x) < 1e6 else f'{x:.{digits}g}'
      for x, digits, most in ((self.mean, 4, 999.5), (half, 2, 99.5))
    )
    return f'{mean} ± {short}{failed}'


def estimate(name: str, values: Sequence[float], dropped: int = 0) -> Estimate:
  """The mean with its 95 % interval: Student's t, cut at the figure's bounds.

  Args:
    name: of the figure; it tells its bounds.
    values: one for each member; those that are not finite count as failed.
    dropped: how many of these were dropped instead.
  """
  members = tuple(float(x) for x in values)
  sound = np.array([x for x in members if math.isfinite(x)])
  count, nan = len(sound), math.nan
  mean = float(sound.mean()) if count else nan
  if count < 2:
    return Estimate(mean, nan, nan, nan, members, dropped)
  stderr = float(sound.std(ddof=1)) / math.sqrt(count)
  half = float(student(count)) * stderr
  low, high = np.clip([mean - half, mean + half], *bounds(name))
  return Estimate(mean, stderr, float(low), float(high), members, dropped)


def student(count: Any) -> Any:
  """How many standard errors half of a 95 % interval of `count` values is."""
  return scipy.special.stdtrit(np.maximum(np.asarray(count) - 1, 1), 0.975)


def of_summary(name: str, value: Any, scale: float = 1.0) -> Estimate:
  """A figure of `summary.json`, of as many members as it has.

  Args:
    name: of the figure.
    value: a number, None for one that is not finite, or what `to_json` makes.
    scale: of every member.
  """
  members, dropped = [value], 0
  if isinstance(value, dict):
    members, dropped = value['members'], value.get('dropped', 0)
  own = [math.nan if x is None else x for x in members]
  found = estimate(name, own, dropped)
  mean, stderr, low, high = (x * scale for x in found[:4])
  return Estimate(
    mean, stderr, low, high, tuple(x * scale for x in found.members), dropped
  )


def order(found: Estimate, *, greatest: bool) -> tuple[int, float]:
  """A key that sorts the best figure first.

  Those with fewer failed members come first, for a mean is of the others alone;
  what has no mean comes last.

  Args:
    found: the figure.
    greatest: whether the greatest is the best, and not the least.
  """
  mean = -found.mean if greatest else found.mean
  return found.failed, mean if math.isfinite(mean) else math.inf


class Comparison(NamedTuple):
  """Two populations beside each other.

  Attributes:
    difference: of the means, a - b.
    low: of its 95 % interval (Welch's t); NaN where neither side varies.
    high: of the same.
    p: of a permutation test of equal means, two-sided.
  """

  difference: float
  low: float
  high: float
  p: float


def compare(a: Sequence[float], b: Sequence[float]) -> Comparison:
  """Whether two sets of members differ by more than chance.

  All ways to deal the members to the two sets are tried where there are no
  more than 20,000, else 20,000 random ones, always the same.

  Args:
    a: values; those that are not finite are left out.
    b: values.

  Raises:
    ValueError: either has fewer than two finite values.
  """
  x, y = (np.array([v for v in s if math.isfinite(v)]) for s in (a, b))
  if min(len(x), len(y)) < 2:
    raise ValueError(
      f'cannot compare {len(x)} with {len(y)} members: each needs two'
    )
  difference = float(x.mean() - y.mean())
  low = high = math.nan
  if np.ptp(x) or np.ptp(y):  # Else Welch's t has no standard error.
    squares = _square_error(x), _square_error(y)
    welch = _by_welch(difference, squares, (len(x), len(y)))
    low, high = welch.low, welch.high
  test = scipy.stats.permutation_test(
    (x, y),
    lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
    n_resamples=20_000,
    vectorized=True,
    rng=np.random.default_rng(0),
  )
  return Comparison(difference, low, high, float(test.pvalue))


def _square_error(x: np.ndarray) -> float:
  """Of a mean: the square of its standard error."""
  return float(x.var(ddof=1)) / len(x)


def _by_welch(
  difference: float, squares: tuple[float, float], counts: tuple[int, int]
) -> Comparison:
  """Of two means with these squared standard errors, each of so many."""
  total = sum(squares)
  parts = zip(squares, counts, strict=True)
  freedom = total**2 / sum(s**2 / (n - 1) for s, n in parts)
  return _by_student(difference, math.sqrt(total), freedom)


def _by_student(difference: float, error: float, freedom: float) -> Comparison:
  """What Student's t says of a difference with a standard error."""
  half = float(scipy.special.stdtrit(freedom, 0.975)) * error
  p = 2 * float(scipy.special.stdtr(freedom, -abs(difference) / error))
  return Comparison(difference, difference - half, difference + half, p)


def compare_published(
  a: Sequence[float], mean: float, stderr: float, trials: int
) -> Comparison:
  """Members of ours against a published mean, by Welch's t.

  Args:
    a: values; those that are not finite are left out.
    mean: as it was published.
    stderr: of that mean.
    trials: that it is of.

  Raises:
    ValueError: there are fewer than two finite values or trials, or neither
      side has a spread.
  """
  x = np.array([v for v in a if math.isfinite(v)])
  if min(len(x), trials) < 2:
    raise ValueError(
      f'cannot compare {len(x)} with {trials} members: each needs two'
    )
  difference = float(x.mean()) - mean
  squares = _square_error(x), stderr**2
  if not any(squares):
    raise ValueError('cannot compare two figures without any spread')
  return _by_welch(difference, squares, (len(x), trials))


def compare_single(
  a: Sequence[float], mean: float, trials: int = 1
) -> Comparison:
  """Members of ours against a published mean without a spread.

  By the prediction interval of a mean of so many more members: the published
  runs are taken to vary as ours do.

  Args:
    a: values; those that are not finite are left out.
    mean: as it was published.
    trials: that it is of.

  Raises:
    ValueError: there are fewer than two finite values, or they are all equal.
  """
  x = np.array([v for v in a if math.isfinite(v)])
  if len(x) < 2 or x.min() == x.max():
    raise ValueError(f'cannot compare {len(x)} members without any spread')
  difference = float(x.mean()) - mean
  error = float(x.std(ddof=1)) * math.sqrt(1 / len(x) + 1 / trials)
  return _by_student(difference, error, len(x) - 1)
