"""Every loss with every penalty on the ring of eight modes.

The data of PacGAN's ring (Lin et al. 2018), standardised; the same plain MLPs,
rates and steps for all rows, nothing tuned to one.

Command:
  python -m experiments.table --table=experiments/tables/ring_losses.py \
    --workdir=runs/ring_losses

Machine: half of a shared x86 core, an hour.
"""

from experiments.configs import ring_2d
from gan_jax.config import fields as config
from gan_jax.networks import mlp
from gan_jax.study import tables

LOSSES = {
  'non-saturating': 'non_saturating',
  'hinge': 'hinge',
  'Wasserstein': 'wasserstein',
  'least squares': 'least_squares',
  'relativistic': 'relativistic_paired',
}

# Weights of R1, R2 and WGAN-GP.
PENALTIES = {
  'none': (0.0, 0.0, 0.0),
  'R1': (0.1, 0.0, 0.0),
  'R1+R2': (0.1, 0.1, 0.0),
  'WGAN-GP': (0.0, 0.0, 10.0),
}


def get_row(loss: str, weights: tuple[float, float, float]) -> config.Config:
  c = ring_2d.get_config()
  c.loss = loss
  c.penalties.r1.weight, c.penalties.r2.weight = weights[:2]
  c.penalties.wgan_gp.weight = weights[2]
  c.gen.net = mlp.GenSettings(width=64)
  c.disc.net = mlp.DiscSettings(width=64)
  c.steps = 4000
  for name in c.schedules:
    c.schedules[name] = config.Schedule('cosine', end=c.steps)
  c.ema.half_life = 50_000.0
  c.eval.every = 1000
  c.checkpoint.every = 2000
  c.population.seeds = 10
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={
      f'{loss}, {penalty}': get_row(name, weights)
      for loss, name in LOSSES.items()
      for penalty, weights in PENALTIES.items()
    },
    columns=[
      tables.Column('modes', 'modes of 8', digits=1),
      tables.Column('high_quality', 'HQ %', digits=1, scale=100.0),
      tables.Column('reverse_kl', 'reverse KL', digits=3),
    ],
    comparisons=[
      ('non-saturating, R1', 'non-saturating, none', 'high_quality'),
      ('relativistic, R1+R2', 'non-saturating, R1+R2', 'high_quality'),
    ],
    note='4,000 steps of batch 256, MLPs of 3 x 64, Adam 1e-3 (0, .999).',
  )
