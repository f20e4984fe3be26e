"""The MNIST experiment of Goodfellow et al. 2014: its nets and optimiser.

Command:
  python -m experiments.train --config=experiments/configs/mnist_2014.py \
    --workdir=runs/mnist_2014
"""

import math

from gan_jax import config


def get_config() -> config.Config:
  c = config.Config()
  # 250 epochs of 50,000 images in batches of 100.
  c.steps = 125_000
  c.batch_size = 100
  c.data.name = 'mnist'
  c.data.split = 'train[:50000]'
  c.gen.name = c.disc.name = 'maxout'
  c.gen.latent_dim = 100
  c.gen.latent = 'uniform'
  for player in (c.optim.gen, c.optim.disc):
    player.name = 'sgd'
    player.learning_rate = 0.1
    player.learning_rate_schedule = config.Schedule(
      'exponential', final=1e-6, rate=math.log(1.000004)
    )
    # Momentum.
    player.b1 = 0.5
    player.b1_schedule = config.Schedule('linear', final=0.7, end=125_000)
  c.log_every = 500
  c.eval.ema = False
  c.eval.every = 2500
  c.checkpoint.every = 2500
  return c
