"""The one-dimensional figure of Goodfellow et al. 2014."""

from gan_jax import config


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 12_000
  c.batch_size = 256
  c.gen.width = c.disc.width = 32
  for player in (c.optim.gen, c.optim.disc):
    player.b1 = 0.0
    player.learning_rate_schedule.kind = 'cosine'
    player.learning_rate_schedule.end = 12_000
  c.penalties.r1.weight = 0.01
  c.ema.half_life = 250_000
  c.eval.every = 300
  c.checkpoint.every = 3000
  return c
