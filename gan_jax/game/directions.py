"""Directions of a latent along which a generator changes most (SeFa).

Shen & Zhou 2021, "Closed-Form Factorization of Latent Semantics in GANs", arXiv
2007.06600, section 3. The first step of a generator is affine, y = A x + b, so
that moving x by alpha n moves y by alpha A n, whatever x is. The directions n
are the eigenvectors of A^T A, the largest eigenvalue first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Directions(NamedTuple):
  """Of a latent of W numbers, the largest change first.

  Attributes:
    values: eigenvalues of A^T A, `[W]`, at least 0.
    vectors: `[W, W]`, a direction of length 1 in each row. Its largest number
      is positive: an eigenvector has no sign of its own.
  """

  values: np.ndarray
  vectors: np.ndarray


def factorise(weights: Sequence[np.ndarray | jax.Array]) -> Directions:
  """The directions of affine steps that all act on one latent.

  Each row of A is divided by its length first, as in the authors' code: each
  output then counts alike, whatever its scale, and the eigenvalues add up to
  the number of outputs. A row of zeros stays. In float64.

  Args:
    weights: `[W, outputs]` each, the transposes of the parts of A.

  Raises:
    ValueError: they are not finite, or all 0.
  """
  a = np.concatenate([np.asarray(w, np.float64) for w in weights], axis=1)
  if not np.isfinite(a).all():
    raise ValueError('weights of the generator are not finite')
  lengths = np.linalg.norm(a, axis=0)
  if not lengths.any():
    raise ValueError(
      'the weights that act on the latent are all 0: no direction changes '
      'anything'
    )
  a /= np.where(lengths > 0, lengths, 1.0)
  values, vectors = np.linalg.eigh(a @ a.T)
  rows = vectors.T[::-1]
  largest = np.abs(rows).argmax(axis=1)[:, None]
  rows = rows * np.sign(np.take_along_axis(rows, largest, axis=1))
  return Directions(np.maximum(values[::-1], 0.0), rows)


def moved(
  start: jax.Array,
  direction: np.ndarray,
  distances: np.ndarray,
  layers: tuple[int, int] | None = None,
) -> jax.Array:
  """Each latent moved by each distance along a direction.

  Args:
    start: z `[N, Z]`, or intermediate latents `[N, L, W]`.
    direction: `[K]`, of the first K numbers; the others stay.
    distances: `[T]`, in units of the latent.
    layers: of intermediate latents, the first and the last that move, itself
      included; the others stay.

  Returns:
    `[N * T, Z]` or `[N * T, L, W]`, all distances of a latent together.
  """
  step = jnp.zeros(start.shape[1:])
  row = direction.reshape(*(1,) * (step.ndim - 1), -1)
  step = step.at[..., : len(direction)].set(row)
  if layers is not None:
    layer = jnp.arange(start.shape[1])[:, None]
    step = jnp.where((layer >= layers[0]) & (layer <= layers[1]), step, 0.0)
  far = jnp.asarray(distances, step.dtype).reshape(1, -1, *(1,) * step.ndim)
  table = start[:, None] + far * step[None, None]
  return table.reshape(-1, *start.shape[1:])
