"""Members of a population: runs that differ in seed and in numbers alone.

A member's state is a slice of one state with a leading axis; its seed and its
numbers are arrays, so that one compiled program trains them all.
"""

import copy
import itertools
from typing import NamedTuple

from gan_jax.config import fields as configs, values


class Member(NamedTuple):
  """One run of a population.

  Attributes:
    seed: of the run.
    setting: the numbers that vary, by their dotted config name.
  """

  seed: int
  setting: dict[str, float]


def members(config: configs.Config) -> list[Member]:
  """All of them: every combination of the varied numbers, with every seed."""
  names, lists = list(config.population.vary), config.population.vary.values()
  seeds = range(config.seed, config.seed + config.population.seeds)
  return [
    Member(seed, dict(zip(names, values, strict=True)))
    for values in itertools.product(*lists)
    for seed in seeds
  ]


def settings(config: configs.Config) -> dict[str, slice]:
  """The members of each combination, by a name such as 'ema.half_life=0.0'."""
  count, found = config.population.seeds, members(config)
  return {
    setting_name(found[i].setting): slice(i, i + count)
    for i in range(0, len(found), count)
  }


def by_field(config: configs.Config) -> dict[str, dict[str, list[int]]]:
  """For each number that varies, the members at each of its values.

  Where none does, all members of a nameless one.
  """
  found = members(config)
  if not config.population.vary:
    return {'': {'': list(range(len(found)))}}
  return {
    name: {
      _plain(value): [
        i for i, member in enumerate(found) if member.setting[name] == value
      ]
      for value in values
    }
    for name, values in config.population.vary.items()
  }


def setting_name(setting: dict[str, float]) -> str:
  """In words; '' where nothing varies."""
  return ', '.join(f'{name}={_plain(x)}' for name, x in setting.items())


def _plain(value: float) -> str:
  """Every digit, so that two values never look alike: 0, 0.1, 100000."""
  return repr(value).removesuffix('.0')


def is_population(config: configs.Config) -> bool:
  return len(members(config)) > 1


def member_config(config: configs.Config, member: Member) -> configs.Config:
  """The configuration of the single run that a member is."""
  single = copy.deepcopy(config)
  single.population = configs.Population()
  single.seed = member.seed
  for name, value in member.setting.items():
    values.assign(single, name, value)
  own = single.augment
  if not own.adapt and not values.largest(single, 'augment.p'):
    # Nothing is augmented, as beside members where something is. A diffusion of
    # strength 0 is a short one.
    own.pseudo = False
    own.policy = own.policy if own.policy == 'diffusion' else ''
  return single


def program_config(config: configs.Config) -> configs.Config:
  """One whose program can do what every member's does.

  A weight of 0 leaves a penalty out of the program; the largest does not.
  """
  shared = copy.deepcopy(config)
  for name, tried in config.population.vary.items():
    values.assign(shared, name, max(tried))
  return shared
