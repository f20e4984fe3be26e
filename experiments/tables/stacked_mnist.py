"""StackedMNIST in PacGAN's small setting, at the paper's rates and length.

Paper: PacGAN (Lin et al. 2018), table 3, D a quarter of G, 50 trials of
500,000 steps; here 3 seeds. The digits are MNIST's training images, from which
the classifier learns them too.

Command (DIR as `tfds build mnist --file_format=array_record` leaves it):
  TFDS_DATA_DIR=DIR python -m experiments.table \
    --table=experiments/tables/stacked_mnist.py --workdir=runs/stacked_mnist

Machine: 2 shared x86 cores.
Result: not measured yet.
"""

from experiments.configs import stacked_mnist
from gan_jax.config import fields as config
from gan_jax.study import tables

COLUMNS = [
  tables.Column('modes', 'modes of 1000', digits=1),
  tables.Column('reverse_kl', 'reverse KL', digits=2),
]


def get_row(setting: str) -> config.Config:
  c = stacked_mnist.get_config(setting)
  c.eval.every = c.checkpoint.every = 20_000
  c.population.seeds = 3
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={'DCGAN': get_row('small'), 'PacDCGAN2': get_row('pacdcgan2')},
    columns=COLUMNS,
    comparisons=[('PacDCGAN2', 'DCGAN', 'modes')],
    note='500,000 steps of batch 128, 25,600 samples.',
  )
