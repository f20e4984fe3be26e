"""From a uniform variable to a normal one.

Paper: Goodfellow et al. 2014, "Generative adversarial nets", figure 1; with
R1 (Mescheder et al. 2018). Any other density is one override away.

Command:
  python -m experiments.train --config=experiments/configs/gaussian_1d.py \
    --workdir=runs/gaussian_1d --config.data.name=normal

Machine: 2 shared x86 cores, no accelerator. 7 s from start to figure with all
compiled before, of which 3 s are the 16,000 steps and the looks between them.

Result: Kolmogorov-Smirnov statistic of 100,000 samples, median (min ... max),
with --config.eval.every=16000 and seeds from 0:
  normal       .009 (.007 ... .017)  10 seeds
  uniform      .005 (.003 ... .009)   5 seeds
  laplace      .018 (.009 ... .025)   5 seeds
  mixture      .026 (.020 ... .028)   5 seeds
  exponential  .016 (.007 ... .044)  10 seeds
"""

from gan_jax.config import fields as config
from gan_jax.networks import mlp


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 16_000
  c.batch_size = 256
  c.gen.net = mlp.GenSettings(width=32)
  c.disc.net = mlp.DiscSettings(width=32)
  # D at a constant rate tracks the optimum; G's rate falls to nothing, so that
  # it follows D's mean and not its noise.
  c.schedules['optim.gen.learning_rate'] = config.Schedule(
    'cosine', end=c.steps
  )
  c.optim.gen.b1 = c.optim.disc.b1 = 0.0
  c.penalties.r1.weight = 0.1
  c.ema.half_life = 100_000.0
  c.eval.every = 800
  c.checkpoint.every = 4000
  return c
