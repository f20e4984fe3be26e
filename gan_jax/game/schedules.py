"""Numbers that move during training, as functions of what is counted."""

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
  count: jax.Array,
  *,
  begin: float,
  end: float,
) -> jax.Array:
  """`base` until `begin`, then along `shape`, then `final` from `end` on.

  Args:
    shape: of the way.
    base: before.
    final: after.
    count: `[]`, of steps or of samples; `begin` and `end` in the same.
    begin: where the way begins.
    end: where it ends.
  """
  fraction = jnp.clip((count - begin) / (end - begin), 0.0, 1.0)
  return shape(base, final, fraction)


def inverse_sqrt(
  base: jax.Array, final: jax.Array, count: jax.Array, *, begin: float
) -> jax.Array:
  """base * sqrt(begin / count) from `begin` on, and never below `final`.

  The learning rate of EDM2 (Karras et al. 2024, eq. 67).
  """
  return jnp.maximum(falling(base, count, begin=begin), final)


def falling(value: jax.Array, count: jax.Array, *, begin: float) -> jax.Array:
  """value * sqrt(begin / count) from `begin` on."""
  return value * jnp.sqrt(begin / jnp.maximum(count, begin))


def exponential(
  base: jax.Array, final: jax.Array, rate: jax.Array, count: jax.Array
) -> jax.Array:
  """base * exp(-rate * count), and never below `final`."""
  return jnp.maximum(base * jnp.exp(-rate * count), final)
