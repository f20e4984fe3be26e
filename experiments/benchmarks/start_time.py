"""How long a training process takes to its first step, the second time.

  python -m experiments.benchmarks.start_time --rounds=3 \
    --config=experiments/configs/gaussian_1d.py

Starts the training program in new folders, the first time to compile, and then
--rounds times with what was compiled on the disk. Reports the medians of the
seconds from the process's start, imports and a first checkpoint included, until
it reaches its first step and until that step has ended, and kills it.
"""

import pathlib
import statistics
import subprocess
import tempfile
import time

from absl import flags

from experiments import launch
from experiments.benchmarks import first_chunk, processes, results

_CONFIG = launch.define_config()
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Starts.', lower_bound=1)

# A row after one step.
_ONE = (
  '--config.log_every=1', '--config.eval.every=1000000',
  '--config.checkpoint.every=1000000',
)  # fmt: skip


def start(arguments: list[str], workdir: pathlib.Path) -> dict[str, float]:
  """Seconds until the first step is reached, and until it has ended.

  Raises:
    ValueError: the process ended before, with its own words.
  """
  began = time.monotonic()
  took: dict[str, float] = {}
  with processes.start(
    [*arguments, *_ONE],
    workdir,
    'experiments.benchmarks.first_chunk',
    stdout=subprocess.PIPE,
  ) as process:
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stdout:
      took[line.decode().strip()] = time.monotonic() - began
      if first_chunk.ENDED in took:
        break
    else:
      said = process.stderr.read().decode().strip()
      raise ValueError(said.removeprefix('error: '))
    process.kill()
  return {
    'reached_s': took[first_chunk.REACHED],
    'ended_s': took[first_chunk.ENDED],
  }


def main() -> None:
  if _CONFIG.value is None:
    raise ValueError('--config=FILE must be given')
  arguments = launch.config_arguments()
  with tempfile.TemporaryDirectory() as folder:
    first, *others = starts = [
      start(arguments, pathlib.Path(folder, f'{i}'))
      for i in range(_ROUNDS.value + 1)
    ]
  later = {
    name: statistics.median(each[name] for each in others) for name in first
  }
  print('step 1      first start   later')
  for name in first:
    print(f'{name:10s} {first[name]:12.2f} {later[name]:7.2f}')
  results.write({'first': first, 'later': later, 'all': starts})


if __name__ == '__main__':
  launch.run(main)
