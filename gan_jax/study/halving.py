"""Which members of a population go on, as its rows tell.

At each rung the settings are ranked by a figure of that step's look, which is
in `metrics.jsonl`. So the rows alone say who plays: nothing else is stored, and
a run that is taken up decides as it did before.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gan_jax.config import fields as configs, halving
from gan_jax.study import population, statistics

Rows = Sequence[Mapping[str, Any]]


class Order(NamedTuple):
  """By what settings are ranked.

  Attributes:
    figure: its name in a summary.
    greatest: whether the greatest is the best, and not the least.
  """

  figure: str
  greatest: bool

  def __str__(self) -> str:
    return f'the {"greatest" if self.greatest else "least"} {self.figure}'


def order(config: configs.Config) -> Order:
  """That of `population.halving_by`."""
  text = config.population.halving_by
  return Order(text.removeprefix('-'), text.startswith('-'))


def check(config: configs.Config, names: Iterable[str]) -> None:
  """Raises ValueError unless the looks give what settings are ranked by.

  Args:
    config: that is valid.
    names: of the figures that they give.
  """
  names = list(names)
  if config.population.halving and order(config).figure not in names:
    raise ValueError(
      f'population.halving_by={config.population.halving_by!r}: evaluations '
      f'give no such figure; they give {", ".join(names) or "none"}'
    )


def ranked(
  by: Order, settings: Mapping[str, slice], values: Sequence[float]
) -> list[str]:
  """Settings from the best to the worst, as `statistics.order` has them.

  By the mean over their seeds. Equal ones stay in their order.

  Args:
    by: what is the best.
    settings: the members of each.
    values: of the figure, one for each member, NaN where it failed.
  """

  def key(title: str) -> tuple[int, float]:
    found = statistics.estimate(by.figure, values[settings[title]])
    return statistics.order(found, greatest=by.greatest)

  return sorted(settings, key=key)


def dropped(
  config: configs.Config, rows: Rows, step: int | None = None
) -> dict[str, int]:
  """The settings that were dropped, and the last step that each of them played.

  Args:
    config: of a valid population.
    rows: of `metrics.jsonl`.
    step: by then; by the last row, if not given.

  Raises:
    ValueError: there is no row with the figure of a rung's look.
  """
  if step is None:
    step = max([row['step'] for row in rows], default=-1)
  by, left = order(config), population.settings(config)
  found: dict[str, int] = {}
  for rung in halving.rungs(config):
    if rung.step > step:
      break
    best = ranked(by, left, _look(rows, rung.step, by.figure))
    found |= dict.fromkeys(best[rung.settings :], rung.step)
    left = {title: part for title, part in left.items() if title not in found}
  return found


def _look(rows: Rows, step: int, figure: str) -> list[float]:
  """Each member's value at a step."""
  for row in rows:
    if row['step'] == step and f'eval/{figure}' in row:
      values = row[f'eval/{figure}']['members']
      return [math.nan if x is None else x for x in values]
  raise ValueError(
    f'metrics.jsonl: has no eval/{figure} of step {step:,}, by which settings '
    'were dropped'
  )


def playing(config: configs.Config, rows: Rows, step: int) -> list[int]:
  """The places of the members that play a step, counted from 1, in order.

  A checkpoint of a step has the states of those that played it.
  """
  last = last_steps(config, dropped(config, rows, step - 1))
  return [i for i, until in enumerate(last) if math.isinf(until)]


def last_steps(config: configs.Config, gone: Mapping[str, int]) -> list[float]:
  """Of each member the last step that it may play; infinity if any.

  Args:
    config: of a population.
    gone: from `dropped`.
  """
  found = [math.inf] * len(population.members(config))
  for title, step in gone.items():
    part = population.settings(config)[title]
    found[part] = [step] * (part.stop - part.start)
  return found


def until(config: configs.Config, step: int) -> int:
  """The step at which members are dropped next, or the last one."""
  later = (r.step for r in halving.rungs(config) if r.step > step)
  return next(later, config.steps)


def estimate(
  name: str, values: Sequence[float], places: Sequence[int], count: int
) -> statistics.Estimate:
  """A figure of those members that play, at their places among all.

  Args:
    name: of the figure.
    values: `[P]`.
    places: `[P]` of the members.
    count: of all members.
  """
  own = dict(zip(places, values, strict=True))
  spread = [own.get(i, math.nan) for i in range(count)]
  return statistics.estimate(name, spread, count - len(own))
