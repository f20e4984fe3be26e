"""Tables of results: rows of populations, columns of figures with errors."""

import csv
import dataclasses
import io
import itertools
import json
import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gan_jax.config import (
  checks,
  fields as configs,
  overrides,
  values,
  words,
)
from gan_jax.study import population, statistics


class Column(NamedTuple):
  """A figure of the rows' summaries.

  Attributes:
    metric: its name in `summary.json`.
    title: above the column; the name, if not given.
    digits: after the point.
    scale: what it is multiplied by, 100 for a percentage.
  """

  metric: str
  title: str = ''
  digits: int = 3
  scale: float = 1.0


class Table(NamedTuple):
  """Rows are populations, whose programs may differ.

  A row whose population varies numbers becomes one for each setting
  (`by_setting`), such as 'ADA, augment.p=0.2'.

  Attributes:
    rows: configurations by title.
    columns: of figures.
    comparisons: (row, row, metric) to hold against each other.
    note: what the reader must know of the budget.
    published: by row and figure, what a paper has, as it writes it.
    parts: more columns of the same rows, by what stands above them.
  """

  rows: Mapping[str, configs.Config]
  columns: Sequence[Column]
  comparisons: Sequence[tuple[str, str, str]] = ()
  note: str = ''
  published: Mapping[str, Mapping[str, str]] = {}
  parts: Mapping[str, Sequence[Column]] = {}

  @property
  def all_columns(self) -> list[Column]:
    """Those of its parts, too."""
    return [*self.columns, *itertools.chain(*self.parts.values())]


Summaries = Mapping[str, Mapping[str, Any]]


# In a summary, what is no figure of a member.
_OF_ALL = 'step', 'steps_per_second', 'collapsed'


def check(table: Table) -> None:
  """Raises ValueError for a row that cannot run or is not there."""
  folders: dict[str, str] = {}
  for title, config in table.rows.items():
    try:
      overrides.check_names(config)
      checks.validate(config)
    except ValueError as error:
      raise ValueError(f'row {title!r}: {error}') from None
    if config.population.halving:
      raise ValueError(
        f'row {title!r}: population.halving drops settings, and a table has a '
        'row for each; experiments.train shows such a search'
      )
    of_all = {column.metric for column in table.all_columns} & {*_OF_ALL}
    if config.population.vary and of_all:
      raise ValueError(
        f'row {title!r}: {", ".join(of_all)} is of all settings together'
      )
    other = folders.setdefault(folder(title), title)
    if other != title:
      raise ValueError(f'rows {other!r} and {title!r} have one folder')
  columns = {column.metric for column in table.all_columns}
  titles = lines(table)
  for title, config in table.rows.items():
    for line in population.settings(config):
      line = _title(title, line)
      if titles[line][0] != title:
        raise ValueError(f'row {line!r}: is also a setting of another row')
  for a, b, metric in table.comparisons:
    for title in (a, b):
      if title not in titles:
        raise ValueError(f'comparison: there is no row {title!r}')
    if metric not in columns:
      raise ValueError(f'comparison: there is no column {metric!r}')
  if not table.columns:
    raise ValueError('a table needs at least one column')


def _title(title: str, setting: str) -> str:
  return f'{title}, {setting}' if setting else title


def lines(table: Table) -> dict[str, tuple[str, slice]]:
  """By title those that are shown: their row of the table and its members."""
  return {
    _title(title, setting): (title, members)
    for title, config in table.rows.items()
    for setting, members in population.settings(config).items()
  }


def by_setting(table: Table, summaries: Summaries) -> tuple[Table, Summaries]:
  """With a row for each setting of a row whose population varies numbers.

  Args:
    table: whose rows are all in `summaries`.
    summaries: of its rows.
  """

  rows: dict[str, configs.Config] = {}
  found: dict[str, Mapping[str, Any]] = {}
  for line, (title, members) in lines(table).items():
    rows[line], found[line] = table.rows[title], summaries[title]
    if line != title:
      # What is no figure is of the whole population.
      found[line] = {
        name: {'members': value['members'][members]}
        for name, value in summaries[title].items()
        if isinstance(value, dict)
      }
  return table._replace(rows=rows), found


def set_steps(config: configs.Config, steps: int) -> None:
  """Another budget; schedules that end with the old one end with it."""
  for name, schedule in config.schedules.items():
    in_steps = schedule.unit == 'steps'
    count = 1 if in_steps else values.batch_samples(config)
    if schedule.end == config.steps * count:
      config.schedules[name] = dataclasses.replace(schedule, end=steps * count)
  config.steps = steps


def folder(title: str) -> str:
  """The name of a row's workdir."""
  return re.sub(r'[^A-Za-z0-9.]+', '_', title).strip('_')


def figure(summary: Mapping[str, Any], metric: str) -> statistics.Estimate:
  """One row's figure, of as many members as it has.

  Raises:
    ValueError: the row has no such figure.
  """
  if metric not in summary:
    names = ', '.join(name for name, x in summary.items() if x is not None)
    raise ValueError(
      f'column {metric!r}: not in the summary, which has {names}'
    )
  return statistics.of_summary(metric, summary[metric])


def check_rank(table: Table, metric: str) -> None:
  """Raises ValueError unless a column has this figure; '-' may precede it."""
  there = [column.metric for column in table.all_columns]
  if metric.removeprefix('-') not in there:
    raise ValueError(
      f'--rank={metric}: is no column; there are {", ".join(there)}, each with '
      "'-' before it for the greatest first"
    )


def ranked(table: Table, summaries: Summaries, metric: str) -> Table:
  """With the rows in the order of the means of a figure, the least first.

  Args:
    table: whose rows are all in `summaries`.
    summaries: of its rows.
    metric: of a column; '-' before it puts the greatest first. Rows with
      members that failed come after those with fewer of them, for a mean is of
      the others alone.
  """
  name, greatest = metric.removeprefix('-'), metric[0] == '-'

  def key(title: str) -> tuple[int, float]:
    return statistics.order(figure(summaries[title], name), greatest=greatest)

  which = 'greatest' if greatest else 'least'
  order = f'Rows with the fewest failed first, then by the {which} {name}.'
  return table._replace(
    rows={title: table.rows[title] for title in sorted(table.rows, key=key)},
    note=f'{table.note} {order}'.strip(),
  )


def _cell(estimate: statistics.Estimate, column: Column) -> str:
  """The mean ± its standard error, which one member alone does not have.

  Where members failed to have this figure, how many have it stands behind it.
  """
  cell = _number(estimate.mean, column)
  if math.isfinite(estimate.stderr):
    cell += f' ± {_number(estimate.stderr, column)}'
  if estimate.failed:
    cell += f' ({estimate.size - estimate.failed})'
  return cell


def _number(x: float, column: Column) -> str:
  """As the column writes it, 0 without a sign."""
  text = f'{x * column.scale:.{column.digits}f}'
  return text if float(text) else text.removeprefix('-')


def _rows(table: Table, summaries: Summaries) -> list[list[str]]:
  """Title, n, failed, and a cell for each column, the paper's beside it."""
  lines = []
  for title in table.rows:
    found = [figure(summaries[title], c.metric) for c in table.columns]
    cells, theirs = [], table.published.get(title, {})
    for estimate, column in zip(found, table.columns, strict=True):
      cells.append(_cell(estimate, column))
      if _is_published(table, column):
        cells.append(theirs.get(column.metric, ''))
    failed = max(estimate.failed for estimate in found)
    count = found[0].size
    lines.append([title, str(count), str(failed), *cells])
  return lines


def _is_published(table: Table, column: Column) -> bool:
  """Whether a paper has this figure of any of the rows."""
  return any(
    column.metric in table.published.get(title, {}) for title in table.rows
  )


def compared(table: Table, summaries: Summaries) -> list[str]:
  """A line for each comparison that was asked for, as its column is written.

  Each has the difference of the means, its 95 % interval by Welch's t, and p by
  permutations, which need not agree; and of how many members it is, where some
  failed.
  """
  columns = {column.metric: column for column in table.all_columns}
  lines = []
  for a, b, metric in table.comparisons:
    one, other = (figure(summaries[row], metric) for row in (a, b))
    column = columns[metric]
    said = f'{column.title or metric}: {a} - {b}'
    try:
      c = statistics.compare(one.members, other.members)
    except ValueError as error:
      lines.append(f'{said}: {error}')
      continue
    interval = '(no interval, as neither varies)'
    if math.isfinite(c.low):
      interval = f'[{_number(c.low, column)}, {_number(c.high, column)}]'
    line = f'{said} = {_number(c.difference, column)} {interval}, p = {c.p:.3g}'
    if one.failed or other.failed:
      line += f' ({_sound(one)} against {_sound(other)} members)'
    lines.append(line)
  return lines


def _sound(estimate: statistics.Estimate) -> str:
  """Members that did not fail: '2 of 10'."""
  return f'{estimate.size - estimate.failed} of {estimate.size}'


def _grids(
  table: Table, summaries: Summaries
) -> list[tuple[str, list[list[str]]]]:
  """Of each part what stands above it, and its header and rows."""
  grids = []
  for title, columns in ({'': table.columns} | dict(table.parts)).items():
    part = table._replace(columns=columns)
    grids.append((title, [_header(part), *_rows(part, summaries)]))
  return grids


def _header(table: Table) -> list[str]:
  titles = []
  for column in table.columns:
    titles.append(column.title or column.metric)
    if _is_published(table, column):
      titles.append('published')
  return ['', 'n', 'failed', *titles]


def as_text(table: Table, summaries: Summaries, command: str) -> str:
  """Aligned columns for a terminal."""
  text = []
  for title, lines in _grids(table, summaries):
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    if title:
      text.append(title)
    text += [
      '  '.join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
      ).rstrip()
      for row in lines
    ]
    text.append('')
  text += _below(table, summaries, command)
  return '\n'.join(text) + '\n'


def _foot(table: Table) -> list[str]:
  """What stands below every form of the table, before its comparisons."""
  said = [
    'Mean ± standard error of n members, or of as many as (in brackets) have a '
    'finite value.'
  ]
  if note := ' '.join(table.note.split()):
    said.append(note if note.endswith('.') else f'{note}.')
  if table.comparisons:
    said.append("[95 % intervals] are by Welch's t, p is by permutations.")
  return said


def _below(table: Table, summaries: Summaries, command: str) -> list[str]:
  return [*_foot(table), *compared(table, summaries), command]


def as_markdown(table: Table, summaries: Summaries, command: str) -> str:
  """A table of Markdown, and what stands below it."""
  lines = markdown(table, summaries)
  return '\n'.join([*lines, '', f'`{command}`']) + '\n'


def markdown(table: Table, summaries: Summaries) -> list[str]:
  """The lines of the table, of its parts, and of what stands below them."""
  lines = []
  for title, (header, *rows) in _grids(table, summaries):
    if title:
      lines += ['', title, '']
    lines += words.markdown([header, words.rule(header), *rows])
  lines += ['', ' '.join(_foot(table))]
  listed = [f'- {line}' for line in compared(table, summaries)]
  return [*lines, '', *listed] if listed else lines


def as_latex(table: Table, summaries: Summaries, command: str) -> str:
  """A tabular of booktabs."""

  def escaped(text: str) -> str:
    text = text.replace('\\', '\\textbackslash ')
    text = re.sub(r'([&%$#_{}])', r'\\\1', text)
    text = text.replace('^', r'\^{}').replace('~', r'\~{}')
    return text.replace(' ± ', ' $\\pm$ ')

  lines = [f'% {line}' for line in _below(table, summaries, command)]
  for title, grid in _grids(table, summaries):
    header, *rows = [' & '.join(map(escaped, row)) + r' \\' for row in grid]
    if title:
      lines += ['', rf'\paragraph{{{escaped(title)}}}', '']
    lines += [
      f'\\begin{{tabular}}{{l{"r" * (len(grid[0]) - 1)}}}',
      r'\toprule',
      header,
      r'\midrule',
      *rows,
      r'\bottomrule',
      r'\end{tabular}',
    ]
  return '\n'.join(lines) + '\n'


def as_csv(table: Table, summaries: Summaries) -> str:
  """A line for each row and column, with every digit."""
  out = io.StringIO()
  writer = csv.writer(out, lineterminator='\n')
  writer.writerow(
    ['row', 'metric', 'n', 'failed', 'mean', 'stderr', 'low', 'high']
  )
  for title in table.rows:
    for column in table.all_columns:
      e = figure(summaries[title], column.metric)
      writer.writerow([
        title, column.metric, e.size, e.failed, e.mean, e.stderr,
        e.low, e.high,
      ])  # fmt: skip
  return out.getvalue()


def failed(table: Table, title: str) -> dict[str, Any]:
  """The summary of a row all of whose members diverged."""
  count = len(population.members(table.rows[title]))
  return {c.metric: {'members': [None] * count} for c in table.all_columns}


def write(
  table: Table, summaries: Summaries, command: str, workdir: pathlib.Path
) -> str:
  """`table.txt`, `.md`, `.tex`, `.csv` and `.json`; the text itself."""
  text = as_text(table, summaries, command)
  (workdir / 'table.txt').write_text(text)
  (workdir / 'table.md').write_text(as_markdown(table, summaries, command))
  (workdir / 'table.tex').write_text(as_latex(table, summaries, command))
  (workdir / 'table.csv').write_text(as_csv(table, summaries))
  found = {title: dict(summaries[title]) for title in table.rows}
  (workdir / 'table.json').write_text(json.dumps(found, indent=2) + '\n')
  return text
