"""The nearest training samples of generated ones, and memorisation.

Distances are Euclidean, computed a block of rows at a time from matrix
products, ||a - b||^2 = ||a||^2 + ||b||^2 - 2 a.b; no more than `ROWS` rows of
a table of distances exist at once. Products cost nearly all of the time: each
block selects what it is asked for while it is at hand.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.metrics import products

# Rows of a table of distances that exist at once.
ROWS = 512

_SENSIBLE = 1000


class Neighbours(NamedTuple):
  """The nearest training sample of each of N samples.

  Attributes:
    row: `[N]` int, where in the training set it is; `[N, k]` of `closest`.
    distance: the same, float32, Euclidean.
  """

  row: np.ndarray
  distance: np.ndarray


def closeness(dots: jax.Array, norms: jax.Array) -> jax.Array:
  """||a||^2 - ||a - b||^2 = 2 a.b - ||b||^2, of products a.b and ||b||^2.

  As good as distances to rank the b that are near an a, and to compare them
  with the k-th of them; and one pass cheaper.
  """
  return 2 * dots - norms


def centred(*sets: jax.Array, least: int) -> list[jax.Array]:
  """Float32 minus the first one's mean, which leaves distances more digits.

  Raises:
    ValueError: a set has fewer than `least` samples, the numbers of features
      differ, or a feature is not finite.
  """
  shapes = [jnp.shape(x) for x in sets]
  if any(len(shape) != 2 or shape[1] != shapes[0][1] for shape in shapes):
    raise ValueError(
      'features must have shapes [N, D] with one D, got '
      f'{", ".join(str(list(shape)) for shape in shapes)}'
    )
  if min(len(x) for x in sets) < least:
    raise ValueError(
      f'features: {least} samples are needed at least, got '
      f'{" and ".join(str(len(x)) for x in sets)}'
    )
  arrays = [jnp.asarray(x, jnp.float32) for x in sets]
  mean = arrays[0].mean(axis=0, keepdims=True)
  arrays = [x - mean for x in arrays]
  if not all(bool(jnp.isfinite(x).all()) for x in arrays):
    raise ValueError('features: some are not finite')
  return arrays


@jax.jit
def _nearest_of_block(
  rows: jax.Array, x: jax.Array, norms: jax.Array
) -> tuple[jax.Array, jax.Array]:
  close = closeness(products.inner(rows, x), norms[None])
  index = close.argmax(axis=1)
  # Of the one that is chosen, the distance itself: products leave a copy's at
  # rounding error instead of 0.
  return index, jnp.linalg.norm(rows - x[index], axis=1)


def nearest_distances(samples: jax.Array, train: jax.Array) -> jax.Array:
  """How far the nearest training sample of each is; traceable, for few samples.

  Args:
    samples: pixels or features, `[N, D]`.
    train: `[M, D]`.

  Returns:
    `[N]`, Euclidean.
  """
  middle = train.mean(axis=0, keepdims=True)
  train = train - middle
  return _nearest_of_block(
    samples - middle, train, products.squared_norms(train)
  )[1]


class Search(NamedTuple):
  """The nearest of the training samples so far.

  Attributes:
    samples: `[N, D]` float32, minus `middle`.
    middle: `[1, D]`, the samples' mean.
    seen: training samples so far.
    nearest: of them, of each sample; at distance inf where there are none.
  """

  samples: jax.Array
  middle: jax.Array
  seen: int
  nearest: Neighbours


def init(samples: jax.Array) -> Search:
  """Before the first training sample.

  Args:
    samples: pixels or features, `[N, D]`, whose neighbours are sought.

  Raises:
    ValueError: there are none, or a feature is not finite.
  """
  (x,) = centred(samples, least=1)
  middle = jnp.asarray(samples, jnp.float32).mean(axis=0, keepdims=True)
  nothing = Neighbours(
    np.zeros(len(x), np.int64), np.full(len(x), np.inf, np.float32)
  )
  return Search(x, middle, 0, nothing)


def update(search: Search, train: jax.Array) -> Search:
  """With more training samples, `[m, D]`, any m.

  Raises:
    ValueError: the number of features differs, or a feature is not finite.
  """
  shape = np.shape(train)
  if len(shape) != 2 or shape[1] != search.samples.shape[1]:
    raise ValueError(
      'features must have shapes [N, D] with one D, got '
      f'{list(search.samples.shape)}, {list(shape)}'
    )
  block = jnp.asarray(train, jnp.float32) - search.middle
  if not bool(jnp.isfinite(block).all()):
    raise ValueError('features: some are not finite')
  norms = products.squared_norms(block)
  parts = [
    _nearest_of_block(search.samples[start : start + ROWS], block, norms)
    for start in range(0, len(search.samples), ROWS)
  ]
  row, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
  nearer = distance < search.nearest.distance
  return search._replace(
    seen=search.seen + len(block),
    nearest=Neighbours(
      np.where(nearer, search.seen + row, search.nearest.row),
      np.where(nearer, distance, search.nearest.distance),
    ),
  )


def nearest(samples: jax.Array, train: jax.Array) -> Neighbours:
  """The nearest training sample of each.

  Args:
    samples: pixels or features, `[N, D]`.
    train: `[M, D]`.

  Raises:
    ValueError: a set is empty, the numbers of features differ, or a feature
      is not finite.
  """
  if not len(train):
    raise ValueError('features: 1 samples are needed at least, got 0')
  return update(init(samples), train).nearest


@functools.partial(jax.jit, static_argnames='k')
def _closest_of_block(
  samples: jax.Array, block: jax.Array, *, k: int
) -> tuple[jax.Array, jax.Array]:
  away = jnp.linalg.norm(samples[:, None] - block[None], axis=-1)
  distance, index = jax.lax.top_k(-away, k)
  return -distance, index


def closest(
  samples: np.ndarray, blocks: Iterable[np.ndarray], k: int
) -> Neighbours:
  """The k nearest training samples of each of a few, nearest first.

  Args:
    samples: `[N, D]`.
    blocks: `[m, D]` after `[m, D]`, k samples in all at least.
    k: how many.

  Returns:
    Rows and distances, both `[N, k]`.
  """
  distance = np.zeros((len(samples), 0), np.float32)
  row = np.zeros((len(samples), 0), np.int64)
  seen = 0
  for block in blocks:
    found, index = _closest_of_block(samples, block, k=min(k, len(block)))
    distance = np.concatenate([distance, found], axis=1)
    row = np.concatenate([row, seen + np.asarray(index)], axis=1)
    order = distance.argsort(axis=1, kind='stable')[:, :k]
    distance = np.take_along_axis(distance, order, axis=1)
    row = np.take_along_axis(row, order, axis=1)
    seen += len(block)
  return Neighbours(row, distance)


def memorised(generated: Neighbours, held_out: Neighbours) -> float:
  """How near generated samples are to the training set, against unseen data.

  Args:
    generated: the nearest training samples of generated ones.
    held_out: those of samples from the same law that G has not seen.

  Returns:
    The median distance of the first over that of the second. Near 1 or above
    there is no sign of copying, well below 1 there is; NaN where the second is
    0, as where half of the held-out data are in the training set.
  """
  median = float(np.median(generated.distance))
  held_out_median = float(np.median(held_out.distance))
  return median / held_out_median if held_out_median else float('nan')


def shortage(generated: int, held_out: int) -> str | None:
  """A line of warning where medians are of few images, or None."""
  if min(generated, held_out) >= _SENSIBLE:
    return None
  return (
    f'medians of {generated:,} samples and {held_out:,} held-out images are '
    f'rough ({_SENSIBLE:,} of either are sensible at least)'
  )
