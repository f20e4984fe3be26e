"""How long a training process takes to its first step, the second time.

  python -m experiments.benchmarks.start_time --rounds=3 \
    --config=experiments/configs/gaussian_1d.py

Starts the training program in new folders, the first time to compile, and then
--rounds times with what was compiled on the disk. Reports the median of the
seconds from the process's start, imports and a first checkpoint included, to
the end of its first step, and kills it.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from absl import flags

from experiments import launch
from experiments.benchmarks import first_chunk, processes

_CONFIG = launch.define_config()
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Starts.', lower_bound=1)
_JSON = flags.DEFINE_string('json', None, 'File to write the figures to.')

# A row after one step.
_ONE = (
  '--config.log_every=1', '--config.eval.every=1000000',
  '--config.checkpoint.every=1000000',
)  # fmt: skip


def start(arguments: list[str], workdir: pathlib.Path) -> float:
  """Seconds to the end of the first step.

  Raises:
    ValueError: the process ended before, with its own words.
  """
  began = time.monotonic()
  with processes.start(
    [*arguments, *_ONE],
    workdir,
    'experiments.benchmarks.first_chunk',
    stdout=subprocess.PIPE,
  ) as process:
    assert process.stdout is not None
    assert process.stderr is not None
    if first_chunk.SAID not in (
      line.decode().strip() for line in process.stdout
    ):
      said = process.stderr.read().decode().strip()
      raise ValueError(said.removeprefix('error: '))
    took = time.monotonic() - began
    process.kill()
  return took


def main() -> None:
  if _CONFIG.value is None:
    raise ValueError('--config=FILE must be given')
  arguments = [a for a in sys.argv[1:] if a.startswith('--config')]
  with tempfile.TemporaryDirectory() as folder:
    times = [
      start(arguments, pathlib.Path(folder, f'{i}'))
      for i in range(_ROUNDS.value + 1)
    ]
  figures = {'first_s': times[0], 'later_s': statistics.median(times[1:])}
  for name, value in figures.items():
    print(f'{name:8s} {value:6.2f}')
  if _JSON.value:
    text = json.dumps({**figures, 'all_s': times}, indent=2)
    pathlib.Path(_JSON.value).write_text(text + '\n')


if __name__ == '__main__':
  launch.run(main)
