"""Faces, or any images, from a folder of your own, at 64x64 unless it is named.

Paper: DCGAN (Radford et al. 2016), without batch normalisation in D, with R1;
as images.py:small, the same with a quarter of its channels and batches of 32,
which is ours; as images.py:wgan, WGAN (Arjovsky et al. 2017), with batch
normalisation in D, without mirror images and an average of G; as
images.py:r3gan, R3GAN (Huang et al. 2024) as for FFHQ-64, but of one width at
all resolutions; as images.py:r3gan2, its authors' second version
(https://github.com/IFeelBloated/R3GAN2) by their preset FFHQ-64, for 100
million images; as images.py:sngan, SNGAN (Miyato et al. 2018) as its authors'
code has it for 64x64, but with mirror images; as images.py:biggan, BigGAN
(Brock et al. 2019) as for ImageNet, but with batches of 256 and no classes,
whose latents and attention follow the size: images.py:biggan_32, _128 and _256
for those; as images.py:biggan_deep, biggan_deep_32, _128 and _256, the same
with BigGAN-deep's networks; as images.py:stylegan2, StyleGAN2-ADA (Karras et
al. 2020) as its 'auto' has it, whose numbers follow the size:
images.py:stylegan2_128, _256, _512 and _1024 for those, or as it has its small
sets of photographs: images.py:paper512 and paper1024; as images.py:stylegan3,
StyleGAN3's configuration T (Karras et al. 2021) as its authors recommend it for
one device, with a weight of R1 that grows with the pixels, and
images.py:stylegan3_128, _256, _512 and _1024; that for 64x64 is ours, by the
same rule.

Command:
  python -m experiments.train --config=experiments/configs/images.py:dcgan \
    --workdir=runs/images --config.data.dir=FOLDER

Machine: meant for an accelerator, but for images.py:small.
Result: not measured: no face set is at hand.
"""

import functools
from collections.abc import Callable

from experiments import recipes
from gan_jax.config import fields as config, values


def _dcgan(c: config.Config) -> None:
  recipes.use_dcgan(c, width=512, batch_norm=False)
  c.steps = 100_000
  c.penalties.r1.weight = 1.0


def _small(c: config.Config) -> None:
  recipes.use_dcgan(c, width=128, batch_norm=False)
  c.batch_size, c.steps = 32, 30_000
  c.penalties.r1.weight = 1.0


def _wgan(c: config.Config) -> None:
  recipes.use_wgan(c)
  # Ours; theirs goes through LSUN's bedrooms 25 times.
  c.steps = 100_000
  c.data.flip = False


def _r3gan(c: config.Config) -> None:
  recipes.use_r3gan(
    c,
    width=768,
    gamma=2.0,
    half_life=500_000.0,
    burn_in=20_000_000,
    augment=0.3,
  )
  c.batch_size = 256
  # 100 million images.
  c.steps = 390_000


def _r3gan2(c: config.Config) -> None:
  recipes.use_r3gan2(c, 512, batch_size=256, gamma=2.0, augment=0.3)
  # Ours; theirs go on until they are stopped.
  c.steps = 390_000


def _sngan(c: config.Config) -> None:
  recipes.use_sngan(c, steps=250_000, decay_from=200_000)
  # Those for 32x32 and for 128x128 have twice D's batches.
  c.gen_batches = 1


def _biggan(c: config.Config, size: int = 64) -> None:
  c.data.size = size
  recipes.use_large_biggan(c, size, batch_size=256)
  c.steps = 100_000


def _biggan_deep(c: config.Config, size: int = 64) -> None:
  c.data.size = size
  recipes.use_biggan_deep(c, size, batch_size=256)
  c.steps = 100_000


def _stylegan2(c: config.Config, size: int = 64, preset: str = '') -> None:
  c.data.size = size
  recipe = recipes.STYLEGAN2[preset] if preset else recipes.stylegan2_auto(size)
  recipes.use_stylegan2(c, recipe)
  c.augment.policy, c.augment.adapt = 'ada.bgc', 'sign'


def _stylegan3(c: config.Config, size: int = 64) -> None:
  c.data.size = size
  recipes.use_stylegan3(c, gamma=0.5 * (size / 128) ** 2)
  c.augment.policy, c.augment.adapt = 'ada.bgc', 'sign'


ARGUMENTS: dict[str, Callable[[config.Config], None]] = {
  'dcgan': _dcgan,
  'small': _small,
  'wgan': _wgan,
  'r3gan': _r3gan,
  'r3gan2': _r3gan2,
  'sngan': _sngan,
  'biggan': _biggan,
  **{
    f'biggan_{size}': functools.partial(_biggan, size=size)
    for size in (32, 128, 256)
  },
  'biggan_deep': _biggan_deep,
  **{
    f'biggan_deep_{size}': functools.partial(_biggan_deep, size=size)
    for size in (32, 128, 256)
  },
  'stylegan2': _stylegan2,
  **{
    f'stylegan2_{size}': functools.partial(_stylegan2, size=size)
    for size in (128, 256, 512, 1024)
  },
  'stylegan3': _stylegan3,
  **{
    f'stylegan3_{size}': functools.partial(_stylegan3, size=size)
    for size in (128, 256, 512, 1024)
  },
  **{
    f'paper{size}': functools.partial(
      _stylegan2, size=size, preset=f'paper{size}'
    )
    for size in (512, 1024)
  },
}


def get_config(network: str = 'dcgan') -> config.Config:
  c = config.Config()
  c.data.name = 'folder'
  c.data.size = 64
  c.data.flip = True
  values.choose('network', network, ARGUMENTS)(c)
  c.eval.every = 1000
  c.checkpoint.every = 1000
  return c
