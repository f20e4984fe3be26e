"""Published figures beside ours: a page and a record, from runs' folders.

  python -m experiments.ledger --runs=runs --out=docs/reproductions.md

reads experiments/tables/published.toml and, for each of its figures, the run in
RUNS/TABLE/ROW as `experiments.table --workdir=RUNS/TABLE` leaves it, or in
RUNS/CONFIG; the record is OUT with .json for .md. What has no run there stays
as the record that was written before has it, and other seeds of the same row
join those of the record, so that a table can be measured a few seeds at a time
and on several machines. What was never measured, or has not ended, says so.
--pages=README.md,docs/results.md writes the same figures between the marks of
these pages.
"""

import copy
import hashlib
import importlib
import json
import pathlib
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import launch

if TYPE_CHECKING:
  from gan_jax.config import fields as configs
  from gan_jax.study import ledger, tables

_RUNS = flags.DEFINE_string('runs', None, 'Folder of the runs.')
_OUT = flags.DEFINE_string('out', None, 'Markdown file to write.')
_PAGES = flags.DEFINE_list('pages', [], 'Pages whose blocks to fill.')

PUBLISHED = pathlib.Path(__file__).parent / 'tables' / 'published.toml'


# What a run may have otherwise than its row, beside what is outside of it: its
# seeds, how often it is looked at, and where what measures it lies.
_FREE = frozenset((
  'seed', 'population.seeds', 'population.at_once', 'log_every', 'eval.every',
  'eval.weights', 'eval.by_class',
))  # fmt: skip


def _run(
  folder: pathlib.Path,
  command: str,
  budget_flags: tuple[str, str, str],
  asked: 'configs.Config',
) -> 'ledger.Run':
  """What is there of one row, which is of a configuration.

  Args:
    folder: of its run.
    command: that makes it.
    budget_flags: of that command, the names of those for steps, for the number
      of seeds and for the first of them.
    asked: the configuration.
  """
  from gan_jax.config import values
  from gan_jax.engine import build
  from gan_jax.report import progress
  from gan_jax.storage import workdir as workdirs
  from gan_jax.study import ledger, tables

  run = ledger.Run(
    str(folder), command, ledger.NO_RUN, {}, protocol=_protocol(asked)
  )
  if not (folder / 'config.json').is_file():
    return run
  config, _ = workdirs.load(folder)
  summary = workdirs.read_summary(folder)
  run = run._replace(
    budget=f'{config.steps:,} steps of batch {config.batch_size}'
  )
  told = progress.of_row(config, folder)
  how_far = f'step {told.step:,} of {config.steps:,}'
  if told.state != 'diverged' and (summary is None or told.state != 'done'):
    return run._replace(state=f'{ledger.AT} {how_far}')
  same = copy.deepcopy(asked)
  tables.set_steps(same, config.steps)
  differing = values.differing(config, build.complete(same))
  steps_flag, seeds_flag, first_flag = budget_flags
  if config.steps != asked.steps:
    command += f' --{steps_flag}={config.steps}'
  if config.population.seeds != asked.population.seeds:
    command += f' --{seeds_flag}={config.population.seeds}'
  if config.seed != asked.seed:
    command += f' --{first_flag}={config.seed}'
  run = run._replace(command=command)
  last = workdirs.sessions(folder)[-1]
  devices = last['devices']
  free = _FREE
  if workdirs.is_on_cpus(folder):
    free |= {'matmul_precision'}
  for name, (used, value) in differing.items():
    if not workdirs.is_outside(name) and name not in free:
      state = f'{name}={used!r} where {value!r} is asked for'
      return run._replace(state=state)
  seeds = range(config.seed, config.seed + config.population.seeds)
  run = run._replace(
    commit=(last['commit'] or 'unknown')[:10],
    machine=f'{len(devices)} x {devices[0]}',
    whole=config.steps >= asked.steps,
    seeds=() if config.population.vary else seeds,
  )
  if summary is None or told.state == 'diverged':
    return run._replace(state=f'diverged after {how_far}')
  return run._replace(state=ledger.MEASURED, summary=summary)


def _protocol(asked: 'configs.Config') -> str:
  """A name for what a row asks for, beside what its runs may have otherwise.

  It is of what is set: a field that is added later, with its default, leaves it
  as it is.
  """
  from gan_jax.config import fields, values
  from gan_jax.engine import build
  from gan_jax.storage import workdir as workdirs

  asked, plain = build.complete(copy.deepcopy(asked)), fields.Config()
  named = {
    name: value
    for name, (value, _) in values.differing(
      asked, build.complete(plain)
    ).items()
    if not workdirs.is_outside(name) and name not in _FREE
  }
  text = json.dumps(named, sort_keys=True, default=str)
  return hashlib.sha256(text.encode()).hexdigest()[:10]


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


def _of_claim(
  claim: 'ledger.Claim', runs: pathlib.Path
) -> list[dict[str, Any]]:
  from gan_jax.config import values
  from gan_jax.study import ledger, tables

  table = None
  if claim.table:
    module = importlib.import_module(f'experiments.tables.{claim.table}')
    table = module.get_table()
    folder = runs / claim.table
    command = (
      f'python -m experiments.table --table=experiments/tables/{claim.table}.py'
      f' --workdir=runs/{claim.table}'
    )
    data = next(iter(table.rows.values())).data
    command += _data_flag(data.name, '--data_dir')
  else:
    folder = runs / tables.folder(claim.config.replace('.py', ''))
    command = (
      f'python -m experiments.train --config=experiments/configs/{claim.config}'
      f' --workdir=runs/{folder.name}'
      + ''.join(
        f' --config.eval.{k}={shlex.quote(str(v))}'
        for k, v in claim.eval.items()
      )
    )
    config = launch.load_config(f'experiments/configs/{claim.config}')
    command += _data_flag(config.data.name, '--config.data.dir')
    if claim.eval.get('features') == 'inception':
      command += ' --config.eval.weights=FILE'
    for name, value in claim.eval.items():
      values.assign(config, f'eval.{name}', value)
  entries = []
  for row, figures in claim.rows.items():
    if table is None:
      names = 'config.steps', 'config.population.seeds', 'config.seed'
      run = _run(folder, command, names, config)
    elif row in table.rows:
      path, asked = folder / tables.folder(row), table.rows[row]
      run = _run(path, command, ('steps', 'seeds', 'first_seed'), asked)
    else:
      raise ValueError(f'{PUBLISHED}: {claim.table} has no row {row!r}')
    for name in figures:
      title, scale = _column(table, claim, name)
      entries.append(ledger.entry(claim, row, name, run, title, scale))
  return entries


def make_record(runs: pathlib.Path) -> list[dict[str, Any]]:
  """An entry for each published figure.

  Raises:
    ValueError: the published figures do not fit the tables, or a run's folder
      cannot be read.
  """
  from gan_jax.study import ledger

  claims = ledger.read_claims(PUBLISHED)
  return [e for claim in claims for e in _of_claim(claim, runs)]


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
    raise ValueError('--runs=DIR and --out=FILE.md must be given')
  from gan_jax.storage import whole, workdir as workdirs
  from gan_jax.study import ledger

  runs, out = pathlib.Path(_RUNS.value), pathlib.Path(_OUT.value)
  if not runs.is_dir():
    raise ValueError(f'--runs={runs}: there is no such folder')
  if out.suffix != '.md' or not out.parent.is_dir():
    raise ValueError(f'--out={out}: must be a file .md in a folder that exists')
  of_runs, path = make_record(runs), out.with_suffix('.json')
  try:
    earlier = json.loads(path.read_text()) if path.exists() else []
  except ValueError as error:
    raise ValueError(f'--out={out}: {path} is damaged ({error})') from None
  try:
    record = ledger.with_earlier(of_runs, earlier)
  except ValueError as error:
    raise ValueError(f'--out={out}: {path} {error}') from None
  filled = fill_pages([pathlib.Path(page) for page in _PAGES.value], record)
  with whole.file(out) as part:
    part.write_text(ledger.as_markdown(record, COMMAND))
  workdirs.write_json(path, record)
  for page, text in filled.items():
    try:
      with whole.replacing(page) as part:
        part.write_text(text)
    except OSError as error:
      raise ValueError(f'--pages={page}: {error}') from None
  measured, here = (
    sum(e['ours'] is not None for e in entries) for entries in (record, of_runs)
  )
  kept = f', {measured - here} of them by runs that are not in {runs}'
  print(
    f'{out}: {measured} of {len(record)} figures are measured'
    + kept * (measured > here)
  )


if __name__ == '__main__':
  launch.run(main)
