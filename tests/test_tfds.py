"""TFDS without TensorFlow: by its own mock, and on the real MNIST images."""

import os
import pathlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets

from gan_jax.config import fields as configs
from gan_jax.data import images, opening, pixels, prepared
from gan_jax.engine import build, program

REAL = os.environ.get('TFDS_DATA_DIR', '')


def opened(
  name: str, directory: str, split: str, size: int = 0, known=()
) -> images.ImageSet:
  form = pixels.Form(size, 0)
  return prepared.open_tfds(name, directory, split, form, known)


def test_mocked_mnist(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setattr(prepared, '_key', lambda *_: '')  # It has no records.
  (tmp_path / 'mnist').mkdir()
  with tensorflow_datasets.testing.mock_data(num_examples=20):
    found = opened('mnist', str(tmp_path), 'train')
    x, labels = found.fetch([0, 3])
  assert (found.total, found.shape) == (20, (28, 28, 1))
  assert x.shape == (2, 28, 28, 1)
  assert x.dtype == np.uint8
  assert labels is not None
  assert labels.dtype == np.int32
  assert len(found.class_names) == 10
  assert found.notes == ()
  with tensorflow_datasets.testing.mock_data(num_examples=20):
    larger = opened('mnist', str(tmp_path), 'train', 32)
  assert larger.notes == ('resized from 28x28',)


@pytest.mark.parametrize(
  ('a', 'b', 'expected'),
  [
    ('train', 'train[90%:]', True),
    ('train[:90%]', 'train[90%:]', False),
    ('train[:15]', 'train[14:]+test', True),
    ('train[:15]', 'train[15:]', False),
    ('train', 'test', False),
    ('train+test[:1]', 'test', True),
  ],
)
def test_slices_that_share_examples(
  a: str, b: str, expected: bool, monkeypatch: pytest.MonkeyPatch
):
  sizes = tensorflow_datasets.core.splits.SplitDict([
    tensorflow_datasets.core.SplitInfo(
      name=name, shard_lengths=lengths, num_bytes=0
    )
    for name, lengths in (('train', [12, 8]), ('test', [5]))
  ])  # fmt: skip
  # The mocked sets have no sizes.
  info = types.SimpleNamespace(splits=sizes)
  source = types.SimpleNamespace(dataset_info=info)
  monkeypatch.setattr(prepared, '_open', lambda *_: source)
  for split, held_out in ((a, b), (b, a)):
    data = configs.Data(name='mnist', split=split)
    assert opening.overlap(data, held_out) == expected


def test_a_set_that_is_not_prepared(tmp_path: pathlib.Path):
  with pytest.raises(ValueError, match='tfds build cifar10'):
    opened('cifar10', str(tmp_path), 'train')
  (tmp_path / 'cats').mkdir()
  (tmp_path / 'cats' / 'a.PNG').write_bytes(b'')
  with pytest.raises(
    ValueError, match=r'has images and no set of TFDS; data.n'
  ):
    opened('cifar10', str(tmp_path), 'train')


def test_an_unknown_name(tmp_path: pathlib.Path):
  with pytest.raises(ValueError, match=r'normal, .*folder, or the name of any'):
    opened('cifarr', str(tmp_path), 'train', known=['normal', 'folder'])


@pytest.mark.skipif(
  not (pathlib.Path(REAL) / 'mnist').is_dir(),
  reason='TFDS_DATA_DIR holds no prepared mnist',
)
def test_real_mnist(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  config = configs.Config(batch_size=32)
  config.data = configs.Data(name='mnist', split='test[:500]', size=30)
  config.gen.name = config.disc.name = 'r3gan'
  with pytest.raises(ValueError, match='30'):
    program.open_game(config)
  assert not [*tmp_path.rglob('images-*.npy')]
  config.data.size = 32
  source = build.make_source(config, jax.random.key(0))
  assert source.info.shape == (32, 32, 1)
  assert source.info.num_examples == 500
  x, labels = source.chunk(0, 1)
  assert x.shape == (500, 32 * 32)
  x = x.reshape(500, 32, 32, 1)
  counts = np.bincount(labels, minlength=10)
  assert counts.min() > 30
  said = '500 images 32x32x1, 10 classes (0 {}, 1 {}, 2 {}, 3 {}, ...), {}'
  assert source.about == said.format(*counts[:4], 'resized from 28x28')
  assert 0.1 < float(jnp.mean(x)) / 255 < 0.2
  # Decoded once and kept by what the records hold; a broken file is nothing.
  (kept,) = (tmp_path / 'gan_jax').glob('images-*.npy')
  read, rows = prepared._read, []
  monkeypatch.setattr(
    prepared, '_read', lambda *args: rows.extend(args[-1]) or read(*args)
  )
  again = opened('mnist', REAL, 'test[:500]', 32)
  for ours, expected in zip(images.read_all(again), (x, labels), strict=True):
    np.testing.assert_array_equal(ours, expected)
  assert rows == [0]
  kept.write_bytes(kept.read_bytes()[:-1000])
  again = opened('mnist', REAL, 'test[:500]', 32)
  np.testing.assert_array_equal(images.read_all(again)[0], x)
  other = opened('mnist', REAL, 'test[1:501]', 32)
  np.testing.assert_array_equal(images.read_all(other)[0][:-1], x[1:])
  # What is streamed comes from there too, with the same fingerprint.
  rows.clear()
  config.data.device_limit_gb, config.data.stack = 0.0, 3
  streamed = build.make_source(config, jax.random.key(0))
  streamed.chunk(0, 100)
  assert rows == [0]
  assert streamed.info.fingerprint == source.info.fingerprint
  with pytest.raises(ValueError, match=r"data.split='validation'.*cannot read"):
    opened('mnist', REAL, 'validation')
