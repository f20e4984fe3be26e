"""What a checkpoint costs.

  python -m experiments.benchmarks.save_cost \
    --config=experiments/configs/mnist.py

Saves the configuration's state as training does and reports, as medians of
--rounds saves, the seconds for which `save` holds the thread beside the steps
up, the processor seconds until the checkpoint is durable, and both as a share
of the --every seconds between two saves. The last is what training loses at
most: on a machine with a core to spare it loses nothing.
"""

import pathlib
import statistics
import tempfile
import time

from absl import flags

from experiments import launch
from experiments.benchmarks import results
from gan_jax.config import fields as configs

_CONFIG = launch.define_config()
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Saves.', lower_bound=1)
_EVERY = flags.DEFINE_float('every', 30.0, 'Seconds between two saves.')


def measure(
  config: configs.Config, rounds: int, every: float
) -> dict[str, float]:
  """The figures; see the module's docstring."""
  import jax
  import numpy as np

  from gan_jax.engine import program
  from gan_jax.run import loop
  from gan_jax.storage import checkpoint

  game = program.open_game(config)
  # Noise, which does not compress as the zeros of a fresh optimiser do.
  rng = np.random.default_rng(0)
  state = jax.tree.map(
    lambda x: (
      rng.standard_normal(x.shape, np.float32)
      if x.dtype == np.float32
      else np.zeros(x.shape, x.dtype)
    ),
    game.shapes(),
  )
  state = game.place(state)
  held: list[float] = []
  processor: list[float] = []
  with (
    tempfile.TemporaryDirectory() as folder,
    checkpoint.Checkpoints(pathlib.Path(folder), config.checkpoint) as saved,
  ):
    for step in range(rounds + 1):
      state = state._replace(step=state.step + 1)
      jax.block_until_ready(state)
      began, used = time.monotonic(), time.process_time()
      saved.save(state, loop.facts(game, rows=0), {})
      blocked = time.monotonic() - began
      saved.wait()
      if step:  # The first one warms up.
        held.append(blocked)
        processor.append(time.process_time() - used)
    size = sum(
      path.stat().st_size
      for path in pathlib.Path(folder, 'checkpoints', str(rounds)).rglob('*')
      if path.is_file()
    )
  blocked, used = statistics.median(held), statistics.median(processor)
  return {
    'mib': size / 2**20,
    'held_up_s': blocked,
    'processor_s': used,
    'held_up_share': blocked / every,
    'at_most_share': max(blocked, used) / every,
  }


def main() -> None:
  if _CONFIG.value is None:
    raise ValueError('--config=FILE must be given')
  figures = measure(_CONFIG.value, _ROUNDS.value, _EVERY.value)
  for name, value in figures.items():
    print(f'{name:16s} {value:.4f}')
  results.write(figures)


if __name__ == '__main__':
  launch.run(main)
