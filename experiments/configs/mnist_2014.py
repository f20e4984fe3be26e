"""The MNIST experiment of Goodfellow et al. 2014: its nets and optimiser.

Paper: section 5 and the authors' published configuration: z uniform with a
variance of 1 and 100 coordinates, rectifiers 1200-1200 to a sigmoid, maxout
240 x 5 twice with dropout .2 and .5, batch 100, both players at once on the
same latents, SGD at .1 divided by 1.000004 an update, momentum .5 to .7 over
250 epochs. There D minimises the mean of its two cross-entropies, here their
sum: hence half of that rate. That configuration has no constraint on norms
(--config.optim.disc.max_column_norm=1.9365 is that of maxout networks), and its
rule for stopping is commented out; 250 epochs are where the momentum ends.
One pass of D over the samples serves both players: G's step drops the units
that D's does (latents).

Command:
  python -m experiments.train --config=experiments/configs/mnist_2014.py \
    --workdir=runs/mnist_2014 --config.data.dir=DIR

Machine: 2 shared x86 cores.
Result: three seeds at the full budget (experiments/tables/parzen.py).
"""

import math

from gan_jax.config import fields as config


def get_config() -> config.Config:
  c = config.Config()
  # 250 epochs of 50,000 images in batches of 100.
  c.steps = 125_000
  c.batch_size = 100
  c.rule.name = 'simultaneous'
  c.latents = 'shared_pass'
  c.data.name = 'mnist'
  c.data.split = 'train[:50000]'
  c.gen.name = c.disc.name = 'maxout'
  c.gen.latent_dim = 100
  c.gen.latent = 'unit_uniform'
  c.optim.gen.learning_rate = 0.1
  c.optim.disc.learning_rate = 0.05
  for optimiser in (c.optim.gen, c.optim.disc):
    optimiser.name = 'sgd'
    # Momentum.
    optimiser.b1 = 0.5
  for player, final in (('gen', 1e-6), ('disc', 5e-7)):
    c.schedules[f'optim.{player}.learning_rate'] = config.Schedule(
      'exponential', final=final, rate=math.log(1.000004)
    )
    # From the first epoch's end to that of the 250th.
    c.schedules[f'optim.{player}.b1'] = config.Schedule(
      'linear', final=0.7, begin=500, end=125_000
    )
  c.log_every = 500
  c.eval.ema = False
  c.eval.every = 2500
  c.checkpoint.every = 2500
  return c
