"""SIGTERM and SIGINT: a run that is asked to stop loses nothing.

Python's own handlers wait until the interpreter runs again, and compiled steps
and compilations keep it waiting for seconds or minutes. The signals are
therefore read by a thread, from the pipe that the interpreter's C handler
writes to.
"""

import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import ClassVar, Self

from gan_jax.engine import hosts
from gan_jax.storage import whole

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):  # noqa: N818  Not an error.
  """The run was asked to stop, and is on the disk as it stands.

  Attributes:
    step: of the newest checkpoint.
  """

  def __init__(self, step: int):
    super().__init__(f'stopped at step {step:,}')
    self.step = step


def was_asked() -> bool:
  """Whether the newest `Interrupt` was asked to stop.

  A run that is asked in its last chunk ends as if it were not.
  """
  return Interrupt.newest is not None and Interrupt.newest.asked


class Interrupt:
  """Listens while it is entered; only the main thread can.

  At a first signal the process leaves at once with exit code 0, unless within
  `deferred()`, where `asked` is set and the caller is trusted to come to an
  end soon. A second signal always ends the process at once.
  """

  newest: ClassVar['Interrupt | None'] = None

  def __init__(self, advice: str | None):
    """Takes the line to say on leaving at once, or None.

    None is of a program that has nothing to take up again: it ends with the
    signal's exit code.
    """
    self.asked = False
    self._advice, self._deferred = advice, False
    Interrupt.newest = self

  @contextlib.contextmanager
  def deferred(self) -> Iterator[None]:
    """Within, a first signal only sets `asked`."""
    self._deferred = True
    try:
      yield
    finally:
      self._deferred = False

  def __enter__(self) -> Self:
    self._main = threading.current_thread() is threading.main_thread()
    if not self._main:
      return self
    self._reads, self._writes = socket.socketpair()
    self._writes.setblocking(False)
    self._old_fd = signal.set_wakeup_fd(
      self._writes.fileno(), warn_on_full_buffer=False
    )
    self._old = {name: signal.getsignal(name) for name in _SIGNALS}
    for name in _SIGNALS:
      # The wake-up is only written for a signal that Python handles.
      signal.signal(name, lambda number, frame: None)
    self._thread = threading.Thread(target=self._listen, daemon=True)
    self._thread.start()
    return self

  def __exit__(self, *exception: object) -> None:
    if not self._main:
      return
    signal.set_wakeup_fd(self._old_fd)
    for name, handler in self._old.items():
      signal.signal(name, handler)
    self._writes.close()
    self._thread.join()
    self._reads.close()

  def _listen(self) -> None:
    while received := self._reads.recv(1):
      if received[0] not in _SIGNALS:
        continue
      if self.asked or self._advice is None:
        whole.discard()
        hosts.leave(128 + received[0])
      self.asked = True
      if not self._deferred:
        whole.discard()
        hosts.leave(0, f'\n{self._advice}')
      print(
        '\nstopping after this chunk; a second signal stops at once',
        file=sys.stderr,
        flush=True,
      )
