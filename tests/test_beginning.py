"""Runs that begin in another run."""

import copy
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from gan_jax import types
from gan_jax.config import checks, fields as configs
from gan_jax.engine import program
from gan_jax.networks import mlp
from gan_jax.run import beginning, replay, train, trained
from gan_jax.storage import workdir as workdirs


@pytest.fixture
def source(tiny_run: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  """A run of 12 steps, with the checkpoints of steps 8 and 12."""
  shutil.copytree(tiny_run, tmp_path / 'source')
  return tmp_path / 'source'


def assert_equal(a: types.PyTree, b: types.PyTree) -> None:
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_array_equal(x, y)


def differ(a: types.PyTree, b: types.PyTree) -> bool:
  pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  return any(not np.array_equal(x, y) for x, y in pairs)


def test_a_branch_that_changes_nothing_is_the_run(
  tiny: configs.Config, source: pathlib.Path, tmp_path: pathlib.Path
):
  def contents() -> dict[pathlib.Path, bytes]:
    return {p: p.read_bytes() for p in source.rglob('*') if p.is_file()}

  before = contents()
  tiny.branch_from = f'{source}:8'
  train.train(tiny, tmp_path / 'branch')
  assert contents() == before
  branch = trained.load(tmp_path / 'branch')
  assert_equal(branch.state, trained.load(source).state)
  stored = json.loads((tmp_path / 'branch' / 'config.json').read_text())
  assert stored['config']['branch_from'] == f'{source}:8'
  rows = (tmp_path / 'branch' / 'metrics.jsonl').read_text().splitlines()
  assert [json.loads(row)['step'] for row in rows] == [8, 12]
  game = program.open_game(branch.config)
  for part in (
    replay.first_steps(game, tmp_path / 'branch', 4),
    replay.last_steps(game, tmp_path / 'branch'),
  ):
    assert part.title.startswith('steps 9 to 12')
    assert part.differences
    assert not any(d.largest for d in part.differences)


def test_a_branch_plays_the_same_chunks_when_it_goes_on(tiny: configs.Config):
  """So that its rows are means of as many steps."""
  tiny.steps, tiny.log_every, tiny.branch_from = 2000, 100, 'runs/a:50'
  tiny.eval.every = tiny.checkpoint.every = 1000
  assert program.chunk_length(tiny, 50) == 50
  assert program.chunk_length(tiny, 1000) == 50
  (said,) = checks.warnings(tiny)
  assert 'branch_from=runs/a:50 is no multiple of log_every=100, so' in said


def test_a_branch_killed_before_its_second_checkpoint(
  tiny: configs.Config, source: pathlib.Path, tmp_path: pathlib.Path
):
  tiny.branch_from = f'{source}:8'
  train.train(tiny, tmp_path / 'branch')
  rows = (tmp_path / 'branch' / 'metrics.jsonl').read_text()
  shutil.rmtree(tmp_path / 'branch' / 'checkpoints' / '12')
  (tmp_path / 'branch' / 'summary.json').unlink()
  train.train(tiny, tmp_path / 'branch')
  assert (tmp_path / 'branch' / 'metrics.jsonl').read_text() == rows
  assert_equal(
    trained.load(tmp_path / 'branch').state, trained.load(source).state
  )


def test_a_branch_with_other_settings(
  tiny: configs.Config, source: pathlib.Path, tmp_path: pathlib.Path
):
  """A rate that ends, a larger batch, and a term with a memory of its own."""
  tiny.branch_from, tiny.batch_size = f'{source}:8', 16
  tiny.penalties.lecam.weight = 0.1
  tiny.schedules['optim.disc.learning_rate'] = configs.Schedule(end=8)
  train.train(tiny, tmp_path / 'branch')
  there, here = trained.load(source, '8'), trained.load(tmp_path / 'branch')
  assert here.state.step == 12
  assert_equal(here.state.disc.params, there.state.disc.params)
  assert differ(here.state.gen.params, there.state.gen.params)
  assert np.any(jax.tree.leaves(here.state.memory['lecam']))


def test_a_branch_whose_critic_is_bounded_or_partly_frozen(
  tiny: configs.Config, source: pathlib.Path
):
  """What the first run's optimiser remembers is taken over as it is."""
  taken = trained.load(source, '8').state
  tiny.branch_from = f'{source}:8'
  tiny.optim.disc.clip, tiny.optim.disc.frozen = 0.1, 'Dense_0'
  begun = beginning.start(program.open_game(tiny))
  assert_equal(begun.disc.opt_state, taken.disc.opt_state)
  forms = map(jax.tree.structure, (begun.disc, taken.disc))
  assert len({*forms}) == 2
  tiny.optim.disc.name = 'sgd'
  with pytest.raises(
    ValueError, match=r'disc/opt_state/0/0/trace/.* is missing'
  ):
    beginning.start(program.open_game(tiny))


def test_the_latest_step_is_written_down(
  tiny: configs.Config, source: pathlib.Path, tmp_path: pathlib.Path
):
  """And kept when the other run has gone on since."""
  tiny.branch_from, tiny.steps = str(source), 16
  train.train(tiny, tmp_path / 'branch')
  stored, _ = workdirs.load(tmp_path / 'branch')
  assert stored.branch_from == f'{source}:12'
  longer, _ = workdirs.load(source)
  longer.steps = 16
  train.train(longer, source)
  assert train.train(tiny, tmp_path / 'branch')['step'] == 16


@pytest.mark.parametrize('player', ['both', 'gen', 'disc'])
@pytest.mark.parametrize('seeds', [1, 2])
def test_weights_of_another_run(
  tiny: configs.Config, source: pathlib.Path, player: str, seeds: int
):
  tiny.init_from, tiny.init_player = f'{source}:8', player
  tiny.population.seeds, tiny.seed = seeds, 5
  game = program.open_game(tiny)
  there = trained.load(source, '8').state
  new, fresh = beginning.start(game), game.start()
  assert_equal(new.step, fresh.step)
  for name in ('gen', 'disc'):
    own, random = getattr(new, name), getattr(fresh, name)
    old = getattr(there, name)
    if seeds == 2:
      old = jax.tree.map(lambda x: np.stack([x, x]), old)
    expected = old if player in ('both', name) else random
    assert_equal(own.params, expected.params)
    assert_equal(own.opt_state, random.opt_state)
  assert differ(new.gen_ema, fresh.gen_ema) == (player != 'disc')


@pytest.mark.parametrize('seeds', [1, 2])
@pytest.mark.parametrize('field', ['init_from', 'branch_from'])
def test_slow_weights_are_those_that_were_taken(
  tiny: configs.Config, source: pathlib.Path, field: str, seeds: int
):
  """As lookahead has them at its start, and not those of random weights."""
  setattr(tiny, field, f'{source}:8')
  tiny.rule.name, tiny.population.seeds = 'lookahead', seeds
  begun = beginning.start(program.open_game(tiny))
  assert_equal(begun.memory['rule'].gen, begun.gen.params)
  assert_equal(begun.memory['rule'].disc, begun.disc.params)


def test_a_branch_to_another_rule_forgets_what_the_first_remembered(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  tiny.rule.name = 'lookahead'
  train.train(copy.deepcopy(tiny), tmp_path / 'source')
  tiny.branch_from = f'{tmp_path}/source:8'
  slow = trained.load(tmp_path / 'source', '8').state.memory['rule']
  same = beginning.start(program.open_game(copy.deepcopy(tiny)))
  assert_equal(same.memory['rule'], slow)
  tiny.rule.name = 'optimistic'
  other = beginning.start(program.open_game(tiny))
  assert not any(np.any(x) for x in jax.tree.leaves(other.memory['rule']))


def test_a_population_is_no_beginning(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  several = copy.deepcopy(tiny)
  several.population.seeds = 2
  train.train(several, tmp_path / 'several')
  for field, advice in (
    ('init_from', '; experiments.export'),
    ('branch_from', '$'),
  ):
    new = copy.deepcopy(tiny)
    setattr(new, field, f'{tmp_path}/several:4')
    message = (
      f'{field}=.*: is a population, and only a single run can be{advice}'
    )
    with pytest.raises(ValueError, match=message):
      train.train(new, tmp_path / 'new')


MISTAKES = [
  (
    {'init_from': '{source}:7'},
    'init_from=.*:7: there are checkpoints of steps 8, 12$',
  ),
  ({'init_from': '{source}x'}, 'init_from=.*x: has no checkpoint'),
  ({'branch_from': '{source}'}, 'at step 12, and steps=12 is the last one'),
  (
    {'branch_from': '{source}', 'init_from': '{source}'},
    'takes the weights with the state; leave one of them out',
  ),
  ({'init_player': 'generator'}, 'init_player=.*must be both, gen or disc'),
]


@pytest.mark.parametrize(('fields', 'message'), MISTAKES)
def test_mistakes(
  tiny: configs.Config,
  source: pathlib.Path,
  tmp_path: pathlib.Path,
  fields: dict[str, str],
  message: str,
):
  for name, value in fields.items():
    setattr(tiny, name, value.format(source=source))
  with pytest.raises(ValueError, match=message) as error:
    train.train(tiny, tmp_path / 'new')
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'new').exists()


def test_averages_of_all_steps_are_not_begun_in_a_branch(
  tiny: configs.Config, source: pathlib.Path, tmp_path: pathlib.Path
):
  tiny.branch_from = f'{source}:8'
  tiny.ema.posthoc, tiny.ema.posthoc_every = '0.1', 4
  with pytest.raises(ValueError, match=r"ema.posthoc='0.1': is of all steps"):
    train.train(tiny, tmp_path / 'new')


def test_other_shapes_are_refused_by_name(
  tiny: configs.Config, source: pathlib.Path, tmp_path: pathlib.Path
):
  tiny.gen.net = mlp.GenSettings(width=9, depth=1)
  tiny.init_from = f'{source}:12'
  name = 'gen/params/Dense_0/bias is .8. there and .9. here'
  with pytest.raises(ValueError, match=name):
    train.train(tiny, tmp_path / 'new')
  tiny.init_player = 'disc'
  beginning.start(program.open_game(tiny))
  tiny.gen.net = mlp.GenSettings(width=8, depth=2)
  tiny.init_player = 'gen'
  with pytest.raises(ValueError, match='gen/params/Dense_1'):
    train.train(tiny, tmp_path / 'new')
  tiny.gen.net = mlp.GenSettings(width=8, depth=1)
  tiny.init_from, tiny.branch_from = '', f'{source}:8'
  tiny.optim.disc.name = 'sgd'
  with pytest.raises(ValueError, match=r'disc/opt_state/.*missing there'):
    train.train(tiny, tmp_path / 'new')
  assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('field', beginning.FIELDS)
def test_what_an_earlier_run_was_trained_on_is_not_held_out(
  field: str, tiny: configs.Config, tmp_path: pathlib.Path
):
  tiny.data.name, tiny.gen.latent_dim = 'digits', 4
  tiny.data.split = 'train[:80%]'
  train.train(tiny, tmp_path / 'first')
  tiny.steps = 16
  setattr(tiny, field, str(tmp_path / 'first'))
  tiny.data.split, tiny.eval.held_out = 'train[:90%]', 'train[90%:]'
  train.train(copy.deepcopy(tiny), tmp_path / 'second')
  # Of the one before the one before.
  setattr(tiny, field, str(tmp_path / 'second'))
  tiny.data.split, tiny.eval.held_out = 'train[:70%]', 'train[70%:80%]'
  before = 'second:16|first:12'
  message = rf'{field}=.*({before}) was trained on some of them'
  tiny.steps = 20
  with pytest.raises(ValueError, match=message):
    train.train(tiny, tmp_path / 'third')
  assert not (tmp_path / 'third').exists()
