"""Products of rows, of which distances and kernels are made."""

import jax
import jax.numpy as jnp


def inner(a: jax.Array, b: jax.Array) -> jax.Array:
  """a b^T, `[A, B]`, for `[A, D]` and `[B, D]`."""
  # An accelerator's default would multiply in fewer bits than float32's.
  return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def squared_norms(x: jax.Array) -> jax.Array:
  """Squared lengths `[N]` of `[N, D]`."""
  return (x**2).sum(axis=1)
