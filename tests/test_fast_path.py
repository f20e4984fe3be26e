"""A run with the fast convolutions is the run with XLA's own."""

from collections.abc import Callable

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build, compiler, program
from gan_jax.game import state as states
from gan_jax.ops import conv, onednn


def dcgan() -> configs.Config:
  config = configs.Config(batch_size=4)
  config.gen.name = config.disc.name = 'dcgan'
  config.gen.width = config.disc.width = 16
  config.gen.kernel_scale = config.disc.kernel_scale = 0.1
  config.gen.latent_dim = 4
  config.disc.batch_norm = False
  config.penalties.r1.weight = 1.0
  return config


def r3gan() -> configs.Config:
  config = dcgan()
  config.loss = 'relativistic_paired'
  for player in (config.gen, config.disc):
    player.name, player.kernel_scale = 'r3gan', None
    player.depth, player.groups = 1, 2
  config.disc.batch_norm = None
  config.penalties.r2.weight = 1.0
  return config


def play(
  config: configs.Config, size: int, *, stock: bool
) -> tuple[states.GanState, states.GanState]:
  """The states before and after 20 steps of SGD on square noise."""
  for player in (config.optim.gen, config.optim.disc):
    # Adam divides small gradients by themselves: rounding would show whole.
    player.name, player.learning_rate = 'sgd', 0.02
  pixels = np.random.default_rng(0).integers(
    0, 256, (32, size, size, 1), np.uint8
  )
  info = sources.Info('images', (size, size, 1), num_examples=len(pixels))
  drawn = build.samples_per_step(config)
  treatment = sources.Treatment()
  source = sources.images_on_device(pixels, None, info, drawn, treatment)
  spec = build.make_spec(config, info)
  hyper, keys = build.make_hyper(config), program.root_keys(0)
  mesh = jax.make_mesh(
    (1,), ('batch',), axis_types=(AxisType.Auto,), devices=jax.devices()[:1]
  )
  chunk = jax.jit(program.make_steps(spec, source, mesh, 20))
  state = jax.jit(lambda: build.init_state(spec, hyper, keys.init))()
  args = state, hyper, source.chunk(0, 20), keys
  if stock:
    with conv.stock_only():
      lowered = chunk.lower(*args)
    # Compiling is what takes time here.
    compiled = lowered.compile({'xla_backend_optimization_level': 0})
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
  (start, fast), (_, stock) = (
    play(config, size, stock=stock) for stock in (False, True)
  )
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
