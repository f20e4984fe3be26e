"""Weights as safetensors."""

import pathlib

import numpy as np
import pytest
from flax import traverse_util

from gan_jax import cache
from gan_jax.storage import weights


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
