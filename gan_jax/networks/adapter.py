"""From a linen module to the pure functions that a game is played with."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.networks import layers, spectral

# Where the vectors of spectral normalisation are.
_SPECTRAL = 'spectral'


def as_network(
  module: nn.Module, example: Any, matmul_precision: str = 'highest'
) -> types.Network:
  """Wraps a linen module, called as `module(input, mode)`.

  What a module may say of itself, each by an attribute of that name:
  `homogeneous`, `truncation`, `entries` and `methods` (names of methods that
  are called in the same way), as `types.Network` has them; `spectral`, the
  `spectral.Norm` of its weights, or None; `project`, as `types.Network` has it.
  Its `settings` may have `bias_init`, a name in `layers.BIASES`.

  Args:
    module: a `Generator` or a `Discriminator`.
    example: a `Latent` or a `Batch` of the shapes of its input, with any batch
      size; arrays or `jax.ShapeDtypeStruct`.
    matmul_precision: of its products and of those of its derivatives.
  """
  norm: spectral.Norm | None = getattr(module, 'spectral', None)
  settings = getattr(module, 'settings', None)
  draw_biases = layers.BIASES[getattr(settings, 'bias_init', 'zeros')]

  # A start asks three times for the shapes or the values of a first state.
  @jax.jit
  def init(key: jax.Array) -> tuple[types.PyTree, types.PyTree]:
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), example)
    vars = dict(module.init(key, zeros, types.EVAL))
    params = vars.pop('params')
    if draw_biases is not None:
      params = draw_biases(params, jax.random.fold_in(key, 2))
    if norm is not None:
      first_key = jax.random.fold_in(key, 1)
      vars[_SPECTRAL] = spectral.init(norm, params, first_key)
    return params, vars

  def apply(
    method: str,
    params: types.PyTree,
    vars: types.PyTree,
    input: Any,
    *,
    key: jax.Array,
    mode: types.Mode,
  ) -> tuple[Any, types.PyTree]:
    if norm is not None:
      params = spectral.normalise(params, vars[_SPECTRAL])
    flax_vars = {
      name: value for name, value in vars.items() if name != _SPECTRAL
    }
    with jax.default_matmul_precision(matmul_precision):
      y, new_vars = module.apply(
        {'params': params, **flax_vars},
        input,
        mode,
        rngs={'dropout': key, 'noise': key},
        # With statistics of the batch, flax's layers write new averages.
        mutable=list(flax_vars) if mode.batch_stats or mode.update_vars else [],
        method=method,
      )
    # Losses and penalties are computed in float32 whatever the activations.
    y = jax.tree.map(lambda y: y.astype(jnp.float32), y)
    return y, {**vars, **new_vars} if mode.update_vars else vars

  def advance(params: types.PyTree, vars: types.PyTree) -> types.PyTree:
    if norm is None:
      return vars
    moved = spectral.advance(norm, params, vars[_SPECTRAL])
    return {**vars, _SPECTRAL: moved}

  return types.Network(
    init=init,
    apply=functools.partial(apply, '__call__'),
    advance=advance,
    project=getattr(module, 'project', None),
    methods={
      name: functools.partial(apply, name)
      for name in getattr(module, 'methods', ())
    },
    homogeneous=norm is None and getattr(module, 'homogeneous', False),
    truncation=getattr(module, 'truncation', ''),
    entries=getattr(module, 'entries', ()),
  )
