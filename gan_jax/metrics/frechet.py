"""The Frechet distance between normal laws fitted to features.

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a
Local Nash Equilibrium", equation 6: with Inception's features, FID.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import scipy
import threadpoolctl

# Rows that are centred and multiplied at once, few enough to stay in the cache,
# and rows whose products are added up in float32 before float64 takes over.
_ROWS = 1024
_FLUSH = 16_384


class Statistics(NamedTuple):
  """What the distance needs to know of a set.

  Attributes:
    samples: how many, N.
    mean: `[D]` float64.
    cov: `[D, D]` float64, unbiased: the sum of products over N - 1.
  """

  samples: int
  mean: np.ndarray
  cov: np.ndarray


@dataclasses.dataclass
class _Sums:
  """Of the rows that were multiplied, minus `shift`.

  Attributes:
    samples: how many.
    shift: `[D]` float32, the mean of the first rows.
    total: `[D]` float64.
    products: `[D, D]` float64, the upper half.
    part: `[D, D]` float32, what is not yet added to `products`.
  """

  samples: int
  shift: np.ndarray
  total: np.ndarray
  products: np.ndarray
  part: np.ndarray

  def add(self, rows: np.ndarray) -> None:
    with np.errstate(invalid='ignore', over='ignore'):  # Refused at the end.
      piece = np.subtract(rows, self.shift, dtype=np.float32)
    ones = np.ones(len(rows), np.float32)
    self.total += scipy.linalg.blas.sgemv(1.0, piece.T, ones)
    # Half of the symmetric product, added to what is there.
    self.part = scipy.linalg.blas.ssyrk(
      1.0, piece.T, beta=1.0, c=self.part, overwrite_c=1
    )
    before = self.samples // _FLUSH
    self.samples += len(rows)
    if self.samples // _FLUSH > before:
      self.products += self.part
      self.part[:] = 0


@dataclasses.dataclass
class Moments:
  """What is known of the samples so far.

  Attributes:
    sums: of whole pieces of `_ROWS` rows; None before the first.
    waiting: rows of the next piece, in blocks.
  """

  sums: _Sums | None = None
  waiting: list[np.ndarray] = dataclasses.field(default_factory=list)


def init() -> Moments:
  """Of no samples."""
  return Moments()


def _first_sums(rows: np.ndarray) -> _Sums:
  dim = rows.shape[1]
  # Rounded, so that subtracting it in float32 is subtracting what is added
  # back in float64.
  shift = rows.mean(0, dtype=np.float64).astype(np.float32)
  products = np.zeros((dim, dim), order='F')
  part = np.zeros((dim, dim), np.float32, order='F')
  return _Sums(0, shift, np.zeros(dim), products, part)


def update(moments: Moments, features: Any) -> Moments:
  """With more samples.

  Products are of float32, which is what costs time, but of features minus the
  mean of the first rows, so that no digits are lost to a large mean; they are
  added up in float64. What the shift leaves is taken off exactly at the end.
  Small blocks are put together: each product passes over all `[D, D]` sums.

  Args:
    moments: is used up: its arrays are written to.
    features: `[n, D]`, any n.

  Raises:
    ValueError: the shape does not fit.
  """
  block = np.asarray(features)
  known = moments.waiting[0] if moments.waiting else block
  width = moments.sums.shift.shape if moments.sums else known.shape[1:]
  if block.ndim != 2 or block.shape[1:] != width or not width[0]:
    raise ValueError(
      'features: blocks must have shape [n, D] with one D, got '
      f'{list(block.shape)}'
    )
  held = sum(len(rows) for rows in moments.waiting)
  start = 0
  while start < len(block):
    rows = block[start : start + _ROWS - held]
    start += len(rows)
    held += len(rows)
    if held < _ROWS:
      moments.waiting.append(rows.copy())  # The block may be overwritten.
      break
    if moments.waiting:
      rows = np.concatenate([*moments.waiting, rows])
      moments.waiting = []
    moments.sums = moments.sums or _first_sums(rows)
    moments.sums.add(rows)
    held = 0
  return moments


def result(moments: Moments) -> Statistics:
  """Mean and covariance of all samples so far; more may follow.

  Raises:
    ValueError: a feature is not finite, or there are fewer than two samples.
  """
  sums = copy.deepcopy(moments.sums)
  if moments.waiting:
    rows = np.concatenate(moments.waiting)
    sums = sums or _first_sums(rows)
    sums.add(rows)
  count = sums.samples if sums else 0
  if sums is None or count < 2:
    raise ValueError(f'features: 2 samples are needed at least, got {count}')
  products = sums.products + sums.part
  products = np.triu(products) + np.triu(products, 1).T
  if not (np.isfinite(sums.total).all() and np.isfinite(products).all()):
    raise ValueError('features: some are not finite (or too large for float32)')
  left = sums.total / count
  cov = (products - count * np.outer(left, left)) / (count - 1)
  return Statistics(count, sums.shift + left, cov)


def statistics(features: Any | Iterable[Any]) -> Statistics:
  """Mean and covariance in one pass.

  Args:
    features: `[N, D]`, or an iterable of blocks `[n, D]` of any lengths. They
      are read once, and no more than one block is held at a time.

  Raises:
    ValueError: as in `update` and `result`.
  """
  moments = init()
  for block in [features] if hasattr(features, 'shape') else features:
    moments = update(moments, block)
  return result(moments)


def shortage(samples: int, dim: int) -> str | None:
  """A line of warning where a set is too small for its covariance, or None.

  Args:
    samples: in the set.
    dim: features of each.
  """
  if samples > dim:
    return None
  return (
    f'{samples} samples cannot give a covariance of {dim} features '
    f'its full rank: the Frechet distance is biased upwards (more than {dim} '
    'are needed; 50,000 are usual)'
  )


def _root_columns(cov: np.ndarray) -> np.ndarray:
  """R `[D, r]` with R R^T = cov, r the rank of what is not rounding error."""
  values, vectors = np.linalg.eigh(cov)
  kept = values > len(cov) * np.finfo(cov.dtype).eps * values[-1]
  return vectors[:, kept] * np.sqrt(values[kept])


def distance_from(a: Statistics) -> Callable[[Statistics], float]:
  """`frechet_distance` of one set to any others; what it needs is made once."""
  with threadpoolctl.threadpool_limits(1, user_api='blas'):
    columns = _root_columns(a.cov).T

  def distance(b: Statistics) -> float:
    if a.mean.shape != b.mean.shape:
      raise ValueError(
        f'features: one set has {len(a.mean)} of them, the other {len(b.mean)}'
      )
    # LAPACK's threads busy-wait for each other: on two busy cores two of them
    # take ten times as long as one, and on idle ones six tenths as long.
    with threadpoolctl.threadpool_limits(1, user_api='blas'):
      product = columns @ _root_columns(b.cov)
      root_trace = np.linalg.svd(product, compute_uv=False).sum()
    gap = a.mean - b.mean
    distance = gap @ gap + np.trace(a.cov) + np.trace(b.cov) - 2 * root_trace
    return max(float(distance), 0.0)

  return distance


def frechet_distance(a: Statistics, b: Statistics) -> float:
  """||mu_a - mu_b||^2 + Tr(S_a + S_b - 2 (S_a S_b)^1/2), at least 0.

  With S_a = R_a R_a^T and S_b = R_b R_b^T, the eigenvalues of S_a S_b other
  than 0 are the squared singular values of R_a^T R_b; so the trace of the root
  is their sum. Unlike a matrix square root it needs no full rank and no complex
  numbers, and unlike eigenvalues of sqrt(S_a) S_b sqrt(S_a), no root is taken
  of rounding errors.

  Args:
    a: of one set.
    b: of the other, with as many features.

  Returns:
    The squared 2-Wasserstein distance of the two normal laws, in squared units
    of the features.

  Raises:
    ValueError: the numbers of features differ.
  """
  return distance_from(a)(b)


# Sizes at which the distance is taken to be extrapolated, and the least of
# them: Chong and Forsyth's own.
POINTS = 15
LEAST = 5000


def sizes(samples: int) -> list[int]:
  """Numbers of samples at which `extrapolated` takes the distance.

  Fifteen, evenly spaced from 5,000 on, or from a tenth of the samples where
  that is less.
  """
  least = min(LEAST, max(samples // 10, 2))
  return np.linspace(least, samples, POINTS).astype(int).tolist()


def extrapolated(
  real: Statistics, features: np.ndarray, rng: np.random.Generator
) -> float:
  """The distance of infinitely many samples (Chong & Forsyth 2020).

  "Effectively Unbiased FID and Inception Score and Where to Find Them",
  section 3: the expected distance of n samples is a line over 1/n up to
  smaller terms. It is fitted to random subsets of the `sizes`, and the
  distance is its value at 0, which may be below 0. The samples are as they
  come: the paper's Sobol sequences of latents are not used.

  Args:
    real: of the reference; its own number of samples stays in the distance.
    features: of the samples, `[N, D]`, N at least `2 * POINTS`.
    rng: chooses the subsets.

  Raises:
    ValueError: there are fewer samples.
  """
  if len(features) < 2 * POINTS:
    raise ValueError(
      f'features: {2 * POINTS} samples are needed at least, got {len(features)}'
    )
  distance = distance_from(real)
  counts = sizes(len(features))
  found = [
    distance(statistics(features[rng.permutation(len(features))[:count]]))
    for count in counts
  ]
  return float(np.polyfit(1 / np.array(counts), found, 1)[1])
