"""MNIST digits, 28x28.

Paper: DCGAN (Radford et al. 2016) at width 64; Adam 2e-4, beta_1 .5, batch 64.

Command (DIR as `tfds build mnist --file_format=array_record` leaves it; the
test split's 10,000 images are what was measured):
  python -m experiments.train --config=experiments/configs/mnist_dcgan.py \
    --workdir=runs/mnist_dcgan --config.data.dir=DIR --config.data.split=test

Machine: 2 shared x86 cores: 6,000 steps in 1 min 32 s.
Result: 1 seed: the grid shows digits of all ten kinds, most of them clean
and some twenty of a hundred malformed.
"""

from gan_jax.config import fields as config


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 6000
  c.batch_size = 64
  c.data.name = 'mnist'
  c.data.split = 'train'
  c.gen.name = c.disc.name = 'dcgan'
  c.gen.width = c.disc.width = 64
  c.gen.latent_dim = 100
  c.gen.latent = 'normal'
  for player in (c.optim.gen, c.optim.disc):
    player.learning_rate = 2e-4
    player.b1 = 0.5
  c.ema.half_life = 10_000.0
  c.log_every = 25
  c.eval.every = 500
  c.checkpoint.every = 500
  return c
