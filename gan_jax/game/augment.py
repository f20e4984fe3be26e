"""Augmentations of what D sees: `Latent -> G -> Batch -> augment -> pack -> D`.

A `Policy` draws the numbers of each sample and applies them, apart. Each of its
transforms is applied to each sample with a probability that is the strength p
times its own; a sample that is not chosen comes out as it came in, to the last
bit. Every transform is affine in the images, so that any derivative of D
through it exists.

- DiffAugment (Zhao et al. 2020): `diffaugment` of `COLOR`, `TRANSLATION` and
  `CUTOUT`, with the numbers of its authors' code.
- ADA (Karras et al. 2020, "Training Generative Adversarial Networks with
  Limited Data", appendix B): `ada`, of the same order and strengths as its
  authors' code. All geometry is one affine map (`ops/warp.py`), all of colour
  one matrix.

Nothing here gathers: shifts and filters are small products, boxes and choices
are masks, and what `ops/warp.py` does on each platform it says.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

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
  """

  draw: Callable[[jax.Array, tuple[int, ...], jax.Array], types.PyTree]
  apply: Callable[[jax.Array, types.PyTree], jax.Array]


@functools.partial(jax.jit, static_argnames='policy')
def augment(
  policy: Policy, images: jax.Array, key: jax.Array, p: jax.Array
) -> jax.Array:
  """Images of any float type, augmented in float32.

  Jitted, so that the many uses of a step are traced once.
  """
  numbers = policy.draw(key, images.shape, p)
  augmented = policy.apply(images.astype(jnp.float32), numbers)
  return augmented.astype(images.dtype)


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

  return Policy(draw, apply)


def _each(value: jax.Array) -> jax.Array:
  """A number of each sample, beside images: `[B]` to `[B, 1, 1, 1]`."""
  return value[:, None, None, None]


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

  brightness, saturation, contrast = map(_each, numbers)
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
  return jnp.where(_each((shift != 0).any(1)), moved, x)


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
  return jnp.where(hole & _each(numbers.use), 0.0, x)


COLOR = Policy(_draw_color, _apply_color)
TRANSLATION = Policy(_draw_shift, shifted)
CUTOUT = Policy(_draw_box, _apply_box)


# A second view, for consistency terms.


def view(x: jax.Array, key: jax.Array) -> jax.Array:
  """Images mirrored half of the time and moved by up to 1/8, each axis alone.

  Reflected at their borders; the view of Zhang et al. 2020, "Consistency
  regularization for generative adversarial networks", section 3.2.
  """
  flip, *keys = jax.random.split(key, 3)
  mirror = _each(jax.random.bernoulli(flip, 0.5, (len(x),)))
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


# ADA.

_EYE = np.eye(3, dtype=np.float32)[None]


class Geometry(NamedTuple):
  """Of each sample, in the order in which an image undergoes them.

  None leaves a transform out.

  Attributes:
    flip: 1 mirrors left and right, `[B]`.
    turns: quarter turns, 0 to 3, `[B]`.
    shift: whole pixels to the right and down, `[B, 2]`.
    scale: of both axes, `[B]`.
    before: an angle, `[B]`.
    stretch: of the width, and of the height its inverse, `[B]`.
    after: another angle, `[B]`.
    move: parts of the width and of the height, `[B, 2]`.
  """

  flip: jax.Array | None = None
  turns: jax.Array | None = None
  shift: jax.Array | None = None
  scale: jax.Array | None = None
  before: jax.Array | None = None
  stretch: jax.Array | None = None
  after: jax.Array | None = None
  move: jax.Array | None = None


def _matrix(*rows: Sequence[jax.Array | float]) -> jax.Array:
  """`[B, 3, 3]`, of two rows or three of numbers `[B]` and constants."""
  rows = (*rows, (0.0, 0.0, 1.0))[:3]
  flat = jnp.broadcast_arrays(*(jnp.asarray(x) for row in rows for x in row))
  return jnp.stack(flat, -1).reshape(-1, 3, 3)


def _rotation(cos: jax.Array, sin: jax.Array) -> jax.Array:
  return _matrix((cos, -sin, 0.0), (sin, cos, 0.0))


def _after(first: Any, second: jax.Array) -> jax.Array:
  """The product `[B, 3, 3]`, written out: a product is slow where so small."""
  return (first[:, :, :, None] * second[:, None]).sum(2)


def inverse(numbers: Geometry, height: int, width: int) -> jax.Array:
  """From places in the result to those in the image, `[B, 3, 3]`."""
  steps = []
  if numbers.flip is not None:
    steps.append(_matrix((1 - 2 * numbers.flip, 0.0, 0.0), (0.0, 1.0, 0.0)))
  if numbers.turns is not None:
    # Exact cosines and sines of the multiples of a right angle.
    odd = numbers.turns % 2
    sign = jnp.where(numbers.turns < 2, 1.0, -1.0)
    steps.append(_rotation((1 - odd) * sign, odd * sign))
  if numbers.shift is not None:
    steps.append(_translation(*numbers.shift.T))
  if numbers.scale is not None:
    by = 1 / numbers.scale
    steps.append(_matrix((by, 0.0, 0.0), (0.0, by, 0.0)))
  if numbers.before is not None:
    steps.append(_rotation(jnp.cos(numbers.before), jnp.sin(numbers.before)))
  if numbers.stretch is not None:
    by = numbers.stretch
    steps.append(_matrix((1 / by, 0.0, 0.0), (0.0, by, 0.0)))
  if numbers.after is not None:
    steps.append(_rotation(jnp.cos(numbers.after), jnp.sin(numbers.after)))
  if numbers.move is not None:
    x, y = numbers.move.T
    steps.append(_translation(x * width, y * height))
  return functools.reduce(_after, steps)


def _translation(x: jax.Array, y: jax.Array) -> jax.Array:
  return _matrix((1.0, 0.0, -x), (0.0, 1.0, -y))


def apply_geometry(x: jax.Array, numbers: Geometry) -> jax.Array:
  """All of it at once, of those samples to which anything happens."""
  _, height, width, _ = x.shape
  of = inverse(numbers, height, width)
  angles = numbers.before is not None or numbers.after is not None
  apply = warp.affine if angles or height != width else warp.separable
  touched = (of != _EYE).any((1, 2))
  return jnp.where(_each(touched), apply(x, of), x)


class Tint(NamedTuple):
  """Of each sample `[B]`, in the order in which an image undergoes them.

  None leaves a transform out.

  Attributes:
    brightness: is added.
    contrast: a factor.
    luma_flip: 1 reflects colours about the plane across the grey axis.
    hue: the angle by which colours turn about that axis.
    saturation: a factor of their distance from it.
  """

  brightness: jax.Array | None = None
  contrast: jax.Array | None = None
  luma_flip: jax.Array | None = None
  hue: jax.Array | None = None
  saturation: jax.Array | None = None


# The projection onto the grey axis; and the cross product with it.
_GREY = np.full((1, 3, 3), 1 / 3, np.float32)
_AROUND = np.array(
  [[[0, -1, 1], [1, 0, -1], [-1, 1, 0]]], np.float32
) / np.sqrt(np.float32(3))


def _tint(numbers: Tint, n: int) -> tuple[jax.Array, jax.Array]:
  """Of each sample the matrix `[B, 3, 3]` and what is added after it `[B]`.

  What is added is grey, and stays so.
  """
  matrix, add = jnp.asarray(np.tile(_EYE, (n, 1, 1))), jnp.zeros((n,))

  def each(x: jax.Array) -> jax.Array:
    return x[:, None, None]

  if numbers.brightness is not None:
    add += numbers.brightness
  if numbers.contrast is not None:
    matrix, add = matrix * each(numbers.contrast), add * numbers.contrast
  if numbers.luma_flip is not None:
    flip = numbers.luma_flip
    matrix = _after(_EYE - 2 * each(flip) * _GREY, matrix)
    add *= 1 - 2 * flip
  if numbers.hue is not None:
    cos, sin = each(jnp.cos(numbers.hue)), each(jnp.sin(numbers.hue))
    turn = cos * (_EYE - _GREY) + sin * _AROUND + _GREY
    matrix = _after(turn, matrix)
  if numbers.saturation is not None:
    away = each(numbers.saturation) * (_EYE - _GREY)
    matrix = _after(away + _GREY, matrix)
  return matrix, add


def apply_tint(x: jax.Array, numbers: Tint) -> jax.Array:
  """Of images of 3 channels, or of 1, which become the mean of three alike."""
  matrix, add = _tint(numbers, len(x))
  if x.shape[3] == 1:
    matrix = matrix.sum((1, 2), keepdims=True) / 3
  # Written out: a product over three channels is slow.
  y = (x[..., None, :] * matrix[:, None, None]).sum(-1) + _each(add)
  touched = [
    own != off
    for own, off in (
      (numbers.brightness, 0.0), (numbers.contrast, 1.0),
      (numbers.luma_flip, 0.0), (numbers.hue, 0.0), (numbers.saturation, 1.0),
    )
    if own is not None
  ]  # fmt: skip
  return jnp.where(_each(jnp.stack(touched).any(0)), y, x)


# Expected powers of the bands of natural images.
_POWER = np.array([[10, 1, 1, 1]], np.float32) / 13
_SYM2 = np.array([
  -0.12940952255092145, 0.22414386804185735, 0.836516303737469,
  0.48296291314469025,
])  # fmt: skip


@functools.lru_cache
def _bands(size: int) -> np.ndarray:
  """A filter of each octave along reflected rows, `[4, size, size]`."""
  high = _SYM2 * (-1.0) ** np.arange(4)
  low = np.convolve(_SYM2, _SYM2[::-1]) / 2
  high = np.convolve(high, high[::-1]) / 2
  bank = np.eye(4, 1)
  for i in range(1, 4):
    wide = np.zeros((4, 2 * bank.shape[1] - 1))
    wide[:, ::2] = bank
    bank = np.stack([np.convolve(row, low) for row in wide])
    start = (bank.shape[1] - len(high)) // 2
    bank[i, start : start + len(high)] += high
  reach = bank.shape[1] // 2
  rows = warp.reflected(size, reach)
  return np.stack([
    sum(tap * rows[k : k + size] for k, tap in enumerate(band))
    for band in bank
  ]).astype(np.float32)  # fmt: skip


def apply_gains(x: jax.Array, gains: jax.Array) -> jax.Array:
  """Each of four octave bands amplified, and the power renormalised.

  Args:
    x: images.
    gains: of each sample and band, `[B, 4]`.
  """
  # Of the power after each gain alone.
  norm = jnp.sqrt(1 - _POWER + _POWER * jnp.square(gains))
  total = gains / norm.prod(1, keepdims=True)
  # `[B, size, size]`; a sum of four, not a product.
  rows, columns = (
    sum(
      total[:, i, None, None] * band[None]
      for i, band in enumerate(_bands(size))
    )
    for size in x.shape[1:3]
  )
  touched = (gains != 1).any(1)
  return jnp.where(_each(touched), warp.products(rows, columns, x), x)


class Hole(NamedTuple):
  """Of each sample: its side `[B]` and middle `[B, 2]` (x, y), in parts."""

  size: jax.Array
  middle: jax.Array


def apply_hole(x: jax.Array, numbers: Hole) -> jax.Array:
  inside = []
  for axis, length in ((1, x.shape[1]), (0, x.shape[2])):
    place = (np.arange(length, dtype=np.float32)[None] + 0.5) / length
    distance = jnp.abs(place - numbers.middle[:, axis, None])
    inside.append(distance < numbers.size[:, None] / 2)
  hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
  return jnp.where(hole, 0.0, x)


class Ada(NamedTuple):
  """The numbers of ADA's pipeline; None leaves a part out.

  Attributes:
    geometry: of `apply_geometry`.
    tint: of `apply_tint`.
    gains: of `apply_gains`.
    noise: is added, `[B, H, W, C]`.
    hole: of `apply_hole`.
  """

  geometry: Geometry | None = None
  tint: Tint | None = None
  gains: jax.Array | None = None
  noise: jax.Array | None = None
  hole: Hole | None = None


def apply_ada(x: jax.Array, numbers: Ada) -> jax.Array:
  """ADA's pipeline with given numbers."""
  if numbers.geometry is not None:
    x = apply_geometry(x, numbers.geometry)
  if numbers.tint is not None:
    x = apply_tint(x, numbers.tint)
  if numbers.gains is not None:
    x = apply_gains(x, numbers.gains)
  if numbers.noise is not None:
    x = jnp.where(numbers.noise == 0, x, x + numbers.noise)
  if numbers.hole is not None:
    x = apply_hole(x, numbers.hole)
  return x


# The parts of ADA's pipeline by the letters of its authors' code, and of each
# transform how much of p is its probability.
BLIT = {'flip': 1.0, 'turns': 1.0, 'shift': 1.0}
GEOMETRY = {'scale': 1.0, 'rotate': 1.0, 'stretch': 1.0, 'move': 1.0}
TINT = {
  'brightness': 1.0, 'contrast': 1.0, 'luma_flip': 1.0, 'hue': 1.0,
  'saturation': 1.0,
}  # fmt: skip
FILTER, NOISE, HOLE = {'filter': 1.0}, {'noise': 1.0}, {'hole': 1.0}
# R3GAN's (Huang et al. 2024), of its authors' code.
R3GAN = {**BLIT, **GEOMETRY, **dict.fromkeys(TINT, 0.5), **HOLE}


def ada(shares: Mapping[str, float]) -> Policy:
  """ADA's pipeline of some transforms.

  Args:
    shares: of those that there are, by the names above, how much of p is the
      probability of each.
  """
  return Policy(functools.partial(_draw_ada, shares), apply_ada)


# What each transform draws of each sample: uniform numbers that choose, uniform
# numbers and normal ones. All transforms draw together: compiling so many draws
# one by one takes many times as long.
_CHOICES = {
  'flip': 1, 'turns': 1, 'shift': 1, 'scale': 1, 'rotate': 2, 'stretch': 1,
  'move': 1, 'brightness': 1, 'contrast': 1, 'luma_flip': 1, 'hue': 1,
  'saturation': 1, 'filter': 4, 'noise': 1, 'hole': 1,
}  # fmt: skip
_UNIFORM = {
  'flip': 1, 'turns': 1, 'shift': 2, 'rotate': 2, 'luma_flip': 1, 'hue': 1,
  'hole': 2,
}  # fmt: skip
_NORMAL = {
  'scale': 1, 'stretch': 1, 'move': 2, 'brightness': 1, 'contrast': 1,
  'saturation': 1, 'filter': 4, 'noise': 1,
}  # fmt: skip

# Of each transform with one draw or two, its own: from the draw, uniform or
# normal, to its number; and the number that changes nothing. Those of 'shift'
# are multiplied by the sides and rounded.
_NUMBERS: dict[str, tuple[Callable[[jax.Array], jax.Array], float]] = {
  'flip': (lambda u: jnp.floor(2 * u), 0.0),
  'turns': (lambda u: jnp.floor(4 * u), 0.0),
  'shift': (lambda u: 0.125 * (2 * u - 1), 0.0),
  'scale': (lambda g: jnp.exp2(0.2 * g), 1.0),
  'rotate': (lambda u: jnp.pi * (2 * u - 1), 0.0),
  'stretch': (lambda g: jnp.exp2(0.2 * g), 1.0),
  'move': (lambda g: 0.125 * g, 0.0),
  'brightness': (lambda g: 0.2 * g, 0.0),
  'contrast': (lambda g: jnp.exp2(0.5 * g), 1.0),
  'luma_flip': (lambda u: jnp.floor(2 * u), 0.0),
  'hue': (lambda u: jnp.pi * (2 * u - 1), 0.0),
  'saturation': (jnp.exp2, 1.0),
  'filter': (jnp.exp2, 1.0),
  'noise': (lambda g: 0.1 * jnp.abs(g), 0.0),
}


def _columns(x: jax.Array, widths: Mapping[str, int]) -> dict[str, jax.Array]:
  """`[B, sum]` by name, `[B, width]` each."""
  ends = np.cumsum([*widths.values()])
  return dict(zip(widths, jnp.split(x, ends[:-1], axis=1), strict=True))


def _draw_ada(
  shares: Mapping[str, float],
  key: jax.Array,
  shape: tuple[int, ...],
  p: jax.Array,
) -> Ada:
  choice_key, uniform_key, normal_key, noise_key = jax.random.split(key, 4)
  n, height, width, channels = shape

  def columns(draw: Any, key: jax.Array, widths: Any) -> dict[str, jax.Array]:
    return _columns(draw(key, (n, sum(widths.values()))), widths)

  choices = columns(jax.random.uniform, choice_key, _CHOICES)
  drawn = columns(jax.random.uniform, uniform_key, _UNIFORM)
  drawn |= columns(jax.random.normal, normal_key, _NORMAL)
  own = {}
  for name, (number, off) in _NUMBERS.items():
    if name in shares and (channels > 1 or name not in ('hue', 'saturation')):
      share = shares[name] * p
      if name == 'rotate':
        # Of either angle, so that there is one or both with probability p.
        share = 1 - jnp.sqrt(jnp.clip(1 - share, 0, 1))
      value = jnp.where(choices[name] < share, number(drawn[name]), off)
      own[name] = value if value.shape[1] > 1 else value[:, 0]
  if 'shift' in own:
    sides = np.array([[width, height]], np.float32)
    own['shift'] = jnp.round(own['shift'] * sides)
  if 'rotate' in own:
    own['before'], own['after'] = own.pop('rotate').T

  def group(kind: Any) -> Any:
    there = {name: x for name, x in own.items() if name in kind._fields}
    return kind(**there) if there else None

  noise = hole = None
  if 'noise' in own:
    noise = jax.random.normal(noise_key, shape) * _each(own['noise'])
  if 'hole' in shares:
    use = choices['hole'][:, 0] < shares['hole'] * p
    hole = Hole(jnp.where(use, 0.5, 0.0), drawn['hole'])
  return Ada(group(Geometry), group(Tint), own.get('filter'), noise, hole)


# How strong: adaptively.


class Adaptive(NamedTuple):
  """Moves p so that D stays as sure of real samples as `target` says.

  Karras et al. 2020, section 3: every `interval` updates of D, p moves up where
  the heuristic r_t was above the target and down where it was below, at a speed
  that takes it from 0 to 1 in `speed` thousands of samples. As in the authors'
  code p is bounded below, by 0, and not above.

  Attributes:
    overfit: what of D's logits on real samples `[B]` the mean r_t is of.
    interval: updates of D between two moves.
  """

  overfit: Callable[[jax.Array], jax.Array]
  interval: int


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
  moved = adapted.moved + jnp.maximum(p + way * seen, 0) - p
  return Adapted(
    moved=jnp.where(due, moved, adapted.moved),
    total=jnp.where(due, 0.0, total),
    updates=jnp.where(due, 0, updates),
  )
