"""The ring without classes, at the budget of its configuration, ten seeds.

Paper: the data of PacGAN (Lin et al. 2018), 2D-ring; the game of
`experiments/configs/ring_2d.py`.

Command:
  python -m experiments.table --table=experiments/tables/ring.py \
    --workdir=runs/ring

Machine: 2 shared x86 cores.
Result: docs/results.md.
"""

from experiments.configs import ring_2d
from gan_jax.config import fields as config
from gan_jax.study import tables


def get_row() -> config.Config:
  c = ring_2d.get_config()
  c.eval.every = c.checkpoint.every = c.steps // 2
  c.population.seeds = 10
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={'ring_2d.py': get_row()},
    columns=[
      tables.Column('modes', 'modes of 8', digits=1),
      tables.Column('high_quality', 'HQ %', digits=1, scale=100.0),
      tables.Column('reverse_kl', 'reverse KL', digits=4),
    ],
    note='20,000 steps of batch 256, 2,500 samples.',
  )
