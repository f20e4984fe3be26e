"""Games of classes: layers by hand, labels from end to end, what is refused."""

import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import types
from gan_jax.config import checks, fields as configs
from gan_jax.engine import build, names, program
from gan_jax.evaluation import (
  catalogue,
  comparison,
  evaluator,
  metric as metrics,
  sets,
)
from gan_jax.game import draws, sampling, steps
from gan_jax.metrics import modes
from gan_jax.networks import conditional, dcgan, mlp, r3gan
from gan_jax.run import replay, train, trained as runs
from tests import test_experiments as programs

KEY = jax.random.key(0)


@pytest.fixture
def ring() -> configs.Config:
  """Eight modes and their numbers, for a few steps."""
  config = configs.Config(steps=4, batch_size=16, log_every=2)
  config.conditional = True
  config.data.name = 'ring'
  config.gen.latent_dim = 2
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.disc.net = mlp.DiscSettings(width=8, depth=1)
  config.eval.every = config.checkpoint.every = 2
  config.eval.num_samples = 64
  return config


@pytest.fixture
def digits() -> configs.Config:
  """The ten digits by small networks, for two steps."""
  config = configs.Config(steps=2, batch_size=8, log_every=2)
  config.conditional = True
  config.data.name = 'digits'
  config.gen.name = config.disc.name = 'dcgan'
  config.gen.net = dcgan.GenSettings(width=8)
  config.disc.net = dcgan.DiscSettings(width=8, batch_norm=False)
  config.gen.latent_dim, config.gen.latent = 4, 'normal'
  config.eval.every = config.checkpoint.every = 2
  config.eval.num_samples = 64
  config.ema.half_life = 100.0
  return config


def played(config: configs.Config, key: jax.Array = KEY) -> tuple[Any, dict]:
  """A state after one step, and the logs."""
  source = build.make_source(config, key)
  spec = build.make_spec(config, source.info)
  hyper = build.make_hyper(config)
  state = build.init_state(spec, hyper, key)
  arrays = source.chunk(0, 1)

  @jax.jit
  def step(state: Any, arrays: Any) -> tuple[Any, dict]:
    rounds = source.batch(arrays, key, jnp.int32(0))
    return steps.make_step(spec)(
      state, hyper, rounds, draws.draw_step(spec, key)
    )

  return step(state, arrays)


# Layers.


def test_class_batch_norm_by_hand():
  h = np.random.default_rng(0).normal(2, 3, (6, 2, 2, 3)).astype(np.float32)
  label = np.array([0, 1, 2, 0, 1, 2])
  norm = conditional.ClassBatchNorm(3)
  variables = norm.init(KEY, h, label, types.TRAIN)
  # New, it is batch normalisation alone: the gain is 1 + 0.
  y, _ = norm.apply(variables, h, label, types.TRAIN, mutable=['batch_stats'])
  whitened = (h - h.mean((0, 1, 2))) / np.sqrt(h.var((0, 1, 2)) + 1e-5)
  np.testing.assert_allclose(y, whitened, atol=1e-5)
  rng = np.random.default_rng(1)
  gain, bias = rng.normal(size=(2, 3, 3)).astype(np.float32)
  variables['params'] = {
    'gain': {'embedding': gain},
    'bias': {'embedding': bias},
  }
  y, _ = norm.apply(variables, h, label, types.TRAIN, mutable=['batch_stats'])
  expected = whitened * (1 + gain[label])[:, None, None]
  expected += bias[label][:, None, None]
  np.testing.assert_allclose(y, expected, atol=1e-4)


def test_projection_by_hand():
  h = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
  label = np.array([1, 0, 4, 1])
  head = conditional.Projection(5)
  variables = head.init(KEY, h, label)
  table = np.asarray(variables['params']['Embedding_0']['embedding'])
  assert table.shape == (5, 3)
  np.testing.assert_allclose(
    head.apply(variables, h, label), (h * table[label]).sum(1), rtol=1e-5
  )


PLAYERS = {
  'mlp': (mlp.Generator, mlp.GenSettings(8), mlp.Discriminator,
          mlp.DiscSettings(8)),
  'dcgan': (dcgan.Generator, dcgan.GenSettings(8), dcgan.Discriminator,
            dcgan.DiscSettings(8, batch_norm=False)),
  'r3gan': (r3gan.Generator, r3gan.GenSettings(8, 1, 2), r3gan.Discriminator,
            r3gan.DiscSettings(8, 1, 2, embedding=8)),
}  # fmt: skip


def varied(variables: dict) -> dict:
  """No gain, bias or kernel of them is 0."""
  leaves, tree = jax.tree.flatten(variables['params'])
  keys = jax.random.split(jax.random.key(5), len(leaves))
  moved = [
    x + 0.3 * jax.random.normal(k, x.shape)
    for x, k in zip(leaves, keys, strict=True)
  ]
  return {**variables, 'params': tree.unflatten(moved)}


@pytest.mark.parametrize('name', PLAYERS)
def test_each_sample_depends_on_its_own_class_alone(name: str):
  make_gen, gen_settings, make_disc, disc_settings = PLAYERS[name]
  gen = make_gen((8, 8, 1), gen_settings, classes=3)
  disc = make_disc(disc_settings, classes=3)
  z = jax.random.normal(KEY, (4, 5))
  x = jax.random.normal(KEY, (4, 8, 8, 1))
  label = jnp.array([0, 1, 2, 0])
  other = label.at[2].set(1)
  for module, first, second in (
    (gen, types.Latent(z, label), types.Latent(z, other)),
    (disc, types.Batch(x, label), types.Batch(x, other)),
  ):
    variables = varied(module.init(KEY, first, types.EVAL))
    a, b = (module.apply(variables, i, types.EVAL) for i in (first, second))
    differs = jnp.abs(a - b).reshape(4, -1).max(axis=1) > 1e-4
    assert differs.tolist() == [False, False, True, False]


# Labels from the data to both players.


@pytest.mark.parametrize('name', ['ring', 'grid', 'two_moons'])
def test_points_carry_the_number_of_their_part(name: str):
  config = configs.Config(batch_size=4000, conditional=True)
  config.data.name = name
  config.data.standardise = False
  source = build.make_source(config, KEY)
  (x,), (label,) = source.batch((), KEY, jnp.int32(0))
  parts = {'ring': 8, 'grid': 25, 'two_moons': 2}[name]
  assert source.info.class_shares == (1 / parts,) * parts
  shares = np.bincount(label, minlength=parts) / len(label)
  np.testing.assert_allclose(shares, 1 / parts, atol=4 / np.sqrt(4000 * parts))
  if name == 'two_moons':
    # As scikit-learn's: around (0, 0) above, around (1, 1/2) below.
    centres = np.array([[0, 0], [1, 0.5]])[label]
    radius = np.linalg.norm(x - centres, axis=1)
    assert np.abs(radius - 1).max() < 0.3
  else:
    angles = np.arange(8) * np.pi / 4
    centres = {
      'ring': np.stack([np.cos(angles), np.sin(angles)], 1),
      'grid': np.array([(a, b) for b in range(-4, 5, 2)
                        for a in range(-4, 5, 2)]),
    }[name]  # fmt: skip
    assert np.abs(x - centres[label]).max() < 0.3


def test_labels_are_asked_for_as_the_law_says(ring: configs.Config):
  shares = np.array([0.5, 0.0, 0.25, 0.25])
  label = np.asarray(sampling.draw_labels(KEY, shares, 20_000))
  counts = np.bincount(label, minlength=4) / len(label)
  np.testing.assert_allclose(counts, shares, atol=0.015)
  assert counts[1] == 0
  source = build.make_source(ring, KEY)
  info = source.info._replace(class_shares=(0.8, 0.2, *[0.0] * 6))
  # Of those that there are.
  uniform = [1 / 2, 1 / 2, *[0.0] * 6]
  for law, training in (
    ('data', info.class_shares),
    ('uniform', uniform),
    ('paired', info.class_shares),
  ):
    ring.gen.labels = law
    spec = build.make_spec(ring, info)
    for draw, expected in (
      (spec.latent, training),
      (spec.eval_latent, info.class_shares),
    ):
      found = np.bincount(draw(KEY, 20_000).label, minlength=8) / 20_000
      np.testing.assert_allclose(found, expected, atol=0.015)


def test_paired_labels_are_those_of_the_real_samples(ring: configs.Config):
  """With D the class itself, real and generated logits agree one by one."""
  ring.gen.labels, ring.disc_steps = 'paired', 2
  source = build.make_source(ring, KEY)
  spec = build.make_spec(ring, source.info)

  def disc(params, vars, batch, *, key, mode):
    return batch.label.astype(jnp.float32) + 0 * params['w'], vars

  def loss(*, real, fake):
    return jnp.abs(real - fake).max()

  spec = spec._replace(
    disc=types.Network(lambda key: ({'w': jnp.zeros(())}, {}), disc),
    loss=spec.loss._replace(disc=loss, gen=loss),
  )
  hyper = build.make_hyper(ring)
  state = build.init_state(spec, hyper, KEY)
  rounds = source.batch((), KEY, jnp.int32(0))
  for paired, least, most in ((True, 0, 0), (False, 1, 7)):
    step = steps.make_step(spec._replace(paired_labels=paired))
    _, logs = jax.jit(step)(state, hyper, rounds, draws.draw_step(spec, KEY))
    assert least <= float(logs['disc/loss']) <= most
    assert least <= float(logs['gen/loss']) <= most


def test_a_game_without_classes_has_no_labels(ring: configs.Config):
  ring.conditional = False
  source = build.make_source(ring, KEY)
  assert source.batch((), KEY, jnp.int32(0)).label is None
  assert build.make_spec(ring, source.info).latent(KEY, 2).label is None


def test_z_is_that_of_the_game_without_classes(ring: configs.Config):
  source = build.make_source(ring, KEY)
  asked = build.make_spec(ring, source.info).latent(KEY, 8)
  ring.conditional = False
  plain = build.make_spec(ring, source.info).latent(KEY, 8)
  np.testing.assert_array_equal(asked.z, plain.z)


@pytest.mark.parametrize('rule', names.RULES)
def test_every_rule_of_play_takes_labels(rule: str, ring: configs.Config):
  ring.rule.name = rule
  ring.penalties.r1.weight = ring.penalties.lecam.weight = 0.1
  ring.penalties.r1.every = 2
  state, logs = played(ring)
  assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(logs))
  assert int(state.step) == 1


def test_an_auxiliary_classifier_teaches_both(ring: configs.Config):
  ring.disc.net = mlp.DiscSettings(8, 1, conditioning='classifier')
  ring.penalties.acgan.weight = ring.penalties.acgan_gen.weight = 1.0
  state, logs = played(ring)
  # A new classifier knows nothing: -log 1/8 of each kind, or somewhat more.
  assert 2 * np.log(8) * 0.8 < float(logs['penalties/acgan']) < 9
  assert np.log(8) * 0.7 < float(logs['penalties/acgan_gen']) < 5
  assert state.disc.params['classifier']['kernel'].shape == (8, 8)


# What is looked at.


def test_asked_mode_by_hand():
  centres = jnp.array([[0.0, 0.0], [4.0, 0.0]])
  x = jnp.array([[0.1, 0], [3.0, 0], [1.0, 0], [4.0, 1]])
  samples = types.Batch(x, jnp.array([0, 1, 1, 0]))
  assert float(modes.asked_mode(samples, centres)) == 0.5


def by_class(inputs: metrics.Inputs) -> metrics.Inputs:
  """The same, with the figures of each class asked for."""
  facts = inputs.facts._replace(settings=configs.Eval(by_class=True))
  return inputs._replace(facts=facts)


def test_class_accuracy_counts_the_classes_made():
  metric = catalogue.METRICS['class_accuracy']
  num = {'generated': 5}
  facts = metrics.Facts(num, (8, 8, 1), configs.Eval(), logits=(4,))
  state = metric.init(facts)
  logits = np.eye(4, dtype=np.float32)[[0, 1, 2, 2, 1]]
  label = np.array([0, 1, 2, 0, 0])
  for part in (slice(0, 2), slice(2, 5)):
    seen = types.Features(np.zeros((len(label[part]), 1)), logits[part])
    block = metrics.Block(np.zeros((len(label[part]), 8, 8, 1)), label[part],
                         seen)  # fmt: skip
    state = metric.update(state, block)
  inputs = metrics.Inputs(facts, {'generated': state}, lambda: iter(()), KEY)
  assert metric.result(inputs) == {'class_accuracy': 3 / 5}
  # Of the last class no sample was asked for.
  expected = [3 / 5, 1 / 3, 1.0, 1.0, np.nan]
  found = metric.result(by_class(inputs))
  assert [*found] == [
    'class_accuracy',
    *(f'class_accuracy_{k}' for k in range(4)),
  ]
  np.testing.assert_array_equal([*found.values()], expected)


def test_the_distance_of_each_class_is_that_of_its_images():
  """Normal features: |m - m'|^2 + (s - s')^2 (Dowson & Landau 1982)."""
  metric = catalogue.METRICS['intra_fd']
  facts = metrics.Facts({}, (1, 1, 1), configs.Eval(), logits=(3,))

  def state(first: list[float], second: list[float]) -> object:
    x = np.array([*first, *second])[:, None]
    label = np.array([0] * len(first) + [1] * len(second))
    seen = types.Features(x, np.zeros((len(x), 3)))
    block = metrics.Block(np.zeros((len(x), 1, 1, 1)), label, seen)
    return metric.update(metric.init(facts), block)

  root = np.sqrt(2)
  states = {
    'real': state([-1.0, 1.0], [-root, root]),
    'generated': state([2.0, 4.0], [-2 * root, 2 * root]),
  }
  inputs = metrics.Inputs(facts, states, lambda: iter(()), KEY)
  found = metric.result(by_class(inputs))
  expected = [6.5, 9.0, 4.0, np.nan]
  np.testing.assert_allclose([*found.values()], expected, rtol=1e-5)
  assert metric.result(inputs)['intra_fd'] == pytest.approx(6.5, rel=1e-5)


def test_intra_fd_takes_the_classes_asked_for():
  metric = catalogue.METRICS['intra_fd']
  seen = types.Features(np.arange(4.0)[:, None], np.eye(4))
  block = metrics.Block(np.zeros((4, 1, 1, 1)), np.array([1, 1, 0, 0]), seen)
  facts = metrics.Facts({}, (1, 1, 1), configs.Eval())
  state = metric.update(metric.init(facts), block)
  assert state.moments.keys() == {0, 1}


def test_a_conditional_run_from_the_data_to_its_samples(
  digits: configs.Config, tmp_path: pathlib.Path
):
  """Trained, resumed, sampled by class, measured; the stamp says how."""
  workdir = tmp_path / 'run'
  train.train(digits, workdir)
  run = runs.load(workdir)
  assert len(run.info.class_shares) == 10
  assert sum(run.info.class_shares) == pytest.approx(1)
  labels = np.repeat(np.arange(10), 2)
  first = list(runs.samples(run, 20, seed=3, labels=labels))
  again = list(runs.samples(run, 20, seed=3, labels=labels[::-1].copy()))
  assert first[0].label.tolist() == labels.tolist()
  x, y = first[0].x, again[0].x
  assert x.shape == (20, 8, 8, 1)
  assert not np.allclose(x, y)
  assert runs.class_of(run, '7') == 7
  shares = (0.0, *run.info.class_shares[1:])
  gap = run._replace(info=run.info._replace(class_shares=shares))
  rows = runs.labels_of_each_class(gap, 2, 'per_class')
  assert rows.tolist() == labels.tolist()[2:]
  with pytest.raises(ValueError, match='=0: no sample of the data is of this'):
    runs.class_of(gap, '0')
  digits.eval.metrics = 'class_accuracy,intra_fd'
  digits.eval.by_class = True
  judge = evaluator.Evaluator(digits, run.spec, run.info)
  figures = judge.figures(run.state, KEY)
  assert 0 <= figures['class_accuracy_classifier'] <= 1
  assert figures['intra_fd_classifier'] == pytest.approx(
    np.mean([figures[f'intra_fd_{k}_classifier'] for k in range(10)])
  )
  assert [*figures] == judge.names
  assert judge.stamp()['labels'] == 'as the data have them'
  assert judge.stamp()['truncation'] == 'none'
  out = tmp_path / 'x.npz'
  done = programs.python(
    'experiments.sample', f'--workdir={workdir}', '--per_class=2',
    f'--out={out}',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  with np.load(out) as found:
    assert found['labels'].tolist() == labels.tolist()
    assert json.loads(str(found['stamp']))['labels'] == '2 of each class'
  for flags, message in (
    (('--class=cat',), 'no such class; there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9'),
    (('--class=1', '--per_class=2'), 'give one of them'),
    (('--truncation=0.5',), "gen.name='dcgan' has no truncation"),
  ):
    done = programs.python(
      'experiments.sample', f'--workdir={workdir}', f'--out={out}', *flags
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr


def test_resuming_a_conditional_run_changes_no_bit(
  ring: configs.Config, tmp_path: pathlib.Path
):
  train.train(ring, tmp_path / 'whole')
  ring.steps = 2
  train.train(ring, tmp_path / 'parts')
  ring.steps = 4
  train.train(ring, tmp_path / 'parts')
  whole, parts = (
    [
      {n: x for n, x in json.loads(line).items() if n.startswith(('g', 'd'))}
      for line in (tmp_path / n / 'metrics.jsonl').read_text().splitlines()
    ]
    for n in ('whole', 'parts')
  )
  assert whole == parts
  assert len(whole) == 3
  again = replay.last_steps(program.open_game(ring), tmp_path / 'whole')
  assert again.title.startswith('steps 3 to 4')
  assert again.differences
  assert not any(d.largest for d in again.differences)


def test_a_population_of_conditional_games(
  ring: configs.Config, tmp_path: pathlib.Path
):
  ring.population.seeds = 2
  figures = train.train(ring, tmp_path / 'run')
  assert 'asked_mode' in figures


# What is refused.


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'data.name': 'spiral'}, "data.name='spiral' has no labels"),
    ({'packing': 2}, 'samples of a conditional game are not packed'),
    ({'gen.name': 'maxout', 'gen.net': None},
     "gen.name='maxout' takes no labels; mlp, dcgan"),
    ({'gen.labels': 'even'}, 'there are data, uniform, paired'),
    ({'penalties.acgan.weight': 1.0}, 'D has no head for it'),
    ({'conditional': False, 'penalties.acgan_gen.weight': 1.0},
     'D has no head for it; .* disc.net.conditioning=.classifier'),
    ({'disc.net': mlp.DiscSettings(8, 1, conditioning='classifier')},
     'classifier.: nothing trains it'),
  ],
)  # fmt: skip
def test_what_cannot_be_conditional(
  change: dict[str, Any], message: str, ring: configs.Config
):
  for name, value in change.items():
    target: Any = ring
    *groups, last = name.split('.')
    for group in groups:
      target = getattr(target, group)
    setattr(target, last, value)
  checks.validate(ring)
  with pytest.raises(ValueError, match=message):
    build.make_spec(ring, build.make_source(ring, KEY).info)


def test_what_cannot_be_truncated_is_refused_at_the_start(ring: configs.Config):
  ring.eval.truncation = 0.5
  message = r"eval\.truncation=0\.5: gen\.name='mlp' has no truncation"
  with pytest.raises(ValueError, match=message):
    program.open_game(ring)


def test_a_truncation_of_zero(digits: configs.Config):
  """Leaves the mean image of a style network, and no latent of the others."""
  digits.data.size = 32
  digits.gen = configs.Gen('stylegan2', latent='normal')
  digits.disc = configs.Disc('stylegan2')
  digits.eval.truncation = 0.0
  game = program.open_game(digits)
  stamp = evaluator.generator_stamp(digits, game.spec)
  assert stamp['truncation'] == 'w 0.0'
  digits.gen.name = digits.disc.name = 'biggan'
  with pytest.raises(ValueError, match=r'truncation=0\.0: no \|z\| is below'):
    program.open_game(digits)


def test_class_accuracy_needs_a_conditional_game(digits: configs.Config):
  digits.eval.metrics = 'class_accuracy'
  whole = sets.Images(
    10, (8, 8, 1), lambda a, b: (np.zeros((b - a, 8, 8, 1), np.uint8), None)
  )
  with pytest.raises(ValueError, match='of a game with conditional=True'):
    comparison.Comparison(
      digits.eval, comparison.Generated(10, (8, 8, 1)),
      comparison.Sets(whole, whole, None, {}), lambda: None,
    )  # fmt: skip
