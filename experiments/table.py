"""Trains every row of a table, and writes it with its errors.

  python -m experiments.table --table=experiments/tables/ring_losses.py \
    --workdir=runs/ring_losses

The table's file has a `get_table()`; what a paper has of a row, from the file
published.toml beside it, stands next to ours. Rows that are done are not done
again, and one that was stopped goes on. --rows=PATTERN trains the row of this
title, or those whose title a regular expression matches, and prints them alone;
--seeds=N and --steps=N change every row's budget, for a look; schedules that
end with the steps end with those. --first_seed=N trains other seeds, in another
folder: experiments.ledger counts them with those that it has. --data_dir=PATH
says where their images are. --rank=COLUMN orders the rows by a figure, the
least first; --rank=-COLUMN puts the greatest first. --status trains nothing: it
says how far each row has come, the time left at its own pace, and its last
figures. --fill=FILE.md:NAME writes the table into a page, too.
"""

import pathlib
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import files, launch, printed

if TYPE_CHECKING:
  from gan_jax.study import tables

launch.define_distributed()
launch.define_deterministic()
_TABLE = flags.DEFINE_string('table', None, 'The file of the table.')
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of its runs.')
_ROWS = flags.DEFINE_string(
  'rows', '', 'One title, or a regular expression that titles match.'
)
_SEEDS = flags.DEFINE_integer('seeds', None, 'Seeds a row.', lower_bound=1)
_FIRST_SEED = flags.DEFINE_integer(
  'first_seed', None, 'The first seed of every row.', lower_bound=0
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', None, 'The data.dir of all rows of images.'
)
_STEPS = flags.DEFINE_integer('steps', None, 'Steps a row.', lower_bound=1)
_STATUS = flags.DEFINE_boolean(
  'status', False, 'Say how far each row has come, and do nothing else.'
)
_RANK = flags.DEFINE_string(
  'rank', '', "Figure of a column that orders the rows, the least first; with "
  "'-' before it the greatest."
)  # fmt: skip


def load(path: pathlib.Path) -> Any:
  """The table that a file describes; the file is code and is run.

  What papers have of its rows is in `published.toml` beside it, if it is there.

  Raises:
    ValueError: there is no such file, no table in it, or the table or what is
      published is not as it should be.
  """
  from gan_jax.study import ledger, tables

  module = files.load_module(path, 'table')
  make = getattr(module, 'get_table', None)
  with files.mistakes_in(path, 'table'):
    table = make() if make else None
  if not isinstance(table, tables.Table):
    raise ValueError(f'--table={path}: has no get_table() that gives a Table')
  tables.check(table)
  beside = path.with_name('published.toml')
  if beside.is_file():
    table = table._replace(published=ledger.of_table(beside, path.stem))
  if unknown := sorted(table.published.keys() - tables.lines(table).keys()):
    raise ValueError(f'{beside}: {path.name} has no row {unknown[0]!r}')
  known = {column.metric for column in table.all_columns}
  for title, figures in table.published.items():
    if unknown := sorted(figures.keys() - known):
      raise ValueError(
        f'{beside}: {title}: {path.name} has no column {unknown[0]!r}'
      )
  return table


def _chosen(table: 'tables.Table') -> 'tables.Table':
  """What of a table is asked for, and with which budget.

  Raises:
    ValueError: no row is, or one cannot run so, or none reads files.
  """
  from gan_jax.data import opening
  from gan_jax.study import tables

  pattern = _ROWS.value
  if pattern in table.rows:  # A title may have characters such as +.
    pattern = f'^{re.escape(pattern)}$'
  try:
    rows = {t: c for t, c in table.rows.items() if re.search(pattern, t)}
  except re.error as error:
    raise ValueError(f'--rows={pattern}: no pattern ({error})') from None
  if not rows:
    raise ValueError(
      f'--rows={pattern}: is no title and matches none; there are '
      f'{", ".join(map(repr, table.rows))}'
    )
  names = {config.data.name for config in rows.values()}
  if _DATA_DIR.value and names <= {*opening.WITHOUT_FILES}:
    raise ValueError(f'--data_dir={_DATA_DIR.value}: no row reads any files')
  for config in rows.values():
    config.population.seeds = _SEEDS.value or config.population.seeds
    if _FIRST_SEED.value is not None:
      config.seed = _FIRST_SEED.value
    if _STEPS.value:
      tables.set_steps(config, _STEPS.value)
    if _DATA_DIR.value and config.data.name not in opening.WITHOUT_FILES:
      config.data.dir = _DATA_DIR.value
  note = table.note
  if _STEPS.value:
    note = f'{_STEPS.value:,} steps, in place of: {note}'
  chosen = table._replace(rows=rows, note=note)
  titles = tables.lines(chosen)
  kept = [c for c in table.comparisons if c[0] in titles and c[1] in titles]
  chosen = chosen._replace(comparisons=kept)
  tables.check(chosen)
  return chosen


def _train(
  table: 'tables.Table', workdir: pathlib.Path
) -> 'tables.Summaries | None':
  """The summaries of all rows; None where it was asked to stop.

  Raises:
    ValueError: one line on what is wrong with a row.
  """
  from gan_jax.engine import health, hosts
  from gan_jax.run import interrupt, train
  from gan_jax.study import tables

  summaries, again = {}, f'the same command takes {workdir} up again'
  columns = [column.metric for column in table.all_columns]
  for i, (title, config) in enumerate(table.rows.items()):
    print(f'row {i + 1} of {len(table.rows)}: {title}', file=sys.stderr)
    try:
      folder = workdir / tables.folder(title)
      summaries[title] = train.train(config, folder, columns=columns)
      stopped = f'done at step {config.steps:,}'
    except interrupt.Stopped as error:
      print(f'{title}: {error}; {again}')
      return None
    except health.DivergedError as error:
      summaries[title] = tables.failed(table, title)
      stopped = str(error)
      print(f'{title}: {error}', file=sys.stderr)
    except ValueError as error:
      raise ValueError(f'row {title!r}: {error}') from None
    # Asked of all: a signal after a row's last chunk came to one alone.
    more = len(summaries) < len(table.rows)
    if more and hosts.asked_to_stop(interrupt.was_asked()):
      print(f'{title}: {stopped}; asked to stop; {again}')
      return None
  return summaries


def main() -> None:
  if not _TABLE.value or not _WORKDIR.value:
    raise ValueError('--table=FILE and --workdir=DIR must be given')
  from gan_jax.engine import hosts
  from gan_jax.report import pages, progress
  from gan_jax.storage import workdir as workdirs
  from gan_jax.study import tables

  workdir = pathlib.Path(_WORKDIR.value)
  table = _chosen(load(pathlib.Path(_TABLE.value)))
  workdirs.check_local(workdir)
  if _RANK.value:
    tables.check_rank(table, _RANK.value)
  hosts.agree('table', {'rows': list(table.rows)})
  hosts.decide(printed.check_page)
  if _STATUS.value:
    print('\n'.join(progress.lines(table, workdir)))
    return
  summaries = _train(table, workdir)
  if summaries is None or not hosts.is_first():
    return
  folders = [workdir / tables.folder(title) for title in table.rows]
  table, summaries = tables.by_setting(table, summaries)
  if _RANK.value:
    table = tables.ranked(table, summaries, _RANK.value)
  command = shlex.join(['python', '-m', 'experiments.table', *sys.argv[1:]])
  if _ROWS.value:
    print(tables.as_text(table, summaries, command))
  else:
    print(tables.write(table, summaries, command, workdir))
    pages.write_table(table, summaries, command, workdir, folders)
    print(f'the page of it all: {workdir / pages.NAME}')
  printed.write_page(tables.markdown(table, summaries))


if __name__ == '__main__':
  launch.run(main)
