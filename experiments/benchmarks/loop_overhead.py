"""What the training program adds to the steps that it runs.

  python -m experiments.benchmarks.loop_overhead --rounds=3 \
    --config=experiments/configs/digits.py --config.steps=1000

In each round the program trains in a folder that is thrown away, logging,
sampling and checkpointing as the configuration says, and then the bare compiled
chunk plays as many steps. `overhead` is the share by which the program takes
longer, from its first chunk to its end; compiling is in neither, for the
program runs once before and all that it compiles is kept. `start_s` is what it
takes until the first chunk is done, imports left out, and in no other figure.
Reports medians, and the round farthest from each.
"""

import pathlib
import tempfile
import time

from absl import flags

from experiments import launch
from experiments.benchmarks import first_chunk, medians, results, suites
from gan_jax.config import fields as configs

_CONFIG = launch.define_config()
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Turns of each.', lower_bound=1)


def _train(config: configs.Config, workdir: pathlib.Path) -> dict[str, float]:
  """Seconds until the first chunk is done, and from there to the end."""
  from gan_jax.run import train

  ended: list[float] = []

  def say(word: str) -> None:
    if word == first_chunk.ENDED:
      ended.append(time.monotonic())

  began = time.monotonic()
  with first_chunk.noticed(say):
    train.train(config, workdir)
  (first,) = ended
  return {'start_s': first - began, 'program_s': time.monotonic() - first}


def measure(config: configs.Config, rounds: int) -> dict[str, list[float]]:
  """Seconds of each round and their ratio, by name.

  Raises:
    ValueError: there is but one chunk.
  """
  from experiments.benchmarks import jax_games
  from gan_jax.engine import program, threads

  threads.choose(config)
  length = program.chunk_length(config, 0)
  if length == config.steps:
    raise ValueError(
      f'log_every={config.log_every}: {config.steps} steps are one chunk, and '
      'the first is left out'
    )
  seconds: dict[str, list[float]] = {}
  with tempfile.TemporaryDirectory() as folder:
    _train(config, pathlib.Path(folder, 'first'))
    game = jax_games.Game(suites.Suite(lambda: config, length))
    game.play()
    for number in range(rounds):
      figures = _train(config, pathlib.Path(folder, str(number)))
      began = time.monotonic()
      for _ in range(config.steps // length - 1):
        game.play()
      figures['bare_s'] = time.monotonic() - began
      figures['overhead'] = figures['program_s'] / figures['bare_s'] - 1
      for name, value in figures.items():
        seconds.setdefault(name, []).append(value)
  return seconds


def main() -> None:
  if _CONFIG.value is None:
    raise ValueError('--config=FILE must be given')
  figures, steps = measure(_CONFIG.value, _ROUNDS.value), _CONFIG.value.steps
  middles = {
    name: medians.with_spread(values) for name, values in figures.items()
  }
  for name, (median, spread) in middles.items():
    print(f'{name:10s} {median:10.3f} ± {spread:.3f}')
  share = 100 * middles['overhead'][0]
  print(f'the program adds {share:.1f} % to its {steps:,} steps')
  results.write({'steps': steps, **figures})


if __name__ == '__main__':
  launch.run(main)
