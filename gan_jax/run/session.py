"""A session of a run: its start and end told, its page written beside it."""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Self

from gan_jax.engine import health
from gan_jax.run import interrupt
from gan_jax.storage import history

# What all pages before the last may cost, of the time since the start.
_SHARE = 0.01

# Seconds that a page is taken to cost until one has been written.
_GUESS = 0.3


@contextlib.contextmanager
def told(workdir: pathlib.Path, step: int, last: int) -> Iterator[None]:
  """Notes that a session starts, and how it ends; a kill leaves no end.

  Args:
    workdir: of the run.
    step: where it starts.
    last: the step that it is to reach.
  """
  history.add(workdir, 'start', step)
  try:
    yield
  except interrupt.Stopped as stopped:
    history.add(workdir, 'stop', stopped.step)
    raise
  except health.DivergedError as error:
    history.add(workdir, 'diverge', int(error.step), why=str(error))
    raise
  history.add(workdir, 'finish', last)


class Pages:
  """Writes the run's page in a thread of its own, as often as is cheap.

  A look never waits for a page: where one is being written, or where all of
  them would have taken more than a hundredth of the time, it has none.
  """

  def __init__(
    self,
    write: Callable[[], None] | None,
    clock: Callable[[], float] = time.monotonic,
  ):
    """Starts the thread.

    Args:
      write: the page; None where none is wanted.
      clock: in seconds.
    """
    self._write, self._clock = write, clock
    self._pool = futures.ThreadPoolExecutor(1)
    self._writing: futures.Future[None] | None = None
    self._began = clock()
    self._spent, self._last = 0.0, _GUESS

  def offer(self) -> None:
    """Begins a page, if it is time for one.

    Raises:
      OSError: the one before could not be written.
    """
    if self._write is None:
      return
    if self._writing:
      if not self._writing.done():
        return
      self._writing.result()
    passed = self._clock() - self._began
    if self._spent + self._last <= _SHARE * passed:
      self._writing = self._pool.submit(self._timed)

  def _timed(self) -> None:
    began = self._clock()
    assert self._write is not None
    self._write()
    self._last = self._clock() - began
    self._spent += self._last

  def __enter__(self) -> Self:
    return self

  def __exit__(self, kind: object, error: object, trace: object) -> None:
    """Writes the last page."""
    self._pool.shutdown()
    if self._write is None:
      return
    # A full disk has been told already.
    with contextlib.suppress(*[OSError] * bool(error)):
      self._write()
