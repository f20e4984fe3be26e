"""Image files decoded by all cores, with what could not be read named.

Like `pixels`, without JAX: its functions run in processes of their own.
"""

import concurrent.futures
import functools
import multiprocessing
import os
import pathlib
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import process
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tqdm

from gan_jax.data import files, pixels

# Files that one task has, and from how many on there is more than one process:
# to start them takes as long as to decode a thousand small images.
_TASK = 16
_FEW = 2000

Outcome = TypeVar('Outcome')
Shape = tuple[int, int, int]


def available() -> int:
  """How many cores this process may use."""
  if sys.platform == 'linux':
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def progress(total: int, what: str) -> 'tqdm.tqdm[Any]':
  """A bar on a terminal, one line elsewhere; nothing for few images."""
  few = total < _FEW
  if not few and not sys.stderr.isatty():
    print(f'{what} {total:,} images', file=sys.stderr)
  return tqdm.tqdm(
    total=total,
    desc=what,
    unit=' images',
    file=sys.stderr,
    leave=False,
    disable=True if few else None,
  )


class Refused(NamedTuple):
  """Why a file is no image; `known` says that it should have been one."""

  reason: str
  known: bool


def headers(
  place: files.FileRoot, names: Sequence[str]
) -> list[pixels.Header | Refused]:
  """Of each file, or why it has none."""
  return [_each(place, name, pixels.header) for name in names]


def extents(
  place: files.FileRoot, names: Sequence[str]
) -> list[tuple[float, float] | Refused]:
  """The least and greatest value of each wide grey image."""
  return [_each(place, name, pixels.extent) for name in names]


def images(
  place: files.FileRoot, names: Sequence[str], form: pixels.Form, shape: Shape
) -> list[np.ndarray | Refused]:
  """Each file decoded, as `pixels.render` has it."""
  render = functools.partial(_rendered, form=form, shape=shape)
  return [_each(place, name, render) for name in names]


def check(
  place: files.FileRoot, names: Sequence[str], form: pixels.Form, shape: Shape
) -> list[Refused | None]:
  """What of the files cannot be decoded."""
  found = images(place, names, form, shape)
  return [x if isinstance(x, Refused) else None for x in found]


def write(
  place: files.FileRoot,
  names: Sequence[str],
  offsets: Sequence[int],
  form: pixels.Form,
  shape: Shape,
  path: pathlib.Path,
) -> list[Refused | None]:
  """The same into a file, each at its offset, and what could not be read.

  Raises:
    OSError: the file cannot be written.
  """
  refused: list[Refused | None] = []
  with path.open('r+b') as file:
    for name, offset in zip(names, offsets, strict=True):
      (found,) = images(place, [name], form, shape)
      if isinstance(found, np.ndarray):
        file.seek(offset)
        file.write(np.ascontiguousarray(found).data)
      refused.append(found if isinstance(found, Refused) else None)
  return refused


def _each(
  place: files.FileRoot, name: str, look: Callable[[Any], Outcome]
) -> Outcome | Refused:
  try:
    with place.open(name) as file, pixels.opened(file) as image:
      return look(image)
  except pixels.UnknownError as error:
    return Refused(str(error), known=False)
  except (OSError, pixels.UnreadableError) as error:
    return Refused(getattr(error, 'strerror', None) or str(error), known=True)


def _rendered(image: Any, form: pixels.Form, shape: Shape) -> np.ndarray:
  found = pixels.render(image, form)
  if found.shape != shape:
    height, width, _ = found.shape
    raise ValueError(f'is {width}x{height} once it is turned')
  return found


def _start_worker() -> None:
  """Leaves interrupts to the parent, and goes when it goes."""
  warnings.simplefilter('ignore')  # As `pixels.quietly`.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  parent = multiprocessing.parent_process()

  def follow() -> None:
    if parent:
      parent.join()
      os._exit(1)

  threading.Thread(target=follow, daemon=True).start()


class Workers:
  """Processes that decode, for as long as the `with` lasts.

  JAX has threads, which a fork would leave in the middle of what they do: so
  they are started anew, where there are files enough for that.
  """

  def __init__(self, count: int):
    """For `count` files."""
    self._pool: process.ProcessPoolExecutor | None = None
    if count >= _FEW and available() > 1:
      self._pool = process.ProcessPoolExecutor(
        available(), multiprocessing.get_context('spawn'), _start_worker
      )

  def __enter__(self) -> 'Workers':
    return self

  def __exit__(self, *_: object) -> None:
    if self._pool:
      self._pool.shutdown(cancel_futures=True)

  def map(
    self,
    look: Callable[..., list[Outcome]],
    place: files.FileRoot,
    names: Sequence[str],
    what: str,
    *each: Sequence[Any],
  ) -> Iterator[Outcome]:
    """What `look(place, names, *each)` finds for all names, in order.

    Args:
      look: a function of this module, of a few names at once.
      place: where they are.
      names: of files.
      what: is being done, shown on the progress bar.
      *each: what `look` takes besides, an item for each name.
    """
    parts = [
      tuple(x[i : i + _TASK] for x in (names, *each))
      for i in range(0, len(names), _TASK)
    ]
    with pixels.quietly(), progress(len(names), what) as bar:
      for found in self._found(look, place, parts):
        bar.update(len(found))
        yield from found

  def _found(
    self,
    look: Callable[..., list[Outcome]],
    place: files.FileRoot,
    parts: Sequence[tuple[Any, ...]],
  ) -> Iterator[list[Outcome]]:
    done = 0
    if self._pool:
      try:
        for found in _in_order(self._pool, look, place, parts):
          yield found
          done += 1
      except process.BrokenProcessPool:
        # A script without `if __name__ == '__main__'`, or too little memory.
        self._pool = None
        print('decoding goes on in one process', file=sys.stderr)
    for part in parts[done:]:
      yield look(place, *part)


def _in_order(
  pool: process.ProcessPoolExecutor,
  look: Callable[..., list[Outcome]],
  place: files.FileRoot,
  parts: Sequence[tuple[Any, ...]],
) -> Iterator[list[Outcome]]:
  """Few tasks ahead of who reads, whose results take memory."""
  waiting: list[concurrent.futures.Future[list[Outcome]]] = []
  for part in parts:
    waiting.append(pool.submit(look, place, *part))
    if len(waiting) > 2 * available():
      yield waiting.pop(0).result()
  while waiting:
    yield waiting.pop(0).result()
