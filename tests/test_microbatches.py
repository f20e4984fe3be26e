"""An update that goes through its batch in parts is that of the whole batch."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_steps import LINE, keyed_step, start, train_step

from gan_jax import types
from gan_jax.config import checks, fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import augment, draws, rules
from gan_jax.networks import dcgan, mlp, stylegan2

IMAGES = sources.Info(kind='images', shape=(8, 8, 1))


@pytest.fixture
def game(tiny: configs.Config) -> configs.Config:
  """Whose updates show every gradient as it is."""
  tiny.optim.gen.name = tiny.optim.disc.name = 'sgd'
  tiny.optim.gen.learning_rate = tiny.optim.disc.learning_rate = 0.5
  tiny.penalties.r1.weight = tiny.penalties.r2.weight = 0.5
  return tiny


@pytest.mark.parametrize(
  ('loss', 'fields'),
  [
    ('non_saturating', {'packing': 2}),
    ('hinge', {'gen_batches': 3, 'nonfinite': 'skip'}),
    # Pairs of a real and a generated sample stay together.
    ('relativistic_paired', {'disc_steps': 2, 'gen_steps': 2}),
    ('relativistic_paired', {'latents': 'shared'}),
  ],
)
def test_a_step_is_that_of_whole_batches(
  loss: str, fields: dict[str, Any], game: configs.Config
):
  game.loss = loss
  for name, value in fields.items():
    setattr(game, name, value)
  game.conditional, game.gen.labels = game.packing == 1, 'data'
  info = LINE._replace(class_shares=(0.25,) * 4)
  found = []
  for count in (1, 4):
    game.microbatches = count
    spec, hyper, state, batch = start(game, info)
    if game.conditional:
      label = jax.random.randint(jax.random.key(3), batch.x.shape[:2], 0, 4)
      batch = batch._replace(label=label)
    found.append(train_step(spec)(state, hyper, batch, jax.random.key(2)))
    moved = optax.tree.sub(found[-1][0].disc.params, state.disc.params)
    assert optax.tree.norm(moved) > 0.01
  whole, in_parts = found
  chex.assert_trees_all_close(in_parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('rule', ['simultaneous', 'extragradient', 'lookahead'])
def test_rules_follow_the_same_gradients(rule: str, game: configs.Config):
  game.rule.name = rule
  ends = []
  for count in (1, 2):
    game.microbatches = count
    spec, hyper, state, batch = start(game, LINE)
    ends.append(train_step(spec)(state, hyper, batch, jax.random.key(2)))
  chex.assert_trees_all_close(*ends, rtol=1e-5, atol=1e-6)


def test_each_part_goes_on_with_what_the_last_one_carried():
  """x -> 2 x + number, and the mean of number x params^2 of x before."""

  def of(number: jax.Array) -> rules.Loss:
    def loss(params: types.Pair, carried: types.Pair) -> Any:
      value = number * carried.disc * params.disc**2
      return value, (2 * carried.disc + number, {'seen': carried.disc})

    return loss

  parts = rules.Parts(of, 3, 'disc')
  params = types.Pair(jnp.float32(1.0), jnp.float32(2.0))
  carried = types.Pair((), jnp.float32(1.0))
  # Before the parts 0, 1, 2 it is 1, 2, 5, and 12 in the end.
  mean = (0 * 1 + 1 * 2 + 2 * 5) / 3
  value, (on, logs) = parts(params, carried)
  assert (value, on) == (pytest.approx(mean * 4), 12)
  assert logs['seen'] == pytest.approx(8 / 3)
  grads, _ = rules.vector_field(
    rules.Losses((lambda *_: (0.0 * params.gen, ((), {})),), (parts,)),
    params,
    carried,
  )
  assert grads.disc == pytest.approx(mean * 2 * 2.0)


def test_statistics_are_of_each_part_in_turn(game: configs.Config):
  """The running mean of G's first layer, by hand."""
  game.gen.net = mlp.GenSettings(width=8, depth=1, batch_norm=True)
  game.microbatches = 4
  spec, hyper, state, batch = start(game, LINE)
  key = jax.random.key(2)
  after, _ = train_step(spec)(state, hyper, batch, key)
  z = draws.draw_step(spec, key).gen[0].latent.z
  hidden = z @ state.gen.params['Dense_0']['kernel']
  (first,) = state.gen.vars['batch_stats'].values()
  (last,) = after.gen.vars['batch_stats'].values()
  momentum = game.gen.net.norm_momentum
  expected = first['mean']
  for i in range(4):
    of_part = hidden[i::4].mean(axis=0)
    expected = momentum * expected + (1 - momentum) * of_part
  np.testing.assert_allclose(last['mean'], expected, rtol=1e-4, atol=1e-6)
  assert spec.part_samples == 2


def test_parts_have_draws_of_their_own(game: configs.Config):
  spec, *_ = start(game, LINE)
  whole = draws.draw_step(spec, jax.random.key(0)).disc[0]
  parts = [draws.part(whole, jnp.int32(i), 4) for i in range(4)]
  z = np.stack([part.latent.z for part in parts], axis=1).reshape(8, -1)
  np.testing.assert_array_equal(z, whole.latent.z)
  keys = [jax.random.key_data(key).tolist() for p in parts for key in p.keys]
  assert len(set(map(tuple, keys))) == len(keys)


def test_the_strength_of_augmentations_moves_as_of_whole_batches(
  game: configs.Config,
):
  """At each second update, by as many samples."""
  game.augment.policy, game.augment.adapt = 'ada.b', 'sign'
  game.augment.p, game.augment.interval = 0.9, 2
  game.augment.speed_kimg = 0.1
  game.gen.net = mlp.GenSettings(width=8, depth=1)
  ends = []
  for count in (1, 4):
    game.microbatches = count
    spec, hyper, state, batch = start(game, IMAGES)
    # A target beyond all that D can be sure of, so that p falls.
    hyper = {**hyper, 'augment.target': jnp.float32(2.0)}
    step, moved = train_step(spec), []
    for i in range(4):
      state, _ = step(state, hyper, batch, jax.random.key(i))
      moved.append(float(augment.strength(state.memory['augment'], hyper)))
    ends.append(moved)
  np.testing.assert_allclose(ends[1], ends[0], rtol=1e-6)
  np.testing.assert_allclose(ends[0], [0.9, 0.74, 0.74, 0.58], rtol=1e-5)


def test_one_part_alone_is_in_memory():
  """Of a step's intermediate results, by the compiler's own count."""
  config = configs.Config(batch_size=64)
  config.gen.name = config.disc.name = 'dcgan'
  config.gen.net = dcgan.GenSettings(width=32)
  config.disc.net = dcgan.DiscSettings(width=32)
  config.penalties.r1.weight = 1.0
  sizes = []
  for count in (1, 8):
    config.microbatches = count
    spec = build.make_spec(config, IMAGES._replace(shape=(32, 32, 3)))
    hyper = build.make_hyper(config)
    state = jax.eval_shape(
      lambda spec=spec, hyper=hyper: build.init_state(
        spec, hyper, jax.random.key(0)
      )
    )
    batch = types.Batch(jax.ShapeDtypeStruct((1, 64, 32, 32, 3), jnp.float32))
    compiled = (
      jax.jit(keyed_step(spec))
      .lower(state, hyper, batch, jax.random.key(0))
      .compile()
    )
    sizes.append(compiled.memory_analysis().temp_size_in_bytes)
  assert sizes[1] < 0.35 * sizes[0]


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'microbatches': 3}, 'microbatches=3: must divide batch_size=8'),
    (
      {'microbatches': 2, 'rule': configs.Rule(name='unrolled')},
      "microbatches=2: rule.name='unrolled' differentiates through gradients",
    ),
    ({'microbatches': 0}, 'microbatches=0'),
  ],
)
def test_refusals(fields: dict[str, Any], message: str, tiny: configs.Config):
  for name, value in fields.items():
    setattr(tiny, name, value)

  def make() -> None:
    checks.validate(tiny)
    build.make_spec(tiny, LINE)

  with pytest.raises(ValueError, match=message):
    make()


def test_groups_are_within_a_part():
  config = configs.Config(batch_size=12)
  config.gen.name = config.disc.name = 'stylegan2'
  config.gen.net = stylegan2.GenSettings(width=8)
  config.disc.net = stylegan2.DiscSettings(width=8, mbstd_group=4)
  build.make_spec(config, IMAGES)
  config.microbatches = 2
  with pytest.raises(ValueError, match=r'mbstd_group=4: .* of 6 samples'):
    build.make_spec(config, IMAGES)
