"""Eight modes on a ring, all found.

Paper: the data of PacGAN (Lin et al. 2018), 2D-ring; R1 and R2 as in R3GAN
(Huang et al. 2024). The recipe is our own: plain MLPs of 3 x 128.

Command:
  python -m experiments.train --config=experiments/configs/ring_2d.py \
    --workdir=runs/ring_2d

Machine: 2 shared x86 cores; 20,000 steps in 25 s.
Result: ten seeds by experiments/tables/ring.py (docs/results.md): all modes,
97.3 +- .2 % of 2,500 samples of high quality.
"""

from experiments import recipes
from gan_jax.config import fields as config
from gan_jax.networks import mlp


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 20_000
  c.batch_size = 256
  c.data.name = 'ring'
  recipes.set_latents(c, 2)
  c.gen.net = mlp.GenSettings(width=128, depth=3)
  c.disc.net = mlp.DiscSettings(width=128, depth=3)
  recipes.set_adam(c, 1e-3, 0.0)
  for name in ('optim.gen.learning_rate', 'optim.disc.learning_rate'):
    c.schedules[name] = config.Schedule('cosine', end=c.steps)
  c.penalties.r1.weight = 0.1
  c.penalties.r2.weight = 0.1
  c.ema.half_life = 256_000.0
  c.eval.num_samples = 2500
  c.eval.every = 1000
  c.checkpoint.every = 5000
  return c
