"""PacGAN's 25-mode grid, with its networks, optimiser and training set.

Paper: PacGAN (Lin et al. 2018), 2D-grid: 100,000 points, batch 100, 400
epochs; as in the authors' code both players move at once and on the same
latents, and G is normalised over each of the samples that D judges together.
grid_2d.py:pacgan2 is PacGAN2, `--config.data.name=ring` their ring of eight
modes.

Command:
  python -m experiments.train --config=experiments/configs/grid_2d.py:gan \
    --workdir=runs/grid_2d

Machine: meant for an accelerator; 400,000 steps.
Result: of the ring one seed (experiments/tables/pacgan.py); the grid is not
measured at the full budget. The paper, 10 trials: 17.3 ± .8 modes for GAN, 23.8
± .7 for PacGAN2.
"""

from experiments import recipes
from gan_jax.config import fields as config, values
from gan_jax.networks import maxout, mlp

# Samples to a judgement of D.
ARGUMENTS = {'gan': 1, 'pacgan2': 2, 'pacgan3': 3, 'pacgan4': 4}


def get_config(game: str = 'gan') -> config.Config:
  c = config.Config()
  c.packing = values.choose('game', game, ARGUMENTS)
  # 400 epochs of 100,000 points in batches of 100.
  c.steps = 400_000
  c.batch_size = 100
  c.rule.name = 'simultaneous'
  c.latents = 'shared'
  c.data.name = 'grid'
  c.data.num_points = 100_000
  c.data.standardise = False
  recipes.set_latents(c, 2)
  c.gen.net = mlp.GenSettings(
    width=400,
    depth=4,
    batch_norm=True,
    norm_groups=c.packing,
    # The statistics decay by .95 and 1e-4 is added in the library of theirs.
    norm_momentum=0.95,
    norm_epsilon=1e-4,
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
  recipes.set_adam(c, 1e-4, 0.8)
  c.log_every = 1000
  c.eval.num_samples = 2500
  c.eval.every = 10_000
  c.checkpoint.every = 10_000
  return c
