"""The ring of eight modes against a D that is unrolled five steps ahead.

Paper: unrolled GANs (Metz et al. 2017), with the recipe of the authors' own
notebook (poolio/unrolled_gan): both players move at once on one batch, and G
minimises what D maximises, real samples' term included. The notebook closes its
ring with a copy of the first mode and so has seven; here all eight are there.
Plain alternation is `--config.rule.name=alternating`; the notebook's own plain
game, in which both move at once, is `--config.rule.name=simultaneous`.

Command:
  python -m experiments.train --config=experiments/configs/unrolled_ring.py \
    --workdir=runs/unrolled_ring

Machine: 2 shared x86 cores; 25,000 steps at about 10 ms, plain ones at 1.5 ms.
Result: ten seeds at the notebook's length (experiments/tables/unrolled_ring.py,
docs/results.md).
"""

from typing import Any

from experiments import recipes
from gan_jax.config import fields as config
from gan_jax.networks import mlp


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 25_000
  c.batch_size = 512
  # G's gradient has the term of real samples, through the unrolled D.
  c.loss = 'minimax'
  c.rule.name = 'unrolled'
  c.rule.unroll_steps = 5
  c.latents = 'shared'
  c.data.name = 'ring'
  c.data.standardise = False
  recipes.set_latents(c, 256)
  net: dict[str, Any] = {
    'width': 128,
    'depth': 2,
    'activation': 'tanh',
    'kernel_init': 'orthogonal',
    'kernel_scale': 1.4,
  }
  c.gen.net = mlp.GenSettings(**net)
  c.disc.net = mlp.DiscSettings(**net)
  c.optim.gen.learning_rate = 1e-3
  c.optim.disc.learning_rate = 1e-4
  c.eval.num_samples = 2500
  c.eval.every = 5000
  c.checkpoint.every = 5000
  return c
