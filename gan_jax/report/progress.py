"""How far the rows of a table have come, as their folders tell it."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gan_jax.config import fields as configs, words
from gan_jax.storage import history, workdir as workdirs, writers
from gan_jax.study import statistics, tables

# Rows of `metrics.jsonl` that the pace is of, at most.
_RECENT = 10


class Progress(NamedTuple):
  """Of a row.

  Attributes:
    state: 'not begun', 'at work', 'waiting' (the table's command takes it up
      again), 'done', or 'diverged'.
    step: of its last row in `metrics.jsonl`.
    steps: to go to.
    seconds_left: at the pace of its last rows; None where they tell none.
    measured: the step that `figures` are of; None where there are none.
    figures: the last ones, by name.
  """

  state: str
  step: int
  steps: int
  seconds_left: float | None = None
  measured: int | None = None
  figures: Mapping[str, Any] = {}


def of_row(config: configs.Config, folder: pathlib.Path) -> Progress:
  """What a row's folder tells; it is read and no more.

  Args:
    config: of the row.
    folder: of its run, which need not be there.

  Raises:
    ValueError: a file of the run is damaged.
  """
  if not (folder / 'config.json').is_file():
    return Progress('not begun', 0, config.steps)
  rows, told = writers.read_rows(folder), history.read(folder)
  step = int(rows[-1]['step']) if rows else 0
  shown = [row for row in rows if any(n.startswith('eval/') for n in row)]
  last = shown[-1] if shown else {}
  return Progress(
    _state(config, folder, step, told),
    step,
    config.steps,
    _seconds_left(history.seconds(told), step, config.steps),
    last.get('step'),
    {
      name.removeprefix('eval/'): value
      for name, value in last.items()
      if name.startswith('eval/')
    },
  )


def _state(
  config: configs.Config,
  folder: pathlib.Path,
  step: int,
  told: list[history.Line],
) -> str:
  if workdirs.is_at_work(folder):
    return 'at work'
  events = history.events(told)
  if events and events[-1]['event'] == 'diverge':
    return 'diverged'
  # Of a run that was given more steps, an old summary may still be there.
  summary = workdirs.read_summary(folder)
  done = summary is not None and summary['step'] == step == config.steps
  return 'done' if done else 'waiting'


def _seconds_left(
  seconds: Mapping[int, float], step: int, steps: int
) -> float | None:
  """At the pace of the last rows; None where there are fewer than two.

  Args:
    seconds: at work until the row of each step.
    step: of the last row.
    steps: to go to.
  """
  recent = sorted(seconds)[-_RECENT:]
  if len(recent) < 2:
    return None
  first, last = recent[0], recent[-1]
  pace = (seconds[last] - seconds[first]) / (last - first)
  return pace * max(steps - step, 0)


def lines(table: tables.Table, workdir: pathlib.Path) -> list[str]:
  """A line for each row of a table, and one of how many are done.

  Args:
    table: whose rows may not have begun.
    workdir: of the table.

  Raises:
    ValueError: as `of_row`.
  """
  width = max(map(len, table.rows))
  found = []
  for title, config in table.rows.items():
    own = of_row(config, workdir / tables.folder(title))
    # Of several settings a mean tells nothing.
    columns = [] if config.population.vary else table.columns
    found.append((f'{title:{width}}  {_line(own, columns)}', own))
  done = sum(own.state == 'done' for _, own in found)
  return [*(line for line, _ in found), f'{done} of {len(found)} rows are done']


def _line(own: Progress, columns: Sequence[tables.Column]) -> str:
  parts = [f'{own.state}, step {own.step:,} of {own.steps:,}']
  if own.state in ('at work', 'waiting') and own.seconds_left is not None:
    parts.append(f'{words.duration(own.seconds_left)} left')
  cells = [
    f'{c.title or c.metric} {_cell(own.figures[c.metric], c)}'
    for c in columns
    if c.metric in own.figures
  ]
  if cells:
    at = '' if own.measured == own.step else f' (at step {own.measured:,})'
    parts.append(', '.join(cells) + at)
  return '; '.join(parts)


def _cell(value: Any, column: tables.Column) -> str:
  estimate = statistics.of_summary(column.metric, value, column.scale)
  mean = f'{estimate.mean:.{column.digits}f}'
  if estimate.size < 2:
    return mean
  return f'{mean} ± {estimate.stderr:.{column.digits}f}'
