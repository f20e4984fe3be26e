"""The ring by class: a class for each mode, 2,000 steps, ten seeds.

Paper: Mirza & Osindero 2014 (conditional GANs), on PacGAN's ring (Lin et al.
2018); the game of `experiments/configs/ring_2d.py`.

Command:
  python -m experiments.table --table=experiments/tables/ring_classes.py \
    --workdir=runs/ring_classes

Machine: 2 shared x86 cores, a minute.
Result: docs/results.md.
"""

from experiments.configs import ring_2d
from gan_jax.config import fields as config
from gan_jax.study import tables

STEPS = 2000


def get_row() -> config.Config:
  c = ring_2d.get_config()
  c.conditional = True
  tables.set_steps(c, STEPS)
  c.eval.every = c.checkpoint.every = STEPS
  c.population.seeds = 10
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={'by class': get_row()},
    columns=[
      tables.Column('asked_mode', 'on the mode asked for, %', 1, 100.0),
      tables.Column('modes', 'modes of 8', digits=1),
      tables.Column('high_quality', 'HQ %', digits=1, scale=100.0),
      tables.Column('reverse_kl', 'reverse KL', digits=4),
    ],
    note=f'{STEPS:,} steps of batch 256, 2,500 samples.',
  )
