"""Drifting models beside GANs, on the ring and on the Swiss roll.

  python -m experiments.drifting --out=docs/drifting.png \
    --fill=docs/results.md:drifting

Deng et al. 2026 (arXiv 2602.04770) train a one-step generator without D: it
regresses on its own samples, moved by a field (game/drift.py). All rows have
the generator, latents, rates, average and samples seen of the non-saturating
rows of experiments/tables/ring_losses.py; the GANs also train a D. A larger
batch takes as many steps fewer. Printed for each law and method, mean and 95 %
interval over the seeds: of the ring alone modes, high quality and reverse KL,
the sliced Wasserstein distance to as many real samples, and the processor time
of the steps over the first row's. `data` are real samples in the place of
generated ones.
"""

import pathlib
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

from experiments import launch, listed, printed
from gan_jax.storage import whole

if TYPE_CHECKING:
  from gan_jax.config import fields as configs
  from gan_jax.engine import program
  from gan_jax.game import state as states

_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_SAMPLES = flags.DEFINE_integer(
  'samples', 1_024_000, 'Real samples seen by each G.', lower_bound=1
)
_SEEDS = flags.DEFINE_integer('seeds', 5, 'Of each row.', lower_bound=2)
_BATCHES = flags.DEFINE_list(
  'batches', ['256', '512'], 'Of the drifting model; of the GANs the first.'
)
_TEMPERATURES = flags.DEFINE_list(
  'temperatures', ['0.05'], "Of the field's kernel, in the data's units."
)
_LAWS = flags.DEFINE_list('laws', ['ring', 'swiss_roll'], 'Of the data.')
_METHODS = flags.DEFINE_list(
  'methods', ['GAN', 'R1+R2', 'drifting'], 'All of them, or some.'
)
_FIGURES = ('modes', 'high_quality', 'reverse_kl', 'sliced_wasserstein_1')


class _Row(NamedTuple):
  """A method: its batch, R1's and R2's weight, the temperature or a GAN."""

  batch: int
  weight: float = 0.0
  temperature: float | None = None


def _config(law: str, row: _Row) -> 'configs.Config':
  """The table's, with as many samples in any batch."""
  from experiments.tables import ring_losses
  from gan_jax.config import fields as configs

  c = ring_losses.get_row('non_saturating', (row.weight, row.weight, 0.0))
  c.data.name, c.batch_size = law, row.batch
  c.steps = c.log_every = c.eval.every = _SAMPLES.value // row.batch
  c.checkpoint.every = c.steps
  for name in c.schedules:
    c.schedules[name] = configs.Schedule('cosine', end=c.steps)
  c.population.seeds = _SEEDS.value
  return c


def _trained(
  game: 'program.Game', temperature: float | None
) -> 'tuple[states.GanState, float]':
  """The population after its last step, and all steps' processor seconds.

  Other programs of the machine disturb these less than its clock.
  """
  import jax

  from gan_jax.engine import drifting, placing, program

  length = game.config.steps
  if temperature is None:
    chunk = program.make_chunk(game, length)
  else:
    chunk = drifting.make_chunk(game, length, temperature)
  given = game.start(), game.hyper, placing.make_batches(game, length)(0)
  compiled = chunk.lower(*given, game.keys).compile()
  start = time.process_time()
  state = jax.block_until_ready(compiled(*given, game.keys)[0])
  return state, time.process_time() - start


def _measured(
  game: 'program.Game', state: 'states.GanState'
) -> tuple[dict[str, list[float]], dict[str, Any]]:
  """Figures of each member, and the first one's samples."""
  import jax

  from gan_jax.engine import batching
  from gan_jax.evaluation import laws

  measure = jax.jit(laws.make_measure(game.config, game.spec, game.source))
  rows, clouds = [], []
  for i in range(len(game.members)):
    figures, cloud = measure(batching.take(state, i), jax.random.key(i))
    rows.append(figures)
    clouds.append(cloud)
  names = [name for name in _FIGURES if name in rows[0]]
  return {n: [float(f[n]) for f in rows] for n in names}, clouds[0]


def _floor(law: str) -> dict[str, list[float]]:
  """The same figures of real samples."""
  import jax
  import jax.numpy as jnp

  from gan_jax.data import densities
  from gan_jax.metrics import modes, sliced

  density, rows = densities.POINTS[law], []
  for i in range(_SEEDS.value):
    keys = jax.random.split(jax.random.key(i), 3)
    a, b = (density.sample(key, 2500) for key in keys[:2])
    figures = {
      'sliced_wasserstein_1': sliced.sliced_wasserstein_1(a, b, keys[2])
    }
    if density.modes is not None:
      coverage = modes.mode_coverage(
        a, jnp.asarray(density.modes), density.mode_std
      )
      figures |= coverage._asdict()
    rows.append(figures)
  names = [name for name in _FIGURES if name in rows[0]]
  return {n: [float(f[n]) for f in rows] for n in names}


def _cells(figures: dict[str, list[float]]) -> list[str]:
  from gan_jax.study import statistics

  return [
    str(statistics.estimate(n, figures[n])) if n in figures else '-'
    for n in _FIGURES
  ]


def _rows() -> dict[str, _Row]:
  """Those that the flags ask for, by their titles.

  Raises:
    ValueError: a flag is wrong.
  """
  from gan_jax.config import values
  from gan_jax.data import densities

  most = _SAMPLES.value
  what = f'whole numbers from 2 to --samples={most}'
  batches = listed.numbers('batches', _BATCHES.value, int, what, 2, most)
  temperatures = listed.numbers(
    'temperatures', _TEMPERATURES.value, float, 'numbers above 0',
    sys.float_info.min,
  )  # fmt: skip
  known = {
    'GAN': {'GAN': _Row(batches[0])},
    'R1+R2': {'GAN, R1 and R2': _Row(batches[0], 0.1)},
    'drifting': {
      f'drifting, batch {batch}, temperature {temperature!r}': _Row(
        batch, temperature=temperature
      )
      for batch in batches
      for temperature in temperatures
    },
  }
  if len(set(temperatures)) < len(temperatures):
    raise ValueError(
      f'--temperatures={",".join(_TEMPERATURES.value)}: has one twice'
    )
  for law in _LAWS.value:
    values.choose('--laws', law, densities.POINTS)
  rows: dict[str, _Row] = {}
  for name in _METHODS.value:
    rows |= values.choose('--methods', name, known)
  if not rows or not _LAWS.value:
    raise ValueError('--laws and --methods must name one each at least')
  return rows


def main() -> None:
  if _OUT.value is None:
    raise ValueError('--out=FILE must be given')
  out, rows = pathlib.Path(_OUT.value), _rows()
  whole.check_file('out', out)
  from gan_jax.engine import program
  from gan_jax.report import charts

  figures = dict.fromkeys(
    ('modes', 'high quality', 'reverse KL', 'sliced W1'), 22
  )
  sheet = printed.Sheet({'': 50} | figures | {'CPU time': 10})
  drawn: dict[str, dict[str, Any]] = {}
  for law in _LAWS.value:
    sheet.add(f'{law}, data', *_cells(_floor(law)), '-')
    drawn[law], times = {}, []
    for name, row in rows.items():
      game = program.open_game(_config(law, row))
      state, seconds = _trained(game, row.temperature)
      times.append(seconds)
      measured, cloud = _measured(game, state)
      drawn[law].setdefault('data', cloud['real'])
      drawn[law][name] = cloud['generated']
      ratio = f'{seconds / times[0]:.2g}'
      sheet.add(f'{law}, {name}', *_cells(measured), ratio)
  charts.save_samples(out, drawn)
  sheet.write()
  print(out)


if __name__ == '__main__':
  launch.run(main)
