"""Where what can be made again is kept."""

import contextlib
import fcntl
import multiprocessing
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator

# Seconds after which an unfinished file is one that a kill left behind.
_STALE = 24 * 3600


def folder() -> pathlib.Path:
  """What can be made again is here: gan_jax in $XDG_CACHE_HOME or ~/.cache."""
  home = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache')
  return home.expanduser() / 'gan_jax'


@contextlib.contextmanager
def writing(
  name: str, where: pathlib.Path | None = None
) -> Iterator[pathlib.Path]:
  """A new file, kept under its name when the body ends: whole or not at all.

  Args:
    name: of the file.
    where: `folder()`, if not given.

  Raises:
    OSError: it cannot be written.
  """
  where = where or folder()
  where.mkdir(parents=True, exist_ok=True)
  _remove_stale(where)
  with tempfile.TemporaryDirectory(prefix='partial-', dir=where) as partial:
    new = pathlib.Path(partial, name)
    yield new
    new.replace(where / name)


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
  """Within, no other process of this machine makes what has that name.

  Where the folder cannot be written, each makes it for itself.
  """
  if multiprocessing.current_process().name != 'MainProcess':
    # A worker of the process that waits for it here: it began with the script
    # that started it, where that is not guarded against this.
    yield
    return
  with contextlib.ExitStack() as stack:
    try:
      folder().mkdir(parents=True, exist_ok=True)
      lock = stack.enter_context((folder() / f'{name}.lock').open('a'))
    except OSError:
      yield
      return
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      print('waiting for another process to decode', file=sys.stderr)
      fcntl.flock(lock, fcntl.LOCK_EX)
    yield


def _remove_stale(where: pathlib.Path) -> None:
  """Removes unfinished files that no process has written to for a day."""
  for partial in where.glob('partial-*'):
    with contextlib.suppress(OSError):
      times = [path.stat().st_mtime for path in (partial, *partial.iterdir())]
      if time.time() - max(times) > _STALE:
        shutil.rmtree(partial, ignore_errors=True)
