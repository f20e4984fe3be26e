"""TFDS without TensorFlow: by its own mock, and on the real MNIST images."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets

from gan_jax.config import fields as configs
from gan_jax.data import images
from gan_jax.engine import build

REAL = os.environ.get('TFDS_DATA_DIR', '')


def test_mocked_mnist(tmp_path: pathlib.Path):
  (tmp_path / 'mnist').mkdir()
  with tensorflow_datasets.testing.mock_data(num_examples=20):
    found = images.tfds('mnist', str(tmp_path), 'train', 0, 0, [])
    pixels, labels = found.fetch([0, 3])
  assert (found.total, found.shape) == (20, (28, 28, 1))
  assert pixels.shape == (2, 28, 28, 1)
  assert pixels.dtype == np.uint8
  assert labels is not None
  assert labels.dtype == np.int32
  assert len(found.class_names) == 10


def test_a_set_that_is_not_prepared(tmp_path: pathlib.Path):
  with pytest.raises(ValueError, match='tfds build cifar10'):
    images.tfds('cifar10', str(tmp_path), 'train', 0, 0, [])


def test_an_unknown_name(tmp_path: pathlib.Path):
  with pytest.raises(ValueError, match=r'normal, .*folder, or the name of any'):
    images.tfds('cifarr', str(tmp_path), 'train', 0, 0, ['normal', 'folder'])


@pytest.mark.skipif(
  not (pathlib.Path(REAL) / 'mnist').is_dir(),
  reason='TFDS_DATA_DIR holds no prepared mnist',
)
def test_real_mnist(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  config = configs.Config(batch_size=32)
  config.data = configs.Data(name='mnist', split='test[:500]', size=32)
  source = build.make_source(config, jax.random.key(0))
  assert source.info.shape == (32, 32, 1)
  assert source.info.num_examples == 500
  pixels, labels = source.chunk(0, 1)
  assert pixels.shape == (500, 32, 32, 1)
  assert np.bincount(labels, minlength=10).min() > 30
  assert 0.1 < float(jnp.mean(pixels)) / 255 < 0.2
  # Decoded once and kept by what the records hold; a broken file is nothing.
  kept = list((tmp_path / 'gan_jax').glob('images-*.npz'))
  assert len(kept) == 1
  monkeypatch.setattr(images, '_rendered', None)
  again = images.tfds('mnist', REAL, 'test[:500]', 32, 0, [])
  for ours, expected in zip(
    images.read_all(again), (pixels, labels), strict=True
  ):
    np.testing.assert_array_equal(ours, expected)
  monkeypatch.undo()
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  kept[0].write_bytes(kept[0].read_bytes()[:-1000])
  np.testing.assert_array_equal(images.read_all(again)[0], pixels)
  other = images.tfds('mnist', REAL, 'test[1:501]', 32, 0, [])
  np.testing.assert_array_equal(images.read_all(other)[0][:-1], pixels[1:])
  # What is streamed is read in pieces, of which none is kept.
  found = len(list((tmp_path / 'gan_jax').iterdir()))
  config.data.device_limit_gb, config.data.stack = 0.0, 3
  build.make_source(config, jax.random.key(0)).chunk(0, 100)
  assert len(list((tmp_path / 'gan_jax').iterdir())) == found == 2
  with pytest.raises(ValueError, match=r'data.split.*test'):
    images.tfds('mnist', REAL, 'validation', 0, 0, [])
