"""MNIST's own files against what TFDS makes of the same images."""

import gzip
import os
import pathlib
import struct

import numpy as np
import pytest

from gan_jax.config import fields as configs
from gan_jax.data import images, opening

REAL = os.environ.get('TFDS_DATA_DIR', '')
RNG = np.random.default_rng(0)
ARRAYS = {
  name: (RNG.integers(0, 256, (total, 28, 28)), RNG.integers(0, 10, total))
  for name, total in (('train', 50), ('t10k', 7))
}


def packed(array: np.ndarray) -> bytes:
  """By the published form: 0x08 is bytes; then the axes and their sizes."""
  head = struct.pack(f'>{1 + array.ndim}i', 0x800 + array.ndim, *array.shape)
  return head + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
  """One part packed, the other unpacked."""
  for name, (x, y) in ARRAYS.items():
    for file, array in ((f'{name}-images-idx3', x), (f'{name}-labels-idx1', y)):
      path = tmp_path / f'{file}-ubyte'
      if name == 'train':
        path = path.with_name(f'{path.name}.gz')
        path.write_bytes(gzip.compress(packed(array)))
      else:
        path.write_bytes(packed(array))
  return tmp_path


def opened(
  folder: pathlib.Path, split: str, name: str = 'mnist', size: int = 0
) -> images.ImageSet:
  data = configs.Data(name=name, dir=str(folder), size=size)
  return opening.open_images(data, split)


def test_slices_in_their_order(folder: pathlib.Path):
  found = opened(folder, 'train[40:]+test')
  assert (found.total, found.shape) == (17, (28, 28, 1))
  x, y = images.read_all(found)
  (train, digits), (test, others) = ARRAYS['train'], ARRAYS['t10k']
  np.testing.assert_array_equal(x[..., 0], np.concatenate([train[40:], test]))
  assert y is not None
  np.testing.assert_array_equal(y, np.concatenate([digits[40:], others]))
  assert found.class_names == tuple('0123456789')
  larger = opened(folder, 'train', 'fashion_mnist', 32)
  assert larger.shape == (32, 32, 1)
  assert larger.notes == ('resized from 28x28',)
  assert larger.class_names[9] == 'Ankle boot'
  # What else is in the folder is not looked at.
  known = opened(folder, 'train').key
  (folder / 'notes').symlink_to(folder / 'nowhere')
  assert opened(folder, 'train').key == known
  data = configs.Data(name='mnist', dir=str(folder), split='train[:40]')
  assert not opening.overlap(data, 'train[40:]')
  assert opening.overlap(data, 'train[39:]')


def test_what_is_wrong_is_told(folder: pathlib.Path):
  with pytest.raises(ValueError, match=r"data.split='val': Unknown split"):
    opened(folder, 'val')
  with pytest.raises(ValueError, match=r"'train\[:0\]': has no images"):
    opened(folder, 'train[:0]')
  path = folder / 't10k-labels-idx1-ubyte'
  whole = path.read_bytes()
  path.write_bytes(whole[:-2])
  with pytest.raises(ValueError, match='has 5 values where its head says 7'):
    opened(folder, 'train')
  path.write_bytes((folder / 't10k-images-idx3-ubyte').read_bytes())
  with pytest.raises(ValueError, match='is no file of MNIST with 1 axes'):
    opened(folder, 'train')
  path.write_bytes(packed(np.full(7, 10)))
  with pytest.raises(ValueError, match='a label is 10, of 10 classes'):
    opened(folder, 'train+test')
  path.write_bytes(packed(np.zeros(6)))
  with pytest.raises(ValueError, match='test has 7 images and 6 labels'):
    opened(folder, 'train')
  path.unlink()
  with pytest.raises(
    ValueError, match=r'there is no t10k-labels-idx1-ubyte.gz'
  ):
    opened(folder, 'train')
  path = folder / 'train-images-idx3-ubyte.gz'
  whole = path.read_bytes()
  for damaged in (whole[:100], whole[:40] + bytes(40) + whole[80:]):
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r'ubyte.gz: cannot be read \('):
      opened(folder, 'train')
  path.write_bytes(gzip.compress(b'abc'))
  with pytest.raises(ValueError, match=r'ubyte.gz: is no file of MNIST'):
    opened(folder, 'train')
  path.unlink()
  with pytest.raises(ValueError, match='or the folder of train-images-idx3'):
    opened(folder, 'train')


@pytest.mark.skipif(not REAL, reason='needs TFDS_DATA_DIR with MNIST')
def test_the_same_images_by_tfds(tmp_path: pathlib.Path):
  data = configs.Data(name='mnist', dir=REAL)
  theirs = {
    name: images.read_all(opening.open_images(data, split))
    for name, split in (('train', 'train[:300]'), ('t10k', 'test[:50]'))
  }
  for name, (x, y) in theirs.items():
    assert y is not None
    (tmp_path / f'{name}-images-idx3-ubyte').write_bytes(packed(x[..., 0]))
    (tmp_path / f'{name}-labels-idx1-ubyte').write_bytes(packed(y))
  ours = opened(tmp_path, 'train')
  known = opening.open_images(data, 'train[:300]')
  assert images.facts(ours).fingerprint == images.facts(known).fingerprint
