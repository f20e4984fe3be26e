"""Bounds on parameters: by hand, in a game's step, and where refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import files
from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.engine import names, players, program
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


def test_rmsprop_is_pytorchs():
  """torch.optim.RMSprop by its documentation, with momentum."""
  rate, momentum, decay, eps = 0.1, 0.5, 0.9, 1e-3
  make = names.OPTIMISERS['rmsprop']
  optimiser = make(rate, momentum, decay, eps, 0.0)
  x, square, buffer = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
  ours = jnp.asarray(x, jnp.float32)
  state = optimiser.init(ours)
  for _ in range(4):
    g = 3 * x**2 - 1
    square = decay * square + (1 - decay) * g**2
    buffer = momentum * buffer + g / (np.sqrt(square) + eps)
    x = x - rate * buffer
    updates, state = optimiser.update(3 * ours**2 - 1, state, ours)
    ours = ours + updates
    np.testing.assert_allclose(ours, x, rtol=1e-5)
  # Where a rule differentiates through it, it has a derivative at 0.
  smooth = make(rate, momentum, decay, eps, 1e-16)

  def moved(g: jax.Array) -> jax.Array:
    return smooth.update(g, smooth.init(g), g)[0]

  assert jnp.isfinite(jax.grad(moved)(jnp.float32(0.0)))


def test_units_end_in_balls():
  """A unit's weights keep their direction; biases and short ones stay."""
  rng = np.random.default_rng(0)
  params = {
    'Dense_0': {'kernel': rng.normal(size=(4, 3)), 'bias': np.full(3, 9.0)},
    'Maxout_0': {'kernel': rng.normal(size=(4, 5, 2))},
    'Conv_0': {'kernel': rng.normal(size=(3, 3, 4, 2))},
  }
  params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
  grads = jax.tree.map(lambda x: 0.1 * x, params)
  for limit in (1.5, 0.0):
    optimiser = projection.into_balls(optax.sgd(1.0), limit)
    updates, _ = optimiser.update(grads, optimiser.init(params), params)
    moved = optax.apply_updates(params, updates)
    for layer, into in (('Dense_0', 4), ('Maxout_0', 4), ('Conv_0', 36)):
      free = 0.9 * np.asarray(params[layer]['kernel']).reshape(into, -1)
      length = np.linalg.norm(free, axis=0)
      assert length.max() > 1.5
      longest = np.minimum(length, limit or np.inf)
      found = np.asarray(moved[layer]['kernel']).reshape(into, -1)
      np.testing.assert_allclose(found, free / length * longest, rtol=1e-5)
    np.testing.assert_allclose(moved['Dense_0']['bias'], 8.1, rtol=1e-6)


def test_bounds_can_be_differentiated():
  """Under an unrolled rule: with no limit, at zero columns, inside and out."""
  kernel = jnp.array([[0.0, 3.0, 0.1], [0.0, 4.0, 0.2]])

  def after(kernel: jax.Array, limit: float) -> jax.Array:
    optimiser = projection.into_balls(optax.sgd(1.0), limit)
    params = {'kernel': kernel}
    still = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimiser.update(still, optimiser.init(params), params)
    return optax.apply_updates(params, updates)['kernel'][0].sum()

  # d(3 / |w|) of the long column w = (3, 4): (1 - 9 / 25) / 5, -12 / 125.
  inside = [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
  bound = [[1.0, 0.128, 1.0], [0.0, -0.096, 0.0]]
  for limit, expected in ((0.0, inside), (9.0, inside), (1.0, bound)):
    np.testing.assert_allclose(jax.grad(after)(kernel, limit), expected, 1e-5)


def make_config() -> configs.Config:
  c = configs.Config(steps=3, batch_size=8, loss='wasserstein', disc_steps=2)
  c.gen.net, c.disc.net = mlp.GenSettings(4, 1), mlp.DiscSettings(4, 1)
  c.population.vary = {'optim.disc.clip': [0.0, 0.01]}
  return c


def test_a_critic_with_bounded_columns():
  config = make_config()
  config.population.vary = {'optim.disc.max_column_norm': [0.0, 0.3]}
  game = program.open_game(config)
  chunk = program.make_chunk(game, 3)
  state, _, _ = chunk(game.start(), game.hyper, {}, game.keys)
  kernels = [x for x in jax.tree.leaves(state.disc.params) if x.ndim == 3]
  assert len(kernels) == 2
  for kernel in kernels:
    free, bounded = np.linalg.norm(kernel, axis=1).max(axis=1)
    assert free > 0.35
    assert 0.29 < bounded <= 0.3 * (1 + 1e-5)


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


@pytest.mark.parametrize('bound', ['clip', 'max_column_norm'])
def test_a_network_that_sets_its_norms_itself_is_refused(bound: str):
  config = files.load_config('experiments/configs/cifar10.py:r3gan2')
  setattr(config.optim.disc, bound, 1.0)
  network = types.Network(lambda key: ({}, {}), lambda *_: None, project=abs)
  with pytest.raises(ValueError, match=rf"{bound}: disc.name='r3gan2' "):
    players._make_optimiser(config, 'disc', network, frozenset())
