"""How soon a training process has saved and left after SIGTERM.

  python -m experiments.benchmarks.stop_time --rounds=5 \
    --config=experiments/configs/mnist.py

Starts the training program --rounds times in a folder that is thrown away,
each taking up what the one before left, and asks it to stop at a random moment:
while it imports, compiles, trains or draws. Reports the seconds until each has
left and its exit code, which must be 0.
"""

import pathlib
import random
import signal
import subprocess
import tempfile
import time

from absl import flags

from experiments import launch
from experiments.benchmarks import processes, results

_CONFIG = launch.define_config()
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'How many times.', lower_bound=1)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the moments.')
_LATEST = flags.DEFINE_float('latest', 40.0, 'Seconds, the last moment.')


def main() -> None:
  if _CONFIG.value is None:
    raise ValueError('--config=FILE must be given')
  arguments = launch.config_arguments()
  rng, records = random.Random(_SEED.value), []
  with tempfile.TemporaryDirectory() as folder:
    for _ in range(_ROUNDS.value):
      process = processes.start(arguments, pathlib.Path(folder, 'run'))
      # Python itself answers before the program listens, and not with 0.
      moment = rng.uniform(8.0, _LATEST.value)
      try:
        process.wait(moment)
        raise ValueError(f'the run came to its end within {moment:.0f} s')
      except subprocess.TimeoutExpired:
        began = time.monotonic()
      process.send_signal(signal.SIGTERM)
      process.communicate()
      took = time.monotonic() - began
      records.append({
        'after_s': moment, 'took_s': took, 'exit_code': process.returncode
      })  # fmt: skip
      print(f'asked after {moment:5.1f} s  left after {took:5.2f} s  '
            f'exit code {process.returncode}')  # fmt: skip
  print(f'the slowest took {max(r["took_s"] for r in records):.2f} s')
  results.write(records)


if __name__ == '__main__':
  launch.run(main)
