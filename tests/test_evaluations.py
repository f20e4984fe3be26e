"""Evaluations: by one protocol, stamped, the same in training and after."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import opening
from gan_jax.engine import program
from gan_jax.evaluation import (
  evaluator as evaluations,
  features,
  scene as scenes,
)
from gan_jax.run import train, trained as runs
from gan_jax.storage import writers

KEY = jax.random.key(0)
ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def digits(
  tiny: configs.Config, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> configs.Config:
  """Digits 8x8, looked at by a classifier of few epochs."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  few = features.DigitsConfig(epochs=2, width=4, features=16)
  make = features.digits
  monkeypatch.setattr(
    features, 'digits', lambda images, labels: make(images, labels, few)
  )
  tiny.data.name = 'digits'
  tiny.gen.latent_dim = 4
  tiny.eval.num_samples = 300
  return tiny


def evaluator(config: configs.Config) -> evaluations.Evaluator:
  game = program.open_game(config)
  return evaluations.Evaluator(config, game.spec, game.source.info)


def test_training_and_evaluating_give_the_same_figures(
  digits: configs.Config, tmp_path: pathlib.Path
):
  digits.eval.metrics = 'fid,classes'
  train.train(digits, tmp_path / 'run')
  row = writers.read_rows(tmp_path / 'run')[-1]
  run = runs.load(tmp_path / 'run')
  key = program.root_keys(digits.seed).eval
  again = evaluator(run.config).figures(run.state, key)
  assert again.keys() == {'fid', 'modes', 'reverse_kl'}
  for name, value in again.items():
    assert row[f'eval/{name}'] == value
  summary = json.loads((tmp_path / 'run' / 'summary.json').read_text())
  assert summary['fid'] == again['fid']


def test_every_metric_has_its_figures(
  digits: configs.Config, tmp_path: pathlib.Path
):
  lacking = ('parzen', 'swd', 'memorisation')
  names = [n for n in scenes.METRICS if n not in lacking]
  digits.eval.metrics = ','.join(names)
  game = program.open_game(digits)
  state = game.start()
  found = evaluator(digits).figures(state, jax.random.key(0))
  assert {
    'fid', 'kid', 'is', 'precision', 'recall', 'density', 'coverage',
    'modes', 'reverse_kl', 'intra_fid',
  } <= found.keys()  # fmt: skip


def scene(fake: np.ndarray, label: np.ndarray) -> scenes.Scene:
  """One-dimensional features, and a network that is always right."""
  logits = np.eye(2, dtype=np.float32)[label]
  real = scenes.Images(
    np.zeros((4, 1, 1, 1), np.float32),
    np.array([0, 0, 1, 1]),
    types.Perception(
      np.array([[0.0], [2.0], [10.0], [14.0]]), np.zeros((4, 2))
    ),
  )
  return scenes.Scene(
    real,
    real.x,
    None,
    scenes.Images(
      np.zeros((len(fake), 1, 1, 1), np.float32),
      None,
      types.Perception(fake[:, None], logits),
    ),
    2,
    jax.random.key(0),
  )


def test_the_distance_within_classes_by_hand():
  """(mean difference)^2 + (std difference)^2, averaged over two classes."""
  fake = np.array([1.0, 3.0, 10.0, 12.0])
  found = scenes.METRICS['intra_fid'].value(scene(fake, np.array([0, 0, 1, 1])))
  std = np.sqrt([2.0, 2.0, 8.0, 2.0])  # Of n - 1, real and fake by class.
  first = 1.0**2 + (std[0] - std[1]) ** 2
  second = 1.0**2 + (std[2] - std[3]) ** 2
  assert found['intra_fid'] == pytest.approx((first + second) / 2, rel=1e-6)


def test_a_class_without_samples_has_no_distance():
  fake = np.array([1.0, 3.0, 5.0])
  found = scenes.METRICS['intra_fid'].value(scene(fake, np.array([0, 0, 0])))
  assert np.isnan(found['intra_fid'])


def test_the_stamp_is_complete(digits: configs.Config):
  """What section 7 of the protocol asks for beside every figure."""
  digits.eval.metrics = 'fid'
  digits.gen.batch_norm = True
  stamp = evaluator(digits).stamp()
  assert {
    'data', 'stack', 'split', 'num_real', 'num_generated', 'resizer',
    'features', 'features_sha256', 'weights', 'batch_norm',
    'split_fingerprint', 'held_out', 'num_held_out', 'features_data',
    'features_split', 'train_split', 'held_out_fingerprint',
  } == stamp.keys()  # fmt: skip
  assert stamp['num_real'] == 1797
  assert stamp['num_generated'] == 300
  assert stamp['weights'] == 'ema'
  assert stamp['batch_norm'].startswith('standing')
  digits.eval.ema = False
  other = evaluator(digits).stamp()
  assert other['weights'] == 'live'
  assert other['features_sha256'] == stamp['features_sha256']


MISTAKES = [
  ({'metrics': 'fidd'}, "did you mean 'fid'"),
  ({'metrics': 'is', 'num_samples': 9}, 'num_samples=9: is needs at least 10'),
  ({'metrics': 'prdc', 'num_samples': 5}, 'prdc needs at least 6'),
  ({'metrics': 'fid', 'features': 'vgg'}, 'there are digits, inception'),
  ({'metrics': 'fid', 'features': 'inception'}, 'pt_inception-2015-12-05'),
]


@pytest.mark.parametrize(('fields', 'message'), MISTAKES)
def test_mistakes(fields: dict[str, Any], message: str, digits: configs.Config):
  for name, value in fields.items():
    setattr(digits.eval, name, value)
  with pytest.raises(ValueError, match=message):
    evaluator(digits)


def test_samples_and_figures_are_of_one_generator(
  digits: configs.Config, tmp_path: pathlib.Path
):
  """Without an average, batch norm has its running statistics for both."""
  digits.gen.batch_norm, digits.ema.half_life = True, 0.0
  train.train(digits, tmp_path / 'run')
  loaded = runs.load(tmp_path / 'run')
  num = digits.eval.num_samples
  samples = np.concatenate([*runs.draw(loaded, num, seed=0)])
  digits.eval.metrics = 'fid'
  sampler = evaluator(digits)._sampler
  looked_at = np.concatenate([*sampler.draw(loaded.state, jax.random.key(0))])
  # The evaluator splits latents over four devices.
  np.testing.assert_allclose(samples, looked_at, atol=1e-5)


def test_images_of_an_unbounded_generator_are_clipped(digits: configs.Config):
  spec = program.open_game(digits).spec
  x = jnp.array([[[[-3.0]]], [[[0.5]]], [[[jnp.nan]]]])
  np.testing.assert_array_equal(
    spec.to_data(x).ravel(), np.array([-1.0, 0.5, np.nan], np.float32)
  )


def test_images_out_of_range_are_refused(digits: configs.Config):
  digits.eval.metrics = 'fid'
  game = program.open_game(digits)
  found = evaluator(digits)
  found._sampler.draw = lambda state, key: [np.full((300, 8, 8, 1), 1.5)]
  state = game.initial_state()
  with pytest.raises(ValueError, match=r'samples are in .*1\.5'):
    found.figures(state, jax.random.key(0))
  # In training it is counted as failed.
  nothing = found.figures_or_nan(state, jax.random.key(0))
  assert list(nothing) == ['fid']
  assert np.isnan(nothing['fid'])


def test_parzen_needs_images_never_seen(digits: configs.Config):
  digits.eval.metrics = 'parzen'
  with pytest.raises(ValueError, match=r"held_out='': parzen needs"):
    evaluator(digits)
  digits.eval.held_out = 'test[80%:]'
  with pytest.raises(ValueError, match='has no splits to choose from'):
    evaluator(digits)


def test_a_distance_of_distributions_needs_two_real_images(
  digits: configs.Config, monkeypatch: pytest.MonkeyPatch
):
  """Said before a run begins, and not at its first look."""
  whole = evaluations._in_any_order

  def first(*args):
    x, label = whole(*args)
    return x[:1], label[:1]

  monkeypatch.setattr(evaluations, '_in_any_order', first)
  digits.eval.metrics = 'classes'
  evaluator(digits)
  digits.eval.metrics = 'fid'
  with pytest.raises(ValueError, match='fid needs at least 2 real images'):
    evaluator(digits)


def test_the_modes_of_stacks(digits: configs.Config):
  """Each channel is named on its own, real and generated alike."""
  digits.data.stack = 3
  digits.eval.metrics = 'classes,fid'
  found = evaluator(digits)
  real = found._real
  assert real.x.shape == (1797, 8, 8, 3)
  pixels, labels, _ = opening.read_images(digits.data, 'train')
  zeros = pixels[labels == 0].mean(axis=0)[..., 0] / 127.5 - 1
  middle = real.label // 10 % 10  # The second channel's.
  np.testing.assert_allclose(
    real.x[middle == 0, ..., 1].mean(axis=0), zeros, atol=1e-5
  )
  assert real.seen.logits.shape == (1797, 3, 10)
  single = next(features.perceive(found._extractor, real.x[..., 1:2]))
  assert (single.logits.argmax(-1) == real.seen.logits[:64, 1].argmax(-1)).all()
  # Samples that are the real stacks have as many modes as those.
  found._sampler.draw = lambda state, key: [real.x]
  figures = found.figures(program.open_game(digits).initial_state(), KEY)
  names = real.seen.logits.argmax(-1) @ [100, 10, 1]
  assert figures['modes'] == len(set(names.tolist()))
  assert figures['fid'] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('metric', ['parzen', 'memorisation'])
def test_of_stacks_there_are_too_many(metric: str, digits: configs.Config):
  digits.data.stack = 3
  digits.eval.metrics = metric
  with pytest.raises(ValueError, match=f'{metric} looks at images'):
    evaluator(digits)


def test_laws_have_figures_of_their_own(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  train.train(tiny, tmp_path)
  command = [
    sys.executable, '-m', 'experiments.evaluate', f'--workdir={tmp_path}',
    '--num=500', '--seed=3',
  ]  # fmt: skip
  for _ in range(2):
    done = subprocess.run(
      command, cwd=ROOT, capture_output=True, text=True, check=False,
      env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
  lines = (tmp_path / 'evaluations.jsonl').read_text().splitlines()
  first, second = map(json.loads, lines)
  assert first == second
  assert first['stamp']['num_generated'] == 500
  assert first['stamp']['seed'] == 3
  assert 0 < first['figures']['ks'] < 1


def test_reading_splits_needs_no_source(digits: configs.Config):
  pixels, labels, _ = opening.read_images(digits.data, 'train')
  assert pixels.shape == (1797, 8, 8, 1)
  assert labels is not None
  assert sorted(set(labels.tolist())) == list(range(10))
