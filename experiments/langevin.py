"""Samples that D drives (DDLS) beside those of the same G, on 25 Gaussians.

  python -m experiments.langevin --out=docs/langevin.png \
    --fill=docs/results.md:langevin

Che et al. 2020 (arXiv 2003.06060) move latents by Langevin dynamics to where
D's logit is high (game/langevin.py). One population of GANs is trained on
PacGAN's grid, 5 x 5 modes in [-4, 4]^2 of standard deviation .05, and each
member is measured without and with it, from the same latents. Printed for each
step size eps and number of steps, mean and 95 % interval over the seeds: modes,
the share of samples within three standard deviations of a mode (high quality),
how much that is more than G's own, seed by seed, the standard deviation of
these samples about their modes along an axis, over the data's, and reverse KL.
`data` are real samples in the place of generated ones.
"""

import functools
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import launch, listed, printed
from gan_jax.storage import whole

if TYPE_CHECKING:
  import jax
  import numpy as np

  from gan_jax.config import fields as configs
  from gan_jax.engine import program
  from gan_jax.game import state as states

_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_STEPS = flags.DEFINE_integer(
  'steps', 4000, 'Of training.', lower_bound=1
)  # fmt: skip
_SEEDS = flags.DEFINE_integer('seeds', 5, 'Networks.', lower_bound=2)
_RATES = flags.DEFINE_list(
  'rates', ['0.0001', '0.001', '0.01'], 'Step sizes, eps.'
)
_CHAINS = flags.DEFINE_list('chains', ['100', '1000'], 'Numbers of steps.')
_NUM = flags.DEFINE_integer('num', 2500, 'Samples.', lower_bound=2)
_FIGURES = ('modes', 'high_quality', 'more', 'spread', 'reverse_kl')


def _config() -> 'configs.Config':
  """The plain game of the ring's losses, on the grid.

  G is the live one, whose samples D judged. D has five updates to one of G's
  and no penalty, to be near its optimum.
  """
  from experiments.tables import ring_losses
  from gan_jax.config import fields as configs

  c = ring_losses.get_row('non_saturating', (0.0, 0.0, 0.0))
  c.data.name = 'grid'
  c.disc_steps = 5
  c.steps = c.log_every = c.eval.every = c.checkpoint.every = _STEPS.value
  for name in c.schedules:
    c.schedules[name] = configs.Schedule('cosine', end=c.steps)
  c.eval.ema = False
  c.eval.num_samples = _NUM.value
  c.population.seeds = _SEEDS.value
  return c


def _trained(game: 'program.Game') -> 'states.GanState':
  """The population after its last step."""
  from gan_jax.engine import placing, program

  length = game.config.steps
  chunk = program.make_chunk(game, length)
  batches = placing.make_batches(game, length)(0)
  state: states.GanState = chunk(game.start(), game.hyper, batches, game.keys)[
    0
  ]
  return state


def _figures(x: 'jax.Array') -> dict[str, 'jax.Array']:
  """Of samples `[N, 2]`."""
  import jax.numpy as jnp

  from gan_jax.data import densities
  from gan_jax.metrics import modes

  law = densities.POINTS['grid']
  centres = jnp.asarray(law.modes)
  found = modes.mode_coverage(x, centres, law.mode_std)._asdict()
  away = x[:, None] - centres[None]
  away = jnp.take_along_axis(
    away, jnp.square(away).sum(-1).argmin(1)[:, None, None], axis=1
  )[:, 0]
  square = jnp.square(away).sum(axis=-1)
  good = square <= (3 * law.mode_std) ** 2
  mean = jnp.where(good, square, 0).sum() / good.sum()
  return {**found, 'spread': jnp.sqrt(mean / 2) / law.mode_std}


def _measured(
  game: 'program.Game', state: 'states.GanState', steps: int, rate: float
) -> 'list[tuple[dict[str, float], np.ndarray]]':
  """Figures of each member, and its samples."""
  import jax
  import numpy as np

  from gan_jax.engine import batching, build

  config = game.config
  config.eval.langevin_steps, config.eval.langevin_rate = steps, rate
  sampler = build.make_sampler(config, game.spec, _NUM.value)
  figures, rows = jax.jit(_figures), []
  for i in range(len(game.members)):
    member = batching.take(state, i)
    blocks = sampler.samples(member, jax.random.key(i))
    x = np.concatenate([batch.x for batch in blocks])
    rows.append(({n: float(v) for n, v in figures(x).items()}, x))
  return rows


def _cells(
  rows: list[dict[str, float]], own: list[dict[str, float]] | None
) -> list[str]:
  """Estimates; `own` are G's, seed by seed."""
  from gan_jax.study import statistics

  def cell(name: str) -> str:
    if name != 'more':
      return str(statistics.estimate(name, [row[name] for row in rows]))
    if own is None:
      return '-'
    pairs = zip(rows, own, strict=True)
    more = [a['high_quality'] - b['high_quality'] for a, b in pairs]
    return str(statistics.estimate(name, more))

  return [cell(name) for name in _FIGURES]


def _floor() -> tuple[list[dict[str, float]], 'jax.Array']:
  """Figures of real samples, and some of them."""
  import jax

  from gan_jax.data import densities

  law, figures = densities.POINTS['grid'], jax.jit(_figures)
  sets = [
    law.sample(jax.random.key(i), _NUM.value) for i in range(_SEEDS.value)
  ]
  return [{n: float(v) for n, v in figures(x).items()} for x in sets], sets[0]


def main() -> None:
  if _OUT.value is None:
    raise ValueError('--out=FILE must be given')
  out = pathlib.Path(_OUT.value)
  rates = listed.numbers(
    'rates', _RATES.value, float, 'numbers above 0', sys.float_info.min
  )
  lengths = listed.numbers('chains', _CHAINS.value, int, 'whole numbers', 1)
  whole.check_file('out', out)
  from gan_jax.engine import program
  from gan_jax.report import charts

  titles = 'modes', 'high quality', 'more than G', 'spread', 'reverse KL'
  sheet = printed.Sheet({'': 28} | dict.fromkeys(titles, 22))
  real, points = _floor()
  sheet.add('data', *_cells(real, None))
  game = program.open_game(_config())
  measure = functools.partial(_measured, game, _trained(game))
  plain = measure(0, 1.0)
  own = [figures for figures, _ in plain]
  sheet.add('G', *_cells(own, None))
  drawn: dict[str, Any] = {'data': points, 'G': plain[0][1]}
  for rate in rates:
    for length in lengths:
      found = measure(length, rate)
      name = f'DDLS, eps {rate:g}, {length} steps'
      sheet.add(name, *_cells([figures for figures, _ in found], own))
      if length == lengths[-1]:
        drawn[name] = found[0][1]
  charts.save_samples(out, {'grid': drawn})
  sheet.write()
  print(out)


if __name__ == '__main__':
  launch.run(main)
