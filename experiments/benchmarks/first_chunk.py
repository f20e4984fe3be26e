"""The training program, with words about its first chunk of steps.

  python -m experiments.benchmarks.first_chunk --workdir=runs/ring \
    --config=experiments/configs/ring_2d.py

Says in lines of their own on standard output when it has come to the chunk and
when the chunk has ended, and is `experiments.train` otherwise.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from experiments import launch

REACHED = 'the first chunk is reached'
ENDED = 'the first chunk has ended'


@contextlib.contextmanager
def noticed(say: Callable[[str], None]) -> Iterator[None]:
  """Within, `train.train` says `REACHED` and `ENDED` of its first chunk."""
  import jax

  from gan_jax.engine import program

  original = program.compile_chunk

  def compile_chunk(*args: Any) -> Any:
    chunk, words = original(*args), [ENDED, REACHED]

    def run(*args: Any) -> Any:
      if not words:
        return chunk(*args)
      say(words.pop())
      result = jax.block_until_ready(chunk(*args))
      say(words.pop())
      return result

    return run

  program.compile_chunk = compile_chunk  # type: ignore[assignment]
  try:
    yield
  finally:
    program.compile_chunk = original


if __name__ == '__main__':
  from experiments import train  # With flags of its own.

  def main() -> None:
    with noticed(functools.partial(print, flush=True)):
      train.main()

  launch.run(main)
