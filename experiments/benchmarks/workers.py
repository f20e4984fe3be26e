"""One process for each contestant, so that each has its own peak memory.

They share the machine by turns: a worker sleeps until it is asked.
"""

import importlib.util
import multiprocessing
import resource
import time
from collections.abc import Callable
from multiprocessing import connection
from typing import Any

from experiments.benchmarks import suites

# What is timed. 'stock' is ours without any fast path.
KINDS = ('ours', 'stock', 'torch', 'compile')


def has_torch() -> bool:
  return importlib.util.find_spec('torch') is not None


class Worker:
  """A process that plays one game, or measures the matrix product."""

  def __init__(self, kind: str, suite: str | None):
    context = multiprocessing.get_context('spawn')
    self._pipe, theirs = context.Pipe()
    self._process = context.Process(
      target=_serve, args=(theirs, kind, suite), daemon=True
    )
    self._process.start()
    theirs.close()
    self.facts: dict[str, float] = self._pipe.recv()

  def round(self, seconds: float) -> float:
    """Milliseconds a step over at least so long."""
    self._pipe.send(seconds)
    return float(self._pipe.recv())

  def close(self) -> float:
    """Ends the process; its peak memory in MiB."""
    self._pipe.send(None)
    peak = float(self._pipe.recv())
    self._process.join()
    return peak


def _serve(pipe: connection.Connection, kind: str, suite: str | None) -> None:
  play, length, facts = _game(kind, suite)
  pipe.send(facts)
  while (seconds := pipe.recv()) is not None:
    count, began = 0, time.monotonic()
    while count == 0 or time.monotonic() - began < seconds:
      play()
      count += length
    pipe.send(1e3 * (time.monotonic() - began) / count)
  pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _game(
  kind: str, name: str | None
) -> tuple[Callable[[], Any], int, dict[str, float]]:
  """`play()`, how many steps that is, and what is known beforehand."""
  if kind in ('ours', 'stock'):
    from experiments.benchmarks import jax_games
    from gan_jax.engine import threads
    from gan_jax.ops import cpu

    if kind == 'stock':
      cpu.set_stock()
    if name is None:
      return _nothing, 1, {'gflops': jax_games.matmul_gflops(2048, 1.0)}
    suite = suites.SUITES[name]
    threads.choose(suite.config())
    game = jax_games.Game(suite)
    facts = {'compile_s': game.compile_seconds, 'flops': game.step_flops}
    return game.play, game.length, facts
  from experiments.benchmarks import torch_games

  if name is None:
    return _nothing, 1, {'gflops': torch_games.matmul_gflops(2048, 1.0)}
  began = time.monotonic()
  theirs = torch_games.Game(suites.SUITES[name], compiled=kind == 'compile')
  theirs.play(1)
  return (
    lambda: theirs.play(1),
    1,
    {'compile_s': time.monotonic() - began if kind == 'compile' else 0.0},
  )


def _nothing() -> None:
  pass


def matmul_gflops() -> float:
  """The machine's peak: the better of both libraries' matrix products."""
  rates = []
  for kind in ('ours', 'torch'):
    if kind == 'ours' or has_torch():
      worker = Worker(kind, None)
      rates.append(worker.facts['gflops'])
      worker.close()
  return max(rates)
