"""Spectral normalisation against PyTorch's, and where its vectors move."""

import functools
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import make_spectral_fixture as fixture
import numpy as np
import pytest
from flax import traverse_util

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build, names
from gan_jax.game import draws, sampling, state as states, steps
from gan_jax.networks import adapter, conditional, layers, mlp, spectral

KEY = jax.random.key(0)

LAYERS = {
  'conv': functools.partial(layers.Conv, 4, 3),
  'transposed': functools.partial(layers.Conv, 3, 4, 2, True),
  'grouped': functools.partial(layers.Conv, 6, 3, groups=2),
  'dense': functools.partial(layers.dense, 7, 'lecun', 1.0, jnp.float32),
  'embedding': functools.partial(conditional.Embedding, 5, 6),
}


class Single(nn.Module):
  """One layer as a network of its own."""

  name_of: str
  iterations: int = 1

  @property
  def spectral(self) -> spectral.Norm:
    return spectral.Norm(iterations=self.iterations)

  @nn.compact
  def __call__(self, input: jax.Array, mode: types.Mode) -> jax.Array:
    return LAYERS[self.name_of](name='layer')(input)


def ours(name: str, weight: np.ndarray) -> np.ndarray:
  """A weight of PyTorch's in our order of axes."""
  if name == 'embedding':
    return weight
  if name == 'transposed':
    # There it is the gradient of a convolution, which turns the kernel.
    return weight.transpose(2, 3, 0, 1)[::-1, ::-1]
  return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T


def right(name: str, v: np.ndarray) -> np.ndarray:
  """PyTorch's right vector in the order of our columns of W."""
  shape = fixture.SHAPES[name]
  if len(shape) == 2:
    return v
  if name == 'transposed':
    v = v.reshape(shape[0], *shape[2:])[:, ::-1, ::-1]
    return v.transpose(1, 2, 0).reshape(-1)
  return v.reshape(shape[1:]).transpose(1, 2, 0).reshape(-1)


@pytest.mark.parametrize('name', fixture.SHAPES)
def test_ten_steps_of_pytorch(name: str):
  network = adapter.as_network(Single(name), fixture.inputs(name))
  first = fixture.start(name)
  leaf = 'embedding' if name == 'embedding' else 'kernel'
  own = {leaf: ours(name, first['weight'])}
  if name != 'embedding':
    own['bias'] = first['bias']
  u, v = first['u'], right(name, first['right/u'])
  params = {'layer': jax.tree.map(jnp.asarray, own)}
  vars = {'spectral': {'layer': {leaf: {'u': u, 'v': v}}}}
  chex.assert_trees_all_equal_shapes((params, vars), network.init(KEY))
  x = jnp.asarray(fixture.inputs(name))

  def loss(params: types.PyTree, vars: types.PyTree) -> jax.Array:
    y, _ = network.apply(params, vars, x, key=KEY, mode=types.TRAIN)
    return jnp.square(y - fixture.target(y.shape)).mean()

  @jax.jit
  def step(params: types.PyTree, vars: types.PyTree) -> Any:
    vars = network.advance(params, vars)
    there = spectral.normalise(params, vars['spectral'])['layer'][leaf]
    sigma = jnp.linalg.norm(params['layer'][leaf]) / jnp.linalg.norm(there)
    grads = jax.grad(loss)(params, vars)
    moved = jax.tree.map(lambda p, g: p - fixture.RATE * g, params, grads)
    return moved, vars, sigma

  with np.load(fixture.PATH) as file:
    kept = {key: file[f'{name} {key}'] for key in ('weight', 'u', 'sigmas')}
  for expected in kept['sigmas']:
    params, vars, sigma = step(params, vars)
    np.testing.assert_allclose(sigma, expected, rtol=1e-5)
  weight = ours(name, kept['weight'])
  np.testing.assert_allclose(params['layer'][leaf], weight, atol=1e-5)
  found = vars['spectral']['layer'][leaf]['u']
  np.testing.assert_allclose(found, kept['u'], atol=1e-5)


@pytest.mark.parametrize('name', LAYERS)
def test_sigma_is_the_largest_singular_value(name: str):
  network = adapter.as_network(Single(name, 50), fixture.inputs(name))
  params, vars = network.init(KEY)
  for _ in range(8):
    vars = network.advance(params, vars)
  ((leaf, own),) = vars['spectral']['layer'].items()
  weight = np.asarray(params['layer'][leaf])
  # A row for each class of an embedding, or each channel that comes out.
  rows = weight.shape[0 if leaf == 'embedding' else -1]
  assert own['u'].shape == (rows,)
  assert own['v'].shape == (weight.size // rows,)
  matrix = weight.reshape(-1, weight.shape[-1])
  largest = np.linalg.svd(matrix, compute_uv=False)[0]
  normal = spectral.normalise(params, vars['spectral'])['layer'][leaf]
  np.testing.assert_allclose(normal, weight / largest, rtol=1e-4, atol=1e-6)


def test_an_untrained_network_is_normalised():
  network = adapter.as_network(Single('conv'), fixture.inputs('conv'))
  params, vars = network.init(KEY)
  normal = spectral.normalise(params, vars['spectral'])['layer']['kernel']
  matrix = np.asarray(normal).reshape(-1, normal.shape[-1])
  largest = np.linalg.svd(matrix, compute_uv=False)[0]
  assert largest == pytest.approx(1, rel=0.02)


def test_sigma_is_differentiated():
  """Of <G, W / sigma>: (G - <G, W> u v^T / sigma) / sigma; u and v stay."""
  network = adapter.as_network(Single('dense'), fixture.inputs('dense'))
  params, vars = network.init(KEY)
  g, direction = (jax.random.normal(jax.random.key(i), (5, 7)) for i in (1, 2))
  weight = params['layer']['kernel']

  def f(weight: jax.Array, advanced: bool = False) -> jax.Array:
    own = {'layer': {**params['layer'], 'kernel': weight}}
    moved = network.advance(own, vars) if advanced else vars
    normal = spectral.normalise(own, moved['spectral'])['layer']['kernel']
    return (g * normal).sum()

  def left(weight: jax.Array) -> jax.Array:
    own = {'layer': {**params['layer'], 'kernel': weight}}
    return network.advance(own, vars)['spectral']['layer']['kernel']['u']

  u, v = (vars['spectral']['layer']['kernel'][k] for k in 'uv')
  sigma = v @ weight @ u
  expected = (g - (g * weight).sum() / sigma * jnp.outer(v, u)) / sigma
  grad = jax.grad(f)(weight)
  np.testing.assert_allclose(grad, expected, rtol=1e-4, atol=1e-5)
  step = 1e-2
  numeric = f(weight + step * direction) - f(weight - step * direction)
  slope = (grad * direction).sum()
  assert numeric / (2 * step) == pytest.approx(float(slope), rel=5e-3)
  # Nothing passes through the power method.
  turned = jax.grad(lambda w: left(w)[0])(weight)
  assert not np.any(turned)
  moved = network.advance(params, vars)['spectral']['layer']['kernel']
  u, v = moved['u'], moved['v']
  sigma = v @ weight @ u
  expected = (g - (g * weight).sum() / sigma * jnp.outer(v, u)) / sigma
  grad = jax.grad(f)(weight, True)
  np.testing.assert_allclose(grad, expected, rtol=1e-4, atol=1e-5)


def test_which_weights_are_chosen():
  params = {
    'a': {'kernel': jnp.ones((2, 3)), 'bias': jnp.ones(3)},
    'b': {'c': {'embedding': jnp.ones((4, 3))}, 'scale': jnp.ones(3)},
  }

  def chosen(norm: spectral.Norm) -> types.PyTree:
    made = spectral.init(norm, params, KEY)
    return jax.tree.map(lambda _: 0, made)

  both = {'u': 0, 'v': 0}
  a, b = {'a': {'kernel': both}}, {'b': {'c': {'embedding': both}}}
  assert chosen(spectral.Norm()) == a | b
  assert chosen(spectral.Norm(spectral.is_kernel)) == a
  assert chosen(spectral.Norm(lambda path: 'a' not in path)) == b


def game(rule: str, **fields: Any) -> tuple[Any, ...]:
  """A small one whose D stays where it is: only its vectors can move."""
  config = configs.Config(batch_size=4, **fields)
  config.rule.name = rule
  config.gen.latent_dim = 3
  config.gen.net = mlp.GenSettings(width=4, depth=1)
  config.disc.net = mlp.DiscSettings(width=4, depth=1, spectral_norm=True)
  config.optim.disc.name = config.optim.gen.name = 'sgd'
  config.optim.disc.learning_rate = 0.0
  info = sources.Info(kind='density', shape=(5,), mean=(0.0,) * 5)
  spec = build.make_spec(config, info)
  hyper = build.make_hyper(config)
  rounds = build.samples_per_step(config) // 4
  real = types.Batch(jax.random.normal(KEY, (rounds, 4, 5)))

  def start(seed: jax.Array) -> states.GanState:
    state = build.init_state(spec, hyper, jax.random.key(seed))
    # After several iterations they would hardly move any more.
    vars = jax.tree.map(lambda x: x[::-1], state.disc.vars)
    return state._replace(disc=state.disc._replace(vars=vars))

  def step(state: states.GanState, seed: jax.Array) -> states.GanState:
    draw = draws.draw_step(spec, jax.random.key(seed))
    return steps.make_step(spec)(state, hyper, real, draw)[0]

  return spec, start, step


def iterated(spec: Any, state: states.GanState, times: int) -> types.PyTree:
  vars = state.disc.vars
  for _ in range(times):
    vars = spec.disc.advance(state.disc.params, vars)
  return vars


@pytest.mark.parametrize('rule', names.RULES)
def test_vectors_move_once_in_each_update_of_their_player(rule: str):
  """Whatever the rule; not in G's update, and not in evaluation."""
  rounds = 2 if rule in ('alternating', 'lookahead') else 1
  spec, start, step = game(rule, disc_steps=rounds)
  before = jax.jit(start)(0)
  after = jax.jit(step)(before, 1)
  updates = rounds
  expected = iterated(spec, before, updates)
  chex.assert_trees_all_close(after.disc.vars, expected, rtol=1e-5, atol=1e-6)
  still = iterated(spec, before, updates - 1)
  u = [tree['spectral']['Dense_0']['kernel']['u'] for tree in (still, expected)]
  assert np.abs(u[0] - u[1]).max() > 1e-3
  assert 'spectral' not in after.gen.vars
  batch = types.Batch(jnp.ones((4, 5)))
  for mode in (types.EVAL, types.OPPONENT):
    _, kept = spec.disc.apply(
      before.disc.params, before.disc.vars, batch, key=KEY, mode=mode
    )
    chex.assert_trees_all_equal(kept, before.disc.vars)
  logits = sampling.judge(spec, after.disc, batch)
  assert np.isfinite(logits).all()


@pytest.mark.parametrize(
  ('name', 'net'),
  [('mlp', {'width': 4, 'depth': 1}), ('dcgan', {'width': 4})],
)
def test_a_generator_with_kernels_of_norm_one(name: str, net: dict[str, Any]):
  """In a game of classes, whose gains and biases stay as they are."""
  info = sources.Info('images', (8, 8, 1), class_shares=(0.5, 0.5))

  def gen(on: bool) -> types.Network:
    config = configs.Config(conditional=True)
    config.gen.name, config.gen.latent_dim = name, 3
    config.gen.net = {**net, 'spectral_norm': on}
    return build.make_spec(config, info).gen

  normal, plain = gen(True), gen(False)
  params, vars = normal.init(KEY)
  assert 'spectral' not in jax.eval_shape(plain.init, KEY)[1]
  flat = traverse_util.flatten_dict(params)
  for _ in range(50):
    vars = normal.advance(params, vars)
  divided = {
    path: leaf
    / np.linalg.svd(leaf.reshape(-1, leaf.shape[-1]), compute_uv=False)[0]
    if path[-1] == 'kernel'
    else leaf
    for path, leaf in flat.items()
  }
  latent = types.Latent(jax.random.normal(KEY, (4, 3)), jnp.arange(4) % 2)
  own = {'key': KEY, 'mode': types.TRAIN}
  found, _ = normal.apply(params, vars, latent, **own)
  vars.pop('spectral')
  divided = traverse_util.unflatten_dict(divided)
  expected, _ = plain.apply(divided, vars, latent, **own)
  np.testing.assert_allclose(found, expected, atol=1e-4)


def test_members_side_by_side_are_as_by_themselves():
  _, start, step = game('alternating')

  def played(seed: jax.Array) -> states.GanState:
    return step(start(seed), seed + 5)

  together = jax.jit(jax.vmap(played))(jnp.arange(2))
  alone = jax.jit(played)(jnp.int32(1))
  own = jax.tree.map(lambda x: x[1], together)
  chex.assert_trees_all_close(
    (own.disc, own.gen), (alone.disc, alone.gen), rtol=1e-4, atol=1e-6
  )
