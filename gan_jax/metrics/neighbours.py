"""Figures of nearest neighbours: fidelity, diversity and memorisation.

Distances are Euclidean, computed a block of rows at a time from matrix
products, ||a - b||^2 = ||a||^2 + ||b||^2 - 2 a.b; no more than `_ROWS` rows of
a table of distances exist at once. Products cost nearly all of the time: each
block selects what it is asked for while it is at hand.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_ROWS = 512

# Samples below which precision and recall say little.
_SENSIBLE = 1000


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


class Neighbours(NamedTuple):
  """The nearest training sample of each of N samples.

  Attributes:
    row: `[N]` int, where in the training set it is; `[N, k]` of `closest`.
    distance: the same, float32, Euclidean.
  """

  row: np.ndarray
  distance: np.ndarray


class Memorisation(NamedTuple):
  """Whether generated samples are nearer the training set than new data are.

  Attributes:
    neighbours: of the generated samples.
    median: of their distances.
    held_out_median: of the distances of held-out data.
    ratio: the first median over the second. Near 1 or above there is no sign
      of copying, well below 1 there is; NaN where the second is 0, as where
      half of the held-out data are in the training set.
  """

  neighbours: Neighbours
  median: float
  held_out_median: float
  ratio: float


def _norms(x: jax.Array) -> jax.Array:
  """Squared lengths [N] of [N, D]."""
  return (x**2).sum(axis=1)


def _products(a: jax.Array, b: jax.Array) -> jax.Array:
  """a b^T, [A, B], for [A, D] and [B, D]."""
  # An accelerator's default would multiply in fewer bits than float32's.
  return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def _closeness(products: jax.Array, norms: jax.Array) -> jax.Array:
  """||a||^2 - ||a - b||^2 = 2 a.b - ||b||^2, of products and ||b||^2.

  As good as distances to rank the b that are near an a, and to compare them
  with the k-th of them; and one pass cheaper.
  """
  return 2 * products - norms


@functools.partial(jax.jit, static_argnames='k')
def _reach_of_block(
  rows: jax.Array, start: jax.Array, x: jax.Array, norms: jax.Array, *, k: int
) -> jax.Array:
  own = start + jnp.arange(len(rows))[:, None] == jnp.arange(len(x))[None]
  close = _closeness(_products(rows, x), norms[None])
  return jax.lax.top_k(jnp.where(own, -jnp.inf, close), k)[0]


def _reach(x: jax.Array, norms: jax.Array, k: int) -> jax.Array:
  """The closeness [N, k] of each row's k nearest others, nearest first."""
  blocks = [
    _reach_of_block(x[start : start + _ROWS], jnp.int32(start), x, norms, k=k)
    for start in range(0, len(x), _ROWS)
  ]
  return jnp.concatenate(blocks)


class _Overlap(NamedTuple):
  """What a block of real rows `[n]` has in common with G generated ones."""

  precise: jax.Array  # [G] in some real row's neighbourhood.
  recalled: jax.Array  # [n] in some generated neighbourhood.
  inside: jax.Array  # [n] how many generated are in the neighbourhood.


# XLA's CPU backend is faster with two programs: one would lay out the products
# in favour of what is done with them.
_block_of_products = jax.jit(_products)


@jax.jit
def _overlap_of_block(
  products: jax.Array,
  norms: jax.Array,
  fake_norms: jax.Array,
  precision_reach: jax.Array,
  density_reach: jax.Array,
  recall_reach: jax.Array,
) -> _Overlap:
  """Who is as close as the k-th neighbour: the reach is [n], [n] and [G]."""
  close = _closeness(products, fake_norms[None])
  other = _closeness(products, norms[:, None])
  return _Overlap(
    precise=(close >= precision_reach[:, None]).any(axis=0),
    recalled=(other >= recall_reach[None]).any(axis=1),
    inside=(close >= density_reach[:, None]).sum(axis=1),
  )


def _centred(*sets: jax.Array, least: int) -> list[jax.Array]:
  """Float32 minus the first one's mean, which leaves distances more digits."""
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
  real, fake = _centred(real, generated, least=max(k, density_k) + 1)
  norms, fake_norms = _norms(real), _norms(fake)
  reach = _reach(real, norms, max(k, density_k))
  recall_reach = _reach(fake, fake_norms, k)[:, k - 1]
  precise = jnp.zeros(len(fake), bool)
  recalled = []
  inside = []
  for start in range(0, len(real), _ROWS):
    rows = slice(start, start + _ROWS)
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


@jax.jit
def _nearest_of_block(
  rows: jax.Array, x: jax.Array, norms: jax.Array
) -> tuple[jax.Array, jax.Array]:
  close = _closeness(_products(rows, x), norms[None])
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
  return _nearest_of_block(samples - middle, train, _norms(train))[1]


class Search(NamedTuple):
  """The nearest of the training samples so far.

  Attributes:
    samples: `[N, D]` float32, minus `middle`.
    middle: `[1, D]`, the samples' mean.
    seen: training samples so far.
    found: the nearest of them; at distance inf where there are none.
  """

  samples: jax.Array
  middle: jax.Array
  seen: int
  found: Neighbours


def search(samples: jax.Array) -> Search:
  """Before the first training sample.

  Args:
    samples: pixels or features, `[N, D]`, whose neighbours are sought.

  Raises:
    ValueError: there are none, or a feature is not finite.
  """
  (centred,) = _centred(samples, least=1)
  middle = jnp.asarray(samples, jnp.float32).mean(axis=0, keepdims=True)
  nothing = Neighbours(
    np.zeros(len(centred), np.int64), np.full(len(centred), np.inf, np.float32)
  )
  return Search(centred, middle, 0, nothing)


def look(found: Search, train: jax.Array) -> Search:
  """With more training samples, `[m, D]`, any m.

  Raises:
    ValueError: the number of features differs, or a feature is not finite.
  """
  shape = np.shape(train)
  if len(shape) != 2 or shape[1] != found.samples.shape[1]:
    raise ValueError(
      'features must have shapes [N, D] with one D, got '
      f'{list(found.samples.shape)}, {list(shape)}'
    )
  block = jnp.asarray(train, jnp.float32) - found.middle
  if not bool(jnp.isfinite(block).all()):
    raise ValueError('features: some are not finite')
  norms = _norms(block)
  parts = [
    _nearest_of_block(found.samples[start : start + _ROWS], block, norms)
    for start in range(0, len(found.samples), _ROWS)
  ]
  row, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
  nearer = distance < found.found.distance
  return found._replace(
    seen=found.seen + len(block),
    found=Neighbours(
      np.where(nearer, found.seen + row, found.found.row),
      np.where(nearer, distance, found.found.distance),
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
  return look(search(samples), train).found


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


def memorised(generated: Neighbours, held_out: Neighbours) -> Memorisation:
  """Compares distances to the training set with those of unseen data.

  Args:
    generated: the nearest training samples of generated ones.
    held_out: those of samples from the same law that G has not seen.
  """
  median = float(np.median(generated.distance))
  held_out_median = float(np.median(held_out.distance))
  ratio = median / held_out_median if held_out_median else float('nan')
  return Memorisation(generated, median, held_out_median, ratio)


def memorisation(
  generated: jax.Array, train: jax.Array, held_out: jax.Array
) -> Memorisation:
  """`memorised`, of sets that are all at hand.

  Args:
    generated: pixels or features, `[N, D]`.
    train: `[M, D]`, what the generator has seen.
    held_out: `[H, D]`, from the same law and not seen.

  Raises:
    ValueError: as in `nearest`.
  """
  return memorised(nearest(generated, train), nearest(held_out, train))


@functools.partial(jax.jit, static_argnames='ways')
def _nearest_other_of_block(
  rows: jax.Array, own: jax.Array, x: jax.Array, norms: jax.Array, ways: int
) -> jax.Array:
  close = _closeness(_products(rows, x), norms[None])
  same = own[:, None] // ways == jnp.arange(len(x))[None] // ways
  others = jnp.where(same, -jnp.inf, close)
  return jnp.linalg.norm(rows - x[others.argmax(axis=1)], axis=1)


def authenticity(generated: jax.Array, train: jax.Array) -> float:
  """The share of samples that are no near copies, in [0, 1].

  Alaa et al. 2022, "How Faithful is your Synthetic Data?", section 4, in the
  form of AuthPct (Stein et al. 2023): a sample is authentic if the training
  sample nearest to it has another training sample nearer than the sample.

  Args:
    generated: features, `[G, D]`.
    train: features of what the generator was trained on, `[T, D]`; or of W
      ways in which it saw each sample, `[T, W, D]`, of which a sample's own are
      no others.

  Raises:
    ValueError: there are fewer than two training samples or no others, the
      numbers of features differ, or a feature is not finite.
  """
  ways = train.shape[1] if train.ndim == 3 else 1
  flat = train.reshape(-1, train.shape[-1])
  found = nearest(generated, flat)
  # Only those that are nearest to a sample need their own neighbour.
  rows, where = np.unique(found.row, return_inverse=True)
  (x,) = _centred(flat, least=2 * ways)
  norms = _norms(x)
  parts = []
  for start in range(0, len(rows), _ROWS):
    own = jnp.asarray(rows[start : start + _ROWS], jnp.int32)
    parts.append(_nearest_other_of_block(x[own], own, x, norms, ways))
  between = np.concatenate(parts)[where]
  return float((between < found.distance).mean())


def shortage(samples: int) -> str | None:
  """A line of warning where neighbourhoods are too coarse, or None."""
  if samples >= _SENSIBLE:
    return None
  return (
    f'the nearest of {samples:,} samples are far away, so that manifolds are '
    f'too large ({_SENSIBLE:,} samples are sensible at least; 10,000 are usual)'
  )
