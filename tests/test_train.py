"""The loop: replay, resume, one compilation, several devices."""

import copy
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.engine import build, program, sharding
from gan_jax.game import state as states
from gan_jax.networks import maxout, mlp
from gan_jax.ops import cpu
from gan_jax.run import train, trained as runs
from gan_jax.storage import checkpoint, workdir as workdirs, writers

ROOT = pathlib.Path(__file__).parent.parent


def final_state(workdir: pathlib.Path) -> states.GanState:
  return runs.load(workdir).state


def assert_identical(a: types.PyTree, b: types.PyTree) -> None:
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_array_equal(x, y)


def everything(tiny: configs.Config) -> configs.Config:
  """Schedules, lazy penalties, averages, batch statistics, dropout."""
  tiny.gen.net = mlp.GenSettings(width=8, depth=1, batch_norm=True)
  tiny.disc.name = 'maxout'
  tiny.disc.net = maxout.DiscSettings(width=4, depth=1, pieces=2)
  tiny.penalties.r1 = configs.Penalty(weight=0.1, every=2)
  tiny.penalties.lecam.weight = 0.1
  tiny.schedules['optim.gen.learning_rate'] = configs.Schedule(
    'cosine', end=12, final=1e-4
  )
  return tiny


def test_two_runs_of_one_seed_are_equal(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  config = everything(tiny)
  for name in ('a', 'b'):
    train.train(config, tmp_path / name)
  assert_identical(final_state(tmp_path / 'a'), final_state(tmp_path / 'b'))
  rows = [
    (tmp_path / name / 'metrics.jsonl').read_text() for name in ('a', 'b')
  ]
  assert rows[0] == rows[1]
  config.seed = 1
  train.train(config, tmp_path / 'c')
  assert (tmp_path / 'c' / 'metrics.jsonl').read_text() != rows[0]


def test_stopped_and_resumed_is_the_uninterrupted_run(
  tiny: configs.Config, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  """Stopped between a row and its checkpoint, then run by the same command."""
  config = everything(tiny)
  train.train(config, tmp_path / 'whole')

  save, saves = checkpoint.Checkpoints.save, []

  def save_twice(
    self: checkpoint.Checkpoints, state: states.GanState, *rest: Any
  ) -> None:
    saves.append(int(state.step))
    if len(saves) == 3:
      raise KeyboardInterrupt
    save(self, state, *rest)

  with monkeypatch.context() as patch:
    patch.setattr(checkpoint.Checkpoints, 'save', save_twice)
    with pytest.raises(KeyboardInterrupt):
      train.train(config, tmp_path / 'parts')
  assert saves == [0, 4, 8]
  train.train(config, tmp_path / 'parts')
  assert_identical(
    final_state(tmp_path / 'whole'), final_state(tmp_path / 'parts')
  )
  whole, parts = (
    (tmp_path / name / 'metrics.jsonl').read_text()
    for name in ('whole', 'parts')
  )
  assert whole == parts
  steps = [json.loads(line)['step'] for line in whole.splitlines()]
  assert steps == [0, 4, 8, 12]


def test_more_steps_extend_a_run(tiny: configs.Config, tmp_path: pathlib.Path):
  config = everything(tiny)
  train.train(config, tmp_path / 'whole')
  shorter = copy.deepcopy(config)
  shorter.steps = 8
  train.train(shorter, tmp_path / 'parts')
  train.train(config, tmp_path / 'parts')
  assert_identical(
    final_state(tmp_path / 'whole'), final_state(tmp_path / 'parts')
  )


def test_steps_that_share_nothing_with_the_rows(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  """A run of 6 steps, then of 12, with a row every 4: chunks of 2."""
  train.train(tiny, tmp_path / 'whole')
  shorter = copy.deepcopy(tiny)
  shorter.steps = 6
  train.train(shorter, tmp_path / 'parts')
  assert train.train(tiny, tmp_path / 'parts')['step'] == 12
  assert_identical(
    final_state(tmp_path / 'whole'), final_state(tmp_path / 'parts')
  )
  rows = (tmp_path / 'parts' / 'metrics.jsonl').read_text().splitlines()
  assert [json.loads(row)['step'] for row in rows] == [0, 4, 6, 8, 12]


@pytest.mark.parametrize('seeds', [1, 2])
def test_rows_have_what_schedules_move(
  tiny: configs.Config, tmp_path: pathlib.Path, seeds: int
):
  tiny.schedules['optim.gen.learning_rate'] = configs.Schedule(
    'linear', final=0.0, end=12
  )
  tiny.population.seeds = seeds
  tiny.optim.gen.learning_rate = 0.12
  train.train(tiny, tmp_path / 'a')
  rows = writers.read_rows(tmp_path / 'a')
  rates = [row['schedules/optim.gen.learning_rate'] for row in rows]
  if seeds > 1:
    assert all(len(set(rate['members'])) == 1 for rate in rates)
    rates = [rate['mean'] for rate in rates]
  # Of steps 0, 3, 7 and 11, counted from 0.
  np.testing.assert_allclose(rates, [0.12, 0.09, 0.05, 0.01], rtol=1e-5)


def test_a_finished_run_is_told_again(
  tiny: configs.Config,
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
):
  first = train.train(tiny, tmp_path / 'a')
  rows = (tmp_path / 'a' / 'metrics.jsonl').read_text()
  assert train.train(tiny, tmp_path / 'a') == first
  assert (tmp_path / 'a' / 'metrics.jsonl').read_text() == rows
  assert 'is at its last step, 12: done' in capsys.readouterr().err


def test_one_compilation_for_the_whole_run(
  tiny: configs.Config, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  traces = []
  make = program.steps.make_losses

  def counting(*args):
    traces.append(1)
    return make(*args)

  # A step makes its losses once for each time that it is traced.
  monkeypatch.setattr(program.steps, 'make_losses', counting)
  train.train(tiny, tmp_path / 'a')
  assert len(traces) == 1


@pytest.mark.pictures
def test_what_a_run_leaves(tiny: configs.Config, tmp_path: pathlib.Path):
  summary = train.train(tiny, tmp_path / 'a')
  left = {path.name for path in (tmp_path / 'a').iterdir()}
  assert left == {
    'checkpoints', 'config.json', 'evolution.gif', 'figure.png', 'frames',
    'health.png', 'history.jsonl', 'lock', 'metrics.jsonl', 'protocol.json',
    'report.html', 'summary.json', 'tensorboard',
  }  # fmt: skip
  assert json.loads((tmp_path / 'a' / 'summary.json').read_text()) == summary
  keys = {
    'ks', 'wasserstein_1', 'total_variation', 'support_low', 'support_high',
    'd_real', 'd_fake', 'value', 'max_d_gap', 'steps_per_second',
  }  # fmt: skip
  assert keys <= summary.keys()
  stored = json.loads((tmp_path / 'a' / 'config.json').read_text())
  assert stored.keys() == {'format', 'config', 'data', 'sessions'}
  assert {'versions', 'devices', 'commit'} <= stored['sessions'][0].keys()
  restored, _ = workdirs.load(tmp_path / 'a')
  assert build.complete(restored) == build.complete(tiny)


@pytest.mark.pictures
@pytest.mark.parametrize(
  ('seeds', 'data'), [(1, 'normal'), (2, 'normal'), (1, 'digits')]
)
def test_a_run_that_draws_nothing(
  seeds: int, data: str, tiny: configs.Config, tmp_path: pathlib.Path
):
  """The rest is there, and the same."""
  tiny.population.seeds, tiny.data.name = seeds, data
  tiny.log.page = False
  rows = []
  for draws in (True, False):
    tiny.log.pictures, workdir = draws, tmp_path / f'{draws}'
    train.train(tiny, workdir)
    rows.append((workdir / 'metrics.jsonl').read_text())
    drawn = {path.name for path in workdir.glob('*.[pg][ni][gf]')}
    assert ('health.png' in drawn) == draws == bool(drawn)
    assert (workdir / 'frames').is_dir() == (seeds == 1)
    assert (workdir / 'samples').is_dir() == (data == 'digits')
  assert rows[0] == rows[1]


def run_chunk(config: configs.Config, devices: int) -> states.GanState:
  mesh = jax.make_mesh(
    (devices,),
    ('batch',),
    axis_types=(jax.sharding.AxisType.Auto,),
    devices=jax.devices()[:devices],
  )
  keys = program.root_keys(config.seed)
  source = build.make_source(config, keys.data)
  spec = build.make_spec(config, source.info, mesh=mesh)
  hyper = build.make_hyper(config)
  state = build.init_state(spec, hyper, keys.init)
  state, hyper, keys = sharding.replicate((state, hyper, keys), mesh)
  chunk = jax.jit(program.make_steps(spec, source, mesh, 12))
  arrays = sharding.replicate(source.chunk(0, 12), mesh)
  return chunk(state, hyper, arrays, keys)[0]


@pytest.mark.parametrize('latents', ['fresh', 'shared', 'shared_pass'])
@pytest.mark.parametrize('data', ['mixture', 'digits'])
def test_steps_drawn_at_once_are_those_drawn_one_by_one(
  tiny: configs.Config,
  latents: str,
  data: str,
  monkeypatch: pytest.MonkeyPatch,
):
  """Twelve steps as one block, as three and as twelve."""
  tiny.data.name, tiny.latents, tiny.disc_steps = data, latents, 2
  tiny.data.flip = data == 'digits'
  # Adam would blow up the rounding of gradients that are nearly 0.
  tiny.optim.gen.name = tiny.optim.disc.name = 'sgd'
  tiny.optim.gen.learning_rate = tiny.optim.disc.learning_rate = 0.1
  game = program.open_game(tiny)
  arrays = game.source.chunk(0, 12)

  @jax.jit
  def draw(step: jax.Array) -> types.PyTree:
    drawn = program.draw_batch(game.spec, game.source, arrays, game.keys, step)
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(
      lambda x: jax.random.key_data(x) if is_key(x) else x, drawn
    )

  alone = [draw(jnp.int32(step)) for step in range(12)]
  for a, b in zip(
    jax.tree.leaves(jax.jit(jax.vmap(draw))(jnp.arange(12))),
    jax.tree.leaves(jax.tree.map(lambda *x: jnp.stack(x), *alone)),
    strict=True,
  ):
    # The last bit of pixels / 127.5 - 1 is the compiler's.
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-7)
  size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(alone[0]))
  ends = []
  for at_once in (12, 5, 1):
    monkeypatch.setattr(cpu, 'DRAWN_BYTES', at_once * size)
    ends.append(run_chunk(tiny, 1))
  for other in ends[1:]:
    # XLA may fuse the steps of two loops differently.
    for a, b in zip(
      jax.tree.leaves(ends[0]), jax.tree.leaves(other), strict=True
    ):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('microbatches', [1, 2])
def test_four_devices_agree_with_one(microbatches: int, tiny: configs.Config):
  """Batch normalisation in both players: statistics of the global batch."""
  assert jax.device_count() == 4
  tiny.microbatches = microbatches
  tiny.data.name = 'digits'
  tiny.gen.latent_dim = 4
  tiny.gen.net = mlp.GenSettings(width=8, depth=1, batch_norm=True)
  tiny.disc.net = mlp.DiscSettings(width=8, depth=1, batch_norm=True)
  tiny.penalties.r1.weight = 0.1
  # Adam would blow up the rounding of gradients that are exactly 0.
  tiny.optim.gen.name = tiny.optim.disc.name = 'sgd'
  one, four = run_chunk(tiny, 1), run_chunk(tiny, 4)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(four), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
  assert len(four.step.sharding.device_set) == 4


def test_a_checkpoint_of_four_devices_restores_on_one(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  train.train(tiny, tmp_path / 'a')
  code = (
    'import pathlib, sys, jax; from gan_jax.run import trained as run;'
    'state = run.load(pathlib.Path(sys.argv[1])).state;'
    'print(jax.device_count(), int(state.step),'
    ' sum(float(abs(x).sum()) for x in jax.tree.leaves(state.gen.params)))'
  )
  out = subprocess.run(
    [sys.executable, '-c', code, str(tmp_path / 'a')],
    env={**os.environ, 'XLA_FLAGS': ''},
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  ).stdout.split()
  params = jax.tree.leaves(final_state(tmp_path / 'a').gen.params)
  assert out[:2] == ['1', '12']
  total = sum(float(jnp.abs(x).sum()) for x in params)
  assert float(out[2]) == pytest.approx(total, rel=1e-6)
