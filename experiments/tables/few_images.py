"""A tenth of the images: what it costs a GAN, and what DiffAugment saves.

Papers: DiffAugment (Zhao et al. 2020) and ADA (Karras et al. 2020), whose
figures are over the number of training images. Not a table of theirs: the game
of experiments/configs/few_images.py on a tenth and on nine tenths of a folder
of 5,000 images, such as one class of CIFAR-10, at one budget; both against the
500 or so that neither has.

Command (FILE: a zip file or a folder with 5,000 images, such as
cifar10.zip/horse):
  python -m experiments.table --table=experiments/tables/few_images.py \
    --workdir=runs/few_images --data_dir=FILE

Machine: meant for two x86 cores.
Result: sliced Wasserstein .0370 +- .0013 and .0435 +- .0011 without
DiffAugment, .0397 +- .0020 and .0426 +- .0011 with it, which tells nothing of
what a person sees: horses of 500 images with it, textures without
(docs/results.md).
"""

from experiments.configs import few_images
from gan_jax.config import fields as config
from gan_jax.study import tables

# Of 5,000; who belongs to a part depends on the names, so these are rounded.
_SPLITS = {'500': 'train[:10%]', '4,500': 'train[:90%]'}


def get_row(images: str, policy: str) -> config.Config:
  c = few_images.get_config('none')
  c.data.split = _SPLITS[images]
  if policy:
    c.augment.policy, c.augment.p = policy, 1.0
  c.population.seeds = 3
  return c


def get_table() -> tables.Table:
  rows = {
    f'{images} images{policy and ", DiffAugment"}': get_row(images, policy)
    for policy in ('', 'diffaugment')
    for images in _SPLITS
  }
  return tables.Table(
    rows=rows,
    columns=[
      tables.Column('swd', 'sliced Wasserstein', digits=4),
      tables.Column('memorisation', digits=2),
      tables.Column('overfit/r_v', "D's r_v", digits=2),
    ],
    comparisons=[
      ('500 images', '4,500 images', 'swd'),
      ('500 images, DiffAugment', '500 images', 'swd'),
      ('500 images, DiffAugment', '500 images', 'overfit/r_v'),
      ('4,500 images, DiffAugment', '4,500 images', 'swd'),
    ],
    note=(
      '5,000 steps of batch 32 at 32x32, 500 samples against the 500 images '
      'that are held out; r_v is of 100 samples and 256 images of either kind.'
    ),
  )
