"""Unrolled GANs against plain ones on the notebook's ring, with all 8 modes.

Paper: Metz et al. 2017; the recipe of `experiments/configs/unrolled_ring.py`
and the length of the authors' notebook, 10 seeds of each rule.

Command:
  python -m experiments.table --table=experiments/tables/unrolled_ring.py \
    --workdir=runs/unrolled_ring

Machine: 2 shared x86 cores; three hours of one for the unrolled row.
Result: all 8 modes in each seed of the unrolled game, 7.2 +- .7 and 7.8 +- .2
of them in the plain ones (docs/results.md).
"""

from experiments.configs import unrolled_ring
from gan_jax.config import fields as config
from gan_jax.study import tables


def get_row(rule: str) -> config.Config:
  c = unrolled_ring.get_config()
  c.rule.name = rule
  c.eval.every = c.checkpoint.every = 2500
  c.population.seeds = 10
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={
      'unrolled, 5 steps': get_row('unrolled'),
      'plain, both at once': get_row('simultaneous'),
      'plain, taking turns': get_row('alternating'),
    },
    columns=[
      tables.Column('modes', 'modes of 8', digits=1),
      tables.Column('high_quality', 'HQ %', digits=1, scale=100.0),
      tables.Column('sliced_wasserstein_1', 'sliced W1', digits=3),
    ],
    comparisons=[
      ('unrolled, 5 steps', 'plain, both at once', 'modes'),
      ('unrolled, 5 steps', 'plain, both at once', 'sliced_wasserstein_1'),
    ],
    note='25,000 steps of batch 512, as in the notebook.',
  )
