"""On how many threads XLA runs a program on CPU.

Its threads hand each other the operations of a step, one by one. Where these
take microseconds, as in networks of 3 x 32 on one number, handing over takes
longer than it saves: on one thread such a step is 1.4 times as fast, and leaves
the other processors alone. XLA takes no such choice with a program. It reads
how many threads it may have when a process first uses a device, so that it
holds for all that the process computes. `NPROC=2 python -m
experiments.benchmarks.step_time --suite=gaussian_1d` shows whether there is
still a difference.
"""

import math
import os

import jax

from gan_jax import config as configs
from gan_jax.data import densities
from gan_jax.networks import mlp

_VARIABLE = 'NPROC'
# Multiplications of a hidden layer. Measured on two cores of AVX-512: a batch
# of 256 is 1.4 times as fast on one thread for layers of 64, 1e6, and eight
# such games side by side for layers of 32, 2e6, 1.15 times; a batch of 2048 for
# layers of 32, 2e6, is 1.2 times as fast on two, and one of 256 for layers of
# 128, 4e6, as fast on one.
_MOST = 1.5e6


def choose(config: configs.Config) -> None:
  """Lets XLA have one thread, should that suit a game's small steps.

  For a program that plays this game and no other, before its first array:
  once there is a device, this does nothing. A user who sets `NPROC` has chosen.

  Args:
    config: of the game.

  Raises:
    ValueError: one line on what is wrong with it.
  """
  configs.validate(config)
  if _VARIABLE in os.environ or not _is_small(config):
    return
  os.environ[_VARIABLE] = '1'
  try:
    jax.devices()
  finally:
    del os.environ[_VARIABLE]  # Other processes choose for themselves.


def _is_small(config: configs.Config) -> bool:
  members = config.population.seeds * math.prod(
    len(values) for values in config.population.vary.values()
  )
  players = config.gen, config.disc
  return (
    config.data.name in (*densities.DENSITIES, *densities.POINTS)
    and all(player.name == 'mlp' for player in players)
    and members
    * config.batch_size
    * config.packing
    * max(player.width or mlp.Generator.width for player in players) ** 2
    <= _MOST
  )
