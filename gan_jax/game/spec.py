"""All of a game that shapes its program."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax

from gan_jax import types
from gan_jax.game import losses, penalties, rules as games, state as states


class Seen(NamedTuple):
  """Samples and what D makes of them.

  Attributes:
    x: `[B, ...]`, as D sees them.
    logits: `[B]`.
    slopes: `slopes()`, the gradient of each logit at its sample, `[B, ...]`.
  """

  x: jax.Array
  logits: jax.Array
  slopes: Callable[[], jax.Array]


class Round(NamedTuple):
  """One D update seen by a penalty.

  Attributes:
    disc: D closed over the parameters being differentiated.
    real: real samples.
    fake: generated samples.
    averages: LeCam's moving averages.
    key: for penalties that draw the points they look at.
  """

  disc: types.DiscFn
  real: Seen
  fake: Seen
  averages: penalties.LogitAverages
  key: jax.Array


class Penalty(NamedTuple):
  """A term of D's loss.

  Attributes:
    value: what `hyper['penalties.NAME.weight']` multiplies.
    every: applied at each k-th step with k times the weight (Karras et al.
      2020, appendix B: lazy regularisation).
    slopes_of: the samples whose slopes it reads, 'real', 'fake' or neither.
  """

  value: Callable[[Round], jax.Array]
  every: int = 1
  slopes_of: str = ''


class Spec(NamedTuple):
  """All of a game that shapes its program; its numbers are in `Hyper`.

  Attributes:
    gen: the generator.
    disc: the discriminator.
    loss: what each player minimises.
    gen_optimiser: from the hyperparameters to G's optimiser.
    disc_optimiser: the same for D.
    latent: `latent(key, n) -> [n, Z]`.
    schedule: `schedule(hyper, step) -> hyper`, the numbers of this step.
    penalties: by name.
    batch_size: samples `[B]` a player draws at once, `packing` included.
    disc_steps: D updates for each G update.
    share_latents: whether G reuses the draws of the last D update.
    packing: samples that D judges at once (PacGAN, Lin et al. 2018).
    skip_nonfinite: leave out and count an update whose loss or gradient is
      not finite.
    to_data: from the networks' units to those of the data.
    from_data: the reverse.
    rule: how the players move.
  """

  gen: types.Network
  disc: types.Network
  loss: losses.GanLoss
  gen_optimiser: states.OptimiserFn
  disc_optimiser: states.OptimiserFn
  latent: Callable[[jax.Array, int], jax.Array]
  schedule: Callable[[types.Hyper, jax.Array], types.Hyper]
  penalties: Mapping[str, Penalty]
  batch_size: int
  disc_steps: int
  share_latents: bool
  packing: int
  skip_nonfinite: bool
  to_data: Callable[[jax.Array], jax.Array]
  from_data: Callable[[jax.Array], jax.Array]
  rule: games.Rule = games.ALTERNATING
