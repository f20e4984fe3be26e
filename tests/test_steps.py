"""Who learns from what: the contracts of the two losses and of the step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import (
  draws,
  objectives,
  penalties,
  spec as specs,
  state as states,
  steps,
)

IMAGES = sources.Info(kind='images', shape=(4, 4, 1))
LINE = sources.Info(kind='density', shape=(1,), mean=(4.0,), std=(0.5,))
NO_AVERAGES = penalties.LogitAverages(jnp.zeros(()), jnp.zeros(()))


def image_game(**fields: object) -> configs.Config:
  """Both players with batch normalisation."""
  config = configs.Config(batch_size=4, **fields)  # type: ignore[arg-type]
  config.gen = configs.Gen(latent_dim=3, width=8, depth=1, batch_norm=True)
  config.disc = configs.Disc(width=8, depth=1, batch_norm=True)
  return config


def start(
  config: configs.Config, info: sources.Info
) -> tuple[specs.Spec, types.Hyper, states.GanState, types.Batch]:
  spec = build.make_spec(config, info)
  hyper = build.make_hyper(config)
  init = jax.jit(functools.partial(build.init_state, spec))
  state = init(hyper, jax.random.key(0))
  size = build.samples_per_step(config)
  x = jax.random.normal(jax.random.key(1), (size, *info.shape))
  batch = types.Batch(x.reshape(-1, spec.batch_size, *info.shape))
  return spec, hyper, state, batch


def train_step(spec: specs.Spec) -> steps.TrainStep:
  return jax.jit(steps.make_train_step(spec))


def all_zero(tree: types.PyTree) -> bool:
  return all(bool((x == 0).all()) for x in jax.tree.leaves(tree))


def any_nonzero_each(tree: types.PyTree) -> bool:
  """Whether most leaves have a gradient (a bias before BN has none)."""
  alive = [bool((x != 0).any()) for x in jax.tree.leaves(tree)]
  return sum(alive) > len(alive) / 2


def identical(a: types.PyTree, b: types.PyTree) -> bool:
  return all(
    bool((x == y).all())
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


@pytest.mark.parametrize('loss', build.LOSSES)
def test_each_loss_moves_its_own_player_only(loss: str):
  config = image_game(loss=loss)
  config.penalties.r1.weight = config.penalties.r2.weight = 1.0
  spec, hyper, state, batch = start(config, IMAGES)
  real = jax.tree.map(lambda x: x[0], batch)
  keys = draws.split_keys(jax.random.key(2))
  z = spec.latent(keys.latents, spec.batch_size)
  gen, disc = state.gen, state.disc

  disc_loss = functools.partial(
    objectives.discriminator_loss,
    spec=spec, hyper=hyper, step=state.step, averages=NO_AVERAGES,
  )  # fmt: skip
  (own, other), _ = jax.jit(jax.grad(disc_loss, (0, 1), has_aux=True))(
    disc.params, gen.params, disc.vars, gen.vars, real, z, keys
  )
  assert any_nonzero_each(own)
  assert all_zero(other)

  gen_loss = functools.partial(objectives.generator_loss, spec=spec)
  (own, other), _ = jax.jit(jax.grad(gen_loss, (0, 1), has_aux=True))(
    gen.params, disc.params, gen.vars, disc.vars, real, z, keys
  )
  assert any_nonzero_each(own)
  assert all_zero(other)


def test_a_step_leaves_the_other_half_bit_for_bit():
  """Parameters, optimiser and batch statistics."""
  spec, hyper, state, batch = start(image_game(), IMAGES)
  real = jax.tree.map(lambda x: x[0], batch)
  keys = draws.split_keys(jax.random.key(3))
  z = spec.latent(keys.latents, spec.batch_size)
  after_gen, _ = jax.jit(functools.partial(steps.generator_step, spec=spec))(
    state, hyper, real, z, keys
  )
  assert identical(after_gen.disc, state.disc)
  assert not identical(after_gen.gen.params, state.gen.params)
  assert not identical(after_gen.gen.vars, state.gen.vars)
  after_disc, _ = jax.jit(
    functools.partial(steps.discriminator_step, spec=spec)
  )(state, hyper, real, z, keys, count=jnp.int32(1))
  assert identical(after_disc.gen, state.gen)
  assert identical(after_disc.gen_ema, state.gen_ema)
  assert not identical(after_disc.disc.params, state.disc.params)
  assert not identical(after_disc.disc.vars, state.disc.vars)


def test_disc_vars_come_from_real_then_fake():
  """Two updates with momentum .9 of flax's running mean, by hand."""
  spec, hyper, state, batch = start(image_game(), IMAGES)
  key = jax.random.key(4)
  new, _ = train_step(spec)(state, hyper, batch, key)
  keys = draws.split_keys(jax.random.split(key, 2)[1])
  z = spec.latent(keys.latents, 4)
  fake, _ = spec.gen.apply(
    state.gen.params, state.gen.vars, z, labels=None, key=key, train=True
  )
  vars = state.disc.vars
  for x in (batch.x[0], fake):
    _, vars = spec.disc.apply(
      state.disc.params, vars, x, labels=None, key=key, train=True
    )
  for ours, expected in zip(
    jax.tree.leaves(new.disc.vars), jax.tree.leaves(vars), strict=True
  ):
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)


def test_d_first_then_g_with_the_new_d(tiny: configs.Config):
  """One step equals the two updates written out with optax."""
  tiny.optim.gen.learning_rate = tiny.optim.disc.learning_rate = 0.1
  tiny.optim.gen.name = tiny.optim.disc.name = 'sgd'
  spec, hyper, state, batch = start(tiny, LINE)
  key = jax.random.key(5)
  new, logs = train_step(spec)(state, hyper, batch, key)

  gen_key, disc_key = jax.random.split(key)
  keys = draws.split_keys(disc_key)

  def logits(disc_params: types.PyTree, x: jax.Array) -> jax.Array:
    y, _ = spec.disc.apply(disc_params, {}, x, labels=None, key=key, train=True)
    return y

  def fakes(gen_params: types.PyTree, key: jax.Array) -> jax.Array:
    z = spec.latent(key, 8)
    x, _ = spec.gen.apply(gen_params, {}, z, labels=None, key=key, train=True)
    return x

  def d_loss(disc_params: types.PyTree) -> jax.Array:
    real = jax.nn.log_sigmoid(logits(disc_params, batch.x[0]))
    x = fakes(state.gen.params, keys.latents)
    return -(real + jax.nn.log_sigmoid(-logits(disc_params, x))).mean()

  loss, grads = jax.value_and_grad(d_loss)(state.disc.params)
  assert logs['disc/loss'] == pytest.approx(float(loss), rel=1e-5)
  disc = jax.tree.map(lambda p, g: p - 0.1 * g, state.disc.params, grads)

  def g_loss(gen_params: types.PyTree) -> jax.Array:
    x = fakes(gen_params, draws.split_keys(gen_key).latents)
    return -jax.nn.log_sigmoid(logits(disc, x)).mean()

  loss, grads = jax.value_and_grad(g_loss)(state.gen.params)
  assert logs['gen/loss'] == pytest.approx(float(loss), rel=1e-5)
  gen = jax.tree.map(lambda p, g: p - 0.1 * g, state.gen.params, grads)
  for ours, expected in ((new.disc.params, disc), (new.gen.params, gen)):
    for a, b in zip(
      jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True
    ):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('disc_steps', [1, 3])
def test_schedules_and_ema_count_generator_steps(
  tiny: configs.Config, disc_steps: int
):
  tiny.disc_steps = disc_steps
  tiny.optim.gen.learning_rate_schedule = configs.Schedule(
    'linear', final=0.0, begin=0, end=1
  )
  spec, hyper, state, batch = start(tiny, LINE)
  step = train_step(spec)
  first, _ = step(state, hyper, batch, jax.random.key(6))
  # The first update's average is the parameters, not the initial ones.
  assert identical(first.gen_ema, first.gen.params)
  assert not identical(first.gen.params, state.gen.params)
  second, _ = step(first, hyper, batch, jax.random.key(7))
  assert second.step == 2
  # The rate is 0 from the second step on, however many D steps there were.
  assert identical(second.gen.params, first.gen.params)


def test_fresh_and_shared_latents(tiny: configs.Config):
  """Recorded through the latent function itself."""
  for latents, expected in (('fresh', 3), ('shared', 2)):
    tiny.latents, tiny.disc_steps = latents, 2
    spec, hyper, state, batch = start(tiny, LINE)
    seen = []

    def record(key: jax.Array, n: int, seen=seen, draw=spec.latent):
      seen.append(jax.random.key_data(key).tolist())
      return draw(key, n)

    passed = []

    def apply(params, vars, z, *, key, passed=passed, gen=spec.gen, **rest):
      passed.append((np.asarray(z), jax.random.key_data(key).tolist()))
      return gen.apply(params, vars, z, key=key, **rest)

    gen = spec.gen._replace(apply=apply)
    step = steps.make_train_step(spec._replace(latent=record, gen=gen))
    step(state, hyper, batch, jax.random.key(8))
    assert len(seen) == len({tuple(key) for key in seen}) == expected
    # G's own pass is that of the last D step, or like none of them.
    (first, *_), (last, key), (own, own_key) = passed
    shares = latents == 'shared'
    assert np.array_equal(own, last) == (own_key == key) == shares
    assert not np.array_equal(own, first)


def test_no_key_is_used_twice():
  keys = draws.split_keys(jax.random.key(9))
  assert len({tuple(jax.random.key_data(k).tolist()) for k in keys}) == len(
    keys
  )


def test_lazy_penalty_keeps_its_mean(tiny: configs.Config):
  tiny.penalties.r1 = configs.Penalty(weight=2.0, every=4)
  spec, hyper, state, batch = start(tiny, LINE)
  keys = draws.split_keys(jax.random.key(10))
  z = spec.latent(keys.latents, spec.batch_size)
  real = jax.tree.map(lambda x: x[0], batch)
  values = []
  for step in range(8):
    _, (_, logs) = objectives.discriminator_loss(
      state.disc.params, state.gen.params, {}, {}, real, z, keys,
      spec=spec, hyper=hyper, step=jnp.int32(step), averages=NO_AVERAGES,
    )  # fmt: skip
    values.append(float(logs['penalties/r1']))
  tiny.penalties.r1.every = 1
  spec = build.make_spec(tiny, LINE)
  _, (_, logs) = objectives.discriminator_loss(
    state.disc.params, state.gen.params, {}, {}, real, z, keys,
    spec=spec, hyper=hyper, step=jnp.int32(1), averages=NO_AVERAGES,
  )  # fmt: skip
  assert [value != 0 for value in values] == [True, False, False, False] * 2
  assert np.mean(values) == pytest.approx(float(logs['penalties/r1']), rel=1e-5)


def test_packing_joins_samples_of_one_kind(tiny: configs.Config):
  x = jnp.arange(12.0).reshape(6, 2)
  packed = objectives.pack(x, 3)
  assert packed.shape == (2, 6)
  assert sorted(packed.reshape(-1).tolist()) == list(range(12))
  tiny.packing = 2
  spec, hyper, state, batch = start(tiny, LINE)
  assert batch.x.shape == (1, 16, 1)
  kernel = state.disc.params['Dense_0']['kernel']
  assert kernel.shape == (2, 8)
  new, logs = train_step(spec)(state, hyper, batch, jax.random.key(0))
  assert new.step == 1
  assert jnp.isfinite(logs['disc/loss'])


def test_numbers_vary_under_vmap(tiny: configs.Config):
  """Members with different rates, one program: each as if run alone."""
  tiny.penalties.r1.weight = 0.1
  spec, hyper, state, batch = start(tiny, LINE)
  step = train_step(spec)
  rates = jnp.array([1e-3, 1e-2])
  key = jax.random.key(11)

  def member(rate: jax.Array) -> states.GanState:
    return step(state, {**hyper, 'optim.gen.learning_rate': rate}, batch, key)[
      0
    ]

  together = jax.vmap(member)(rates)
  for i, rate in enumerate(rates):
    alone = member(rate)
    for a, b in zip(
      jax.tree.leaves(together.gen.params),
      jax.tree.leaves(alone.gen.params),
      strict=True,
    ):
      np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-6)


def test_lecam_averages_follow_the_logits(tiny: configs.Config):
  tiny.penalties.lecam.weight = 0.3
  spec, hyper, state, batch = start(tiny, LINE)
  new, logs = train_step(spec)(state, hyper, batch, jax.random.key(0))
  # After one update the average is the first value.
  assert new.extra['lecam'].real == pytest.approx(float(logs['disc/real']))
  assert new.extra['lecam'].fake == pytest.approx(float(logs['disc/fake']))
