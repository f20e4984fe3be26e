"""When a population halves, and to how many settings.

Successive halving (Jamieson & Talwalkar 2016, algorithm 1): all settings get a
small budget, and only the better share of them the next, larger one.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from gan_jax.config import fields as configs


class Rung(NamedTuple):
  """A step after which settings are dropped.

  Attributes:
    step: after this one.
    settings: how many go on.
  """

  step: int
  settings: int


def rungs(config: configs.Config) -> list[Rung]:
  """All of a valid configuration, in order; none where nothing is dropped."""
  count, passed = _count(config), []
  for step in _steps(config):
    # In floating point, .29 * 100 is a little below 29.
    count = math.floor(config.population.halving_keep * count + 1e-9)
    passed.append(Rung(step, count))
  return passed


def member_steps(config: configs.Config) -> int:
  """Of all members together, those that are dropped included."""
  total, begin, count = 0, 0, _count(config)
  for rung in [*rungs(config), Rung(config.steps, 0)]:
    total += count * (rung.step - begin)
    begin, count = rung.step, rung.settings
  return total * config.population.seeds


def problems(config: configs.Config) -> Iterator[str]:
  """One line for each thing that is wrong with `population.halving*`."""
  population, steps = config.population, _steps(config)
  field = f'population.halving={",".join(map(str, steps))}'
  if not steps:
    if population.halving_by:
      yield (
        f'population.halving_by={population.halving_by!r}: '
        'population.halving=0 drops no settings to be ranked; set its steps'
      )
    return
  if _count(config) < 2:
    yield (
      f'{field}: there is one setting; give several in population.vary, of '
      'which the better ones go on'
    )
  every = config.eval.every
  for step in steps:
    if step % every or not 0 < step < config.steps:
      yield (
        f'{field}: {step} must be a multiple of eval.every={every}, above 0 '
        f'and below steps={config.steps}'
      )
  if [*steps] != sorted(set(steps)):
    yield f'{field}: must be in increasing order'
  if config.ema.posthoc:
    yield (
      f'{field}: averages of several lengths are stored of all members; set '
      "ema.posthoc=''"
    )
  if not population.halving_by:
    yield (
      f"population.halving_by='': must be an evaluation figure, by which "
      f'{field} ranks; the least is the best, or with - before it the greatest'
    )
  if rungs(config)[-1].settings < 1:
    yield (
      f'population.halving_keep={population.halving_keep:g}: leaves none of '
      f'{_count(config)} settings after {len(steps)} halvings; raise it, or '
      'drop less often'
    )


def _steps(config: configs.Config) -> tuple[int, ...]:
  steps = config.population.halving
  if isinstance(steps, tuple):
    return steps
  return (steps,) if steps else ()


def _count(config: configs.Config) -> int:
  """Settings of the population: combinations of what varies."""
  return math.prod(map(len, config.population.vary.values()))
