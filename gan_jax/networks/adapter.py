"""From a linen module to the pure functions that a game is played with."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types


def as_network(module: nn.Module, example: Any) -> types.Network:
  """Wraps a linen module, called as `module(input, mode)`.

  Args:
    module: a `Generator` or a `Discriminator`.
    example: a `Latent` or a `Batch` of the shapes of its input, with any batch
      size; arrays or `jax.ShapeDtypeStruct`.
  """

  # A start asks three times for the shapes or the values of a first state.
  @jax.jit
  def init(key: jax.Array) -> tuple[types.PyTree, types.PyTree]:
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), example)
    variables = dict(module.init(key, zeros, types.EVAL))
    return variables.pop('params'), variables

  def apply(
    params: types.PyTree,
    vars: types.PyTree,
    input: Any,
    *,
    key: jax.Array,
    mode: types.Mode,
  ) -> tuple[jax.Array, types.PyTree]:
    y, new_vars = module.apply(
      {'params': params, **vars},
      input,
      mode,
      rngs={'dropout': key},
      # With statistics of the batch, flax's layers write new averages.
      mutable=list(vars) if mode.batch_stats or mode.update_vars else [],
    )
    # Losses and penalties are computed in float32 whatever the activations.
    y = y.astype(jnp.float32)
    return y, {**vars, **new_vars} if mode.update_vars else vars

  return types.Network(init, apply, getattr(module, 'homogeneous', False))
