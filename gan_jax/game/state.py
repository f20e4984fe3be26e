"""The whole state of a game: one pytree of arrays."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gan_jax import types

OptimiserFn = Callable[[types.Hyper], optax.GradientTransformation]


class NetState(NamedTuple):
  """One player.

  Attributes:
    params: what its optimiser moves.
    opt_state: the optimiser's own arrays.
    vars: non-trainable collections, such as batch statistics; `{}` if none.
  """

  params: types.PyTree
  opt_state: types.PyTree
  vars: types.PyTree


# What the terms of a loss keep, by their names.
Memory = dict[str, types.PyTree]


class StepContext(NamedTuple):
  """Where the game is, as a loss needs to know it.

  Attributes:
    hyper: the numbers of this step.
    step: `[]` int32.
    memory: of the player's own terms.
  """

  hyper: types.Hyper
  step: jax.Array
  memory: Memory


class Carried(NamedTuple):
  """What a player hands on from update to update, beside its parameters.

  Attributes:
    vars: its collections that no gradient reaches.
    memory: of its terms.
  """

  vars: types.PyTree
  memory: Memory


class GanState(NamedTuple):
  """Everything that a step changes, and all that a checkpoint holds.

  Attributes:
    step: `[]` int32, the number of steps done.
    gen: the generator.
    disc: the discriminator.
    gen_ema: the moving average of `gen.params`, of the same tree.
    memory: what terms of the losses keep, by name; under 'rule' what the rule
      of play remembers, under 'skipped' counts of updates left out, and under
      'posthoc' more averages of `gen.params`, by their lengths.
  """

  step: jax.Array
  gen: NetState
  disc: NetState
  gen_ema: types.PyTree
  memory: Memory


def step_of(state: GanState) -> int:
  """Steps done, the same for all members of a population `[P, ...]`."""
  return int(state.step.reshape(-1)[0])


def named(tree: types.PyTree) -> dict[str, Any]:
  """Every leaf by its path: {'gen/params/Dense_0/kernel': ..., ...}."""
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def init_state(
  key: jax.Array,
  hyper: types.Hyper,
  *,
  networks: types.Pair,
  optimisers: types.Pair,
  memory: Memory,
) -> GanState:
  """The state before the first step; G and D start from different keys.

  Args:
    key: of the initial parameters.
    hyper: numbers of the optimisers.
    networks: both players'.
    optimisers: from the hyperparameters to each player's optimiser.
    memory: of the terms.
  """
  gen_key, disc_key = jax.random.split(key)

  def player(
    network: types.Network, optimiser: OptimiserFn, key: jax.Array
  ) -> NetState:
    params, vars = network.init(key)
    return NetState(params, optimiser(hyper).init(params), vars)

  gen = player(networks.gen, optimisers.gen, gen_key)
  return GanState(
    step=jnp.zeros((), jnp.int32),
    gen=gen,
    disc=player(networks.disc, optimisers.disc, disc_key),
    # A copy: one buffer cannot be donated twice.
    gen_ema=jax.tree.map(jnp.copy, gen.params),
    memory=memory,
  )


def debiased_ema(
  average: types.PyTree,
  new: types.PyTree,
  log_decay: jax.Array,
  count: jax.Array,
) -> types.PyTree:
  """The exponential average of `new` so far, without its initial value.

  After n updates the average is sum_i d^(n-i) x_i / sum_i d^(n-i): Adam's
  bias correction (Kingma & Ba 2015, section 3) folded into the rate, so that
  the first update gives x_1 and the start has no weight.

  Args:
    average: the average after `count - 1` updates.
    new: the next value, x_count.
    log_decay: `[]` log d, negative; -inf makes the average equal to `new`.
    count: `[]` updates including this one, at least 1.
  """
  # (1 - d) / (1 - d^n); expm1 keeps it exact when d is next to 1.
  rate = jnp.expm1(log_decay) / jnp.expm1(count * log_decay)
  return jax.tree.map(lambda a, x: (1 - rate) * a + rate * x, average, new)
