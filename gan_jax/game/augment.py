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
  """

  draw: Callable[[jax.Array, tuple[int, ...], jax.Array], types.PyTree]
  apply: Callable[[jax.Array, types.PyTree], jax.Array]


def augment(
  policy: Policy, images: jax.Array, key: jax.Array, p: jax.Array
) -> jax.Array:
  """Images of any float type, augmented in float32."""
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


def _chosen(key: jax.Array, n: int, p: jax.Array | float) -> jax.Array:
  """Whether each of n samples is, `[n]`; all are at p = 1 and above."""
  return jax.random.uniform(key, (n,)) < p


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
  chosen, *keys = jax.random.split(key, 4)
  use = _chosen(chosen, shape[0], p)
  ranges = (-0.5, 0.5, 0.0), (0.0, 2.0, 1.0), (0.5, 1.5, 1.0)
  return Color(*(
    jnp.where(use, jax.random.uniform(k, (shape[0],), minval=a, maxval=b), off)
    for k, (a, b, off) in zip(keys, ranges, strict=True)
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
  chosen, *keys = jax.random.split(key, 3)
  use = _chosen(chosen, shape[0], p)
  shifts = []
  for k, size in zip(keys, shape[1:3], strict=True):
    most = int(size * 0.125 + 0.5)
    shift = jax.random.randint(k, (shape[0],), -most, most + 1)
    shifts.append(jnp.where(use, shift, 0))
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
  i, j = jnp.arange(size)[:, None], jnp.arange(size)
  return (i - j == shift[:, None, None]).astype(jnp.float32)


class Box(NamedTuple):
  """Of each sample: its middle `[B, 2]` in pixels, and whether it is there."""

  middle: jax.Array
  use: jax.Array


def _draw_box(key: jax.Array, shape: tuple[int, ...], p: jax.Array) -> Box:
  chosen, *keys = jax.random.split(key, 3)
  middle = [
    jax.random.randint(k, (shape[0],), 0, size + 1 - int(size * 0.5 + 0.5) % 2)
    for k, size in zip(keys, shape[1:3], strict=True)
  ]
  return Box(jnp.stack(middle, -1), _chosen(chosen, shape[0], p))


def _apply_box(x: jax.Array, numbers: Box) -> jax.Array:
  inside = []
  for axis, size in enumerate(x.shape[1:3]):
    side = int(size * 0.5 + 0.5)
    start = numbers.middle[:, axis, None] - side // 2
    place = jnp.arange(size)
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
    i = jnp.arange(size)[:, None] - shift[:, None, None] + most
    from_ = (i == jnp.arange(size + 2 * most)).astype(jnp.float32)
    matrices.append(from_ @ warp.reflected(size, most))
  rows, columns = matrices
  return warp.products(rows, columns, x.astype(jnp.float32)).astype(x.dtype)


# ADA.


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


def _after(first: jax.Array, second: jax.Array) -> jax.Array:
  """`[B, 3, 3]`, written out: of so small matrices a product is slow."""
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
  touched = (of != jnp.eye(3)).any((1, 2))
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
_GREY = np.full((3, 3), 1 / 3, np.float32)
_AROUND = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32) / np.sqrt(
  np.float32(3)
)


def _tint(numbers: Tint, n: int) -> tuple[jax.Array, jax.Array]:
  """Of each sample the matrix `[B, 3, 3]` and what is added after it `[B]`.

  What is added is grey, and stays so.
  """
  matrix, add = jnp.broadcast_to(jnp.eye(3), (n, 3, 3)), jnp.zeros((n,))

  def each(x: jax.Array) -> jax.Array:
    return x[:, None, None]

  if numbers.brightness is not None:
    add += numbers.brightness
  if numbers.contrast is not None:
    matrix, add = matrix * each(numbers.contrast), add * numbers.contrast
  if numbers.luma_flip is not None:
    flip = numbers.luma_flip
    matrix = _after(jnp.eye(3) - 2 * each(flip) * _GREY, matrix)
    add *= 1 - 2 * flip
  if numbers.hue is not None:
    cos, sin = each(jnp.cos(numbers.hue)), each(jnp.sin(numbers.hue))
    turn = cos * (jnp.eye(3) - _GREY) + sin * _AROUND + _GREY
    matrix = _after(turn, matrix)
  if numbers.saturation is not None:
    away = each(numbers.saturation) * (jnp.eye(3) - _GREY)
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
_POWER = np.array([10, 1, 1, 1], np.float32) / 13
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
    sum(total[:, i, None, None] * band for i, band in enumerate(_bands(size)))
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
    place = (jnp.arange(length) + 0.5) / length
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


# A key of each transform, in this order, so that its draws do not depend on
# which others there are; new ones are added at the end.
_NAMES = (*BLIT, *GEOMETRY, *TINT, *FILTER, *NOISE, *HOLE)


class _Draws:
  """Draws the numbers of ADA's transforms."""

  def __init__(
    self, shares: Mapping[str, float], key: jax.Array, n: int, p: jax.Array
  ):
    self.shares, self.n, self.p = shares, n, p
    keys = jax.random.split(key, len(_NAMES))
    self.keys = dict(zip(_NAMES, keys, strict=True))

  def key(self, name: str, use: int) -> jax.Array:
    return jax.random.fold_in(self.keys[name], use)

  def choose(
    self, name: str, off: float, value: jax.Array, p: jax.Array | None = None
  ) -> jax.Array:
    """`value` `[B, ...]` where a sample is chosen, and `off` elsewhere."""
    p = self.shares[name] * self.p if p is None else p
    use = _chosen(self.key(name, 0), self.n, p)
    return jnp.where(use.reshape(-1, *(1,) * (value.ndim - 1)), value, off)

  def uniform(self, name: str, *shape: int) -> jax.Array:
    return jax.random.uniform(self.key(name, 1), (self.n, *shape))

  def normal(self, name: str, *shape: int) -> jax.Array:
    return jax.random.normal(self.key(name, 1), (self.n, *shape))


def _draw_ada(
  shares: Mapping[str, float],
  key: jax.Array,
  shape: tuple[int, ...],
  p: jax.Array,
) -> Ada:
  n, h, w, c = shape
  draws = _Draws(shares, key, n, p)
  geometry = _draw_geometry(draws, h, w)
  tint = _draw_tint(draws, c)
  gains = noise = hole = None
  if 'filter' in shares:
    use = jax.random.uniform(draws.key('filter', 0), (n, 4))
    gains = jnp.where(
      use < shares['filter'] * p, jnp.exp2(draws.normal('filter', 4)), 1.0
    )
  if 'noise' in shares:
    sigma = draws.choose('noise', 0.0, 0.1 * jnp.abs(draws.normal('noise')))
    noise = jax.random.normal(draws.key('noise', 2), shape) * _each(sigma)
  if 'hole' in shares:
    size = draws.choose('hole', 0.0, jnp.full((n,), 0.5))
    hole = Hole(size, draws.uniform('hole', 2))
  return Ada(geometry, tint, gains, noise, hole)


def _draw_geometry(draws: _Draws, height: int, width: int) -> Geometry | None:
  own: dict[str, jax.Array] = {}
  sides = np.array([width, height], np.float32)
  for name, made, off in (
    ('flip', lambda: jnp.floor(2 * draws.uniform('flip')), 0.0),
    ('turns', lambda: jnp.floor(4 * draws.uniform('turns')), 0.0),
    (
      'shift',
      lambda: jnp.round((draws.uniform('shift', 2) * 2 - 1) * 0.125 * sides),
      0.0,
    ),
    ('scale', lambda: jnp.exp2(0.2 * draws.normal('scale')), 1.0),
    ('stretch', lambda: jnp.exp2(0.2 * draws.normal('stretch')), 1.0),
    ('move', lambda: 0.125 * draws.normal('move', 2), 0.0),
  ):
    if name in draws.shares:
      own[name] = draws.choose(name, off, made())
  if 'rotate' in draws.shares:
    # Of either angle, so that there is one or both with probability p.
    rest = jnp.clip(1 - draws.shares['rotate'] * draws.p, 0, 1)
    use = jax.random.uniform(draws.key('rotate', 0), (draws.n, 2))
    angles = jnp.pi * (draws.uniform('rotate', 2) * 2 - 1)
    angles = jnp.where(use < 1 - jnp.sqrt(rest), angles, 0.0)
    own['before'], own['after'] = angles.T
  return Geometry(**own) if own else None


def _draw_tint(draws: _Draws, channels: int) -> Tint | None:
  own: dict[str, jax.Array] = {}
  for name, made, off in (
    ('brightness', lambda: 0.2 * draws.normal('brightness'), 0.0),
    ('contrast', lambda: jnp.exp2(0.5 * draws.normal('contrast')), 1.0),
    ('luma_flip', lambda: jnp.floor(2 * draws.uniform('luma_flip')), 0.0),
    ('hue', lambda: jnp.pi * (draws.uniform('hue') * 2 - 1), 0.0),
    ('saturation', lambda: jnp.exp2(draws.normal('saturation')), 1.0),
  ):
    colours = name in ('hue', 'saturation')
    if name in draws.shares and (channels > 1 or not colours):
      own[name] = draws.choose(name, off, made())
  return Tint(**own) if own else None


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
