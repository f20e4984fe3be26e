"""What is wrong with a configuration, before anything is built."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from gan_jax.config import declare, fields as configs, halving, idle, values

# Schedules without an end.
_ENDLESS = ('exponential', 'inverse_sqrt')
# The step has its numbers in float32.
_LARGEST = float(np.finfo(np.float32).max)


def validate(config: configs.Config) -> None:
  """Checks what can be known without building or compiling anything.

  Raises:
    ValueError: one line that names the field, its value and what is accepted.
  """
  fields(config)
  for line in _problems(config):
    raise ValueError(line)


def fields(settings: Any, prefix: str = '') -> None:
  """Checks each field of a dataclass by itself, as `declare` has it.

  Args:
    settings: a configuration, a group of it, or a network's settings.
    prefix: of the dotted names.

  Raises:
    ValueError: one line on the first that is wrong.
  """
  for leaf in values.leaves(settings, prefix):
    values.typed(leaf.name, leaf.value, leaf.hint)
    for line in _outside(leaf.name, leaf.value, leaf.facts):
      raise ValueError(line)


def warnings(config: configs.Config) -> Iterator[str]:
  """One line for each thing that is allowed, and hardly meant."""
  length = values.chunk_length(config)
  if length < min(config.steps, config.log_every):
    begun = f' or branch_from={config.branch_from}' * bool(config.branch_from)
    yield (
      f'steps={config.steps:,}{begun} is no multiple of '
      f'log_every={config.log_every}, so that {length} at a time are run, and '
      'a row is their mean'
    )
  for name, schedule in config.schedules.items():
    falls = schedule.kind not in _ENDLESS and schedule.final == 0
    end = schedule.end
    if schedule.unit == 'samples':
      end = math.ceil(end / values.batch_samples(config))
    if name.endswith('learning_rate') and falls and end < config.steps:
      yield (
        f'{name} is 0 from step {end:,} on, and steps={config.steps:,}: '
        f'schedules.{name}.end says when'
      )
  found, shown = (
    values.largest_weight(config, name) for name in ('infogan', 'infogan_gen')
  )
  if found and not shown:
    yield (
      f'penalties.infogan.weight={found}: D learns to find codes that G does '
      'not learn to show; penalties.infogan_gen.weight is 0'
    )
  yield from idle.warnings(config)


def _problems(config: configs.Config) -> Iterator[str]:
  """One line for each thing that is wrong."""
  leaves = values.flatten(config)
  for name in values.swept(config):
    if name.startswith(('gen.net.', 'disc.net.')):
      yield (
        f'{name}: is declared with swept=True, and a network takes its '
        'settings when the program is made; declare it without'
      )
  yield from _schedule_problems(config)
  if config.gen.codes == 1:
    yield 'gen.codes=1: tells nothing; set 2 or more, or 0'
  if config.init_from and config.branch_from:
    yield (
      f'init_from={config.init_from}: branch_from={config.branch_from} takes '
      'the weights with the state; leave one of them out'
    )
  posthoc = ('ema.posthoc_every',) if config.ema.posthoc else ()
  for name in ('eval.every', 'checkpoint.every', *posthoc):
    if leaves[name] % config.log_every:
      yield (
        f'{name}={leaves[name]}: must be a multiple of '
        f'log_every={config.log_every}'
      )
  if config.batch_size % config.microbatches:
    yield (
      f'microbatches={config.microbatches}: must divide '
      f'batch_size={config.batch_size}'
    )
  if config.eval.num_samples < config.packing:
    yield (
      f'eval.num_samples={config.eval.num_samples}: must be at least '
      f'packing={config.packing}'
    )
  if config.checkpoint.keep_every % config.checkpoint.every:
    yield (
      f'checkpoint.keep_every={config.checkpoint.keep_every}: must be a '
      f'multiple of checkpoint.every={config.checkpoint.every}'
    )
  best = config.checkpoint.best
  if best.startswith('eval/'):
    name = best.removeprefix('eval/')
    yield f"checkpoint.best={best!r}: is written without 'eval/', as {name!r}"
  if best and config.checkpoint.every % config.eval.every:
    yield (
      f'checkpoint.every={config.checkpoint.every}: must be a multiple of '
      f'eval.every={config.eval.every} for checkpoint.best to be known'
    )
  yield from _population_problems(config)
  yield from halving.problems(config)


def _outside(name: str, value: Any, facts: declare.Facts) -> Iterator[str]:
  """A line where a value is not within what its field declares."""
  if isinstance(value, float) and not math.isfinite(value):
    yield f'{name}={value}: must be finite'
  elif facts.swept and abs(value) > _LARGEST:
    yield f'{name}={value:g}: must be within float32, {_LARGEST:.1e}'
  elif not facts.accept(value):
    hint = values.near(value, facts.choices, repr) if facts.choices else ''
    yield f'{name}={value!r}: must be {facts.accepted()}{hint}'


def _schedule_problems(config: configs.Config) -> Iterator[str]:
  """Where what moves is not a swept number, or would leave its bounds."""
  known = values.movable(config)
  for name, schedule in config.schedules.items():
    field = f'schedules.{name}'
    if name not in known:
      yield f'{field}: {values.not_swept(name, known)}'
      continue
    yield from _outside(f'{field}.final', schedule.final, known[name])
    if schedule.ramp and not known[name].accept(0.0):
      yield (
        f'{field}.ramp={schedule.ramp}: would begin at 0, and {name} must be '
        f'{known[name].accepted()}'
      )
    if schedule.kind not in _ENDLESS and schedule.end <= schedule.begin:
      if schedule.end:
        wrong = f'must be after begin={schedule.begin}'
      else:
        each = values.batch_samples(config) if schedule.unit == 'samples' else 1
        wrong = f'must be given, such as {each * config.steps}, of all steps'
      yield f'{field}.end={schedule.end}: {wrong}'
    if schedule.kind in _ENDLESS and schedule.end:
      yield f'{field}.end={schedule.end}: {schedule.kind!r} has no end'
    if schedule.kind != 'exponential' and schedule.rate:
      yield f"{field}.rate={schedule.rate}: applies to kind 'exponential' only"
    varied = f'{field}.rate' in config.population.vary
    if schedule.kind == 'exponential' and not (schedule.rate or varied):
      yield f'{field}.rate=0: must be more than 0, or the number stays'
    if schedule.kind == 'inverse_sqrt' and not schedule.begin:
      yield f'{field}.begin=0: must be at least 1, from where it falls'


def _population_problems(config: configs.Config) -> Iterator[str]:
  field = 'population.vary'
  known = values.swept(config)
  varied = config.population.vary
  sizes = {len(tried) for tried in varied.values()}
  if varied or config.population.seeds > 1:
    if config.data.placement == 'split':
      yield (
        "data.placement='split': each member of a population is on one device, "
        "which needs all images; set data.placement='copy'"
      )
    if config.sharding == 'fsdp':
      yield (
        "sharding='fsdp': each member of a population is on one device, whole"
      )
  if config.seed + config.population.seeds > 2**32:
    yield (
      f'population.seeds={config.population.seeds}: the last seed would be '
      f'above {2**32 - 1}'
    )
  if sizes == {1} and config.population.seeds == 1:
    yield (
      f'{field}: one value and population.seeds=1 make no population; set '
      f'{" and ".join(varied)} itself'
    )
  for name, tried in varied.items():
    if name not in known:
      if name == 'seed':
        yield f'{field}: population.seeds says how many seeds there are'
      if name in values.flatten(config):
        yield (
          f'{field}: {name} changes the program, so its values are rows of a '
          'table (python -m experiments.table), not members of a population'
        )
      yield f'{field}: {values.not_swept(name, known)}'
    if not tried:
      yield f'{field}: {name} has no values'
    if len(set(tried)) < len(tried):
      yield f'{field}: {name} has a value twice'
    of_ema = 'ema.half_life', 'schedules.ema.half_life.final'
    if name in of_ema and 0 in tried and len(tried) > 1:
      yield (
        f'{field}: {name}=0 samples another generator, so it is a row '
        'of a table (python -m experiments.table)'
      )
    for value in tried:
      trial = copy.deepcopy(config)
      trial.population = configs.Population()
      values.assign(trial, name, value)
      for leaf in values.leaves(trial):
        yield from _outside(leaf.name, leaf.value, leaf.facts)
      yield from _problems(trial)
