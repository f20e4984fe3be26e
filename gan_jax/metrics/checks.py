"""What images must be before a metric is worth its name.

What the checks catch: NaN; pixels left in [0, 255], or scaled to [0, 1]: a set
none of whose pixels is below 0 (a whole set: a block could be bright by
chance); and values outside the range, as of a generator without tanh, which are
to be clipped on purpose and by all alike.

What they cannot: a set that was min-max scaled a batch or an image at a time.
Such images reach -1 and 1 exactly, but so does nearly every real MNIST image.
Nor do they see a wrong gamma, or channels in the wrong order.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Extent(NamedTuple):
  """The least and the largest pixel so far."""

  low: float = math.inf
  high: float = -math.inf


def init() -> Extent:
  """Of no images."""
  return Extent()


def update(
  extent: Extent, images: npt.ArrayLike, name: str = 'images'
) -> Extent:
  """With more images `[n, H, W, C]`.

  Raises:
    ValueError: they are not finite and in [-1, 1], naming what was found.
  """
  x = np.asarray(images)
  if x.ndim != 4 or not x.size:
    raise ValueError(
      f'{name} must have shape [N, H, W, C], got {list(x.shape)}'
    )
  if x.dtype.kind in 'iu':
    raise ValueError(
      f'{name} are {x.dtype}: they must be floating-point in [-1, 1] '
      '(x / 127.5 - 1)'
    )
  low, high = float(x.min()), float(x.max())
  if not np.isfinite([low, high]).all():
    raise ValueError(f'{name}: some pixels are not finite')
  if high > 2 and low >= 0:
    raise ValueError(
      f'{name} are in [{low:g}, {high:g}]: they seem left in [0, 255], and '
      'must be in [-1, 1] (x / 127.5 - 1)'
    )
  # What rounding may leave beyond the ends.
  if low < -1 - 1e-5 or high > 1 + 1e-5:
    raise ValueError(
      f'{name} are in [{low:g}, {high:g}]: they must be in [-1, 1]'
    )
  return Extent(min(extent.low, low), max(extent.high, high))


def result(extent: Extent, name: str = 'images') -> None:
  """Refuses a set none of whose pixels is below 0.

  Raises:
    ValueError: naming what was found.
  """
  if extent.low >= 0:
    raise ValueError(
      f'{name} are in [{extent.low:g}, {extent.high:g}], without a pixel below '
      '0: they seem scaled to [0, 1], and must be in [-1, 1] (2 x - 1)'
    )
