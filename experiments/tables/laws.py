"""The one-dimensional game of every density, ten seeds of each.

Paper: Goodfellow et al. 2014, figure 1, in which a uniform variable becomes a
normal one; the games of `experiments/configs/gaussian_1d.py`.

Command:
  python -m experiments.table --table=experiments/tables/laws.py \
    --workdir=runs/laws

Machine: 2 shared x86 cores.
Result: docs/results.md.
"""

from experiments.configs import gaussian_1d
from gan_jax.config import fields as config
from gan_jax.study import tables

DENSITIES = {
  'normal': 'normal',
  'uniform': 'uniform',
  'Laplace': 'laplace',
  'two normals': 'mixture',
  'exponential': 'exponential',
}


def get_row(game: str, density: str) -> config.Config:
  c = gaussian_1d.get_config(game)
  c.data.name = density
  c.eval.num_samples = 200_000
  c.eval.every = c.checkpoint.every = c.steps
  c.log_every = 1000
  c.population.seeds = 10
  return c


def get_table() -> tables.Table:
  rows = {
    title: get_row('rectified', name) for title, name in DENSITIES.items()
  }
  return tables.Table(
    rows={'normal, smooth': get_row('smooth', 'normal')} | rows,
    columns=[
      tables.Column('ks', 'KS', digits=4),
      tables.Column('total_variation', 'total variation', digits=3),
      tables.Column('support_low', 'least sample', digits=2),
      tables.Column('support_high', 'greatest', digits=2),
      tables.Column('d_real', 'D of real', digits=4),
      tables.Column('d_fake', 'D of fake', digits=4),
      tables.Column('value', 'value of the game', digits=4),
    ],
    comparisons=[('normal, smooth', 'normal', 'total_variation')],
    note=(
      '200,000 samples after 12,000 steps of the smooth game and 16,000 of the '
      'others; the least and the greatest in standard deviations from the mean.'
    ),
  )
