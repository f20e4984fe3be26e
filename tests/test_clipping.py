"""Weight clipping: by hand, in a game's step, and where it is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.config import fields as configs
from gan_jax.engine import program
from gan_jax.game import projection
from gan_jax.networks import mlp


def test_updates_end_in_the_box():
  params = {'a': jnp.array([0.5, -0.3]), 'b': jnp.array([2.0])}
  grads = {'a': jnp.array([-4.0, 1.0]), 'b': jnp.array([0.0])}
  for limit, expected in ((0.6, [0.6, -0.4, 0.6]), (0.0, [0.9, -0.4, 2.0])):
    optimiser = projection.into_box(optax.sgd(0.1, momentum=0.9), limit)
    updates, state = optimiser.update(grads, optimiser.init(params), params)
    moved = optax.apply_updates(params, updates)
    np.testing.assert_allclose(np.r_[moved['a'], moved['b']], expected, 1e-6)
    # The momentum is of the gradient as it was.
    (trace,) = [x for x in jax.tree.leaves(state) if x.shape == (2,)]
    np.testing.assert_array_equal(trace, grads['a'])


def make_config() -> configs.Config:
  c = configs.Config(steps=3, batch_size=8, loss='wasserstein', disc_steps=2)
  c.gen.net, c.disc.net = mlp.GenSettings(4, 1), mlp.DiscSettings(4, 1)
  c.population.vary = {'optim.disc.clip': [0.0, 0.01]}
  return c


def test_a_clipped_critic():
  """Of a population in which one member clips and the other does not."""
  game = program.open_game(make_config())
  chunk = program.make_chunk(game, 3)
  state, _, _ = chunk(game.start(), game.hyper, {}, game.keys)

  def largest(params: object) -> np.ndarray:
    leaves = jax.tree.leaves(params)
    return np.max(
      [np.abs(x).reshape(2, -1).max(axis=1) for x in leaves], axis=0
    )

  free, clipped = largest(state.disc.params)
  assert free > 0.1
  assert clipped == pytest.approx(0.01, rel=1e-5)
  assert (largest(state.gen.params) > 0.1).all()


def test_a_rule_that_would_leave_the_box_is_refused():
  config = make_config()
  config.rule.name, config.disc_steps = 'optimistic', 1
  with pytest.raises(ValueError, match=r"optim.disc.clip=0.01: rule.name='opt"):
    program.open_game(config)
