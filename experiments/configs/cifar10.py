"""CIFAR-10, 32x32.

Paper: cifar10.py:sngan is SNGAN's ResNet without classes (Miyato et al. 2018,
table 4): FID 21.7 +- .21 of 5,000 samples against the 10,000 test images, IS
8.22 +- .05 of ten sets of 5,000. With --config.conditional=true it is the
projection discriminator of Miyato & Koyama 2018.
cifar10.py:biggan is the launch script of BigGAN's PyTorch code, with classes:
FID 14.73 and IS 9.22, as later papers quote them by an unknown protocol. With
--config.data.flip=true and twice the steps it is what Zhao et al. 2020 have as
their baseline: FID 9.59 of 10,000 samples against the test images.

Command (DIR as `tfds build cifar10 --file_format=array_record` leaves it):
  python -m experiments.train --config=experiments/configs/cifar10.py:biggan \
    --workdir=runs/cifar10 --config.data.dir=DIR

Machine: meant for an accelerator.
Result: not measured.
"""

from experiments import recipes
from gan_jax.config import fields as config, values


def _sngan(c: config.Config) -> None:
  recipes.use_sngan(c, steps=50_000)


def _biggan(c: config.Config) -> None:
  recipes.use_biggan(c)
  c.conditional = True


ARGUMENTS = {'sngan': _sngan, 'biggan': _biggan}


def get_config(network: str = 'sngan') -> config.Config:
  c = config.Config()
  c.data.name = 'cifar10'
  values.choose('network', network, ARGUMENTS)(c)
  c.eval.every = c.checkpoint.every = 5000
  return c
