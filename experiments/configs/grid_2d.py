"""PacGAN's 25-mode grid, with its networks, optimiser and training set.

Paper: PacGAN (Lin et al. 2018), 2D-grid: 100,000 points, batch 100, 400
epochs; both players move at once and on the same latents, as in the authors'
code. `--config.packing=2` is PacGAN2, `--config.data.name=ring` their ring of
eight modes. Here G is normalised over all latents of a step at once, there
over each of the m that are packed.

Command:
  python -m experiments.train --config=experiments/configs/grid_2d.py \
    --workdir=runs/grid_2d --config.packing=1

Machine: meant for an accelerator; 400,000 steps.
Result: not measured at the full budget; after 10,000 steps, 19.3 ± 1.2 modes
(standard error of 3 seeds; experiments/tables/pacgan.py). The paper, 10 trials:
17.3 ± .8 modes for GAN, 23.8 ± .7 for PacGAN2.
"""

from gan_jax.config import fields as config
from gan_jax.networks import maxout, mlp


def get_config() -> config.Config:
  c = config.Config()
  # 400 epochs of 100,000 points in batches of 100.
  c.steps = 400_000
  c.batch_size = 100
  c.rule.name = 'simultaneous'
  c.latents = 'shared'
  c.data.name = 'grid'
  c.data.num_points = 100_000
  c.data.standardise = False
  c.gen.latent_dim = 2
  c.gen.latent = 'normal'
  c.gen.net = mlp.GenSettings(
    width=400,
    depth=4,
    batch_norm=True,
    kernel_init='normal',
    kernel_scale=0.02,
  )
  c.disc.name = 'maxout'
  c.disc.net = maxout.DiscSettings(
    width=200,
    depth=3,
    pieces=5,
    input_dropout=0.0,
    hidden_dropout=0.0,
    kernel_init='normal',
    kernel_scale=0.02,
  )
  for player in (c.optim.gen, c.optim.disc):
    player.learning_rate = 1e-4
    player.b1 = 0.8
  c.log_every = 1000
  c.eval.num_samples = 2500
  c.eval.every = 10_000
  c.checkpoint.every = 10_000
  return c
