"""The classifier learns, is kept, and says how good it is."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import make_inception_fixture as fixture
import numpy as np
import pytest
import sklearn.datasets
from flax import traverse_util

from gan_jax.evaluation import classifier, features, inception, pretrained
from gan_jax.storage import torch_files, weights

CONFIG = classifier.Config(
  epochs=10, batch_size=50, learning_rate=3e-3, shift=0, width=8, dropout=0.2
)


def digits() -> tuple[np.ndarray, np.ndarray]:
  """scikit-learn's, uint8."""
  data = sklearn.datasets.load_digits()
  x = (data.images[..., None] * 255 / 16).round().astype(np.uint8)
  return x, data.target


def in_range(x: np.ndarray) -> np.ndarray:
  return (x / 127.5 - 1).astype(np.float32)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='module')
def extractor(folder: pathlib.Path) -> features.Extractor:
  return features.classifier(*digits(), 10, CONFIG, cache=folder)


def test_digits_are_learned(extractor: features.Extractor):
  """The accuracy is of images that were not trained on."""
  x, labels = digits()
  held_out = np.random.default_rng(0).permutation(1797)[:179]
  seen = list(
    features.extract(extractor, in_range(x[held_out]), batch_size=100)
  )
  assert [len(part.features) for part in seen] == [100, 79]
  assert seen[0].features.shape == (100, CONFIG.features)
  logits = np.concatenate([part.logits for part in seen])
  right = (logits.argmax(axis=1) == labels[held_out]).mean()
  assert right > 0.9
  assert extractor.facts['features_accuracy'] == right
  assert extractor.facts['features_trained_on'] == 1797 - 179
  assert extractor.facts['features_held_out'].startswith('179: a tenth')


def test_the_held_out_tenth_is_not_trained_on(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  x, labels = digits()
  given = []

  def train(images: np.ndarray, *args: object, **kwargs: object) -> None:
    given.append(images)
    raise RuntimeError

  monkeypatch.setattr(classifier, 'train', train)
  with pytest.raises(RuntimeError):
    features.classifier(x, labels, 10, CONFIG, cache=tmp_path)
  rest = np.random.default_rng(0).permutation(1797)[179:]
  np.testing.assert_array_equal(given[0], x[rest])


def test_training_is_kept_and_repeatable(
  extractor: features.Extractor,
  folder: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):
  x, labels = digits()
  other = features.classifier(x, labels, 10, CONFIG, cache=tmp_path)
  assert other.sha256 == extractor.sha256
  (path,) = folder.iterdir()
  assert weights.sha256(path) == extractor.sha256
  assert '"epochs": 10' in weights.load(path)[1]['config']

  def fail(*_: object, **__: object) -> None:
    raise AssertionError('it was trained again')

  monkeypatch.setattr(classifier, 'train', fail)
  again = features.classifier(x, labels, 10, CONFIG, cache=folder)
  assert again.sha256 == extractor.sha256
  assert again.facts == extractor.facts
  for images, config in (
    (x // 2, CONFIG),
    (x, dataclasses.replace(CONFIG, seed=1)),
  ):
    with pytest.raises(AssertionError, match='trained again'):
      features.classifier(images, labels, 10, config, cache=folder)


def test_channels_of_grey_ones_are_seen_one_by_one(
  extractor: features.Extractor,
):
  x = in_range(digits()[0])
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


def test_colours_are_learned(tmp_path: pathlib.Path):
  """Classes that differ in nothing but colour; 40 images choose the batch."""
  rng = np.random.default_rng(0)
  labels = np.arange(40) % 2
  x = rng.integers(0, 60, (40, 8, 8, 3))
  x[labels == 0, ..., 0] += 150
  x[labels == 1, ..., 2] += 150
  config = dataclasses.replace(CONFIG, batch_size=0)
  assert [config.batch_of(n) for n in (4, 36, 999, 50_000)] == [1, 3, 99, 100]
  found = features.classifier(
    x.astype(np.uint8), labels, 2, config, cache=tmp_path
  )
  assert found.facts['features_accuracy'] == 1
  seen = found.apply(found.params, jnp.zeros((5, 8, 8, 3)))
  assert seen.logits.shape == (5, 2)
  with pytest.raises(ValueError, match=r'^images of 8 x 8 x 1: .* 8 x 8 x 3 a'):
    found.apply(found.params, jnp.zeros((1, 8, 8, 1)))


def test_perceiving_does_not_depend_on_the_batch(
  extractor: features.Extractor,
):
  """Nor on how the images come."""
  x = in_range(digits()[0])
  whole = extractor.apply(extractor.params, jnp.asarray(x[:20]))
  parts = list(features.extract(extractor, (x[:9], x[9:20]), batch_size=8))
  assert [len(part.logits) for part in parts] == [8, 1, 8, 3]
  np.testing.assert_allclose(
    np.concatenate([part.features for part in parts]),
    whole.features,
    atol=1e-5,
  )


def test_labelled_images_that_do_not_fit(
  extractor: features.Extractor, tmp_path: pathlib.Path
):
  x, labels = digits()
  for images, line in (
    (x[..., 0], r'got uint8 of \[1797, 8, 8\] and \[1797\]$'),
    (in_range(x), r'got float32 of \[1797, 8, 8, 1\] and \[1797\]$'),
  ):
    with pytest.raises(ValueError, match=line):
      features.classifier(images, labels, 10, CONFIG, cache=tmp_path)
  with pytest.raises(ValueError, match=r'got 19 images of 10 classes$'):
    features.classifier(x[:19], labels[:19], 10, CONFIG, cache=tmp_path)
  with pytest.raises(ValueError, match=r'^labels must be in \[0, 9\), got 0'):
    features.classifier(x, labels, 9, CONFIG, cache=tmp_path)
  with pytest.raises(ValueError, match=r'^images of 9 x 8 x 1: .* 8 x 8 x 1 a'):
    extractor.apply(extractor.params, jnp.zeros((1, 9, 8, 1)))


def test_small_images_move_less():
  chosen = classifier.Config()
  assert [chosen.shift_of(side) for side in (8, 14, 28, 128)] == [0, 1, 2, 2]
  assert CONFIG.shift_of(28) == 0


def test_images_move_by_the_shift_at_most():
  image = jnp.full((64, 5, 5, 1), -1.0).at[:, 2, 2].set(1.0)
  moved = np.asarray(classifier._moved(image, jax.random.key(0), 2))
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
  path = tmp_path / 'gan_jax' / pretrained.INCEPTION_FILE
  path.parent.mkdir()
  path.write_bytes(b'a checkpoint')
  arrays, reads = checkpoint(), []

  def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    reads.append(path)
    return arrays

  monkeypatch.setattr(torch_files, 'read_state_dict', read)
  first = pretrained.inception()
  assert first.sha256 == weights.sha256(path)
  assert first[:2] == pretrained.inception()[:2]
  assert reads == [path]
  seen = jax.eval_shape(first.apply, first.params, jnp.zeros((5, 32, 32, 1)))
  assert seen.features.shape == (5, 2048)
  assert seen.logits.shape == (5, 1008)
  # Other weights under the same name are converted anew.
  path.write_bytes(b'another')
  assert pretrained.inception().sha256 == weights.sha256(path) != first.sha256
  assert reads == [path, path]
  # What they were converted to is enough, by either name.
  digest = weights.sha256(path)
  path.unlink()
  assert pretrained.inception().sha256 == digest
  converted = path.with_suffix('.safetensors')
  again = pretrained.inception(str(converted))
  assert again.sha256 == digest
  expected = traverse_util.flatten_dict(inception.convert(arrays), sep='/')
  kept = traverse_util.flatten_dict(weights.load(converted)[0], sep='/')
  assert kept.keys() == expected.keys()
  name = 'Mixed_7c/branch3x3_2b/kernel'
  np.testing.assert_array_equal(kept[name], expected[name])


def test_weights_of_unknown_origin(tmp_path: pathlib.Path):
  path = tmp_path / 'own.safetensors'
  weights.save(path, {'kernel': np.zeros(3)}, {})
  with pytest.raises(ValueError, match='does not say of which checkpoint'):
    pretrained.inception(str(path))


def test_inception_that_is_not_there(tmp_path: pathlib.Path):
  path = tmp_path / 'none.pth'
  with pytest.raises(ValueError, match=r'none\.pth: there are no weights') as e:
    pretrained.inception(str(path))
  assert pretrained.INCEPTION_URL in str(e.value)
  assert '\n' not in str(e.value)
