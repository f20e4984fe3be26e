"""Checkpoints are read without PyTorch, and without running what they hold."""

import os
import pathlib
import pickle
import zipfile
from typing import Any

import make_inception_fixture as fixture
import numpy as np
import pytest
from flax import traverse_util

from gan_jax import cache
from gan_jax.evaluation import weights

ZIP = fixture.PATH.with_name('checkpoint.pth')
LEGACY = fixture.PATH.with_name('checkpoint_legacy.pth')


@pytest.mark.parametrize('path', [ZIP, LEGACY], ids=['zip', 'legacy'])
def test_what_torch_has_saved(path: pathlib.Path):
  ours = weights.read_torch(path)
  expected = fixture.tensors()
  assert list(ours) == list(expected)
  for name, array in expected.items():
    assert ours[name].dtype == array.dtype
    np.testing.assert_array_equal(ours[name], array, strict=True)


class Evil:
  """Leaves a file behind wherever it is unpickled."""

  def __init__(self, path: pathlib.Path) -> None:
    self.path = path

  def __reduce__(self) -> Any:
    return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('is_zip', [True, False])
def test_nothing_in_a_checkpoint_is_run(tmp_path: pathlib.Path, is_zip: bool):
  path, mark = tmp_path / 'evil.pth', tmp_path / 'mark'
  content = pickle.dumps({'weight': Evil(mark)}, protocol=2)
  if is_zip:
    with zipfile.ZipFile(path, 'w') as archive:
      archive.writestr('evil/data.pkl', content)
  else:
    path.write_bytes(content)
  with pytest.raises(ValueError, match=r'not a readable .* asks for .*mkdir$'):
    weights.read_torch(path)
  assert not mark.exists()
  pickle.loads(content)  # As it would be otherwise.
  assert mark.exists()


def test_a_checkpoint_cannot_change_the_reader(tmp_path: pathlib.Path):
  """Pickles may set attributes of all that they are handed."""
  pickled = (
    b'\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN'
    b'}U\x05arrayccollections\nOrderedDict\ns\x86b.'
  )
  path = tmp_path / 'evil.pth'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('evil/data.pkl', pickled)
  with pytest.raises(ValueError, match='not a readable state_dict'):
    weights.read_torch(path)
  assert weights._Tensor.array.__name__ == 'array'


@pytest.mark.parametrize('path', [ZIP, LEGACY], ids=['zip', 'legacy'])
def test_damaged_checkpoints(tmp_path: pathlib.Path, path: pathlib.Path):
  """Cut anywhere, or with any byte turned, they raise one line or are read."""
  whole = path.read_bytes()
  rng = np.random.default_rng(0)
  for _ in range(300):
    broken = bytearray(whole)
    if rng.random() < 0.5:
      del broken[rng.integers(len(whole)) :]
    else:
      broken[rng.integers(len(whole))] ^= 1 << rng.integers(8)
    copy = tmp_path / 'broken.pth'
    copy.write_bytes(broken)
    line = ''
    try:
      weights.read_torch(copy)
    except ValueError as error:
      line = str(error)
    assert not line or f'{copy}: not a readable state_dict: ' in line
    assert '\n' not in line


def test_tensors_beyond_their_storage():
  storage = weights._Storage(np.dtype('<f4'), 6)
  storage.data = np.arange(6, dtype='<f4')
  inside = weights._Tensor(storage, 1, (2, 2), (3, 1)).array()
  np.testing.assert_array_equal(inside, [[1, 2], [4, 5]])
  for start, shape, strides in (
    (2, (2, 2), (3, 1)),
    (6, (1,), (1,)),
    (0, (2,), (6,)),
  ):
    with pytest.raises(ValueError, match='goes beyond its storage'):
      weights._Tensor(storage, start, shape, strides).array()
  for start, shape, strides in (
    (-1, (2,), (1,)),
    (5, (2,), (-1,)),
    (0, (2,), ()),
  ):
    with pytest.raises(ValueError, match='invalid shape or stride'):
      weights._Tensor(storage, start, shape, strides).array()


def test_save_and_load(tmp_path: pathlib.Path):
  tree = {
    'a': {'b': np.arange(6.0).reshape(2, 3).T, 'c': np.ones(2, np.float16)},
    'd': np.array(3),
  }
  path = tmp_path / 'new' / 'weights.safetensors'
  weights.save(path, tree, {'source': 'a test'})
  again, notes = weights.load(path)
  assert notes == {'source': 'a test'}
  assert list(path.parent.iterdir()) == [path]
  plain = tmp_path / 'plain'
  plain.touch()
  assert path.stat().st_mode == plain.stat().st_mode  # Others may read it.
  flat = traverse_util.flatten_dict(again, sep='/')
  expected = traverse_util.flatten_dict(tree, sep='/')
  assert flat.keys() == expected.keys() == {'a/b', 'a/c', 'd'}
  for name in flat:
    np.testing.assert_array_equal(flat[name], expected[name], strict=True)
  path.write_bytes(b'no weights')
  with pytest.raises(ValueError, match=r'safetensors: not readable weights: '):
    weights.load(path)


def test_where_weights_are_kept(monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setenv('XDG_CACHE_HOME', '/somewhere')
  assert cache.folder() == pathlib.Path('/somewhere/gan_jax')
  monkeypatch.delenv('XDG_CACHE_HOME')
  monkeypatch.setenv('HOME', '/home/of')
  assert cache.folder() == pathlib.Path('/home/of/.cache/gan_jax')


def test_sha256(tmp_path: pathlib.Path):
  path = tmp_path / 'abc'
  path.write_bytes(b'abc')
  # FIPS 180-2, appendix B.1.
  assert weights.sha256(path).startswith('ba7816bf8f01cfea414140de5dae2223')
