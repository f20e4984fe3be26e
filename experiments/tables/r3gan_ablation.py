"""Relativistic and plain losses with R1 alone and with R1 and R2.

Paper: R3GAN (Huang et al. 2024), table 1: StackedMNIST with a small network
without normalisation, no errors and no number of trials. There the relativistic
loss with both penalties finds all 1,000 modes, the plain one with both 693, and
those with R1 alone fail. Here it is 5 seeds of each with the R3GAN network at a
width of 32 and one block to a resolution, 16x16 images in batches of 64, 4,000
steps, and gamma 1.

Command (DIR as `tfds build mnist --file_format=array_record` leaves it):
  TFDS_DATA_DIR=DIR python -m experiments.table \
    --table=experiments/tables/r3gan_ablation.py --workdir=runs/r3gan_ablation

Machine: 2 shared x86 cores, a row on each; about 50 minutes of one core a row.
Result: 637 +- 61 modes (RpGAN + R1 + R2) and 477 +- 85 (GAN + R1 + R2), reverse
KL 1.42 +- .13 and 1.88 +- .21. With R1 alone 474 +- 52 and 381 +- 59 modes, KL
1.82 +- .10 and 2.07 +- .15; no seed failed.
"""

from experiments import recipes
from gan_jax.config import fields as config
from gan_jax.networks import r3gan
from gan_jax.study import tables

_LOSSES = {'RpGAN': 'relativistic_paired', 'GAN': 'non_saturating'}


def get_row(loss: str, *, fakes: bool) -> config.Config:
  c = config.Config()
  c.steps = 4000
  c.batch_size = 64
  c.loss = loss
  c.data.name = 'mnist'
  c.data.stack = 3
  c.data.size = 16
  c.gen.name = c.disc.name = 'r3gan'
  recipes.set_latents(c, 64)
  c.gen.net = r3gan.GenSettings(width=32, depth=1, groups=4)
  c.disc.net = r3gan.DiscSettings(width=32, depth=1, groups=4)
  c.penalties.r1.weight = 1.0
  c.penalties.r2.weight = float(fakes)
  recipes.set_adam(c, 1e-3, 0.0, 0.99)
  c.eval.metrics = 'classes'
  c.eval.num_samples = 25_600
  c.eval.every = c.checkpoint.every = 1000
  c.log_every = 100
  c.population.seeds = 5
  return c


def get_table() -> tables.Table:
  rows = {
    f'{name} + {penalties}': get_row(loss, fakes=penalties == 'R1 + R2')
    for penalties in ('R1 + R2', 'R1')
    for name, loss in _LOSSES.items()
  }
  return tables.Table(
    rows=rows,
    columns=[
      tables.Column('modes', 'modes of 1000', digits=1),
      tables.Column('reverse_kl', 'reverse KL', digits=2),
    ],
    comparisons=[
      (one, other, figure)
      for one, other in (
        ('RpGAN + R1 + R2', 'GAN + R1 + R2'),
        ('RpGAN + R1', 'RpGAN + R1 + R2'),
        ('GAN + R1', 'GAN + R1 + R2'),
      )
      for figure in ('modes', 'reverse_kl')
    ],
    note='4,000 steps of batch 64, 16x16 images, 25,600 samples.',
  )
