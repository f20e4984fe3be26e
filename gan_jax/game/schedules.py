"""Numbers that move during training, as functions of the step."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

# (base, final, fraction of the way in [0, 1]) -> value.
Shape = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def linear(base: jax.Array, final: jax.Array, fraction: jax.Array) -> jax.Array:
  """A straight line from `base` to `final`."""
  return base + (final - base) * fraction


def cosine(base: jax.Array, final: jax.Array, fraction: jax.Array) -> jax.Array:
  """Half a period of a cosine from `base` to `final`."""
  return final + (base - final) * (1 + jnp.cos(jnp.pi * fraction)) / 2


def ramp(
  shape: Shape,
  base: jax.Array,
  final: jax.Array,
  step: jax.Array,
  *,
  begin: int,
  end: int,
) -> jax.Array:
  """`base` until `begin`, then along `shape`, then `final` from `end` on."""
  fraction = jnp.clip((step - begin) / (end - begin), 0.0, 1.0)
  return shape(base, final, fraction)


def exponential(
  base: jax.Array, final: jax.Array, rate: jax.Array, step: jax.Array
) -> jax.Array:
  """base * exp(-rate * step), and never below `final`."""
  return jnp.maximum(base * jnp.exp(-rate * step), final)
