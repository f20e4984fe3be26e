"""Successive halving: whole settings are dropped, by what the rows say."""

import copy
import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest

from gan_jax.config import checks, fields as configs, halving as rungs
from gan_jax.engine import program
from gan_jax.networks import mlp
from gan_jax.report import entries, moments
from gan_jax.run import members, replay, train, trained as runs
from gan_jax.storage import checkpoint, history, writers
from gan_jax.study import halving, population, statistics, tables


def make_config() -> configs.Config:
  """Two seeds of four weights; two of them are left after each rung."""
  config = configs.Config(steps=12, batch_size=8, log_every=4)
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.disc.net = mlp.DiscSettings(width=8, depth=1)
  config.eval.every, config.eval.num_samples = 4, 512
  config.checkpoint.every = 12
  config.log.page = False
  config.population = configs.Population(
    seeds=2,
    vary={'optim.gen.learning_rate': [1e-3, 1e-1, 1e-2, 3e-2]},
    halving=(4, 8),
    halving_by='ks',
  )
  return config


@pytest.fixture
def config() -> configs.Config:
  return make_config()


@pytest.fixture(scope='module')
def halved(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """The folder of a run that dropped settings twice."""
  workdir = tmp_path_factory.mktemp('halved') / 'run'
  train.train(make_config(), workdir)
  return workdir


def test_rungs_of_the_paper(config: configs.Config):
  """Hyperband's table 1: 81 settings, of which a third goes on each time."""
  config.population.vary = {
    'ema.half_life': [float(i + 1) for i in range(9)],
    'penalties.r1.weight': [float(i) for i in range(9)],
  }
  config.population.halving = (1, 3, 9, 27)
  config.population.halving_keep = 1 / 3
  assert rungs.rungs(config) == [(1, 27), (3, 9), (9, 3), (27, 1)]
  config.population.halving = 5
  config.population.halving_keep = 0.29
  config.population.vary = {'ema.half_life': [float(i) for i in range(100)]}
  assert rungs.rungs(config) == [(5, 29)]
  config.population.halving = 0
  assert rungs.rungs(config) == []


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'halving': 6}, 'halving=6: 6 must be a multiple of eval.every=4'),
    ({'halving': 12}, 'above 0 and below steps=12'),
    ({'halving': (8, 4)}, 'halving=8,4: must be in increasing order'),
    ({'halving': (4, 4)}, 'must be in increasing order'),
    ({'vary': {}}, 'halving=4,8: there is one setting; give several'),
    ({'halving_by': ''}, "halving_by='': must be an evaluation figure"),
    ({'halving': 0}, "halving_by='ks': population.halving=0 drops no"),
    ({'halving_keep': 0.4}, 'halving_keep=0.4: leaves none of 4 settings'),
    ({'halving_keep': 1.0}, 'halving_keep=1.0: must be above 0 and below 1'),
  ],
)
def test_mistakes(
  changes: dict[str, Any], message: str, config: configs.Config
):
  for name, value in changes.items():
    setattr(config.population, name, value)
  with pytest.raises(ValueError, match=message) as told:
    checks.validate(config)
  assert '\n' not in str(told.value)


def test_a_figure_that_no_look_gives(
  config: configs.Config, tmp_path: pathlib.Path
):
  config.population.halving_by = '-high_quality'
  with pytest.raises(
    ValueError, match='evaluations give no such figure; they give'
  ):
    train.train(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def look(step: int, *values: float | None) -> dict[str, Any]:
  return {'step': step, 'eval/ks': {'members': list(values)}}


def test_rows_say_who_plays(config: configs.Config):
  rows = [
    look(0, *[0] * 8),
    # Means 4, 3, of one that failed 1, and 2.
    look(4, 4, 4, 6, 0, None, 1, 2, 2),
    look(8, *[None] * 2, 0.1, 0.3, *[None] * 2, 0.2, 0.4),
    look(12, *[None] * 2, 0.1, 0.3, *[None] * 4),
  ]
  names = list(population.settings(config))
  assert halving.dropped(config, rows[:1]) == {}
  assert halving.dropped(config, rows) == {
    names[0]: 4, names[2]: 4, names[3]: 8,
  }  # fmt: skip
  everyone, four = list(range(8)), [2, 3, 6, 7]
  each = [halving.playing(config, rows, step) for step in (0, 4, 5, 8, 9, 12)]
  assert each == [everyone, everyone, four, four, [2, 3], [2, 3]]
  config.population.halving_by = '-ks'
  assert halving.playing(config, rows, 5) == [0, 1, 2, 3]
  with pytest.raises(ValueError, match=r'no eval/ks of step 4, by which'):
    halving.playing(config, rows[:1], 5)


def test_steps_of_all_members():
  """Of a grid of sixteen settings, ten seeds each, and two searches of it."""
  c = configs.Config(steps=2000)
  c.population.seeds = 10
  c.population.vary = {'ema.half_life': [float(i) for i in range(16)]}
  assert rungs.member_steps(c) == 320_000
  c.population.halving = (250, 500, 1000)
  assert rungs.member_steps(c) == 10 * (16 * 250 + 8 * 250 + 4 * 500 + 2 * 1000)
  c.population.halving, c.population.halving_keep = (250, 1000), 0.25
  assert rungs.member_steps(c) == 10 * (16 * 250 + 4 * 750 + 1 * 1000)


def test_equal_settings_stay_in_their_order(config: configs.Config):
  settings = {name: slice(i, i + 1) for i, name in enumerate('abc')}
  order = halving.Order('ks', greatest=True)
  assert halving.ranked(order, settings, [1.0, 2.0, 1.0]) == [*'bac']
  assert halving.ranked(order, settings, [math.nan] * 3) == [*'abc']


def test_who_was_dropped_did_not_fail():
  found = halving.estimate('ks', [1.0, math.nan, 3.0], [1, 3, 4], 6)
  plain = found.to_json()
  assert plain['members'] == [None, 1.0, None, None, 3.0, None]
  assert (plain['mean'], plain['failed'], plain['dropped']) == (2.0, 1, 3)
  again = statistics.of_summary('ks', plain)
  assert (again.size, again.failed) == (3, 1)
  table = tables.Table({'a': configs.Config()}, [tables.Column('ks')])
  text = tables.as_text(table, {'a': {'ks': plain}}, 'command')
  assert text.splitlines()[1].split()[:3] == ['a', '3', '1']


def test_the_better_settings_go_on(
  config: configs.Config, halved: pathlib.Path, tmp_path: pathlib.Path
):
  """As the same population does without it, whose looks say who they are."""
  whole = copy.deepcopy(config)
  whole.population.halving, whole.population.halving_by = 0, ''
  train.train(whole, tmp_path)
  all_rows, rows = writers.read_rows(tmp_path), writers.read_rows(halved)
  # The first rung is played by the same program.
  assert rows[:2] == all_rows[:2]
  left = [*range(4)]
  for step, count in ((4, 2), (8, 1)):
    row = next(row for row in all_rows if row['step'] == step)
    means = np.mean(np.reshape(row['eval/ks']['members'], (4, 2)), axis=1)
    left = sorted(sorted(left, key=lambda i: means[i])[:count])
    after = next(r for r in rows if r['step'] == step + 4)
    own = np.array(after['eval/ks']['members'], np.float64)
    assert np.isfinite(own).reshape(4, 2).all(axis=1).nonzero()[0].tolist() == (
      left
    )
    known = all_rows[rows.index(after)]['eval/ks']['members']
    playing = np.isfinite(own)
    np.testing.assert_allclose(
      own[playing], np.array(known)[playing], rtol=2e-3, atol=2e-3
    )
    assert after['gen/loss']['failed'] == 0
    assert after['gen/loss']['dropped'] == 8 - 2 * count


def test_what_it_leaves(config: configs.Config, halved: pathlib.Path):
  rows = writers.read_rows(halved)
  gone = halving.dropped(config, rows)
  ks = json.loads((halved / 'summary.json').read_text())['ks']
  assert (ks['dropped'], ks['failed'], len(ks['members'])) == (6, 0, 8)
  (best,) = set(ks['settings']) - set(gone)
  assert ks['settings'][best]['mean'] == pytest.approx(ks['mean'])
  looks = {row['step']: row['eval/ks']['members'] for row in rows}
  for title, step in gone.items():
    part = ks['settings'][title]
    assert part['dropped_after'] == step
    own = looks[step][population.settings(config)[title]]
    assert part['members'] == own
    assert part['mean'] == pytest.approx(np.mean(own))
  drops = [x for x in history.read(halved) if x.get('event') == 'drop']
  assert {s: x['step'] for x in drops for s in x['settings']} == gone
  shown = entries.read(halved, 'run', moments.limits(1))
  for entry in shown:
    step = gone.get(entry['setting'], 12)
    assert entry['state'] == ('finished' if step == 12 else 'dropped')
    assert entry['step'] == step
    assert max(entry['series'][0]['step']) == step
    mean = entry['figures']['ks']['mean']
    known = ks['settings'][entry['setting']]['mean']
    assert mean == pytest.approx(known, rel=1e-5)
  assert (halved / 'population.png').stat().st_size > 10_000


def test_it_resumes_as_if_never_killed(
  config: configs.Config,
  halved: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):
  """Dies twice: with the row of a rung, and without its checkpoint."""
  save = checkpoint.Checkpoints.save
  for died_at in (4, 8):

    def dying(self, state, facts, metrics, died_at=died_at):
      if died_at in np.asarray(state.step):
        raise KeyboardInterrupt
      save(self, state, facts, metrics)

    with monkeypatch.context() as patch:
      patch.setattr(checkpoint.Checkpoints, 'save', dying)
      with pytest.raises(KeyboardInterrupt):
        train.train(config, tmp_path)
    assert writers.read_rows(tmp_path)[-1]['step'] == died_at
  train.train(config, tmp_path)
  rows, known = (f / 'metrics.jsonl' for f in (tmp_path, halved))
  assert rows.read_text() == known.read_text()
  stored = []
  for folder in (halved, tmp_path):
    with checkpoint.Checkpoints(folder) as saved:
      assert saved.steps == [4, 8, 12]
      stored.append([saved.manifest(s)['checksums'] for s in saved.steps])
  assert stored[0] == stored[1]


def test_replay_knows_the_rungs(config: configs.Config, halved: pathlib.Path):
  game = program.open_game(replay.read(halved)[0])
  for part in (
    replay.first_steps(game, halved, 12),
    replay.last_steps(game, halved),
  ):
    assert part.differences
    assert not any(d.largest for d in part.differences), part


def test_members_of_each_rung(
  config: configs.Config, halved: pathlib.Path, tmp_path: pathlib.Path
):
  last = halving.last_steps(
    config, halving.dropped(config, writers.read_rows(halved))
  )
  for step in (4, 8, math.inf):
    # The second seed of a setting.
    member = last.index(step) + 1
    out = tmp_path / f'{step}'
    assert members.export_member(halved, member, out) == min(step, 12)
    run = runs.load(out)
    assert int(run.state.step) == min(step, 12)
    assert run.config.seed == 1
    assert not run.config.population.halving
    row = writers.read_rows(out)[-1]
    there = next(
      r for r in writers.read_rows(halved) if r['step'] == row['step']
    )
    assert row['eval/ks'] == there['eval/ks']['members'][member]
  # Its command goes on with it: here to the figures of the state.
  assert train.train(run.config, out)['ks'] == pytest.approx(
    row['eval/ks'], abs=2e-3
  )
  early = last.index(4)
  with pytest.raises(ValueError, match=r'=8: there .* 4 \(the member was dro'):
    runs.load(halved, '8', early)


def test_a_lost_row_is_told(
  config: configs.Config, halved: pathlib.Path, tmp_path: pathlib.Path
):
  (tmp_path / 'metrics.jsonl').write_text('')
  game = program.open_game(config)
  with checkpoint.Checkpoints(halved) as saved:
    with pytest.raises(ValueError, match='no eval/ks of step 4'):
      train.beginning.first_state(game, tmp_path, saved, None)
    assert saved.steps == [4, 8, 12]
