"""The kernel distance between features: with Inception's, KID.

Binkowski et al. 2018, "Demystifying MMD GANs", section 4.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.metrics import products


class KernelDistance(NamedTuple):
  """The squared maximum mean discrepancy over subsets.

  Attributes:
    mean: over the subsets; unbiased, so that it may be below 0.
    std: over the subsets, not of their mean.
  """

  mean: float
  std: float


@functools.partial(jax.jit, static_argnames='size')
def _row_means(
  a: jax.Array, b: jax.Array, key: jax.Array, *, size: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Kernel means [size] of aa and bb without the diagonal, and of ab."""
  key_a, key_b = jax.random.split(key)
  x = a[jax.random.permutation(key_a, len(a))[:size]]
  y = b[jax.random.permutation(key_b, len(b))[:size]]

  def kernel(u: jax.Array, v: jax.Array) -> jax.Array:
    return (products.inner(u, v) / u.shape[1] + 1) ** 3

  def others(u: jax.Array) -> jax.Array:
    off = jnp.where(jnp.eye(size, dtype=bool), 0.0, kernel(u, u))
    return off.sum(axis=1) / (size - 1)

  return others(x), others(y), kernel(x, y).mean(axis=1)


def kernel_distance(
  a: jax.Array,
  b: jax.Array,
  key: jax.Array,
  *,
  subsets: int = 100,
  subset_size: int = 1000,
) -> KernelDistance:
  """Unbiased MMD^2 with k(x, y) = (x.y / D + 1)^3, over random subsets.

  Args:
    a: features, `[N, D]`.
    b: features, `[M, D]`.
    key: of the subsets, each drawn without replacement from either set.
    subsets: how many.
    subset_size: samples in each. The result's spread depends on it, so it is
      never lowered silently.

  Raises:
    ValueError: a set has fewer samples than a subset, a subset fewer than
      two, the numbers of features differ, or a feature is not finite.
  """
  if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
    raise ValueError(
      f'features must have shapes [N, D] and [M, D], got {list(a.shape)} and '
      f'{list(b.shape)}'
    )
  if subsets < 1 or subset_size < 2:
    raise ValueError(
      f'subsets={subsets} of subset_size={subset_size}: at least 1 of 2 samples'
      ' is needed'
    )
  if min(len(a), len(b)) < subset_size:
    raise ValueError(
      f'subset_size={subset_size}: as many samples are needed of either set, '
      f'got {len(a)} and {len(b)}'
    )
  a, b = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
  values = []
  for subset in range(subsets):
    rows = _row_means(a, b, jax.random.fold_in(key, subset), size=subset_size)
    # Nearly equal means are subtracted: the last sum is of float64.
    aa, bb, ab = (np.asarray(row, np.float64).mean() for row in rows)
    values.append(aa + bb - 2 * ab)
  if not np.isfinite(values).all():
    raise ValueError('features: some are not finite (or too large for float32)')
  return KernelDistance(float(np.mean(values)), float(np.std(values)))


def shortage(samples: int, subset_size: int) -> str | None:
  """A line of warning where subsets are hardly subsets, or None.

  Args:
    samples: of the smaller set.
    subset_size: samples in each subset.
  """
  least = 2 * subset_size
  if samples >= least:
    return None
  return (
    f'subsets of {subset_size:,} of {samples:,} samples are nearly the same '
    f'ones, so that their spread is too small ({least:,} samples are sensible '
    'at least)'
  )
