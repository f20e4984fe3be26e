"""Diffusion-GAN's noise: against closed forms, in the game, and its length."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import checks, fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build, placing, program
from gan_jax.game import augment, diffusion
from gan_jax.networks import mlp

RING = sources.Info('points', (2,), (0.0, 0.0), (1.0, 1.0))
CHAIN = diffusion.Chain(10, 1000, 1e-4, 0.02, 0.05, 0.5, priority=True)


def signals(chain: diffusion.Chain, steps: int) -> np.ndarray:
  """abar_0 ... abar_T by the schedule's definition, in float64."""
  betas = np.linspace(chain.beta_first, chain.beta_last, steps)
  return np.concatenate([[1.0], np.cumprod(1 - betas)])


@pytest.mark.parametrize('steps', [10, 400, 1000])
def test_signal_is_the_product_of_the_schedule(steps: int):
  found = np.exp(diffusion.log_signals(CHAIN, jnp.int32(steps)))
  np.testing.assert_allclose(found[: steps + 1], signals(CHAIN, steps), 2e-5)
  np.testing.assert_array_equal(found[steps:], found[steps])


def test_length_grows_with_strength():
  p = jnp.array([0.0, 0.25, 1.0, 1.5])
  found = jax.vmap(functools.partial(diffusion.length, CHAIN))(p)
  # 247.5 rounds to even, as Python's does in the authors' code.
  np.testing.assert_array_equal(found, [10, 258, 1000, 1000])


@pytest.mark.parametrize('priority', [True, False])
def test_mixture_over_the_steps(priority: bool):
  chain = CHAIN._replace(priority=priority, untouched=0.25)
  n = 200_000
  t = diffusion.draw_steps(chain, jax.random.key(0), n, jnp.int32(10))
  found = np.bincount(np.asarray(t), minlength=11) / n
  law = np.arange(1, 11) if priority else np.ones(10)
  expected = [0.25, *(0.75 * law / law.sum())]
  np.testing.assert_allclose(found, expected, atol=0.004)
  assert len(found) == 11


def test_the_longest_chain_reaches_its_ends():
  chain = CHAIN._replace(priority=False, untouched=0.0)
  t = diffusion.draw_steps(chain, jax.random.key(1), 50_000, jnp.int32(1000))
  assert (t.min(), t.max()) == (1, 1000)


def test_mean_and_variance_of_each_step():
  """Of x_t given t: sqrt(abar_t) x and (1 - abar_t) sigma^2."""
  chain = diffusion.Chain(4, 4, 0.1, 0.7, 0.5, 0.2, priority=False)
  n, x = 60_000, jnp.array([2.0, -1.0])
  policy = diffusion.policy(chain)
  numbers = policy.draw(jax.random.key(0), (n, 2), jnp.float32(0))
  found = np.asarray(policy.apply(jnp.tile(x, (n, 1)), numbers))
  for signal in signals(chain, 4):
    own = found[np.abs(numbers.signal - math.sqrt(signal)) < 1e-4]
    assert len(own) == pytest.approx(n / 5, rel=0.05)
    np.testing.assert_allclose(own.mean(0), np.sqrt(signal) * x, atol=0.02)
    std = 0.5 * math.sqrt(1 - signal)
    np.testing.assert_allclose(own.std(0), std, rtol=0.03)


@pytest.mark.parametrize('shape', [(64, 2), (64, 4, 4, 3)])
def test_step_0_is_the_identity(shape: tuple[int, ...]):
  x = jax.random.normal(jax.random.key(2), shape)
  policy = diffusion.policy(CHAIN)
  numbers = policy.draw(jax.random.key(0), shape, jnp.float32(1))
  found = policy.apply(x, numbers)
  alone = np.asarray(numbers.signal) == 1
  assert 16 < alone.sum() < 48
  np.testing.assert_array_equal(found[alone], x[alone])
  assert (np.asarray(found)[~alone] != np.asarray(x)[~alone]).all()


def test_derivatives_are_those_of_an_affine_map():
  policy = diffusion.policy(CHAIN)
  numbers = policy.draw(jax.random.key(0), (1, 2), jnp.float32(0.3))

  def energy(x: jax.Array) -> jax.Array:
    return 0.5 * jnp.square(policy.apply(x[None], numbers)).sum()

  second = jax.hessian(energy)(jnp.array([0.3, -2.0]))
  factor = float(numbers.signal[0])
  np.testing.assert_allclose(second, factor**2 * np.eye(2), rtol=1e-5)


def test_length_is_bounded_while_it_rises_and_falls():
  how = augment.Adaptive(jnp.sign, interval=1, most=1.0)
  hyper = {
    'augment.p': jnp.float32(0), 'augment.target': jnp.float32(0.6),
    'augment.speed_kimg': jnp.float32(0.01),
  }  # fmt: skip
  memory, found = augment.not_adapted(), []
  sure, unsure = jnp.ones(4), jnp.array([1.0, 1.0, -1.0, -1.0])
  for logits in (sure, sure, sure, unsure, unsure, unsure):
    now = {**hyper, 'augment.p': augment.strength(memory, hyper)}
    memory = augment.adapt(how, memory, logits, 4, now)
    p = augment.strength(memory, hyper)
    found.append(int(diffusion.length(CHAIN, p)))
  # Moves of 0.4; from the bound it falls at once.
  assert found == [406, 802, 1000, 604, 208, 10]


def config() -> configs.Config:
  made = configs.Config(steps=8, batch_size=32)
  made.data.name, made.gen.latent_dim = 'grid', 2
  made.gen.net = mlp.GenSettings(width=8, depth=1)
  made.disc.net = mlp.DiscSettings(width=8, depth=1)
  made.penalties.r1.weight = 0.1
  made.augment.policy, made.augment.adapt = 'diffusion', 'sign'
  made.augment.speed_kimg = 0.256
  made.population.vary = {'augment.target': [-1.5, 1.5]}
  return made


def test_members_adapt_their_lengths_in_a_game_of_points():
  game = program.open_game(config())
  chunk, batches = program.make_chunk(game, 8), placing.make_batches(game, 8)
  state, _, logs = chunk(game.start(), game.hyper, batches(0), game.keys)
  # Two moves of 0.5 up, or held at 0.
  moved = state.memory['augment'].moved
  np.testing.assert_allclose(moved, [1.0, 0.0], atol=1e-6)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(logs))


def line(made: configs.Config) -> str:
  def make() -> None:
    checks.validate(made)
    build.make_spec(made, RING)

  with pytest.raises(ValueError, match=r'augment') as caught:
    make()
  (found,) = str(caught.value).splitlines()
  return found


def test_refusals():
  made = config()
  made.augment.diffusion.most_steps = 5
  assert line(made) == (
    'augment.diffusion.most_steps=5: takes numbers from '
    'augment.diffusion.least_steps=10 on'
  )
  made = config()
  made.augment.diffusion.beta_last = 1e-5
  assert 'beta_last=1e-05: takes numbers from' in line(made)
  made.augment.diffusion.noise = 0.0
  assert 'augment.diffusion.noise=0.0: must be above 0' in line(made)
  made = config()
  made.augment.diffusion.mixture = 'late'
  assert 'augment.diffusion.mixture' in line(made)
  made = config()
  made.augment.policy = 'difusion'
  assert "(did you mean 'diffusion'?)" in line(made)
  # Without adaptation and at strength 0 it is a chain of the least length.
  made = config()
  made.augment.adapt = ''
  made.population.vary = {}
  assert build.make_spec(made, RING).augment is not None
