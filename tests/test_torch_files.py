"""Checkpoints are read without PyTorch, and without running what they hold."""

import gzip
import os
import pathlib
import pickle
import zipfile
from typing import Any

import make_inception_fixture as fixture
import make_snapshot_fixture as snapshots
import numpy as np
import pytest

from gan_jax.storage import torch_files

ZIP = fixture.PATH.with_name('checkpoint.pth')
LEGACY = fixture.PATH.with_name('checkpoint_legacy.pth')
WITHIN = fixture.PATH.with_name('checkpoint_within.pth')


@pytest.mark.parametrize(
  'path', [ZIP, LEGACY, WITHIN], ids=['zip', 'legacy', 'within']
)
def test_what_torch_has_saved(path: pathlib.Path):
  ours = torch_files.read_state_dict(path)
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
    torch_files.read_state_dict(path)
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
    torch_files.read_state_dict(path)
  assert torch_files._Tensor.array.__name__ == 'array'


SNAPSHOT = snapshots.path('stylegan3', 'pkl.gz')
READERS = {
  'zip': (ZIP.read_bytes(), torch_files.read_state_dict, 'state_dict'),
  'legacy': (LEGACY.read_bytes(), torch_files.read_state_dict, 'state_dict'),
  'snapshot': (
    gzip.decompress(SNAPSHOT.read_bytes()),
    torch_files.read_snapshot,
    'snapshot',
  ),
}


@pytest.mark.parametrize('kind', READERS)
def test_damaged_checkpoints(tmp_path: pathlib.Path, kind: str):
  """Cut anywhere, or with any byte turned, they raise one line or are read."""
  whole, read, what = READERS[kind]
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
      read(copy)
    except ValueError as error:
      line = str(error)
    assert not line or f'{copy}: not a readable {what}: ' in line
    assert '\n' not in line


def test_tensors_beyond_their_storage():
  storage = torch_files._Storage(np.dtype('<f4'), 6)
  storage.data = np.arange(6, dtype='<f4')
  inside = torch_files._Tensor(storage, 1, (2, 2), (3, 1)).array()
  np.testing.assert_array_equal(inside, [[1, 2], [4, 5]])
  for start, shape, strides in (
    (2, (2, 2), (3, 1)),
    (6, (1,), (1,)),
    (0, (2,), (6,)),
    (0, (2**40,), (0,)),
  ):
    with pytest.raises(ValueError, match='goes beyond its storage'):
      torch_files._Tensor(storage, start, shape, strides).array()
  for start, shape, strides in (
    (-1, (2,), (1,)),
    (5, (2,), (-1,)),
    (0, (2,), ()),
  ):
    with pytest.raises(ValueError, match='invalid shape or stride'):
      torch_files._Tensor(storage, start, shape, strides).array()


def test_nothing_in_a_snapshot_is_run(tmp_path: pathlib.Path):
  """What it asks for is not done, and is left out."""
  path, mark = tmp_path / 'evil.pkl', tmp_path / 'mark'
  content = pickle.dumps({'G': Evil(mark)}, protocol=4)
  path.write_bytes(content)
  assert torch_files.read_snapshot(path) == {}
  assert not mark.exists()
  pickle.loads(content)  # As it would be otherwise.
  assert mark.exists()


def test_a_snapshot_of_another_code(tmp_path: pathlib.Path):
  path = tmp_path / 'other.pkl'
  for content, reason in (
    ((1, 2, 3), "of TensorFlow's code; .*legacy.py converts it"),
    (7, "'int' object has no attribute 'items'"),
  ):
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(
      ValueError, match=f'not a readable snapshot: .*{reason}'
    ):
      torch_files.read_snapshot(path)
  with pytest.raises(
    ValueError, match=r'missing\.pkl: not a readable snapshot'
  ):
    torch_files.read_snapshot(tmp_path / 'missing.pkl')


def test_a_snapshot_cannot_change_the_reader(tmp_path: pathlib.Path):
  """Nor ask for the same module again and again."""
  pickled = (
    b'\x80\x02cdnnlib.util\nEasyDict\nN}U\x05itemsc__main__\nother\ns\x86b.'
  )
  path = tmp_path / 'evil.pkl'
  path.write_bytes(pickled)
  for _ in range(2):
    with pytest.raises(ValueError, match=r'evil\.pkl: not a readable snapshot'):
      torch_files.read_snapshot(path)
  whole = gzip.decompress(SNAPSHOT.read_bytes())
  fine = tmp_path / 'fine.pkl'
  fine.write_bytes(whole)
  assert {*torch_files.read_snapshot(fine)} == {'G', 'D', 'G_ema'}


def test_a_module_that_is_there_twice():
  leaf = torch_files._Inert()
  leaf.held = {'_parameters': {}, '_buffers': {}, '_modules': {}}
  root = torch_files._Inert()
  root.held = leaf.held | {'_modules': {'a': leaf, 'b': leaf}}
  with pytest.raises(ValueError, match='a module is in a network twice'):
    torch_files._saved(root)
