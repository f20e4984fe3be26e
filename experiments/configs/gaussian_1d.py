"""The one-dimensional figure of Goodfellow et al. 2014.

Command:
  python -m experiments.train --config=experiments/configs/gaussian_1d.py \
    --workdir=runs/gaussian_1d
"""

from gan_jax import config


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 16_000
  c.batch_size = 256
  c.gen.width = c.disc.width = 32
  # D at a constant rate tracks the optimum; G's rate falls to nothing, so that
  # it follows D's mean and not its noise.
  c.optim.gen.learning_rate_schedule = config.Schedule('cosine', end=c.steps)
  c.optim.gen.b1 = c.optim.disc.b1 = 0.0
  c.penalties.r1.weight = 0.1
  c.ema.half_life = 100_000.0
  c.eval.every = 800
  c.checkpoint.every = 4000
  return c
