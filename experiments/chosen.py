"""Flags of programs that look at a run: which, when, and which generator."""

import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

if TYPE_CHECKING:
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
