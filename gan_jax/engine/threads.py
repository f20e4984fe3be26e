"""On how many threads XLA runs a program on CPU.

Its threads hand each other the operations of a step, one by one. Where these
take microseconds, as in networks of 3 x 32 on one number, handing over takes
longer than it saves: on one thread such a step is 1.4 times as fast, and leaves
the other processors alone. XLA takes no such choice with a program. It reads
how many threads it may have when a process first uses a device, so that it
holds for all that the process computes: looks at such a run take turns with its
steps. 2,000 steps of gaussian_1d gave the same bits on one thread and on two.
`NPROC=2 python -m experiments.benchmarks.step_time --suite=gaussian_1d` shows
whether there is still a difference.
"""

import os

import jax

from gan_jax.config import checks, fields as configs
from gan_jax.data import densities
from gan_jax.networks import mlp
from gan_jax.study import population

_VARIABLE = 'NPROC'
# Multiplications of a hidden layer, of all members and packed samples. Measured
# on two cores of AVX-512: a batch of 256 is 1.4 times as fast on one thread for
# layers of 64, 1e6. At 2e6 it depends: for layers of 32, eight games of 256
# side by side are 1.15 times as fast on one, and one of 2048 is 1.2 times as
# fast on two. For layers of 128, 4e6, one thread is as fast as two.
_MOST = 1.5e6


def choose(config: configs.Config) -> None:
  """Lets XLA have one thread, should that suit a game's small steps.

  For a program that plays this game and no other, before its first array:
  once there is a device, this does nothing, and otherwise it opens all of them.
  A user who sets `NPROC` has chosen.

  Args:
    config: of the game.

  Raises:
    ValueError: one line on what is wrong with it.
  """
  checks.validate(config)
  if _VARIABLE in os.environ or not suit_one(config):
    return
  os.environ[_VARIABLE] = '1'
  try:
    jax.devices()
  finally:
    del os.environ[_VARIABLE]  # Other processes choose for themselves.


def suit_one(config: configs.Config) -> bool:
  """Whether the steps of a valid configuration are fastest on one thread."""
  players = config.gen, config.disc
  return (
    config.data.name in (*densities.DENSITIES, *densities.POINTS)
    and all(player.name == 'mlp' for player in players)
    and len(population.members(config))
    * config.batch_size
    * config.packing
    * max(player.width or mlp.Generator.width for player in players) ** 2
    <= _MOST
  )
