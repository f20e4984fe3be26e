"""Logits read off their gradient, against the forward pass and autodiff."""

import functools
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build, names
from gan_jax.game import (
  draws,
  looks,
  objectives,
  penalties,
  spec as specs,
  state as states,
)
from gan_jax.networks import (
  adapter,
  dcgan,
  maxout,
  mlp,
  r3gan,
  small_dcgan,
  stylegan2,
)
from gan_jax.ops import homogeneous

IMAGES = (8, 8, 3)

# Compiling is what takes time here.
quick = functools.partial(
  jax.jit, compiler_options={'xla_backend_optimization_level': 0}
)


def noisy(params: dict, key: jax.Array) -> dict:
  """No bias is 0, and the zero kernels of residual blocks are not either."""
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(key, len(leaves))
  return tree.unflatten(
    x + 0.1 * jax.random.normal(k, x.shape)
    for x, k in zip(leaves, keys, strict=True)
  )


def looked_at(module: nn.Module, euler: bool) -> list[jax.Array]:
  """Logits, input gradients, and what both send to each of the parameters."""
  example = types.Batch(jnp.zeros((1, *IMAGES)))
  network = adapter.as_network(module, example)
  params = noisy(quick(network.init)(jax.random.key(0))[0], jax.random.key(1))
  batch = types.Batch(jax.random.normal(jax.random.key(2), (64, *IMAGES)))

  def disc(params: dict, batch: types.Batch) -> jax.Array:
    return network.apply(
      params, {}, batch, key=jax.random.key(0), mode=types.TRAIN
    )[0]

  def look(params: dict) -> tuple[jax.Array, jax.Array]:
    if euler:
      return homogeneous.logits_and_input_grads(disc, params, batch)
    grads = penalties.input_grads(lambda b: disc(params, b), batch)
    return disc(params, batch), grads

  @quick
  def both_ways(params: dict) -> tuple:
    out, pull = jax.vjp(look, params)
    cotangents = jax.tree.map(
      lambda y: jax.random.normal(jax.random.key(3), y.shape), out
    )
    return out, pull(cotangents)

  return jax.tree.leaves(both_ways(params))


def errors(values: list[jax.Array], truth: list[jax.Array]) -> list[float]:
  return [
    float(jnp.linalg.norm((a - b).ravel()) / jnp.linalg.norm(b.ravel()))
    for a, b in zip(values, truth, strict=True)
  ]


@pytest.mark.parametrize(
  'module',
  [
    mlp.Discriminator(mlp.DiscSettings(width=16, depth=2)),
    mlp.Discriminator(mlp.DiscSettings(width=16, depth=2, activation='relu')),
    dcgan.Discriminator(dcgan.DiscSettings(width=8, batch_norm=False)),
    r3gan.Discriminator(r3gan.DiscSettings(width=8, depth=1, groups=4)),
    stylegan2.Discriminator(stylegan2.DiscSettings(width=8, mbstd_group=0)),
  ],
  ids=lambda m: f'{type(m).__module__}-{getattr(m.settings, "activation", "")}',
)
def test_eulers_theorem(module: nn.Module):
  assert module.homogeneous
  assert max(errors(looked_at(module, True), looked_at(module, False))) < 2e-6


def test_bfloat16_loses_no_more():
  module = r3gan.Discriminator(r3gan.DiscSettings(width=8, depth=1, groups=4))
  truth, half = looked_at(module, False), module.copy(dtype=jnp.bfloat16)
  ours, plain = (errors(looked_at(half, how), truth) for how in (True, False))
  for own, other in zip(ours, plain, strict=True):
    assert own < 1.5 * other


@pytest.mark.parametrize(
  'module',
  [
    mlp.Discriminator(mlp.DiscSettings(activation='silu')),
    mlp.Discriminator(mlp.DiscSettings(batch_norm=True)),
    dcgan.Discriminator(),
    small_dcgan.Discriminator(),
    maxout.Discriminator(),
    stylegan2.Discriminator(stylegan2.DiscSettings(width=8)),
    stylegan2.Discriminator(
      stylegan2.DiscSettings(width=8, mbstd_group=0, clamp=256.0)
    ),
  ],
  ids=lambda m: type(m).__module__,
)
def test_others_do_not_claim_it(module: nn.Module):
  example = types.Batch(jnp.zeros((1, 4, 4, 1)))
  assert not adapter.as_network(module, example).homogeneous


def test_a_smooth_network_is_none():
  """Euler's form of D(x) = tanh(x) is x (1 - tanh(x)^2), not tanh(x)."""
  x = jnp.array([[0.5], [-2.0]])
  logits, grads = homogeneous.logits_and_input_grads(
    lambda _, batch: jnp.tanh(batch.x[:, 0]), {}, types.Batch(x)
  )
  slope = 1 - jnp.tanh(x) ** 2
  chex.assert_trees_all_close(grads, slope, rtol=1e-5)
  chex.assert_trees_all_close(logits, (x * slope)[:, 0], rtol=1e-5)


BOTH = ('r1', 'r2')


@pytest.mark.parametrize(
  ('loss', 'frozen', 'penalised'),
  [
    *((name, True, BOTH) for name, x in names.LOSSES.items() if x.of_logits),
    *(('non_saturating', True, (name,)) for name in BOTH),
    *(('non_saturating', False, each) for each in (BOTH, ('r1',))),
  ],
)
def test_a_step_is_the_same(
  loss: str, frozen: bool, penalised: tuple[str, ...]
):
  """Both players' gradients and logs, with packing, LeCam and WGAN-GP too."""
  config = configs.Config(batch_size=6, loss=loss, packing=2)
  config.gen.net = mlp.GenSettings(width=8)
  config.disc.net = mlp.DiscSettings(width=8)
  config.penalties.lecam.weight = config.penalties.wgan_gp.weight = 0.3
  for name in penalised:
    getattr(config.penalties, name).weight = 2.0
  info = sources.Info(
    kind='points', shape=(2,), mean=(0.0,) * 2, std=(1.0,) * 2
  )
  spec, hyper = build.make_spec(config, info), build.make_hyper(config)
  assert spec.disc.homogeneous
  state = build.init_state(spec, hyper, jax.random.key(0))
  params = noisy(state.disc.params, jax.random.key(1))
  x = jax.random.normal(jax.random.key(2), (12, 2))
  keys = draws.split_keys(jax.random.key(3))
  draw = draws.UpdateDraw(spec.latent(keys.latents, 12), keys)
  now = states.StepContext(hyper, state.step, state.memory)
  freeze = objectives.frozen if frozen else lambda loss: loss

  def gradient(look: specs.Looks) -> Any:
    own = spec._replace(look=look)

    def loss(disc: types.PyTree, gen: types.PyTree) -> Any:
      return freeze(objectives.discriminator_loss)(
        disc, gen, types.Pair({}, {}), types.Batch(x), draw, now, own
      )

    grad = quick(jax.grad(loss, (0, 1), has_aux=True))
    return grad(params, state.gen.params)

  assert looks.by_input_gradients in spec.look
  ours, plain = gradient(spec.look), gradient(specs.Looks())
  chex.assert_trees_all_close(ours, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  'module',
  [
    mlp.Discriminator(mlp.DiscSettings(8, conditioning='projection'), 3),
    mlp.Discriminator(mlp.DiscSettings(8, conditioning='classifier'), 3),
    mlp.Discriminator(mlp.DiscSettings(8, conditioning='own_logit'), 3),
    mlp.Discriminator(mlp.DiscSettings(8, conditioning='multi_hinge'), 3),
    dcgan.Discriminator(dcgan.DiscSettings(8, batch_norm=False), 3),
    r3gan.Discriminator(r3gan.DiscSettings(8, 1, 2, embedding=8), 3),
  ],
  ids=lambda m: f'{type(m).__module__}-{m.settings}',
)
def test_a_class_may_end_it(module: nn.Module):
  """Logits of samples with labels, and their slopes, are the network's own."""
  label = jnp.array([0, 2, 1, 2])
  batch = types.Batch(jax.random.normal(jax.random.key(2), (4, *IMAGES)), label)
  network = adapter.as_network(module, batch)
  assert network.homogeneous
  params = noisy(quick(network.init)(jax.random.key(0))[0], jax.random.key(1))

  def disc(params: dict, batch: types.Batch) -> jax.Array:
    return network.apply(
      params, {}, batch, key=jax.random.key(0), mode=types.TRAIN
    )[0]

  @quick
  def both(params: dict) -> tuple:
    logits = disc(params, batch)
    grads = penalties.input_grads(lambda b: disc(params, b), batch)
    euler = homogeneous.logits_and_input_grads(disc, params, batch)
    return (logits, grads), euler

  plain, euler = both(params)
  chex.assert_trees_all_close(euler, plain, rtol=1e-4, atol=1e-4)


def test_a_class_beside_the_sample_is_no_part_of_it():
  module = mlp.Discriminator(mlp.DiscSettings(8), 3)
  example = types.Batch(jnp.zeros((1, 4)), jnp.zeros((1,), jnp.int32))
  assert not adapter.as_network(module, example).homogeneous
