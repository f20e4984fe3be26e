"""The ring by class: a class for each mode, 2,000 steps, ten seeds.

Paper: Mirza & Osindero 2014 (conditional GANs) and the ways in which later
papers have D take the class, on PacGAN's ring (Lin et al. 2018); the game of
`experiments/configs/ring_2d.py`, with its R1 and R2. Each has the weights of
its paper, but MHGAN those of StudioGAN, with loss='none'.

Command:
  python -m experiments.table --table=experiments/tables/ring_classes.py \
    --workdir=runs/ring_classes

Machine: 2 shared x86 cores, some minutes.
Result: docs/results.md.
"""

import dataclasses

from experiments.configs import ring_2d
from gan_jax.config import fields as config
from gan_jax.study import tables

STEPS = 2000


def _both(name: str, weight: float) -> dict[str, float]:
  """A term of D and that of G of the same name."""
  return {name: weight, f'{name}_gen': weight}


# How D takes the class, and the weights of terms.
_WAYS: dict[str, tuple[str, dict[str, float]]] = {
  'concatenation': ('concatenation', {}),
  'projection': ('projection', {}),
  'ACGAN': ('classifier', _both('acgan', 1.0)),
  'TAC-GAN': ('twin_classifiers', _both('tacgan', 1.0)),
  'ADC-GAN': ('discriminative_classifier', _both('adcgan', 1.0)),
  'ContraGAN': ('proxies', _both('contragan', 1.0)),
  'ReACGAN': ('proxies', _both('reacgan', 0.5)),
  'own logit': ('own_logit', {}),
  'MHGAN': ('multi_hinge', {
    'mhgan': 1.0, 'mhgan_gen': 0.05, 'feature_matching': 1.0,
  }),
}  # fmt: skip


def get_row(way: str) -> config.Config:
  c = ring_2d.get_config()
  c.conditional = True
  conditioning, weights = _WAYS[way]
  c.disc.net = dataclasses.replace(c.disc.net, conditioning=conditioning)
  for name, weight in weights.items():
    getattr(c.penalties, name).weight = weight
  if conditioning == 'multi_hinge':
    c.loss = 'none'
    c.penalties.feature_matching.distance = 'mean_absolute'
  tables.set_steps(c, STEPS)
  c.eval.every = c.checkpoint.every = STEPS
  c.population.seeds = 10
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={way: get_row(way) for way in _WAYS},
    columns=[
      tables.Column('asked_mode', 'on the mode asked for, %', 1, 100.0),
      tables.Column('modes', 'modes of 8', digits=1),
      tables.Column('high_quality', 'HQ %', digits=1, scale=100.0),
      tables.Column('reverse_kl', 'reverse KL', digits=4),
    ],
    note=f'{STEPS:,} steps of batch 256, 2,500 samples.',
  )
