"""The Frechet distance between normal laws fitted to features.

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a
Local Nash Equilibrium", equation 6: with Inception's features, FID.
"""

from collections.abc import Iterable, Iterator
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


def _pieces(features: Any | Iterable[Any]) -> Iterator[np.ndarray]:
  """An array, or blocks of one, `_ROWS` rows at a time and then the rest.

  Small blocks are put together: each product passes over all `[D, D]` sums.
  """
  is_array = hasattr(features, 'shape')
  width = None
  held: list[np.ndarray] = []
  missing = _ROWS
  for block in [features] if is_array else features:
    block = np.asarray(block)
    width = block.shape[1:] if width is None else width
    if block.ndim != 2 or block.shape[1:] != width or not width[0]:
      raise ValueError(
        'features: blocks must have shape [n, D] with one D, got '
        f'{list(block.shape)}'
      )
    start = 0
    while start < len(block):
      rows = block[start : start + missing]
      start += len(rows)
      missing -= len(rows)
      if len(rows) == _ROWS:
        yield rows
      else:
        held.append(rows.copy())  # The block may be overwritten meanwhile.
      if held and not missing:
        yield np.concatenate(held)
        held.clear()
      missing = missing or _ROWS
  if held:
    yield np.concatenate(held)


def statistics(features: Any | Iterable[Any]) -> Statistics:
  """Mean and covariance in one pass.

  Products are of float32, which is what costs time, but of features minus the
  mean of the first rows, so that no digits are lost to a large mean; they are
  added up in float64. What the shift leaves is taken off exactly at the end.

  Args:
    features: `[N, D]`, or an iterable of blocks `[n, D]` of any lengths. They
      are read once, and no more than one block is held at a time.

  Raises:
    ValueError: the blocks' shapes do not fit, a feature is not finite, or
      there are fewer than two samples.
  """
  count = 0
  for rows in _pieces(features):
    if count == 0:
      dim = rows.shape[1]
      # Rounded, so that subtracting it in float32 is subtracting what is added
      # back in float64.
      shift = rows.mean(0, dtype=np.float64).astype(np.float32)
      centred = np.empty((_ROWS, dim), np.float32)
      ones = np.ones(_ROWS, np.float32)
      part = np.zeros((dim, dim), np.float32, order='F')
      products = np.zeros((dim, dim), order='F')
      total = np.zeros(dim)
    piece = centred[: len(rows)]
    with np.errstate(invalid='ignore', over='ignore'):  # Refused at the end.
      np.subtract(rows, shift, out=piece, casting='same_kind')
    total += scipy.linalg.blas.sgemv(1.0, piece.T, ones[: len(rows)])
    # Half of the symmetric product, added to what is there.
    part = scipy.linalg.blas.ssyrk(
      1.0, piece.T, beta=1.0, c=part, overwrite_c=1
    )
    count += len(rows)
    if count // _FLUSH > (count - len(rows)) // _FLUSH:
      products += part
      part[:] = 0
  if count < 2:
    raise ValueError(f'features: 2 samples are needed at least, got {count}')
  products += part
  products = np.triu(products) + np.triu(products, 1).T
  if not (np.isfinite(total).all() and np.isfinite(products).all()):
    raise ValueError('features: some are not finite (or too large for float32)')
  left = total / count
  cov = (products - count * np.outer(left, left)) / (count - 1)
  return Statistics(count, shift + left, cov)


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
  if a.mean.shape != b.mean.shape:
    raise ValueError(
      f'features: one set has {len(a.mean)} of them, the other {len(b.mean)}'
    )
  # LAPACK's threads wait for each other without rest: on two busy cores two of
  # them take ten times as long as one, and on idle ones six tenths as long.
  with threadpoolctl.threadpool_limits(1, user_api='blas'):
    product = _root_columns(a.cov).T @ _root_columns(b.cov)
    root_trace = np.linalg.svd(product, compute_uv=False).sum()
  gap = a.mean - b.mean
  distance = gap @ gap + np.trace(a.cov) + np.trace(b.cov) - 2 * root_trace
  return max(float(distance), 0.0)
