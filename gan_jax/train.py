"""The loop: chunks of steps on the device, and what happens between them."""

import functools
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from gan_jax import (
  build,
  checkpoint,
  config as configs,
  reports,
  sharding,
  state as states,
  steps,
  types,
  workdir as workdirs,
  writers,
)
from gan_jax.data import source as sources


class Keys(NamedTuple):
  """One key for each use of the seed."""

  init: jax.Array
  data: jax.Array
  steps: jax.Array
  eval: jax.Array


def root_keys(seed: int) -> Keys:
  return Keys(*jax.random.split(jax.random.key(seed), len(Keys._fields)))


def make_chunk(
  spec: steps.Spec, source: sources.Source, mesh: Mesh, length: int
) -> jax.stages.Wrapped:
  """Makes `chunk(state, hyper, arrays, keys) -> (state, logs)`.

  One jitted call of `length` steps in a `lax.scan`, each of which draws its
  batch and is keyed by its own number. The state is donated; `logs` are means
  over the steps.
  """
  train_step = steps.make_train_step(spec)

  def rounds(x: jax.Array) -> jax.Array:
    return x.reshape(-1, spec.batch_size, *x.shape[1:])

  @functools.partial(jax.jit, donate_argnums=0)
  def chunk(
    state: states.GanState,
    hyper: types.Hyper,
    arrays: types.PyTree,
    keys: Keys,
  ) -> tuple[states.GanState, types.Logs]:
    def body(
      state: states.GanState, _: None
    ) -> tuple[states.GanState, types.Logs]:
      batch = source.batch(arrays, keys.data, state.step)
      batch = jax.tree.map(rounds, batch)
      batch = sharding.split_batch(batch, mesh, axis=1)
      key = jax.random.fold_in(keys.steps, state.step)
      return train_step(state, hyper, batch, key)

    state, logs = jax.lax.scan(body, state, None, length=length)
    return state, jax.tree.map(jnp.mean, logs)

  return chunk


def train(config: configs.Config, workdir: pathlib.Path) -> dict[str, Any]:
  """Runs an experiment to its end, from where its last checkpoint left it.

  Args:
    config: what to run.
    workdir: the run's folder; made if it is not there.

  Returns:
    The figures of `summary.json`.

  Raises:
    ValueError: one line on what the user got wrong; nothing has been written
      by then.
  """
  configs.validate(config)
  mesh = sharding.make_mesh()
  sharding.check_divides(mesh, config.batch_size)
  workdirs.check(workdir, config)
  keys = root_keys(config.seed)
  source = build.make_source(config, keys.data)
  spec = build.make_spec(
    config, source.info, mesh=mesh, marginals=source.marginals
  )
  hyper = build.make_hyper(config)
  workdirs.claim(workdir, config, source.info)

  make_state = functools.partial(build.init_state, spec)
  with checkpoint.Checkpoints(workdir, keep=config.checkpoint.keep) as saved:
    fresh = saved.latest is None
    if fresh:
      state = sharding.replicate(jax.jit(make_state)(hyper, keys.init), mesh)
    else:
      template = jax.eval_shape(make_state, hyper, keys.init)
      state = saved.restore(template, mesh)
    finished = workdirs.read_summary(workdir)
    if finished and finished['step'] == int(state.step) == config.steps:
      return finished
    with writers.Writers(
      workdir,
      step=None if fresh else int(state.step),
      steps=config.steps,
      step_samples=build.samples_per_step(config),
    ) as sinks:
      report = reports.make_report(
        config, spec, source, keys.eval, workdir, sinks
      )
      if fresh:
        sinks.write(0, report.frame(state), steps_per_second=0.0)
      # The longest chunk that ends at every row and at the last step.
      length = math.gcd(config.log_every, config.steps)
      chunk = functools.partial(
        make_chunk(spec, source, mesh, length),
        hyper=sharding.replicate(hyper, mesh),
        keys=sharding.replicate(keys, mesh),
      )
      batches = _batches(source, mesh, length)
      state, speed = _play(
        config, state, length, chunk, batches, report, saved, sinks
      )
      summary = {
        'step': int(state.step),
        **report.finish(state),
        'steps_per_second': speed,
      }
  workdirs.write_json(workdir / 'summary.json', summary)
  return summary


def _batches(
  source: sources.Source, mesh: Mesh, length: int
) -> Callable[[int], types.PyTree]:
  """Makes `batches(step)`: the arrays of the chunk at `step`, on the devices.

  A set that is the same for every chunk is copied to them once.
  """
  held: list[types.PyTree] = [None, None]

  def batches(step: int) -> types.PyTree:
    arrays = source.chunk(step, length)
    if arrays is not held[0]:
      held[:] = arrays, sharding.replicate(arrays, mesh)
    return held[1]

  return batches


def _play(
  config: configs.Config,
  state: states.GanState,
  length: int,
  chunk: Callable[..., tuple[states.GanState, types.Logs]],
  batches: Callable[[int], types.PyTree],
  report: reports.Report,
  saved: checkpoint.Checkpoints,
  sinks: writers.Writers,
) -> tuple[states.GanState, float | None]:
  """Runs the chunks that are left; returns the last state and steps a second.

  The speed is of the chunks alone, without the first, which compiles, and
  without reports and checkpoints; None where there was but one.
  """
  step, times = int(state.step), []
  while step < config.steps:
    arrays = batches(step)
    began = time.monotonic()
    state, logs = chunk(state, arrays=arrays)
    row = {name: float(value) for name, value in jax.device_get(logs).items()}
    times.append(time.monotonic() - began)
    step += length
    last = step == config.steps
    if last or step % config.eval.every == 0:
      row |= report.frame(state)
    if last or step % config.log_every == 0:
      sinks.write(step, row, steps_per_second=length / times[-1])
    if last or step % config.checkpoint.every == 0:
      saved.save(state)
  steady = times[1:]
  return state, length * len(steady) / sum(steady) if steady else None
