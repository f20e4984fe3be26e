"""On how many threads XLA runs a program on CPU.

XLA's threads pass the operations of a step to each other, one by one. In
networks of 3 x 32 on one number an operation takes microseconds, less than
passing it on: on one thread such a step is 1.4 times as fast, and the other
processors stay free. XLA reads the number of threads when a process first uses
a device, so the choice holds for the whole process: the evaluations of such a
run then take turns with its steps. 2,000 steps of gaussian_1d gave the same
bits on one thread and on two. `NPROC=2 python -m
experiments.benchmarks.step_time --suite=gaussian_1d` shows whether there is
still a difference.
"""

import os

import jax

from gan_jax.config import checks, fields as configs
from gan_jax.data import densities
from gan_jax.engine import players
from gan_jax.ops import cpu
from gan_jax.study import population

_VARIABLE = 'NPROC'


def choose(config: configs.Config) -> None:
  """Gives XLA one thread where the game's steps are small.

  For a program that trains this game and no other. Call it before the first
  array: it opens all devices, and changes nothing once they are open. If the
  user has set `NPROC`, that number stays.

  Args:
    config: of the game.

  Raises:
    ValueError: one line on what is wrong with it.
  """
  checks.validate(config)
  if _VARIABLE in os.environ or cpu.is_stock() or not suit_one(config):
    return
  os.environ[_VARIABLE] = '1'
  try:
    jax.devices()
  finally:
    del os.environ[_VARIABLE]  # For this process only.
  cpu.set_threads(1)


def suit_one(config: configs.Config) -> bool:
  """Whether the steps of a valid configuration are fastest on one thread."""
  return (
    config.data.name in (*densities.DENSITIES, *densities.POINTS)
    and config.gen.name == config.disc.name == 'mlp'
    and len(population.members(config))
    * config.batch_size
    * config.packing
    * max(players.make_settings(config, p).width for p in ('gen', 'disc')) ** 2
    <= cpu.ONE_THREAD_MULTIPLICATIONS
  )
