"""The ledger says what the papers, the runs and its own record say."""

import json
import math
import pathlib
import re
import shutil
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import run_folders
from scipy import stats

from experiments import files, ledger as program
from experiments.tables import pacgan
from gan_jax.config import checks, fields as configs, overrides, values
from gan_jax.data import splits
from gan_jax.engine import build
from gan_jax.storage import history, workdir as workdirs
from gan_jax.study import ledger, measured, statistics, tables

DOCS = pathlib.Path(__file__).parent.parent / 'docs'


def kept() -> dict[str, Any]:
  record: dict[str, Any] = json.loads((DOCS / 'reproductions.json').read_text())
  return record


def entries(*folders: pathlib.Path) -> list[dict[str, Any]]:
  return program.make_record(folders).figures


def test_the_page_is_of_the_record_and_both_of_the_papers():
  """No figure of the page is typed by hand, and none is left out."""
  figures = kept()['figures']
  page = (DOCS / 'reproductions.md').read_text()
  assert page == ledger.as_markdown(figures, program.COMMAND)
  published = [
    (claim.paper, row, name, text)
    for claim in ledger.read_claims(program.PUBLISHED)
    for row, figures in claim.rows.items()
    for name, text in figures.items()
  ]
  assert published == [
    (e['paper'], e['row'], e['figure'], e['published']) for e in figures
  ]


def test_the_record_is_of_its_runs_and_of_the_settings_of_today():
  """Who changes a row writes the record again, without what it was before."""
  record = kept()
  made = program.make_record([], measured.read(record))
  assert made.left_out == []
  for own, other in zip(record['figures'], made.figures, strict=True):
    assert json.loads(json.dumps(other)) == own | {'state': other['state']}


def test_what_claims_ask_of_a_configuration_can_run():
  for claim in ledger.read_claims(program.PUBLISHED):
    if not claim.config:
      continue
    config = files.load_config(f'experiments/configs/{claim.config}')
    for name, value in claim.eval.items():
      values.assign(config, f'eval.{name}', value)
    checks.validate(config)
    if config.data.name == 'folder' and config.eval.split:
      splits.parse(config.eval.split)
    by_pytorch = 'Miyato' in claim.paper or 'StudioGAN' in claim.paper
    if config.eval.features == 'inception' and not by_pytorch:
      assert config.eval.resizer == 'legacy_tensorflow'


def test_pages_show_the_record():
  """What README.md and docs/results.md publish is the record's, and no more."""
  pages = [DOCS.parent / name for name in program.PAGES]
  for page, text in program.fill_pages(pages, kept()['figures']).items():
    assert page.read_text() == text


def test_a_block_has_the_figures_of_its_tables(tmp_path: pathlib.Path):
  record = entries(tmp_path)
  begin, end = '<!-- ledger: parzen, stacked_mnist -->', '<!-- ledger ends -->'
  page = f'before\n{begin}\nan old figure\n{end}\nafter\n'
  filled = ledger.fill(page, record)
  said = '0 of 5 figures of parzen, stacked_mnist are measured so far.'
  assert ledger.fill(filled, record) == filled
  assert filled == f'before\n{begin}\n\n{said}\n\n{end}\nafter\n'
  # Of parzen one, and two each of DCGAN and PacDCGAN2.
  own = [e for e in record if e['source'] == 'stacked_mnist']
  own[1]['ours'] = {
    'mean': 5.344, 'stderr': 0.12, 'ci95': [5.0, 5.7], 'failed': 0,
    'members': [5.2, 5.3, 5.5],
  }  # fmt: skip
  own[1]['difference'] = {'difference': 0.1, 'low': -0.2, 'high': 0.4, 'p': 0.5}
  rows = ledger.fill(page, record).splitlines()[3:]
  assert len(rows) == 8
  cells = [cell.strip() for cell in rows[2].split('|')[1:-1]]
  assert cells[:3] == ['DCGAN', 'reverse KL', '5.21 ± .19']
  assert cells[3:6] == ['5.34 ± 0.12', '3', 'within the error']
  assert rows[4] == said.replace('0 of', '1 of').replace('.', ' (1 tested).')
  for wrong in ('no block', begin, page + begin):
    with pytest.raises(ValueError, match='has no block of the kind ledger, or'):
      ledger.fill(wrong, record)
  message = '<!-- ledger: parzan -->: is none of pacgan, stacked_mnist'
  with pytest.raises(ValueError, match=message):
    ledger.fill(page.replace('parzen', 'parzan'), record)


def test_what_has_no_run_says_so(tmp_path: pathlib.Path):
  """Every row and figure that a paper has is of a table or a configuration."""
  record = entries(tmp_path)
  assert {e['state'] for e in record} == {'not measured yet'}
  first = record[0]
  assert (first['row'], first['title']) == ('ring, GAN', 'modes')
  assert 'not measured yet' in ledger.as_markdown(record, 'x')
  for claim in ledger.read_claims(program.PUBLISHED):
    if claim.config:
      file = program.PUBLISHED.parent.parent / 'configs' / claim.config
      assert pathlib.Path(str(file).partition(':')[0]).is_file()


def change_rows(
  monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
  """All rows of PacGAN ask for something else."""
  original = pacgan.get_row

  def get_row(law: str, game: str) -> configs.Config:
    config = original(law, game)
    values.assign(config, name, value)
    return config

  monkeypatch.setattr(pacgan, 'get_row', get_row)


def begun_row(
  folder: pathlib.Path, *, seed: int = 0, **budget: int
) -> configs.Config:
  """The folder of PacGAN's first row, with another budget."""
  config = pacgan.get_row('ring', 'gan')
  config.seed = seed
  tables.set_steps(config, budget['steps'])
  config.population.seeds = budget['seeds']
  config = build.complete(config)
  with workdirs.claim(folder, config, run_folders.POINTS):
    pass
  return config


def test_a_run_beside_its_paper(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  folder = tmp_path / 'pacgan' / 'ring_GAN'
  change_rows(monkeypatch, 'steps', 12)
  tiny = begun_row(folder, steps=12, seeds=4)
  assert entries(tmp_path)[0]['state'] == 'at step 0 of 12'
  (folder / 'metrics.jsonl').write_text('{"step": 7}\n')
  assert entries(tmp_path)[0]['state'] == 'at step 7 of 12'
  members = [8.0, 7.0, None, 6.0]
  figures: dict[str, Any] = {
    'step': tiny.steps,
    'modes': {'members': members},
    'high_quality': {'members': [0.9, None, 0.8, None]},
    'reverse_kl': {'members': [None, None, 0.25, None]},
  }
  (folder / 'metrics.jsonl').write_text(f'{{"step": {tiny.steps}}}\n')
  # Given more steps, and not yet summarised again.
  (folder / 'summary.json').write_text(json.dumps(figures | {'step': 4}))
  assert entries(tmp_path)[0]['state'] == 'at step 12 of 12'
  (folder / 'summary.json').write_text(json.dumps(figures))
  found = {e['figure']: e for e in entries(tmp_path) if e['row'] == 'ring, GAN'}
  modes = found['modes']
  assert modes['state'] == 'measured'
  assert modes['ours']['mean'] == 7
  assert modes['ours']['stderr'] == pytest.approx(1 / math.sqrt(3))
  assert modes['ours']['failed'] == 1
  assert modes['budget'] == (f'{tiny.steps:,} steps of batch {tiny.batch_size}')
  assert modes['difference']['difference'] == pytest.approx(7 - 6.3)
  # The paper's is a percentage, and one member has no spread.
  assert found['high_quality']['ours']['mean'] == pytest.approx(85)
  assert found['reverse_kl']['difference'] is None
  page = ledger.as_markdown(list(found.values()), 'x')
  assert modes['command'].endswith('--workdir=runs/pacgan')
  assert ledger.verdict(modes) == 'within the error'
  assert ledger.verdict(found['high_quality']) == 'within the error'
  assert ledger.verdict(found['reverse_kl']) == 'one run'
  assert '| modes | 6.3 ± .5 | 7.0 ± 0.6 | 4 (1 failed) | [' in page
  assert '| 98.2 ± .2 | 85.0 ± 5.0 | 4 (2 failed) |' in page
  assert '| reverse KL | .45 ± .09 | 0.25 | 4 (3 failed) |  |  |' in page
  # A run that was extended is not done, whatever its old figures.
  config = json.loads((folder / 'config.json').read_text())
  config['config']['steps'] = 2 * tiny.steps
  (folder / 'config.json').write_text(json.dumps(config))
  assert entries(tmp_path)[0]['state'] == 'at step 12 of 24'


def test_a_run_that_is_not_its_row_s(tmp_path: pathlib.Path):
  folder = tmp_path / 'pacgan' / 'ring_GAN'
  begun_row(folder, steps=40, seeds=2)
  (folder / 'metrics.jsonl').write_text('{"step": 40}\n')
  figures = {
    'step': 40,
    'modes': {'members': [7.0, 8.0]},
    'high_quality': {'members': [0.97, 0.99]},
    'reverse_kl': {'members': [None, None]},
  }
  (folder / 'summary.json').write_text(json.dumps(figures))
  # Shorter: shown with its own command, and not held against the paper's.
  modes, _, kl = entries(tmp_path)[:3]
  assert modes['ours']['mean'] == 7.5
  assert modes['difference'] is None
  assert ledger.verdict(modes) == 'too short'
  assert modes['runs'][0]['command'].endswith(' --steps=40 --seeds=2')
  assert kl['state'] == 'reverse_kl is finite in none of 2 runs'
  assert kl['ours'] is None
  # In the place of another row, it is not that row.
  other = tmp_path / 'pacgan' / 'grid_PacGAN2'
  shutil.copytree(folder, other)
  wrong = [e for e in entries(tmp_path) if e['row'] == 'grid, PacGAN2']
  assert wrong[0]['state'] == 'packing=1 where 2 is asked for'
  shutil.rmtree(other)
  for summary, message in (
    ({'step': 40, 'modes': {'mean': 7}}, 'summary.json: modes is no figure$'),
    (
      {'step': 40, 'modes': {'members': [7.0]}},
      'summary.json: modes is not of 2 members$',
    ),
    (None, r'summary.json: cannot be read \('),
  ):
    text = json.dumps(summary) if summary else '{'
    (folder / 'summary.json').write_text(text)
    with pytest.raises(ValueError, match=message):
      entries(tmp_path)


@pytest.fixture
def measure(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pathlib.Path]:
  """Makes a folder of runs with one of PacGAN's first row, of 40 steps."""
  change_rows(monkeypatch, 'steps', 40)

  def make(
    seed: int,
    members: list[float | None],
    steps: int = 40,
    at: float = 0.0,
    **stamp: Any,
  ) -> pathlib.Path:
    folder = tmp_path / str(len([*tmp_path.iterdir()]))
    own = folder / 'pacgan' / 'ring_GAN'
    begun_row(own, steps=steps, seeds=len(members), seed=seed)
    (own / 'metrics.jsonl').write_text(f'{{"step": {steps}}}\n')
    (own / 'protocol.json').write_text(json.dumps(stamp))
    line = {'time': at or time.time(), 'step': steps}
    (own / 'history.jsonl').write_text(json.dumps(line) + '\n')
    if any(members):
      each = {'members': members}
      figures = {'step': steps, 'modes': each, 'high_quality': each}
      (own / 'summary.json').write_text(json.dumps(figures))
    else:
      history.add(own, 'diverge', steps)
    return folder

  return make


def test_seeds_of_several_machines_are_one_population(
  measure: Callable[..., pathlib.Path],
):
  """The same as if all of them had been one run, in whatever order."""
  whole = measure(0, [7.0, 8.0, None, 6.0, None])
  expected = entries(whole)
  parts = [
    measure(0, [7.0, 1.0]),
    measure(1, [8.0, None]),
    measure(3, [6.0]),
    measure(4, [None]),
    measure(9, [1.0], steps=30),
  ]
  # The second part has a seed of the first one, and ended after it.
  for order in ([0, 1, 2, 3, 4], [4, 3, 0, 2, 1], [3, 0, 4, 1, 1, 2, 2]):
    record = program.Record([], [], [])
    for i in order:
      stored = json.loads(json.dumps([run._asdict() for run in record.runs]))
      earlier = measured.read({'runs': stored})
      record = program.make_record([parts[i]], earlier)
    assert len(record.runs) == len(parts)
    assert program.make_record([], record.runs).figures == record.figures
    commit = record.runs[0].commit
    assert f'at {commit}: has other steps' in record.left_out[0]
    for one, other in zip(record.figures[:2], expected[:2], strict=True):
      for name in ('state', 'ours', 'difference', 'budget', 'whole'):
        assert one[name] == other[name]
    made = record.figures[0]['runs']
    assert [run['seeds'] for run in made] == [[0], [1, 2], [3], [4]]
    commands = [run['command'] for run in made]
    assert [c.partition('--workdir=')[2] for c in commands] == [
      'runs/pacgan --seeds=2',
      'runs1/pacgan --seeds=2 --first_seed=1',
      'runs3/pacgan --seeds=1 --first_seed=3',
      'runs4/pacgan --seeds=1 --first_seed=4',
    ]
    page = ledger.as_markdown(record.figures, 'x')
    assert all(f'\n    {command}\n' in page for command in commands)
    assert f'{commit}, 4 x cpu (seeds 1-2)' in page
  assert program.make_record(parts).figures[0]['ours'] == expected[0]['ours']
  assert expected[0]['difference']['difference'] == pytest.approx(7 - 6.3)


def test_what_does_not_count_together(measure: Callable[..., pathlib.Path]):
  first, second = measure(0, [7.0, 8.0], sha='a'), measure(2, [1.0], sha='b')
  record = program.make_record([first, second])
  # Of two measuring networks that of more seeds, and the other is told.
  assert record.figures[0]['ours']['members'] == [7.0, 8.0]
  assert [line.partition(': ')[2] for line in record.left_out] == [
    'has other steps, data or feature networks than what is counted'
  ]
  # A run of other settings, one of other steps, and one that goes on displace
  # nothing.
  other, longer, begun = (measure(5, [2.0], steps) for steps in (40, 80, 40))
  path = other / 'pacgan' / 'ring_GAN' / 'config.json'
  stored = json.loads(path.read_text())
  stored['config']['packing'] = 2
  path.write_text(json.dumps(stored))
  (begun / 'pacgan' / 'ring_GAN' / 'summary.json').unlink()
  again = program.make_record([other, longer, begun], record.runs)
  assert again.figures[0] == record.figures[0]
  told = ' '.join(again.left_out)
  assert 'packing=2 where 1 is asked for' in told
  assert 'at step 40 of 40' in told


def test_what_is_read_again_changes_nothing(
  measure: Callable[..., pathlib.Path],
):
  """Runs count in the order in which they ended, not in that of reading."""
  old, new = measure(0, [7.0, 8.0], at=1.0), measure(1, [1.0], at=2.0)
  record = program.make_record([new, old])
  assert record.figures[0]['ours']['members'] == [7.0, 1.0]
  again = program.make_record([old], record.runs)
  assert again == record
  # A later run of fewer figures takes none away.
  path = new / 'pacgan' / 'ring_GAN' / 'summary.json'
  path.write_text(json.dumps({'step': 40, 'modes': {'members': [2.0]}}))
  later = program.make_record([new], record.runs)
  assert later.figures[0]['ours']['members'] == [7.0, 2.0]
  assert later.figures[1] == record.figures[1]


def test_a_run_recorded_before_a_field_came_is_the_same_run(
  measure: Callable[..., pathlib.Path],
):
  folder = measure(0, [7.0, 8.0])
  record = program.make_record([folder])
  (run,) = record.runs
  old = json.loads(json.dumps(run.settings))
  del old['microbatches'], old['gen']['net']['norm_groups']
  again = program.make_record([folder], [run._replace(settings=old)])
  assert again == record


def test_a_row_that_was_changed_leaves_its_runs_out(
  measure: Callable[..., pathlib.Path], monkeypatch: pytest.MonkeyPatch
):
  """And takes them back with its settings: nothing is lost."""
  record = program.make_record([measure(0, [7.0, 8.0])])
  own = pacgan.get_row
  change_rows(monkeypatch, 'penalties.r1.weight', 1.0)
  changed = program.make_record([], record.runs)
  found = 'penalties.r1.weight=0.0 where 1.0 is asked for'
  assert changed.figures[0]['state'] == f'measured with {found}'
  assert changed.figures[0]['ours'] is None
  assert changed.left_out == [
    f'pacgan, ring, GAN, measured at {record.runs[0].commit}: {found}'
  ]
  monkeypatch.setattr(pacgan, 'get_row', own)
  assert program.make_record([], changed.runs) == record
  # A field that this version does not have.
  other = record.runs[0]._replace(settings={'sneed': 0})
  told = program.make_record([], [other]).figures[0]['state']
  assert 'measured with settings of another version (sneed: no such' in told


@pytest.mark.parametrize(
  ('gap', 'expected'),
  [
    ((-2.0, -0.5), 'no, lower'),
    ((0.5, 2.0), 'no, higher'),
    ((-0.5, 2.0), 'within the error'),
    (None, 'not tested'),
  ],
)
def test_what_is_not_reproduced(gap: Any, expected: str):
  low, high = gap or (0.0, 0.0)
  difference = {'difference': (low + high) / 2, 'low': low, 'high': high}
  entry = {
    'whole': True,
    'smaller': False,
    'ours': {'stderr': 0.1},
    'difference': gap and difference,
  }
  assert ledger.verdict(entry) == expected
  assert ledger.verdict(entry | {'smaller': True}) == 'smaller setting'


def test_a_figure_of_one_run_is_a_draw_as_ours_are():
  """Of runs that are alike, 95 % are told so, however many seeds we have."""
  rng = np.random.default_rng(0)
  for count in (3, 10, 50):
    inside = 0
    for _ in range(2000):
      theirs, *ours = rng.normal(7, 2, count + 1)
      found = statistics.compare_single(ours, theirs)
      inside += found.low <= 0 <= found.high
      assert (found.p > 0.05) == (found.low <= 0 <= found.high)
    assert 0.935 < inside / 2000 < 0.965
  # Of so many trials, the mean of theirs: Welch's with equal variances.
  x = np.array([1.0, 2.0, 4.0])
  found = statistics.compare_single(x, 1.0, 4)
  half = stats.t.ppf(0.975, 2) * x.std(ddof=1) * math.sqrt(1 / 3 + 1 / 4)
  assert found.high - found.difference == pytest.approx(half)
  with pytest.raises(ValueError, match='2 members without any spread'):
    statistics.compare_single([1.0, 1.0], 0.0)


def test_a_record_that_is_none(measure: Callable[..., pathlib.Path]):
  for wrong in ([], {'a': 1}, {'runs': {}}):
    with pytest.raises(ValueError, match=r'^is no record of this program$'):
      measured.read(wrong)
  run = program.make_record([measure(0, [7.0, 8.0])]).runs[0]._asdict()
  assert measured.read({'runs': [run]})[0]._asdict() == run
  line = 'has a run that is not as this program writes it'
  for wrong in (1, {}, run | {'seeds': 0}, run | {'more': 1}):
    with pytest.raises(ValueError, match=line):
      measured.read({'runs': [wrong]})
  line = 'has not as many members of ring, GAN, modes, as seeds'
  with pytest.raises(ValueError, match=line):
    measured.read({'runs': [run | {'seeds': [0]}]})


def test_figures_of_another_protocol_are_not_shown(tmp_path: pathlib.Path):
  config = files.load_config('experiments/configs/cifar10.py:sngan')
  folder = tmp_path / 'cifar10_sngan'

  def record(**summary: float) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    run_folders.make(folder, config, run_folders.IMAGES)
    row = json.dumps({'step': config.steps}) + '\n'
    (folder / 'metrics.jsonl').write_text(row)
    made = {'step': config.steps, **summary}
    (folder / 'summary.json').write_text(json.dumps(made))
    found = [e for e in entries(tmp_path) if e['source'] == 'cifar10.py:sngan']
    assert found[0]['figure'] == 'fd_inception'
    return found[0]

  # As the configuration has it, without a metric.
  entry = record(fd_inception=9.0)
  assert entry['state'] == 'eval.num_samples=100000 where 5000 is asked for'
  assert entry['ours'] is None
  flags = re.findall(r'--config\.(eval\.\S+)=(\S*)', entry['command'])
  assert ('eval.weights', 'FILE') in flags
  config = overrides.apply(config, flags, build.complete)
  assert record()['state'] == 'no summary has fd_inception'
  assert record(fd_inception=9.0)['ours']['mean'] == 9.0
  config.eval.num_samples = 50_000
  found = 'eval.num_samples=50000 where 5000 is asked for'
  assert record(fd_inception=9.0)['state'] == found


@pytest.mark.parametrize(
  ('text', 'expected'),
  [('.45 ± .09', (0.45, 0.09, 2)), ('225 ± 2', (225, 2, 0)), ('-1.5', None)],
)
def test_figures_as_papers_write_them(text: str, expected: Any):
  found = ledger.parse(text)
  if expected is None:
    assert found[::2] == (-1.5, 1)
    assert math.isnan(found.error)
  else:
    assert found == expected


@pytest.mark.parametrize('text', ['', '.', 'about 5', '5 +- 1', '5 ± '])
def test_what_is_no_figure(text: str):
  with pytest.raises(ValueError, match='is no figure such as'):
    ledger.parse(text)


def test_a_published_mean_is_compared_by_welch():
  rng = np.random.default_rng(0)
  x, y = rng.normal(0, 1, 5), rng.normal(1, 3, 10)
  found = statistics.compare_published(
    [*x, math.nan], y.mean(), y.std(ddof=1) / math.sqrt(10), 10
  )
  test = stats.ttest_ind(x, y, equal_var=False)
  interval = test.confidence_interval(0.95)
  assert found.p == pytest.approx(test.pvalue)
  assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
  with pytest.raises(ValueError, match='cannot compare 1 with 10'):
    statistics.compare_published([1.0], 0.0, 1.0, 10)
  with pytest.raises(ValueError, match='without any spread'):
    statistics.compare_published([1.0, 1.0], 0.0, 0.0, 10)


CLAIM = """
[[claim]]
paper = 'A paper'
trials = 0
error = ''
budget = ''
differences = ''
rows = {}
"""


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('[[claim]]\npaper = 1', 'missing 5 required positional arguments'),
    (CLAIM, r'A paper: of a table or of a config$'),
    (CLAIM + "table = 'x'\nyear = 1", "unexpected .* 'year'"),
    (CLAIM.replace("''", "'sd'", 1) + "table = 'x'", "error='sd': is none of"),
    ('[', 'published.toml: '),
    (
      CLAIM.replace('{}', '{GAN = {modes = 8}}') + "table = 'x'",
      r"modes = 8: must be '.45' or '.45 ± .09', in quotes",
    ),
  ],
)
def test_mistakes_in_the_file(text: str, message: str, tmp_path: pathlib.Path):
  path = tmp_path / 'published.toml'
  path.write_text(text)
  with pytest.raises(ValueError, match=message) as caught:
    ledger.read_claims(path)
  assert '\n' not in str(caught.value)
