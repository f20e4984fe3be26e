"""Terms that are added to a player's loss, with or without a memory."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.game import looks, state as states


class Update(NamedTuple):
  """One update of a player, as its terms see it.

  Attributes:
    params: the player's own, which are being differentiated.
    gen: G closed over its parameters: a `Latent` to a `Batch`.
    disc: D closed over its parameters: a `Batch` to logits `[B]`; it sees them
      augmented.
    judge: D's logits and heads, of samples as they are.
    shown: samples as `disc` sees them.
    gen_methods: other methods of G, by name, closed likewise.
    latent: what the fakes were made of.
    real: real samples.
    fake: generated samples.
    hyper: the numbers of this step.
    memory: what this term keeps; `()` if nothing.
    key: for terms that draw something.
    packing: samples that D judges at once.
  """

  params: types.PyTree
  gen: Callable[[types.Latent], types.Batch]
  disc: types.DiscFn
  judge: Callable[[types.Batch], types.Judged]
  shown: Callable[[types.Batch], types.Batch]
  gen_methods: Mapping[str, Callable[[Any], Any]]
  latent: types.Latent
  real: looks.Seen
  fake: looks.Seen
  hyper: types.Hyper
  memory: types.PyTree
  key: jax.Array
  packing: int = 1


class Term(NamedTuple):
  """A term of a player's loss.

  Attributes:
    value: of an update, `[]`; `hyper['penalties.NAME.weight']` multiplies it.
      None adds nothing to the loss, for a term that only remembers.
    init: the memory before the first update.
    follow: `follow(memory, update) -> memory`, in each update in which the term
      is applied, before its value.
    every: applied at each k-th step with k times the weight (Karras et al.
      2020, appendix B: lazy regularisation).
    input_grads_of: samples whose input gradients it reads: 'real', 'fake' or
      neither.
    joint: whether `value` gives `(value, memory)`, for a memory that comes of
      the same costly computation; `follow` is not called.
  """

  value: Callable[..., Any] | None
  init: Callable[[], types.PyTree] = lambda: ()
  follow: Callable[[types.PyTree, Update], types.PyTree] = lambda memory, _: (
    memory
  )
  every: int = 1
  input_grads_of: str = ''
  joint: bool = False


def add(
  loss: jax.Array,
  terms: Mapping[str, Term],
  update: Update,
  memory: states.Memory,
  step: jax.Array,
) -> tuple[jax.Array, states.Memory, types.Logs]:
  """A player's loss with its terms.

  Args:
    loss: `[]`, without them.
    terms: by name.
    update: with the memory and the key of none of them yet.
    memory: what each keeps, by name.
    step: `[]` int32, of the game.

  Returns:
    The loss `[]`, the memory after this update, and each term's value without
    its weight.
  """
  memory, logs = dict(memory), {}
  for i, (name, term) in enumerate(terms.items()):
    term_update = update._replace(
      memory=memory[name], key=jax.random.fold_in(update.key, i)
    )
    if term.value is None:
      followed = term.follow(term_update.memory, term_update)
      memory[name] = jax.lax.stop_gradient(followed)
      continue
    with jax.named_scope(f'penalty_{name}'):
      value, memory[name] = _lazily(term, term.value, term_update, step)
    loss += update.hyper[f'penalties.{name}.weight'] * value
    logs[f'penalties/{name}'] = value
  return loss, memory, logs


def _lazily(
  term: Term,
  value: Callable[[Update], Any],
  update: Update,
  step: jax.Array,
) -> tuple[jax.Array, types.PyTree]:
  """k times the term at each k-th step, and 0 at the others."""

  def apply() -> tuple[jax.Array, types.PyTree]:
    if term.joint:
      result, memory = value(update)
    else:
      memory = term.follow(update.memory, update)
      result = value(update._replace(memory=memory))
    return term.every * result, jax.lax.stop_gradient(memory)

  if term.every == 1:
    return apply()
  return jax.lax.cond(
    step % term.every == 0, apply, lambda: (jnp.zeros(()), update.memory)
  )
