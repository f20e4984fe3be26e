"""A function of each sample alone, applied to many, a block at a time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.ops import cpu


def apply(fn: Callable[..., jax.Array], tree: types.PyTree) -> jax.Array:
  """`fn(tree)`, block by block where there are more samples than one holds.

  What is computed on the way stays small: it fits a cache, and its memory does
  not grow with N. The plain reference is `fn(tree)`.

  Args:
    fn: traceable; it treats each sample by itself.
    tree: of arrays `[N, ...]`.

  Returns:
    `[N, ...]`.
  """
  size = len(jax.tree.leaves(tree)[0])
  if size <= cpu.BLOCK_SAMPLES:
    return fn(tree)
  rest = size % cpu.BLOCK_SAMPLES
  whole = jax.tree.map(
    lambda x: x[rest:].reshape(-1, cpu.BLOCK_SAMPLES, *x.shape[1:]), tree
  )
  y = jax.lax.map(fn, whole)
  y = y.reshape(-1, *y.shape[2:])
  if not rest:
    return y
  return jnp.concatenate([fn(jax.tree.map(lambda x: x[:rest], tree)), y])
