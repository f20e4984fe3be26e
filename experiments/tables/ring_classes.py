"""The ring by class: a class for each mode, 2,000 steps, ten seeds.

Paper: Mirza & Osindero 2014 (conditional GANs) and the ways in which later
papers have D take the class, on PacGAN's ring (Lin et al. 2018); the game of
`experiments/configs/ring_2d.py`. Each has the weights of its paper.

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

# How D takes the class, and the weights of the terms of both players.
_WAYS: dict[str, tuple[str, dict[str, float]]] = {
  'concatenation': ('concatenation', {}),
  'projection': ('projection', {}),
  'ACGAN': ('classifier', {'acgan': 1.0}),
  'TAC-GAN': ('twin_classifiers', {'tacgan': 1.0}),
  'ADC-GAN': ('discriminative_classifier', {'adcgan': 1.0}),
  'ContraGAN': ('proxies', {'contragan': 1.0}),
  'ReACGAN': ('proxies', {'reacgan': 0.5}),
}


def get_row(way: str) -> config.Config:
  c = ring_2d.get_config()
  c.conditional = True
  conditioning, weights = _WAYS[way]
  c.disc.net = dataclasses.replace(c.disc.net, conditioning=conditioning)
  for name, weight in weights.items():
    for field in (name, f'{name}_gen'):
      getattr(c.penalties, field).weight = weight
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
