"""What a page of runs is made of, and what bad folders and targets get."""

import base64
import gzip
import json
import math
import pathlib
import shlex
import subprocess
import sys
import threading

import numpy as np
import pytest
import run_folders
import scipy.stats

from experiments import files
from experiments.configs import default
from gan_jax.config import command, fields as configs, overrides, values
from gan_jax.engine import build, health
from gan_jax.report import entries, moments, pages
from gan_jax.run import interrupt, session, train
from gan_jax.storage import history, workdir as workdirs
from gan_jax.study import tables

ROOT = pathlib.Path(__file__).parent.parent


def config(**changes: object) -> configs.Config:
  made = configs.Config(steps=190)
  for name, value in changes.items():
    values.assign(made, name.replace('__', '.'), value)
  return build.complete(made)


def test_a_run_is_read_from_its_folder(tmp_path: pathlib.Path):
  run_folders.make(tmp_path / 'a', config(batch_size=50, disc_steps=2))
  data = pages.collect([tmp_path / 'a'], 'a')
  (run,) = data['runs']
  assert (run['name'], run['state'], run['step']) == ('a', 'finished', 190)
  assert run['samples_per_step'] == 100
  assert run['figures'] == {'ks': {'mean': 0.05}}
  dense, sparse = run['series']
  assert dense['step'] == list(range(0, 200, 10))
  assert dense['seconds'] == [1.0 + i for i in range(20)]
  assert sparse['mean']['eval/ks'][:2] == [1.0, pytest.approx(1 / 3)]
  assert len(run['pictures']['curves']['moments']) == 10
  assert run['at_work'] == 20.0
  assert data['skipped'] == []


def test_only_fields_that_differ_are_told(tmp_path: pathlib.Path):
  folders = [
    run_folders.make(tmp_path / str(i), config(seed=i, penalties__r1__weight=w))
    for i, w in enumerate((0.0, 0.1, 0.1))
  ]
  data = pages.collect(folders, '')
  (game,) = data['games']
  assert game['fields'] == ['seed', 'penalties.r1.weight']
  assert data['runs'][1]['config'] == {
    'seed': '1',
    'penalties.r1.weight': '0.1',
  }


def test_runs_of_other_games_are_grouped(tmp_path: pathlib.Path):
  a = run_folders.make(tmp_path / 'a', config())
  ring = config(data__name='ring')
  b = run_folders.make(tmp_path / 'b', ring, run_folders.POINTS)
  games = pages.collect([a, b], '')['games']
  assert [game['runs'] for game in games] == [[0], [1]]
  assert [game['fields'] for game in games] == [[], []]
  assert games[1]['title'] == 'ring, points of 2'


def test_seeds_are_joined_with_their_interval(tmp_path: pathlib.Path):
  folders = [
    run_folders.make(tmp_path / str(seed), config(seed=seed))
    for seed in range(4)
  ]
  (group,) = pages.collect(folders, '')['games'][0]['seeds']
  assert group['members'] == [0, 1, 2, 3]
  expected = scipy.stats.t.ppf(0.975, [1, 2, 3])
  np.testing.assert_allclose(group['t'], expected)
  assert group['figures']['ks']['mean'] == pytest.approx(0.05 + 0.015)


def test_a_seed_counts_once_and_at_one_step(tmp_path: pathlib.Path):
  """A run that was repeated, and one that is not as far."""
  seeds, rows = [0, 1, 0, 2], [20, 20, 20, 12]
  folders = [
    run_folders.make(tmp_path / str(i), config(seed=seed), rows=count)
    for i, (seed, count) in enumerate(zip(seeds, rows, strict=True))
  ]
  (group,) = pages.collect(folders, '')['games'][0]['seeds']
  assert group['members'] == [0, 1]
  assert group['bounds']['eval/ks'] == [0.0, 1.0]
  assert 'gen/loss' not in group['bounds']


def test_each_setting_of_a_population_is_an_entry(tmp_path: pathlib.Path):
  vary = {'penalties.r1.weight': [0.0, 0.5]}
  made = config(population__seeds=3, population__vary=vary)
  run_folders.make(tmp_path / 'a', made)
  data = pages.collect([tmp_path / 'a'], '')
  first, second = data['runs']
  assert second['name'] == 'a · penalties.r1.weight=0.5'
  assert data['games'][0]['fields'] == ['penalties.r1.weight']
  columns = first['series'][0]
  values_of = np.array([1.0, 1.01, 1.02])
  low, high = scipy.stats.t.interval(
    0.95, 2, values_of.mean(), scipy.stats.sem(values_of)
  )
  assert columns['mean']['gen/loss'][0] == pytest.approx(1.01)
  assert columns['low']['gen/loss'][0] == pytest.approx(low, rel=1e-4)
  assert columns['high']['gen/loss'][0] == pytest.approx(high, rel=1e-4)
  assert second['series'][0]['mean']['gen/loss'][0] == pytest.approx(1.51)


@pytest.mark.parametrize(
  ('end', 'state'),
  [('finish', 'finished'), ('stop', 'stopped'), ('diverge', 'diverged'),
   ('', 'stopped')],
)  # fmt: skip
def test_the_state_of_a_run(tmp_path: pathlib.Path, end: str, state: str):
  run_folders.make(tmp_path / 'a', config(), end=end)
  assert pages.collect([tmp_path / 'a'], '')['runs'][0]['state'] == state


def test_a_run_at_work_is_read_up_to_its_last_whole_row(tmp_path: pathlib.Path):
  made = config()
  run_folders.make(tmp_path, made, end='')
  with workdirs.claim(tmp_path, made, run_folders.DENSITY):
    with (tmp_path / 'metrics.jsonl').open('a') as file:
      file.write('{"step": 200, "disc/lo')
    (run,) = pages.collect([tmp_path], '')['runs']
  assert run['state'] == 'running'
  assert run['step'] == 190
  # There is no summary: the figures are the last look's.
  assert run['figures']['ks']['mean'] == pytest.approx(0.05)


def test_a_damaged_row_is_named(tmp_path: pathlib.Path):
  run_folders.make(tmp_path, config(), rows=2)
  with (tmp_path / 'metrics.jsonl').open('a') as file:
    file.write('{"st\n{"step": 20}\n')
  (line,) = pages.collect([tmp_path], '')['skipped']
  assert line.endswith('metrics.jsonl: line 3 is damaged')


def test_a_run_of_a_version_without_a_history(tmp_path: pathlib.Path):
  run_folders.make(tmp_path, config())
  (tmp_path / history.NAME).unlink()
  (run,) = pages.collect([tmp_path], '')['runs']
  assert run['state'] == 'finished'
  assert run['at_work'] is None
  assert run['events'] == []


def test_time_between_sessions_does_not_count():
  lines = [
    {'time': 10.0, 'event': 'start', 'step': 0},
    {'time': 12.0, 'step': 100},
    {'time': 13.0, 'step': 200},  # After the last checkpoint; played again.
    {'time': 100.0, 'event': 'start', 'step': 100},
    {'time': 101.5, 'step': 200},
  ]
  assert history.seconds(lines) == {100: 2.0, 200: 3.5}


def test_a_line_that_a_kill_cut_short_stays_alone(tmp_path: pathlib.Path):
  (tmp_path / history.NAME).write_text('{"time": 1.0, "st')
  history.add(tmp_path, 'start', 7)
  (line,) = history.read(tmp_path)
  assert (line['event'], line['step']) == ('start', 7)


def test_many_rows_are_thinned_evenly():
  rows = [{'step': i, 'gen/loss': float(i)} for i in range(9001)]
  (columns,) = entries.series(rows, {}, None)
  assert len(columns['step']) == entries.MAX_ROWS
  assert (columns['step'][0], columns['step'][-1]) == (0, 9000)
  assert set(np.diff(columns['step'])) <= {4, 5}


def test_numbers_are_shortened():
  got = moments.digits(np.array([[123456.0, -0.00123456], [np.nan, 0.0]]))
  assert got == [[123500.0, -0.001235], [None, 0.0]]
  assert entries.short(math.pi) == 3.14159
  assert entries.short(math.inf) is None


def test_repeated_pixels_are_sent_once():
  image = np.arange(12, dtype=np.uint8).reshape(4, 3)
  large = image.repeat(5, axis=0).repeat(5, axis=1)
  np.testing.assert_array_equal(moments.unrepeated(large), image)


def test_grids_are_reduced_until_they_fit(tmp_path: pathlib.Path):
  run_folders.make(tmp_path, config(), run_folders.IMAGES)
  whole = moments.read(tmp_path, 'images', moments.Limits())['grids']
  assert len(whole['moments']) == 10
  assert whole['side'] == 0
  tight = moments.Limits(grids=1)
  few = moments.read(tmp_path, 'images', tight)['grids']
  assert [m['step'] for m in few['moments']] == [0, 80, 180]
  assert few['of'] == 10


ALL = sorted((ROOT / 'experiments' / 'configs').glob('[a-z]*.py'))


@pytest.mark.parametrize('path', ALL, ids=lambda path: path.stem)
def test_the_command_makes_the_same_configuration(path: pathlib.Path):
  module = files.load_module(path, 'config')
  for argument in getattr(module, 'ARGUMENTS', None) or (None,):
    given = [argument] if argument else []
    asked = build.complete(module.get_config(*given))
    asked.population.vary = {'ema.half_life': [0.0, 1e5]}
    flags = command.flags(asked, build.complete)
    parsed = [flag.removeprefix('--config.').split('=', 1) for flag in flags]
    again = overrides.apply(
      default.get_config(), [(n, t) for n, t in parsed], build.complete
    )
    assert values.flatten(again) == values.flatten(asked)


def test_the_command_is_for_a_shell(tmp_path: pathlib.Path):
  made = config(data__name='folder', data__dir='my $images')
  run_folders.make(tmp_path / 'a b', made, run_folders.IMAGES)
  (run,) = pages.collect([tmp_path / 'a b'], '')['runs']
  words = shlex.split(run['command'])
  assert '--config.data.dir=my $images' in words
  assert f'--workdir={tmp_path}/a b_again' in words


def test_a_page_holds_all_it_needs(tmp_path: pathlib.Path):
  run_folders.make(tmp_path / 'a', config())
  title = '<b>{{DATA}}'
  text = pages.html(pages.collect([tmp_path / 'a'], title))
  assert '&lt;b&gt;{{DATA}}</title>' in text
  assert 'src=' not in text.partition('<script>')[0]
  assert '</script' not in text.partition("'use strict'")[2].removesuffix(
    '</script>\n</body>\n</html>\n'
  )
  assert len(text) < 2.5e6


def test_a_table_has_its_errors():
  table = tables.Table(
    rows={'one': configs.Config(), 'two': configs.Config()},
    columns=[tables.Column('hq', 'HQ %', digits=1, scale=100.0)],
    comparisons=[('one', 'two', 'hq')],
    published={'two': {'hq': '25 ± 1'}},
  )
  summaries = {
    'one': {'hq': {'members': [0.5, 0.7, None]}},
    'two': {'hq': {'members': [0.1, 0.2, 0.3]}},
  }
  data = pages.of_table(table, summaries, 'again')
  cell = data['rows'][0]['cells'][0]
  assert (cell['mean'], cell['stderr']) == (60.0, 10.0)
  assert cell['members'] == [50.0, 70.0, None]
  assert data['rows'][0]['failed'] == 1
  assert (cell['n'], cell['failed'], cell['published']) == (2, 1, '')
  assert data['rows'][1]['cells'][0]['published'] == '25 ± 1'
  assert data['compared'][0].startswith('HQ %: one - two = 40.0 ')


def run_report(*flags: str) -> subprocess.CompletedProcess[str]:
  return subprocess.run(
    [sys.executable, '-m', 'experiments.report', *flags],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )


def test_the_program_skips_what_is_no_run(tmp_path: pathlib.Path):
  run_folders.make(tmp_path / 'a', config())
  (tmp_path / 'b').mkdir()
  # As a table has its rows.
  run_folders.make(tmp_path / 'rows' / 'first', config())
  old = {'format': 1, 'config': {}, 'sessions': [{'commit': 'abc'}]}
  (tmp_path / 'c').mkdir()
  (tmp_path / 'c' / 'config.json').write_text(json.dumps(old))
  out = tmp_path / 'page.html'
  done = run_report(f'--runs={tmp_path}/*', f'--out={out}')
  assert done.returncode == 0
  first, second, third = done.stderr.splitlines()
  assert first == f'skipped: workdir={tmp_path}/b: holds no run'
  assert 'c: was written in format 1, by gan_jax at commit abc' in second
  inner = f'{tmp_path}/rows'
  told = f'workdir={inner}: holds no run, but its folders hold 1: {inner}/*'
  assert third == f'skipped: {told}'
  assert out.read_text().startswith('<!doctype html>')


@pytest.mark.parametrize(
  ('runs', 'out', 'said'),
  [
    ('b', 'page.html', 'none of 1 holds a run'),
    ('a', 'no/page.html', 'there is no folder'),
    ('a', '.', ': is a folder'),
  ],
)
def test_what_cannot_be_shown_is_one_line(
  tmp_path: pathlib.Path, runs: str, out: str, said: str
):
  run_folders.make(tmp_path / 'a', config())
  (tmp_path / 'b').mkdir()
  before = sorted(tmp_path.rglob('*'))
  done = run_report(f'--runs={tmp_path}/{runs}', f'--out={tmp_path}/{out}')
  assert done.returncode == 1
  *_, line = done.stderr.splitlines()
  assert line.startswith('error: --')
  assert said in line
  assert sorted(tmp_path.rglob('*')) == before


def test_a_full_disk_leaves_the_page_before(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  (tmp_path / 'page.html').write_text('old')

  def full(*_: object) -> None:
    raise OSError(28, 'No space left on device')

  run_folders.make(tmp_path / 'a', config())
  monkeypatch.setattr(pathlib.Path, 'replace', full)
  with pytest.raises(OSError, match='No space'):
    pages.write(tmp_path / 'page.html', pages.collect([tmp_path / 'a'], 'a'))
  assert [p.name for p in tmp_path.glob('*.html*')] == ['page.html']
  assert (tmp_path / 'page.html').read_text() == 'old'


def test_pages_beside_a_run_take_a_hundredth_of_its_time():
  now, written = [0.0], []
  ended = threading.Event()

  def write() -> None:
    written.append(now[0])
    ended.set()

  with session.Pages(write, clock=lambda: now[0]) as page:
    page.offer()
    now[0] = 29.0
    page.offer()
    assert written == []
    now[0] = 31.0
    page.offer()
    ended.wait()
  assert written == [31.0, 31.0]  # The second is that of the end.


def test_a_page_that_is_being_written_is_not_waited_for():
  now, going, go_on = [100.0], threading.Event(), threading.Event()
  written = []

  def write() -> None:
    going.set()
    go_on.wait()
    written.append(now[0])

  with session.Pages(write, clock=lambda: now[0]) as page:
    now[0] = 200.0
    page.offer()
    going.wait()
    page.offer()
    page.offer()
    go_on.set()
  assert len(written) == 2


WRITE_RUN = pages.write_run


def test_a_run_tells_its_history_and_writes_its_page(
  tiny: configs.Config, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  monkeypatch.setattr(pages, 'write_run', WRITE_RUN)
  train.train(tiny, tmp_path / 'a')
  lines = history.read(tmp_path / 'a')
  assert [(e['event'], e['step']) for e in history.events(lines)] == [
    ('start', 0),
    ('finish', 12),
  ]
  assert history.seconds(lines).keys() == {0, 4, 8, 12}
  text = (tmp_path / 'a' / pages.NAME).read_text()
  assert '<title>a</title>' in text
  packed = text.partition('id="data">')[2].partition('<')[0]
  data = json.loads(gzip.decompress(base64.b64decode(packed)))
  assert data['runs'][0]['state'] == 'finished'
  # Where a run shows itself may change, and it goes on.
  (tmp_path / 'a' / pages.NAME).unlink()
  tiny.log.page, tiny.steps = False, 16
  train.train(tiny, tmp_path / 'a')
  assert not (tmp_path / 'a' / pages.NAME).exists()
  told = history.events(history.read(tmp_path / 'a'))
  assert [(e['event'], e['step']) for e in told[2:]] == [
    ('start', 12),
    ('finish', 16),
  ]


def test_how_a_session_ends_is_told(tmp_path: pathlib.Path):
  for error in (
    interrupt.Stopped(5),
    health.DivergedError(np.int32(7), None, 'of D'),
  ):
    with pytest.raises(type(error)), session.told(tmp_path, 0, 9):
      raise error
  ends = history.events(history.read(tmp_path))[1::2]
  assert [(e['event'], e['step'], e.get('why')) for e in ends] == [
    ('stop', 5, None),
    ('diverge', 7, 'of D'),
  ]
