"""The ledger says what the papers, the runs and its own record say."""

import json
import math
import pathlib
import re
import shutil
from typing import Any

import numpy as np
import pytest
import run_folders
from scipy import stats

from experiments import launch, ledger as program
from experiments.tables import pacgan
from gan_jax.config import checks, fields as configs, overrides, values
from gan_jax.data import splits
from gan_jax.engine import build
from gan_jax.storage import history, workdir as workdirs
from gan_jax.study import ledger, statistics, tables

DOCS = pathlib.Path(__file__).parent.parent / 'docs'


def test_the_page_is_of_the_record_and_both_of_the_papers():
  """No figure of the page is typed by hand, and none is left out."""
  record = json.loads((DOCS / 'reproductions.json').read_text())
  page = (DOCS / 'reproductions.md').read_text()
  assert page == ledger.as_markdown(record, program.COMMAND)
  published = [
    (claim.paper, row, name, text)
    for claim in ledger.read_claims(program.PUBLISHED)
    for row, figures in claim.rows.items()
    for name, text in figures.items()
  ]
  assert published == [
    (e['paper'], e['row'], e['figure'], e['published']) for e in record
  ]


def test_the_record_is_of_the_settings_of_today(tmp_path: pathlib.Path):
  """Who changes a row writes the record again, without what it was before."""
  record = json.loads((DOCS / 'reproductions.json').read_text())
  asked = program.make_record(tmp_path)
  assert [e['protocol'] for e in record] == [e['protocol'] for e in asked]


def test_settings_are_told_apart_by_what_matters():
  row = pacgan.get_row('ring', 'gan')
  name = program._protocol(row)
  assert program._protocol(build.complete(row)) == name
  for field, value, matters in (
    ('seed', 3, False),
    ('population.seeds', 3, False),
    ('checkpoint.every', 1000, False),
    ('packing', 2, True),
    ('gen.net.norm_momentum', 0.9, True),
  ):
    other = overrides.apply(row, [(field, str(value))], build.complete)
    assert (program._protocol(other) != name) == matters


def test_what_claims_ask_of_a_configuration_can_run():
  for claim in ledger.read_claims(program.PUBLISHED):
    if not claim.config:
      continue
    config = launch.load_config(f'experiments/configs/{claim.config}')
    for name, value in claim.eval.items():
      values.assign(config, f'eval.{name}', value)
    checks.validate(config)
    if config.data.name == 'folder' and config.eval.split:
      splits.parse(config.eval.split)
    if config.eval.features == 'inception' and 'Miyato' not in claim.paper:
      assert config.eval.resizer == 'legacy_tensorflow'


def test_pages_show_the_record():
  """What README.md and docs/results.md publish is the record's, and no more."""
  record = json.loads((DOCS / 'reproductions.json').read_text())
  pages = [DOCS.parent / name for name in program.PAGES]
  for page, text in program.fill_pages(pages, record).items():
    assert page.read_text() == text


def test_a_block_has_the_figures_of_its_tables(tmp_path: pathlib.Path):
  record = program.make_record(tmp_path)
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
  rows = ledger.fill(page, record).splitlines()[3:]
  assert len(rows) == 8
  cells = [cell.strip() for cell in rows[2].split('|')[1:-1]]
  assert cells[:3] == ['DCGAN', 'reverse KL', '5.21 ± .19']
  assert cells[3:6] == ['5.34 ± 0.12', '3', 'within the error']
  assert rows[4] == said.replace('0 of', '1 of')
  for wrong in ('no block', begin, page + begin):
    with pytest.raises(ValueError, match='has no block of the kind ledger, or'):
      ledger.fill(wrong, record)
  message = '<!-- ledger: parzan -->: is none of pacgan, stacked_mnist'
  with pytest.raises(ValueError, match=message):
    ledger.fill(page.replace('parzen', 'parzan'), record)


def test_what_has_no_run_says_so(tmp_path: pathlib.Path):
  """Every row and figure that a paper has is of a table or a configuration."""
  record = program.make_record(tmp_path)
  assert {e['state'] for e in record} == {'not measured yet'}
  first = record[0]
  assert (first['row'], first['title']) == ('ring, GAN', 'modes')
  assert 'not measured yet' in ledger.as_markdown(record, 'x')
  for claim in ledger.read_claims(program.PUBLISHED):
    if claim.config:
      file = program.PUBLISHED.parent.parent / 'configs' / claim.config
      assert pathlib.Path(str(file).partition(':')[0]).is_file()


def test_what_was_measured_stays_where_its_run_is_gone(tmp_path: pathlib.Path):
  record = program.make_record(tmp_path)
  ours = {'mean': 7.0, 'members': [7.0], 'failed': 0}
  there = {'state': 'measured', 'ours': ours, 'commit': 'abc', 'seeds': [0]}
  earlier = [e | there for e in record[:5]]
  earlier[1]['published'] = '1.0'  # Another reading of the paper.
  earlier[3]['protocol'] = earlier[4]['protocol'] = 'other'
  states = {2: 'at step 5 of 10', 4: 'diverged after step 5 of 10'}
  begun = [
    e | {'state': states.get(i, e['state'])} for i, e in enumerate(record)
  ]
  merged = ledger.with_earlier(begun, earlier)
  for i in (0, 2):
    assert merged[i] == record[i] | there
  assert merged[3] == begun[3] | {
    'state': 'measured with other settings, at abc'
  }
  for i in (1, *range(4, len(record))):
    assert merged[i] == begun[i]


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
  original = pacgan.get_row

  def get_row(law: str, game: str) -> configs.Config:
    config = original(law, game)
    config.steps = 12
    return config

  monkeypatch.setattr(pacgan, 'get_row', get_row)
  tiny = begun_row(folder, steps=12, seeds=5)
  assert program.make_record(tmp_path)[0]['state'] == 'at step 0 of 12'
  (folder / 'metrics.jsonl').write_text('{"step": 7}\n')
  assert program.make_record(tmp_path)[0]['state'] == 'at step 7 of 12'
  members = [8.0, 7.0, None, 6.0]
  figures: dict[str, Any] = {
    'step': tiny.steps,
    'modes': {'members': members},
    'high_quality': {'members': [0.9, 0.8]},
    'reverse_kl': 0.25,
  }
  (folder / 'metrics.jsonl').write_text(f'{{"step": {tiny.steps}}}\n')
  # Given more steps, and not yet summarised again.
  (folder / 'summary.json').write_text(json.dumps(figures | {'step': 4}))
  assert program.make_record(tmp_path)[0]['state'] == 'at step 12 of 12'
  (folder / 'summary.json').write_text(json.dumps(figures))
  found = {
    e['figure']: e
    for e in program.make_record(tmp_path)
    if e['row'] == 'ring, GAN'
  }
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
  assert '| 98.2 ± .2 | 85.0 ± 5.0 | 2 |' in page
  assert '| reverse KL | .45 ± .09 | 0.25 | 1 |' in page
  # A run that was extended is not done, whatever its old figures.
  config = json.loads((folder / 'config.json').read_text())
  config['config']['steps'] = 2 * tiny.steps
  (folder / 'config.json').write_text(json.dumps(config))
  assert program.make_record(tmp_path)[0]['state'] == 'at step 12 of 24'


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
  modes, _, kl = program.make_record(tmp_path)[:3]
  assert modes['ours']['mean'] == 7.5
  assert modes['difference'] is None
  assert ledger.verdict(modes) == 'too short'
  assert modes['command'].endswith('runs/pacgan --steps=40 --seeds=2')
  assert kl['state'] == 'reverse_kl is finite in none of 2 runs'
  assert kl['ours'] is None
  # In the place of another row, it is not that row.
  other = tmp_path / 'pacgan' / 'grid_PacGAN2'
  shutil.copytree(folder, other)
  wrong = [
    e for e in program.make_record(tmp_path) if e['row'] == 'grid, PacGAN2'
  ]
  assert wrong[0]['state'] == 'packing=1 where 2 is asked for'
  shutil.rmtree(other)
  for summary, message in (
    ({'step': 40, 'modes': {'mean': 7}}, 'summary.json: modes is no figure$'),
    (None, r'summary.json: cannot be read \('),
  ):
    text = json.dumps(summary) if summary else '{'
    (folder / 'summary.json').write_text(text)
    with pytest.raises(ValueError, match=message):
      program.make_record(tmp_path)


def test_seeds_of_several_machines_are_one_population(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  """The same as if all of them had been one run."""
  original = pacgan.get_row

  def get_row(law: str, game: str) -> configs.Config:
    config = original(law, game)
    config.steps = 40
    return config

  monkeypatch.setattr(pacgan, 'get_row', get_row)

  def measure(
    name: str, seed: int, members: list[float | None], steps: int = 40
  ) -> list[dict[str, Any]]:
    folder = tmp_path / name / 'pacgan' / 'ring_GAN'
    begun_row(folder, steps=steps, seeds=len(members), seed=seed)
    (folder / 'metrics.jsonl').write_text(f'{{"step": {steps}}}\n')
    own = {'members': members}
    figures = {'step': steps, 'modes': own, 'high_quality': own}
    (folder / 'summary.json').write_text(json.dumps(figures))
    return program.make_record(tmp_path / name)

  whole = measure('all', 0, [7.0, 8.0, None, 6.0, None])
  merged = measure('first', 0, [7.0, 1.0])
  second = measure('second', 1, [8.0, None])
  third = measure('third', 3, [6.0])
  fourth = measure('fourth', 4, [9.0])
  history.add(tmp_path / 'fourth' / 'pacgan' / 'ring_GAN', 'diverge', 7)
  fourth = program.make_record(tmp_path / 'fourth')
  assert fourth[0]['state'] == 'diverged after step 40 of 40'
  shorter = measure('shorter', 5, [1.0], steps=30)
  for later in (second, third, fourth, third, shorter):
    merged = ledger.with_earlier(later, merged)
  for one, other in zip(merged[:2], whole[:2], strict=True):
    for name in ('state', 'difference', 'seeds', 'protocol', 'budget'):
      assert one[name] == other[name]
    for name, x in other['ours'].items():
      assert one['ours'][name] == pytest.approx(x)
  assert merged[0]['difference']['difference'] == pytest.approx(7 - 6.3)
  commands = merged[0]['command'].splitlines()
  assert [c.partition('pacgan --')[2] for c in commands] == [
    'seeds=2',
    'seeds=2 --first_seed=1',
    'seeds=1 --first_seed=3',
    'seeds=1 --first_seed=4',
  ]
  page = ledger.as_markdown(merged, 'x')
  assert all(f'\n    {command}\n' in page for command in commands)


@pytest.mark.parametrize(
  ('ends', 'gap', 'expected'),
  [
    ((7.0, 9.0), None, 'within the error'),
    ((8.5, 9.0), None, 'no'),
    ((7.0, 9.0), (-2.0, -0.5), 'no'),
    ((8.5, 9.0), (-0.5, 2.0), 'within the error'),
  ],
)
def test_what_is_not_reproduced(ends: Any, gap: Any, expected: str):
  entry = {
    'whole': True,
    'smaller': False,
    'published': '8.0 ± .1',
    'ours': {'stderr': 0.1, 'ci95': ends},
    'difference': gap and {'low': gap[0], 'high': gap[1]},
  }
  assert ledger.verdict(entry) == expected
  assert ledger.verdict(entry | {'smaller': True}) == 'smaller setting'


@pytest.mark.parametrize('earlier', [{'a': 1}, [{'paper': 'x'}], [1]])
def test_an_earlier_record_that_is_none(earlier: Any):
  with pytest.raises(ValueError, match=r'^is no record of this program$'):
    ledger.with_earlier([], earlier)


def test_figures_of_another_protocol_are_not_shown(tmp_path: pathlib.Path):
  config = launch.load_config('experiments/configs/cifar10.py:sngan')
  folder = tmp_path / 'cifar10_sngan'

  def record(**summary: float) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    run_folders.make(folder, config, run_folders.IMAGES)
    row = json.dumps({'step': config.steps}) + '\n'
    (folder / 'metrics.jsonl').write_text(row)
    made = {'step': config.steps, **summary}
    (folder / 'summary.json').write_text(json.dumps(made))
    found = [
      e
      for e in program.make_record(tmp_path)
      if e['source'] == 'cifar10.py:sngan'
    ]
    assert found[0]['figure'] == 'fd_inception'
    return found[0]

  # As the configuration has it, without a metric.
  entry = record(fd_inception=9.0)
  assert entry['state'] == 'eval.num_samples=100000 where 5000 is asked for'
  assert entry['ours'] is None
  flags = re.findall(r'--config\.(eval\.\S+)=(\S*)', entry['command'])
  assert ('eval.weights', 'FILE') in flags
  config = overrides.apply(config, flags, build.complete)
  assert record()['state'] == 'its summary has no fd_inception'
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
  ],
)
def test_mistakes_in_the_file(text: str, message: str, tmp_path: pathlib.Path):
  path = tmp_path / 'published.toml'
  path.write_text(text)
  with pytest.raises(ValueError, match=message) as caught:
    ledger.read_claims(path)
  assert '\n' not in str(caught.value)
