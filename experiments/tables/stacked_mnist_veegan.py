"""StackedMNIST in PacGAN's large setting, that of VEEGAN, at its length.

Paper: PacGAN (Lin et al. 2018), table 2, 10 trials of 50 epochs of 128,000
stacks; here 3 seeds. The digits are MNIST's training images, from which the
classifier learns them too.

Command (DIR as `tfds build mnist --file_format=array_record` leaves it):
  TFDS_DATA_DIR=DIR python -m experiments.table \
    --table=experiments/tables/stacked_mnist_veegan.py \
    --workdir=runs/stacked_mnist_veegan

Machine: meant for an accelerator.
Result: not measured yet.
"""

from experiments.tables import stacked_mnist
from gan_jax.study import tables


def get_table() -> tables.Table:
  return tables.Table(
    rows={
      'DCGAN': stacked_mnist.get_row('veegan'),
      'PacDCGAN2': stacked_mnist.get_row('veegan2'),
    },
    columns=stacked_mnist.COLUMNS,
    comparisons=[('PacDCGAN2', 'DCGAN', 'modes')],
    note='100,000 steps of batch 64, two of G for each of D, 26,000 samples.',
  )
