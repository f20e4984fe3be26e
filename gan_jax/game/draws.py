"""What chance gives a step, drawn apart from it.

It depends on a key alone, and so can be drawn for many steps at once, which
costs less than drawing for one after another where steps are small.
"""

from typing import NamedTuple

import jax


class Keys(NamedTuple):
  """One key for each use within one player's update."""

  latents: jax.Array
  gen: jax.Array
  disc_real: jax.Array
  disc_fake: jax.Array
  disc_penalty: jax.Array
  points: jax.Array


def split_keys(key: jax.Array) -> Keys:
  return Keys(*jax.random.split(key, len(Keys._fields)))


class Draw(NamedTuple):
  """What one player's update draws.

  Attributes:
    z: latents `[B, Z]`.
    keys: for all that is drawn within the update.
  """

  z: jax.Array
  keys: Keys


class Draws(NamedTuple):
  """What a step's updates draw.

  Attributes:
    disc: D's updates, one after another.
    gen_keys: the keys of G's update.
    gen_z: G's own latents `[B, Z]`; None where it has those of D's last update.
  """

  disc: tuple[Draw, ...]
  gen_keys: Keys
  gen_z: jax.Array | None

  @property
  def gen(self) -> Draw:
    """What G's update draws."""
    if self.gen_z is not None:
      return Draw(self.gen_z, self.gen_keys)
    # Without batch normalisation the compiler merges G's two passes.
    last = self.disc[-1]
    return Draw(last.z, self.gen_keys._replace(gen=last.keys.gen))
