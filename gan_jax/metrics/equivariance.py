"""How well images move with what they are made of (Karras et al. 2021,
"Alias-Free Generative Adversarial Networks", appendix E).

A generator is equivariant where transforming its input gives the transformed
image. The figures are peak signal-to-noise ratios in dB of the one against the
other, over pixels that both have: EQ-T of whole pixels, EQ-T_frac of any shift
and EQ-R of any angle. All images of a block have one transform, as in the
authors' code. Greater is better; images span 2.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Pixels on either side of a Lanczos filter, and half of the image's side that
# a shift may be, in shares.
_REACH = 3
MOST_SHIFT = 0.125
# Samples a pixel of an image that is to be turned.
_UP = 4


class Sums(NamedTuple):
  """Over the pixels and channels of all images that both have.

  Attributes:
    squares: of their differences.
    compared: how many numbers they are of.
  """

  squares: float = 0.0
  compared: float = 0.0


Array = jax.Array | np.ndarray

# An image, and where it can be compared, 0 or 1, `[H, W]`.
Masked = tuple[jax.Array, jax.Array]


def difference(a: Masked, b: Masked) -> tuple[jax.Array, jax.Array]:
  """Squares and counts of a block, where both have pixels.

  Args:
    a: `[B, H, W, C]` and `[H, W]`.
    b: the same.
  """
  mask = a[1] * b[1]
  squares = jnp.square(a[0] - b[0]) * mask[None, :, :, None]
  return squares.sum(), mask.sum() * (squares.size / mask.size)


def update(sums: Sums, squares: float, compared: float) -> Sums:
  """With a block more."""
  return Sums(sums.squares + squares, sums.compared + compared)


def result(sums: Sums) -> float:
  """In dB; infinite where nothing differs, and NaN without a pixel."""
  if not sums.compared:
    return math.nan
  if not sums.squares:
    return math.inf
  return 10 * math.log10(4 * sums.compared / sums.squares)


def whole(x: jax.Array) -> Masked:
  """An image all of whose pixels can be compared."""
  return x, jnp.ones(x.shape[1:3])


def translated(
  x: jax.Array, shift: jax.Array, *, fractional: bool = False
) -> Masked:
  """Moved to the right and down (appendix E.1 and E.2).

  Args:
    x: `[B, H, W, C]`.
    shift: `[2]`, in pixels.
    fractional: by a Lanczos filter, whose pixels must all be of the image;
      otherwise shifts are whole.
  """
  masks = []
  for axis, t in ((2, shift[0]), (1, shift[1])):
    size = x.shape[axis]
    matrix, mask = _along(size, t, _REACH if fractional else 0)
    x = jnp.moveaxis(
      jnp.tensordot(x, matrix, (axis, 1), precision='highest'), -1, axis
    )
    masks.append(mask)
  return x, masks[1][:, None] * masks[0][None]


def _along(size: int, t: jax.Array, reach: int) -> tuple[jax.Array, jax.Array]:
  """The shift by t as a matrix `[size, size]`, and the pixels it gives."""
  below = jnp.floor(t)
  place = jnp.arange(size, dtype=jnp.float32)
  # From the pixel that is read, less the whole part: -reach + 1 to reach.
  ahead = place[:, None] - place[None] - below
  after, before = (reach, reach - 1) if reach else (0, 0)
  window = (ahead >= -before) & (ahead <= after)
  mask = (place >= below + after) & (place < size + below - before)
  if not reach:
    return window.astype(jnp.float32), mask.astype(jnp.float32)

  def weights(ahead: jax.Array) -> jax.Array:
    x = ahead - (t - below)
    return jnp.sinc(x) * jnp.sinc(x / reach)

  total = weights(jnp.arange(-before, after + 1)).sum()
  matrix = jnp.where(window, weights(ahead) / total, 0.0)
  return matrix, mask.astype(jnp.float32)


def rotation(angle: jax.Array) -> jax.Array:
  """`[2, 2]`, of x to the right and y down: counterclockwise to the eye."""
  c, s = jnp.cos(angle), jnp.sin(angle)
  return jnp.stack([jnp.stack([c, s]), jnp.stack([-s, c])])


# Pixels on either side of a filter, while it is transformed.
_HALF = 64


def _grid(up: int) -> tuple[np.ndarray, np.ndarray]:
  """Places x and y of a filter's samples `[T, T]`, in pixels; 0 is first."""
  count = 2 * _HALF * up - 1
  place = np.roll((np.arange(count) + 1) / up - _HALF, 1 - _HALF * up)
  y, x = np.meshgrid(place, place, indexing='ij')
  return x.astype(np.float32), y.astype(np.float32)


def _sincs(x: Array, y: Array) -> jax.Array:
  return jnp.sinc(x) * jnp.sinc(y)


def _windows(x: Array, y: Array) -> jax.Array:
  near = (jnp.abs(x) < _REACH) & (jnp.abs(y) < _REACH)
  return jnp.where(near, _sincs(x / _REACH, y / _REACH), 0.0)


@functools.cache
def _transforms(up: int) -> tuple[np.ndarray, np.ndarray]:
  """Those of an image's own filter and window, `[T, T]` complex."""
  with jax.ensure_compile_time_eval():
    sincs, windows = (
      np.fft.fft2(f(*_grid(up))).astype(np.complex64)
      for f in (_sincs, _windows)
    )
  return sincs, windows


def _bandlimit(matrix: jax.Array, up: int) -> jax.Array:
  """The filter of an image that a matrix is to turn (appendix E.3).

  What passes both the square of frequencies of the image and that of the turned
  one: the convolution of two sincs, times that of two windows.

  Args:
    matrix: `[2, 2]`.
    up: samples a pixel.

  Returns:
    `[T, T]` with T = 4 _REACH up - 1, of sum 1.
  """
  x, y = jnp.einsum('oi,ihw->ohw', matrix, jnp.stack(_grid(up)))
  table, window = (
    jnp.fft.ifft2(own * jnp.fft.fft2(f(x, y))).real
    for own, f in zip(_transforms(up), (_sincs, _windows), strict=True)
  )
  table *= window
  most = 2 * _REACH
  cut = slice((_HALF - most) * up, (most - _HALF) * up)
  table = jnp.roll(table, (_HALF * up - 1,) * 2, (0, 1))[cut, cut]
  # Each of the images that a rate `up` times as high consists of keeps means.
  table = jnp.pad(table, ((0, 1), (0, 1))).reshape(2 * most, up, 2 * most, up)
  table /= table.sum(axis=(0, 2), keepdims=True) * up**2
  return table.reshape(2 * most * up, -1)[:-1, :-1]


def _filtered(
  x: jax.Array, taps: jax.Array, up: int, padding: tuple[int, int]
) -> jax.Array:
  """Every channel convolved by `[T, T]`, after zeros between pixels."""
  # Channels as images of their own: XLA is slow at groups on a CPU.
  batch, *_, channels = x.shape
  y = jax.lax.conv_general_dilated(
    x.transpose(0, 3, 1, 2).reshape(batch * channels, 1, *x.shape[1:3]),
    jnp.flip(taps)[None, None] * up**2,
    (1, 1),
    [padding, padding],
    lhs_dilation=(up, up),
    precision='highest',
  )
  return y.reshape(batch, channels, *y.shape[2:]).transpose(0, 2, 3, 1)


def rotated(x: jax.Array, angle: jax.Array) -> Masked:
  """Turned about its middle, of `[B, H, H, C]` (appendix E.3).

  Args:
    x: images.
    angle: `[]`, in radians, counterclockwise.
  """
  side, turn = x.shape[1], rotation(angle)
  taps = _bandlimit(turn, _UP)
  edge = len(taps) // 2
  before = 2 * edge + _UP // 2
  wide = _filtered(x, taps, _UP, (before, before - 1))
  middle = (jnp.arange(side) + 0.5) - side / 2
  y, x_place = jnp.meshgrid(middle, middle, indexing='ij')
  # Where the pixels come from.
  source = jnp.einsum('io,ihw->ohw', turn, jnp.stack([x_place, y]))
  column, row = _UP * source + _UP * side / 2 + edge
  look = jax.vmap(
    lambda image, order: jax.scipy.ndimage.map_coordinates(
      image, [row, column], order, mode='constant'
    ),
    (2, None),
    2,
  )
  turned = jax.vmap(lambda image: look(image, 1))(wide)
  inner = wide.shape[1] - 2 * (2 * edge + 1)
  mask = jnp.pad(jnp.ones((max(inner, 0),) * 2), 2 * edge + 1)
  return turned, look(mask[:, :, None], 0)[:, :, 0]


def pseudo_rotated(x: jax.Array, angle: jax.Array) -> Masked:
  """Filtered as if it had been turned, and left as it is (appendix E.3)."""
  taps = _bandlimit(rotation(-angle), 1)
  edge = len(taps) // 2
  y = _filtered(x, taps, 1, (edge, edge))
  inner = jnp.ones((max(x.shape[1] - 2 * edge, 0),) * 2)
  return y, jnp.pad(inner, edge)[: x.shape[1], : x.shape[2]]
