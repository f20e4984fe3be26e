"""PacGAN's ring and grid, with one to four samples to a judgement of D.

Paper: PacGAN (Lin et al. 2018), table 1, 10 trials of 400,000 steps each; the
recipe of `experiments/configs/grid_2d.py`. Here it is 3 seeds of 10,000 steps,
so that the whole table fits two hours of two cores; `--steps=400000
--seeds=10` is the paper's own budget, meant for an accelerator.

Command:
  python -m experiments.table --table=experiments/tables/pacgan.py \
    --workdir=runs/pacgan

Machine: one core of a shared x86 machine beside other jobs, 125 min.
Result: 3 seeds, modes ± standard error of GAN and PacGAN2 to 4: ring 8.0 ± 0,
8.0 ± 0, 8.0 ± 0, 7.7 ± .3; grid 19.3 ± 1.2, 18.3 ± 2.7, 10.0 ± .6, 14.0 ± 3.2.
"""

from experiments.configs import grid_2d
from gan_jax.config import fields as config
from gan_jax.study import tables


def get_row(law: str, packing: int) -> config.Config:
  c = grid_2d.get_config()
  c.data.name = law
  c.packing = packing
  c.steps = 10_000
  c.eval.every = c.checkpoint.every = 1000
  c.population.seeds = 3
  return c


def get_table() -> tables.Table:
  names = {1: 'GAN', 2: 'PacGAN2', 3: 'PacGAN3', 4: 'PacGAN4'}
  return tables.Table(
    rows={
      f'{law}, {name}': get_row(law, packing)
      for law in ('ring', 'grid')
      for packing, name in names.items()
    },
    columns=[
      tables.Column('modes', digits=1),
      tables.Column('high_quality', 'HQ %', digits=1, scale=100.0),
      tables.Column('reverse_kl', 'reverse KL', digits=3),
    ],
    comparisons=[
      (f'{law}, PacGAN2', f'{law}, GAN', 'modes') for law in ('ring', 'grid')
    ],
    note='10,000 steps of batch 100 (400,000 in the paper).',
  )
