"""The maximum mean discrepancy of a Gaussian kernel; of CLIP's features, CMMD.

Jayasumana et al. 2024, "Rethinking FID: Towards a Better Evaluation Metric for
Image Generation", section 4; the biased estimate of least variance, as in
their code (Gretton et al. 2012, equation 5).
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.metrics import products

# The kernel's width for embeddings of length 1, and what is multiplied with it.
SIGMA = 10.0
SCALE = 1000.0

_ROWS = 512
# That of 2,000 samples of either.
_SENSIBLE_BIAS = 0.01


# On a CPU two programs are faster: one would lay out the products in favour of
# what is done with them.
_inner = jax.jit(products.inner)
_squared_norms = jax.jit(products.squared_norms)


@jax.jit
def _row_sums(
  dots: jax.Array, norms: jax.Array, others: jax.Array, gamma: jax.Array
) -> jax.Array:
  """Of k - 1, `[n]`: values near 1 would lose their digits in a sum."""
  gaps = norms[:, None] + others[None] - 2 * dots
  return jnp.expm1(-gamma * jnp.maximum(gaps, 0)).sum(axis=1)


def _mean(a: jax.Array, b: jax.Array, gamma: jax.Array) -> float:
  """Of k(a, b) - 1 over all pairs."""
  norms, others = _squared_norms(a), _squared_norms(b)
  sums = []
  for start in range(0, len(a), _ROWS):
    rows = slice(start, start + _ROWS)
    block = _row_sums(_inner(a[rows], b), norms[rows], others, gamma)
    sums.append(np.asarray(block, np.float64).sum())
  return math.fsum(sums) / (len(a) * len(b))


def discrepancy(
  a: jax.Array, b: jax.Array, *, sigma: float = SIGMA, scale: float = SCALE
) -> float:
  """`scale` times MMD^2 with k(x, y) = exp(-||x - y||^2 / (2 sigma^2)).

  Args:
    a: features, `[N, D]`.
    b: features, `[M, D]`.
    sigma: width of the kernel.
    scale: of the result.

  Raises:
    ValueError: a set is empty, the numbers of features differ, or a feature is
      not finite.
  """
  if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
    raise ValueError(
      f'features must have shapes [N, D] and [M, D], got {list(a.shape)} and '
      f'{list(b.shape)}'
    )
  if not (len(a) and len(b)):
    raise ValueError('features: 1 samples are needed at least, got 0')
  x, y = (jnp.asarray(each, jnp.float32) for each in (a, b))
  gamma = jnp.float32(1 / (2 * sigma**2))
  aa, ab, bb = (
    _mean(u, v, gamma)
    for u, v in itertools.combinations_with_replacement((x, y), 2)
  )
  found = aa + bb - 2 * ab
  if not math.isfinite(found):
    raise ValueError('features: some are not finite')
  return scale * found


def shortage(a: int, b: int) -> str | None:
  """A line of warning where two sets are too small, or None.

  The estimate is biased by (1 / N + 1 / M) (1 - E k(x, y)), where embeddings of
  length 1 are less than sqrt(2) apart on average.

  Args:
    a: N.
    b: M.
  """
  floor = -SCALE * math.expm1(-1 / SIGMA**2) * (1 / a + 1 / b)
  if floor <= _SENSIBLE_BIAS:
    return None
  return (
    f'{a:,} and {b:,} samples of one law are up to {floor:.2g} apart on '
    'average, for the estimate is biased (2,000 of either are sensible at '
    'least; 30,000 are usual)'
  )
