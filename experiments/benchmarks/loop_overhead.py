"""What the training program adds to the steps that it runs.

  python -m experiments.benchmarks.loop_overhead \
    --config=experiments/configs/digits.py --config.steps=1000

Trains in a folder that is thrown away, logging, sampling and checkpointing as
the configuration says, then times the bare compiled chunk for as many steps.
`overhead` is the share by which the program takes longer, from its first step
to its end; compiling is in neither, for the program runs once before, so that
all that it compiles is kept. What it takes from its start until its first
chunk is done is told apart: that of a second start.
"""

import contextlib
import json
import math
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from absl import flags

from experiments import launch
from gan_jax import config as configs

_CONFIG = launch.define_config()
_JSON = flags.DEFINE_string('json', None, 'File to write the figures to.')


@contextlib.contextmanager
def _watched_chunks() -> Iterator[list[tuple[float, float]]]:
  """Notes when each chunk of `train.train` began and ended."""
  from gan_jax import train

  spans: list[tuple[float, float]] = []
  original = train.make_chunk

  def make_chunk(*args: Any) -> Any:
    import jax

    chunk = original(*args)

    def watched(*args: Any, **kwargs: Any) -> Any:
      began = time.monotonic()
      result = jax.block_until_ready(chunk(*args, **kwargs))
      spans.append((began, time.monotonic()))
      return result

    return watched

  train.make_chunk = make_chunk  # type: ignore[assignment]
  try:
    yield spans
  finally:
    train.make_chunk = original


def measure(config: configs.Config) -> dict[str, float]:
  """Trains twice, the first time to compile; seconds and their ratio."""
  from gan_jax import train

  folder = pathlib.Path(tempfile.mkdtemp())
  try:
    with _watched_chunks() as spans:
      for name in ('first', 'second'):
        spans.clear()
        began = time.monotonic()
        train.train(config, folder / name)
        ended = time.monotonic()
  finally:
    shutil.rmtree(folder)
  chunk = math.gcd(config.log_every, config.steps)
  # The first chunk of each start reads its program from the disk.
  steady = sum(end - start for start, end in spans[1:])
  wall = ended - spans[0][1]
  return {
    'steps': config.steps - chunk,
    'start_s': spans[0][1] - began,
    'wall_s': wall,
    'chunks_s': steady,
    'overhead': wall / steady - 1,
  }


def main() -> None:
  if _CONFIG.value is None:
    raise ValueError('--config=FILE must be given')
  figures = measure(_CONFIG.value)
  for name, value in figures.items():
    print(f'{name:10s} {value:10.3f}')
  print(f'the program adds {100 * figures["overhead"]:.1f} % to its steps')
  sys.stdout.flush()
  if _JSON.value:
    text = json.dumps(figures, indent=2)
    pathlib.Path(_JSON.value).write_text(text + '\n')


if __name__ == '__main__':
  launch.run(main)
