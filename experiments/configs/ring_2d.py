"""Eight modes on a ring, two dimensions.

Command:
  python -m experiments.train --config=experiments/configs/ring_2d.py \
    --workdir=runs/ring_2d
"""

from gan_jax import config


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 20_000
  c.batch_size = 256
  c.data.name = 'ring'
  c.gen.latent_dim = 2
  c.gen.latent = 'normal'
  c.gen.width = c.disc.width = 128
  c.gen.depth = c.disc.depth = 3
  for player in (c.optim.gen, c.optim.disc):
    player.learning_rate = 1e-3
    player.b1 = 0.0
    player.learning_rate_schedule.kind = 'cosine'
    player.learning_rate_schedule.end = c.steps
  c.penalties.r1.weight = 0.1
  c.penalties.r2.weight = 0.1
  c.ema.half_life = 256_000.0
  c.eval.num_samples = 2500
  c.eval.every = 1000
  c.checkpoint.every = 5000
  return c
