"""Which strength of ADA helps five hundred grey images of clothes.

Paper: ADA (Karras et al. 2020), section 3: fixed strengths against the adaptive
one; the game of `experiments/configs/few_clothes.py`, 3 seeds of each.

Command (DIR as `tfds build fashion_mnist --file_format=array_record` leaves
it):
  TFDS_DATA_DIR=DIR python -m experiments.table \
    --table=experiments/tables/few_clothes.py --workdir=runs/few_clothes

Machine: 1 shared x86 core, 71 minutes for the fixed ones, 12 for the other.
Result: docs/results.md. Every strength harms so short a run, and the adaptive
one goes back to 0.
"""

from experiments.configs import few_clothes
from gan_jax.config import fields as config
from gan_jax.study import tables


def get_row(augmentation: str) -> config.Config:
  c = few_clothes.get_config(augmentation)
  c.population.seeds = 3
  return c


def get_fixed() -> config.Config:
  c = get_row('ada')
  c.population.vary = {'augment.p': [0.0, 0.2, 0.4, 0.6, 0.8]}
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={'fixed': get_fixed(), 'adaptive': get_row('adaptive')},
    columns=[
      tables.Column('fd_classifier', 'Frechet distance', digits=1),
      tables.Column('recall_classifier', 'recall', digits=3),
      tables.Column('coverage_classifier', 'coverage', digits=3),
      tables.Column('overfit/r_v', "D's r_v", digits=3),
      tables.Column('overfit/nearest', 'nearest', digits=2),
    ],
    comparisons=[('adaptive', 'fixed, augment.p=0', 'fd_classifier')],
    note=(
      '3,000 steps of batch 32 on 500 images, 5,000 samples against as many of '
      'the test images, or all for the distance, in the features of a '
      'classifier trained on nine tenths of the 60,000 training images; r_v '
      'and nearest are of 100 samples and 256 images of either kind.'
    ),
  )
