"""What the training program adds to the steps that it runs.

  python -m experiments.benchmarks.loop_overhead \
    --config=experiments/configs/digits.py --config.steps=1000

Trains in a folder that is thrown away, logging, sampling and checkpointing as
the configuration says, then times the bare compiled chunk for as many steps.
`overhead` is the share by which the program takes longer, from its first chunk
to its end; compiling is in neither, for the program runs once before and all
that it compiles is kept. `start_s` is what it takes until the first chunk is
done, imports left out.
"""

import json
import math
import pathlib
import shutil
import tempfile
import time

from absl import flags

from experiments import launch
from experiments.benchmarks import first_chunk, suites
from gan_jax import config as configs

_CONFIG = launch.define_config()
_JSON = flags.DEFINE_string('json', None, 'File to write the figures to.')


def measure(config: configs.Config) -> dict[str, float]:
  """Trains twice, the first time to compile; seconds and their ratio."""
  from experiments.benchmarks import jax_games
  from gan_jax import threads, train

  threads.choose(config)
  folder = pathlib.Path(tempfile.mkdtemp())
  try:
    said: dict[str, float] = {}
    with first_chunk.noticed(
      lambda word: said.update({word: time.monotonic()})
    ):
      for name in ('first', 'second'):
        began = time.monotonic()
        train.train(config, folder / name)
        # The first chunk of every start reads its program from the disk.
        wall = time.monotonic() - said[first_chunk.ENDED]
  finally:
    shutil.rmtree(folder)
  length = math.gcd(config.log_every, config.steps)
  game = jax_games.Game(suites.Suite(lambda: config, length))
  game.play()
  bare_began = time.monotonic()
  for _ in range(config.steps // length - 1):
    game.play()
  bare = time.monotonic() - bare_began
  return {
    'steps': config.steps - length,
    'start_s': said[first_chunk.ENDED] - began,
    'program_s': wall,
    'bare_s': bare,
    'overhead': wall / bare - 1,
  }


def main() -> None:
  if _CONFIG.value is None:
    raise ValueError('--config=FILE must be given')
  figures = measure(_CONFIG.value)
  for name, value in figures.items():
    print(f'{name:10s} {value:10.3f}')
  print(f'the program adds {100 * figures["overhead"]:.1f} % to its steps')
  if _JSON.value:
    text = json.dumps(figures, indent=2)
    pathlib.Path(_JSON.value).write_text(text + '\n')


if __name__ == '__main__':
  launch.run(main)
