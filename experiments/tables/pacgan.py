"""PacGAN's ring and grid, with one to four samples to a judgement of D.

Paper: PacGAN (Lin et al. 2018), table 1, 10 trials of 400,000 steps each; the
recipe of `experiments/configs/grid_2d.py`. Here it is 5 seeds of GAN and
PacGAN2 and 3 of the others, all 400,000 steps long.

Command:
  python -m experiments.table --table=experiments/tables/pacgan.py \
    --workdir=runs/pacgan

Machine: 2 shared x86 cores; 15 ms a step of GAN on one of them.
Result: two seeds of GAN and of PacGAN2 on the ring, one of PacGAN3
(docs/results.md).
"""

from experiments.configs import grid_2d
from gan_jax.config import fields as config
from gan_jax.study import tables

_NAMES = {
  'GAN': 'gan',
  'PacGAN2': 'pacgan2',
  'PacGAN3': 'pacgan3',
  'PacGAN4': 'pacgan4',
}


def get_row(law: str, game: str) -> config.Config:
  c = grid_2d.get_config(game)
  c.data.name = law
  c.eval.every = c.checkpoint.every = 20_000
  c.population.seeds = 5 if c.packing < 3 else 3
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={
      f'{law}, {name}': get_row(law, game)
      for name, game in _NAMES.items()
      for law in ('ring', 'grid')
    },
    columns=[
      tables.Column('modes', digits=1),
      tables.Column('high_quality', 'HQ %', digits=1, scale=100.0),
      tables.Column('reverse_kl', 'reverse KL', digits=2),
    ],
    comparisons=[
      (f'{law}, PacGAN2', f'{law}, GAN', 'modes') for law in ('ring', 'grid')
    ],
    note='400,000 steps of batch 100, as in the paper.',
  )
