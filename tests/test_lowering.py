"""A step of every network lowers for GPU and TPU, on a machine without one."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build, names
from gan_jax.game import draws, steps
from tests import test_experiments as programs

CLASSES = 3


def takes_labels(name: str) -> bool:
  modules = names.NETWORKS[name].Generator, names.NETWORKS[name].Discriminator
  return all(
    'classes' in {f.name for f in dataclasses.fields(module)}
    for module in modules
  )


def game(name: str) -> tuple[configs.Config, sources.Info]:
  """Conditional where it can be, in bfloat16, with R1 at every other step."""
  config = configs.Config(batch_size=4, precision='bfloat16')
  config.gen.name = config.disc.name = name
  config.gen.latent_dim, config.gen.latent = 8, 'normal'
  config.conditional = takes_labels(name)
  config.penalties.r1.weight, config.penalties.r1.every = 1.0, 2
  if name == 'mlp':  # One is enough: what D sees does not depend on it.
    config.augment.policy, config.augment.adapt = 'ada.bgcfnc', 'sign'
  config = build.complete(config)
  config.gen.net = programs.shrunken(config.gen.net, 8)
  config.disc.net = programs.shrunken(config.disc.net, 8)
  shares = (1 / CLASSES,) * CLASSES
  return config, sources.Info('images', (32, 32, 3), class_shares=shares)


@pytest.mark.parametrize('name', names.NETWORKS)
def test_a_step_lowers_for_gpu_and_tpu(name: str):
  config, info = game(name)
  spec = build.make_spec(config, info)
  hyper = build.make_hyper(config)
  key = jax.random.key(0)
  state = jax.eval_shape(lambda: build.init_state(spec, hyper, key))

  def step(state: Any, key: jax.Array) -> Any:
    x = jnp.zeros((1, 4, 32, 32, 3))
    label = jnp.zeros((1, 4), jnp.int32) if config.conditional else None
    draw = draws.draw_step(spec, key)
    return steps.make_step(spec)(state, hyper, types.Batch(x, label), draw)

  traced = jax.jit(step).trace(state, key)
  for platform in ('cuda', 'tpu'):
    lowered = traced.lower(lowering_platforms=(platform,)).as_text()
    # Nothing is called that only the CPU has.
    assert 'onednn' not in lowered
    assert 'xbf16>' in lowered
