"""Drifting models: the field against its definition, and G's step by it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.engine import drifting, placing, program
from gan_jax.game import drift
from gan_jax.networks import mlp


def points(n: int, seed: int) -> jax.Array:
  return jax.random.normal(jax.random.key(seed), (n, 2))


def by_hand(fake: np.ndarray, real: np.ndarray, t: float) -> np.ndarray:
  """V sample by sample and pair by pair, in float64."""
  other = np.concatenate([real, fake])
  kernel = np.array([
    [np.exp(-np.sqrt(((x - y) ** 2).sum()) / t) for y in other] for x in fake
  ])  # fmt: skip
  for i in range(len(fake)):
    kernel[i, len(real) + i] = 0
  a = kernel / np.sqrt(np.outer(kernel.sum(1), kernel.sum(0)))
  moved = np.zeros_like(fake)
  for i in range(len(fake)):
    for j, y in enumerate(real):
      for k, z in enumerate(fake):
        moved[i] += a[i, j] * a[i, len(real) + k] * (y - z)
  return moved


def test_field_is_the_papers():
  fake, real = points(5, 0), points(7, 1)
  expected = by_hand(
    np.asarray(fake, np.float64), np.asarray(real, np.float64), 0.4
  )
  found = drift.field(fake, real, 0.4)
  np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)


def test_two_samples_by_hand():
  """Of one real sample at 0 and generated ones at 1 and -1, T = 1.

  A row has the kernels e^-1 and e^-2; the real column twice e^-1, the other
  ones e^-2 alone. So A(x, 0) = 1 / sqrt(2 (1 + 1/e)) and A(x, -x) = 1 /
  sqrt(1 + e), and V(1) is their product times 0 - (-1).
  """
  found = drift.field(jnp.array([[1.0], [-1.0]]), jnp.zeros((1, 1)), 1.0)
  expected = 1 / np.sqrt(2 * (1 + np.exp(-1)) * (1 + np.e))
  np.testing.assert_allclose(found[:, 0], [expected, -expected], rtol=1e-5)


def test_no_drift_on_average_where_the_laws_are_one():
  """Anti-symmetry, up to the sample that does not see itself."""

  def mean(key: jax.Array, shift: float) -> jax.Array:
    a, b = jax.random.split(key)
    fake = jax.random.normal(a, (64, 2)) + shift
    return drift.field(fake, jax.random.normal(b, (64, 2)), 0.3).mean(axis=0)

  keys = jax.random.split(jax.random.key(0), 100)
  same = jax.vmap(mean, (0, None))(keys, 0.0).mean(axis=0)
  apart = jax.vmap(mean, (0, None))(keys, 1.0).mean(axis=0)
  assert np.abs(same).max() < 0.01
  assert np.all(apart < -0.05)


def test_kernels_that_vanish_divide_nothing_by_0():
  """Of real samples at 0 and generated ones at 50 and 100, kernels e^-1000.

  The one at 50 is as near to 0 as to 100, and nearer to both than the other
  one: A = 1 / sqrt(2) for either pair, and V = (0 - 100) / 2.
  """
  found = drift.field(jnp.array([[50.0], [100.0]]), jnp.zeros((1, 1)), 0.05)
  np.testing.assert_allclose(found[:, 0], [-50, 0], rtol=1e-5, atol=1e-5)


def test_gradient_is_the_field_through_g():
  real, z = points(6, 3), points(8, 4)

  def loss(scale: jax.Array) -> jax.Array:
    return drift.loss(scale * z, real, 0.5)

  scale = jnp.float32(0.7)
  moved = drift.field(scale * z, real, 0.5)
  assert loss(scale) == pytest.approx(float(jnp.square(moved).mean()), rel=1e-5)
  expected = -2 * float((moved * z).mean())
  assert jax.grad(loss)(scale) == pytest.approx(expected, rel=1e-4)


def config() -> configs.Config:
  made = configs.Config(steps=60, batch_size=64)
  made.data.name, made.gen.latent_dim, made.gen.latent = 'ring', 2, 'normal'
  made.gen.net = mlp.GenSettings(width=16, depth=1)
  made.disc.net = mlp.DiscSettings(width=2, depth=1)
  made.optim.gen.learning_rate = 0.01
  made.population.seeds = 2
  return made


def test_members_drift_towards_the_ring_and_d_stays():
  game = program.open_game(config())
  chunk = drifting.make_chunk(game, 60, 0.2)
  begin = game.start()
  arrays = placing.make_batches(game, 60)(0)
  # Its state is donated.
  state, *_ = chunk(game.start(), game.hyper, arrays, game.keys)
  assert state.step.tolist() == [60, 60]
  jax.tree.map(np.testing.assert_array_equal, state.disc, begin.disc)
  z = types.Latent(points(200, 5))

  @jax.vmap
  def radius(params: types.PyTree) -> jax.Array:
    x, _ = game.spec.gen.apply(
      params, {}, z, key=jax.random.key(0), mode=types.EVAL
    )
    return jnp.median(jnp.linalg.norm(game.spec.to_data(x), axis=1))

  # All of the ring's are 1.
  assert (radius(begin.gen.params) < 0.7).all()
  np.testing.assert_allclose(radius(state.gen.params), 1, atol=0.25)


def test_refusals():
  made = config()
  made.data.name = 'normal'
  with pytest.raises(ValueError, match=r"data\.name='normal': a drifting"):
    drifting.make_chunk(program.open_game(made), 1, 0.1)
  made = config()
  made.population.seeds = 1
  with pytest.raises(ValueError, match=r'population\.seeds=1'):
    drifting.make_chunk(program.open_game(made), 1, 0.1)
