"""Resizers against Pillow itself, and TensorFlow's against its closed form."""

import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from gan_jax.evaluation import resizers

FILTERS = {
  'bilinear': PIL.Image.Resampling.BILINEAR,
  'bicubic': PIL.Image.Resampling.BICUBIC,
  'lanczos': PIL.Image.Resampling.LANCZOS,
}

# Larger, smaller, along one axis alone, by a whole factor, and to one pixel.
SIZES = [
  (9, 7, 24), (50, 33, 12), (24, 61, 24), (48, 48, 12), (5, 40, 1),
]  # fmt: skip


def pixels(height: int, width: int) -> np.ndarray:
  """Noise with black and white areas, where filters go beyond the ends."""
  rng = np.random.default_rng(height * width)
  x = rng.integers(0, 256, (2, height, width, 3)).astype(np.uint8)
  x[0] = np.where(x[0] < 128, 0, 255)
  return x


def ours(x: np.ndarray, side: int, name: str) -> np.ndarray:
  """In [0, 255]."""
  y = resizers.resize(jnp.asarray(x / 127.5 - 1), side, name)
  return (np.asarray(y, np.float64) + 1) * 127.5


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('name', FILTERS)
def test_eight_bits_are_pillows(name: str, size: tuple[int, int, int]):
  """Every pixel, for what Pillow rounds on the way is rounded here."""
  height, width, side = size
  x = pixels(height, width)
  found = ours(x, side, f'pillow_{name}')
  for image, y in zip(x, found, strict=True):
    theirs = PIL.Image.fromarray(image).resize((side, side), FILTERS[name])
    np.testing.assert_allclose(y, np.asarray(theirs), atol=1e-3)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize(
  ('name', 'kind'), [('clean', 'bicubic'), ('friendly', 'bilinear')]
)
def test_floats_are_pillows(name: str, kind: str, size: tuple[int, int, int]):
  """A channel at a time in its mode F, clipped, as clean-fid does."""
  height, width, side = size
  x = pixels(height, width)
  found = ours(x, side, name)
  for image, y in zip(x, found, strict=True):
    for channel in range(3):
      plane = PIL.Image.fromarray(image[..., channel].astype(np.float32))
      theirs = np.asarray(plane.resize((side, side), FILTERS[kind]))
      np.testing.assert_allclose(
        y[..., channel], theirs.clip(0, 255), atol=2e-4
      )
  assert (found % 1 > 0.01).any() or height == side == width


def test_lanczos_of_floats_is_pillows():
  x = np.random.default_rng(0).normal(size=(1, 40)).astype(np.float32)
  taps = resizers.antialiased('lanczos', 40, 13)
  theirs = PIL.Image.fromarray(x).resize((13, 1), FILTERS['lanczos'])
  found = (x[0][taps.pixel] * taps.weight).sum(1)
  np.testing.assert_allclose(found, np.asarray(theirs)[0], atol=1e-6)


def test_tensorflow_1_by_hand():
  """Pixel i is taken at i * old / new: corners meet, and edges repeat."""
  x = np.array([[0, 100], [40, 200]], np.uint8)[None, ..., None]
  row = np.array([[0, 50, 100, 100], [40, 120, 200, 200]])
  expected = np.array([row[0], (row[0] + row[1]) / 2, row[1], row[1]])
  found = ours(x, 4, 'legacy_tensorflow')
  np.testing.assert_allclose(found[0, ..., 2], expected, atol=1e-4)
  # Where it shrinks it looks at two pixels and leaves the others out.
  x = np.arange(12, dtype=np.uint8).reshape(1, 1, 12, 1).repeat(3, 1)
  found = ours(x, 3, 'legacy_tensorflow')
  np.testing.assert_allclose(found[0, 0, :, 0], [0, 4, 8], atol=1e-4)


@pytest.mark.parametrize('size', [(32, 17), (28, 28), (299, 299), (400, 330)])
def test_pytorch_by_its_formula(size: tuple[int, int]):
  """Half-pixel centres, edges repeated, and no smoothing when it shrinks."""
  pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3))
  x = (pixels / 127.5 - 1).astype(np.float32)
  y = x.astype(np.float64)
  for axis in (1, 2):
    n = y.shape[axis]
    at = np.clip((np.arange(299) + 0.5) * n / 299 - 0.5, 0, n - 1)
    low = np.floor(at).astype(int)
    share = (at - low).reshape(-1, 1, 1) if axis == 1 else (at - low)[:, None]
    high = np.minimum(low + 1, n - 1)
    y = y.take(low, axis) * (1 - share) + y.take(high, axis) * share
  found = resizers.resize(jnp.asarray(x), 299, 'legacy_pytorch')
  np.testing.assert_allclose(found, y, atol=1e-4)


def test_samples_are_rounded_as_a_file_would():
  x = jnp.full((1, 4, 4, 1), 100.3 / 127.5 - 1)
  for name in resizers.RESIZERS:
    for side in (4, 6):
      y = (np.asarray(resizers.resize(x, side, name)) + 1) * 127.5
      np.testing.assert_allclose(y, 100.0, atol=1e-3)


@pytest.mark.parametrize('name', resizers.RESIZERS)
def test_grey_becomes_colour(name: str):
  grey = jnp.linspace(-1, 1, 28 * 28).reshape(1, 28, 28, 1)
  found = resizers.resize(grey, 32, name)
  assert found.shape == (1, 32, 32, 3)
  np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_what_is_no_image_is_refused():
  grey = jnp.zeros((1, 28, 28))
  with pytest.raises(ValueError, match=r'1 or 3 channels, got \[1, 28, 28\]$'):
    resizers.resize(grey, 32, 'clean')
