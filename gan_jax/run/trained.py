"""A run that was trained, for whoever samples from it: no data needed."""

import copy
import functools
import math
import pathlib
import sys
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from gan_jax import types
from gan_jax.config import fields as configs, values
from gan_jax.data import source as sources
from gan_jax.engine import batching, build, sharding
from gan_jax.game import posthoc, sampling, spec as specs, state as states
from gan_jax.run import halving as rungs
from gan_jax.storage import averages, checkpoint, workdir as workdirs
from gan_jax.study import halving, population


class Run(NamedTuple):
  """What a workdir holds.

  Attributes:
    config: that made it; a member's own, if it is one.
    info: of the data it was trained on.
    spec: the game.
    state: of the newest checkpoint.
  """

  config: configs.Config
  info: sources.Info
  spec: specs.Spec
  state: states.GanState


def load(
  workdir: pathlib.Path,
  which: str = 'latest',
  member: int | None = None,
  *,
  ema: bool | None = None,
  ema_length: float | None = None,
) -> Run:
  """Restores a checkpoint of a run, which may be in training.

  Args:
    workdir: of the run.
    which: 'latest'; 'best', by the run's own `checkpoint.best`; or a step.
    member: which run of a population.
    ema: whether the averaged generator is evaluated; None as in training.
    ema_length: of the average that is evaluated; None as in training.

  Raises:
    ValueError: there is no run here, or no such checkpoint, member or average,
      or it is damaged, or an average of the live generator is asked for.
  """
  if ema is False and ema_length is not None:
    raise ValueError('--ema=false and --ema_length: give one of them')
  config, info = workdirs.load(workdir)
  config = build.complete(config)
  if ema is not None:
    config.eval.ema = ema
  single = _member_config(workdir, config, member)
  rows = rungs.rows(config, workdir)
  last = math.inf
  if member is not None:
    last = halving.last_steps(config, halving.dropped(config, rows))[member]
  spec = build.make_spec(population.program_config(config), info)
  template = jax.eval_shape(
    functools.partial(build.init_state, spec),
    build.make_hyper(config),
    jax.random.key(0),
  )
  step = None
  with checkpoint.Checkpoints(workdir) as saved:
    try:
      step = _chosen(workdir, config, saved, which, last)
      playing = halving.playing(config, rows, step)
      if member is not None:
        template = _of_members(template, len(playing))
      mesh = sharding.local_mesh(sharding.make_mesh())
      where = sharding.state_sharding(template, mesh, 'replicated')
      state = saved.restore(sharding.abstract(template, where), step)
      if member is not None:
        state = batching.take(state, playing.index(member))
      run = Run(single, info, build.make_spec(single, info), state)
    except checkpoint.DamagedError as error:
      others = ', '.join(str(other) for other in saved.steps if other != step)
      raise ValueError(
        f'--workdir={workdir}: the {which} checkpoint is damaged ({error}); '
        f'there are {f"those of steps {others}" if others else "no others"}'
      ) from None
  if ema_length is None:
    return run
  return _at_length(workdir, run, ema_length, member)


def fitted(state: states.GanState, form: states.GanState) -> states.GanState:
  """A member's state without what only the program of all members needs.

  That is the memory of terms whose weight is 0 here, and transforms without
  arrays of an optimiser that does not clip.

  Args:
    state: of a member, or of a run, which is left as it is.
    form: of the member's own program (`jax.eval_shape` of its first state).
  """
  own = state._replace(
    memory={name: state.memory[name] for name in form.memory}
  )
  found: states.GanState = jax.tree.unflatten(
    jax.tree.structure(form), jax.tree.leaves(own)
  )
  return found


def _at_length(
  workdir: pathlib.Path, run: Run, length: float, member: int | None
) -> Run:
  """The same run, evaluated by its average of a length."""
  average, about = averages.reconstruct(workdir, run.state, length, member)
  print(f'ema_length={length:g}: {about}', file=sys.stderr)
  own = {**run.state.memory[posthoc.MEMORY], posthoc.name(length): average}
  memory = {**run.state.memory, posthoc.MEMORY: own}
  run.config.eval.ema, run.config.eval.ema_length = True, length
  return run._replace(
    spec=run.spec._replace(ema_length=length),
    state=run.state._replace(memory=memory),
  )


def _of_members(template: states.GanState, count: int) -> states.GanState:
  """Shapes `[count, ...]`."""
  stacked: states.GanState = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), template
  )
  return stacked


def _member_config(
  workdir: pathlib.Path, config: configs.Config, member: int | None
) -> configs.Config:
  """The configuration of the run that is meant."""
  members = population.members(config)
  if len(members) == 1 and member is None:
    return config
  if len(members) == 1:
    raise ValueError(f'--member={member}: {workdir} is a single run')
  if member is None or not 0 <= member < len(members):
    given = '' if member is None else f'={member}'
    raise ValueError(
      f'--member{given}: must be one of the members 0 to {len(members) - 1} of '
      f'the population {workdir}'
    )
  return population.member_config(config, members[member])


def _chosen(
  workdir: pathlib.Path,
  config: configs.Config,
  saved: checkpoint.Checkpoints,
  which: str,
  last: float,
) -> int:
  """The step of the checkpoint that `which` names; none is after `last`."""
  if not saved.steps:
    raise ValueError(f'--workdir={workdir}: has no checkpoint yet')
  there = [step for step in saved.steps if step <= last]
  gone = f'the member was dropped after step {last:,}'
  if not there:
    raise ValueError(f'--workdir={workdir}: {gone}, and no checkpoint has it')
  if which == 'latest':
    return there[-1]
  if which == 'best':
    settings = config.checkpoint
    if not settings.best:
      raise ValueError(
        f'--checkpoint=best: {workdir} was trained without checkpoint.best, '
        'which says by which figure'
      )
    step = saved.best(settings.best, settings.best_mode)
    if step is None:
      raise ValueError(
        f'--workdir={workdir}: no checkpoint has the figure '
        f'checkpoint.best={settings.best!r} of its run'
      )
    if step not in there:
      raise ValueError(f'--checkpoint=best: is of step {step:,}, and {gone}')
    return step
  if not which.isdecimal() or int(which) not in there:
    why = f' ({gone})' if len(there) < len(saved.steps) else ''
    raise ValueError(
      f'--checkpoint={which}: there are latest, best and '
      f'{", ".join(map(str, there))}{why}'
    )
  return int(which)


def samples(
  run: Run, num: int, *, seed: int, labels: np.ndarray | None = None
) -> Iterator[types.Batch]:
  """Samples in blocks, a function of (state, seed, labels) alone.

  Args:
    run: from `load`. Its configuration says which generator, as in training,
      and how its latents are truncated or driven by D.
    num: how many in all.
    seed: of the latents.
    labels: `[num]`, the classes to ask for; None asks as often as the data
      have them, in a game of classes.

  Yields:
    `[n, ...]` float32 in the units of the data; images in [-1, 1].

  Raises:
    ValueError: its generator has nothing to truncate, or D cannot drive it, or
      drives it to what is not finite.
  """
  settings = run.config.eval
  sampler = build.make_sampler(run.config, run.spec, num, labels)
  for batch in sampler.samples(run.state, jax.random.key(seed)):
    if settings.langevin_steps and not np.isfinite(batch.x).all():
      raise ValueError(
        f'eval.langevin_rate={settings.langevin_rate}: samples are not finite; '
        'set less'
      )
    yield batch


def generator(run: Run) -> tuple[types.PyTree, types.PyTree]:
  """Parameters and variables of the generator that is evaluated.

  Args:
    run: from `load`; its configuration says which. Should it need batch
      statistics of its own, they are collected.
  """
  ema = values.uses_ema(run.config)
  make = functools.partial(sampling.eval_generator, run.spec, ema=ema)
  found: tuple[types.PyTree, types.PyTree]
  found = jax.jit(make)(run.state)
  return found


def in_float32(run: Run) -> Run:
  """The same run, with networks and products of float32, whatever it has."""
  config = copy.deepcopy(run.config)
  config.precision, config.matmul_precision = 'float32', 'highest'
  # That of an average of any length need not be in ema.posthoc.
  config.eval.ema_length = None
  spec = build.make_spec(config, run.info)
  config.eval.ema_length = run.config.eval.ema_length
  spec = spec._replace(ema_length=run.spec.ema_length)
  return run._replace(config=config, spec=spec)


def check_pictures(run: Run, asked: str) -> None:
  """Raises ValueError, beginning with `asked`, for samples that are no images.

  A png has one channel or three.
  """
  if run.info.kind != 'images':
    raise ValueError(
      f'{asked}: the samples of this run are points, no images, for which '
      'experiments.sample has --out=FILE.npz'
    )
  channels = run.info.shape[-1]
  if channels not in (1, 3):
    raise ValueError(
      f'{asked}: pictures have 1 or 3 channels, and these samples {channels}'
    )


def _count_classes(run: Run, asked: str) -> int:
  """Those of a game that has some; `asked` is the flag that needs them."""
  count = build.count_classes(run.config, run.info)
  if not count:
    raise ValueError(f'{asked}: this run is not of a conditional game')
  return count


def labels_of_each_class(run: Run, each: int, flag: str) -> np.ndarray:
  """So many times the number of each class that the data have samples of.

  Args:
    run: from `load`.
    each: samples of a class.
    flag: which asks for them.

  Returns:
    `[K * each]` int32, one class after another.

  Raises:
    ValueError: the game has no classes.
  """
  _count_classes(run, f'--{flag}={each}')
  return np.repeat(np.flatnonzero(run.info.class_shares), each).astype(np.int32)


def class_of(run: Run, text: str, flag: str = 'class') -> int:
  """The number of a class, by its name or its number.

  Args:
    run: from `load`.
    text: as a flag has it.
    flag: its name.

  Raises:
    ValueError: the game has no classes, or not this one, or its data have no
      sample of it.
  """
  count = _count_classes(run, f'--{flag}={text}')
  # Classes of a stack are numbers alone.
  names = run.info.class_names if len(run.info.class_names) == count else ()
  if text in names:
    number = names.index(text)
  elif text.isdecimal() and int(text) < count:
    number = int(text)
  else:
    there = ', '.join(names) or f'0 to {count - 1}'
    raise ValueError(
      f'--{flag}={text}: there is no such class; there are {there}'
    )
  if not run.info.class_shares[number]:
    raise ValueError(f'--{flag}={text}: no sample of the data is of this class')
  return number
