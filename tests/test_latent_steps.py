"""Latents that move before both players judge what is made of them (LOGAN)."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gan_jax import types
from gan_jax.config import fields as configs, idle
from gan_jax.data import source as sources
from gan_jax.engine import build, program
from gan_jax.game import draws, latent_steps, spec as specs, steps
from gan_jax.networks import mlp

KEY = jax.random.key(0)
LINE = sources.Info(kind='density', shape=(1,), mean=(4.0,), std=(0.5,))
HYPER = {
  'latent_step.rate': 0.9, 'latent_step.damping': 0.1, 'latent_step.share': 1.0
}  # fmt: skip


def bowl(latent: types.Latent) -> jax.Array:
  """A logit whose gradient is 2 - z."""
  return -0.5 * jnp.square(latent.z - 2).sum(axis=1)


def test_a_step_by_hand():
  z = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
  g = 2 - z
  natural = 0.9 * g / (0.1 + np.square(g).sum(axis=1, keepdims=True))
  for is_natural, step in ((True, natural), (False, 0.9 * g)):
    for bound in (None, 1.0):
      options = latent_steps.Options(is_natural, bound)
      latent = types.Latent(jnp.asarray(z), jnp.arange(5))
      found, length = latent_steps.moved(latent, bowl, HYPER, KEY, options)
      there = z + step if bound is None else np.clip(z + step, -1, 1)
      np.testing.assert_allclose(found.z, there, rtol=1e-5, atol=1e-6)
      expected = np.square(step).sum(axis=1).mean()
      np.testing.assert_allclose(length, expected, rtol=1e-5)
      np.testing.assert_array_equal(found.label, np.arange(5))


def test_a_share_of_latents_moves():
  hyper = HYPER | {'latent_step.share': 0.8}
  latent = types.Latent(jnp.zeros((4000, 2)))
  options = latent_steps.Options(True, None)
  found, length = latent_steps.moved(latent, bowl, hyper, KEY, options)
  moves = np.asarray(found.z != 0)
  assert (moves[:, 0] == moves[:, 1]).all()
  # Four standard deviations of a share of 4,000.
  assert abs(moves.mean() - 0.8) < 4 * (0.8 * 0.2 / 4000) ** 0.5
  g = np.full(2, 2.0)
  step = 0.9 * g / (0.1 + g @ g)
  np.testing.assert_allclose(
    length, moves[:, 0].mean() * step @ step, rtol=1e-5
  )


def make_config(**step: Any) -> configs.Config:
  config = configs.Config(steps=3, batch_size=16, log_every=1)
  config.gen.net = mlp.GenSettings(width=8, depth=1, activation='tanh')
  config.disc.net = mlp.DiscSettings(width=8, depth=1, activation='tanh')
  config.latent_step = configs.LatentStep(**{'rate': 0.9} | step)
  return config


class Game:
  """Both losses at the first state of a game."""

  def __init__(self, config: configs.Config) -> None:
    self.spec = build.make_spec(build.complete(config), LINE)
    self.hyper = build.make_hyper(config)
    self.state = build.init_state(self.spec, self.hyper, KEY)
    self.draw = draws.draw_step(self.spec, jax.random.key(1))
    x = jax.random.normal(jax.random.key(2), (1, 16, 1))
    self.real = types.Batch(x)
    self.before = steps.position_of(self.state, self.spec)

  def loss(
    self, player: str, params: types.Pair, spec: specs.Spec, draw: Any = None
  ) -> jax.Array:
    """Of a player, of G's first update or of D's."""
    given = self.draw if draw is None else draw
    step = jnp.zeros((), jnp.int32)
    losses = steps.make_losses(spec, self.hyper, step, self.real, given)
    loss = getattr(losses, player)[0]
    return loss(params, self.before.carried)[0]

  def moved(self, params: types.Pair) -> types.Latent:
    """D's first latents after a step, by functions of the networks alone."""
    apply = functools.partial(
      self.spec.gen.apply, params.gen, {}, key=KEY, mode=types.EVAL
    )
    judge = functools.partial(
      self.spec.disc.apply, params.disc, {}, key=KEY, mode=types.EVAL
    )
    found, _ = latent_steps.moved(
      self.draw.disc[0].latent,
      lambda latent: judge(types.Batch(apply(latent)[0]))[0],
      HYPER,
      KEY,
      latent_steps.Options(True, 1.0),
    )
    return found


def test_the_loss_is_that_of_the_moved_latents():
  game = Game(make_config())
  params = game.before.params
  own = game.draw.disc[0]._replace(latent=game.moved(params))
  still = game.spec._replace(latent_step=None)
  there = game.loss('disc', params, still, game.draw._replace(disc=(own,)))
  here = game.loss('disc', params, game.spec)
  np.testing.assert_allclose(here, there, rtol=1e-5)
  assert abs(here - game.loss('disc', params, still)) > 1e-3


@pytest.mark.parametrize('player', ['disc', 'gen'])
def test_gradients_pass_through_the_step(player: str):
  """By finite differences of the whole loss; without the step's they differ."""
  game = Game(make_config(weight=0.1))
  params = game.before.params
  flat, rebuild = ravel_pytree(getattr(params, player))
  way = jax.random.normal(jax.random.key(3), flat.shape)
  way /= jnp.linalg.norm(way)

  @jax.jit
  def along(t: jax.Array) -> jax.Array:
    changed = params._replace(**{player: rebuild(flat + t * way)})
    return game.loss(player, changed, game.spec)

  slope = jax.grad(along)(0.0)
  far = 0.03
  # Of fourth order.
  near = 8 * (along(far) - along(-far)) - (along(2 * far) - along(-2 * far))
  np.testing.assert_allclose(slope, near / (12 * far), rtol=0.01, atol=2e-4)


def test_what_shapes_the_game():
  assert (
    build.make_spec(build.complete(configs.Config()), LINE).latent_step is None
  )
  config = make_config(natural=False)
  assert Game(config).spec.latent_step == latent_steps.Options(False, 1.0)
  config.gen.latent = 'normal'
  assert Game(config).spec.latent_step == latent_steps.Options(False, None)
  # Where it begins at 0, the program has it from the first step on.
  config.latent_step.rate = 0.0
  config.schedules['latent_step.rate'] = configs.Schedule(final=0.9, end=10)
  assert Game(config).spec.latent_step


def test_a_game_of_packed_samples_and_several_parts():
  config = make_config(weight=1.0, share=0.5)
  config.packing, config.microbatches, config.disc_steps = 2, 2, 2
  game = program.open_game(config)
  chunk = program.make_chunk(game, 3)
  state, logs, _ = chunk(game.start(), game.hyper, {}, game.keys)
  assert int(state.step) == 3
  assert 0 < logs['gen/latent_step'] < np.inf
  assert 0 < logs['disc/latent_step'] < np.inf


def test_what_has_no_effect_is_warned_of():
  config = build.complete(make_config(rate=0.0, share=0.5, damping=0.3))
  told = [line for line in idle.warnings(config) if 'latent_step' in line]
  assert [line.partition('=')[0] for line in told] == [
    'latent_step.damping', 'latent_step.share'
  ]  # fmt: skip
  config = build.complete(make_config(natural=False, damping=0.3))
  (line,) = (x for x in idle.warnings(config) if 'latent_step' in x)
  assert line.endswith('without latent_step.rate and latent_step.natural')
