"""Matrix products and rectifiers in the form that a CPU is fastest at."""

from typing import Any

import jax
import jax.numpy as jnp


def relu(x: jax.Array) -> jax.Array:
  """max(x, 0), NaN where x is, as a choice.

  XLA's maximum is slower on CPU, which shows in networks as small as the MLPs
  of points (a step takes 2 to 4 % less) and not in those of images.
  """
  return jnp.where(x <= 0, jnp.zeros_like(x), x)


def product(
  x: jax.Array, kernel: jax.Array, axes: Any, precision: Any
) -> jax.Array:
  """`lax.dot_general`, of one sample `[1, C]` as of a vector.

  Under `vmap`, as homogeneous.py shows D its samples, the gradient of
  `[B, 1, C]` by `[C, O]` is a sum over two axes, for which XLA transposes a
  factor; that of `[B, C]` by `[C, O]` is a sum over one.
  """
  if x.shape[:-1] != (1,):
    return jax.lax.dot_general(x, kernel, axes, precision)
  axes = (((0,), (0,)), ((), ()))
  return jax.lax.dot_general(x[0], kernel, axes, precision)[None]


def as_matrices(
  x: jax.Array, kernel: jax.Array, *args: Any, **options: Any
) -> jax.Array:
  """x `[B, I]` by a kernel `[I, pieces, units]`, to `[B, pieces, units]`.

  XLA transposes a product of matrices by exchanging its factors, but one with a
  third axis by copying it; so the kernel's gradient needs no copy.
  """
  out = jax.lax.dot_general(
    x, kernel.reshape(len(kernel), -1), *args, **options
  )
  return out.reshape(*out.shape[:-1], *kernel.shape[1:])
