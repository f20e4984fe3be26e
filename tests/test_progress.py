"""How far the rows of a table have come."""

import json
import pathlib

import pytest

from gan_jax.config import fields as configs
from gan_jax.report import progress
from gan_jax.storage import history, workdir as workdirs
from gan_jax.study import tables


def write_run(folder: pathlib.Path, *, last: int, pace: float) -> None:
  """Rows of every tenth step, the first with figures, at seconds a step."""
  folder.mkdir(parents=True)
  (folder / 'config.json').write_text('{}')
  rows = [{'step': step} for step in range(0, last + 1, 10)]
  members = {'members': [2.0, 4.0, None], 'failed': 1}
  rows[1] |= {'eval/ks': members, 'eval/other': 1.0}
  text = ''.join(json.dumps(row) + '\n' for row in rows)
  # The last row is being written.
  (folder / 'metrics.jsonl').write_text(text + '{"step": 9')
  told = [{'time': 100.0, 'event': 'start', 'step': 0}]
  told += [
    {'time': 100.0 + pace * row['step'], 'step': row['step']} for row in rows
  ]
  lines = ''.join(json.dumps(line) + '\n' for line in told)
  (folder / history.NAME).write_text(lines)


@pytest.fixture
def table() -> tables.Table:
  config = configs.Config(steps=1000)
  return tables.Table(
    {title: config for title in ('early', 'ends', 'fails', 'new')},
    [tables.Column('ks', 'KS', digits=1, scale=10.0)],
  )


def test_each_row_says_how_far_it_has_come(
  table: tables.Table, tmp_path: pathlib.Path
):
  write_run(tmp_path / 'early', last=100, pace=4.0)
  write_run(tmp_path / 'ends', last=1000, pace=1.0)
  workdirs.write_json(tmp_path / 'ends' / 'summary.json', {'step': 1000})
  write_run(tmp_path / 'fails', last=20, pace=1.0)
  history.add(tmp_path / 'fails', 'diverge', 21)
  before = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
  # 900 steps of 4 s are an hour; the mean of 20 and 40 is 30, with error 10.
  assert progress.lines(table, tmp_path) == [
    'early  waiting, step 100 of 1,000; 1 h 00 min left; '
    'KS 30.0 ± 10.0 (at step 10)',
    'ends   done, step 1,000 of 1,000; KS 30.0 ± 10.0 (at step 10)',
    'fails  diverged, step 20 of 1,000; KS 30.0 ± 10.0 (at step 10)',
    'new    not begun, step 0 of 1,000',
    '1 of 4 rows are done',
  ]
  after = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
  assert after == before


def test_the_pace_is_of_the_last_rows(tmp_path: pathlib.Path):
  """A slow start does not count, nor does the time between two sessions."""
  config = configs.Config(steps=200)
  write_run(tmp_path / 'run', last=100, pace=1.0)
  assert progress.of_row(config, tmp_path / 'run').seconds_left == 100.0
  told = history.read(tmp_path / 'run')
  told[0]['time'] = -900.0
  told.append({'time': 5000.0, 'event': 'start', 'step': 100})
  told.append({'time': 5030.0, 'step': 110})
  lines = ''.join(json.dumps(line) + '\n' for line in told)
  (tmp_path / 'run' / history.NAME).write_text(lines)
  # 80 steps in 80 s before, and 10 in 30 s after.
  found = progress.of_row(config, tmp_path / 'run').seconds_left
  assert found == pytest.approx(100 * 110 / 90)
