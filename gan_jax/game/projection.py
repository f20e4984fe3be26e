"""Weight clipping: a projection of a player's parameters after each update."""

import jax
import jax.numpy as jnp
import optax

from gan_jax import types


def into_box(
  optimiser: optax.GradientTransformation, limit: float | jax.Array
) -> optax.GradientTransformation:
  """An optimiser after whose updates each parameter is in [-limit, limit].

  Weight clipping of WGAN (Arjovsky et al. 2017, algorithm 1, line 7), with any
  optimiser: its update u of w becomes clip(w + u) - w, so that all rules that
  follow an update follow the projected one. Moments are of gradients as they
  were.

  Args:
    optimiser: of the player.
    limit: `[]`; 0 clips nothing.
  """

  def update(
    updates: types.PyTree, state: optax.OptState, params: types.PyTree
  ) -> tuple[types.PyTree, optax.OptState]:
    moved = optax.apply_updates(params, updates)
    bound = jnp.where(limit > 0, limit, jnp.inf)
    new = jax.tree.map(
      lambda m, p: jnp.clip(m, -bound, bound) - p, moved, params
    )
    return new, state

  box = optax.GradientTransformation(lambda params: optax.EmptyState(), update)
  return optax.chain(optimiser, box)
