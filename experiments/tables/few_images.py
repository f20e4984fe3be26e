"""A tenth of the images: what it costs a GAN, and what DiffAugment saves.

Papers: DiffAugment (Zhao et al. 2020) and ADA (Karras et al. 2020), whose
figures are over the number of training images. Not a table of theirs: a narrow
DCGAN with R1 at 32x32, on a tenth and on nine tenths of a folder of 5,000
images, such as one class of CIFAR-10, at one budget; both against the 500 or so
that neither has.

Command (FILE: a zip file or a folder with 5,000 images, such as
cifar10.zip/horse):
  python -m experiments.table --table=experiments/tables/few_images.py \
    --workdir=runs/few_images --data_dir=FILE

Machine: meant for two x86 cores.
Result: not measured.
"""

from experiments import recipes
from gan_jax.config import fields as config
from gan_jax.study import tables

STEPS = 10_000
# Of 5,000; who belongs to a part depends on the names, so these are rounded.
_SPLITS = {'500': 'train[:10%]', '4,500': 'train[:90%]'}


def get_row(images: str, policy: str) -> config.Config:
  c = config.Config()
  c.data.name = 'folder'
  c.data.size = 32
  c.data.channels = 3
  c.data.flip = True
  c.data.split = _SPLITS[images]
  c.eval.held_out = c.eval.split = 'train[90%:]'
  recipes.use_dcgan(c, width=64, batch_norm=False)
  c.batch_size = 32
  c.steps = STEPS
  for player in (c.optim.gen, c.optim.disc):
    player.learning_rate = 4e-4
  c.penalties.r1.weight = 0.1
  if policy:
    c.augment.policy, c.augment.p = policy, 1.0
  c.population.seeds = 3
  c.eval.metrics = 'swd,memorisation'
  # About as many as are held out.
  c.eval.num_samples = 500
  c.eval.every = c.checkpoint.every = 1000
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
      f'{STEPS:,} steps of batch 32 at 32x32, 500 samples against the 500 '
      'images that are held out.'
    ),
  )
