"""Two ways to show samples to D and to take its input gradients.

Both give the same numbers to rounding; `engine/additions.py` chooses. Either
may be augmented: D then sees other samples, and input gradients are still with
respect to those that were given, through the same augmentation.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeVar

import jax

from gan_jax import types
from gan_jax.game import penalties
from gan_jax.ops import homogeneous

T = TypeVar('T')


class Seen(NamedTuple):
  """Samples and what D makes of them.

  Attributes:
    batch: `[B, ...]`, packed.
    logits: `[B]`.
    input_grads: `input_grads()`, the gradient of each logit with respect to
      its sample, `[B, ...]`.
    shown: `[B, ...]`, as D sees them: augmented.
    heads: what D's heads make of them, by name.
  """

  batch: types.Batch
  logits: jax.Array
  input_grads: Callable[[], jax.Array]
  shown: types.Batch
  heads: Mapping[str, jax.Array] = {}


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


# Samples to those that D sees, with the draws of one use; None changes nothing.
Augment = Callable[[types.Batch], types.Batch] | None


def judge(
  network: types.Network,
  params: types.PyTree,
  vars: types.PyTree,
  batch: types.Batch,
  *,
  key: jax.Array,
  mode: types.Mode,
) -> tuple[types.Judged, types.PyTree]:
  """D's logits and, of the same pass, its heads where it has any."""
  if with_heads := network.methods.get('judge'):
    return with_heads(params, vars, batch, key=key, mode=mode)
  logits, vars = network.apply(params, vars, batch, key=key, mode=mode)
  return types.Judged(logits, {}), vars


def seen_by(
  judge: Callable[[types.Batch], types.Judged],
  batch: types.Batch,
  augment: Augment = None,
) -> Seen:
  """What a D that is closed over its parameters makes of samples."""

  def disc(batch: types.Batch) -> jax.Array:
    return judge(batch).logits

  def look(shown: types.Batch) -> tuple[Seen, None]:
    grads = functools.partial(penalties.input_grads, disc, shown)
    logits, heads = judge(shown)
    return Seen(shown, logits, grads, shown, heads), None

  return augmented(look, batch, augment)[0]


def augmented(
  look: Callable[[types.Batch], tuple[Seen, T]],
  batch: types.Batch,
  augment: Augment,
) -> tuple[Seen, T]:
  """A look at samples as D is to see them.

  Input gradients are pulled back through the augmentation (the chain rule), so
  that they belong to the logits whose draws they share.
  """
  if augment is None:
    return look(batch)
  x, pull = jax.vjp(lambda x: augment(batch._replace(x=x)).x, batch.x)
  seen, rest = look(batch._replace(x=x))
  as_given = seen._replace(
    batch=batch, input_grads=lambda: pull(seen.input_grads())[0]
  )
  return as_given, rest


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
  (logits, heads), vars = judge(
    network, params, vars, batch, key=key, mode=types.TRAIN
  )
  grads = functools.partial(penalties.input_grads, disc, batch)
  return Seen(batch, logits, grads, batch, heads), vars


def by_input_gradients(
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
  # A pass of their own, of which the compiler drops what nothing reads.
  (_, heads), _ = judge(network, params, vars, batch, key=key, mode=types.TRAIN)
  return Seen(batch, logits, lambda: grads, batch, heads), vars
