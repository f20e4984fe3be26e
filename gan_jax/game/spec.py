"""All of a game that shapes its program; its numbers are in `types.Hyper`."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from gan_jax import types
from gan_jax.game import (
  augment as augmentations,
  latent_steps,
  looks,
  losses,
  rules,
)

# `latent(key, n)`, n of them.
Latents = Callable[[jax.Array, int], types.Latent]


class Looks(NamedTuple):
  """How D is shown real and generated samples."""

  real: looks.Look = looks.plain
  fake: looks.Look = looks.plain


class Spec(NamedTuple):
  """A game.

  Attributes:
    gen: the generator.
    disc: the discriminator.
    loss: what each player minimises.
    optimisers: from the hyperparameters to each player's optimiser.
    latent: `latent(key, n)`, n of them; in a game of classes, with labels.
    eval_latent: the same for evaluation, with labels as often as the data have
      them.
    frozen: of each player, names of the parameters that stay as they are.
    schedule: `schedule(hyper, step) -> hyper`, the numbers of this step.
    terms: of each player's loss, by name.
    batch_samples: `B`, those that a player draws at once, `packing` included.
    disc_steps: D's updates in a step.
    gen_steps: G's, which follow them.
    microbatches: parts of its batch that an update goes through in turn.
    tells_disc: D is told the classes that G was asked for; not of codes, which
      it is to find.
    loop_disc: they are compiled once, as a loop, and not one after another.
    shared_keys: of D's last update, the keys that G's updates have too, beside
      its latents (draws.py); None where G draws its own.
    packing: samples that D judges at once (PacGAN, Lin et al. 2018).
    own_statistics: normalise evaluation samples by the statistics of their own
      batch, of `part_samples`.
    skip_nonfinite: leave out and count an update whose loss or gradient is
      not finite.
    to_data: from the networks' units to those of the data.
    from_data: the reverse.
    rule: how the players move.
    look: how D is shown samples.
    paired_labels: in training, G is asked for the classes of the real samples
      beside which its own are judged.
    augment: what is done to all samples that D sees; None for nothing.
    blur_taps: pixels on either side that the widest blur of what D sees has;
      None without one.
    pseudo: whether fakes are shown as real samples, as often as augmentations.
    adaptive: how strongly, where that adapts; D's term 'augment' remembers.
    gen_batches: how many times `batch_samples` G's own update draws, in as many
      parts.
    latent_step: how latents move before they are judged; None where they stay.
    top_k: whether G learns of its best samples alone.
    weighted: whether G's loss has a weight beside its terms.
    posthoc: lengths of averages of G that are kept beside `gen_ema`.
    ema_length: of the one that is evaluated; None for `gen_ema`.
  """

  gen: types.Network
  disc: types.Network
  loss: losses.GanLoss
  optimisers: types.Pair
  latent: Latents
  eval_latent: Latents
  frozen: types.Pair
  schedule: Callable[[types.Hyper, jax.Array], types.Hyper]
  terms: types.Pair
  batch_samples: int
  disc_steps: int
  gen_steps: int
  shared_keys: tuple[str, ...] | None
  packing: int
  own_statistics: bool
  skip_nonfinite: bool
  to_data: Callable[[jax.Array], jax.Array]
  from_data: Callable[[jax.Array], jax.Array]
  rule: rules.Rule = rules.ALTERNATING
  look: Looks = Looks()
  paired_labels: bool = False
  tells_disc: bool = True
  loop_disc: bool = False
  augment: augmentations.Policy | None = None
  blur_taps: int | None = None
  pseudo: bool = False
  adaptive: augmentations.Adaptive | None = None
  gen_batches: int = 1
  microbatches: int = 1
  latent_step: latent_steps.Options | None = None
  top_k: bool = False
  weighted: bool = False
  posthoc: tuple[float, ...] = ()
  ema_length: float | None = None

  @property
  def part_samples(self) -> int:
    """Samples of a part of a batch: those that statistics are taken over."""
    return self.batch_samples // self.microbatches
