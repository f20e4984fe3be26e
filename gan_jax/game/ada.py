"""ADA's pipeline of augmentations.

Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data", appendix B, in the order and of the strengths of its authors' code. All
geometry is one affine map (`ops/warp.py`), all of colour one matrix.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.game import augment
from gan_jax.ops import warp

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
  transform = warp.affine if angles or height != width else warp.separable
  touched = (of != _EYE).any((1, 2))
  return jnp.where(augment.each(touched, x), transform(x, of), x)


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

  def square(x: jax.Array) -> jax.Array:
    return x[:, None, None]

  if numbers.brightness is not None:
    add += numbers.brightness
  if numbers.contrast is not None:
    matrix, add = matrix * square(numbers.contrast), add * numbers.contrast
  if numbers.luma_flip is not None:
    flip = numbers.luma_flip
    matrix = _after(_EYE - 2 * square(flip) * _GREY, matrix)
    add *= 1 - 2 * flip
  if numbers.hue is not None:
    cos, sin = square(jnp.cos(numbers.hue)), square(jnp.sin(numbers.hue))
    turn = cos * (_EYE - _GREY) + sin * _AROUND + _GREY
    matrix = _after(turn, matrix)
  if numbers.saturation is not None:
    away = square(numbers.saturation) * (_EYE - _GREY)
    matrix = _after(away + _GREY, matrix)
  return matrix, add


def apply_tint(x: jax.Array, numbers: Tint) -> jax.Array:
  """Of images of 3 channels, or of 1, which become the mean of three alike."""
  matrix, add = _tint(numbers, len(x))
  if x.shape[3] == 1:
    matrix = matrix.sum((1, 2), keepdims=True) / 3
  # Written out: a product over three channels is slow.
  y = (x[..., None, :] * matrix[:, None, None]).sum(-1) + augment.each(add, x)
  touched = [
    own != off
    for own, off in (
      (numbers.brightness, 0.0), (numbers.contrast, 1.0),
      (numbers.luma_flip, 0.0), (numbers.hue, 0.0), (numbers.saturation, 1.0),
    )
    if own is not None
  ]  # fmt: skip
  return jnp.where(augment.each(jnp.stack(touched).any(0), x), y, x)


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
  return jnp.where(augment.each(touched, x), warp.products(rows, columns, x), x)


class Hole(NamedTuple):
  """Of each sample: its side `[B]` and middle `[B, 2]` (x, y), in parts."""

  size: jax.Array
  middle: jax.Array


def apply_hole(x: jax.Array, numbers: Hole) -> jax.Array:
  """Images `[N, H, W, C]`, 0 where they are cut out."""
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


def apply(x: jax.Array, numbers: Ada) -> jax.Array:
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


_OF_COLORS = 'hue', 'saturation'


def policy(shares: Mapping[str, float]) -> augment.Policy:
  """ADA's pipeline of some transforms.

  Args:
    shares: of those that there are, by the names above, how much of p is the
      probability of each.
  """
  of_colors = tuple(name for name in _OF_COLORS if name in shares)
  turns = bool({'turns', 'rotate'} & {*shares})
  draw = functools.partial(_draw, shares)
  return augment.Policy(draw, apply, of_colors, turns)


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


def _draw(
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
    if name in shares and (channels > 1 or name not in _OF_COLORS):
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
    noise = jax.random.normal(noise_key, shape)
    noise *= augment.each(own['noise'], noise)
  if 'hole' in shares:
    use = choices['hole'][:, 0] < shares['hole'] * p
    hole = Hole(jnp.where(use, 0.5, 0.0), drawn['hole'])
  return Ada(group(Geometry), group(Tint), own.get('filter'), noise, hole)
