"""Figures of a game as its rows and its summary have them."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gan_jax.engine import program
from gan_jax.report import single
from gan_jax.storage import writers
from gan_jax.study import halving, population, statistics


def of_row(
  game: program.Game, logs: Mapping[str, Any]
) -> dict[str, writers.Value]:
  """Logs of a chunk or figures of a report as they are written.

  Args:
    game: that is played.
    logs: by name a number, or `[P]` of the members that play.
  """
  if not game.members:
    return {name: float(value) for name, value in logs.items()}
  return {
    name: _estimate(game, name, np.asarray(value).tolist())
    for name, value in logs.items()
  }


def scheduled(game: program.Game, step: int) -> dict[str, Any]:
  """The numbers that schedules move, as the last step of a row had them.

  Args:
    game: that is played.
    step: after which the row is written.

  Returns:
    By name, under 'schedules/', a number, or `[P]` of the members.
  """
  moving = game.config.schedules
  if not moving:
    return {}
  hyper = game.spec.schedule(game.hyper, jnp.int32(max(step - 1, 0)))
  return {f'schedules/{name}': np.asarray(hyper[name]) for name in moving}


def _estimate(
  game: program.Game, name: str, values: Sequence[float]
) -> statistics.Estimate:
  count = len(population.members(game.config))
  return halving.estimate(name, values, game.places, count)


def of_summary(
  game: program.Game, finals: Mapping[str, Any], rows: halving.Rows
) -> dict[str, Any]:
  """The last figures as `summary.json` has them.

  Those of a population stand for each combination of what varies as well. Of
  settings that were dropped they are those of their last look, with the step
  after which they were.

  Args:
    game: as it ended.
    finals: its figures, by name.
    rows: of the run.
  """
  if not game.members:
    return {
      name: None if value is None else writers.to_json(value)
      for name, value in finals.items()
    }
  summary: dict[str, Any] = {}
  config = game.config
  settings = population.settings(config)
  dropped = halving.dropped(config, rows)
  looks = {row['step']: row for row in rows}
  for name, each in finals.items():
    found = _estimate(game, name, each)
    summary[name] = found.to_json()
    if len(settings) == 1:
      continue
    parts = summary[name]['settings'] = {}
    for title, part in settings.items():
      step = dropped.get(title)
      if step is None:
        own = statistics.estimate(name, found.members[part]).to_json()
      elif (row := single.row_name(name)) in looks[step]:
        cell = {'members': looks[step][row]['members'][part]}
        own = statistics.of_summary(name, cell).to_json()
        own['dropped_after'] = step
      else:
        continue
      parts[title] = own
  if 'modes' in finals:
    # No failure of arithmetic, and so not among those of the figures.
    summary['collapsed'] = sum(count <= 1 for count in finals['modes'])
  return summary
