"""InfoGAN: codes that no data have, and that D finds again."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

from gan_jax import types
from gan_jax.config import checks, fields as configs, idle, values
from gan_jax.engine import build, program
from gan_jax.evaluation import evaluator, feature_metrics, metric as metrics
from gan_jax.game import class_losses, draws, objectives, state as states
from gan_jax.networks import dcgan, mlp
from gan_jax.run import train, trained as runs
from gan_jax.storage import writers
from tests import test_conditional

KEY = jax.random.key(0)


@pytest.fixture
def ring() -> configs.Config:
  """The ring, whose modes the codes are to name."""
  config = configs.Config(steps=4, batch_size=16, log_every=2)
  config.data.name = 'ring'
  config.gen.latent_dim, config.gen.codes = 3, 5
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.disc.net = mlp.DiscSettings(8, 1, conditioning='codes', numbers=2)
  config.penalties.infogan.weight = 1.0
  config.penalties.infogan_gen.weight = 0.5
  config.eval.every = config.checkpoint.every = 2
  config.eval.num_samples = 64
  return config


def test_numbers_are_of_a_normal_law():
  """scipy's, without the constant log(2 pi) / 2 of each number."""
  found = jnp.array([[0.5, 1.0], [0.0, -1.0]])
  codes = jnp.array([[0.0, 1.0], [0.3, 1.0]])
  law = -jax.scipy.stats.norm.logpdf(codes, found).sum(axis=1).mean()
  expected = float(law) - np.log(2 * np.pi)
  assert float(class_losses.numbers(found, codes)) == pytest.approx(
    expected, rel=1e-5
  )


def heads_of(spec: Any, state: Any, latent: types.Latent) -> Any:
  own: Any = {'key': KEY, 'mode': types.EVAL}
  x, _ = spec.gen.apply(state.gen.params, {}, latent, **own)
  judge = spec.disc.methods['judge']
  # D is not told the code: the label is not in what it sees.
  return judge(state.disc.params, {}, types.Batch(x), **own)[0].heads


@pytest.mark.parametrize('codes', [0, 5])
@pytest.mark.parametrize('numbers', [0, 2])
def test_the_terms_are_of_what_g_was_asked_for(
  ring: configs.Config, codes: int, numbers: int
):
  if not codes + numbers:
    return
  ring.gen.codes = codes
  ring.disc.net = mlp.DiscSettings(8, 1, conditioning='codes', numbers=numbers)
  source = build.make_source(ring, KEY)
  spec, hyper = build.make_spec(ring, source.info), build.make_hyper(ring)
  state = build.init_state(spec, hyper, KEY)
  draw = draws.draw_step(spec, KEY)
  arrays = source.chunk(0, 1)
  batch = source.batch(arrays, KEY, jnp.int32(0))
  assert batch.label is None
  real = types.Batch(batch.x[0])
  vars = types.Pair(state.gen.vars, state.disc.vars)
  now = states.StepContext(hyper, state.step, state.memory)
  losses = {
    'infogan': objectives.discriminator_loss(
      state.disc.params, state.gen.params, vars, real, draw.disc[0], now, spec
    ),
    'infogan_gen': objectives.generator_loss(
      state.gen.params, state.disc.params, vars, real, draw.disc[0], now, spec
    ),
  }
  latent = draw.disc[0].latent
  heads = heads_of(spec, state, latent)
  expected = 0.0
  if codes:
    logits = np.asarray(heads['classify'], np.float64)
    of_code = logits[np.arange(16), latent.label]
    expected += (scipy.special.logsumexp(logits, axis=1) - of_code).mean()
    assert set(np.asarray(latent.label)) <= set(range(codes))
  else:
    assert latent.label is None
  if numbers:
    missed = np.asarray(heads['numbers'] - latent.z[:, :2], np.float64)
    expected += 0.5 * np.square(missed).sum(axis=1).mean()
  assert set(heads) == {
    'features',
    *['classify'] * bool(codes),
    *['numbers'] * bool(numbers),
  }
  for name, (_, (_, logs)) in losses.items():
    assert float(logs[f'penalties/{name}']) == pytest.approx(expected, rel=1e-4)


def test_fakes_shown_as_real_ones_have_no_code(ring: configs.Config):
  """APA exchanges samples, of which D is told none."""
  ring.augment.pseudo, ring.augment.p = True, 0.5
  _, logs = test_conditional.played(ring)
  assert np.isfinite(float(logs['penalties/infogan']))


def test_a_run_and_samples_of_each_code(
  ring: configs.Config, tmp_path: pathlib.Path
):
  figures = train.train(ring, tmp_path / 'run')
  # Codes are no modes that one could ask for.
  assert 'asked_mode' not in figures
  rows = writers.read_rows(tmp_path / 'run')
  assert 0 < rows[-1]['penalties/infogan'] < 5
  run = runs.load(tmp_path / 'run')
  labels = runs.labels_of_each_class(run, 3, 'per_class')
  np.testing.assert_array_equal(labels, np.repeat(np.arange(5), 3))
  block = next(runs.samples(run, 15, seed=0, labels=labels))
  np.testing.assert_array_equal(block.label, labels)


def test_a_dcgan_may_take_the_class_beside_z():
  settings = dcgan.GenSettings(width=8, conditioning='concatenation')
  gen = dcgan.Generator((8, 8, 1), settings, classes=5)
  latent = types.Latent(jnp.ones((2, 3)), jnp.array([0, 4]))
  vars = gen.init(KEY, latent, types.EVAL)
  kinds = {name.split('_')[0] for name in vars['params']}
  assert 'ClassBatchNorm' not in kinds
  first = vars['params']['Dense_0']['kernel']
  assert first.shape[0] == 3 + 5
  # The class adds its row of the first layer.
  alone = latent._replace(label=None)
  plain = dcgan.Generator((8, 8, 1), settings)
  params = {**vars['params'], 'Dense_0': {
    **vars['params']['Dense_0'], 'kernel': first[:3],
    'bias': vars['params']['Dense_0']['bias'] + first[3 + 4],
  }}  # fmt: skip
  of_class = gen.apply(vars, latent, types.EVAL)[1]
  expected = plain.apply({**vars, 'params': params}, alone, types.EVAL)[1]
  np.testing.assert_allclose(of_class, expected, atol=1e-5)


def test_code_accuracy_by_hand():
  """Ten samples of two codes and of three classes."""
  metric = feature_metrics.METRICS['code_accuracy']
  facts = metrics.Facts({'generated': 10}, (8, 8, 1), configs.Eval())
  facts = facts._replace(logits=(3,), codes=2)
  code = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
  named = np.array([2, 2, 2, 1, 0, 2, 2, 2, 2, 0])
  block = metrics.Block(
    np.zeros((10, 8, 8, 1)), None,
    types.Features(np.zeros((10, 1)), np.eye(3)[named]), code=code,
  )  # fmt: skip
  state = metric.init(facts)
  for part in (block.first(4), jax.tree.map(lambda x: x[4:], block)):
    state = metric.update(state, part)
  inputs: Any = metrics.Inputs(facts, {'generated': state}, iter, KEY)
  # Code 1 has class 2, of four of its samples, so that code 0 has another one,
  # of one sample: not class 2, of three.
  assert metric.result(inputs) == {'code_accuracy': 0.5}


def test_codes_are_no_classes_to_other_metrics(tmp_path: pathlib.Path):
  """intra_fd is of the classes that the network sees, not of codes."""
  config = configs.Config(batch_size=8)
  config.data.name, config.gen.name = 'digits', 'dcgan'
  config.disc.name = 'dcgan'
  config.gen.codes = 4
  config.gen.net = dcgan.GenSettings(width=8)
  config.disc.net = dcgan.DiscSettings(
    width=8, batch_norm=False, conditioning='codes'
  )
  config.penalties.infogan.weight = 1.0
  config.eval.metrics, config.eval.num_samples = 'intra_fd,code_accuracy', 64
  game = program.open_game(config)
  judge = evaluator.Evaluator(config, game.spec, game.source.info)
  found = judge.figures(game.start(), KEY)
  assert 0 < found['code_accuracy_classifier'] <= 1
  stamp = judge.stamp()
  assert stamp['used']['intra_fd']['classes'] == 'as the network names them'
  assert stamp['labels'] == '4 codes, all as often'


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'conditional': True}, "gen.codes=5: with conditional=True the classes"),
    ({'disc.net': mlp.DiscSettings(8, 1)}, 'gen.codes=5: D is to find them'),
    ({'gen.codes': 0, 'disc.net': mlp.DiscSettings(8, conditioning='codes')},
     'there are none; set gen.codes or disc.net.numbers'),
    ({'gen.latent_dim': 1}, 'disc.net.numbers=2: z has gen.latent_dim=1'),
    ({'packing': 2}, 'packing=2: samples of a game of codes are not packed'),
    ({'gen.name': 'maxout', 'gen.net': None},
     "gen.codes=5: gen.name='maxout' takes no labels"),
    ({'conditional': True, 'gen.codes': 0}, 'of a game without labels, and'),
    ({'penalties.infogan.weight': 0.0}, 'nothing trains it; set penalties.inf'),
    ({'gen.codes': 0, 'disc.net': mlp.DiscSettings(8)},
     r'infogan.weight=1.0: D has no head for it; set gen.codes and disc'),
  ],
)  # fmt: skip
def test_what_cannot_be_found(
  change: dict[str, Any], message: str, ring: configs.Config
):
  for name, value in change.items():
    values.assign(ring, name, value)
  with pytest.raises(ValueError, match=message):
    build.make_spec(ring, build.make_source(ring, KEY).info)


def test_codes_that_g_does_not_learn_to_show_are_told(ring: configs.Config):
  assert not list(checks.warnings(ring))
  ring.penalties.infogan_gen.weight = 0.0
  (line,) = checks.warnings(ring)
  assert 'penalties.infogan_gen.weight is 0' in line
  ring.population.vary = {'penalties.infogan_gen.weight': [0.0, 1.0]}
  assert not list(checks.warnings(ring))


def test_numbers_that_nothing_finds_are_told(ring: configs.Config):
  ring.gen.codes = 0
  ring.disc.net = mlp.DiscSettings(8, 1, numbers=2)
  ring.penalties = configs.Penalties()
  (line,) = idle.warnings(ring)
  assert 'disc.net.numbers=2' in line
