"""DCGAN on MNIST, 28x28.

Command:
  python -m experiments.train --config=experiments/configs/mnist_dcgan.py \
    --workdir=runs/mnist_dcgan
"""

from gan_jax import config


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
  c.log_every = 50
  c.eval.every = 500
  c.checkpoint.every = 500
  return c
