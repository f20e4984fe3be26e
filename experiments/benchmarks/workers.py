"""One process for each contestant, so that each has its own peak memory.

They share the machine by turns: a worker sleeps until it is asked.
"""

import dataclasses
import importlib.util
import multiprocessing
import resource
import time
from collections.abc import Callable, Mapping
from multiprocessing import connection
from typing import Any, NamedTuple

from experiments.benchmarks import suites

# What is timed. 'stock' is ours without any fast path.
KINDS = ('ours', 'stock', 'torch', 'compile')


def has_torch() -> bool:
  return importlib.util.find_spec('torch') is not None


class Worker:
  """A process that plays one game, or measures the matrix product."""

  def __init__(
    self,
    kind: str,
    suite: str | None,
    changes: Mapping[str, Any] | None = None,
    device: str = 'cpu',
  ):
    """Starts it, and waits until it can play.

    Args:
      kind: of `KINDS`.
      suite: the name of a game; None for the matrix product.
      changes: fields of its configuration that are to be others.
      device: of PyTorch's; ours is JAX's first.
    """
    context = multiprocessing.get_context('spawn')
    self._pipe, theirs = context.Pipe()
    self._process = context.Process(
      target=_serve,
      args=(theirs, kind, suite, dict(changes or {}), device),
      daemon=True,
    )
    self._process.start()
    theirs.close()
    self.facts: dict[str, float] = self._pipe.recv()

  def round(self, seconds: float) -> float:
    """Milliseconds a step over at least so long."""
    self._pipe.send(seconds)
    return float(self._pipe.recv())

  def close(self) -> float:
    """Ends the process; its peak memory in MiB, on a GPU or TPU of that."""
    self._pipe.send(None)
    peak = float(self._pipe.recv())
    self._process.join()
    return peak


class _Player(NamedTuple):
  """What a process plays.

  Attributes:
    play: some steps.
    length: how many.
    facts: what is known beforehand.
    wait: until all that was begun has been done.
    peak_mib: of the device's own memory; None where it has none.
  """

  play: Callable[[], Any]
  length: int
  facts: dict[str, float]
  wait: Callable[[], Any] = lambda: None
  peak_mib: Callable[[], float | None] = lambda: None


def _serve(
  pipe: connection.Connection,
  kind: str,
  suite: str | None,
  changes: dict[str, Any],
  device: str,
) -> None:
  player = _player(kind, suite, changes, device)
  pipe.send(player.facts)
  while (seconds := pipe.recv()) is not None:
    count, began = 0, time.monotonic()
    while count == 0 or time.monotonic() - began < seconds:
      player.play()
      count += player.length
    player.wait()
    pipe.send(1e3 * (time.monotonic() - began) / count)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
  pipe.send(player.peak_mib() or peak)


def _suite(name: str, changes: dict[str, Any]) -> suites.Suite:
  """The game of that name with other fields."""
  suite = suites.SUITES[name]
  return dataclasses.replace(
    suite, config=lambda: dataclasses.replace(suite.config(), **changes)
  )


def _player(
  kind: str, name: str | None, changes: dict[str, Any], device: str
) -> _Player:
  if kind in ('ours', 'stock'):
    from experiments.benchmarks import jax_games
    from gan_jax.engine import threads
    from gan_jax.ops import cpu

    if kind == 'stock':
      cpu.set_stock()
    if name is None:
      facts = {'gflops': jax_games.matmul_gflops(2048, 1.0)}
      return _Player(_nothing, 1, facts)
    suite = _suite(name, changes)
    threads.choose(suite.config())
    game = jax_games.Game(suite)
    facts = {
      'compile_s': game.compile_seconds,
      'count_s': game.count_seconds,
      'flops': game.step_flops,
    }
    return _Player(game.play, game.length, facts, peak_mib=jax_games.peak_mib)
  from experiments.benchmarks import torch_games

  if name is None:
    facts = {'gflops': torch_games.matmul_gflops(2048, 1.0)}
    return _Player(_nothing, 1, facts)
  began = time.monotonic()
  theirs = torch_games.Game(
    _suite(name, changes), compiled=kind == 'compile', device=device
  )
  theirs.play(1)
  theirs.wait()
  took = time.monotonic() - began if kind == 'compile' else 0.0
  return _Player(
    lambda: theirs.play(1),
    1,
    {'compile_s': took},
    theirs.wait,
    theirs.peak_mib,
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
