"""How much R1 the one-dimensional game wants: five weights, ten seeds of each.

Paper: Mescheder et al. 2018, equation 9; the game of
`experiments/configs/gaussian_1d.py`.

Command:
  python -m experiments.table --table=experiments/tables/r1_weight.py \
    --workdir=runs/r1_weights

Machine: 2 shared x86 cores, busy with other work: 17 minutes.
Result: docs/results.md. By KS any weight from 0 to 1 will do.
"""

from experiments.configs import gaussian_1d
from gan_jax.config import fields as config
from gan_jax.study import tables


def get_row() -> config.Config:
  c = gaussian_1d.get_config('rectified')
  c.population.seeds = 10
  c.population.vary = {'penalties.r1.weight': [0.0, 0.01, 0.1, 1.0, 10.0]}
  c.eval.every, c.checkpoint.every = 1600, 4800
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={'R1': get_row()},
    columns=[
      tables.Column('ks', 'KS', digits=4),
      tables.Column('value', 'value of the game', digits=4),
    ],
    comparisons=[
      ('R1, penalties.r1.weight=1', f'R1, penalties.r1.weight={weight}', 'ks')
      for weight in ('0', '10')
    ],
    note='16,000 steps; of the value, -2 log 2 is the equilibrium.',
  )
