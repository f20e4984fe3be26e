"""Networks in bfloat16: what is summed over pixels keeps its digits."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import traverse_util

from gan_jax import types
from gan_jax.networks import (
  biggan,
  biggan_deep,
  dcgan,
  maxout,
  mlp,
  r3gan,
  r3gan2,
  small_dcgan,
  sngan,
  stylegan2,
)
from gan_jax.ops import homogeneous

KEY = jax.random.key(0)
SHAPE = 32, 32, 3
R3GAN = {'width': 8, 'depth': 1, 'groups': 4}

GENERATORS = [
  dcgan.Generator(SHAPE, dcgan.GenSettings(width=8)),
  stylegan2.Generator(SHAPE, stylegan2.GenSettings(8, w_dim=8, depth=1)),
  r3gan.Generator(SHAPE, r3gan.GenSettings(**R3GAN)),
]
DISCRIMINATORS = [
  mlp.Discriminator(mlp.DiscSettings(width=8)),
  maxout.Discriminator(maxout.DiscSettings(width=8)),
  biggan.Discriminator(biggan.DiscSettings(4, attention=16), 3),
  stylegan2.Discriminator(stylegan2.DiscSettings(width=8)),
  r3gan.Discriminator(r3gan.DiscSettings(**R3GAN)),
  r3gan2.Discriminator(r3gan2.DiscSettings(width=32, depth=1)),
]


def noisy(params: types.PyTree) -> types.PyTree:
  """No factor is 0, so that every parameter has a gradient."""
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(KEY, len(leaves))
  return tree.unflatten(
    x + 0.1 * jax.random.normal(k, x.shape)
    for x, k in zip(leaves, keys, strict=True)
  )


def inputs(module: nn.Module) -> types.Latent | types.Batch:
  label = jnp.arange(16) % 3
  if module in GENERATORS:
    return types.Latent(jax.random.normal(KEY, (16, 64)), label)
  return types.Batch(jnp.tanh(jax.random.normal(KEY, (16, *SHAPE))), label)


@pytest.mark.parametrize(
  'module',
  [*GENERATORS, *DISCRIMINATORS],
  ids=lambda m: f'{type(m).__module__.split(".")[-1]}-{type(m).__name__}',
)
def test_gradients_of_biases_are_those_of_float32(module: nn.Module):
  """Each is a sum over 16,384 positions; of bfloat16 it stays at 256 terms."""
  example, rngs = inputs(module), {'noise': KEY}
  init = jax.jit(module.init, static_argnums=2)
  variables = init({'params': KEY, **rngs}, example, types.EVAL)
  params = jax.jit(noisy)(variables.pop('params'))

  def mean(params: types.PyTree, dtype: jnp.dtype) -> jax.Array:
    out = module.copy(dtype=dtype).apply(
      {'params': params, **variables}, example, types.EVAL, rngs=rngs
    )
    first = out[0] if isinstance(out, tuple) else out
    return first.astype(jnp.float32).mean()

  exact, half = (
    traverse_util.flatten_dict(jax.jit(jax.grad(mean), static_argnums=1)(
      params, dtype
    ))
    for dtype in (jnp.float32, jnp.bfloat16)
  )  # fmt: skip
  summed = 'bias', 'gamma', 'centred', 'basis'
  for path, truth in exact.items():
    if path[-1] in summed and (size := jnp.linalg.norm(truth)):
      error = jnp.linalg.norm(half[path] - truth) / size
      assert error < 0.1, path


@pytest.mark.parametrize(
  'module',
  [
    *DISCRIMINATORS,
    dcgan.Discriminator(dcgan.DiscSettings(width=8)),
    small_dcgan.Discriminator(small_dcgan.DiscSettings(width=8)),
    biggan_deep.Discriminator(biggan_deep.DiscSettings(width=4), 3),
    sngan.Discriminator(sngan.DiscSettings(width=8)),
  ],
  ids=lambda m: type(m).__module__.split('.')[-1],
)
def test_logits_keep_their_digits(module: nn.Module):
  """They are not rounded to the 8 binary digits that bfloat16 has."""
  x = jnp.tanh(jax.random.normal(KEY, (16, *SHAPE)))
  batch = types.Batch(x, jnp.arange(16) % 3)
  rngs = {'noise': KEY}
  half = module.copy(dtype=jnp.bfloat16)

  @jax.jit
  def first(key: jax.Array):
    variables = half.init({'params': key, **rngs}, batch, types.EVAL)
    variables['params'] = noisy(variables['params'])
    return half.apply(variables, batch, types.EVAL, rngs=rngs)

  out = first(KEY)
  logits = out[0] if isinstance(out, tuple) else out
  assert logits.dtype == jnp.float32
  assert (
    logits != logits.astype(jnp.bfloat16).astype(jnp.float32)
  ).mean() > 0.5


def test_logits_by_eulers_theorem():
  """They are read off the gradients of biases, and no worse than D's own."""
  module = DISCRIMINATORS[-2]
  batch = inputs(module)._replace(label=None)
  params = noisy(module.init(KEY, batch, types.EVAL)['params'])

  def logits(params: types.PyTree, batch: types.Batch, dtype: jnp.dtype):
    half = module.copy(dtype=dtype)
    found = half.apply({'params': params}, batch, types.EVAL)
    return (found[0] if isinstance(found, tuple) else found).astype(jnp.float32)

  truth = jax.jit(logits, static_argnums=2)(params, batch, jnp.float32)
  own = jax.jit(logits, static_argnums=2)(params, batch, jnp.bfloat16)
  euler, _ = jax.jit(
    lambda params: homogeneous.logits_and_input_grads(
      lambda p, b: logits(p, b, jnp.bfloat16), params, batch
    )
  )(params)
  plain, read = (jnp.sqrt(jnp.square(x - truth).mean()) for x in (own, euler))
  assert read < 3 * plain
