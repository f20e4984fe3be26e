"""How images are brought to what a fixed network takes, by name.

The resizer changes a Frechet distance more than many a method does (Parmar et
al. 2022, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation"), so
it has a name, and the stamp of a figure says it. All work on the device, one
axis after the other, as a sum over the few pixels that a new one depends on.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Of each number of an image, to which all resizers round first, as a file does.
BITS = 8
# After the point of Pillow's weights for such pixels.
_BITS = 22


class Taps(NamedTuple):
  """What each pixel of a resized axis is a sum of.

  Attributes:
    pixel: `[new, taps]` int32, of pixels of the old axis.
    weight: `[new, taps]` float64.
  """

  pixel: np.ndarray
  weight: np.ndarray


class Resizer(NamedTuple):
  """What a name stands for.

  Attributes:
    taps: `taps(old, new)` of one axis.
    rounds: to 8 bits after each axis, by Pillow's integer arithmetic.
  """

  taps: Callable[[int, int], Taps]
  rounds: bool = False


class Colours(NamedTuple):
  """Of the images that a network was trained on, red, green and blue in [0, 1].

  Attributes:
    mean: which the network takes as 0.
    std: their deviation, which it takes as 1.
  """

  mean: tuple[float, float, float]
  std: tuple[float, float, float]


IMAGENET = Colours((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _triangle(x: np.ndarray) -> np.ndarray:
  return np.maximum(1 - np.abs(x), 0)


def _cubic(x: np.ndarray) -> np.ndarray:
  """Keys's, with a = -1/2."""
  x = np.abs(x)
  near = (1.5 * x - 2.5) * x**2 + 1
  far = ((-0.5 * x + 2.5) * x - 4) * x + 2
  return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x: np.ndarray) -> np.ndarray:
  """Of three lobes."""
  return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


# Pillow's filters and how far they reach.
_FILTERS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
  'bilinear': (_triangle, 1),
  'bicubic': (_cubic, 2),
  'lanczos': (_lanczos, 3),
}


def antialiased(name: str, old: int, new: int) -> Taps:
  """Pillow's: a filter that is widened where an axis shrinks.

  Args:
    name: 'bilinear', 'bicubic' or 'lanczos'.
    old: pixels of the axis.
    new: pixels it gets.
  """
  apply, reach = _FILTERS[name]
  scale = old / new
  wide = max(scale, 1.0)
  centre = (np.arange(new) + 0.5) * scale
  # Truncated, not rounded down, as C does.
  first = np.maximum((centre - reach * wide + 0.5).astype(int), 0)
  last = np.minimum((centre + reach * wide + 0.5).astype(int), old)
  index = first[:, None] + np.arange(2 * math.ceil(reach * wide) + 1)
  weight = apply((index - centre[:, None] + 0.5) / wide)
  weight = np.where(index < last[:, None], weight, 0)
  weight /= weight.sum(axis=1, keepdims=True)
  return _trimmed(np.minimum(index, old - 1), weight)


def _linear(at: np.ndarray, old: int) -> Taps:
  """Between two neighbours, without antialiasing; edges are repeated."""
  at = np.clip(at, 0, old - 1)
  low = np.floor(at).astype(int)
  share = at - low
  index = np.stack([low, np.minimum(low + 1, old - 1)], axis=1)
  return _trimmed(index, np.stack([1 - share, share], axis=1))


def _trimmed(index: np.ndarray, weight: np.ndarray) -> Taps:
  """Without taps that no pixel uses."""
  used = weight.any(axis=0)
  return Taps(index[:, used].astype(np.int32), weight[:, used])


def half_pixel(old: int, new: int) -> Taps:
  """PyTorch's interpolate: bilinear, no antialiasing, half-pixel centres."""
  return _linear((np.arange(new) + 0.5) * (old / new) - 0.5, old)


def corner(old: int, new: int) -> Taps:
  """TensorFlow 1's resize_bilinear: pixel i is taken at i * old / new."""
  return _linear(np.arange(new) * (old / new), old)


def _pillow(name: str, *, rounds: bool) -> Resizer:
  return Resizer(functools.partial(antialiased, name), rounds)


RESIZERS: dict[str, Resizer] = {
  # pytorch-fid.
  'legacy_pytorch': Resizer(half_pixel),
  # The first FID (Heusel et al. 2017), and StyleGAN's.
  'legacy_tensorflow': Resizer(corner),
  # clean-fid: of floats, by Pillow.
  'clean': _pillow('bicubic', rounds=False),
  # StudioGAN's "friendly" one for Inception's weights of 2015.
  'friendly': _pillow('bilinear', rounds=False),
  # Pillow's own, as of an image that is opened, resized and seen.
  'pillow_bilinear': _pillow('bilinear', rounds=True),
  'pillow_bicubic': _pillow('bicubic', rounds=True),
  'pillow_lanczos': _pillow('lanczos', rounds=True),
}


def _along(x: jax.Array, axis: int, taps: Taps, rounds: bool) -> jax.Array:
  """One axis of floats, or of int32 in [0, 255] where it rounds."""
  weight = taps.weight
  if rounds:
    # Pillow rounds halves away from 0.
    scaled = weight * 2**_BITS
    weight = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int32)
  shape = [1] * x.ndim
  shape[axis] = len(weight)
  total: jax.Array | None = None
  for index, each in zip(taps.pixel.T, weight.T, strict=True):
    part = jnp.take(x, index, axis) * jnp.asarray(each, x.dtype).reshape(shape)
    total = part if total is None else total + part
  assert total is not None
  if rounds:
    return ((total + 2 ** (_BITS - 1)) >> _BITS).clip(0, 255)
  return total


def resize(images: jax.Array, side: int, name: str) -> jax.Array:
  """Images as a network takes them.

  Args:
    images: `[N, H, W, C]` in [-1, 1]; C is 3, or 1, which becomes 3 alike.
    side: of the square that they become.
    name: of `RESIZERS`.

  Returns:
    `[N, side, side, 3]` float32 in [-1, 1], of images that are rounded to 8
    bits first, as a file has them. Nothing is smoothed along an axis whose
    length stays.

  Raises:
    ValueError: the images have another shape.
  """
  if images.ndim != 4 or images.shape[-1] not in (1, 3):
    raise ValueError(
      'images must have shape [N, H, W, C] with 1 or 3 channels, got '
      f'{list(images.shape)}'
    )
  resizer = RESIZERS[name]
  x = images.astype(jnp.float32)
  x = jnp.round(jnp.clip(x * 127.5 + 127.5, 0, 255))
  if resizer.rounds:
    x = x.astype(jnp.int32)
  for axis in (2, 1):  # Rows first, as Pillow does.
    if x.shape[axis] != side:
      taps = resizer.taps(x.shape[axis], side)
      x = _along(x, axis, taps, resizer.rounds)
  # Filters with negative weights go beyond the ends.
  x = x.astype(jnp.float32).clip(0, 255) / 127.5 - 1
  return jnp.broadcast_to(x, (*x.shape[:3], 3))


def standardised(x: jax.Array, colours: Colours) -> jax.Array:
  """Images `[N, H, W, 3]` in [-1, 1] as a network of those colours has them."""
  mean, std = (jnp.array(c).reshape(1, 1, 1, 3) for c in colours)
  return ((x + 1) / 2 - mean) / std
