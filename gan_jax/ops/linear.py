"""Matrix products and rectifiers in the form that a CPU is fastest at.

The references are `jax.nn.relu` and `lax.dot_general`, under `cpu.stock`. And
what activations are added to or multiplied with, in the form whose gradient
keeps its digits.
"""

from typing import Any

import jax
import jax.numpy as jnp

from gan_jax.ops import cpu


def relu(x: jax.Array) -> jax.Array:
  """max(x, 0), NaN where x is NaN, by a comparison.

  XLA's maximum is slower on CPU: the steps of small MLPs take 2 to 4 % less
  time without it, those of networks for images no less.
  """
  if cpu.is_stock():
    return jax.nn.relu(x)
  return jnp.where(x <= 0, jnp.zeros_like(x), x)


def spread(
  factor: jax.Array, like: jax.Array | jax.ShapeDtypeStruct
) -> jax.Array:
  """A bias or a factor in the shape and the dtype of activations.

  Its gradient is a sum over all that it is spread over: over float32 as it is
  cast here after it is spread. A sum of bfloat16 stays where it is as soon as
  it is 256 times what is added.

  Args:
    factor: broadcasts to the shape of `like`.
    like: activations, or their shape and dtype.
  """
  wide = jnp.asarray(factor, jnp.float32)
  return jnp.broadcast_to(wide, like.shape).astype(like.dtype)


def product(
  x: jax.Array, kernel: jax.Array, axes: Any, precision: Any
) -> jax.Array:
  """`lax.dot_general`; a single sample `[1, C]` is multiplied as a vector.

  homogeneous.py gives D single samples under `vmap`. The gradient of
  `[B, 1, C]` by `[C, O]` is a sum over two axes, for which XLA transposes a
  factor; that of `[B, C]` by `[C, O]` is a sum over one.
  """
  if cpu.is_stock() or x.shape[:-1] != (1,):
    return jax.lax.dot_general(x, kernel, axes, precision)
  axes = (((0,), (0,)), ((), ()))
  return jax.lax.dot_general(x[0], kernel, axes, precision)[None]


def as_matrices(
  x: jax.Array, kernel: jax.Array, *args: Any, **options: Any
) -> jax.Array:
  """x `[B, I]` by a kernel `[I, pieces, units]`, to `[B, pieces, units]`.

  XLA copies a product with a third axis to transpose it. With two axes, the
  kernel's gradient needs no copy.
  """
  if cpu.is_stock():
    return jax.lax.dot_general(x, kernel, *args, **options)
  out = jax.lax.dot_general(
    x, kernel.reshape(len(kernel), -1), *args, **options
  )
  return out.reshape(*out.shape[:-1], *kernel.shape[1:])
