"""The digit classifier learns, is kept, and sees channels one by one."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import make_inception_fixture as fixture
import numpy as np
import pytest
import sklearn.datasets

from gan_jax.evaluation import features, inception, weights

CONFIG = features.DigitsConfig(
  epochs=10, batch_size=50, learning_rate=3e-3, shift=0, width=8, dropout=0.2
)


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """scikit-learn's digits, 1,500 to train on and 297 held out."""
  data = sklearn.datasets.load_digits()
  x = (data.images[..., None] / 8 - 1).astype(np.float32)
  return x[:1500], data.target[:1500], x[1500:], data.target[1500:]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='module')
def extractor(folder: pathlib.Path) -> features.Extractor:
  x, labels, _, _ = split()
  return features.digits(x, labels, CONFIG, cache=folder)


def test_digits_are_learned(extractor: features.Extractor):
  _, _, x, labels = split()
  seen = list(features.perceive(extractor, x, batch_size=100))
  assert [len(part.features) for part in seen] == [100, 100, 97]
  logits = np.concatenate([part.logits for part in seen])
  assert seen[0].features.shape == (100, CONFIG.features)
  assert (logits.argmax(axis=1) == labels).mean() > 0.9


def test_training_is_kept_and_repeatable(
  extractor: features.Extractor,
  folder: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):
  x, labels, _, _ = split()
  other = features.digits(x, labels, CONFIG, cache=tmp_path)
  assert other.sha256 == extractor.sha256
  (path,) = folder.iterdir()
  assert weights.sha256(path) == extractor.sha256
  assert '"epochs": 10' in weights.load(path)[1]['config']

  def fail(*_: object, **__: object) -> None:
    raise AssertionError('it was trained again')

  monkeypatch.setattr(features, '_train', fail)
  again = features.digits(x, labels, CONFIG, cache=folder)
  assert again.sha256 == extractor.sha256
  for images, config in (
    (x * 0.9, CONFIG),
    (x, dataclasses.replace(CONFIG, seed=1)),
  ):
    with pytest.raises(AssertionError, match='trained again'):
      features.digits(images, labels, config, cache=folder)


def test_channels_are_seen_one_by_one(extractor: features.Extractor):
  _, _, x, _ = split()
  stacked = np.concatenate([x[:4], x[4:8], x[8:12]], axis=-1)
  alone = [
    extractor.apply(extractor.params, jnp.asarray(x[i : i + 4]))
    for i in (0, 4, 8)
  ]
  seen = extractor.apply(extractor.params, jnp.asarray(stacked))
  assert seen.logits.shape == (4, 3, 10)
  np.testing.assert_allclose(
    seen.features, np.concatenate([a.features for a in alone], 1), atol=1e-5
  )
  np.testing.assert_allclose(
    seen.logits, np.stack([a.logits for a in alone], 1), atol=1e-5
  )


def test_perceiving_does_not_depend_on_the_batch(
  extractor: features.Extractor,
):
  """Nor on how the images come."""
  _, _, x, _ = split()
  whole = extractor.apply(extractor.params, jnp.asarray(x[:20]))
  parts = list(features.perceive(extractor, (x[:9], x[9:20]), batch_size=8))
  assert [len(part.logits) for part in parts] == [8, 1, 8, 3]
  np.testing.assert_allclose(
    np.concatenate([part.features for part in parts]),
    whole.features,
    atol=1e-5,
  )


def test_digits_that_do_not_fit(
  extractor: features.Extractor, tmp_path: pathlib.Path
):
  x, labels, _, _ = split()
  with pytest.raises(ValueError, match=r'got \[1500, 8, 8\] and \[1500\]$'):
    features.digits(x[..., 0], labels, CONFIG, cache=tmp_path)
  with pytest.raises(ValueError, match=r'^batch_size=50: .* only 49 digits$'):
    features.digits(x[:49], labels[:49], CONFIG, cache=tmp_path)
  with pytest.raises(ValueError, match=r'^images of 9 x 8: .* 8 x 8 alone$'):
    extractor.apply(extractor.params, jnp.zeros((1, 9, 8, 1)))


def test_images_move_by_the_shift_at_most():
  image = jnp.full((64, 5, 5, 1), -1.0).at[:, 2, 2].set(1.0)
  moved = np.asarray(features._moved(image, jax.random.key(0), 2))
  assert (moved.reshape(64, -1).sum(axis=1) == -23).all()
  _, rows, columns, _ = np.nonzero(moved == 1)
  assert {*rows} == {*columns} == {0, 1, 2, 3, 4}
  assert not (rows == columns).all()


def checkpoint() -> dict[str, np.ndarray]:
  with np.load(fixture.PATH) as file:
    lines = [line.split() for line in str(file['shapes']).splitlines()]
  return fixture.weights(
    {name: tuple(map(int, shape)) for name, *shape in lines}
  )


def test_inception_is_converted_once(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  path = tmp_path / 'gan_jax' / features.INCEPTION_FILE
  path.parent.mkdir()
  path.write_bytes(b'a checkpoint')
  arrays, reads = checkpoint(), []

  def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    reads.append(path)
    return arrays

  monkeypatch.setattr(weights, 'read_torch', read)
  first = features.inception()
  assert first.sha256 == weights.sha256(path)
  assert first[:2] == features.inception()[:2]
  assert reads == [path]
  seen = jax.eval_shape(first.apply, first.params, jnp.zeros((5, 32, 32, 1)))
  assert seen.features.shape == (5, 2048)
  assert seen.logits.shape == (5, 1008)
  # Other weights under the same name are converted anew.
  path.write_bytes(b'another')
  assert features.inception().sha256 == weights.sha256(path) != first.sha256
  assert reads == [path, path]
  # What they were converted to is enough, by either name.
  digest = weights.sha256(path)
  path.unlink()
  assert features.inception().sha256 == digest
  converted = path.with_suffix('.safetensors')
  again = features.inception(str(converted))
  assert again.sha256 == digest
  expected = weights.flatten(inception.convert(arrays))
  kept = weights.flatten(weights.load(converted)[0])
  assert kept.keys() == expected.keys()
  name = 'Mixed_7c/branch3x3_2b/kernel'
  np.testing.assert_array_equal(kept[name], expected[name])


def test_weights_of_unknown_origin(tmp_path: pathlib.Path):
  path = tmp_path / 'own.safetensors'
  weights.save(path, {'kernel': np.zeros(3)}, {})
  with pytest.raises(ValueError, match='does not say of which checkpoint'):
    features.inception(str(path))


def test_inception_that_is_not_there(tmp_path: pathlib.Path):
  path = tmp_path / 'none.pth'
  with pytest.raises(ValueError, match=r'none\.pth: there are no weights') as e:
    features.inception(str(path))
  assert features.INCEPTION_URL in str(e.value)
  assert '\n' not in str(e.value)
