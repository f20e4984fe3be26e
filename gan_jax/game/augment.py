"""Augmentations of what D sees: `Latent -> G -> Batch -> augment -> pack -> D`.

A `Policy` draws the numbers of each sample and applies them, apart. Each of its
transforms is applied to each sample with a probability that is the strength p
times its own; a sample that is not chosen comes out as it came in, to the last
bit. Every transform is affine in the images, so that any derivative of D
through it exists.

- DiffAugment (Zhao et al. 2020) is `COLOR`, `TRANSLATION` and `CUTOUT` in turn,
  with the numbers of its authors' code.
- ADA's pipeline is in `ada.py`; how its strength adapts, of any policy, here.
- Diffusion-GAN's noise, of samples of any shape, is in `diffusion.py`.
- The blur that StyleGAN3's configuration R begins with is before any policy:
  `blur`.
- APA (Jiang et al. 2021) shows generated samples as real ones: `deceive`.

Shifts and filters are small products, boxes and choices are masks; only
`ops/warp.py` gathers, and not on a TPU.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.ops import warp


class Policy(NamedTuple):
  """What is done to images `[B, H, W, C]` in [-1, 1].

  Attributes:
    draw: `draw(key, shape, p)`, the numbers of each sample of a batch of that
      shape at strength p `[]`: a tree of arrays `[B, ...]`.
    apply: `apply(images, numbers)`, of float32 images and of that shape.
    of_colors: its transforms of colours, which grey images go without.
    turns: whether it turns images by large angles.
  """

  draw: Callable[[jax.Array, tuple[int, ...], jax.Array], types.PyTree]
  apply: Callable[[jax.Array, types.PyTree], jax.Array]
  of_colors: tuple[str, ...] = ()
  turns: bool = False


@functools.partial(jax.jit, static_argnames='policy')
def augment(
  policy: Policy, images: jax.Array, key: jax.Array, p: jax.Array
) -> jax.Array:
  """Images of any float type, augmented in float32.

  Jitted, so that the many uses of a step are traced once.
  """
  with jax.named_scope('augmentation'):
    numbers = policy.draw(key, images.shape, p)
    augmented = policy.apply(images.astype(jnp.float32), numbers)
    return augmented.astype(images.dtype)


def blur(images: jax.Array, sigma: jax.Array, taps: int) -> jax.Array:
  """`[B, H, W, C]` blurred by exp2(-(r / sigma)^2), zeros beyond the border.

  As in the code of Karras et al. 2021 (StyleGAN3), where D begins with such
  images of configuration R: a filter of floor(3 sigma) pixels on either side
  and of sum 1, along both axes.

  Args:
    images: of any float type.
    sigma: `[]`, in pixels; below 1/3 nothing is blurred.
    taps: floor(3 sigma) of the largest sigma there is.
  """

  def weights(distance: np.ndarray) -> jax.Array:
    near = np.abs(distance) <= jnp.floor(3 * sigma)
    # Where it is 0, only the middle is near.
    curve = jnp.exp2(-jnp.square(distance / jnp.maximum(sigma, 0.1)))
    return jnp.where(near, curve, 0.0)

  total = weights(np.arange(-taps, taps + 1, dtype=np.float32)).sum()
  x = images.astype(jnp.float32)
  with jax.named_scope('augmentation'):
    for axis in (1, 2):
      place = np.arange(x.shape[axis], dtype=np.float32)
      matrix = weights(place[:, None] - place[None]) / total
      x = jnp.moveaxis(
        jnp.tensordot(x, matrix, (axis, 1), precision='highest'), -1, axis
      )
  return x.astype(images.dtype)


def in_turn(policies: Sequence[Policy]) -> Policy:
  """One after another, each with a key of its own."""

  def draw(
    key: jax.Array, shape: tuple[int, ...], p: jax.Array
  ) -> tuple[types.PyTree, ...]:
    keys = jax.random.split(key, len(policies))
    return tuple(
      policy.draw(own, shape, p)
      for policy, own in zip(policies, keys, strict=True)
    )

  def apply(x: jax.Array, numbers: tuple[types.PyTree, ...]) -> jax.Array:
    for policy, own in zip(policies, numbers, strict=True):
      x = policy.apply(x, own)
    return x

  return Policy(
    draw,
    apply,
    tuple(n for p in policies for n in p.of_colors),
    any(p.turns for p in policies),
  )


def each(value: jax.Array, x: jax.Array) -> jax.Array:
  """A number of each sample, `[B]` to `[B, 1, ...]`, beside x `[B, ...]`."""
  return jnp.expand_dims(value, tuple(range(1, x.ndim)))


# DiffAugment.


class Color(NamedTuple):
  """Of each sample `[B]`: what is added, and two factors."""

  brightness: jax.Array
  saturation: jax.Array
  contrast: jax.Array


def _draw_color(key: jax.Array, shape: tuple[int, ...], p: jax.Array) -> Color:
  use, *drawn = jax.random.uniform(key, (4, shape[0]))
  ranges = (-0.5, 0.5, 0.0), (0.0, 2.0, 1.0), (0.5, 1.5, 1.0)
  return Color(*(
    jnp.where(use < p, a + (b - a) * u, off)
    for u, (a, b, off) in zip(drawn, ranges, strict=True)
  ))  # fmt: skip


def _apply_color(x: jax.Array, numbers: Color) -> jax.Array:
  def stretched(
    x: jax.Array, factor: jax.Array, axes: tuple[int, ...]
  ) -> jax.Array:
    mean = x.mean(axes, keepdims=True)
    return jnp.where(factor == 1, x, (x - mean) * factor + mean)

  brightness, saturation, contrast = (each(value, x) for value in numbers)
  x = jnp.where(brightness == 0, x, x + brightness)
  if x.shape[3] > 1:
    x = stretched(x, saturation, (3,))
  return stretched(x, contrast, (1, 2, 3))


def _draw_shift(
  key: jax.Array, shape: tuple[int, ...], p: jax.Array
) -> jax.Array:
  """Pixels down and to the right, `[B, 2]` int32."""
  use, *drawn = jax.random.uniform(key, (3, shape[0]))
  shifts = []
  for u, size in zip(drawn, shape[1:3], strict=True):
    most = int(size * 0.125 + 0.5)
    shift = (u * (2 * most + 1)).astype(jnp.int32) - most
    shifts.append(jnp.where(use < p, shift, 0))
  return jnp.stack(shifts, -1)


def shifted(x: jax.Array, shift: jax.Array) -> jax.Array:
  """Images moved by whole pixels `[B, 2]`, with zeros where nothing comes.

  Products with matrices of zeros and ones, which are exact.
  """
  rows, columns = (
    _is_from(shift[:, axis], size) for axis, size in enumerate(x.shape[1:3])
  )
  moved = warp.products(rows, columns, x)
  return jnp.where(each((shift != 0).any(1), x), moved, x)


def _is_from(shift: jax.Array, size: int) -> jax.Array:
  """Whether row i of the result is row j of the image, `[B, size, size]`."""
  i, j = np.arange(size)[:, None], np.arange(size)
  return ((i - j)[None] == shift[:, None, None]).astype(jnp.float32)


class Box(NamedTuple):
  """Of each sample: its middle `[B, 2]` in pixels, and whether it is there."""

  middle: jax.Array
  use: jax.Array


def _draw_box(key: jax.Array, shape: tuple[int, ...], p: jax.Array) -> Box:
  use, *drawn = jax.random.uniform(key, (3, shape[0]))
  middle = [
    (u * (size + 1 - int(size * 0.5 + 0.5) % 2)).astype(jnp.int32)
    for u, size in zip(drawn, shape[1:3], strict=True)
  ]
  return Box(jnp.stack(middle, -1), use < p)


def _apply_box(x: jax.Array, numbers: Box) -> jax.Array:
  inside = []
  for axis, size in enumerate(x.shape[1:3]):
    side = int(size * 0.5 + 0.5)
    start = numbers.middle[:, axis, None] - side // 2
    place = np.arange(size)[None]
    inside.append((place >= start) & (place < start + side))
  hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
  return jnp.where(hole & each(numbers.use, x), 0.0, x)


COLOR = Policy(_draw_color, _apply_color, ('saturation',))
TRANSLATION = Policy(_draw_shift, shifted)
CUTOUT = Policy(_draw_box, _apply_box)


# Adaptive pseudo augmentation.


def deceive(
  real: types.Batch, fake: types.Batch, key: jax.Array, p: jax.Array
) -> types.Batch:
  """Real samples of which each is a generated one with probability p.

  Adaptive pseudo augmentation (Jiang et al. 2021, section 3.2, "Deceive D"): D
  is to call them real. The fakes are those that the same update of D judges,
  each at the next one's place, so that no loss of pairs compares a sample with
  itself; the authors' code has those of G's last update in their place. A fake
  comes with the label that it was made for, where that code keeps the real
  sample's.

  Args:
    real: `[B, ...]`.
    fake: as many; data here, no gradient reaches what generated them.
    key: of the choice.
    p: `[]`; all samples are replaced from 1 on.
  """
  use = jax.random.uniform(key, (len(real.x),)) < p

  def mixed(x: jax.Array, other: jax.Array) -> jax.Array:
    other = jax.lax.stop_gradient(jnp.roll(other, 1, axis=0))
    return jnp.where(each(use, x), other, x)

  chosen: types.Batch = jax.tree.map(mixed, real, fake)
  return chosen


# A second view, for consistency terms.


def view(x: jax.Array, key: jax.Array) -> jax.Array:
  """Images mirrored half of the time and moved by up to 1/8, each axis alone.

  Reflected at their borders; the view of Zhang et al. 2020, "Consistency
  regularization for generative adversarial networks", section 3.2.
  """
  flip, *keys = jax.random.split(key, 3)
  mirror = each(jax.random.bernoulli(flip, 0.5, (len(x),)), x)
  x = jnp.where(mirror, x[:, :, ::-1], x)
  matrices = []
  for k, size in zip(keys, x.shape[1:3], strict=True):
    most = size // 8
    shift = jax.random.randint(k, (len(x),), -most, most + 1)
    i, j = np.arange(size)[:, None] + most, np.arange(size + 2 * most)
    here = ((i - j)[None] == shift[:, None, None]).astype(jnp.float32)
    matrices.append(here @ warp.reflected(size, most))
  rows, columns = matrices
  return warp.products(rows, columns, x.astype(jnp.float32)).astype(x.dtype)


# How strong: adaptively.


class Adaptive(NamedTuple):
  """Moves p so that D stays as sure of real samples as `target` says.

  Karras et al. 2020, section 3: every `interval` updates of D, p moves up where
  the heuristic r_t was above the target and down where it was below, at a speed
  that takes it from 0 to 1 in `speed` thousands of samples. As in the authors'
  code p is bounded below, by 0, and not above; Diffusion-GAN bounds it by 1.

  Attributes:
    overfit: what of D's logits on real samples `[B]` the mean r_t is of.
    interval: updates of D between two moves.
    most: the bound of p.
  """

  overfit: Callable[[jax.Array], jax.Array]
  interval: int
  most: float = math.inf


class Adapted(NamedTuple):
  """What adaptation remembers.

  Attributes:
    moved: `[]`, how far p is from the configuration's.
    total: `[]`, the sum of the r_t of the updates since the last move.
    updates: `[]` int32, how many those are.
  """

  moved: jax.Array
  total: jax.Array
  updates: jax.Array


def not_adapted() -> Adapted:
  """Before the first update."""
  return Adapted(jnp.zeros(()), jnp.zeros(()), jnp.int32(0))


def strength(adapted: Adapted, hyper: types.Hyper) -> jax.Array:
  """p `[]`, of the configuration's numbers and what adaptation made of it."""
  return jnp.maximum(hyper['augment.p'] + adapted.moved, 0)


def adapt(
  adaptive: Adaptive,
  adapted: Adapted,
  logits: jax.Array,
  samples: int,
  hyper: types.Hyper,
) -> Adapted:
  """The memory after an update.

  Args:
    adaptive: how.
    adapted: the memory before.
    logits: D's on real samples, `[B]`.
    samples: that they are of, `packing` times as many.
    hyper: of this step, whose 'augment.p' is p as it was used.
  """
  total = adapted.total + adaptive.overfit(logits).mean()
  updates = adapted.updates + 1
  due = updates >= adaptive.interval
  way = jnp.sign(total / updates - hyper['augment.target'])
  seen = samples * adaptive.interval / (1000 * hyper['augment.speed_kimg'])
  p = hyper['augment.p']
  moved = adapted.moved + jnp.clip(p + way * seen, 0, adaptive.most) - p
  return Adapted(
    moved=jnp.where(due, moved, adapted.moved),
    total=jnp.where(due, 0.0, total),
    updates=jnp.where(due, 0, updates),
  )
