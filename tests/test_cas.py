"""The classification accuracy score, of images whose classes are plain."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
import pytest

from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import program
from gan_jax.evaluation import (
  cas,
  classifier,
  comparison,
  evaluator,
  paths,
  sets,
)
from gan_jax.networks import dcgan

FEW = classifier.Config(epochs=12, width=4, features=16, shift=0)
NAMES = ('left', 'right', 'both')


@pytest.fixture(autouse=True)
def small_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(cas, '_CONFIG', FEW)


def images(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
  """Noise, and white on the side that is the class, `[n, 8, 8, 1]` uint8."""
  rng = np.random.default_rng(seed)
  x = rng.integers(0, 90, (n, 8, 8, 1))
  label = np.arange(n) % 3
  x[label != 1, :, :4] += 150
  x[label != 0, :, 4:] += 150
  return x.astype(np.uint8), label


def as_set(x: np.ndarray, label: np.ndarray | None) -> sets.Images:
  def fetch(start: int, stop: int) -> Any:
    return x[start:stop], None if label is None else label[start:stop]

  names = () if label is None else NAMES
  shape: Any = x.shape[1:]
  return sets.Images(len(x), shape, fetch, names)


def compared(
  generated: tuple[np.ndarray, np.ndarray],
  train: sets.Images,
  held_out: sets.Images,
) -> tuple[comparison.Comparison, dict[str, float]]:
  made = comparison.Comparison(
    configs.Eval(metrics='cas'),
    comparison.Generated(len(generated[0]), (8, 8, 1), labelled=True),
    comparison.Sets(
      real=train, train=train, held_out=held_out, mirrored=False,
      origins={name: name for name in ('real', 'train', 'held_out')},
    ),
    lambda: None,
  )  # fmt: skip
  x, label = generated
  blocks = [(sources.to_unit_range(x), label)]
  return made, made.figures(blocks, jax.random.key(0))


TRAIN, HELD_OUT = as_set(*images(150, 0)), as_set(*images(60, 1))


def test_samples_of_the_right_classes_teach_all_of_them():
  made, found = compared(images(150, 2), TRAIN, HELD_OUT)
  assert found == {'cas': 1.0, 'cas_of_data': 1.0}
  assert not made.warnings


def test_samples_in_the_wrong_order_teach_nothing():
  x, label = images(150, 2)
  _, found = compared((x, (label + 1) % 3), TRAIN, HELD_OUT)
  assert found == {'cas': 0.0, 'cas_of_data': 1.0}


def test_a_class_that_is_never_made_is_never_named():
  x, label = images(150, 2)
  kept = label != 2
  made, found = compared((x[kept], label[kept]), TRAIN, HELD_OUT)
  assert found['cas'] == pytest.approx(2 / 3)
  assert made.warnings == [
    'cas: classifiers learn of 100 images, and G did of 150'
  ]


def test_what_has_no_labels_is_refused():
  x, _ = images(60, 1)
  with pytest.raises(ValueError, match=r'^held_out: cas needs images with l'):
    compared(images(150, 2), TRAIN, as_set(x, None))
  others = HELD_OUT._replace(class_names=('a', 'b', 'c'))
  with pytest.raises(ValueError, match=r'^train and held_out: cas needs the '):
    compared(images(150, 2), TRAIN, others)


def test_of_files(tmp_path: pathlib.Path):
  """Two sets with labels and a third to try them on."""
  given = {}
  for i, name in enumerate(('generated', 'real', 'held_out')):
    x, label = images(90, i)
    given[name] = tmp_path / f'{name}.npz'
    np.savez(given[name], images=x, labels=label)
  scratch = tmp_path / 'scratch'
  scratch.mkdir()
  found = paths.compare(
    given, configs.Eval(metrics='cas'), scratch, jax.random.key(0)
  )
  assert found.figures == {'cas': 1.0, 'cas_of_data': 1.0}


def test_of_a_conditional_run(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  """An untrained G's samples say nothing of ten digits; data say much."""
  few = dataclasses.replace(FEW, epochs=20, learning_rate=5e-3)
  monkeypatch.setattr(cas, '_CONFIG', few)
  config = configs.Config(batch_size=8, conditional=True)
  config.data.name, config.data.split = 'digits', 'train[:80%]'
  config.gen.name = config.disc.name = 'dcgan'
  config.gen.net = dcgan.GenSettings(width=8)
  config.disc.net = dcgan.DiscSettings(width=8, batch_norm=False)
  config.eval.metrics, config.eval.num_samples = 'cas', 300
  config.eval.held_out = 'train[80%:]'
  game = program.open_game(config)
  judge = evaluator.Evaluator(config, game.spec, game.source.info)
  found = judge.figures(game.start(), jax.random.key(0))
  assert found['cas'] < 0.35 < 0.6 < found['cas_of_data']
  assert judge.stamp()['used']['cas'] == {
    'generated': 300, 'train': 300, 'held_out': 360,
    'classifier': '20 epochs, width 4',
  }  # fmt: skip
