"""Projections of a player's parameters after each of its updates.

As the last part of its optimiser: the update u of w becomes project(w + u) - w,
so that all rules that follow an update follow the projected one. Moments are of
gradients as they were.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from gan_jax import types


def onto(
  project: Callable[[types.PyTree], types.PyTree],
) -> optax.GradientTransformation:
  """Ends each update where `project` takes what it would have led to."""

  def update(updates: types.PyTree, params: types.PyTree) -> types.PyTree:
    end = project(optax.apply_updates(params, updates))
    return jax.tree.map(jnp.subtract, end, params)

  return optax.stateless(update)


def into_box(
  optimiser: optax.GradientTransformation, limit: float | jax.Array
) -> optax.GradientTransformation:
  """An optimiser after whose updates each parameter is in [-limit, limit].

  Weight clipping of WGAN (Arjovsky et al. 2017, algorithm 1, line 7), with any
  optimiser.

  Args:
    optimiser: of the player.
    limit: `[]`; 0 clips nothing.
  """
  bound = jnp.where(limit > 0, limit, jnp.inf)

  def clipped(params: types.PyTree) -> types.PyTree:
    return jax.tree.map(lambda x: jnp.clip(x, -bound, bound), params)

  return optax.chain(optimiser, onto(clipped))
