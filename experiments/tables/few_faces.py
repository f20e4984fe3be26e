"""What helps a GAN of a few hundred faces: three seeds of each, at one budget.

Papers: DiffAugment (Zhao et al. 2020), ADA (Karras et al. 2020), APA (Jiang et
al. 2021), LeCam (Tseng et al. 2021). Not a table of theirs: a narrow DCGAN with
R1 and mirrored images, on three quarters of the Olivetti faces of faces.py, and
about half as many images as DiffAugment's low-shot runs see. p moves five times
as fast as in ADA's and APA's runs, which see 25 million, as their authors have
it where a network is trained already; LeCam's weight is that of its authors'
BigGAN.

Command (FILE as for experiments/configs/faces.py):
  python -m experiments.table --table=experiments/tables/few_faces.py \
    --workdir=runs/few_faces --data_dir=FILE

Machine: meant for two x86 cores.
Result: kernel distance none 14.7 +- 2.5, DiffAugment 21.4 +- 1.4, ADA 13.8 +-
1.2, APA 11.8 +- .9, LeCam 8.8 +- .6. No difference from none is certain in this
budget and with three seeds (docs/results.md).
"""

from experiments import recipes
from experiments.configs import faces
from gan_jax.config import fields as config
from gan_jax.study import tables

STEPS = 5000


def get_plain() -> config.Config:
  c = faces.get_config()
  recipes.use_dcgan(c, width=128, batch_norm=False, learning_rate=4e-4)
  c.batch_size = 32
  c.steps = STEPS
  c.augment = config.Augment()
  c.population.seeds = 3
  c.data.split = 'train[:75%]'
  c.eval.held_out = c.eval.split = 'train[75%:]'
  c.eval.metrics = 'kid,prdc,swd,memorisation'
  c.eval.num_samples = 1000
  # Of the hundred or so that are held out.
  c.eval.kid_subset_size = 50
  c.eval.every = c.checkpoint.every = 1000
  return c


def get_diffaugment() -> config.Config:
  c = get_plain()
  c.augment.policy, c.augment.p = 'diffaugment', 1.0
  return c


def _adaptive() -> config.Config:
  c = get_plain()
  c.augment.adapt, c.augment.speed_kimg = 'sign', 100.0
  return c


def get_ada() -> config.Config:
  c = _adaptive()
  c.augment.policy = 'ada.bgc'
  return c


def get_apa() -> config.Config:
  c = _adaptive()
  c.augment.pseudo = True
  return c


def get_lecam() -> config.Config:
  c = get_plain()
  c.penalties.lecam.weight = 0.3
  return c


def get_table() -> tables.Table:
  rows = {
    'none': get_plain(),
    'DiffAugment': get_diffaugment(),
    'ADA': get_ada(),
    'APA': get_apa(),
    'LeCam': get_lecam(),
  }
  return tables.Table(
    rows=rows,
    columns=[
      tables.Column('kid_classifier', 'kernel distance', digits=2),
      tables.Column('swd', 'sliced Wasserstein', digits=4),
      tables.Column('recall_classifier', 'recall', digits=3),
      tables.Column('memorisation', digits=2),
      tables.Column('overfit/r_v', "D's r_v", digits=2),
    ],
    comparisons=[
      (row, 'none', metric)
      for row in rows
      if row != 'none'
      for metric in ('kid_classifier', 'overfit/r_v')
    ],
    note=(
      f'{STEPS:,} steps of batch 32 on three quarters of 400 faces, 1,000 '
      'samples against the others, in the features of a classifier of persons '
      'trained on nine tenths of the same three quarters; sliced Wasserstein '
      'and recall are of as many samples as there are others, r_v of 100.'
    ),
  )
