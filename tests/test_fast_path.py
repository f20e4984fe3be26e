"""A run with all fast paths is the run with none."""

import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import batching, build, compiler, program
from gan_jax.game import state as states
from gan_jax.networks import dcgan as networks
from gan_jax.ops import cpu, onednn
from gan_jax.storage import workdir as workdirs

ROOT = pathlib.Path(__file__).parent.parent


def dcgan() -> configs.Config:
  config = configs.Config(batch_size=4)
  config.gen.name = config.disc.name = 'dcgan'
  config.gen.net = networks.GenSettings(width=16, kernel_scale=0.1)
  config.disc.net = networks.DiscSettings(
    width=16, kernel_scale=0.1, batch_norm=False
  )
  config.gen.latent_dim = 4
  config.penalties.r1.weight = 1.0
  return config


def r3gan() -> configs.Config:
  config = dcgan()
  config.loss = 'relativistic_paired'
  config.gen.name = config.disc.name = 'r3gan'
  config.gen.net = {'width': 16, 'depth': 1, 'groups': 2}
  config.disc.net = {'width': 16, 'depth': 1, 'groups': 2}
  config.penalties.r2.weight = 1.0
  return config


def play(
  config: configs.Config, size: int
) -> tuple[states.GanState, states.GanState]:
  """The states before and after 20 steps of SGD on square noise."""
  for player in (config.optim.gen, config.optim.disc):
    # Adam divides small gradients by themselves: rounding would show whole.
    player.name, player.learning_rate = 'sgd', 0.02
  pixels = np.random.default_rng(0).integers(
    0, 256, (32, size, size, 1), np.uint8
  )
  info = sources.Info('images', (size, size, 1), num_examples=len(pixels))
  shape = build.step_shape(config)
  treatment = sources.Treatment()
  marginals = sources.from_means(pixels.mean(axis=0))
  source = sources.images_on_device(
    pixels, None, info, shape, treatment, marginals=marginals
  )
  spec = build.make_spec(config, info)
  hyper, keys = build.make_hyper(config), program.root_keys(0)
  mesh = jax.make_mesh(
    (1,), ('batch',), axis_types=(AxisType.Auto,), devices=jax.devices()[:1]
  )
  chunk = jax.jit(program.make_steps(spec, source, mesh, 20))
  state = jax.jit(lambda: build.init_state(spec, hyper, keys.init))()
  args = state, hyper, source.chunk(0, 20), keys
  if cpu.is_stock():
    # Compiling is what takes time here.
    options = {'xla_backend_optimization_level': 0}
    compiled = chunk.lower(*args).compile(options)
  else:
    compiled = compiler.compile(chunk, *args)
    groups = config.gen.name == 'r3gan'
    assert (onednn.TARGET in compiled.as_text()) == groups
  start = jax.device_get(state)  # The state itself is donated.
  return start, compiled(*args)[0]


@pytest.mark.parametrize(('make', 'size'), [(dcgan, 16), (r3gan, 8)])
def test_a_run_agrees_with_stock_xla(
  make: Callable[[], configs.Config], size: int
):
  """Twenty steps with R1: derivatives of the second order, and batch norm."""
  config = make()
  start, fast = play(config, size)
  with cpu.stock():
    _, stock = play(config, size)
  assert int(fast.step) == 20
  for player in ('gen', 'disc'):
    before, ours, theirs = (
      np.concatenate(
        [np.ravel(leaf) for leaf in jax.tree.leaves(getattr(s, player).params)]
      )
      for s in (start, fast, stock)
    )
    moved = np.abs(theirs - before).max()
    assert moved > 1e-3
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3 * moved)


def test_stock_steps_draw_for_themselves(tiny: configs.Config):
  game = program.open_game(tiny)
  args = game.start(), game.hyper, game.source.chunk(0, 12), game.keys

  def lengths() -> list[str]:
    """Of the loops in a chunk of twelve steps."""
    run = program.make_steps(game.spec, game.source, None, 12)
    return re.findall(r'length=(\d+)', str(jax.make_jaxpr(run)(*args)))

  assert sorted(lengths()) == ['1', '12']
  with cpu.stock():
    assert lengths() == ['12']


def test_stock_members_are_side_by_side():
  assert batching.choose_at_once(7, 10**9) == 1
  with cpu.stock():
    assert batching.choose_at_once(7, 10**9) == 7


def test_the_switch_for_all_threads():
  """It is for good: hence a process of its own."""
  program = (
    'import threading, jax; from gan_jax.ops import cpu, linear;'
    'f = jax.jit(linear.relu); show = lambda: print(f.trace(1.0).jaxpr);'
    'show(); cpu.set_stock(); show();'
    'threading.Thread(target=show).start()'
  )
  done = subprocess.run(
    [sys.executable, '-c', program],
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.count('select_n') == 1
  assert done.stdout.count(' max ') == 2


def test_a_stock_run_is_replayed_as_one(tmp_path: pathlib.Path):
  def python(*arguments: str) -> str:
    return subprocess.run(
      [sys.executable, '-m', *arguments, f'--workdir={tmp_path}/run'],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=True,
    ).stdout

  python(
    'experiments.train', '--stock',
    f'--config={ROOT}/experiments/configs/gaussian_1d.py',
    '--config.steps=40', '--config.log_every=20', '--config.eval.every=20',
    '--config.checkpoint.every=20', '--config.eval.num_samples=64',
  )  # fmt: skip
  assert workdirs.sessions(tmp_path / 'run')[-1]['stock']
  told = python('experiments.replay', '--steps=20')
  assert 'flags and commit are those of the run' in told
  assert 'identical throughout' in told
