"""Parameters that stay as they are while the others of a player are trained.

FreezeD (Mo et al. 2020, "Freeze the Discriminator: a Simple Baseline for
Fine-Tuning GANs", section 3): the lower layers of a D that was trained on other
images keep what they have learned.
"""

from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gan_jax import types
from gan_jax.game import state as states


def choose(params: types.PyTree, parts: Collection[str]) -> frozenset[str]:
  """Names of the parameters in some parts of a network.

  Args:
    params: or their shapes.
    parts: a name such as 'b64/conv0/kernel', or its beginning: 'b64'.

  Raises:
    ValueError: a part has no parameter; the message begins with it.
  """
  known = states.named(params)
  found: set[str] = set()
  for part in parts:
    inside = {name for name in known if f'{name}/'.startswith(f'{part}/')}
    if not inside:
      first = dict.fromkeys(name.partition('/')[0] for name in known)
      raise ValueError(
        f'{part!r} is no part of this network; it has {", ".join(first)}'
      )
    found |= inside
  return frozenset(found)


def _where(
  names: frozenset[str],
  change: Callable[[jax.Array], jax.Array],
  tree: types.PyTree,
) -> types.PyTree:
  def of_leaf(path: tuple[Any, ...], x: jax.Array) -> jax.Array:
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    return change(x) if name in names else x

  return jax.tree_util.tree_map_with_path(of_leaf, tree)


def hold(params: types.PyTree, names: frozenset[str]) -> types.PyTree:
  """The parameters, of which those with these names have no gradient.

  What leads to that gradient alone is not computed.
  """
  return _where(names, jax.lax.stop_gradient, params) if names else params


def keeping(
  optimiser: optax.GradientTransformation, names: frozenset[str]
) -> optax.GradientTransformation:
  """An optimiser that leaves those as they are, whatever bounds them.

  Its state is that of `optimiser`, so that a run can branch into one in which
  other parts are frozen.
  """
  if not names:
    return optimiser

  def update(
    grads: types.PyTree, state: types.PyTree, params: types.PyTree = None
  ) -> tuple[types.PyTree, types.PyTree]:
    updates, state = optimiser.update(grads, state, params)
    return _where(names, jnp.zeros_like, updates), state

  return optax.GradientTransformation(optimiser.init, update)
