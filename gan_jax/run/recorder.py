"""A thread that evaluates a run, writes and saves it while the run goes on.

JAX runs what one thread asks of a device in order, and on a CPU what two ask
for side by side, if XLA has several threads (threads.py): there an evaluation
costs a run of small steps, which leave a core idle, nothing. On an accelerator
the device itself takes its turns, but waits for neither disks nor drawings.
"""

import collections
from collections.abc import Callable
from concurrent import futures
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.game import state as states


class Moment(NamedTuple):
  """A game between two chunks of steps.

  Attributes:
    step: how many steps there have been.
    state: as the next chunk finds it.
    logs: of the chunk before it, on the host; `{}` before the first.
    evaluated: whether the reports measure it.
    written: whether it has a row.
    kept: whether it has a checkpoint.
    averaged: whether its averages of several lengths are stored.
    speed: of the chunk before it, steps a second.
  """

  step: int
  state: states.GanState
  logs: dict[str, np.ndarray]
  evaluated: bool = False
  written: bool = False
  kept: bool = False
  averaged: bool = False
  speed: float = 0.0

  @property
  def of_state(self) -> bool:
    """Whether more is done with its state than to drop it."""
    return self.evaluated or self.kept or self.averaged


class Recorder:
  """Records moments in their order, behind the caller's back.

  A state that is evaluated or kept is copied, for the next chunk takes its
  buffers; there is one copy at a time. What fails is raised by the next call,
  or on leaving, and nothing after it is recorded.
  """

  def __init__(self, record: Callable[[Moment], None], *, in_turn: bool):
    """Starts the thread.

    Args:
      record: what is to be done, in that thread.
      in_turn: let `record` return before the caller goes on. Where several
        devices work together, two threads may not give them work: one could
        get its share of two programs in another order than the others. Nor
        does one thread of a CPU get on with both.
    """
    self._record, self._in_turn = record, in_turn
    self._pool = futures.ThreadPoolExecutor(1)
    self._waiting: collections.deque[futures.Future[None]] = collections.deque()
    self._failed = False

  def record(self, moment: Moment) -> None:
    """Returns at once, unless this needs a copy and there is one."""
    if moment.of_state:
      self.wait()
      moment = moment._replace(state=jax.tree.map(jnp.copy, moment.state))
    self._waiting.append(self._pool.submit(self._try, moment))
    if self._in_turn or self._failed:
      self.wait()

  def wait(self) -> None:
    """Returns when all moments are recorded."""
    while self._waiting:
      self._waiting.popleft().result()

  def _try(self, moment: Moment) -> None:
    if self._failed:
      return
    try:
      self._record(moment)
    except BaseException:
      self._failed = True
      raise

  def __enter__(self) -> Self:
    return self

  def __exit__(self, kind: object, error: object, trace: object) -> None:
    """Lets all be recorded; what fails is told unless there is an error."""
    self._pool.shutdown()
    if error is None:
      self.wait()
