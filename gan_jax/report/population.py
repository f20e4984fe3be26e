"""What a population shows: its figures, and how they spread."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from gan_jax.config import fields as configs
from gan_jax.engine import batching
from gan_jax.evaluation import laws
from gan_jax.game import state as states
from gan_jax.report import charts, single
from gan_jax.storage import writers
from gan_jax.study import halving, population, statistics


class PopulationReport:
  """Every member's figures, and how they spread."""

  def __init__(
    self,
    measure: laws.Measure,
    keys: jax.Array,
    names: Sequence[str],
    mesh: Mesh,
    config: configs.Config,
    workdir: pathlib.Path,
    evaluate: single.Evaluate | None,
  ):
    """Takes the parts.

    Args:
      measure: of one member; traceable.
      keys: each member's, `[P]`.
      names: of the figures in the summary, in their order.
      mesh: the members are split over.
      config: of the population.
      workdir: where its picture goes.
      evaluate: more figures of one member, on the host.
    """
    self._evaluate = evaluate
    # One member's samples at a time.
    each = batching.over_members(
      lambda member, _: measure(*member)[0], len(keys), 1, mesh
    )
    self._measure = jax.jit(lambda state, keys: each((state, keys), ()))
    self._sound = jax.jit(_sound)
    self._last: tuple[int, single.Figures] | None = None
    self._keys, self._names = keys, names
    self._config, self._workdir = config, workdir

  def frame(self, state: states.GanState) -> single.Figures:
    figures = self._figures(state)
    return {single.row_name(name): value for name, value in figures.items()}

  def _figures(self, state: states.GanState) -> single.Figures:
    """`[P]` each; those of the last frame are kept for the end."""
    step = states.step_of(state)
    if self._last is None or self._last[0] != step:
      self._last = step, self._measured(state)
    return self._last[1]

  def _measured(self, state: states.GanState) -> single.Figures:
    figures: single.Figures = jax.device_get(self._measure(state, self._keys))
    if self._evaluate:
      each = [
        self._evaluate(batching.take(state, i), self._keys[i])
        for i in range(len(self._keys))
      ]
      for name in each[0]:
        figures[name] = np.array([found[name] for found in each])
    sound = jax.device_get(self._sound(state))
    return {name: np.where(sound, x, np.nan) for name, x in figures.items()}

  def finish(self, state: states.GanState) -> single.Figures:
    last = self._figures(state)
    names = [name for name in self._names if name in last]
    names += [name for name in last if name not in names]
    # Figures of a group are for `health.png`. A game of images whose D is no
    # classifier may have no others.
    shown = [name for name in names if '/' not in name]
    if shown and self._config.log.pictures:
      rows = writers.read_rows(self._workdir)
      spreads = _spreads(rows, self._config, shown)
      charts.save_population(self._workdir / 'population.png', spreads)
    finals: single.Figures = {name: last[name].tolist() for name in names}
    for name, count in state.memory.get('skipped', {}).items():
      finals[f'{name}_skipped'] = np.asarray(count).tolist()
    return finals


def _sound(state: states.GanState) -> jax.Array:
  """Whether a member's parameters are finite, `[P]`; else its figures are not.

  Some, such as a count of modes, would be 0.
  """
  leaves = jax.tree.leaves((state.gen.params, state.disc.params))
  finite = [jnp.isfinite(x).reshape(len(x), -1).all(axis=1) for x in leaves]
  return jnp.stack(finite).all(axis=0)


def _of_seeds(values: np.ndarray, config: configs.Config) -> list[float]:
  """Of each seed the mean over all settings that share a number.

  Its runs at different settings are no independent repeats. NaN where one of
  them is, which would move the mean by what it lacks.

  Args:
    values: of one value of a field, all settings after another.
    config: of the population.
  """
  table = values.reshape(-1, config.population.seeds)
  means: list[float] = table.mean(axis=0).tolist()
  return means


def _spreads(
  rows: Sequence[Mapping[str, Any]],
  config: configs.Config,
  names: Sequence[str],
) -> list[charts.Spread]:
  """One for each of the reports' figures that has values."""
  found = [row for row in rows if f'eval/{names[0]}' in row]
  last = halving.last_steps(config, halving.dropped(config, rows))
  steps = [row['step'] for row in found]
  spreads = []
  for name in names:
    if f'eval/{name}' not in found[-1]:
      continue
    # A null becomes a NaN.
    values = np.array(
      [row[f'eval/{name}']['members'] for row in found], np.float64
    )
    lines = {
      title: [statistics.estimate(name, row[part].tolist()) for row in values]
      for title, part in population.settings(config).items()
    }
    # Of each member at its last look.
    looks = [max(i for i, s in enumerate(steps) if s <= end) for end in last]
    ends = values[looks, np.arange(len(looks))]
    fields = {
      field: {
        value: statistics.estimate(name, _of_seeds(ends[indices], config))
        for value, indices in groups.items()
      }
      for field, groups in population.by_field(config).items()
    }
    spreads.append(charts.Spread(name, steps, lines, fields))
  return spreads
