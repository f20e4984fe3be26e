"""A game in evaluation mode: samples of its generator, and D's verdict."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.game import objectives, spec as specs, state as states


def _standing_vars(
  spec: specs.Spec,
  gen_params: types.PyTree,
  gen_vars: types.PyTree,
  key: jax.Array,
  passes: int = 100,
) -> types.PyTree:
  """Batch statistics of G for parameters other than the live ones.

  The moving average of the parameters has no statistics of its own: they are
  collected over `passes` batches of latents (the "standing statistics" of
  Brock et al. 2019, section 3). `{}` stays `{}`.
  """
  if not gen_vars:
    return gen_vars

  def forward(vars: types.PyTree, key: jax.Array) -> tuple[Any, None]:
    latent_key, net_key = jax.random.split(key)
    z = spec.latent(latent_key, spec.batch_size)
    _, vars = spec.gen.apply(
      gen_params, vars, z, labels=None, key=net_key, train=True
    )
    return vars, None

  return jax.lax.scan(forward, gen_vars, jax.random.split(key, passes))[0]


def eval_generator(
  spec: specs.Spec, state: states.GanState, key: jax.Array, *, ema: bool
) -> tuple[types.PyTree, types.PyTree]:
  """`(params, vars)` of the averaged generator, or of the live one."""
  if not ema:
    return state.gen.params, state.gen.vars
  return state.gen_ema, _standing_vars(spec, state.gen_ema, state.gen.vars, key)


# Samples that `sample` and `judge` give to a network together. In evaluation
# mode nothing couples them, and what is computed on the way stays in a cache.
_BLOCK = 4096


def sample(
  spec: specs.Spec,
  gen_params: types.PyTree,
  gen_vars: types.PyTree,
  z: jax.Array,
) -> jax.Array:
  """G in evaluation mode: `[N, Z]` to `[N, ...]` in the units of the data."""

  def generate(z: jax.Array) -> jax.Array:
    x, _ = spec.gen.apply(
      gen_params, gen_vars, z, labels=None, key=jax.random.key(0), train=False
    )
    return spec.to_data(x)

  return _in_blocks(generate, z)


class Sampler:
  """Draws blocks of samples, compiled once for all states of a game."""

  def __init__(self, spec: specs.Spec, num: int, *, ema: bool):
    """Compiles nothing yet.

    Args:
      spec: the game.
      num: samples to draw of each state.
      ema: by the averaged generator.
    """
    self._num, block = num, min(num, 1000)

    def draw(
      generator: tuple[types.PyTree, types.PyTree],
      key: jax.Array,
      index: jax.Array,
    ) -> jax.Array:
      z = spec.latent(jax.random.fold_in(key, index), block)
      return sample(spec, *generator, z)

    self._generator = jax.jit(functools.partial(eval_generator, spec, ema=ema))
    self._block, self._draw = block, jax.jit(draw)

  def draw(
    self, state: states.GanState, key: jax.Array
  ) -> Iterator[np.ndarray]:
    """`num` samples, a function of (state, key): `[n, ...]` after `[n, ...]`.

    They are in the units of the data; images in [-1, 1].
    """
    gen_key, latent_key = jax.random.split(key)
    generator = self._generator(state, gen_key)
    for start in range(0, self._num, self._block):
      index = jnp.int32(start // self._block)
      x = np.asarray(self._draw(generator, latent_key, index))
      yield x[: self._num - start]


def judge(spec: specs.Spec, disc: states.NetState, x: jax.Array) -> jax.Array:
  """D in evaluation mode: `[m * N, ...]` in units of the data to `[N]`."""

  def look(packed: jax.Array) -> jax.Array:
    logits, _ = spec.disc.apply(
      disc.params,
      disc.vars,
      packed,
      labels=None,
      key=jax.random.key(0),
      train=False,
    )
    return logits

  return _in_blocks(look, objectives.pack(spec.from_data(x), spec.packing))


def _in_blocks(fn: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
  """`fn(x)` block by block, of a function of each sample alone.

  Both are `[N, ...]`.
  """
  if len(x) <= _BLOCK:
    return fn(x)
  rest = len(x) % _BLOCK
  blocks = x[rest:].reshape(-1, _BLOCK, *x.shape[1:])
  y = jax.lax.map(fn, blocks)
  y = y.reshape(-1, *y.shape[2:])
  return jnp.concatenate([fn(x[:rest]), y]) if rest else y
