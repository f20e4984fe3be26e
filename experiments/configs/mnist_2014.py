"""The MNIST experiment of Goodfellow et al. 2014: its nets and optimiser.

Paper: section 5 and the authors' published configuration: z ~ U(-1, 1)^100,
rectifiers 1200-1200 to a sigmoid, maxout 240 x 5 twice with dropout .2 and .5,
SGD at .1 divided by 1.000004 an update, momentum .5 to .7 over 250 epochs,
batch 100. Not kept: the norm constraint on D's columns.

Command:
  python -m experiments.train --config=experiments/configs/mnist_2014.py \
    --workdir=runs/mnist_2014 --config.data.dir=DIR

Machine: 2 shared x86 cores: 14 to 16 ms a step
(experiments.benchmarks.step_time --suite=mnist_2014).
Result: not measured at the full budget of 125,000 steps. After 2,000 steps on
10,000 images D's loss is .35 and no loss has diverged. After 4,000 on 8,000
images the Parzen figure is -85 ± 62 (standard error of 3 seeds), of the data
247 (experiments/tables/parzen.py).
"""

import math

from gan_jax.config import fields as config


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
  for optimiser in (c.optim.gen, c.optim.disc):
    optimiser.name = 'sgd'
    optimiser.learning_rate = 0.1
    # Momentum.
    optimiser.b1 = 0.5
  for player in ('gen', 'disc'):
    c.schedules[f'optim.{player}.learning_rate'] = config.Schedule(
      'exponential', final=1e-6, rate=math.log(1.000004)
    )
    c.schedules[f'optim.{player}.b1'] = config.Schedule(
      'linear', final=0.7, end=125_000
    )
  c.log_every = 500
  c.eval.ema = False
  c.eval.every = 2500
  c.checkpoint.every = 2500
  return c
