"""The randomness of a step, drawn apart from it.

It depends on a key alone, and so can be drawn for many steps at once, which
costs less than drawing for one after another where steps are small.
"""

from typing import Any, NamedTuple, TypeVar

import jax

from gan_jax import types
from gan_jax.game import spec as specs

T = TypeVar('T', types.Batch, types.Latent)


class Keys(NamedTuple):
  """One key for each use within one player's update.

  New uses are appended, so that the others keep their keys. Of an update that
  shares some with another, these are None.
  """

  latents: jax.Array
  gen: jax.Array
  disc_real: jax.Array
  disc_fake: jax.Array
  disc_penalty: jax.Array
  terms: jax.Array
  augment_real: jax.Array
  augment_fake: jax.Array
  augment_penalty: jax.Array
  pseudo: jax.Array
  latent_step: jax.Array

  def or_those_of(self, other: 'Keys') -> 'Keys':
    """With the other's where it has none."""
    pairs = zip(self, other, strict=True)
    return Keys(*(theirs if own is None else own for own, theirs in pairs))


def split_keys(key: jax.Array) -> Keys:
  """The keys of one player's update."""
  return Keys(*jax.random.split(key, len(Keys._fields)))


class UpdateDraw(NamedTuple):
  """What one player's update draws.

  Attributes:
    latent: of the generated samples.
    keys: for all that is drawn within the update.
  """

  latent: types.Latent
  keys: Keys


class StepDraw(NamedTuple):
  """What a step's updates draw.

  Attributes:
    disc: D's updates, one after another.
    gen_keys: the keys of G's updates; None for those of D's last update.
    gen_latents: G's own; None where it has those of D's last update.
  """

  disc: tuple[UpdateDraw, ...]
  gen_keys: tuple[Keys, ...]
  gen_latents: tuple[types.Latent, ...] | None

  @property
  def gen(self) -> tuple[UpdateDraw, ...]:
    """G's updates, one after another."""
    if self.gen_latents is not None:
      return tuple(map(UpdateDraw, self.gen_latents, self.gen_keys))
    # Without batch normalisation the compiler merges passes with the same keys.
    last = self.disc[-1]
    return tuple(
      UpdateDraw(last.latent, keys.or_those_of(last.keys))
      for keys in self.gen_keys
    )


def part(draw: UpdateDraw, number: jax.Array, count: int) -> UpdateDraw:
  """What one of several equal parts of an update draws.

  Args:
    draw: of the whole update.
    number: `[]` int32, of the part.
    count: parts.
  """
  return UpdateDraw(
    part_of_batch(draw.latent, number, count),
    Keys(*(jax.random.fold_in(key, number) for key in draw.keys)),
  )


def part_of_batch(batch: T, number: jax.Array, count: int) -> T:
  """One of several equal parts of a batch.

  It is every `count`-th row, from that of the part's number: so each device
  keeps its own rows, and samples that are judged together, or compared in
  pairs, are in one part.

  Args:
    batch: `[N, ...]`, N a multiple of `count`.
    number: `[]` int32, of the part.
    count: parts.

  Returns:
    `[N / count, ...]`.
  """
  of_part: T = jax.tree.map(
    lambda x: x.reshape(-1, count, *x.shape[1:])[:, number], batch
  )
  return of_part


def draw_step(spec: specs.Spec, key: jax.Array) -> StepDraw:
  """Latents and keys for all updates of one step.

  Args:
    spec: the game.
    key: of the step.
  """

  def latent(keys: Keys, batches: int = 1) -> types.Latent:
    return spec.latent(keys.latents, batches * spec.batch_samples)

  updates = jax.random.split(key, spec.gen_steps + spec.disc_steps)
  keys = tuple(map(split_keys, updates))
  gen_keys, disc_keys = keys[: spec.gen_steps], keys[spec.gen_steps :]
  of_disc: dict[str, Any] = dict.fromkeys(spec.shared_keys or ())
  return StepDraw(
    disc=tuple(UpdateDraw(latent(keys), keys) for keys in disc_keys),
    gen_keys=tuple(keys._replace(**of_disc) for keys in gen_keys),
    gen_latents=tuple(latent(keys, spec.gen_batches) for keys in gen_keys)
    if spec.shared_keys is None
    else None,
  )
