"""Populations: a member is a run, and its errors are told."""

import copy
import json
import math
import pathlib
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from experiments import table as programs
from gan_jax.config import checks, fields as configs
from gan_jax.engine import health, program, reach
from gan_jax.evaluation import catalogue
from gan_jax.networks import mlp
from gan_jax.report import population as population_report
from gan_jax.run import (
  figures,
  interrupt,
  loop,
  members,
  replay,
  train,
  trained as runs,
)
from gan_jax.storage import writers
from gan_jax.study import population, statistics, tables

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def four(tiny: configs.Config) -> configs.Config:
  """Two seeds of two weights."""
  tiny.population.seeds = 2
  tiny.population.vary = {'penalties.r1.weight': [0.0, 0.5]}
  return tiny


def test_members_are_every_combination(tiny: configs.Config):
  tiny.seed = 3
  tiny.population.seeds = 2
  tiny.population.vary = {
    'ema.half_life': [4.0, 8.0],
    'optim.gen.b1': [0.1, 0.2],
  }
  found = population.members(tiny)
  assert len(found) == 8
  assert found[0] == (3, {'ema.half_life': 4.0, 'optim.gen.b1': 0.1})
  assert found[1] == (4, {'ema.half_life': 4.0, 'optim.gen.b1': 0.1})
  assert found[-1] == (4, {'ema.half_life': 8.0, 'optim.gen.b1': 0.2})
  single = population.member_config(tiny, found[-1])
  assert (single.seed, single.ema.half_life) == (4, 8.0)
  assert not population.is_population(single)


@pytest.mark.parametrize('at_once', [0, 1, 3])
def test_a_member_is_the_run_of_its_seed_and_numbers(
  at_once: int, four: configs.Config, tmp_path: pathlib.Path
):
  """Four devices: the members are split over them, unless three at once."""
  four.population.at_once = at_once
  if at_once == 1:
    # Adam would blow up the rounding of gradients that are exactly 0.
    four.gen.net = mlp.GenSettings(width=8, depth=1, batch_norm=True)
    four.optim.gen.name = four.optim.disc.name = 'sgd'
  if at_once == 3:
    four.microbatches = 2
  train.train(four, tmp_path / 'all')
  for i in (0, 3):
    member = population.members(four)[i]
    single = population.member_config(four, member)
    train.train(single, tmp_path / f'{i}')
    own = runs.load(tmp_path / f'{i}').state
    shared = runs.load(tmp_path / 'all', member=i).state
    for a, b in zip(
      jax.tree.leaves(own.gen_ema), jax.tree.leaves(shared.gen_ema), strict=True
    ):
      np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    rows = writers.read_rows(tmp_path / f'{i}')
    all_rows = writers.read_rows(tmp_path / 'all')
    for row, together in zip(rows, all_rows, strict=True):
      for name in ('gen/loss', 'disc/grad_norm', 'eval/ks'):
        if name in row:
          member_value = together[name]['members'][i]
          assert row[name] == pytest.approx(member_value, rel=2e-3, abs=1e-4)


def test_nothing_is_compiled_for_other_numbers(
  four: configs.Config, monkeypatch: pytest.MonkeyPatch
):
  """The numbers are arguments: one trace serves any of them."""
  game = program.open_game(four)
  chunk = program.make_chunk(game, 4)
  traces = []
  monkeypatch.setattr(
    loop.health, 'first_nonfinite', lambda logs: traces.append(1) or logs
  )
  for factor in (1.0, 2.0):
    hyper = {name: factor * value for name, value in game.hyper.items()}
    state = game.start()
    chunk(state, *game.place((hyper,)), (), game.place(game.keys))
  assert len(traces) == 1


def test_a_population_resumes_as_if_never_stopped(
  four: configs.Config, tmp_path: pathlib.Path
):
  train.train(four, tmp_path / 'whole')
  steps, four.steps = four.steps, 8
  train.train(four, tmp_path / 'parts')
  four.steps = steps
  train.train(four, tmp_path / 'parts')
  whole, parts = (
    (tmp_path / name / 'metrics.jsonl').read_text()
    for name in ('whole', 'parts')
  )
  assert whole == parts


@pytest.mark.pictures
def test_what_a_population_leaves(four: configs.Config, tmp_path: pathlib.Path):
  train.train(four, tmp_path)
  summary = json.loads((tmp_path / 'summary.json').read_text())
  ks = summary['ks']
  assert len(ks['members']) == 4
  assert ks['mean'] == pytest.approx(np.mean(ks['members']))
  assert ks['stderr'] == pytest.approx(scipy.stats.sem(ks['members']))
  assert ks['ci95'][0] < ks['mean'] < ks['ci95'][1]
  part = ks['settings']['penalties.r1.weight=0.5']
  assert part['members'] == ks['members'][2:]
  row = json.loads((tmp_path / 'metrics.jsonl').read_text().splitlines()[-1])
  assert {'mean', 'stderr', 'ci95', 'members'} <= row['gen/loss'].keys()
  assert (tmp_path / 'population.png').stat().st_size > 10_000


def test_a_failed_member_is_counted(
  four: configs.Config,
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
):
  four.population.vary = {'optim.gen.learning_rate': [1e-3, 1e30]}
  four.optim.gen.name, four.loss = 'sgd', 'wasserstein'
  summary = train.train(four, tmp_path)
  ks = summary['ks']
  assert ks['failed'] == 2
  # Neither are figures that would be 0.
  (*_, row) = writers.read_rows(tmp_path)
  for name in ('disc/accuracy', 'eval/ks'):
    assert [x is None for x in row[name]['members']] == [0, 0, 1, 1]
  said = capsys.readouterr().err
  assert said.count('and the others go on') == 2
  assert 'member 3 (seed 1, optim.gen.learning_rate=1e+30): not finite' in said
  sound = [x for x in ks['members'] if x is not None]
  assert len(sound) == 4 - ks['failed']
  assert ks['mean'] == pytest.approx(np.mean(sound))


def test_settings_of_a_seed_are_no_repeats(tiny: configs.Config):
  """Two levels far apart, whose difference is no spread of the seeds."""
  tiny.population.seeds = 3
  tiny.population.vary = {
    'ema.half_life': [1, 2],
    'penalties.r1.weight': [0, 1],
  }
  level = {(1, 0): 0.0, (1, 1): 10.0, (2, 0): 5.0, (2, 1): math.nan}
  row = [
    level[tuple(member.setting.values())] + member.seed
    for member in population.members(tiny)
  ]
  rows = [{'step': 12, 'eval/x': {'members': row}}]
  (spread,) = population_report._spreads(rows, tiny, ['x'])
  found = spread.fields['ema.half_life']
  assert found['1'].members == (5.0, 6.0, 7.0)
  assert found['1'].stderr == pytest.approx(1 / math.sqrt(3))
  # Of a setting without figures there is no mean over settings.
  assert found['2'].failed == 3


def test_all_members_failing_is_a_divergence(
  four: configs.Config, tmp_path: pathlib.Path
):
  four.population.vary = {'optim.gen.learning_rate': [1e30, 1e31]}
  four.optim.gen.name, four.loss = 'sgd', 'wasserstein'
  with pytest.raises(loop.health.DivergedError):
    train.train(four, tmp_path)


def test_the_last_member_to_break_is_named(four: configs.Config):
  """The others did in an earlier chunk, and are no number from step 1 on."""
  game, waits = program.open_game(four), []
  saved = types.SimpleNamespace(wait=lambda: waits.append('saved'), latest=80)
  said: list[str] = []
  sinks = types.SimpleNamespace(say=said.append)
  outputs = types.SimpleNamespace(saved=saved, sinks=sinks)
  beside = types.SimpleNamespace(wait=lambda: waits.append('beside'))
  first = {'disc/loss': np.array([0, 0, 37, 0])}
  with pytest.raises(loop.health.DivergedError, match='step 138:') as told:
    loop._check_finite(game, 100, first, 50, outputs, beside, set())
  assert (told.value.step, told.value.member) == (138, 2)
  assert waits == ['beside', 'saved']
  # Among all of the population, where others were dropped.
  first = {'disc/loss': np.array([0, 37])}
  with pytest.raises(loop.health.DivergedError) as told:
    loop._check_finite(
      game.only([1, 3]), 100, first, 50, outputs, beside, set()
    )
  assert told.value.member == 3
  first, named = {'disc/loss': np.array([0, 0, 50, 0])}, {0, 1}
  for _ in range(2):
    loop._check_finite(game, 100, first, 50, outputs, beside, named)
  # The others are known, and this one is said once.
  (line,) = said
  assert line.startswith('step 101: member 3 (seed 1, ')


def test_numbers_that_a_function_reads():
  """Not what it computes for nothing; what a loop takes it does read."""

  def function(numbers: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    waste = jnp.sin(numbers['b'] + numbers['c'])
    del waste
    return jax.lax.fori_loop(0, 3, lambda _, y: y * numbers['a'] + x, x)

  numbers = dict.fromkeys('abcd', jnp.float32(2))
  assert reach.unread(function, numbers, jnp.ones(3)) == {'b', 'c', 'd'}


@pytest.mark.parametrize(
  'field',
  [
    'augment.target',
    'rule.sga_weight',
    'penalties.lecam.decay',
    'optim.gen.b2',
  ],
)
def test_what_no_step_reads_cannot_vary(field: str, tiny: configs.Config):
  """Its settings would be one and the same, compared with each other."""
  tiny.optim.gen.name = 'sgd'
  tiny.population.vary = {field: [0.1, 0.2]}
  with pytest.raises(ValueError, match=f'no step of this game reads {field}'):
    program.open_game(tiny)


@pytest.mark.parametrize(
  ('field', 'message'),
  [
    ('gen.net.width', 'changes the program, so its values are rows of a table'),
    ('penalties.r1.wait', 'did you mean penalties.r1.weight'),
  ],
)
def test_what_cannot_vary(field: str, message: str, tiny: configs.Config):
  tiny.population.vary = {field: [1.0, 2.0]}
  with pytest.raises(ValueError, match=message):
    checks.validate(tiny)


def test_collapsed_members_are_counted(four: configs.Config):
  game = program.open_game(four)
  summary = figures.of_summary(game, {'modes': [1.0, 8.0, 0.0, 2.0]}, [])
  assert summary['collapsed'] == 2
  assert summary['modes']['failed'] == 0


def test_the_last_state_is_measured_once(
  four: configs.Config, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  """For its frame and for the summary."""
  measured = []
  original = population_report.PopulationReport._measured

  def counted(self, state):
    measured.append(int(state.step[0]))
    return original(self, state)

  monkeypatch.setattr(population_report.PopulationReport, '_measured', counted)
  train.train(four, tmp_path)
  frames = [r['step'] for r in writers.read_rows(tmp_path) if 'eval/ks' in r]
  assert measured == frames
  assert measured[-1] == four.steps


def test_values_that_look_alike_stay_apart(tiny: configs.Config):
  tiny.population.vary = {'ema.half_life': [1e6, 1000001.0, 0.1]}
  tiny.population.seeds = 2
  names = ['ema.half_life=1000000', 'ema.half_life=1000001']
  assert list(population.settings(tiny))[:2] == names
  assert len(population.by_field(tiny)['ema.half_life']) == 3


def test_images_without_a_classifier(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  """A game without any figure of its own still comes to its end."""
  tiny.data.name, tiny.loss, tiny.population.seeds = 'digits', 'wasserstein', 2
  tiny.steps = 4
  assert train.train(tiny, tmp_path)['step'] == 4


def test_varied_values_are_checked(tiny: configs.Config):
  tiny.population.vary = {'optim.gen.b1': [0.5, 1.5]}
  with pytest.raises(ValueError, match=r'optim.gen.b1=1.5: must be'):
    checks.validate(tiny)


@pytest.mark.pictures
def test_members_become_runs(four: configs.Config, tmp_path: pathlib.Path):
  train.train(four, tmp_path / 'all')
  members.export_member(tmp_path / 'all', 3, tmp_path / 'third')
  run = runs.load(tmp_path / 'third')
  assert (run.config.seed, run.config.penalties.r1.weight) == (1, 0.5)
  # Its own command goes on with it: here to figures and pictures.
  summary = train.train(run.config, tmp_path / 'third')
  assert summary['ks'] == pytest.approx(
    json.loads((tmp_path / 'all' / 'summary.json').read_text())['ks'][
      'members'
    ][3],
    abs=2e-3,
  )
  # Drawn of the one moment it has.
  assert (tmp_path / 'third' / 'figure.png').exists()
  assert (tmp_path / 'third' / 'evolution.gif').exists()
  # Of one whose penalty is 0 the program remembered more than its own does.
  members.export_member(tmp_path / 'all', 0, tmp_path / 'first')
  alone = runs.load(tmp_path / 'first')
  assert 'r1' not in alone.state.memory
  assert train.train(alone.config, tmp_path / 'first')['step'] == 12
  with pytest.raises(ValueError, match='is there already'):
    members.export_member(tmp_path / 'all', 3, tmp_path / 'third')
  with pytest.raises(ValueError, match='members 0 to 3'):
    runs.load(tmp_path / 'all')
  with pytest.raises(ValueError, match='is a single run'):
    runs.load(tmp_path / 'third', member=0)


def test_a_member_that_is_never_augmented_or_clipped(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  tiny.augment.pseudo = True
  tiny.population.vary = {
    'augment.p': [0.0, 0.5], 'optim.disc.clip': [0.0, 0.1],
  }  # fmt: skip
  train.train(tiny, tmp_path / 'all')
  assert runs.load(tmp_path / 'all', member=3).config.augment.pseudo
  run = runs.load(tmp_path / 'all', member=0)
  assert not run.config.augment.pseudo
  said = replay.find_nonfinite(tmp_path / 'all', 9, 0)
  assert said.startswith('played one operation at a time, the step is finite')
  members.export_member(tmp_path / 'all', 0, tmp_path / 'first')
  again = runs.load(tmp_path / 'first')
  for a, b in zip(
    *(jax.tree.leaves(each.state.disc) for each in (run, again)), strict=True
  ):
    np.testing.assert_array_equal(a, b)


def test_the_interval_is_students(tmp_path: pathlib.Path):
  values = [1.0, 2.0, 4.0, 7.0]
  found = statistics.estimate('gen/loss', values)
  low, high = scipy.stats.t.interval(
    0.95, 3, loc=np.mean(values), scale=scipy.stats.sem(values)
  )
  assert (found.low, found.high) == pytest.approx((low, high))
  assert found.stderr == pytest.approx(scipy.stats.sem(values))


def test_each_metrics_figures_have_their_bounds():
  """Those of images that have none are differences, logarithms or unbiased."""
  free = {
    name
    for metric in catalogue.METRICS.values()
    for figure in metric.figures
    for name in [figure + '_classifier' * metric.uses_features]
    if statistics.bounds(f'eval/{name}') == (-np.inf, np.inf)
  }
  assert free == {
    'copying_classifier', 'fd_infinity_classifier', 'kid_classifier', 'parzen',
    'parzen_of_data',
  }  # fmt: skip
  for name in ('cas', 'code_accuracy_classifier'):
    assert statistics.bounds(name) == (0, 1)


def test_an_interval_is_cut_at_the_bounds_of_its_figure():
  values = [0.9, 1.0, 1.0, 1.0]
  low, high = scipy.stats.t.interval(
    0.95, 3, loc=np.mean(values), scale=scipy.stats.sem(values)
  )
  assert high > 1
  found = statistics.estimate('eval/recall_inception', values)
  assert (found.low, found.high) == pytest.approx((low, 1.0))
  of_class = statistics.estimate('eval/class_accuracy_3_classifier', values)
  assert of_class.high == pytest.approx(1.0)
  assert statistics.estimate('swd', values).high == pytest.approx(high)
  for name in ('eval/density_classifier', 'overfit/nearest', 'augment/p'):
    wide = statistics.estimate(name, [0.0, 3.0])
    assert wide.low == 0
    assert wide.high > 20
  few = statistics.estimate('modes', [0.0, 1.0])
  assert few.low == 0
  assert few.high > 6
  scaled = statistics.of_summary('recall', {'members': values}, 100.0)
  assert scaled.high == pytest.approx(100.0)
  assert scaled.members == (90.0, 100.0, 100.0, 100.0)
  # Half of it is that of its longer side.
  assert str(found) == f'0.975 ± {0.975 - low:.2g}'
  # Numbers above a hundred have no exponent: t of one degree is 12.706.
  for values, text in (
    ([2000.0, 2100.0], '2050 ± 635'),
    ([12300.0, 12315.68], '12308 ± 100'),
    ([0.0, 2e6], '1e+06 ± 1.3e+07'),
  ):
    assert str(statistics.estimate('step', values)) == text


@pytest.mark.parametrize('count', [3, 5, 10])
def test_an_interval_covers_as_often_as_it_says(count: int):
  draws = np.random.default_rng(0).normal(0.5, 0.05, (1000, count))
  found = [statistics.estimate('ks', each.tolist()) for each in draws]
  covered = np.mean([each.low < 0.5 < each.high for each in found])
  # Four standard deviations of 1,000 draws.
  assert covered == pytest.approx(0.95, abs=0.028)


def test_one_member_has_no_error():
  found = statistics.estimate('ks', [0.5, math.nan])
  assert found.mean == 0.5
  assert found.failed == 1
  assert math.isnan(found.stderr)
  assert found.to_json()['ci95'] == [None, None]


def test_a_comparison_against_every_permutation():
  """Exact: 2 of the 6 ways to deal them are as far apart."""
  found = statistics.compare([1.0, 2.0], [3.0, 5.0])
  assert found.difference == pytest.approx(-2.5)
  assert found.p == pytest.approx(2 / 6)
  reference = scipy.stats.ttest_ind([1.0, 2.0], [3.0, 5.0], equal_var=False)
  interval = reference.confidence_interval()
  assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
  with pytest.raises(ValueError, match='each needs two'):
    statistics.compare([1.0], [3.0, 5.0])


def test_a_comparison_of_counts_that_are_all_equal():
  """p is of the ways to deal them, 2 of 20; there is no interval of width 0."""
  found = statistics.compare([0.1] * 3, [0.2] * 3)
  assert found.p == pytest.approx(2 / 20)
  assert math.isnan(found.low)
  assert math.isnan(found.high)
  one = statistics.compare([8.0] * 3, [7.0, 7.0, 6.0])
  interval = scipy.stats.ttest_1samp([7.0, 7.0, 6.0], 8).confidence_interval()
  assert (8 - one.high, 8 - one.low) == pytest.approx(interval)


def test_a_comparison_says_of_how_many_members_it_is(tiny: configs.Config):
  table = tables.Table(
    {'a': tiny, 'b': tiny}, [tables.Column('kl')], [('a', 'b', 'kl')]
  )
  a, b = [0.1, 0.1, None, None], [0.2, 0.2, 0.2, 0.2]
  (line,) = tables.compared(
    table, {'a': {'kl': {'members': a}}, 'b': {'kl': {'members': b}}}
  )
  assert line == (
    'kl: a - b = -0.100 (no interval, as neither varies), p = 0.133 '
    '(2 of 4 against 4 of 4 members)'
  )


TABLE = """
from gan_jax.config import fields as config
from gan_jax.networks import mlp
from gan_jax.study import tables

def row(loss):
  c = config.Config(steps=8, batch_size=8, log_every=4, loss=loss)
  c.gen.net = mlp.GenSettings(width=8)
  c.disc.net = mlp.DiscSettings(width=8)
  c.eval.every = c.checkpoint.every = 4
  c.eval.num_samples = 256
  c.population.seeds = 3
  return c

def get_table():
  return tables.Table(
    rows={'a & b': row('hinge'), 'c': row('non_saturating')},
    columns=[tables.Column('ks', 'KS %', digits=1, scale=100.0)],
    comparisons=[('a & b', 'c', 'ks')],
    note='A note.',
  )
"""


def test_a_table(tmp_path: pathlib.Path):
  (tmp_path / 'x.py').write_text(TABLE)
  command = (
    sys.executable, '-m', 'experiments.table', f'--table={tmp_path}/x.py',
    f'--workdir={tmp_path}/runs',
  )  # fmt: skip

  def play(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
      [*command, *flags], cwd=ROOT, capture_output=True, text=True, check=False
    )

  # One row, and then the other: as a stopped table goes on.
  page = tmp_path / 'page.md'
  page.write_text('of mine\n<!-- table: x -->\n\n<!-- table ends -->\n')
  assert play('--rows=^c$', f'--fill={page}:x').returncode == 0
  before = (tmp_path / 'runs' / 'c' / 'metrics.jsonl').stat().st_mtime_ns
  done = play()
  assert done.returncode == 0, done.stderr
  after = (tmp_path / 'runs' / 'c' / 'metrics.jsonl').stat().st_mtime_ns
  assert before == after
  summary = json.loads((tmp_path / 'runs' / 'c' / 'summary.json').read_text())
  members = summary['ks']['members']
  cell = f'{100 * np.mean(members):.1f} ± {100 * scipy.stats.sem(members):.1f}'
  for name in ('table.txt', 'table.md', 'table.tex'):
    text = (tmp_path / 'runs' / name).read_text()
    assert cell.replace('±', '$\\pm$' if name == 'table.tex' else '±') in text
    assert 'A note.' in text
    assert 'experiments.table' in text
    assert 'p = ' in text
  # One row alone was asked for.
  filled = page.read_text().splitlines()
  assert filled[:5] == [
    'of mine', '<!-- table: x -->', '', '|  | n | failed | KS % |',
    '| --- | ---: | ---: | ---: |',
  ]  # fmt: skip
  assert filled[5:] == [
    f'| c | 3 | 0 | {cell} |',
    '',
    'Mean ± standard error of n members, or of as many as (in brackets) have a '
    'finite value. A note.',
    '',
    '<!-- table ends -->',
  ]
  assert 'a \\& b' in (tmp_path / 'runs' / 'table.tex').read_text()
  table = (tmp_path / 'runs' / 'table.csv').read_text().splitlines()
  assert table[0] == 'row,metric,n,failed,mean,stderr,low,high'
  assert float(table[2].split(',')[4]) == pytest.approx(np.mean(members))


def test_a_column_that_is_not_there_is_told_before_training(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  tiny.nonfinite = 'skip'
  there = ['ks', 'd_gap_skipped', 'step']
  with pytest.raises(ValueError, match=r"'d_gap_skipped': .* has d_fake, d_"):
    train.train(tiny, tmp_path / 'run', columns=there)
  assert not (tmp_path / 'run').exists()
  there[1] = 'gen_skipped'
  summary = train.train(tiny, tmp_path / 'run', columns=there)
  assert summary.keys() >= {*there}


def test_a_row_for_each_setting(tiny: configs.Config):
  varied = copy.deepcopy(tiny)
  varied.population.seeds = tiny.population.seeds = 2
  varied.population.vary = {'penalties.r1.weight': [0.0, 0.1, 2.0]}
  table = tables.Table(
    rows={'R1': varied, 'none': tiny},
    columns=[tables.Column('ks', 'KS', digits=1)],
    comparisons=[('R1, penalties.r1.weight=2', 'none', 'ks')],
  )
  tables.check(table)
  summaries = {
    'R1': {'step': 3, 'ks': {'members': [0.1, 0.3, 0.5, None, 0.7, 0.9]}},
    'none': {'step': 3, 'ks': {'members': [0.5, 0.7]}},
  }
  table, shown = tables.by_setting(table, summaries)
  assert tables.markdown(table, shown)[2:6] == [
    '| R1, penalties.r1.weight=0 | 2 | 0 | 0.2 ± 0.1 |',
    '| R1, penalties.r1.weight=0.1 | 2 | 1 | 0.5 (1) |',
    '| R1, penalties.r1.weight=2 | 2 | 0 | 0.8 ± 0.1 |',
    '| none | 2 | 0 | 0.6 ± 0.1 |',
  ]
  (line,) = tables.compared(table, shown)
  assert 'R1, penalties.r1.weight=2 - none = 0.2 ' in line
  assert 'members' not in line
  assert next(iter(tables.ranked(table, shown, '-ks').rows)).endswith('=2')
  assert 'step' not in shown['R1, penalties.r1.weight=0']
  with pytest.raises(ValueError, match="comparison: there is no row 'R1'"):
    tables.check(tables.Table({'R1': varied}, [], [('R1', 'R1', 'ks')]))
  with pytest.raises(ValueError, match=r"'R1, .*=2': is also a setting"):
    tables.check(
      tables.Table({'R1': varied, 'R1, penalties.r1.weight=2': tiny}, [])
    )
  with pytest.raises(ValueError, match="'R1': collapsed is of all settings"):
    tables.check(tables.Table({'R1': varied}, [tables.Column('collapsed')]))
  halved = copy.deepcopy(varied)
  halved.population.halving, halved.population.halving_by = 8, 'ks'
  with pytest.raises(ValueError, match=r"row 'R1': .* drops settings"):
    tables.check(tables.Table({'R1': halved}, []))


def test_mistakes_in_a_table(tiny: configs.Config):
  with pytest.raises(ValueError, match="comparison: there is no row 'b'"):
    tables.check(
      tables.Table(rows={'a': tiny}, columns=[], comparisons=[('a', 'b', 'x')])
    )
  with pytest.raises(ValueError, match="comparison: there is no column 'x'"):
    tables.check(
      tables.Table(rows={'a': tiny}, columns=[], comparisons=[('a', 'a', 'x')])
    )
  with pytest.raises(ValueError, match='have one folder'):
    tables.check(tables.Table(rows={'a b': tiny, 'a_b': tiny}, columns=[]))
  with pytest.raises(ValueError, match="column 'fid': not in the summary"):
    tables.figure({'ks': 0.1}, 'fid')


def test_a_row_that_failed_stays_in_its_table(tiny: configs.Config):
  tiny.population.seeds = 3
  table = tables.Table(
    rows={'a': tiny, 'b': tiny},
    columns=[tables.Column('ks')],
    comparisons=[('a', 'b', 'ks')],
  )
  summaries = {'a': tables.failed(table, 'a'), 'b': {'ks': None}}
  text = tables.as_text(table, summaries, 'command')
  assert text.splitlines()[1].split()[:3] == ['a', '3', '3']
  assert text.splitlines()[2].split()[:3] == ['b', '1', '1']
  assert 'cannot compare 0 with 0 members' in text


def test_a_table_stops_after_a_row_that_diverged(
  tiny: configs.Config,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
):
  played: list[str] = []

  def diverge(
    _: configs.Config, workdir: pathlib.Path, columns: list[str]
  ) -> None:
    assert columns == ['ks']
    played.append(workdir.name)
    raise health.DivergedError(3, None, 'not finite')

  monkeypatch.setattr(train, 'train', diverge)
  table = tables.Table({'a': tiny, 'b': tiny}, [tables.Column('ks')])
  summaries = programs._train(table, tmp_path)
  assert summaries is not None
  assert played == [*summaries] == ['a', 'b']
  # Asked in the last chunk of the first, whose end says nothing of it.
  monkeypatch.setattr(interrupt, 'was_asked', lambda: True)
  assert programs._train(table, tmp_path) is None
  assert played == ['a', 'b', 'a']
  assert 'a: not finite; asked to stop; the same' in capsys.readouterr().out


def test_a_row_of_one_member_has_no_error(tiny: configs.Config):
  table = tables.Table(
    rows={r'a^2 ~ \b': tiny}, columns=[tables.Column('ks', digits=2)]
  )
  summaries = {r'a^2 ~ \b': {'ks': 0.5}}
  line = tables.as_text(table, summaries, 'command').splitlines()[1]
  assert line.split()[-3:] == ['1', '0', '0.50']
  latex = tables.as_latex(table, summaries, 'command')
  assert r'a\^{}2 \~{} \textbackslash b & 1 & 0 & 0.50 \\' in latex


def test_a_part_of_a_table_has_its_own_columns(tiny: configs.Config):
  table = tables.Table(
    rows={'a': tiny},
    columns=[tables.Column('ks', 'KS')],
    parts={'by class': [tables.Column('of_0', 'first', digits=1, scale=100.0)]},
  )
  summaries = {'a': {'ks': 0.25, 'of_0': 0.5}}
  text = tables.as_text(table, summaries, 'command').splitlines()
  assert [line.split() for line in text[:6]] == [
    ['n', 'failed', 'KS'], ['a', '1', '0', '0.250'], [],
    ['by', 'class'], ['n', 'failed', 'first'], ['a', '1', '0', '50.0'],
  ]  # fmt: skip
  markdown = tables.as_markdown(table, summaries, 'command')
  assert '\n\nby class\n\n|  | n | failed | first |\n' in markdown
  latex = tables.as_latex(table, summaries, 'command')
  assert latex.count('tabular') == 4
  assert '\n\\paragraph{by class}\n' in latex
  assert tables.as_csv(table, summaries).splitlines()[2].startswith('a,of_0,1')
  assert tables.failed(table, 'a').keys() == {'ks', 'of_0'}


def test_a_paper_s_figures_stand_beside_ours():
  tables_folder = ROOT / 'experiments' / 'tables'
  table = programs.load(tables_folder / 'stacked_mnist.py')
  ours = {'modes': {'members': [80.0, 90.0]}, 'reverse_kl': 5.5}
  text = tables.as_text(table, dict.fromkeys(table.rows, ours), 'command')
  header, first, second = text.splitlines()[:3]
  titles = [title for title in header.split('  ') if title]
  assert [title.strip() for title in titles] == [
    'n', 'failed', 'modes of 1000', 'published', 'reverse KL', 'published',
  ]  # fmt: skip
  assert '85.0 ± 5.0   78.5 ± 17.56        5.50  5.21 ± .19' in first
  assert second.endswith('2.61 ± .22')
  # A table of ours alone has no such column.
  assert not programs.load(tables_folder / 'ring_losses.py').published


@pytest.mark.parametrize(
  ('row', 'message'), [('rows.d', "no row 'd'"), ('rows.c', "column 'modes'")]
)
def test_a_paper_s_figures_of_what_the_table_lacks(
  row: str, message: str, tmp_path: pathlib.Path
):
  (tmp_path / 'x.py').write_text(TABLE)
  (tmp_path / 'published.toml').write_text(
    "[[claim]]\npaper = 'A paper'\ntable = 'x'\ntrials = 0\nerror = ''\n"
    f"budget = ''\ndifferences = ''\n[claim.{row}]\nmodes = '8'\n"
  )
  with pytest.raises(ValueError, match=message):
    programs.load(tmp_path / 'x.py')


def test_rows_in_the_order_of_a_figure(tiny: configs.Config):
  """A row whose best members are what is left does not come first."""
  table = tables.Table(
    rows=dict.fromkeys('abcd', tiny), columns=[tables.Column('ks')]
  )
  members = {'a': [3, 3], 'b': [0, None], 'c': [1, 2], 'd': [None, None]}
  summaries = {title: {'ks': {'members': x}} for title, x in members.items()}
  assert [*tables.ranked(table, summaries, 'ks').rows] == [*'cabd']
  greatest = tables.ranked(table, summaries, '-ks')
  assert [*greatest.rows] == [*'acbd']
  assert 'fewest failed first, then by the greatest ks' in greatest.note
  tables.check_rank(table, '-ks')
  with pytest.raises(
    ValueError, match='--rank=fid: is no column; there are ks'
  ):
    tables.check_rank(table, 'fid')
