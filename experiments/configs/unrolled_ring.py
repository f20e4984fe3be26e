"""The ring of eight modes against a D that is unrolled five steps ahead.

Paper: unrolled GANs (Metz et al. 2017), with the recipe of the authors' own
notebook (poolio/unrolled_gan): both players move at once on one batch, and G
minimises what D maximises. The notebook closes its ring with a copy of the
first mode and so has seven; here all eight are there. Plain alternation is
`--config.game.rule=alternating`; the notebook's own plain game, in which both
move at once, is `--config.game.rule=simultaneous`.

Command:
  python -m experiments.train --config=experiments/configs/unrolled_ring.py \
    --workdir=runs/unrolled_ring

Machine: 2 shared x86 cores; 25,000 steps at about 10 ms, plain ones at 1.5 ms.
Result: not measured at this budget; at 10,000 steps of batch 128, 10 seeds
find 6.9 ± .5 (standard error) of the 8 modes, plain ones 5.6 ± .6
(experiments/tables/unrolled_ring.py).
"""

from gan_jax.config import fields as config


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 25_000
  c.batch_size = 512
  c.loss = 'saturating'
  c.game.rule = 'unrolled'
  c.game.unroll_steps = 5
  c.latents = 'shared'
  c.data.name = 'ring'
  c.data.standardise = False
  c.gen.latent_dim = 256
  c.gen.latent = 'normal'
  for net in (c.gen, c.disc):
    net.width = 128
    net.depth = 2
    net.activation = 'tanh'
    net.kernel_init = 'orthogonal'
    net.kernel_scale = 1.4
  c.optim.gen.learning_rate = 1e-3
  c.optim.disc.learning_rate = 1e-4
  c.eval.num_samples = 2500
  c.eval.every = 5000
  c.checkpoint.every = 5000
  return c
