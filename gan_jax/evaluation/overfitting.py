"""How far D has learnt its images by heart, and whether G copies them.

Cheap enough for every frame of a run: D looks at a few hundred images, and
nearest neighbours are sought among as many training images as `kept.BYTES`
holds.
"""

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import opening, source as sources
from gan_jax.evaluation import sets
from gan_jax.game import sampling, spec as specs, state as states
from gan_jax.metrics import kept, neighbours

T = TypeVar('T')

# Images of either kind that D looks at.
_JUDGED = 256
# Training images among which neighbours are sought.
_MOST = 10_000

# `figures(disc, samples)`, of D and of G's samples in units of the data.
Figures = Callable[[states.NetState, types.Batch], types.Logs]


def make_figures(config: configs.Config, spec: specs.Spec) -> Figures:
  """The overfitting figures of a game of images, with `overfit/` before them.

  D's mean logits on training images (`real`), on held-out ones (`held_out`) and
  on samples (`fake`), none of them augmented; of these, as in Karras et al.
  2020, equation 1,

      r_v = (E D(train) - E D(held out)) / (E D(train) - E D(G(z)))
      r_t = E sign D(train)

  r_v is 0 where D takes held-out images for as real as those that it learns
  from, and 1 where it takes them for generated. `nearest` is the median
  distance of samples to the nearest training image, mirrored or not where
  training mirrors them, over that of held-out images, in pixels: well below 1
  there are copies. Of stacks, which are drawn anew, there is none.

  Args:
    config: with `eval.held_out`.
    spec: of the game.

  Raises:
    ValueError: the held-out images cannot be read, or G is trained on them.
  """
  data, stack = config.data, config.data.stack
  train, held_out = (
    sets.in_any_order(found[0], stack=stack)
    for found in (
      opening.open_split(data, data.split),
      opening.open_held_out(data, config.eval.held_out),
    )
  )
  judged = {
    name: _judged(images, labelled=config.conditional, packing=spec.packing)
    for name, images in (('real', train), ('held_out', held_out))
  }
  nearest = None
  if stack == 1:
    nearest = _make_nearest(train, judged['held_out'].x, flip=data.flip)

  def figures(disc: states.NetState, samples: types.Batch) -> types.Logs:
    fake = _whole_packs(samples, spec.packing)
    logits = {
      name: sampling.judge(spec, disc, each)
      for name, each in {**_unfolded(judged), 'fake': fake}.items()
    }
    found = {name: each.mean() for name, each in logits.items()}
    real = found['real']
    if spec.loss.signed:
      found['r_t'] = jnp.sign(logits['real']).mean()
    found['r_v'] = (real - found['held_out']) / (real - found['fake'])
    if nearest is not None:
      found['nearest'] = nearest(samples.x)
    return {f'overfit/{name}': value for name, value in found.items()}

  return figures


def _make_nearest(
  train: sets.Images, held_out: jax.Array, *, flip: bool
) -> Callable[[jax.Array], jax.Array]:
  """`nearest(samples)`, of samples `[N, H, W, C]`; see `make_figures`."""
  most = min(_MOST, kept.BYTES // (4 * math.prod(train.shape)))
  known, _ = train.pixels(most)
  if flip:
    known = np.concatenate([known, known[:, :, ::-1]])

  def near(x: jax.Array) -> jax.Array:
    """The median distance to the nearest of them."""
    vectors = x.reshape(len(x), -1)
    return jnp.median(neighbours.nearest_distances(vectors, _vectors(known)))

  of_held_out = near(held_out)
  return lambda samples: near(samples) / of_held_out


def _judged(
  images: sets.Images, *, labelled: bool, packing: int
) -> types.Batch:
  """The first images of a set, as D judges them."""
  x, label = images.pixels(_JUDGED)
  own = jnp.asarray(label) if labelled else None
  batch = types.Batch(sources.to_unit_range(jnp.asarray(x)), own)
  return _whole_packs(batch, packing)


def _whole_packs(batch: types.Batch, packing: int) -> types.Batch:
  """As many of the first samples as D judges together."""
  num = len(batch.x) // packing * packing
  whole: types.Batch = jax.tree.map(lambda x: x[:num], batch)
  return whole


def _vectors(x: np.ndarray) -> jax.Array:
  """Images uint8 `[N, H, W, C]` as `[N, D]` in [-1, 1]."""
  return sources.to_unit_range(_unfolded(jnp.asarray(x))).reshape(len(x), -1)


def _unfolded(images: T) -> T:
  """Constants of a program, from which its compiler makes no others.

  It would by itself, and take seconds for it.
  """
  kept: T = jax.lax.optimization_barrier(images)
  return kept
