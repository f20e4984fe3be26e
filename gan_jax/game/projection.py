"""Projections of a player's parameters after each of its updates.

As the last part of its optimiser: the update u of w becomes project(w + u) - w,
so that all rules that follow an update follow the projected one. Moments are of
gradients as they were.
"""

from collections.abc import Callable
from typing import Any

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


def into_balls(
  optimiser: optax.GradientTransformation, limit: float | jax.Array
) -> optax.GradientTransformation:
  """An optimiser after whose updates no unit's weights have a larger norm.

  Max-norm regularisation (Srebro & Shraibman 2005; Srivastava et al. 2014,
  "Dropout", section 5.1): the vector of weights that enter a unit is scaled to
  `limit` where it is longer. Units are those of kernels as they are stored,
  `[in, ...]` of dense layers and `[H, W, in, out]` of convolutions; all other
  parameters stay.

  Args:
    optimiser: of the player.
    limit: `[]`; 0 bounds nothing.
  """

  def shortened(path: tuple[Any, ...], x: jax.Array) -> jax.Array:
    if path[-1] != jax.tree_util.DictKey('kernel'):
      return x
    axes = (0, 1, 2) if x.ndim == 4 else 0
    square = jnp.square(x).sum(axes, keepdims=True)
    is_longer = (limit > 0) & (square > jnp.square(limit))
    # Of a square that can be differentiated, for unrolled rules.
    length = jnp.sqrt(jnp.where(is_longer, square, 1.0))
    return jnp.where(is_longer, x * limit / length, x)

  def project(params: types.PyTree) -> types.PyTree:
    return jax.tree_util.tree_map_with_path(shortened, params)

  return optax.chain(optimiser, onto(project))
