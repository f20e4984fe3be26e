"""What is wrong with a configuration, before anything is built."""

import copy
import difflib
import math
from collections.abc import Iterator

from gan_jax.config import fields as configs, values

# The least value of a field, wherever in the configuration it stands.
_AT_LEAST = {
  'seed': 0, 'steps': 1, 'batch_size': 1, 'disc_steps': 1, 'packing': 1,
  'log_every': 1, 'every': 1, 'keep': 1, 'latent_dim': 1, 'width': 1,
  'depth': 1, 'groups': 1, 'pieces': 1, 'num_samples': 1, 'size': 0,
  'num_points': 0, 'keep_every': 0, 'at_once': 0, 'seeds': 1,
  'device_limit_gb': 0, 'begin': 0, 'end': 0, 'final': 0,
  'learning_rate': 0, 'eps': 0, 'rate': 0, 'weight': 0, 'half_life': 0,
  'kernel_scale': 0, 'consensus_weight': 0, 'sga_weight': 0,
  'lookahead_steps': 1, 'unroll_steps': 1,
}  # fmt: skip


# Fields whose choices are not functions.
_CHOICES = {
  'nonfinite': ('stop', 'skip', 'continue'),
  'checkpoint.best_mode': ('min', 'max'),
}


# Fields that lie in [0, 1).
_FRACTIONS = ('b1', 'b2', 'decay', 'input_dropout', 'hidden_dropout')


def validate(config: configs.Config) -> None:
  """Checks what can be known without building or compiling anything.

  Raises:
    ValueError: one line that names the field, its value and what is accepted.
  """
  values.from_dict(
    values.to_dict(config)
  )  # Where a value is not of its field's type.
  for line in _problems(config):
    raise ValueError(line)


def warnings(config: configs.Config) -> Iterator[str]:
  """One line for each thing that is allowed, and hardly meant."""
  length = math.gcd(config.steps, config.log_every)
  if length < min(config.steps, config.log_every):
    yield (
      f'steps={config.steps:,} is no multiple of log_every={config.log_every}, '
      f'so that {length} at a time are run, and a row is their mean'
    )
  for player in ('gen', 'disc'):
    field = f'optim.{player}.learning_rate'
    schedule = getattr(config.optim, player).learning_rate_schedule
    falls = schedule.kind in ('linear', 'cosine') and schedule.final == 0
    if falls and schedule.end < config.steps:
      yield (
        f'{field} is 0 from step {schedule.end:,} on, and '
        f'steps={config.steps:,}: {field}_schedule.end says when'
      )


def _problems(config: configs.Config) -> Iterator[str]:
  """One line for each thing that is wrong."""
  leaves = values.flatten(config)
  for name, value in leaves.items():
    last = name.rpartition('.')[2]
    if isinstance(value, float) and not math.isfinite(value):
      yield f'{name}={value}: must be finite'
    if value is not None and last in _AT_LEAST and value < _AT_LEAST[last]:
      yield f'{name}={value}: must be at least {_AT_LEAST[last]}'
    if value is not None and last in _FRACTIONS and not 0 <= value < 1:
      yield f'{name}={value}: must be at least 0 and below 1'
    if last == 'kind' and value in ('linear', 'cosine'):
      begin, end = (leaves[name[:-4] + edge] for edge in ('begin', 'end'))
      if end <= begin:
        yield f'{name[:-4]}end={end}: must be after begin={begin}'
  for name in ('eval.every', 'checkpoint.every'):
    if leaves[name] % config.log_every:
      yield (
        f'{name}={leaves[name]}: must be a multiple of '
        f'log_every={config.log_every}'
      )
  if config.eval.num_samples < config.packing:
    yield (
      f'eval.num_samples={config.eval.num_samples}: must be at least '
      f'packing={config.packing}'
    )
  for name, accepted in _CHOICES.items():
    if leaves[name] not in accepted:
      yield f'{name}={leaves[name]!r}: must be {" or ".join(accepted)}'
  if config.checkpoint.keep_every % config.checkpoint.every:
    yield (
      f'checkpoint.keep_every={config.checkpoint.keep_every}: must be a '
      f'multiple of checkpoint.every={config.checkpoint.every}'
    )
  best = config.checkpoint.best
  if best and not best.startswith('eval/'):
    yield f"checkpoint.best={best!r}: must be one of the rows' 'eval/' figures"
  if best and config.checkpoint.every % config.eval.every:
    yield (
      f'checkpoint.every={config.checkpoint.every}: must be a multiple of '
      f'eval.every={config.eval.every} for checkpoint.best to be known'
    )
  yield from _population_problems(config)
  if not 0 < config.game.lookahead_alpha <= 1:
    yield (
      f'game.lookahead_alpha={config.game.lookahead_alpha}: must be above 0 '
      'and at most 1'
    )
  if config.data.channels not in (0, 1, 3):
    yield f'data.channels={config.data.channels}: must be 0, 1 or 3'
  if config.data.stack not in (1, 3):
    yield f'data.stack={config.data.stack}: must be 1 or 3'


def _population_problems(config: configs.Config) -> Iterator[str]:
  field = 'population.vary'
  known = values.swept(config)
  varied = config.population.vary
  sizes = {len(tried) for tried in varied.values()}
  if sizes == {1} and config.population.seeds == 1:
    yield (
      f'{field}: one value and population.seeds=1 make no population; set '
      f'{" and ".join(varied)} itself'
    )
  for name, tried in varied.items():
    if name not in known:
      if name in values.flatten(config):
        yield (
          f'{field}: {name} changes the program, so its values are rows of a '
          'table (python -m experiments.table), not members of a population'
        )
      near = difflib.get_close_matches(name, known, n=1)
      hint = f' (did you mean {near[0]}?)' if near else ''
      yield f'{field}: {name} is no number of the step{hint}'
    if not tried:
      yield f'{field}: {name} has no values'
    if len(set(tried)) < len(tried):
      yield f'{field}: {name} has a value twice'
    if name == 'ema.half_life' and 0 in tried and len(tried) > 1:
      yield (
        f'{field}: ema.half_life=0 samples another generator, so it is a row '
        'of a table (python -m experiments.table)'
      )
    for value in tried:
      trial = copy.deepcopy(config)
      trial.population = configs.Population()
      values.assign(trial, name, value)
      yield from _problems(trial)
