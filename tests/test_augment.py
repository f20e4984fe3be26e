"""Augmentations: against their authors' code, in the game, and adaptively."""

import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
from jax import test_util

from gan_jax import types
from gan_jax.config import checks, fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import additions, build, names, program
from gan_jax.game import (
  ada,
  augment,
  draws,
  looks,
  objectives,
  penalties,
  spec as specs,
  state as states,
  steps,
)
from gan_jax.networks import mlp
from gan_jax.ops import cpu, warp
from gan_jax.run import train, trained as runs
from gan_jax.storage import writers
from tests import make_augment_fixture as fixture

POLICIES = {name: p for name, p in names.POLICIES.items() if p is not None}
IMAGES = sources.Info(kind='images', shape=(8, 8, 3))
ONE = jnp.ones(())


def noise(*shape: int, seed: int = 0) -> jax.Array:
  return jax.random.uniform(jax.random.key(seed), shape, minval=-1.0)


# Against the authors.


def given(name: str) -> ada.Ada:
  """The fixture's numbers as ours."""
  own = {k: jnp.asarray(v) for k, v in fixture.numbers(name).items()}

  def of(kind: Any) -> Any:
    there = {k: v for k, v in own.items() if k in kind._fields}
    return kind(**there) if there else None

  added = None
  if 'noise' in own:
    sigma = own['sigma'][:, None, None, None]
    added = own['noise'].transpose(0, 2, 3, 1) * sigma
  return ada.Ada(
    geometry=of(ada.Geometry),
    tint=of(ada.Tint),
    gains=own.get('gains'),
    noise=added,
    hole=of(ada.Hole),
  )


@pytest.mark.parametrize('name', fixture.CASES)
def test_adas_pipeline_is_the_authors(name: str):
  with np.load(fixture.PATH) as answers:
    expected = answers[name]
  x = jnp.asarray(fixture.images(name))
  found = jax.jit(ada.apply)(x, given(name))
  np.testing.assert_allclose(found, expected, atol=1e-4)
  # The last sample is left alone, and comes out to the last bit.
  np.testing.assert_array_equal(found[-1], x[-1])
  assert np.abs(expected - np.asarray(x))[:-1].mean() > 0.01


def warped(seed: int = 0) -> tuple[jax.Array, jax.Array]:
  """Images of three shapes of turns, and maps that turn and stretch."""
  numbers = ada._draw(
    {**ada.BLIT, **ada.GEOMETRY},
    jax.random.key(seed),
    (6, 8, 8, 3),
    ONE,
  )
  return noise(6, 8, 8, 3), ada.inverse(numbers.geometry, 8, 8)


def of_warp(x: jax.Array, maps: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The value, and the gradient of a norm of a gradient."""

  def loss(x: jax.Array) -> jax.Array:
    return jnp.sin(3 * warp.affine(x, maps)).sum()

  def r1(x: jax.Array) -> jax.Array:
    return jnp.square(jax.grad(loss)(x)).sum()

  return warp.affine(x, maps), jax.grad(r1)(x)


def test_points_are_those_of_products():
  """What is gathered and scattered, singly and of a population."""
  x, maps = warped()
  with cpu.stock():
    expected = jax.jit(of_warp)(x, maps)
  assert 'gather' in jax.jit(of_warp).lower(x, maps).as_text()
  found = jax.jit(of_warp)(x, maps)
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
  pair = jax.jit(jax.vmap(of_warp, (None, 0)))(x, jnp.stack([maps, maps[::-1]]))
  for a, b in zip(found, pair, strict=True):
    np.testing.assert_allclose(a, b[0], rtol=1e-4, atol=1e-4)
  reverse = jax.jit(of_warp)(x, maps[::-1])
  np.testing.assert_allclose(pair[0][1], reverse[0], atol=1e-5)


def test_without_angles_a_warp_is_separable():
  shares = {**ada.BLIT, 'scale': 1.0, 'stretch': 1.0, 'move': 1.0}
  numbers = ada._draw(shares, jax.random.key(0), (8, 8, 8, 3), ONE)
  maps, x = ada.inverse(numbers.geometry, 8, 8), noise(8, 8, 8, 3)
  np.testing.assert_allclose(
    warp.separable(x, maps), warp.affine(x, maps), atol=1e-5
  )


def test_a_tpu_gathers_nothing():
  x, maps = warped()
  text = jax.jit(of_warp).trace(x, maps).lower(lowering_platforms=('tpu',))
  assert 'gather' not in text.as_text()
  assert 'scatter' not in text.as_text()


# Each policy.


@pytest.mark.parametrize('name', ['diffaugment', 'ada.b', 'ada.bgcfnc'])
def test_nothing_happens_at_strength_0(name: str):
  """To the last bit, in either precision."""
  for x in (noise(3, 8, 8, 3), noise(3, 8, 8, 1).astype(jnp.bfloat16)):
    found = augment.augment(POLICIES[name], x, jax.random.key(0), jnp.zeros(()))
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize('name', ['diffaugment', 'ada.bgcfnc'])
def test_derivatives_are_finite_differences(name: str):
  x = noise(2, 6, 6, 3)
  numbers = POLICIES[name].draw(jax.random.key(1), x.shape, ONE)

  def loss(x: jax.Array) -> jax.Array:
    return jnp.sin(POLICIES[name].apply(x, numbers)).sum()

  test_util.check_grads(
    jax.jit(loss), (x,), order=2, modes=('rev',), rtol=2e-2, atol=2e-2,
    eps=1e-2,
  )  # fmt: skip


def shares_of(chosen: Any) -> float:
  return float(np.mean(chosen))


N = 20_000
# Of N samples, five standard deviations of a share, and of a mean of them.
SHARE = 5 * 0.5 / N**0.5


def test_ada_draws_as_its_paper_says():
  p = 0.3
  shape = (N, 16, 8, 1)
  shares = {
    **ada.BLIT, **ada.GEOMETRY, **ada.TINT, **ada.FILTER
  }  # fmt: skip
  draw = jax.jit(
    lambda key: ada._draw(
      {**shares, **ada.HOLE}, key, (N, 16, 8, 3), jnp.float32(p)
    )
  )
  g, tint, gains, _, hole = draw(jax.random.key(0))
  # Half of the flips that are chosen flip, and of the turns a quarter is none.
  for x, off, share in (
    (g.flip, 0, p / 2), (g.turns, 0, p * 3 / 4), (g.scale, 1, p),
    (g.stretch, 1, p), (g.move[:, 0], 0, p), (tint.brightness, 0, p),
    (tint.contrast, 1, p), (tint.luma_flip, 0, p / 2), (tint.hue, 0, p),
    (tint.saturation, 1, p), (gains[:, 0], 1, p), (gains[:, 3], 1, p),
    (hole.size, 0, p), (g.before, 0, 1 - (1 - p) ** 0.5),
    (jnp.abs(g.before) + jnp.abs(g.after), 0, p),
  ):  # fmt: skip
    assert shares_of(x != off) == pytest.approx(share, abs=SHARE)
  for x, deviation in (
    (jnp.log2(g.scale), 0.2), (jnp.log2(g.stretch), 0.2), (g.move, 0.125),
    (tint.brightness, 0.2), (jnp.log2(tint.contrast), 0.5),
    (jnp.log2(tint.saturation), 1.0), (jnp.log2(gains), 1.0),
    (g.before, np.pi / 3**0.5), (g.after, np.pi / 3**0.5),
    (tint.hue, np.pi / 3**0.5),
  ):  # fmt: skip
    drawn = np.asarray(x)[np.asarray(x) != 0]
    assert drawn.std() == pytest.approx(deviation, rel=0.05)
    assert abs(drawn.mean()) < 0.1 * deviation
  # Up to an eighth of 8 columns and of 16 rows.
  assert set(np.unique(g.shift[:, 0])) == {-1, 0, 1}
  assert set(np.unique(g.shift[:, 1])) == {-2, -1, 0, 1, 2}
  assert hole.middle.min() < 0.01
  assert hole.middle.max() > 0.99
  grey = jax.eval_shape(
    lambda: ada._draw(ada.R3GAN, jax.random.key(0), shape, ONE)
  )
  assert grey.tint.hue is grey.tint.saturation is grey.gains is None


def test_noise_and_other_shares():
  shape = (2000, 4, 4, 1)
  drawn = ada._draw(ada.NOISE, jax.random.key(0), shape, ONE / 2)
  there = np.asarray(drawn.noise)[(drawn.noise != 0).any((1, 2, 3))]
  assert len(there) / 2000 == pytest.approx(0.5, abs=0.06)
  # The mean square of |N| * 0.1 * N.
  assert np.square(there).mean() == pytest.approx(0.01, rel=0.15)
  drawn = ada._draw(ada.R3GAN, jax.random.key(0), shape, ONE)
  assert shares_of(drawn.tint.contrast != 1) == pytest.approx(0.5, abs=0.06)
  assert shares_of(drawn.geometry.scale != 1) == 1.0


def test_diffaugment_is_the_papers():
  shape = (4000, 8, 12, 3)
  parts = names.DIFFAUGMENT
  key = jax.random.key(0)
  color = parts['color'].draw(key, shape, ONE)
  for x, least, most in zip(color, (-0.5, 0, 0.5), (0.5, 2, 1.5), strict=True):
    assert x.min() == pytest.approx(least, abs=0.01)
    assert x.max() == pytest.approx(most, abs=0.01)
    assert x.mean() == pytest.approx((least + most) / 2, abs=0.05)
  shift = parts['translation'].draw(key, shape, ONE)
  assert set(np.unique(shift[:, 0])) == {-1, 0, 1}
  assert set(np.unique(shift[:, 1])) == {-2, -1, 0, 1, 2}
  box = parts['cutout'].draw(key, shape, ONE)
  assert box.middle.min() == 0
  assert set(np.asarray(box.middle.max(0))) == {8, 12}
  half = parts['translation'].draw(key, shape, ONE / 2)
  # Of 3 x 5 shifts one is none.
  moved = shares_of((half != 0).any(1))
  assert moved == pytest.approx(0.5 * 14 / 15, abs=0.04)


def test_diffaugment_by_hand():
  x = noise(3, 4, 6, 3)
  shift = jnp.array([[1, -2], [0, 0], [-1, 1]])
  moved = np.zeros(x.shape, np.float32)
  moved[0, 1:, :4], moved[1], moved[2, :3, 1:] = (
    x[0, :3, 2:],
    x[1],
    x[2, 1:, :5],
  )
  np.testing.assert_array_equal(augment.shifted(x, shift), moved)
  use = jnp.array([True, False, True])
  box = augment.Box(jnp.array([[0, 0], [2, 3], [4, 3]]), use)
  found = augment.CUTOUT.apply(x, box)
  # Sides of 2 and 3 begin one before the middle.
  holes = np.array(x)
  holes[0, :1, :2] = holes[2, 3:, 2:5] = 0
  np.testing.assert_array_equal(found, holes)
  color = augment.Color(*jnp.array([[0.5, 0, 0], [1, 0, 1], [1, 1, 2.0]]))
  found = augment.COLOR.apply(x, color)
  np.testing.assert_allclose(found[0], x[0] + 0.5, rtol=1e-6)
  grey = np.broadcast_to(np.asarray(x[1]).mean(-1, keepdims=True), (4, 6, 3))
  np.testing.assert_allclose(found[1], grey, atol=1e-6)
  np.testing.assert_allclose(found[2], 2 * x[2] - x[2].mean(), atol=1e-5)


def test_a_view_is_mirrored_and_moved():
  x = jnp.broadcast_to(jnp.arange(8.0)[None, None, :, None], (200, 8, 8, 1))
  seen = np.asarray(augment.view(x, jax.random.key(0)))[:, 0, :, 0]
  row = np.pad(np.arange(8.0), 1, mode='reflect')
  rows = {tuple(r[i : i + 8]) for r in (row, row[::-1]) for i in range(3)}
  assert {tuple(r) for r in seen} == rows


# In the game.


def game(**fields: Any) -> configs.Config:
  config = configs.Config(batch_size=4, loss='wasserstein', **fields)
  config.gen.latent_dim = 3
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.disc.net = mlp.DiscSettings(width=8, depth=1)
  return config


def begin(
  config: configs.Config,
) -> tuple[specs.Spec, types.Hyper, states.GanState]:
  spec, hyper = build.make_spec(config, IMAGES), build.make_hyper(config)
  return spec, hyper, build.init_state(spec, hyper, jax.random.key(0))


def play(
  spec: specs.Spec, hyper: types.Hyper, state: states.GanState
) -> tuple[states.GanState, types.Logs]:
  batch = types.Batch(noise(1, spec.batch_samples, *IMAGES.shape, seed=3))
  draw = draws.draw_step(spec, jax.random.fold_in(jax.random.key(4), 0))
  out: Any = jax.jit(steps.make_step(spec))(state, hyper, batch, draw)
  return out


def test_keys_of_old_uses_are_as_they_were():
  key = jax.random.key(0)
  assert draws.Keys._fields[:6] == (
    'latents', 'gen', 'disc_real', 'disc_fake', 'disc_penalty', 'terms'
  )  # fmt: skip
  before = jax.random.key_data(jax.random.split(key, 6))
  now = [jax.random.key_data(k) for k in draws.split_keys(key)]
  np.testing.assert_array_equal(np.stack(now)[:6], before)


# D sees nothing but what is drawn: a grey of each sample.
PAINTED = augment.Policy(
  lambda key, shape, p: jax.random.normal(key, (shape[0],)),
  lambda x, numbers: 0 * x + numbers[:, None, None, None],
)


def test_every_use_has_draws_of_its_own():
  """D's real and fake samples and G's are seen as drawn for each of them."""
  spec, hyper, state = begin(game())
  still = {k: 0 * v if 'rate' in k else v for k, v in hyper.items()}
  draw = draws.draw_step(spec, jax.random.fold_in(jax.random.key(4), 0))
  _, logs = play(spec._replace(augment=PAINTED), still, state)

  def mean_logit(key: jax.Array) -> jax.Array:
    grey = jax.random.normal(key, (4,))[:, None, None, None]
    x = jnp.broadcast_to(grey, (4, *IMAGES.shape))
    return spec.disc.apply(
      state.disc.params, {}, types.Batch(x), key=key, mode=types.EVAL
    )[0].mean()

  for name, key, sign in (
    ('disc/real', draw.disc[0].keys.augment_real, 1),
    ('disc/fake', draw.disc[0].keys.augment_fake, 1),
    ('gen/loss', draw.gen[0].keys.augment_fake, -1),
  ):
    assert logs[name] == pytest.approx(sign * float(mean_logit(key)), rel=1e-5)
  # G's samples do not reach D.
  assert logs['gen/grad_norm'] == 0
  assert logs['disc/grad_norm'] > 0


@pytest.mark.parametrize('look', ['plain', 'euler'])
def test_penalties_are_of_the_images_as_they_are(look: str):
  """R1 and R2 of D(T(x)), of the logits' draws, and WGAN-GP of its own."""
  config = game()
  config.augment.policy, config.augment.p = 'ada.bgc', 1.0
  config.penalties.r1.weight = config.penalties.r2.weight = 1.0
  config.penalties.wgan_gp.weight = 1.0
  spec, hyper, state = begin(config)
  assert set(spec.look) == {looks.by_input_gradients}
  if look == 'plain':
    spec = spec._replace(look=specs.Looks())
  draw = draws.draw_step(spec, jax.random.fold_in(jax.random.key(4), 0))
  keys = draw.disc[0].keys
  real = types.Batch(noise(1, 4, *IMAGES.shape, seed=3)[0])
  fake, _ = spec.gen.apply(
    state.gen.params, {}, draw.disc[0].latent, key=keys.gen, mode=types.TRAIN
  )

  def loss(params: types.PyTree) -> jax.Array:
    def disc(key: jax.Array) -> types.DiscFn:
      return lambda batch: spec.disc.apply(
        params, {},
        batch._replace(x=augment.augment(spec.augment, batch.x, key, ONE)),
        key=key, mode=types.TRAIN,
      )[0]  # fmt: skip

    of_real, of_fake = disc(keys.augment_real), disc(keys.augment_fake)
    one, other = real, types.Batch(fake)
    total = of_fake(other).mean() - of_real(one).mean()
    for d, x in ((of_real, one), (of_fake, other)):
      total += penalties.zero_centred(penalties.input_grads(d, x))
    names = list(spec.terms.disc)
    key = jax.random.fold_in(keys.terms, names.index('wgan_gp'))
    return total + penalties.wgan_gp(
      disc(keys.augment_penalty), one, other, key
    )

  now = states.StepContext(hyper, state.step, state.memory)

  def ours(params: types.PyTree) -> Any:
    return objectives.discriminator_loss(
      params,
      state.gen.params,
      types.Pair({}, {}),
      real,
      draw.disc[0],
      now,
      spec,
    )[0]

  found = jax.jit(jax.value_and_grad(ours))(state.disc.params)
  expected = jax.jit(jax.value_and_grad(loss))(state.disc.params)
  for a, b in zip(
    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_packed_samples_are_augmented_one_by_one():
  config = game(packing=2)
  config.augment.policy, config.augment.p = 'ada.bgc', 1.0
  spec, hyper, state = begin(config)
  seen = objectives._augmentation(jax.random.key(0), hyper, spec)
  x = noise(8, *IMAGES.shape)
  packed = objectives.pack(types.Batch(x), 2)
  expected = augment.augment(spec.augment, x, jax.random.key(0), ONE)
  assert seen is not None
  np.testing.assert_array_equal(
    seen(packed).x, objectives.pack(types.Batch(expected), 2).x
  )
  _, logs = play(spec, hyper, state)
  assert logs['augment/p'] == 1


def test_another_strength_compiles_nothing():
  config = game()
  config.augment.policy, config.augment.p = 'ada.bgcfnc', 1.0
  spec, hyper, state = begin(config)
  step = jax.jit(steps.make_step(spec))
  batch = types.Batch(noise(1, 4, *IMAGES.shape))
  draw = draws.draw_step(spec, jax.random.key(0))
  logs = [
    step(state, {**hyper, 'augment.p': jnp.float32(p)}, batch, draw)[1]
    for p in (0.0, 0.5)
  ]
  assert step._cache_size() == 1
  assert logs[0]['disc/real'] != logs[1]['disc/real']


def test_consistency_terms_by_hand():
  config = game()
  names = 'cr', 'cr_fake', 'zcr', 'zcr_gen'
  for name in names:
    getattr(config.penalties, name).weight = 1.0
  config.augment.policy, config.augment.p = 'cutout', 1.0
  spec, hyper, state = begin(config)
  still = {k: 0 * v if 'rate' in k else v for k, v in hyper.items()}
  _, logs = play(spec, still, state)
  draw = draws.draw_step(spec, jax.random.fold_in(jax.random.key(4), 0))

  def gen(latent: types.Latent) -> jax.Array:
    return spec.gen.apply(
      state.gen.params, {}, latent, key=jax.random.key(0), mode=types.EVAL
    )[0]

  def disc(x: jax.Array) -> jax.Array:
    return spec.disc.apply(
      state.disc.params, {}, types.Batch(x), key=jax.random.key(0),
      mode=types.EVAL,
    )[0]  # fmt: skip

  def cut(x: jax.Array, key: jax.Array) -> jax.Array:
    return augment.augment(spec.augment, x, key, ONE)

  def own_key(keys: draws.Keys, of_player: Any, name: str) -> jax.Array:
    return jax.random.fold_in(keys.terms, list(of_player).index(name))

  def near(own: draws.UpdateDraw, key: jax.Array) -> jax.Array:
    z = own.latent.z
    return gen(types.Latent(z + 0.05 * jax.random.normal(key, z.shape)))

  own = draw.disc[0]
  real = noise(1, 4, *IMAGES.shape, seed=3)[0]
  shown = cut(real, own.keys.augment_real)
  view = augment.view(shown, own_key(own.keys, spec.terms.disc, 'cr'))
  expected = {'cr': np.square(disc(shown) - disc(view)).mean()}
  shown = cut(gen(own.latent), own.keys.augment_fake)
  view = augment.view(shown, own_key(own.keys, spec.terms.disc, 'cr_fake'))
  expected['cr_fake'] = np.square(disc(shown) - disc(view)).mean()
  key = own_key(own.keys, spec.terms.disc, 'zcr')
  pair = (
    disc(cut(x, own.keys.augment_penalty))
    for x in (gen(own.latent), near(own, key))
  )
  expected['zcr'] = np.square(np.subtract(*pair)).mean()
  key = own_key(draw.gen[0].keys, spec.terms.gen, 'zcr_gen')
  apart = gen(draw.gen[0].latent) - near(draw.gen[0], key)
  expected['zcr_gen'] = -np.square(apart).mean()
  for name in names:
    found = float(logs[f'penalties/{name}'])
    assert found == pytest.approx(float(expected[name]), rel=1e-3)
    assert found != 0


# Generated samples as real ones.


def test_some_real_samples_are_fakes():
  real = types.Batch(noise(4000, 2, 1, 1), jnp.zeros(4000, jnp.int32))
  fake = types.Batch(noise(4000, 2, 1, 1, seed=1), jnp.arange(4000))
  key = jax.random.key(2)
  none, some, all = (
    augment.deceive(real, fake, key, jnp.float32(p)) for p in (0.0, 0.3, 1.0)
  )
  np.testing.assert_array_equal(none.x, real.x)
  np.testing.assert_array_equal(all.x[1:], fake.x[:-1])
  np.testing.assert_array_equal(all.label, np.roll(np.arange(4000), 1))
  taken = (some.x == all.x).all((1, 2, 3))
  np.testing.assert_array_equal(taken[1:], some.label[1:] != 0)
  np.testing.assert_array_equal(some.x[~taken], real.x[~taken])
  # Three standard errors.
  assert taken.mean() == pytest.approx(0.3, abs=3 * np.sqrt(0.21 / 4000))


def test_d_is_told_that_fakes_are_real():
  config = game(conditional=False)
  config.loss = 'relativistic_paired'
  config.augment.pseudo, config.augment.p = True, 1.0
  spec, hyper, state = begin(config)
  still = {k: 0 * v if 'rate' in k else v for k, v in hyper.items()}
  _, logs = play(spec, still, state)
  assert logs['disc/real'] == pytest.approx(float(logs['disc/fake']), rel=1e-5)
  assert logs['augment/p'] == 1
  # No pair is a sample and itself, and G is compared with real samples.
  assert logs['disc/loss'] != pytest.approx(np.log(2), rel=1e-4)
  plain = spec._replace(pseudo=False)
  _, honest = play(plain, still, state)
  assert logs['gen/loss'] == honest['gen/loss']
  assert logs['disc/real'] != honest['disc/real']


# Adaptively.


def test_a_move_is_of_the_mean_and_only_bounded_below():
  how = augment.Adaptive(jnp.sign, interval=2)
  hyper = {
    'augment.p': jnp.float32(0.99), 'augment.target': jnp.float32(0.6),
    'augment.speed_kimg': jnp.float32(0.1),
  }  # fmt: skip
  sure, unsure = jnp.ones(4), jnp.array([1.0, 1.0, -1.0, -1.0])
  memory = augment.not_adapted()
  p = []
  for logits in (sure, sure, sure, unsure, unsure, unsure):
    now = {**hyper, 'augment.p': augment.strength(memory, hyper)}
    memory = augment.adapt(how, memory, logits, 4, now)
    p.append(float(augment.strength(memory, hyper)))
  # 8 samples of 100 each time: up beyond 1; a mean of 0.5 is below the target.
  np.testing.assert_allclose(p, [0.99, 1.07, 1.07, 0.99, 0.99, 0.91], rtol=1e-5)
  low = {**hyper, 'augment.p': jnp.float32(0.05)}
  memory = augment.adapt(how, augment.not_adapted(), unsure, 4, low)
  memory = augment.adapt(how, memory, unsure, 4, low)
  assert augment.strength(memory, low) == 0
  # From there it rises at once.
  for _ in range(2):
    now = {**low, 'augment.p': augment.strength(memory, low)}
    memory = augment.adapt(how, memory, sure, 4, now)
  assert augment.strength(memory, low) == pytest.approx(0.08, rel=1e-5)


def digits() -> configs.Config:
  """Adaptive, in rows of 3 steps, which 4 updates do not divide."""
  config = configs.Config(steps=12, batch_size=8, log_every=3)
  config.data.name, config.data.split = 'digits', 'train[:2%]'
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.disc.net = mlp.DiscSettings(width=32, depth=1)
  config.eval.every = config.checkpoint.every = 3
  config.eval.num_samples = 64
  config.augment.policy, config.augment.adapt = 'ada.b', 'sign'
  config.augment.speed_kimg = 0.5
  return config


def strengths(workdir: pathlib.Path) -> list[Any]:
  return [row['augment/p'] for row in writers.read_rows(workdir) if row['step']]


def test_p_rises_where_d_overfits_and_falls_otherwise():
  """Of D that learns fast while G stands still, and of D that unlearns."""
  config = digits()
  config.optim.gen.learning_rate, config.optim.disc.learning_rate = 0.0, 0.01
  config.augment.p = 0.1
  made = program.open_game(config)
  chunk = program.make_chunk(made, 40)
  arrays = made.source.chunk(0, 40)
  found = []
  for loss_sign in (1.0, -1.0):
    # Uphill D takes real samples for generated ones.
    hyper = {
      **made.hyper,
      'optim.disc.learning_rate':
        loss_sign * made.hyper['optim.disc.learning_rate'],
    }  # fmt: skip
    state, _, _ = chunk(
      made.start(), made.place(hyper), arrays, made.place(made.keys)
    )
    found.append(float(augment.strength(state.memory['augment'], hyper)))
  assert found[0] > 0.3
  assert found[1] == 0


def test_adaptation_resumes_to_the_last_bit(tmp_path: pathlib.Path):
  """Stopped after 3 and 9 steps, between moves at each 4th."""
  config = digits()
  config.augment.target, config.augment.pseudo = -1.5, True
  train.train(config, tmp_path / 'whole')
  for config.steps in (3, 9, 12):
    train.train(config, tmp_path / 'parts')
  whole, parts = (
    (tmp_path / name / 'metrics.jsonl').read_text()
    for name in ('whole', 'parts')
  )
  assert whole == parts
  assert len(set(strengths(tmp_path / 'whole'))) > 2
  for a, b in zip(
    *(
      jax.tree.leaves(runs.load(tmp_path / name).state)
      for name in ('whole', 'parts')
    ),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)


def test_members_adapt_by_themselves(
  tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
  config = digits()
  config.augment.policy = 'color'
  config.population.vary = {'augment.target': [-1.5, 1.5]}
  config.augment.p, config.eval.held_out = 0.04, 'train[98%:]'
  train.train(config, tmp_path)
  members = [row['members'] for row in strengths(tmp_path)]
  # Moves of 0.064 after steps 4, 8 and 12; rows are means of three steps.
  up = [0.04, 0.04 + 0.064 * 2 / 3, 0.04 + 0.064 * 4 / 3, 0.04 + 0.128]
  down = [0.04, 0.04 / 3, 0.0, 0.0]
  np.testing.assert_allclose(np.transpose(members), [up, down], atol=1e-5)
  said = "augment.policy='color': goes without saturation, for the images are"
  assert said in capsys.readouterr().err
  last = writers.read_rows(tmp_path)[-1]
  assert len(last['overfit/r_v']['members']) == 2
  assert 'overfit/r_v' in json.loads((tmp_path / 'summary.json').read_text())


# What is refused, or left out.


@pytest.mark.parametrize(
  ('policy', 'channels', 'words'),
  [
    ('ada.bgc', 1, 'hue and saturation'),
    ('translation,color', 1, 'saturation'),
    ('diffaugment', 1, 'saturation'),
    ('ada.bgc', 3, ''),
    ('ada.bg', 1, ''),
  ],
)
def test_grey_images_go_without_colors(policy: str, channels: int, words: str):
  config = game()
  config.augment.policy, config.augment.p = policy, 1.0
  info = IMAGES._replace(shape=(8, 8, channels))
  found = additions.left_out(config, additions.make_augment(config, info), info)
  assert len(found) == bool(words)
  assert words in ''.join(found)


def lines(config: configs.Config, info: sources.Info = IMAGES) -> str:
  def make() -> None:
    checks.validate(config)
    build.make_spec(config, info)

  with pytest.raises(ValueError, match=r'=') as caught:
    make()
  (line,) = str(caught.value).splitlines()
  return line


def test_refusals():
  config = game()
  config.augment.policy = 'ada.bg'
  assert 'never applied with augment.p=0' in lines(config)
  config.augment.p = 1.5
  assert 'augment.p=1.5: must be at least 0 and at most 1' in lines(config)
  config.augment.p = 0.5
  info = sources.Info(kind='density', shape=(1,), mean=(0.0,), std=(1.0,))
  assert "augment.policy='ada.bg': needs images with 1 or 3" in lines(
    config, info
  )
  config.augment.policy = 'diffaugmnt'
  found = lines(config)
  assert "(did you mean 'diffaugment'?)" in found
  assert all(name in found for name in POLICIES)
  config.augment.policy = 'translation,cutot'
  assert "'cutot': there is no such choice" in lines(config)
  config.augment.policy, config.augment.adapt = 'color, cutout', 'r_v'
  assert "augment.adapt='r_v'" in lines(config)
  config.augment.policy, config.augment.adapt = '', 'sign'
  assert 'set augment.policy or augment.pseudo' in lines(config)
  config.augment.p, config.augment.adapt = 0.2, ''
  assert 'augment.p=0.2: nothing is augmented' in lines(config)
  config.augment.pseudo, config.augment.adapt = True, 'sign'
  assert "in loss='wasserstein' the sign of D's" in lines(config)
  config.augment.adapt = ''
  config.augment.p = 0.0
  assert 'augment.pseudo=True: is never applied' in lines(config)
  config.augment.policy = 'diffusion'
  assert 'augment.pseudo=True: is never applied' in lines(config)
  config = game()
  config.penalties.cr.weight = 10.0
  assert 'penalties.cr.weight=10.0: needs images' in lines(config, info)


# The blur that fades out.


@pytest.mark.parametrize('sigma', [0.0, 0.3, 0.34, 1.0, 4.0])
def test_blur_of_the_authors_code(sigma: float):
  """StyleGAN3's `run_D`, by scipy; the largest filter passes the border."""
  x = noise(2, 9, 12, 3)
  ours = jax.jit(lambda sigma: augment.blur(x, sigma, 12))(jnp.float32(sigma))
  reach = int(np.floor(3 * np.float32(sigma)))
  expected = np.asarray(x)
  if reach:
    f = np.exp2(-np.square(np.arange(-reach, reach + 1) / sigma))
    for axis in (1, 2):
      expected = scipy.ndimage.convolve1d(
        expected, f / f.sum(), axis, mode='constant'
      )
  np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)
  if not reach:
    np.testing.assert_array_equal(ours, x)


def blurred_game(**schedules: configs.Schedule) -> configs.Config:
  config = configs.Config(batch_size=4)
  config.augment.blur = 2.0
  config.schedules = {f'augment.{k}': s for k, s in schedules.items()}
  return config


def test_blur_is_of_all_that_d_sees():
  """In both players' losses, before the policy; not of samples."""
  config = blurred_game()
  plain = build.make_spec(configs.Config(), IMAGES)
  spec = build.make_spec(config, IMAGES)
  assert (plain.blur_taps, spec.blur_taps) == (None, 6)
  hyper, x = build.make_hyper(config), noise(4, 8, 8, 3)
  expected = augment.blur(x, jnp.float32(2.0), 6)
  key = jax.random.key(0)
  shown = objectives._augmentation(key, hyper, spec)
  np.testing.assert_array_equal(shown(types.Batch(x)).x, expected)
  assert objectives._augmentation(key, hyper, plain) is None
  config.augment.policy, config.augment.p = 'color', 1.0
  hyper, spec = build.make_hyper(config), build.make_spec(config, IMAGES)
  both = objectives._augmentation(key, hyper, spec)(types.Batch(x)).x
  policy = augment.augment(names.POLICIES['color'], expected, key, ONE)
  np.testing.assert_allclose(both, policy, atol=1e-6)


def test_blur_fades_out_and_needs_images():
  fade = configs.Schedule('linear', 0.0, end=100, unit='samples')
  config = blurred_game(blur=fade)
  schedule, hyper = build.make_schedule(config), build.make_hyper(config)
  sigmas = [schedule(hyper, jnp.int32(k))['augment.blur'] for k in (0, 5, 30)]
  np.testing.assert_allclose(sigmas, [2.0, 1.6, 0.0], rtol=1e-6)
  assert build.make_spec(config, IMAGES).blur_taps == 6
  info = sources.Info(kind='density', shape=(1,), mean=(0.0,), std=(1.0,))
  with pytest.raises(ValueError, match=r'augment\.blur=2: needs images'):
    build.make_spec(config, info)
  config.augment.blur = -1.0
  with pytest.raises(ValueError, match=r'augment\.blur=-1\.0'):
    checks.validate(config)
