"""InfoGAN's codes on the digits, by how G takes them, three seeds of each.

Paper: InfoGAN (Chen et al. 2016), whose codes are beside z; on the 1,797 digits
of `experiments/configs/digits.py` by its recipe. Of a code that scales and
shifts all channels, a class is not the easiest thing that it can say.

Command:
  python -m experiments.table --table=experiments/tables/codes.py \
    --workdir=runs/codes

Machine: 2 shared x86 cores, some minutes.
Result: docs/results.md.
"""

import dataclasses

from experiments.configs import digits
from gan_jax.config import fields as config
from gan_jax.study import tables

STEPS = 3000


def get_row(conditioning: str) -> config.Config:
  c = digits.get_config()
  c.gen.codes = 10
  c.gen.net = dataclasses.replace(c.gen.net, conditioning=conditioning)
  c.disc.net = dataclasses.replace(c.disc.net, conditioning='codes')
  c.penalties.infogan.weight = c.penalties.infogan_gen.weight = 1.0
  tables.set_steps(c, STEPS)
  c.eval.metrics, c.eval.num_samples = 'code_accuracy,fd_classifier', 5000
  c.eval.every = c.checkpoint.every = STEPS
  c.population.seeds = 3
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={
      'beside z': get_row('concatenation'),
      'in batch normalisation': get_row('batch_norm'),
    },
    columns=[
      tables.Column(
        'code_accuracy_classifier', "of the code's class, %", 1, 100.0
      ),
      tables.Column('fd_classifier', digits=2),
    ],
    comparisons=[
      ('beside z', 'in batch normalisation', 'code_accuracy_classifier')
    ],
    note=f'{STEPS:,} steps of batch 64, 5,000 samples, ten codes.',
  )
