"""Ways through the inputs of a generator, and mixtures of them."""

import jax
import jax.numpy as jnp

# Below this sine of half the angle, the two directions are taken as one.
_SMALL = 1e-4


def linear(a: jax.Array, b: jax.Array, share: jax.Array) -> jax.Array:
  """a + t (b - a), exactly a where both are equal.

  Args:
    a: `[...]`.
    b: `[...]`.
    share: t, `[T]` in [0, 1].

  Returns:
    `[T, ...]`.
  """
  t = share.reshape(-1, *(1,) * a.ndim)
  return a[None] + t * (b - a)[None]


def spherical(a: jax.Array, b: jax.Array, share: jax.Array) -> jax.Array:
  """Along the great circle from a to b, with lengths between theirs.

      sin((1 - t) theta) / sin(theta) a + sin(t theta) / sin(theta) b

  of the directions (Shoemake 1985; White 2016, "Sampling Generative Networks"),
  times (1 - t) |a| + t |b|. The straight line between two normal latents passes
  nearer to 0 than nearly all latents that the generator was trained on.

  Args:
    a: `[Z]`, not 0.
    b: `[Z]`, not 0.
    share: t, `[T]` in [0, 1].

  Returns:
    `[T, Z]`.
  """
  long_a, long_b = jnp.linalg.norm(a), jnp.linalg.norm(b)
  u, v = (a / long_a)[None], (b / long_b)[None]
  # Of the difference: the arc cosine of a product near 1 has no digits.
  half = jnp.arctan2(jnp.linalg.norm(u - v), jnp.linalg.norm(u + v))
  theta, t = 2 * half, share[:, None]
  sine = jnp.sin(theta)
  along = (jnp.sin((1 - t) * theta) * u + jnp.sin(t * theta) * v) / sine
  # Opposite or equal directions have no great circle or no length.
  straight = (1 - t) * u + t * v
  along = jnp.where(jnp.abs(sine) < _SMALL, straight, along)
  return along * ((1 - t) * long_a + t * long_b)


def mixed(
  rows: jax.Array, columns: jax.Array, first: int, last: int
) -> jax.Array:
  """Each row's intermediate latents with some layers of each column's.

  Style mixing (Karras et al. 2019, section 3.1).

  Args:
    rows: `[R, layers, W]`.
    columns: `[C, layers, W]`, which the layers are taken of.
    first: of them.
    last: of them, itself included.

  Returns:
    `[R * C, layers, W]`, row by row.
  """
  layer = jnp.arange(rows.shape[1])[None, None, :, None]
  taken = (layer >= first) & (layer <= last)
  table = jnp.where(taken, columns[None], rows[:, None])
  return table.reshape(-1, *rows.shape[1:])
