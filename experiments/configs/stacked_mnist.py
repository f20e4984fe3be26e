"""StackedMNIST: three digits as the channels of an image, a thousand modes.

Paper: PacGAN (Lin et al. 2018), table 3, the setting of unrolled GANs with a D
of a quarter of G, as in the authors' code: 500,000 steps of batch 128, both
players on the same latents. `--config.packing=2` is PacGAN2. There samples are
judged by the statistics of their own batch, here by running averages; and G is
normalised there over each of the packed samples, here over all of a step.

Command (DIR as `tfds build mnist --file_format=array_record` leaves it):
  python -m experiments.train --config=experiments/configs/stacked_mnist.py \
    --workdir=runs/stacked_mnist --config.data.dir=DIR

Machine: meant for an accelerator; 500,000 steps.
Result: not measured at the full budget; a small one, at ten times these rates,
is in experiments/tables/stacked_mnist.py.
"""

from gan_jax.config import fields as config


def get_config() -> config.Config:
  c = config.Config()
  c.steps = 500_000
  c.batch_size = 128
  c.latents = 'shared'
  c.data.name = 'mnist'
  c.data.stack = 3
  c.gen.name = c.disc.name = 'small_dcgan'
  c.gen.latent_dim = 256
  c.gen.latent = 'normal'
  for player in (c.optim.gen, c.optim.disc):
    player.b1 = 0.5
    player.b2 = 0.99
  c.optim.gen.learning_rate = 1e-4
  c.optim.disc.learning_rate = 2e-4
  c.eval.metrics = 'classes'
  c.eval.num_samples = 25_600
  c.eval.every = c.checkpoint.every = 5000
  return c
