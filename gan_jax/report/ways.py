"""Pictures of a walk: its samples, and D's logit along the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from gan_jax.data import source as sources
from gan_jax.report import plots

# Least width of a frame, and pixels an inch of its chart.
_WIDTH = 320
_DPI = 100
_HERE = (214, 39, 40)


def strip(
  images: np.ndarray, logits: np.ndarray | None, steps: int
) -> np.ndarray:
  """A row for each leg, from stop to stop, and the chart below.

  Args:
    images: `[L * steps + 1, H, W, C]` in [-1, 1].
    logits: of them, or None.
    steps: of each of the L legs.

  Returns:
    `[H', W', 1 or 3]` uint8.
  """
  legs = (len(images) - 1) // steps
  rows = [images[i * steps : (i + 1) * steps + 1] for i in range(legs)]
  grid = plots.image_grid(np.concatenate(rows), steps + 1)
  if logits is None:
    return grid
  chart, _ = _chart(logits, steps, grid.shape[1])
  return np.concatenate([_coloured(grid), chart])


def frames(
  images: np.ndarray, logits: np.ndarray | None, steps: int
) -> list[np.ndarray]:
  """One for each sample, magnified by whole repetition; arguments as above."""
  scale = -(-_WIDTH // images.shape[2])
  pictures = [
    image.repeat(scale, axis=0).repeat(scale, axis=1)
    for image in sources.to_bytes(images)
  ]
  if logits is None:
    return pictures
  chart, columns = _chart(logits, steps, pictures[0].shape[1])
  found = []
  for picture, column in zip(pictures, columns, strict=True):
    here = chart.copy()
    here[:, column - 1 : column + 1] = _HERE
    found.append(np.concatenate([_coloured(picture), here]))
  return found


def _coloured(picture: np.ndarray) -> np.ndarray:
  if picture.shape[-1] == 3:
    return picture
  return picture.repeat(3, axis=-1)


def _chart(
  logits: np.ndarray, steps: int, width: int
) -> tuple[np.ndarray, Sequence[int]]:
  """The logits as a line `[H, width, 3]`, and the pixel column of each."""
  pyplot = plots.pyplot()
  figure, axes = pyplot.subplots(
    figsize=(width / _DPI, 1.4), dpi=_DPI, layout='constrained'
  )
  axes.plot(np.arange(len(logits)) / steps, logits, lw=1.2)
  axes.axhline(0, color='0.7', lw=0.8, zorder=0)
  for stop in range((len(logits) - 1) // steps + 1):
    axes.axvline(stop, color='0.85', lw=0.8, zorder=0)
  axes.set_ylabel('D', fontsize=8)
  axes.tick_params(labelsize=7)
  axes.xaxis.get_major_locator().set_params(integer=True)
  figure.canvas.draw()
  picture = plots.pixels(figure)
  places: Any = axes.transData.transform(
    np.stack([np.arange(len(logits)) / steps, np.zeros(len(logits))], axis=1)
  )
  pyplot.close(figure)
  # A figure's width is rounded in its own way.
  resized = picture.resize((width, picture.height), PIL.Image.Resampling.BOX)
  columns = np.clip(places[:, 0].round().astype(int), 1, width - 1)
  return np.asarray(resized), columns.tolist()
