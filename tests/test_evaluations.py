"""Evaluations: by one protocol, stamped, the same in training and after."""

import json
import os
import pathlib
import subprocess
import sys
import tracemalloc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import images, opening
from gan_jax.engine import program
from gan_jax.evaluation import (
  catalogue,
  classifier,
  comparison,
  evaluator as evaluations,
  extractors,
  features,
  metric as metrics,
  sets,
)
from gan_jax.metrics import bootstrap, kept, kernel, prd, prdc, sliced
from gan_jax.networks import mlp
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
  few = classifier.Config(epochs=2, width=4, features=16)
  make = features.classifier
  monkeypatch.setattr(
    features,
    'classifier',
    lambda images, labels, classes: make(images, labels, classes, few),
  )
  tiny.data.name = 'digits'
  tiny.gen.latent_dim = 4
  tiny.eval.num_samples = 300
  tiny.eval.kid_subset_size = 150
  return tiny


def evaluator(config: configs.Config) -> evaluations.Evaluator:
  game = program.open_game(config)
  return evaluations.Evaluator(config, game.spec, game.source.info)


def test_training_and_evaluating_give_the_same_figures(
  digits: configs.Config, tmp_path: pathlib.Path
):
  digits.eval.metrics = 'fd_classifier,classes'
  digits.checkpoint.best = 'fd_classifier'
  train.train(digits, tmp_path / 'run')
  row = writers.read_rows(tmp_path / 'run')[-1]
  run = runs.load(tmp_path / 'run')
  key = program.root_keys(digits.seed).eval
  again = evaluator(run.config).figures(run.state, key)
  assert again.keys() == {'fd_classifier', 'modes', 'reverse_kl'}
  for name, value in again.items():
    assert row[f'eval/{name}'] == value
  summary = json.loads((tmp_path / 'run' / 'summary.json').read_text())
  assert summary['fd_classifier'] == again['fd_classifier']
  protocol = json.loads((tmp_path / 'run' / 'protocol.json').read_text())
  assert protocol == evaluator(run.config).stamp()
  # The best by a figure of images.
  rows = writers.read_rows(tmp_path / 'run')
  looked = [row for row in rows if 'eval/fd_classifier' in row]
  best = min(looked, key=lambda row: row['eval/fd_classifier'])
  kept_state = runs.load(tmp_path / 'run', 'best').state
  assert int(kept_state.step) == best['step']


def test_every_metric_has_its_figures(
  digits: configs.Config, monkeypatch: pytest.MonkeyPatch
):
  monkeypatch.setattr(bootstrap, 'LEAST', 2)
  lacking = (
    'fd_inception', 'fd_dinov2', 'fd_clip', 'fd_resnet50', 'fd_swav', 'fd_dino',
    'fd_swin', 'cmmd', 'parzen', 'memorisation', 'class_accuracy',
    'code_accuracy', 'cas',
  )  # fmt: skip
  names = [n for n in catalogue.METRICS if n not in lacking]
  digits.data.split, digits.eval.held_out = 'train[:80%]', 'train[80%:]'
  digits.eval.bootstrap = 2
  digits.eval.metrics = ','.join(names)
  game = program.open_game(digits)
  state = game.start()
  judge = evaluator(digits)
  found = judge.figures(state, jax.random.key(0))
  assert {*found} == {*judge.names} == {
    'fd_classifier', 'kid_classifier', 'kid_std_classifier', 'is_classifier',
    'is_std_classifier', 'precision_classifier', 'recall_classifier',
    'density_classifier', 'coverage_classifier', 'modes', 'reverse_kl',
    'intra_fd_classifier', 'fd_infinity_classifier', 'authenticity_classifier',
    'copying_classifier', 'fd_low_classifier', 'fd_high_classifier',
    'prd_f8_classifier', 'prd_f1_8_classifier',
    'kid_low_classifier', 'kid_high_classifier', 'intra_fd_low_classifier',
    'intra_fd_high_classifier', 'fd_infinity_low_classifier',
    'fd_infinity_high_classifier', 'swd', 'swd_low', 'swd_high',
  }  # fmt: skip
  # An untrained generator makes few classes, and intra_fd has no distance.
  for name in ('fd', 'kid', 'fd_infinity', 'swd'):
    of = '_classifier' * (name != 'swd')
    # Of two resamples it has the figure in its very middle.
    ends = found[f'{name}_low{of}'], found[f'{name}_high{of}']
    assert ends[0] < ends[1]
    assert np.mean(ends) == pytest.approx(found[name + of], rel=1e-4)
  stamp = judge.stamp()
  assert stamp['bootstrap'] == 2
  assert stamp['used']['fd_infinity']['sizes'][::14] == [30, 300]
  assert stamp['used']['copying']['held_out'] == 360


def intra_fd(
  generated: np.ndarray,
  named: np.ndarray,
  rows: list[int] | None = None,
  real: int = 4,
) -> float:
  """One-dimensional features, and a network that is always right.

  Args:
    generated: `[N]`.
    named: their classes.
    rows: those of them that are resampled, if any.
    real: the real images that there are.
  """
  metric = catalogue.METRICS['intra_fd']
  facts = metrics.Facts({}, (1, 1, 1), configs.Eval(), 1, (2,))
  values = np.array([0.0, 2.0, 10.0, 14.0])[:real]
  states = {}
  for name, x, label, classes in (
    ('real', values, np.array([0, 0, 1, 1])[:real], np.zeros(real, int)),
    ('generated', generated, None, named),
  ):
    seen = types.Features(x[:, None], np.eye(2, dtype=np.float32)[classes])
    block = metrics.Block(np.zeros((len(x), 1, 1, 1)), label, seen)
    # Two samples, and then the others.
    state = metric.update(metric.init(facts), block.first(2))
    rest = jax.tree.map(lambda array: array[2:], block)
    states[name] = metric.update(state, rest)
  inputs = metrics.Inputs(
    facts, states, lambda: iter([]), KEY, generated[:, None]
  )
  if rows is not None:
    assert metric.resample is not None
    return metric.resample(inputs)(np.array(rows))
  found = metric.result(inputs)['intra_fd']
  line = metric.missing(inputs)
  assert np.isnan(found) == bool(line)
  assert line is None or line.endswith('1 (2 and 0)')
  return found


def test_the_distance_within_classes_by_hand():
  """(mean difference)^2 + (std difference)^2, averaged over two classes."""
  x = np.array([1.0, 3.0, 10.0, 12.0])
  found = intra_fd(x, np.array([0, 0, 1, 1]))
  std = np.sqrt([2.0, 2.0, 8.0, 2.0])  # Of n - 1, real and fake by class.
  first = 1.0**2 + (std[0] - std[1]) ** 2
  second = 1.0**2 + (std[2] - std[3]) ** 2
  assert found == pytest.approx((first + second) / 2, rel=1e-6)


def test_resampled_images_keep_their_classes():
  x, named = np.array([1.0, 3.0, 10.0, 12.0, 13.0]), np.array([0, 0, 1, 1, 1])
  for rows in ([0, 1, 2, 3, 4], [1, 4, 2, 0, 2], [0, 0, 4, 4, 1]):
    expected = intra_fd(x[rows], named[rows])
    assert intra_fd(x, named, rows) == pytest.approx(expected, rel=1e-6)
  assert np.isnan(intra_fd(x, named, [0, 1, 1, 0, 2]))
  assert np.isnan(intra_fd(x, named, [*range(5)], real=3))


def test_a_class_without_samples_has_no_distance():
  assert np.isnan(intra_fd(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 0])))


def test_the_stamp_is_complete(digits: configs.Config):
  """What section 7 of the protocol asks for beside every figure."""
  digits.eval.metrics = 'fd_classifier'
  digits.gen.net = mlp.GenSettings(batch_norm=True)
  stamp = evaluator(digits).stamp()
  assert {
    'data', 'stack', 'split', 'num_real', 'num_generated', 'resizer',
    'features', 'features_sha256', 'weights', 'batch_norm', 'labels',
    'truncation', 'matmul_precision',
    'split_fingerprint', 'held_out', 'num_held_out', 'features_data',
    'features_split', 'train_split', 'held_out_fingerprint', 'used',
    'features_trained_on', 'features_held_out', 'features_accuracy',
  } == stamp.keys()  # fmt: skip
  assert stamp['num_real'] == 1797
  assert stamp['num_generated'] == 300
  assert stamp['weights'] == 'ema'
  assert stamp['batch_norm'].startswith('standing')
  assert 0 < stamp['features_accuracy'] < 1
  digits.eval.ema = False
  other = evaluator(digits).stamp()
  assert other['weights'] == 'live'
  assert other['features_sha256'] == stamp['features_sha256']


def test_the_stamp_says_the_counts_that_are_used(digits: configs.Config):
  """Not those that were asked for, and what else a metric chooses."""
  digits.eval.metrics = 'fd_classifier,kid,is,prdc,prd,swd,classes,intra_fd'
  digits.eval.features_kept, digits.eval.is_splits = 200, 3
  used = evaluator(digits).stamp()['used']
  assert used == {
    'fd_classifier': {'real': 1797, 'generated': 300},
    'kid': {
      'real': 200, 'generated': 200, 'subsets': 100, 'subset_size': 150,
    },
    'is': {'generated': 300, 'splits': 3},
    'prdc': {'real': 200, 'generated': 200, 'k': 3, 'density_k': 5},
    'prd': {
      'real': 200, 'generated': 200, 'clusters': 20, 'runs': 10, 'batch': 100,
      'angles': 1001, 'beta': 8,
    },
    'swd': {
      'real': 300, 'generated': 300, 'patches': 128, 'patch': 7,
      'projections': 512, 'smallest_level': 14,
    },
    'classes': {'generated': 300},
    'intra_fd': {
      'real': 1797, 'generated': 300, 'classes': 'as the network names them',
    },
  }  # fmt: skip


def test_what_is_kept_is_what_the_stamp_says(
  digits: configs.Config, monkeypatch: pytest.MonkeyPatch
):
  digits.eval.metrics = 'prdc,prd,kid,swd'
  digits.eval.features_kept = 160
  given: dict[str, list[int]] = {}

  def watch(module: Any, name: str) -> None:
    whole = getattr(module, name)

    def look(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
      given[name] = [len(a), len(b)]
      return whole(a, b, *args, **kwargs)

    monkeypatch.setattr(module, name, look)

  watch(prdc, 'manifolds')
  watch(prd, 'prd')
  watch(kernel, 'kernel_distance')
  watch(sliced, 'image_sliced_wasserstein_1')
  game = program.open_game(digits)
  evaluator(digits).figures(game.start(), KEY)
  assert given == {
    'manifolds': [160, 160],
    'prd': [160, 160],
    'kernel_distance': [160, 160],
    'image_sliced_wasserstein_1': [300, 300],
  }


def test_too_few_samples_are_said(digits: configs.Config):
  """Each with the least sensible number, before anything is drawn."""
  digits.eval.metrics = 'fd_classifier,kid,is,prdc,swd,classes,intra_fd'
  digits.eval.num_samples = 16
  digits.eval.kid_subset_size = 16
  lines = dict(line.split(': ', 1) for line in evaluator(digits).warnings)
  assert '16 samples' in lines['fd_classifier']
  assert 'more than 16 are needed' in lines['fd_classifier']
  assert '32 samples are sensible at least' in lines['kid']
  assert '400 are sensible at least' in lines['is']
  assert '1,000 samples are sensible at least' in lines['prdc']
  assert '1,000 images are sensible at least' in lines['swd']
  assert '100 are sensible at least' in lines['classes']
  assert 'a class has about 1 samples' in lines['intra_fd']
  digits.eval.metrics, digits.eval.num_samples = 'prd', 20
  (line,) = evaluator(digits).warnings
  assert '1,000 samples are sensible at least' in line


def test_metrics_of_pixels_make_no_network(
  digits: configs.Config, monkeypatch: pytest.MonkeyPatch
):
  """Nor need they labels, or weights."""
  digits.eval.metrics, digits.eval.features = 'swd', 'inception'
  digits.eval.weights = '/nowhere/at/all'
  judge = evaluator(digits)
  stamp = judge.stamp()
  assert stamp['features'] is stamp['features_sha256'] is None
  assert {*judge.figures(program.open_game(digits).start(), KEY)} == {'swd'}


def test_fid_is_a_name_of_one_distance_alone(digits: configs.Config):
  digits.eval.metrics = 'fid,fd_inception'
  digits.eval.features = 'inception'
  asked = catalogue.parse(digits.eval)
  assert list(asked) == ['fd_inception']


MISTAKES = [
  ({'metrics': 'fd_classifer'}, "did you mean 'fd_classifier'"),
  ({'metrics': 'is', 'num_samples': 9}, r'num_samples=9: is needs .* 10 sam'),
  (
    {'metrics': 'prdc', 'num_samples': 5},
    'num_samples=5: prdc needs at least 6 samples; there are 5$',
  ),
  (
    {'metrics': 'prdc', 'features_kept': 5},
    'features_kept=5: prdc needs at least 6$',
  ),
  (
    {'metrics': 'prd', 'num_samples': 19},
    'num_samples=19: prd needs at least 20 samples, as many as clusters; ',
  ),
  ({'metrics': 'prd', 'bootstrap': 99}, r'bootstrap=99: none of prd has an in'),
  (
    {'metrics': 'kid', 'kid_subset_size': 1000},
    r'num_samples=300: kid needs at least 1000 samples, the samples of a subset'
    r' \(eval.kid_subset_size\); there are 300$',
  ),
  (
    {'metrics': 'kid', 'features_kept': 149},
    r'features_kept=149: kid needs at least 150, the samples of a subset',
  ),
  ({'metrics': 'kid', 'kid_subset_size': 1}, r'kid_subset_size=1: must be at'),
  ({'metrics': 'is', 'is_splits': 0}, r'is_splits=0: must be at least 1$'),
  (
    {'metrics': 'fd_classifier', 'features': 'vgg'},
    'are classifier, inception, dinov2, clip, resnet50, swav, dino, swin',
  ),
  ({'metrics': 'fid', 'features': 'inception'}, 'pt_inception-2015-12-05'),
  (
    {'metrics': 'fd_dinov2', 'features': 'dinov2', 'weights': '/no.pth'},
    r'^/no\.pth: there are no weights; download them from https.*vitl14_pret',
  ),
  (
    {'metrics': 'cmmd', 'features': 'clip'},
    r'336\.bin: there are no weights; download .*patch14-336/.*/pytorch_model',
  ),
  (
    {'metrics': 'cmmd', 'features': 'dinov2'},
    r"cmmd is .* clip, and eval\.features='dinov2'; set eval\.features=clip",
  ),
  (
    {'metrics': 'fid'},
    r'fid is the distance in .* inception.* for fd_classifier$',
  ),
  (
    {'metrics': 'fd_classifier', 'features': 'inception'},
    r'fd_classifier is the distance in .* for fd_inception$',
  ),
  (
    {'metrics': 'prdc', 'by_class': True},
    'none of prdc is of classes; intra_f',
  ),
  ({'metrics': 'prdc', 'bootstrap': 9}, r'bootstrap=9: none of prdc has an in'),
  ({'metrics': 'swd', 'bootstrap': 39}, r'bootstrap=39: .* need 40 resamples'),
  (
    {'metrics': 'fd_classifier', 'bootstrap': 99, 'features_kept': 299},
    r'features_kept=299: eval\.bootstrap resamples all 300 samples, whose',
  ),
  (
    {'metrics': 'fd_classifier', 'resizer': 'clean'},
    r"resizer='clean': the classifier takes images as they are; inception",
  ),
  (
    {'metrics': 'fid', 'features': 'inception', 'resizer': 'cleen'},
    "did you mean 'clean'",
  ),
  (
    {'metrics': 'copying'},
    r"held_out='': copying needs at least 2 images that the gen",
  ),
  (
    {'metrics': 'classes', 'features_split': 'x', 'features_data': 'digits'},
    'has train and slices of it',
  ),
  (
    {'metrics': 'classes', 'features_split': 'x', 'features_data': 'mnists'},
    "eval.features_data='mnists': there is no such choice",
  ),
  (
    {'metrics': 'classes', 'features_data': 'digits'},
    'features_data=digits: eval.features_split must say which split',
  ),
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
  digits.gen.net = mlp.GenSettings(batch_norm=True)
  digits.ema.half_life = 0.0
  train.train(digits, tmp_path / 'run')
  loaded = runs.load(tmp_path / 'run')
  num = digits.eval.num_samples
  samples = np.concatenate([b.x for b in runs.samples(loaded, num, seed=0)])
  digits.eval.metrics = 'fd_classifier'
  sampler = evaluator(digits)._sampler
  batches = sampler.samples(loaded.state, jax.random.key(0))
  looked_at = np.concatenate([batch.x for batch in batches])
  # The evaluator splits latents over four devices.
  np.testing.assert_allclose(samples, looked_at, atol=1e-5)


def test_images_of_an_unbounded_generator_are_clipped(digits: configs.Config):
  spec = program.open_game(digits).spec
  x = jnp.array([[[[-3.0]]], [[[0.5]]], [[[jnp.nan]]]])
  np.testing.assert_array_equal(
    spec.to_data(x).ravel(), np.array([-1.0, 0.5, np.nan], np.float32)
  )


def test_images_out_of_range_are_refused(digits: configs.Config):
  digits.eval.metrics = 'fd_classifier'
  game = program.open_game(digits)
  found = evaluator(digits)
  wrong = types.Batch(np.full((300, 8, 8, 1), 1.5))
  found._sampler.samples = lambda state, key: [wrong]
  state = game.initial_state()
  with pytest.raises(ValueError, match=r'samples are in .*1\.5'):
    found.figures(state, jax.random.key(0))
  # In training it is counted as failed.
  nothing = found.figures_or_nan(state, jax.random.key(0))
  assert list(nothing) == ['fd_classifier']
  assert np.isnan(nothing['fd_classifier'])


def test_parzen_needs_images_never_seen(digits: configs.Config):
  digits.eval.metrics = 'parzen'
  with pytest.raises(ValueError, match=r"held_out='': parzen needs"):
    evaluator(digits)
  digits.eval.held_out = 'test[80%:]'
  with pytest.raises(
    ValueError, match=r"eval\.held_out='test.*train and slices"
  ):
    evaluator(digits)
  for split in ('train', 'train[:90%]'):
    digits.data.split, digits.eval.held_out = split, 'train[80%:]'
    with pytest.raises(ValueError, match='the generator is trained on it'):
      evaluator(digits)


def test_parzen_of_a_slice_held_out(digits: configs.Config):
  digits.eval.metrics = 'parzen'
  digits.data.split, digits.eval.held_out = 'train[:40%]', 'train[40%:]'
  found = evaluator(digits)
  stamp = found.stamp()
  assert (stamp['num_real'], stamp['num_held_out']) == (718, 1079)
  figures = found.figures(program.open_game(digits).initial_state(), KEY)
  assert np.isfinite(figures['parzen'])


def test_a_distance_of_distributions_needs_two_real_images(
  digits: configs.Config, monkeypatch: pytest.MonkeyPatch
):
  """Said before a run begins, and not at its first look."""
  whole = sets.in_any_order
  monkeypatch.setattr(
    evaluations.sets,
    'in_any_order',
    lambda *args: whole(*args)._replace(total=1),
  )
  digits.eval.metrics = 'fd_classifier'
  message = "split='train': fd_classifier needs at least 2 real images"
  with pytest.raises(ValueError, match=message):
    evaluator(digits)


def looked_at(found: sets.Images) -> tuple[np.ndarray, np.ndarray]:
  x, label = zip(*found.blocks(), strict=True)
  return np.concatenate(x), np.concatenate(label)


def test_the_modes_of_stacks(digits: configs.Config):
  """Each channel is named on its own, real and generated alike."""
  digits.data.stack = 3
  digits.eval.metrics = 'classes,fd_classifier'
  found = evaluator(digits)
  x, label = looked_at(found._real)
  assert x.shape == (1797, 8, 8, 3)
  image_set, _ = opening.open_split(digits.data, 'train')
  pixels, labels = image_set.fetch(range(1797))
  assert labels is not None
  zeros = pixels[labels == 0].mean(axis=0)[..., 0] / 127.5 - 1
  middle = label // 10 % 10  # The second channel's.
  np.testing.assert_allclose(
    x[middle == 0, ..., 1].mean(axis=0), zeros, atol=1e-5
  )
  network = found._comparison._extractor
  assert network is not None
  logits = np.concatenate([p.logits for p in features.extract(network, x)])
  assert logits.shape == (1797, 3, 10)
  single = next(features.extract(network, x[..., 1:2]))
  assert (single.logits.argmax(-1) == logits[:64, 1].argmax(-1)).all()
  # Samples that are the real stacks have as many modes as those.
  digits.eval.num_samples = 1797
  found = evaluator(digits)
  blocks = [types.Batch(x[:1000]), types.Batch(x[1000:])]
  found._sampler.samples = lambda state, key: blocks
  figures = found.figures(program.open_game(digits).initial_state(), KEY)
  names = logits.argmax(-1) @ [100, 10, 1]
  assert figures['modes'] == len(set(names.tolist()))
  assert figures['fd_classifier'] == pytest.approx(0, abs=1e-6)


def test_memory_does_not_grow_with_the_images(
  monkeypatch: pytest.MonkeyPatch,
):
  """5 MB of pixels or 18 MB, as uint8; four times that as float32."""
  monkeypatch.setattr(kept, 'BYTES', 2**22)
  settings = configs.Eval(
    metrics='fd_classifier,kid,is,prdc,swd,memorisation',
    features_kept=500,
    kid_subset_size=100,
    kid_subsets=2,
    is_splits=2,
  )

  def apply(params: Any, x: jax.Array) -> types.Features:
    small = x[:, ::8, ::8].reshape(len(x), -1)
    return types.Features(small, small[:, :10])

  network = features.Extractor('classifier', '', {}, jax.jit(apply))
  monkeypatch.setattr(extractors, 'make', lambda *_: network)
  read: list[int] = []

  def fetch(rows: Any) -> tuple[np.ndarray, None]:
    read.append(len(rows))
    rng = np.random.default_rng(rows[0])
    return rng.integers(0, 256, (len(rows), 32, 32, 3), np.uint8), None

  def peak(total: int) -> int:
    whole = sets.in_order(images.ImageSet(total, (32, 32, 3), fetch))
    judge = comparison.Comparison(
      settings, comparison.Generated(total, (32, 32, 3)),
      comparison.Sets(
        whole, whole, whole._replace(total=300),
        dict.fromkeys(('real', 'generated', 'train', 'held_out')),
      ),
      lambda: None,
    )  # fmt: skip
    tracemalloc.start()
    found = judge.figures(whole.blocks(), KEY)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found['fd_classifier'] == pytest.approx(0, abs=1e-9)
    return most

  # At times something is made that later ones have, too.
  few = min(peak(1500) for _ in range(3))
  many = min(peak(6000) for _ in range(2))
  # The pixels of the others alone are 14 MB.
  assert many < few + 7e6 < 80e6
  assert sum(read) > 3 * 16_500  # Real, generated and training images.
  assert max(read) == sets.BLOCK


@pytest.mark.parametrize('metric', ['parzen', 'memorisation'])
def test_of_stacks_there_are_too_many(metric: str, digits: configs.Config):
  digits.data.stack = 3
  digits.eval.metrics = metric
  with pytest.raises(ValueError, match=f'{metric} looks at images'):
    evaluator(digits)


@pytest.mark.parametrize('mirrored', [False, True])
def test_copies_of_mirror_images_are_copies(*, mirrored: bool):
  rng = np.random.default_rng(0)
  train, held_out = rng.uniform(-1, 1, (2, 20, 4, 6, 1)).astype('float32')
  metric = catalogue.METRICS['memorisation']
  facts = metrics.Facts({}, (4, 6, 1), configs.Eval(), mirrored=mirrored)
  states = {
    name: metric.update(metric.init(facts), metrics.Block(x, None, None))
    for name, x in (('generated', train[:, :, ::-1]), ('held_out', held_out))
  }
  inputs = metrics.Inputs(facts, states, lambda: iter([train]), KEY)
  (ratio,) = metric.result(inputs).values()
  assert ratio == 0 if mirrored else ratio > 0.5
  assert metric.settings(facts) == {'mirrored': mirrored}


@pytest.mark.parametrize('mirrored', [False, True])
@pytest.mark.parametrize('name', ['authenticity', 'copying'])
def test_copies_of_mirror_images_are_copies_of_features(
  name: str, *, mirrored: bool, digits: configs.Config,
  monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
  def apply(params: Any, x: jax.Array) -> types.Features:
    flat = x.reshape(len(x), -1)
    return types.Features(flat, flat[:, :10])

  network = features.Extractor('classifier', '', {}, jax.jit(apply))
  monkeypatch.setattr(extractors, 'make', lambda *_: network)
  digits.data.split, digits.eval.held_out = 'train[:60%]', 'train[60%:]'
  digits.data.flip = mirrored
  digits.eval.metrics = name
  game = program.open_game(digits)
  judge = evaluations.Evaluator(digits, game.spec, game.source.info)
  train, _ = opening.open_split(digits.data, digits.data.split)
  pixels, _ = train.fetch(range(300))
  x = np.asarray(pixels, np.float32)[:, :, ::-1] / 127.5 - 1
  (found,) = judge._comparison.figures([(x, None)], KEY).values()
  if name == 'authenticity':
    assert found == 0 if mirrored else found > 0.5
  else:
    assert found < -10 if mirrored else found > 0
  assert judge.stamp()['used'][name]['mirrored'] is mirrored


def test_the_classifier_learns_images_of_the_size_of_the_run(
  tmp_path: pathlib.Path,
):
  for i, size in enumerate((9, 12, 15)):
    folder = tmp_path / f'of_{i % 2}'
    folder.mkdir(exist_ok=True)
    PIL.Image.new('RGB', (size, size)).save(folder / f'{i}.png')
  settings = configs.Eval(features_data='folder', features_split='train')
  like = configs.Data(dir=str(tmp_path), size=8, channels=1)
  found = evaluations.other_labelled(settings, like)
  assert found.shape == (8, 8, 1)


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
  image_set, prints = opening.open_split(digits.data, 'train')
  assert image_set.shape == (8, 8, 1)
  pixels, labels = image_set.fetch(range(image_set.total))
  assert pixels.shape == (1797, 8, 8, 1)
  assert labels is not None
  assert sorted(set(labels.tolist())) == list(range(10))
  info = program.open_game(digits).source.info
  assert prints == info.fingerprint


def test_streamed_images_are_known_again(digits: configs.Config):
  """One fingerprint of all images, whether they are streamed or held."""
  digits.eval.metrics = 'swd'
  prints = []
  for limit in (0.0, 4.0):
    digits.data.device_limit_gb = limit
    game = program.open_game(digits)
    prints.append(game.source.info.fingerprint)
    evaluations.Evaluator(digits, game.spec, game.source.info)
  assert prints[0] == prints[1]
