"""Faces, or any images, from a folder of your own, at 64x64.

Paper: DCGAN (Radford et al. 2016), without batch normalisation in D, with R1.

Command:
  python -m experiments.train --config=experiments/configs/faces_folder.py \
    --workdir=runs/faces --config.data.dir=FOLDER

Machine: meant for an accelerator.
Result: not measured: no face set is at hand.
"""

from gan_jax.config import fields as config


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 100_000
  c.batch_size = 64
  c.data.name = 'folder'
  c.data.size = 64
  c.data.flip = True
  c.gen.name = c.disc.name = 'dcgan'
  c.gen.width = c.disc.width = 512
  c.gen.latent_dim = 100
  c.gen.latent = 'normal'
  c.disc.batch_norm = False
  for player in (c.optim.gen, c.optim.disc):
    player.learning_rate = 2e-4
    player.b1 = 0.5
  c.penalties.r1.weight = 1.0
  c.ema.half_life = 10_000.0
  c.eval.every = 1000
  c.checkpoint.every = 1000
  return c
