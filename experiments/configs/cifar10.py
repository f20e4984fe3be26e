"""CIFAR-10, 32x32.

Paper: cifar10.py:sngan is SNGAN's ResNet without classes (Miyato et al. 2018,
table 4): FID 21.7 +- .21 of 5,000 samples against the 10,000 test images, IS
8.22 +- .05 of ten sets of 5,000. With --config.conditional=true it is the
projection discriminator of Miyato & Koyama 2018.
cifar10.py:wgan_gp is WGAN-GP (Gulrajani et al. 2017) with those ResNets, as the
library mimicry (https://github.com/kwotsin/mimicry, Lee & Town 2020) has it:
FID 22.29 +- .06 of 50,000 samples against the training images, IS 7.33 +- .02
of ten parts of as many. cifar10.py:ssgan (Chen et al. 2019) and infomax (Lee et
al. 2021) are that library's, too: FID 14.65 +- .04 and 15.12 +- .10, IS 8.17 +-
.06 and 8.08 +- .08, where its SNGAN has 16.77 +- .04 and 7.97 +- .06.
cifar10.py:biggan is the launch script of BigGAN's PyTorch code, with classes:
FID 14.73 and IS 9.22, as later papers quote them by an unknown protocol. With
--config.data.flip=true and twice the steps it is what Zhao et al. 2020 have as
their baseline: FID 9.59 of 10,000 samples against the test images.

cifar10.py:contragan (Kang & Park 2020), reacgan (Kang et al. 2021), adcgan (Hou
et al. 2022), tacgan (Gong et al. 2019) and acgan (Odena et al. 2017) are the
BigGAN of StudioGAN (https://github.com/POSTECH-CVLab/PyTorch-StudioGAN) with
that D of classes. Its authors' log of ContraGAN has FID 8.06 of 10,000 samples
against the test images, and IS 9.73 of as many, at the last step.
cifar10.py:mhgan (Kavalerov et al. 2021) and mdgan, with an output of D for each
class and R1 (Mescheder et al. 2018), are that BigGAN, too; StudioGAN's README
gives no figures of them in words.

cifar10.py:r3gan is R3GAN with classes (Huang et al. 2024, table 9) for 250
million images: FID 1.96 of 50,000 samples against the
training images. cifar10.py:r3gan2 is its authors' second version by the preset
CIFAR10 of their code (https://github.com/IFeelBloated/R3GAN2), for as many;
nothing is published. cifar10.py:stylegan2 is StyleGAN2-ADA's tuned preset for
CIFAR-10 without augmentation and classes (--config.conditional=true has them),
cifar10.py:stylegan2_baseline StyleGAN2 as it was, their preset cifarbaseline:
FID 8.32 and IS 9.18 of 50,000 samples against the training images, by the
tables of later papers.

cifar10.py:small is a smaller conditional SNGAN, of no paper, for two cores.

Command (DIR as `tfds build cifar10 --file_format=array_record` leaves it):
  python -m experiments.train --config=experiments/configs/cifar10.py:biggan \
    --workdir=runs/cifar10 --config.data.dir=DIR

Machine: meant for an accelerator, cifar10.py:small for two x86 cores.
Result: not measured, but for cifar10.py:small: 48.9 % of its samples are of the
class asked for, one seed (docs/results.md).
"""

import math

from experiments import recipes
from gan_jax.config import fields as config, values
from gan_jax.networks import sngan


def _sngan(c: config.Config) -> None:
  recipes.use_sngan(c, steps=50_000)


def _wgan_gp(c: config.Config) -> None:
  recipes.use_wgan_gp(c, steps=100_000)


def _small(c: config.Config) -> None:
  """A conditional SNGAN, a CNN of half the width, for three hours of a core."""
  recipes.use_sngan(c, steps=20_000)
  c.conditional = True
  c.batch_size = 32
  c.gen_batches, c.data.dequantise = 1, False
  c.disc_steps = 2
  c.gen.net = sngan.GenSettings('cnn', width=32)
  c.disc.net = sngan.DiscSettings('cnn', width=32)
  c.data.flip = True
  c.ema.half_life = 20_000.0
  c.log_every = 25


def _biggan(c: config.Config) -> None:
  recipes.use_biggan(c)
  c.conditional = True


def _with_heads(
  c: config.Config, conditioning: str, term: str, weight: float = 1.0
) -> None:
  """StudioGAN's, with a term of both players."""
  recipes.use_studiogan_biggan(c, conditioning)
  for name in (term, f'{term}_gen'):
    getattr(c.penalties, name).weight = weight


def _reacgan(c: config.Config) -> None:
  _with_heads(c, 'proxies', 'reacgan', 0.5)
  c.batch_size = 128
  recipes.set_adam(c, 2e-4 * math.sqrt(2), 0.5)
  c.ema.half_life *= 2


def _mhgan(c: config.Config) -> None:
  recipes.use_studiogan_biggan(c, 'multi_hinge')
  c.loss = 'none'
  c.penalties.mhgan.weight, c.penalties.mhgan_gen.weight = 1.0, 0.05
  c.penalties.feature_matching = config.FeatureMatching(1.0, 'mean_absolute')


def _mdgan(c: config.Config) -> None:
  recipes.use_studiogan_biggan(c, 'own_logit')
  c.loss = 'non_saturating'
  # Half of the squared norm, there as here.
  c.penalties.r1.weight = 1.0


def _r3gan(c: config.Config) -> None:
  recipes.use_r3gan(
    c,
    768,
    gamma=0.05,
    half_life=5_000_000.0,
    burn_in=20_000_000,
    augment=0.55,
  )
  c.conditional = True
  c.data.flip = True
  c.batch_size = 512
  c.steps = recipes.whole_rows(250_000_000, c.batch_size)


def _r3gan2(c: config.Config) -> None:
  recipes.use_r3gan2(
    c, 512, batch_size=512, gamma=0.05, augment=0.55, edm2_rate=True
  )
  c.conditional = True
  c.data.flip = True
  c.steps = recipes.whole_rows(250_000_000, c.batch_size)


def _stylegan2(c: config.Config) -> None:
  recipes.use_stylegan2(c, recipes.STYLEGAN2['cifar'])


def _stylegan2_baseline(c: config.Config) -> None:
  recipes.use_stylegan2(c, recipes.STYLEGAN2['cifarbaseline'])


ARGUMENTS = {
  'sngan': _sngan,
  'wgan_gp': _wgan_gp,
  'ssgan': lambda c: recipes.use_ssgan(c, steps=100_000),
  'infomax': lambda c: recipes.use_infomax(c, steps=100_000),
  'small': _small,
  'biggan': _biggan,
  'acgan': lambda c: _with_heads(c, 'classifier', 'acgan'),
  'tacgan': lambda c: _with_heads(c, 'twin_classifiers', 'tacgan'),
  'adcgan': lambda c: _with_heads(c, 'discriminative_classifier', 'adcgan'),
  'contragan': lambda c: _with_heads(c, 'proxies', 'contragan'),
  'reacgan': _reacgan,
  'mhgan': _mhgan,
  'mdgan': _mdgan,
  'stylegan2': _stylegan2,
  'stylegan2_baseline': _stylegan2_baseline,
  'r3gan': _r3gan,
  'r3gan2': _r3gan2,
}


def get_config(network: str = 'sngan') -> config.Config:
  c = config.Config()
  c.data.name = 'cifar10'
  values.choose('network', network, ARGUMENTS)(c)
  c.eval.every = c.checkpoint.every = 5000
  return c
