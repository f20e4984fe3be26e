"""Who learns from what: the contracts of the two losses and of the step."""

import functools
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build, names
from gan_jax.game import (
  draws,
  objectives,
  sampling,
  spec as specs,
  state as states,
  steps,
  terms,
)
from gan_jax.networks import adapter, mlp

IMAGES = sources.Info(kind='images', shape=(4, 4, 1))
LINE = sources.Info(kind='density', shape=(1,), mean=(4.0,), std=(0.5,))


def image_game(**fields: object) -> configs.Config:
  """Both players with batch normalisation."""
  config = configs.Config(batch_size=4, **fields)  # type: ignore[arg-type]
  config.gen.latent_dim = 3
  config.gen.net = mlp.GenSettings(width=8, depth=1, batch_norm=True)
  config.disc.net = mlp.DiscSettings(width=8, depth=1, batch_norm=True)
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
  batch = types.Batch(x.reshape(-1, spec.batch_samples, *info.shape))
  return spec, hyper, state, batch


def keyed_step(spec: specs.Spec) -> Any:
  """`step(state, hyper, batch, key)`, which draws by itself."""
  step = steps.make_step(spec)
  return lambda state, hyper, batch, key: step(
    state, hyper, batch, draws.draw_step(spec, key)
  )


def train_step(spec: specs.Spec) -> Any:
  return jax.jit(keyed_step(spec))


def drawn(spec: specs.Spec, key: jax.Array) -> draws.UpdateDraw:
  keys = draws.split_keys(key)
  return draws.UpdateDraw(spec.latent(keys.latents, spec.batch_samples), keys)


def both(state: states.GanState) -> tuple[types.Pair, types.Pair]:
  """Parameters and `vars` of both players."""
  return (
    types.Pair(state.gen.params, state.disc.params),
    types.Pair(state.gen.vars, state.disc.vars),
  )


def all_zero(tree: types.PyTree) -> bool:
  return all(bool((x == 0).all()) for x in jax.tree.leaves(tree))


def zero_leaves(tree: types.PyTree) -> set[str]:
  """The names of the leaves that are all zero."""
  return {
    jax.tree_util.keystr(path, simple=True, separator='/')
    for path, x in jax.tree_util.tree_leaves_with_path(tree)
    if bool((x == 0).all())
  }


def identical(a: types.PyTree, b: types.PyTree) -> bool:
  return all(
    bool((x == y).all())
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


@pytest.mark.parametrize('loss', sorted(names.LOSSES.keys() - {'none'}))
def test_each_loss_moves_its_own_player_only(loss: str):
  config = image_game(loss=loss)
  config.penalties.r1.weight = config.penalties.r2.weight = 1.0
  config.penalties.orthogonal.weight = 1.0
  spec, hyper, state, batch = start(config, IMAGES)
  real = jax.tree.map(lambda x: x[0], batch)
  params, vars = both(state)
  draw = drawn(spec, jax.random.key(2))
  now = states.StepContext(hyper, state.step, state.memory)

  def grads(fn: Any, *of: types.PyTree) -> tuple[types.PyTree, types.PyTree]:
    def loss(own: types.PyTree, other: types.PyTree) -> Any:
      return objectives.frozen(fn)(own, other, vars, real, draw, now, spec)

    found: Any = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(*of)
    return found[0]

  own, other = grads(objectives.discriminator_loss, params.disc, params.gen)
  # What batch normalisation takes off again; and where only differences of
  # logits count, the bias that is added to all of them.
  exempt = {'Dense_0/bias'}
  differences = 'wasserstein', 'relativistic_average', 'relativistic_paired'
  last = {'Dense_1/bias'} if loss in differences else set()
  assert zero_leaves(rounded(own)) == exempt | last
  assert all_zero(other)
  own, other = grads(objectives.generator_loss, params.gen, params.disc)
  assert zero_leaves(rounded(own)) == exempt
  assert all_zero(other)


def rounded(grads: types.PyTree) -> types.PyTree:
  """Zero where rounding alone is left."""
  return jax.tree.map(lambda g: jnp.where(abs(g) < 1e-6, 0.0, g), grads)


def test_a_loss_that_is_not_frozen_reaches_the_other_player():
  spec, hyper, state, batch = start(image_game(), IMAGES)
  real = jax.tree.map(lambda x: x[0], batch)
  params, vars = both(state)
  rest = (
    vars, real, drawn(spec, jax.random.key(2)),
    states.StepContext(hyper, state.step, state.memory), spec,
  )  # fmt: skip
  grad = jax.grad(lambda gen: objectives.discriminator_loss(
    params.disc, gen, *rest)[0])  # fmt: skip
  assert zero_leaves(rounded(grad(params.gen))) == {'Dense_0/bias'}


def test_an_update_leaves_the_other_half_bit_for_bit():
  """Parameters, optimiser and batch statistics, where one player stands still.

  G's update alone, by a rate of 0 for D, and the reverse.
  """
  config = image_game()
  config.optim.gen.name = config.optim.disc.name = 'sgd'
  spec, hyper, state, batch = start(config, IMAGES)
  step = train_step(spec)
  for still, moving in (('gen', 'disc'), ('disc', 'gen')):
    numbers = {**hyper, f'optim.{still}.learning_rate': jnp.float32(0.0)}
    new, _ = step(state, numbers, batch, jax.random.key(3))
    stands, moves = getattr(new, still), getattr(new, moving)
    assert identical(stands.params, getattr(state, still).params)
    assert not identical(moves.params, getattr(state, moving).params)
    assert not identical(moves.vars, getattr(state, moving).vars)


def test_each_loss_writes_its_own_vars_only():
  """Of G's update the new statistics are G's, and of D's update D's."""
  spec, hyper, state, batch = start(image_game(), IMAGES)
  real = jax.tree.map(lambda x: x[0], batch)
  params, vars = both(state)
  draw = drawn(spec, jax.random.key(3))
  now = states.StepContext(hyper, state.step, state.memory)
  for loss, own, other, player in (
    (objectives.generator_loss, params.gen, params.disc, 'gen'),
    (objectives.discriminator_loss, params.disc, params.gen, 'disc'),
  ):
    _, (carried, _) = loss(own, other, vars, real, draw, now, spec)
    before = getattr(vars, player)
    chex.assert_trees_all_equal_structs(carried.vars, before)
    assert not identical(carried.vars, before)


def test_disc_vars_come_from_real_then_fake():
  """Two updates with momentum .9 of flax's running mean, by hand."""
  spec, hyper, state, batch = start(image_game(), IMAGES)
  key = jax.random.key(4)
  new, _ = train_step(spec)(state, hyper, batch, key)
  latent = drawn(spec, jax.random.split(key, 2)[1]).latent
  fake, _ = spec.gen.apply(
    state.gen.params, state.gen.vars, latent, key=key, mode=types.TRAIN
  )
  vars = state.disc.vars
  for x in (batch.x[0], fake):
    _, vars = spec.disc.apply(
      state.disc.params, vars, types.Batch(x), key=key, mode=types.TRAIN
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
    return spec.disc.apply(
      disc_params, {}, types.Batch(x), key=key, mode=types.TRAIN
    )[0]

  def fakes(gen_params: types.PyTree, key: jax.Array) -> jax.Array:
    latent = spec.latent(key, 8)
    return spec.gen.apply(gen_params, {}, latent, key=key, mode=types.TRAIN)[0]

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
  tiny.schedules['optim.gen.learning_rate'] = configs.Schedule(end=1)
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
  for latents, expected in (('fresh', 4), ('shared', 2), ('shared_pass', 2)):
    tiny.latents, tiny.disc_steps, tiny.gen_steps = latents, 2, 2
    spec, hyper, state, batch = start(tiny, LINE)
    seen = []

    def record(key: jax.Array, n: int, seen=seen, draw=spec.latent):
      seen.append(jax.random.key_data(key).tolist())
      return draw(key, n)

    passed = []

    def apply(params, vars, latent, *, key, mode, passed=passed, gen=spec.gen):
      passed.append((np.asarray(latent.z), jax.random.key_data(key).tolist()))
      return gen.apply(params, vars, latent, key=key, mode=mode)

    gen = spec.gen._replace(apply=apply)
    step = keyed_step(spec._replace(latent=record, gen=gen))
    step(state, hyper, batch, jax.random.key(8))
    assert len(seen) == len({tuple(key) for key in seen}) == expected
    # G's own passes are that of the last D step, or like none of them.
    (first, *_), (last, key), (own, own_key), (again, again_key) = passed
    shares = latents != 'fresh'
    assert np.array_equal(own, last) == (own_key == key) == shares
    assert np.array_equal(own, again) == (own_key == again_key) == shares
    assert not np.array_equal(own, first)


def test_one_pass_of_d_serves_both_players(tiny: configs.Config):
  """Its dropout, noise and augmentation are those of D's last update."""
  for latents, same in (
    ('fresh', set()),
    ('shared', {'gen'}),
    (
      'shared_pass',
      {'gen', 'disc_real', 'disc_fake', 'augment_real', 'augment_fake'},
    ),
  ):
    tiny.latents, tiny.disc_steps, tiny.gen_steps = latents, 2, 2
    spec, *_ = start(tiny, LINE)
    draw = draws.draw_step(spec, jax.random.key(8))
    for own in draw.gen:
      found = {
        name
        for name, key in own.keys._asdict().items()
        if key == getattr(draw.disc[-1].keys, name)
      }
      assert found == same


def test_larger_batches_of_g(tiny: configs.Config):
  """Its loss is of twice as many fakes; D's update stays."""
  tiny.loss = 'hinge'
  losses = []
  for batches in (1, 2):
    tiny.gen_batches = batches
    spec, hyper, state, batch = start(tiny, LINE)
    draw = draws.draw_step(spec, jax.random.key(8))
    assert len(draw.gen[0].latent.z) == batches * tiny.batch_size
    after, logs = steps.make_step(spec)(state, hyper, batch, draw)
    losses.append(logs['disc/loss'])
    x, _ = spec.gen.apply(
      state.gen.params,
      {},
      draw.gen[0].latent,
      key=jax.random.key(0),
      mode=types.TRAIN,
    )
    logits, _ = spec.disc.apply(
      after.disc.params,
      {},
      types.Batch(x),
      key=jax.random.key(0),
      mode=types.TRAIN,
    )
    np.testing.assert_allclose(logs['gen/loss'], -logits.mean(), rtol=1e-5)
  assert losses[0] == losses[1]


@pytest.mark.parametrize(
  ('field', 'value'),
  [('loss', 'relativistic_paired'), ('latents', 'shared')],
)
def test_larger_batches_of_g_have_no_pairs(
  tiny: configs.Config, field: str, value: str
):
  tiny.gen_batches = 2
  setattr(tiny, field, value)
  with pytest.raises(
    ValueError, match=f"gen_batches=2: {field}='{value}' takes"
  ):
    build.make_spec(tiny, LINE)


def test_no_two_uses_share_a_key(tiny: configs.Config):
  """Every key that reaches a draw in a step, by who used it and for what."""
  tiny.disc_steps = 2
  for name in ('r1', 'wgan_gp', 'dragan'):
    getattr(tiny.penalties, name).weight = 1.0
  # Not homogeneous, so that input gradients are a pass of their own.
  tiny.disc.activation = 'tanh'
  spec, hyper, state, batch = start(tiny, LINE)
  uses: dict[tuple[int, ...], set[str]] = {}

  def record(key: jax.Array, use: str) -> None:
    uses.setdefault(tuple(jax.random.key_data(key).tolist()), set()).add(use)

  def latent(key: jax.Array, n: int) -> types.Latent:
    record(key, 'latents')
    return spec.latent(key, n)

  def noted(network: types.Network, name: str) -> types.Network:
    def wrapped(method: types.Apply) -> types.Apply:
      def apply(params, vars, input, *, key, mode):
        record(key, f'{name}, {"own" if mode.update_vars else "other"} update')
        return method(params, vars, input, key=key, mode=mode)

      return apply

    methods = {name: wrapped(m) for name, m in network.methods.items()}
    return network._replace(apply=wrapped(network.apply), methods=methods)

  def term(name: str, value: terms.Term) -> terms.Term:
    def noted_value(update: terms.Update) -> jax.Array:
      record(update.key, f'term {name}')
      return value.value(update)

    return value._replace(value=noted_value)

  recorded = spec._replace(
    latent=latent,
    gen=noted(spec.gen, 'G'),
    disc=noted(spec.disc, 'D'),
    terms=types.Pair({}, {n: term(n, t) for n, t in spec.terms.disc.items()}),
  )
  draw = draws.draw_step(recorded, jax.random.key(9))
  with jax.disable_jit():
    steps.make_step(recorded)(state, hyper, batch, draw)
  assert all(len(found) == 1 for found in uses.values()), uses
  # Three updates: latents; G; D on real and fake, and in D's own two updates
  # its input gradients and three terms.
  assert len(uses) == 3 + 3 + 3 * 2 + 2 + 2 * 3


def test_lazy_penalty_keeps_its_mean(tiny: configs.Config):
  tiny.penalties.r1 = configs.Penalty(weight=2.0, every=4)
  spec, hyper, state, batch = start(tiny, LINE)
  real = jax.tree.map(lambda x: x[0], batch)
  params, vars = both(state)
  draw = drawn(spec, jax.random.key(10))

  def penalty(spec: specs.Spec, step: int) -> float:
    now = states.StepContext(hyper, jnp.int32(step), state.memory)
    _, (_, logs) = objectives.discriminator_loss(
      params.disc, params.gen, vars, real, draw, now, spec
    )
    return float(logs['penalties/r1'])

  lazy = [penalty(spec, step) for step in range(8)]
  tiny.penalties.r1.every = 1
  always = penalty(build.make_spec(tiny, LINE), 1)
  assert [value != 0 for value in lazy] == [True, False, False, False] * 2
  assert np.mean(lazy) == pytest.approx(always, rel=1e-5)


def test_a_lazy_term_remembers_what_it_saw(tiny: configs.Config):
  """Its memory moves where it is applied, and stands in between."""
  tiny.penalties.lecam = configs.LeCam(weight=0.3, every=2)
  spec, hyper, state, batch = start(tiny, LINE)
  step, found = train_step(spec), []
  for i in range(4):
    state, _ = step(state, hyper, batch, jax.random.key(i))
    found.append(int(state.memory['lecam'].updates))
  assert found == [1, 1, 2, 2]


def test_a_term_of_g_adds_to_its_loss_alone(tiny: configs.Config):
  """Orthogonal regularisation, by numpy."""
  spec, hyper, state, batch = start(tiny, LINE)
  _, plain = train_step(spec)(state, hyper, batch, jax.random.key(0))
  tiny.penalties.orthogonal.weight = 0.5
  tiny.optim.gen.learning_rate = tiny.optim.disc.learning_rate = 0.0
  spec, hyper, state, batch = start(tiny, LINE)
  _, logs = train_step(spec)(state, hyper, batch, jax.random.key(0))
  expected = 0.0
  for layer in state.gen.params.values():
    w = np.asarray(layer['kernel'], np.float64)
    gram = w.T @ w
    expected += np.square(gram - np.diag(np.diag(gram))).sum()
  assert logs['penalties/orthogonal'] == pytest.approx(expected, rel=1e-5)
  _, without = train_step(
    spec._replace(terms=types.Pair({}, {}))
  )(state._replace(memory={}), hyper, batch, jax.random.key(0))  # fmt: skip
  added = float(logs['gen/loss'] - without['gen/loss'])
  assert added == pytest.approx(0.5 * expected, rel=1e-4)
  assert logs['disc/loss'] == plain['disc/loss']


def test_g_learns_of_its_best_samples_alone(tiny: configs.Config):
  tiny.gen_top_k = 0.5
  spec, hyper, state, batch = start(tiny, LINE)
  draw = drawn(spec, jax.random.key(3))
  vars = types.Pair(state.gen.vars, state.disc.vars)

  def grads(spec: specs.Spec, hyper: types.Hyper) -> types.PyTree:
    now = states.StepContext(hyper, state.step, state.memory)
    own = jax.grad(objectives.generator_loss, has_aux=True)
    real = types.Batch(batch.x[0])
    return own(
      state.gen.params, state.disc.params, vars, real, draw, now, spec
    )[0]

  def logits(params: types.PyTree, latent: types.Latent) -> jax.Array:
    x = spec.gen.apply(
      params, {}, latent, key=jax.random.key(0), mode=types.EVAL
    )[0]
    return spec.disc.apply(
      state.disc.params, {}, types.Batch(x), key=jax.random.key(0),
      mode=types.EVAL,
    )[0]  # fmt: skip

  best = jnp.argsort(logits(state.gen.params, draw.latent))[-4:]
  of_best = jax.tree.map(lambda x: x[best], draw.latent)
  expected = jax.grad(
    lambda params: jax.nn.softplus(-logits(params, of_best)).mean()
  )(state.gen.params)
  chex.assert_trees_all_close(grads(spec, hyper), expected, rtol=1e-4)
  whole = {**hyper, 'gen_top_k': jnp.ones(())}
  chex.assert_trees_all_close(
    grads(spec, whole), grads(spec._replace(top_k=False), hyper), rtol=1e-4
  )
  # Where it moves, the program has it from the first step on.
  tiny.gen_top_k = 1.0
  assert not build.make_spec(tiny, LINE).top_k
  tiny.schedules['gen_top_k'] = configs.Schedule('exponential', 0.5, rate=0.1)
  assert build.make_spec(tiny, LINE).top_k


def test_g_learns_of_features_alone(tiny: configs.Config):
  tiny.gen_loss_weight, tiny.penalties.feature_matching.weight = 0.0, 3.0
  spec, hyper, state, batch = start(tiny, LINE)
  draw = drawn(spec, jax.random.key(3))
  vars = types.Pair(state.gen.vars, state.disc.vars)
  now = states.StepContext(hyper, state.step, state.memory)
  real = types.Batch(batch.x[0])
  loss, (_, logs) = objectives.generator_loss(
    state.gen.params, state.disc.params, vars, real, draw, now, spec
  )
  own: Any = {'key': jax.random.key(0), 'mode': types.EVAL}
  x, _ = spec.gen.apply(state.gen.params, {}, draw.latent, **own)
  means = [
    spec.disc.methods['judge'](
      state.disc.params, {}, batch, **own
    )[0].heads['features'].mean(axis=0)
    for batch in (real, types.Batch(x))
  ]  # fmt: skip
  expected = jnp.square(means[0] - means[1]).sum()
  assert expected > 0
  assert logs['penalties/feature_matching'] == pytest.approx(
    float(expected), rel=1e-4
  )
  assert float(loss) == pytest.approx(3 * float(expected), rel=1e-4)
  # Of its usual loss, too, with a weight.
  twice = {**hyper, 'gen_loss_weight': jnp.float32(2)}
  more, _ = objectives.generator_loss(
    state.gen.params, state.disc.params, vars, real, draw,
    now._replace(hyper=twice), spec,
  )  # fmt: skip
  fake = spec.disc.apply(state.disc.params, {}, types.Batch(x), **own)[0]
  usual = float(jax.nn.softplus(-fake).mean())
  assert float(more - loss) == pytest.approx(2 * usual, rel=1e-4)


def test_packing_joins_samples_of_one_kind(tiny: configs.Config):
  x = jnp.arange(12.0).reshape(6, 2)
  packed = objectives.pack(types.Batch(x), 3).x
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
  assert new.memory['lecam'].real == pytest.approx(float(logs['disc/real']))
  assert new.memory['lecam'].fake == pytest.approx(float(logs['disc/fake']))
  # And it is in that update's term, however far from 0 the logits are.
  disc = state.disc.params
  last = max(disc)
  far = {**disc, last: {**disc[last], 'bias': disc[last]['bias'] + 100.0}}
  state = state._replace(disc=state.disc._replace(params=far))
  _, logs = train_step(spec)(state, hyper, batch, jax.random.key(0))
  assert logs['disc/real'] > 99
  assert logs['penalties/lecam'] < 1


class Labelled(nn.Module):
  """A linear player that adds a number of its own for each class."""

  @nn.compact
  def __call__(
    self, input: types.Latent | types.Batch, mode: types.Mode
  ) -> jax.Array:
    del mode
    x = input.z if isinstance(input, types.Latent) else input.x
    y = nn.Dense(1)(x) + nn.Embed(3, 1)(input.label)
    return y if isinstance(input, types.Latent) else y[:, 0]


def test_labels_travel_with_latents_and_batches(tiny: configs.Config):
  """Those asked for go to G and then to D; those of the data to D alone."""
  tiny.penalties.wgan_gp.weight = tiny.penalties.r1.weight = 1.0
  spec, hyper, _, batch = start(tiny, LINE)
  asked, given = jnp.int32(1), jnp.int32(2)
  label = jnp.full((1,), asked)
  seen: list[tuple[str, int]] = []

  def network(example: types.Latent | types.Batch, name: str) -> types.Network:
    made = adapter.as_network(Labelled(), example)

    def apply(params, vars, input, *, key, mode):
      seen.append((name, int(input.label[0])))
      return made.apply(params, vars, input, key=key, mode=mode)

    return made._replace(apply=apply)

  spec = spec._replace(
    latent=lambda key, n: types.Latent(
      jax.random.normal(key, (n, 1)), jnp.full((n,), asked)
    ),
    gen=network(types.Latent(jnp.zeros((1, 1)), label), 'G'),
    disc=network(types.Batch(jnp.zeros((1, 1)), label), 'D'),
    look=specs.Looks(),
  )
  batch = batch._replace(label=jnp.full(batch.x.shape[:2], given))
  state = build.init_state(spec, hyper, jax.random.key(0))
  params, vars = both(state)
  draw = drawn(spec, jax.random.key(1))
  now = states.StepContext(hyper, state.step, state.memory)
  real = jax.tree.map(lambda x: x[0], batch)
  objectives.discriminator_loss(
    params.disc, params.gen, vars, real, draw, now, spec
  )
  # D on real, on fake, and once for each penalty, which look at real labels.
  assert seen == [('G', 1), ('D', 2), ('D', 1), ('D', 2), ('D', 2)]
  seen.clear()
  objectives.generator_loss(
    params.gen, params.disc, vars, real, draw, now, spec
  )
  assert seen == [('G', 1), ('D', 2), ('D', 1)]
  samples = sampling.sample(spec, params.gen, {}, draw.latent)
  assert samples.label.tolist() == [1] * 8
  assert sampling.judge(spec, state.disc, samples).shape == (8,)


@pytest.mark.parametrize('rule', ['alternating', 'lookahead'])
@pytest.mark.parametrize('nonfinite', ['stop', 'skip'])
def test_updates_of_d_in_a_loop_are_those_one_after_another(
  rule: str, nonfinite: str, tiny: configs.Config
):
  """With samples, latents and labels of its own for each of them."""
  tiny.disc_steps, tiny.nonfinite, tiny.rule.name = 3, nonfinite, rule
  tiny.penalties.lecam.weight = tiny.penalties.r1.weight = 1.0
  tiny.conditional, tiny.gen.labels = True, 'paired'
  info = LINE._replace(class_shares=(0.25,) * 4)
  spec, hyper, state, batch = start(tiny, info)
  label = jax.random.randint(jax.random.key(3), batch.x.shape[:2], 0, 4)
  batch = batch._replace(label=label)
  key = jax.random.key(2)
  ours, plain = (
    train_step(spec._replace(loop_disc=loop))(state, hyper, batch, key)
    for loop in (True, False)
  )
  chex.assert_trees_all_close(ours, plain, rtol=1e-4, atol=1e-6)
  assert not identical(ours[0].disc.params, state.disc.params)


def test_only_a_large_d_moves_in_a_loop(tiny: configs.Config):
  tiny.disc_steps = 2
  assert not build.make_spec(tiny, LINE).loop_disc
  tiny.disc.net = mlp.DiscSettings(width=512, depth=2)
  assert build.make_spec(tiny, LINE).loop_disc
  tiny.disc_steps = 1
  assert not build.make_spec(tiny, LINE).loop_disc


def test_averages_follow_whichever_update_of_g_stands(tiny: configs.Config):
  """The second of two is of real samples that are infinite."""
  tiny.loss, tiny.gen_steps, tiny.nonfinite = 'relativistic_paired', 2, 'skip'
  spec, hyper, state, batch = start(tiny, LINE)
  batch = batch._replace(x=batch.x.at[-1].set(jnp.inf))
  after, logs = train_step(spec)(state, hyper, batch, jax.random.key(2))
  assert float(logs['gen/skipped']) == 1
  assert not identical(after.gen.params, state.gen.params)
  # The first average is the parameters themselves.
  assert identical(after.gen_ema, after.gen.params)
