"""When a run did what: `history.jsonl`, beside rows that tell no time.

`metrics.jsonl` is determined by configuration and seed; the clock is not, and
has this file of its own. A line is an event (`start`, `convert`, `damaged`,
`drop`, `stop`, `diverge`, `finish`) or the moment at which a row was written.
"""

import json
import pathlib
import time
from collections.abc import Iterable
from typing import Any

from gan_jax.storage import lines

NAME = 'history.jsonl'

Line = dict[str, Any]


def add(workdir: pathlib.Path, event: str, step: int, **facts: Any) -> None:
  """Tells an event.

  Args:
    workdir: of the run.
    event: its name.
    step: at which the run stood.
    **facts: plain values.

  Raises:
    OSError: the file cannot be written.
  """
  line = {'time': round(time.time(), 3), 'event': event, 'step': step, **facts}
  with Clock(workdir) as clock:
    clock.write(line)


class Clock:
  """Notes when rows are written; a line cut short by a kill stays alone."""

  def __init__(self, workdir: pathlib.Path):
    path = workdir / NAME
    torn = lines.is_torn(path)
    self._file = path.open('a')
    if torn:
      self._file.write('\n')

  def row(self, step: int) -> None:
    self.write({'time': round(time.time(), 3), 'step': step})

  def write(self, line: Line) -> None:
    self._file.write(json.dumps(line) + '\n')
    self._file.flush()

  def close(self) -> None:
    self._file.close()

  def __enter__(self) -> 'Clock':
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()


def read(workdir: pathlib.Path) -> list[Line]:
  """All whole lines, in order; none where a run has no such file."""
  found = []
  for line in lines.read(workdir / NAME):
    try:
      float(line['time']), int(line['step'])
    except (KeyError, TypeError, ValueError):
      continue
    found.append(line)
  return found


def converted_from(told: Iterable[Line]) -> list[str]:
  """Files of other code that a run was made of, each with its sha256."""
  return [
    f'{line["file"]} (sha256 {line["sha256"]})'
    for line in told
    if line.get('event') == 'convert'
  ]


def events(told: Iterable[Line]) -> list[Line]:
  return [line for line in told if 'event' in line]


def seconds(told: Iterable[Line]) -> dict[int, float]:
  """How long a run had been at work when it wrote the row of each step.

  The time between two sessions does not count, and neither does that of steps
  which were played again.

  Args:
    told: from `read`.

  Returns:
    Seconds from the start, by step.
  """
  found: dict[int, float] = {}
  origin, base = None, 0.0
  for line in told:
    step, now = int(line['step']), float(line['time'])
    if line.get('event') == 'start':
      found = {s: t for s, t in found.items() if s <= step}
      base = max(found.values(), default=0.0)
      origin = now
    elif 'event' not in line and origin is not None:
      found[step] = base + now - origin
  return found
