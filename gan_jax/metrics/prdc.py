"""Precision and recall, density and coverage: how two sets of features overlap.

Distances are computed as in `neighbours.py`.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.metrics import neighbours, products

# Samples below which precision and recall say little.
_SENSIBLE = 1000

# The least square of a radius, in squared lengths of the centre: what rounding
# leaves between two copies, each in a product of its own, is up to half of it.
_ROUNDING = 5e-6


class Manifolds(NamedTuple):
  """How two sets of features overlap; `k` is in `manifolds`.

  Attributes:
    precision: the share of generated samples in the real manifold, in [0, 1].
    recall: the share of real samples in the generated manifold, in [0, 1].
    density: how many real neighbourhoods hold a generated sample, over k, on
      average; may be above 1.
    coverage: the share of real samples whose neighbourhood holds a generated
      one, in [0, 1].
  """

  precision: float
  recall: float
  density: float
  coverage: float


@functools.partial(jax.jit, static_argnames='k')
def _reach_of_block(
  rows: jax.Array, start: jax.Array, x: jax.Array, norms: jax.Array, *, k: int
) -> jax.Array:
  itself = start + jnp.arange(len(rows))[:, None] == jnp.arange(len(x))[None]
  close = neighbours.closeness(products.inner(rows, x), norms[None])
  return jax.lax.top_k(jnp.where(itself, -jnp.inf, close), k)[0]


def _reach(x: jax.Array, norms: jax.Array, k: int) -> jax.Array:
  """The closeness [N, k] of each row's k nearest others, nearest first.

  No ball is so small that rounding would leave copies of its centre outside.
  """
  blocks = [
    _reach_of_block(
      x[start : start + neighbours.ROWS], jnp.int32(start), x, norms, k=k
    )
    for start in range(0, len(x), neighbours.ROWS)
  ]
  least = (1 - _ROUNDING) * norms[:, None]
  return jnp.minimum(jnp.concatenate(blocks), least)


class _Overlap(NamedTuple):
  """What a block of real rows `[n]` has in common with G generated ones."""

  precise: jax.Array  # [G] in some real row's neighbourhood.
  recalled: jax.Array  # [n] in some generated neighbourhood.
  inside: jax.Array  # [n] how many generated are in the neighbourhood.


# XLA's CPU backend is faster with two programs: one would lay out the products
# in favour of what is done with them.
_block_of_products = jax.jit(products.inner)


@jax.jit
def _overlap_of_block(
  dots: jax.Array,
  norms: jax.Array,
  fake_norms: jax.Array,
  precision_reach: jax.Array,
  density_reach: jax.Array,
  recall_reach: jax.Array,
) -> _Overlap:
  """Who is as close as the k-th neighbour: the reach is [n], [n] and [G]."""
  close = neighbours.closeness(dots, fake_norms[None])
  other = neighbours.closeness(dots, norms[:, None])
  return _Overlap(
    precise=(close >= precision_reach[:, None]).any(axis=0),
    recalled=(other >= recall_reach[None]).any(axis=1),
    inside=(close >= density_reach[:, None]).sum(axis=1),
  )


def manifolds(
  real: jax.Array, generated: jax.Array, *, k: int = 3, density_k: int = 5
) -> Manifolds:
  """Precision and recall, density and coverage, from the same distances.

  Precision and recall are Kynkaanniemi et al. 2019, "Improved Precision and
  Recall Metric", equations 1 and 2; density and coverage Naeem et al. 2020,
  "Reliable Fidelity and Diversity Metrics", equations 4 and 6. A sample's
  neighbourhood is the closed ball that reaches its k-th nearest other sample
  of its own set; a manifold is the union of them.

  Args:
    real: features, `[N, D]`.
    generated: features, `[G, D]`. Comparisons want N = G.
    k: of precision and recall.
    density_k: of density and coverage.

  Raises:
    ValueError: there are no more than `k` or `density_k` samples, the numbers
      of features differ, or a feature is not finite.
  """
  if min(k, density_k) < 1:
    raise ValueError(f'k={k}, density_k={density_k}: both must be positive')
  real, fake = neighbours.centred(real, generated, least=max(k, density_k) + 1)
  norms, fake_norms = products.squared_norms(real), products.squared_norms(fake)
  reach = _reach(real, norms, max(k, density_k))
  recall_reach = _reach(fake, fake_norms, k)[:, k - 1]
  precise = jnp.zeros(len(fake), bool)
  recalled = []
  inside = []
  for start in range(0, len(real), neighbours.ROWS):
    rows = slice(start, start + neighbours.ROWS)
    block = _overlap_of_block(
      _block_of_products(real[rows], fake),
      norms[rows],
      fake_norms,
      reach[rows, k - 1],
      reach[rows, density_k - 1],
      recall_reach,
    )
    precise |= block.precise
    recalled.append(block.recalled)
    inside.append(block.inside)
  # Counts of 50,000 x 50,000 do not fit into int32.
  count = np.concatenate(inside).astype(np.int64)
  return Manifolds(
    precision=float(np.asarray(precise).mean()),
    recall=float(np.concatenate(recalled).mean()),
    density=float(count.sum() / (density_k * len(fake))),
    coverage=float((count > 0).mean()),
  )


def shortage(samples: int) -> str | None:
  """A line of warning where neighbourhoods are too coarse, or None."""
  if samples >= _SENSIBLE:
    return None
  return (
    f'the nearest of {samples:,} samples are far away, so that manifolds are '
    f'too large ({_SENSIBLE:,} samples are sensible at least; 10,000 are usual)'
  )
