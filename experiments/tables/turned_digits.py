"""The digits with and without SSGAN's task of turned images, five seeds each.

Paper: Chen et al. 2019, "Self-Supervised GANs via Auxiliary Rotation Loss",
whose weights these are; on the 1,797 digits of `experiments/configs/digits.py`
by its recipe, whose D has R1 and no spectral normalisation.

Command:
  python -m experiments.table --table=experiments/tables/turned_digits.py \
    --workdir=runs/turned_digits

Machine: 2 shared x86 cores, some minutes.
Result: Frechet distance 3.40 +- .06 without, 4.29 +- .16 with the task of both
players (docs/results.md).
"""

import dataclasses

from experiments.configs import digits
from gan_jax.config import fields as config
from gan_jax.study import tables

STEPS = 6000


def get_row(weight: float, gen_weight: float) -> config.Config:
  c = digits.get_config()
  if weight:
    c.disc.net = dataclasses.replace(c.disc.net, rotations=True)
    c.penalties.ssgan.weight, c.penalties.ssgan_gen.weight = weight, gen_weight
  tables.set_steps(c, STEPS)
  c.eval.metrics, c.eval.num_samples = 'fd_classifier,prdc', 5000
  c.eval.every = c.checkpoint.every = STEPS
  c.population.seeds = 5
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={
      'none': get_row(0.0, 0.0),
      'of D alone': get_row(1.0, 0.0),
      'SSGAN': get_row(1.0, 0.2),
    },
    columns=[
      tables.Column('fd_classifier', digits=2),
      tables.Column('precision_classifier', 'precision', 3),
      tables.Column('recall_classifier', 'recall', 3),
    ],
    comparisons=[
      ('SSGAN', 'none', 'fd_classifier'),
      ('of D alone', 'none', 'fd_classifier'),
    ],
    note=f'{STEPS:,} steps of batch 64, 5,000 samples.',
  )
