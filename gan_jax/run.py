"""A run that was trained, for whoever samples from it: no data needed."""

import functools
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from gan_jax import (
  build,
  checkpoint,
  config as configs,
  sharding,
  state as states,
  steps,
  workdir as workdirs,
)
from gan_jax.data import source as sources


class Run(NamedTuple):
  """What a workdir holds.

  Attributes:
    config: that made it.
    info: of the data it was trained on.
    spec: the game.
    state: of the newest checkpoint.
  """

  config: configs.Config
  info: sources.Info
  spec: steps.Spec
  state: states.GanState


def load(workdir: pathlib.Path) -> Run:
  """Restores the newest checkpoint of a run.

  Raises:
    ValueError: there is no run here, or it has no checkpoint yet.
  """
  config, info = workdirs.load(workdir)
  mesh = sharding.make_mesh()
  spec = build.make_spec(config, info)
  template = jax.eval_shape(
    functools.partial(build.init_state, spec),
    build.make_hyper(config),
    jax.random.key(0),
  )
  with checkpoint.Checkpoints(workdir) as saved:
    if saved.latest is None:
      raise ValueError(f'--workdir={workdir}: has no checkpoint yet')
    return Run(config, info, spec, saved.restore(template, mesh))


def draw(run: Run, num: int, *, seed: int, ema: bool) -> Iterator[np.ndarray]:
  """Samples in blocks, a function of (state, seed) alone.

  Args:
    run: from `load`.
    num: how many in all.
    seed: of the latents.
    ema: by the averaged generator, else the live one.

  Yields:
    `[n, ...]` float32 in the units of the data; images in [-1, 1].
  """
  spec, block = run.spec, min(num, 1000)
  key = jax.random.key(seed)
  gen_key, latent_key = jax.random.split(key)
  generator = functools.partial(steps.eval_generator, spec, ema=ema)
  params, vars = jax.jit(generator)(run.state, gen_key)

  @jax.jit
  def sample(index: jax.Array) -> jax.Array:
    z = spec.latent(jax.random.fold_in(latent_key, index), block)
    return steps.sample(spec, params, vars, z)

  for index in range(-(-num // block)):
    yield np.asarray(sample(index))[: num - index * block]
