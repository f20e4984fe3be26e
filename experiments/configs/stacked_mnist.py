"""StackedMNIST: three digits as the channels of an image, a thousand modes.

Paper: PacGAN (Lin et al. 2018), table 3, the setting of unrolled GANs with a D
of a quarter of G, as in the authors' code: 500,000 steps of batch 128, both
players on the same latents, samples judged by the statistics of their own
batch, and G normalised over each of the samples that D judges together.
stacked_mnist.py:pacdcgan2 is PacGAN2. stacked_mnist.py:veegan is PacGAN's other
setting, that of VEEGAN, table 2: the first DCGAN code in TensorFlow, with two G
steps for each of D and 50 epochs of 128,000 stacks; stacked_mnist.py:veegan2 is
its PacGAN2. stacked_mnist.py:r3gan is Huang et al. 2024, table 9: 32x32, batch
512, 10 million images. None of these is measured.
Published, modes and KL: small 78.5 and 5.21 (PacGAN2 484.5 and 2.61), veegan
78.9 and 4.50 (PacGAN2 1000 and .06), of 25,600 and 26,000 samples; r3gan 1000
and .029.

Command (DIR as `tfds build mnist --file_format=array_record` leaves it):
  python -m experiments.train --config=experiments/configs/stacked_mnist.py \
    --workdir=runs/stacked_mnist --config.data.dir=DIR

Machine: meant for an accelerator; 500,000 steps.
Result: not measured at the full budget.
"""

import functools
from collections.abc import Callable

from experiments import recipes
from gan_jax.config import fields as config, values
from gan_jax.networks import dcgan, small_dcgan


def _small(c: config.Config) -> None:
  recipes.use_small_dcgan(c)
  c.eval.batch_stats = True


def _pacdcgan2(c: config.Config) -> None:
  _small(c)
  c.packing = 2
  c.gen.net = small_dcgan.GenSettings(norm_groups=2)


def _veegan(c: config.Config, packing: int = 1) -> None:
  recipes.use_dcgan(c, width=512, batch_norm=True)
  c.gen.net = dcgan.GenSettings(512, kernel=5, stages=4, norm_groups=packing)
  c.disc.net = dcgan.DiscSettings(512, kernel=5, stages=4)
  c.packing = packing
  c.gen.latent = 'uniform'
  c.latents, c.gen_steps = 'shared', 2
  c.steps = 100_000
  c.eval.ema = False
  c.eval.num_samples = 26_000


def _r3gan(c: config.Config) -> None:
  recipes.use_r3gan(
    c,
    width=768,
    gamma=1.0,
    half_life=500_000.0,
    burn_in=2_000_000,
    final_rate=None,
  )
  c.batch_size = 512
  c.steps = 20_000
  c.data.size = 32


ARGUMENTS: dict[str, Callable[[config.Config], None]] = {
  'small': _small,
  'pacdcgan2': _pacdcgan2,
  'veegan': _veegan,
  'veegan2': functools.partial(_veegan, packing=2),
  'r3gan': _r3gan,
}


def get_config(setting: str = 'small') -> config.Config:
  c = config.Config()
  c.steps = 500_000
  c.data.name = 'mnist'
  c.data.stack = 3
  c.eval.metrics = 'classes'
  c.eval.num_samples = 25_600
  values.choose('setting', setting, ARGUMENTS)(c)
  c.eval.every = c.checkpoint.every = 5000
  return c
