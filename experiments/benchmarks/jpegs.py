"""Images for benchmarks, the same at each call."""

import pathlib

import numpy as np
import PIL.Image


def write(folder: pathlib.Path, images: int, side: int) -> None:
  """JPEGs of coarse shapes and a little noise, about as long as photographs."""
  rng = np.random.default_rng(0)
  for i in range(images):
    coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
    image = PIL.Image.fromarray(coarse).resize((side, side))
    noise = rng.integers(-12, 13, (side, side, 3))
    pixels = (np.asarray(image) + noise).clip(0, 255).astype(np.uint8)
    path = folder / f'class{i % 10}' / f'{i:06d}.jpg'
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path, quality=85)
