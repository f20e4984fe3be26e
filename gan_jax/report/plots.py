"""Matplotlib, animations, and grids of images."""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from gan_jax.data import source as sources


def pyplot() -> Any:
  """Matplotlib, whose import takes longer than many a short run."""
  import matplotlib

  matplotlib.use('agg')  # Before pyplot: no window, ever.
  from matplotlib import pyplot

  return pyplot


def pixels(figure: Any) -> PIL.Image.Image:
  """A figure as it stands on its canvas."""
  picture = PIL.Image.fromarray(np.asarray(figure.canvas.buffer_rgba()))
  return picture.convert('RGB')


def save_figure(path: pathlib.Path, figure: Any) -> None:
  """Writes a figure as a png, drawn once where `savefig` does so twice."""
  figure.canvas.draw()
  pixels(figure).save(path)
  pyplot().close(figure)


def save_gif(path: pathlib.Path, pictures: Sequence[PIL.Image.Image]) -> None:
  """Pictures of one size, ten a second and three seconds for the last."""
  save_animation(path, pictures, [100] * (len(pictures) - 1) + [3000])


def save_animation(
  path: pathlib.Path,
  pictures: Sequence[PIL.Image.Image],
  durations: int | Sequence[int],
  **options: Any,
) -> None:
  """Pictures of one size in turn, again and again.

  Args:
    path: of a format of Pillow.
    pictures: those.
    durations: of each, or of all, in milliseconds.
    **options: of the format.
  """
  pictures[0].save(
    path,
    save_all=True,
    append_images=pictures[1:],
    duration=durations,
    loop=0,
    **options,
  )


def image_grid(images: np.ndarray, columns: int) -> np.ndarray:
  """Tiles images, two pixels apart.

  Args:
    images: `[N, H, W, C]` in [-1, 1]; values beyond are clipped.
    columns: of the grid; the last row may be short.

  Returns:
    `[H', W', C]` uint8, at least 512 pixels wide by whole repetition.
  """
  count, height, width, channels = images.shape
  rows = -(-count // columns)
  tiles = np.full(
    (rows * columns, height + 2, width + 2, channels), 255, 'uint8'
  )
  tiles[:count, :height, :width] = sources.to_bytes(images)
  grid = tiles.reshape(rows, columns, height + 2, width + 2, channels)
  grid = grid.transpose(0, 2, 1, 3, 4).reshape(
    rows * (height + 2), columns * (width + 2), channels
  )[:-2, :-2]
  scale = -(-512 // grid.shape[1])
  return grid.repeat(scale, axis=0).repeat(scale, axis=1)


def png(image: np.ndarray) -> bytes:
  """`[H, W, 1 or 3]` uint8, encoded.

  Quickly: in a fourth of the usual time, and an eighth larger.
  """
  file = io.BytesIO()
  PIL.Image.fromarray(image.squeeze()).save(file, 'png', compress_level=1)
  return file.getvalue()
