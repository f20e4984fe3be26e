"""Two ways to show samples to D and to take its input gradients.

Both give the same numbers to rounding; `engine/build.py` chooses.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax

from gan_jax import types
from gan_jax.game import penalties
from gan_jax.ops import homogeneous


class Seen(NamedTuple):
  """Samples and what D makes of them.

  Attributes:
    batch: `[B, ...]`, as D sees them.
    logits: `[B]`.
    input_grads: `input_grads()`, the gradient of each logit with respect to
      its sample, `[B, ...]`.
  """

  batch: types.Batch
  logits: jax.Array
  input_grads: Callable[[], jax.Array]


class Look(Protocol):
  """`look(network, params, vars, batch, key, disc) -> (seen, vars)`."""

  def __call__(
    self,
    network: types.Network,
    params: types.PyTree,
    vars: types.PyTree,
    batch: types.Batch,
    key: jax.Array,
    disc: types.DiscFn,
  ) -> tuple[Seen, types.PyTree]: ...


def seen_by(disc: types.DiscFn, batch: types.Batch) -> Seen:
  """What a D that is closed over its parameters makes of samples."""
  return Seen(batch, disc(batch), lambda: penalties.input_grads(disc, batch))


def plain(
  network: types.Network,
  params: types.PyTree,
  vars: types.PyTree,
  batch: types.Batch,
  key: jax.Array,
  disc: types.DiscFn,
) -> tuple[Seen, types.PyTree]:
  """A forward pass; input gradients are a pass of their own, where wanted.

  Args:
    network: D.
    params: its own.
    vars: its own; those after this batch are returned.
    batch: `[B, ...]`.
    key: of the dropout of the logits.
    disc: D closed over its parameters, as penalties see it; its input gradients
      are taken.
  """
  logits, vars = network.apply(params, vars, batch, key=key, mode=types.TRAIN)
  seen = Seen(batch, logits, lambda: penalties.input_grads(disc, batch))
  return seen, vars


def by_euler(
  network: types.Network,
  params: types.PyTree,
  vars: types.PyTree,
  batch: types.Batch,
  key: jax.Array,
  disc: types.DiscFn,
) -> tuple[Seen, types.PyTree]:
  """Logits read off the input gradients of a homogeneous D.

  For a D whose input gradients are wanted at every step; see
  `ops/homogeneous.py`. Where G is not frozen, it learns through the logits
  alone: input gradients change with the sample only where a rectifier
  switches. Arguments as of `plain`.
  """
  del disc  # Both passes are one.

  def logits_of(params: types.PyTree, batch: types.Batch) -> jax.Array:
    return network.apply(params, vars, batch, key=key, mode=types.TRAIN)[0]

  logits, grads = homogeneous.logits_and_input_grads(logits_of, params, batch)
  return Seen(batch, logits, lambda: grads), vars
