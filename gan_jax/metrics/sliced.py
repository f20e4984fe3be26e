"""The sliced Wasserstein distance, for laws without a distribution function."""

import jax
import jax.numpy as jnp


def sliced_wasserstein_1(
  a: jax.Array, b: jax.Array, key: jax.Array, projections: int = 128
) -> jax.Array:
  """The mean Wasserstein-1 distance over random directions.

  Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters".

  Args:
    a: `[N, D]`.
    b: `[N, D]`, as many samples.
    key: of the directions.
    projections: how many.

  Returns:
    `[]`, in the samples' units.
  """
  directions = jax.random.normal(key, (projections, a.shape[1]))
  directions /= jnp.linalg.norm(directions, axis=1, keepdims=True)

  def along(direction: jax.Array) -> jax.Array:
    gaps = jnp.sort(a @ direction) - jnp.sort(b @ direction)
    return jnp.abs(gaps).mean()

  return jax.lax.map(along, directions).mean()
