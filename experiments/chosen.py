"""Flags of programs that look at a run: which, when, and which generator.

And how D moves its latents, of those that draw samples.
"""

import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

if TYPE_CHECKING:
  from gan_jax.config import fields as configs
  from gan_jax.run import trained


class Flags(NamedTuple):
  """The flags, as `define` makes them.

  Attributes:
    workdir: the folder; None where it was not given.
    checkpoint: 'latest', 'best' or a step.
    member: of a population.
    ema: the averaged generator or the live one; None as in training.
    ema_length: of the average.
  """

  workdir: flags.FlagHolder[Any]
  checkpoint: flags.FlagHolder[Any]
  member: flags.FlagHolder[Any]
  ema: flags.FlagHolder[Any]
  ema_length: flags.FlagHolder[Any]

  def load(self) -> 'trained.Run':
    """The run that they name.

    Raises:
      ValueError: as `trained.load`.
    """
    from gan_jax.run import trained

    return trained.load(
      pathlib.Path(self.workdir.value),
      self.checkpoint.value,
      self.member.value,
      ema=self.ema.value,
      ema_length=self.ema_length.value,
    )


def define() -> Flags:
  """Defines them, once in a program."""
  return Flags(
    flags.DEFINE_string('workdir', None, 'Folder of the run.'),
    flags.DEFINE_string(
      'checkpoint', 'latest', 'latest, best (by checkpoint.best), or a step.'
    ),
    flags.DEFINE_integer(
      'member', None, 'Which run of a population, from 0.'
    ),
    flags.DEFINE_bool(
      'ema', None, 'The averaged generator, or the live one; if not given, as '
      'in training.'
    ),
    flags.DEFINE_float(
      'ema_length', None, 'The average of this length, made of those of '
      'ema.posthoc.'
    ),
  )  # fmt: skip


class Langevin(NamedTuple):
  """Flags of discriminator driven latent sampling, as fields of `Eval`."""

  langevin_steps: flags.FlagHolder[Any]
  langevin_rate: flags.FlagHolder[Any]
  langevin_noise: flags.FlagHolder[Any]
  langevin_decay: flags.FlagHolder[Any]
  langevin_decay_steps: flags.FlagHolder[Any]

  def set_fields(self, settings: 'configs.Eval') -> None:
    """Those that are given; the others are as the run's configuration says.

    Raises:
      ValueError: one is given, and there are no steps.
    """
    for flag in self:
      if flag.value is not None:
        setattr(settings, flag.name, flag.value)
    given = [flag.name for flag in self[1:] if flag.value is not None]
    if given and not settings.langevin_steps:
      raise ValueError(f'--{given[0]}: needs --langevin_steps above 0')


def define_langevin() -> Langevin:
  """Defines them, once in a program."""
  return Langevin(
    flags.DEFINE_integer(
      'langevin_steps', None, 'Steps in which D moves each latent (DDLS); 0 '
      'leaves them.', lower_bound=0,
    ),
    flags.DEFINE_float('langevin_rate', None, 'Their size, epsilon.'),
    flags.DEFINE_float('langevin_noise', None, 'Factor on their noise; 1.'),
    flags.DEFINE_float(
      'langevin_decay', None, 'Factor on epsilon every --langevin_decay_steps.'
    ),
    flags.DEFINE_integer(
      'langevin_decay_steps', None, 'Steps of the same epsilon.'
    ),
  )  # fmt: skip
