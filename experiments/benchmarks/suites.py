"""The games that are timed."""

import dataclasses
import importlib
from collections.abc import Callable

from gan_jax.config import fields as configs
from gan_jax.networks import dcgan, r3gan


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


def _r3gan_32() -> configs.Config:
  """R3GAN at 32x32, as in the paper 16 channels a group, narrow and shallow."""
  c = configs.Config(batch_size=8, loss='relativistic_paired')
  c.gen.name = c.disc.name = 'r3gan'
  c.gen.latent_dim = 64
  c.gen.latent = 'normal'
  c.gen.net = r3gan.GenSettings(width=64, depth=1, groups=8)
  c.disc.net = r3gan.DiscSettings(width=64, depth=1, groups=8)
  for player in (c.optim.gen, c.optim.disc):
    player.learning_rate = 2e-4
    player.b1, player.b2 = 0.0, 0.99
  c.penalties.r1.weight = c.penalties.r2.weight = 0.05
  c.ema.half_life = 500_000.0
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
  """

  config: Callable[[], configs.Config]
  length: int
  shape: tuple[int, ...] = ()
  channels_last: bool = False


SUITES = {
  'gaussian_1d': Suite(lambda: _from_file('gaussian_1d', 'rectified'), 100),
  'ring_2d': Suite(lambda: _from_file('ring_2d'), 100),
  'mnist_2014': Suite(lambda: _from_file('mnist_2014'), 20, (28, 28, 1)),
  'dcgan_28': Suite(
    lambda: _from_file('mnist'), 25, (28, 28, 1), channels_last=True
  ),
  'dcgan_32': Suite(_dcgan_32, 5, (32, 32, 3)),
  'r3gan_32': Suite(_r3gan_32, 25, (32, 32, 3)),
}

# Images in memory, of which batches are drawn.
NUM_IMAGES = 10_000
