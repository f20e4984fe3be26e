"""Rotary positions of the pixels of an image (Su et al. 2021), in two axes.

Rows and columns are in [-1, 1], as DINOv3's code has them, so that the
positions of an image do not depend on its resolution.
"""

import jax
import jax.numpy as jnp
import numpy as np

_BASE = 100.0


def angles(height: int, width: int, channels: int) -> np.ndarray:
  """Of each pixel and channel of a head, `[H * W, D]` in radians.

  The first quarter of the channels turns by the row, with the periods
  100^(4 i / D), the second by the column, and the second half as the first.

  Args:
    height: H.
    width: W.
    channels: D, a multiple of 4.
  """
  quarter = channels // 4
  periods = _BASE ** (np.arange(quarter) / quarter)
  rows, columns = (
    2 * (np.arange(side) + 0.5) / side - 1 for side in (height, width)
  )
  places = np.stack(np.meshgrid(rows, columns, indexing='ij'), axis=-1)
  turned = 2 * np.pi * places.reshape(-1, 2, 1) / periods.reshape(1, 1, -1)
  return np.tile(turned.reshape(-1, 2 * quarter), 2).astype(np.float32)


def rotate(x: jax.Array, angles: np.ndarray) -> jax.Array:
  """Turns channels i and i + D / 2 of `[B, H * W, heads, D]` together.

  Args:
    x: of any dtype; it is turned in float32.
    angles: `[H * W, D]`.
  """
  angles = angles[None, :, None]
  half = x.shape[-1] // 2
  wide = x.astype(jnp.float32)
  beside = jnp.concatenate([-wide[..., half:], wide[..., :half]], axis=-1)
  return (wide * np.cos(angles) + beside * np.sin(angles)).astype(x.dtype)
