"""MNIST digits, 28x28.

Paper: DCGAN (Radford et al. 2016) at width 64; Adam 2e-4, beta_1 .5, batch 64.
mnist.py:infogan is InfoGAN (Chen et al. 2016), whose codes are to be digits.
mnist.py:classes has classes, at 32x32, and suits Fashion-MNIST, too. Other
networks: mnist.py:small_dcgan, and mnist.py:r3gan for 32x32; not measured.

Command (DIR as `tfds build mnist --file_format=array_record` leaves it; the
test split's 10,000 images are what was measured):
  python -m experiments.train --config=experiments/configs/mnist.py \
    --workdir=runs/mnist --config.data.dir=DIR --config.data.split=test

Machine: 2 shared x86 cores: 6,000 steps in 1 min 32 s.
Result: 1 seed: the grid shows digits of all ten kinds, most of them clean
and some twenty of a hundred malformed. mnist.py:classes on the training split,
1 seed: 99.1 % of 100,000 samples are of the class asked for, of Fashion-MNIST
(--config.data.name=fashion_mnist) 92.1 %. mnist.py:infogan with
--config.steps=3000, 1 seed: 53.8 % of 10,000 samples are of their code's digit,
and those of a code differ little.
"""

import dataclasses

from experiments import recipes
from gan_jax.config import fields as config, values


def _dcgan(c: config.Config) -> None:
  recipes.use_dcgan(c, width=64, batch_norm=True)


def _r3gan(c: config.Config) -> None:
  recipes.use_r3gan(
    c, width=128, gamma=1.0, half_life=10_000.0, burn_in=200_000
  )
  c.batch_size = 64
  c.data.size = 32


def _classes(c: config.Config) -> None:
  """Of classes; with batch normalisation in D it collapses."""
  recipes.use_dcgan(c, width=128, batch_norm=False, learning_rate=5e-4)
  c.conditional = True
  c.data.size = 32
  c.penalties.r1.weight = 0.5
  c.eval.metrics = 'class_accuracy,fd_classifier'


def _infogan(c: config.Config) -> None:
  """InfoGAN (Chen et al. 2016, appendix C.1): ten codes and two numbers.

  z is as there, uniform and of 62 numbers beside the codes. The networks and
  their training are those of `_classes`, for with batch normalisation in D and
  the paper's rates it collapsed here.
  """
  _classes(c)
  c.conditional = False
  c.gen.codes, c.gen.latent_dim, c.gen.latent = 10, 64, 'uniform'
  c.gen.net = dataclasses.replace(
    c.gen.net, width=64, conditioning='concatenation'
  )
  c.disc.net = dataclasses.replace(
    c.disc.net, width=64, conditioning='codes', numbers=2
  )
  c.penalties.infogan.weight = c.penalties.infogan_gen.weight = 1.0
  c.eval.metrics = 'code_accuracy'
  c.eval.num_samples = 10_000


ARGUMENTS = {
  'dcgan': _dcgan,
  'infogan': _infogan,
  'classes': _classes,
  'small_dcgan': recipes.use_small_dcgan,
  'r3gan': _r3gan,
}


def get_config(network: str = 'dcgan') -> config.Config:
  c = config.Config()
  c.steps = 6000
  c.data.name = 'mnist'
  c.data.split = 'train'
  values.choose('network', network, ARGUMENTS)(c)
  c.log_every = 25
  c.eval.every = 500
  c.checkpoint.every = 500
  return c
