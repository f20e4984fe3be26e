"""The training program, with a word when its first chunk of steps has ended.

  python -m experiments.benchmarks.first_chunk --workdir=runs/ring \
    --config=experiments/configs/ring_2d.py

Says so in a line of its own on standard output, and is `experiments.train`
otherwise.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from experiments import launch

SAID = 'the first chunk has ended'


@contextlib.contextmanager
def noticed(then: Callable[[], None]) -> Iterator[None]:
  """Within, `train.train` calls `then` when its first chunk has ended."""
  import jax

  from gan_jax import program

  original = program.compile_chunk

  def compile_chunk(*args: Any) -> Any:
    chunk, ended = original(*args), False

    def run(*args: Any) -> Any:
      nonlocal ended
      result = chunk(*args)
      if not ended:
        jax.block_until_ready(result)
        then()
      ended = True
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
    with noticed(lambda: print(SAID, flush=True)):
      train.main()

  launch.run(main)
