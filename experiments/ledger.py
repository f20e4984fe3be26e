"""Published figures beside ours: a page and a record, from runs' folders.

  python -m experiments.ledger --runs=runs --out=docs/reproductions.md

reads experiments/tables/published.toml and, for each of its figures, the run in
RUNS/TABLE/ROW as `experiments.table --workdir=RUNS/TABLE` leaves it, or in
RUNS/CONFIG. The record is OUT with .json for .md: it keeps each run that was
measured, so that its folder may go, and a table can be measured a few seeds at
a time and on several machines:

  python -m experiments.table --table=experiments/tables/pacgan.py \
    --workdir=runs3/pacgan --seeds=2 --first_seed=3
  python -m experiments.ledger --runs=runs,runs3 --out=docs/reproductions.md

Seeds count together where settings, steps, data and the networks that measure
are the same; of a seed that was measured twice the later one counts. What is
not counted is told. --pages=README.md,docs/results.md writes the same figures
between the marks of these pages.
"""

import copy
import importlib
import json
import pathlib
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

from experiments import files, launch

if TYPE_CHECKING:
  from gan_jax.config import fields as configs
  from gan_jax.data import source as sources
  from gan_jax.study import ledger, measured, tables

_RUNS = flags.DEFINE_list('runs', [], 'Folders of the runs.')
_OUT = flags.DEFINE_string('out', None, 'Markdown file to write.')
_PAGES = flags.DEFINE_list('pages', [], 'Pages whose blocks to fill.')

# The state of a row of which there is no run.
_NO_RUN = 'not measured yet'

PUBLISHED = pathlib.Path(__file__).parent / 'tables' / 'published.toml'


# What a run may have otherwise than its row, beside what is outside of it: its
# seeds, how often it is looked at, and where what measures it lies.
_FREE = frozenset((
  'seed', 'population.seeds', 'population.at_once', 'log_every', 'eval.every',
  'eval.weights', 'eval.by_class',
))  # fmt: skip


class _Row(NamedTuple):
  """A row of published figures.

  Attributes:
    source: its table or configuration.
    title: its own.
    figures: their names.
    asked: the configuration that measures it.
    folder: of its run, in a folder of runs.
    command: that makes it.
    budget_flags: of that command, those for the steps, for the number of seeds
      and for the first of them.
  """

  source: str
  title: str
  figures: Sequence[str]
  asked: 'configs.Config'
  folder: pathlib.Path
  command: str
  budget_flags: tuple[str, str, str]


def _run(folder: pathlib.Path, row: _Row) -> 'tuple[measured.Run | None, str]':
  """What is there of a row in a folder: its run, or why there is none."""
  from gan_jax.report import progress
  from gan_jax.storage import history, workdir as workdirs
  from gan_jax.study import measured, population

  if not (folder / 'config.json').is_file():
    return None, _NO_RUN
  config, info = workdirs.load(folder)
  summary = workdirs.read_summary(folder) or {}
  told = progress.of_row(config, folder)
  if told.state not in ('done', 'diverged'):
    return None, f'at step {told.step:,} of {config.steps:,}'
  last = workdirs.sessions(folder)[-1]
  names = row.figures if told.state == 'done' else ()
  seeds = [member.seed for member in population.members(config)]
  rows = history.read(folder)
  run = measured.Run(
    row.source,
    row.title,
    _settings(_without_paths(config)),
    config.steps,
    seeds,
    {
      name: _members(folder, name, summary[name], len(seeds))
      for name in names
      if name in summary
    },
    told.state == 'diverged',
    _stamp(folder, info),
    (last['commit'] or 'unknown')[:10],
    f'{len(last["devices"])} x {last["devices"][0]}',
    _command(config, row),
    max((float(e['time']) for e in rows if 'event' not in e), default=0.0),
  )
  if why := _differing(run, row):
    return None, why
  # As the record will have it.
  (kept,) = measured.read(json.loads(json.dumps({'runs': [run._asdict()]})))
  return kept, ''


def _settings(config: 'configs.Config') -> dict[str, Any]:
  """Plain values, with the fields that have come since."""
  from gan_jax.config import values
  from gan_jax.engine import build

  settings = json.dumps(values.to_dict(build.complete(config)))
  known: dict[str, Any] = json.loads(settings)
  return known


def _of_today(run: 'measured.Run') -> 'measured.Run':
  """With the settings of today, unless they are of another version."""
  from gan_jax.config import values

  try:
    return run._replace(settings=_settings(values.from_dict(run.settings)))
  except ValueError:
    return run


def _members(
  folder: pathlib.Path, name: str, value: Any, count: int
) -> list[float | None]:
  """Of a figure of a summary.

  Raises:
    ValueError: it is none, or not of so many members.
  """
  members = value.get('members') if isinstance(value, dict) else [value]
  numbers = int, float, type(None)
  if not isinstance(members, list) or not all(
    isinstance(x, numbers) for x in members
  ):
    raise ValueError(f'{folder}/summary.json: {name} is no figure')
  if len(members) != count:
    raise ValueError(f'{folder}/summary.json: {name} is not of {count} members')
  return members


def _stamp(folder: pathlib.Path, info: 'sources.Info') -> dict[str, Any]:
  """What the figures of a run depend on, of an earlier version perhaps less."""
  from gan_jax.storage import workdir as workdirs

  path = folder / 'protocol.json'
  try:
    stamp: dict[str, Any] = json.loads(path.read_text())
  except FileNotFoundError:
    stamp = {}
  except (OSError, ValueError) as error:
    raise ValueError(f'{path}: cannot be read ({error})') from None
  if workdirs.is_on_cpus(folder):  # Which multiply in one way.
    stamp.pop('matmul_precision', None)
  # Points are drawn anew with each first seed.
  if info.kind == 'images':
    stamp['data_fingerprint'] = info.fingerprint
  return stamp


def _without_paths(config: 'configs.Config') -> 'configs.Config':
  """Without what changes nothing of what a run finds, and is of one machine."""
  from gan_jax.config import fields, values
  from gan_jax.storage import workdir as workdirs

  plain, kept = fields.Config(), copy.deepcopy(config)
  for name, value in values.flatten(plain).items():
    if workdirs.is_outside(name) or name == 'eval.weights':
      values.assign(kept, name, value)
  return kept


def _command(config: 'configs.Config', row: _Row) -> str:
  """That of a row, with the budget and the seeds of its run.

  Other seeds have another folder, where they go on beside the row's own.
  """
  command, asked = row.command, row.asked
  if config.seed != asked.seed:
    command = command.replace('=runs/', f'=runs{config.seed}/')
  for flag, own, other in zip(
    row.budget_flags,
    (config.steps, config.population.seeds, config.seed),
    (asked.steps, asked.population.seeds, asked.seed),
    strict=True,
  ):
    command += f' --{flag}={own}' * (own != other)
  return command


def _differing(run: 'measured.Run', row: _Row) -> str:
  """In what a run has other settings than its row; empty if in nothing."""
  from gan_jax.config import values
  from gan_jax.engine import build
  from gan_jax.storage import workdir as workdirs
  from gan_jax.study import tables

  try:
    config = values.from_dict(run.settings)
  except ValueError as error:
    return f'settings of another version ({error})'
  same = copy.deepcopy(row.asked)
  tables.set_steps(same, run.steps)
  # CPUs multiply in one way.
  free = _FREE | (
    {'matmul_precision'} if run.machine.endswith(' cpu') else set()
  )
  for name, (used, value) in values.differing(
    config, build.complete(same)
  ).items():
    if not workdirs.is_outside(name) and name not in free:
      return f'{name}={used!r} where {value!r} is asked for'
  return ''


def _column(
  table: 'tables.Table | None', claim: 'ledger.Claim', name: str
) -> tuple[str, float]:
  """Title and scale of a figure.

  Raises:
    ValueError: the table has no such column.
  """
  if table is None:
    return name, claim.scale.get(name, 1.0)
  columns = [c for c in table.all_columns if c.metric == name]
  if not columns:
    raise ValueError(f'{PUBLISHED}: {claim.table} has no column {name!r}')
  return columns[0].title or name, columns[0].scale


def _data_flag(name: str, flag: str) -> str:
  """Where a set lies that no program can find by itself."""
  from gan_jax.data import opening

  if name == 'folder':
    return f' {flag}=FILE'
  return '' if name in opening.OWN else f' {flag}=DIR'


def _table(claim: 'ledger.Claim') -> 'tables.Table | None':
  if not claim.table:
    return None
  module = importlib.import_module(f'experiments.tables.{claim.table}')
  table: tables.Table = module.get_table()
  return table


def _rows(claim: 'ledger.Claim', table: 'tables.Table | None') -> list[_Row]:
  """Those that have published figures.

  Raises:
    ValueError: the table has no such row, or one of several settings.
  """
  if table is None:
    return _rows_of_config(claim)
  from gan_jax.study import tables

  command = (
    f'python -m experiments.table --table=experiments/tables/{claim.table}.py'
    f' --workdir=runs/{claim.table}'
  )
  data = next(iter(table.rows.values())).data
  command += _data_flag(data.name, '--data_dir')
  flags = 'steps', 'seeds', 'first_seed'
  rows = []
  for title, figures in claim.rows.items():
    asked = table.rows.get(title)
    if asked is None or asked.population.vary:
      raise ValueError(f'{PUBLISHED}: {claim.table} has no row {title!r}')
    folder = pathlib.Path(claim.table, tables.folder(title))
    names = [*figures]
    rows.append(_Row(claim.table, title, names, asked, folder, command, flags))
  return rows


def _rows_of_config(claim: 'ledger.Claim') -> list[_Row]:
  from gan_jax.config import values
  from gan_jax.study import tables

  folder = pathlib.Path(tables.folder(claim.config.replace('.py', '')))
  command = (
    f'python -m experiments.train --config=experiments/configs/{claim.config}'
    f' --workdir=runs/{folder}'
  )
  config = files.load_config(f'experiments/configs/{claim.config}')
  for name, value in claim.eval.items():
    values.assign(config, f'eval.{name}', value)
    command += f' --config.eval.{name}={shlex.quote(str(value))}'
  command += _data_flag(config.data.name, '--config.data.dir')
  if claim.eval.get('features') == 'inception':
    command += ' --config.eval.weights=FILE'
  flags = 'config.steps', 'config.population.seeds', 'config.seed'
  return [
    _Row(claim.config, title, [*figures], config, folder, command, flags)
    for title, figures in claim.rows.items()
  ]


class Record(NamedTuple):
  """What is known of all published figures.

  Attributes:
    runs: of ours that were measured, one after another.
    figures: an entry for each published one.
    left_out: a line for each run that is not counted, and why.
  """

  runs: 'list[measured.Run]'
  figures: list[dict[str, Any]]
  left_out: list[str]


def make_record(
  folders: Sequence[pathlib.Path], earlier: 'Sequence[measured.Run]' = ()
) -> Record:
  """All published figures, and ours of the runs that are there or were.

  Args:
    folders: of runs.
    earlier: runs of the record that was written before.

  Raises:
    ValueError: the published figures do not fit the tables, or a run's folder
      cannot be read.
  """
  from gan_jax.study import ledger, measured

  record, known = Record([*map(_of_today, earlier)], [], []), set()
  for claim in ledger.read_claims(PUBLISHED):
    table = _table(claim)
    for row in _rows(claim, table):
      state, found = _NO_RUN, []
      known.add((row.source, row.title))
      for folder in folders:
        run, why = _run(folder / row.folder, row)
        if run is not None:
          found.append(run)
        elif why != _NO_RUN:
          state = why
          record.left_out.append(f'{folder / row.folder}: {why}')
      record.runs[:] = measured.merged(record.runs, found)
      counted, why = _counted(row, record)
      if state == _NO_RUN and why:
        state = f'measured with {why}'
      for name in row.figures:
        title, scale = _column(table, claim, name)
        record.figures.append(ledger.entry(
          claim, row.title, name, counted, title=title, scale=scale,
          steps=row.asked.steps, state=state, command=row.command,
        ))  # fmt: skip
  record.left_out.extend(
    f'{run.source}, {run.row}, measured at {run.commit}: nothing is published'
    for run in record.runs
    if (run.source, run.row) not in known
  )
  return record


def _counted(row: _Row, record: Record) -> 'tuple[list[measured.Run], str]':
  """The runs of a row that are one population, and in what others differ.

  Says so of each that is left out.
  """
  from gan_jax.study import measured

  alike, differing = [], ''
  for run in record.runs:
    if (run.source, run.row) != (row.source, row.title):
      continue
    name = f'{run.source}, {run.row}, measured at {run.commit}'
    if why := _differing(run, row):
      differing = why
      record.left_out.append(f'{name}: {why}')
    else:
      alike.append((name, run))
  counted = measured.together([run for _, run in alike], row.asked.steps)
  record.left_out.extend(
    f'{name}: has other steps, data or feature networks than what is counted'
    for name, run in alike
    if run not in counted
  )
  return counted, differing


PAGES = ('README.md', 'docs/results.md')
COMMAND = (
  'python -m experiments.ledger --runs=runs --out=docs/reproductions.md '
  f'--pages={",".join(PAGES)}'
)


def fill_pages(
  pages: Sequence[pathlib.Path], record: list[dict[str, Any]]
) -> dict[pathlib.Path, str]:
  """The text of each page with the figures of a record; nothing is written.

  Raises:
    ValueError: a page is not there, or its blocks are not as they should be.
  """
  from gan_jax.study import ledger

  filled = {}
  for page in pages:
    if not page.is_file():
      raise ValueError(f'--pages={page}: there is no such file')
    try:
      filled[page] = ledger.fill(page.read_text(), record)
    except (OSError, ValueError) as error:
      raise ValueError(f'--pages={page}: {error}') from None
  return filled


def main() -> None:
  if not _RUNS.value or not _OUT.value:
    raise ValueError('--runs=DIR,... and --out=FILE.md must be given')
  from gan_jax.storage import whole, workdir as workdirs
  from gan_jax.study import ledger, measured

  folders, out = (
    [pathlib.Path(x) for x in _RUNS.value],
    pathlib.Path(_OUT.value),
  )
  for folder in folders:
    if not folder.is_dir():
      raise ValueError(f'--runs={folder}: there is no such folder')
  if out.suffix != '.md' or not out.parent.is_dir():
    raise ValueError(f'--out={out}: must be a file .md in a folder that exists')
  path = out.with_suffix('.json')
  try:
    stored = json.loads(path.read_text()) if path.exists() else {'runs': []}
    earlier = [*map(_of_today, measured.read(stored))]
  except (OSError, ValueError) as error:
    raise ValueError(f'--out={out}: {path} {error}') from None
  record = make_record(folders, earlier)
  figures = record.figures
  filled = fill_pages([pathlib.Path(page) for page in _PAGES.value], figures)
  runs = [run._asdict() for run in record.runs]
  workdirs.write_json(path, {'runs': runs, 'figures': figures})
  with whole.file(out) as part:
    part.write_text(ledger.as_markdown(figures, COMMAND))
  for page, text in filled.items():
    try:
      with whole.replacing(page) as part:
        part.write_text(text)
    except OSError as error:
      raise ValueError(f'--pages={page}: {error}') from None
  for line in record.left_out:
    print(f'not counted: {line}')
  count = sum(e['ours'] is not None for e in figures)
  print(
    f'{out}: {count} of {len(figures)} figures are measured, by {len(runs)} '
    f'runs, {sum(run not in earlier for run in record.runs)} of them new'
  )


if __name__ == '__main__':
  launch.run(main)
