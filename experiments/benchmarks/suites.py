"""The games that are timed."""

import dataclasses
import importlib
from collections.abc import Callable

from experiments import recipes
from gan_jax.config import fields as configs
from gan_jax.networks import dcgan, r3gan, stylegan2


def _from_file(name: str, *argument: str) -> configs.Config:
  """The configuration of that name in `experiments/configs`."""
  module = importlib.import_module(f'experiments.configs.{name}')
  config: configs.Config = module.get_config(*argument)
  return config


def _dcgan_32() -> configs.Config:
  """The DCGAN of the paper's appendix at 32x32, three channels."""
  c = _from_file('mnist')
  c.gen.net = dcgan.GenSettings(width=512)
  c.disc.net = dcgan.DiscSettings(width=512)
  return c


def _r3gan_32(width: int) -> configs.Config:
  """R3GAN at 32x32, as in the paper 16 channels a group, narrow and shallow."""
  c = configs.Config(batch_size=8, loss='relativistic_paired')
  c.gen.name = c.disc.name = 'r3gan'
  recipes.set_latents(c, 64)
  sizes = width, 1, width // 8
  c.gen.net, c.disc.net = r3gan.GenSettings(*sizes), r3gan.DiscSettings(*sizes)
  recipes.set_adam(c, 2e-4, 0.0, 0.99)
  c.penalties.r1.weight = c.penalties.r2.weight = 0.05
  c.ema.half_life = 500_000.0
  return c


def _sngan_32() -> configs.Config:
  """SNGAN's ResNets without classes, at the paper's width, one D step."""
  c = configs.Config()
  recipes.use_sngan(c, steps=50_000)
  c.batch_size, c.gen_batches, c.disc_steps = 16, 1, 1
  return c


def _biggan_32() -> configs.Config:
  """BigGAN with classes and attention at 16x16, half as wide, one D step."""
  c = configs.Config()
  recipes.use_biggan(c)
  c.batch_size, c.disc_steps, c.conditional = 16, 1, True
  c.gen.net = dataclasses.replace(c.gen.net, width=32, attention=16)
  c.disc.net = dataclasses.replace(c.disc.net, width=32, attention=16)
  return c


def _stylegan2_32() -> configs.Config:
  """StyleGAN2 with 128 channels, R1 and path length as lazy as in the paper."""
  c = configs.Config(batch_size=16)
  c.gen.name = c.disc.name = 'stylegan2'
  recipes.set_latents(c, 128)
  c.gen.net = stylegan2.GenSettings(width=128, w_dim=128)
  c.disc.net = stylegan2.DiscSettings(width=128)
  recipes.set_adam(c, 2e-3, 0.0, 0.99)
  c.penalties.r1.weight, c.penalties.r1.every = 10.0, 16
  c.penalties.path_length.weight = 2.0
  c.penalties.path_length.every = 4
  c.ema.half_life = 10_000.0
  return c


def _r3gan2_32() -> configs.Config:
  """R3GAN's second version, narrow and shallow, one block with attention."""
  c = configs.Config()
  recipes.use_r3gan2(c, 64, batch_size=8, gamma=0.05, augment=0.3)
  c.precision = 'float32'
  smaller = {'depth': 1, 'attentions': (0, 1, 0)}
  c.gen.net = dataclasses.replace(c.gen.net, **smaller)
  c.disc.net = dataclasses.replace(c.disc.net, **smaller)
  # Numbers at once as they are in the middle of a run.
  c.gen.labels, c.augment.p, c.schedules = 'data', 0.3, {}
  return c


def _small_dcgan_28() -> configs.Config:
  """The networks of unrolled GANs on three channels."""
  c = _from_file('stacked_mnist', 'small')
  c.data.stack = 1
  return c


def _mnist_2014() -> configs.Config:
  """By turns and with latents of its own for G, as PyTorch's is written."""
  c = _from_file('mnist_2014')
  c.rule.name, c.latents, c.gen.latent = 'alternating', 'fresh', 'uniform'
  return c


@dataclasses.dataclass(frozen=True)
class Suite:
  """A game.

  Attributes:
    config: makes its configuration; the data are replaced by `shape`.
    length: steps in one compiled call.
    shape: of its images, which are noise: pixels do not change the time. `()`
      for a density, which is drawn from as in training.
    channels_last: PyTorch's memory format, the faster one.
    in_torch: whether the game is written in PyTorch too.
  """

  config: Callable[[], configs.Config]
  length: int
  shape: tuple[int, ...] = ()
  channels_last: bool = False
  in_torch: bool = True


SUITES = {
  'gaussian_1d': Suite(lambda: _from_file('gaussian_1d', 'rectified'), 100),
  'ring_2d': Suite(lambda: _from_file('ring_2d'), 100),
  'mnist_2014': Suite(_mnist_2014, 20, (28, 28, 1)),
  'dcgan_28': Suite(
    lambda: _from_file('mnist'), 25, (28, 28, 1), channels_last=True
  ),
  'dcgan_32': Suite(_dcgan_32, 5, (32, 32, 3)),
  'r3gan_32': Suite(lambda: _r3gan_32(64), 25, (32, 32, 3)),
  'r3gan_32_wide': Suite(lambda: _r3gan_32(128), 10, (32, 32, 3)),
  'sngan_32': Suite(_sngan_32, 2, (32, 32, 3)),
  'biggan_32': Suite(_biggan_32, 2, (32, 32, 3)),
  'stylegan2_32': Suite(_stylegan2_32, 16, (32, 32, 3)),
  'r3gan2_32': Suite(_r3gan2_32, 5, (32, 32, 3), in_torch=False),
  'small_dcgan_28': Suite(_small_dcgan_28, 25, (28, 28, 3), in_torch=False),
}

# Images in memory, of which batches are drawn, and their classes.
NUM_IMAGES = 10_000
CLASSES = 10
