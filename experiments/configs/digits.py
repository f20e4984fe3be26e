"""Handwritten digits 8x8 from noise, on a machine with no network.

Paper: DCGAN (Radford et al. 2016), without batch normalisation in D, with R1.
The images are the 1,797 of the UCI set that ship inside scikit-learn. Other
networks: digits.py:small_dcgan and digits.py:r3gan, not measured.

Command:
  python -m experiments.train --config=experiments/configs/digits.py \
    --workdir=runs/digits

Machine: 2 shared x86 cores; 6,000 steps at 760 a second, 12 s in all.
Result: 1 seed: the grid shows digits of all ten kinds, as coarse as the data.
"""

from experiments import recipes
from gan_jax.config import fields as config, values


def _dcgan(c: config.Config) -> None:
  recipes.use_dcgan(
    c, width=128, latent_dim=32, batch_norm=False, learning_rate=5e-4
  )
  c.penalties.r1.weight = 0.02


def _r3gan(c: config.Config) -> None:
  recipes.use_r3gan(
    c, width=64, depth=1, gamma=0.1, half_life=10_000.0, burn_in=100_000
  )
  c.batch_size = 64


ARGUMENTS = {
  'dcgan': _dcgan,
  'small_dcgan': recipes.use_small_dcgan,
  'r3gan': _r3gan,
}


def get_config(network: str = 'dcgan') -> config.Config:
  c = config.Config()
  c.steps = 6000
  c.data.name = 'digits'
  values.choose('network', network, ARGUMENTS)(c)
  c.eval.every = 500
  c.checkpoint.every = 1000
  return c
