"""Flags of programs that look at a run: which, when, and which generator.

And how D moves its latents, of those that draw samples, and the two sets of
images in place of a run, of those that compare.
"""

import pathlib
from collections.abc import Iterable
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


def define_truncation() -> flags.FlagHolder[Any]:
  """`--truncation`, of programs that draw samples."""
  return flags.DEFINE_float(
    'truncation', None, 'The bound of each |z|, or psi of a style network.'
  )


class Paths(NamedTuple):
  """Flags of two sets of images on the disk, in place of a run."""

  generated: flags.FlagHolder[Any]
  real: flags.FlagHolder[Any]
  size: flags.FlagHolder[Any]
  channels: flags.FlagHolder[Any]

  def given(self, workdir: flags.FlagHolder[Any]) -> bool:
    """Whether the sets are looked at, and not a run.

    Raises:
      ValueError: neither is given.
    """
    found = self.generated.present or self.real.present
    if workdir.value is None and not found:
      raise ValueError(
        '--workdir=DIR, or --generated and --real, must be given'
      )
    return bool(found)

  def checked(self) -> dict[str, pathlib.Path]:
    """'generated' and 'real'.

    Raises:
      ValueError: one is not given, or images have no such channels.
    """
    both = self.generated, self.real
    for flag in both:
      if flag.value is None:
        raise ValueError(f'--{flag.name}=PATH must be given')
    if self.channels.value not in (0, 1, 3):
      raise ValueError(f'--channels={self.channels.value}: must be 0, 1 or 3')
    return {flag.name: pathlib.Path(flag.value) for flag in both}


def define_paths() -> Paths:
  """Defines them, once in a program."""
  return Paths(
    flags.DEFINE_string('generated', None, 'Images, in place of a run.'),
    flags.DEFINE_string('real', None, 'Images to compare them with.'),
    flags.DEFINE_integer(
      'size', 0, 'Folders of images: as data.size.', lower_bound=0
    ),
    flags.DEFINE_integer('channels', 0, 'The same: as data.channels.'),
  )


def refuse(given: Iterable[flags.FlagHolder[Any]], why: str) -> None:
  """Raises ValueError for the first of the flags that is given."""
  for flag in given:
    if flag.present:
      raise ValueError(f'--{flag.name}: {why}')
