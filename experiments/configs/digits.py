"""Handwritten digits 8x8 from noise, on a machine with no network.

Paper: DCGAN (Radford et al. 2016), without batch normalisation in D, with R1.
The images are the 1,797 of the UCI set that ship inside scikit-learn.

Command:
  python -m experiments.train --config=experiments/configs/digits.py \
    --workdir=runs/digits

Machine: 2 shared x86 cores; 6,000 steps at 760 a second, 12 s in all.
Result: 1 seed: the grid shows digits of all ten kinds, as coarse as the data.
"""

from gan_jax.config import fields as config


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 6000
  c.batch_size = 64
  c.data.name = 'digits'
  c.gen.name = c.disc.name = 'dcgan'
  c.gen.width = c.disc.width = 128
  c.gen.latent_dim = 32
  c.gen.latent = 'normal'
  c.disc.batch_norm = False
  for player in (c.optim.gen, c.optim.disc):
    player.learning_rate = 5e-4
    player.b1 = 0.5
  c.penalties.r1.weight = 0.02
  c.ema.half_life = 10_000.0
  c.eval.every = 500
  c.checkpoint.every = 1000
  return c
