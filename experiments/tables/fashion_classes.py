"""Fashion-MNIST by class: three small networks at one budget.

Not a table of a paper: what later versions are held against. Conditional games
at 32x32 by DCGAN (Radford et al. 2016) with class batch normalisation and
projection, SNGAN (Miyato et al. 2018; Miyato & Koyama 2018) and R3GAN (Huang et
al. 2024), each with its own loss and rates, at widths that a CPU can play.

Command (DIR as `tfds build fashion_mnist --file_format=array_record` leaves
it):
  TFDS_DATA_DIR=DIR python -m experiments.table \
    --table=experiments/tables/fashion_classes.py --workdir=runs/fashion_classes

Machine: 2 shared x86 cores.
Result: DCGAN makes the class asked for in 83.7 +- .1 % of its samples, but of
shirts in 28.2 +- 2.6 %, Frechet distance 15.4 +- 1.0; SNGAN in 72.3 +- 1.2 %,
58.0 +- 1.8; R3GAN, which has hardly begun by then, in 37.9 +- 3.4 %, 173.9 +-
11.3.
"""

from experiments import recipes
from gan_jax.config import fields as config
from gan_jax.networks import sngan
from gan_jax.study import tables

STEPS = 3000
# As TFDS names them, shortened.
CLASSES = (
  'top', 'trouser', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker',
  'bag', 'boot',
)  # fmt: skip


def _game() -> config.Config:
  c = config.Config()
  c.data.name = 'fashion_mnist'
  c.data.size = 32
  c.conditional = True
  return c


def _measured(c: config.Config) -> config.Config:
  """At the end of the budget, against the test images."""
  c.steps = STEPS
  c.batch_size = 32
  c.population.seeds = 3
  c.eval.metrics = 'class_accuracy,fd_classifier,intra_fd,prdc'
  c.eval.by_class = True
  c.eval.split = 'test'
  c.eval.num_samples = 10_000
  c.log_every = 50
  c.eval.every = c.checkpoint.every = STEPS
  return c


def get_dcgan() -> config.Config:
  c = _game()
  recipes.use_dcgan(c, width=128, batch_norm=False, learning_rate=5e-4)
  c.penalties.r1.weight = 0.5
  return _measured(c)


def get_sngan() -> config.Config:
  c = _game()
  recipes.use_sngan(c, steps=STEPS)
  c.gen.net = sngan.GenSettings(width=16)
  c.disc.net = sngan.DiscSettings(width=16)
  c.gen_batches, c.data.dequantise = 1, False
  c.disc_steps = 2
  c.ema.half_life = 10_000.0
  return _measured(c)


def get_r3gan() -> config.Config:
  c = _game()
  recipes.use_r3gan(
    c, width=32, depth=1, gamma=0.5, half_life=10_000.0, burn_in=50_000
  )
  return _measured(c)


def _by_class(metric: str, digits: int, scale: float) -> list[tables.Column]:
  return [
    tables.Column(f'{metric}_{k}_classifier', name, digits, scale)
    for k, name in enumerate(CLASSES)
  ]


def get_table() -> tables.Table:
  return tables.Table(
    rows={'DCGAN': get_dcgan(), 'SNGAN': get_sngan(), 'R3GAN': get_r3gan()},
    columns=[
      tables.Column(
        'class_accuracy_classifier', 'class made, %', digits=1, scale=100
      ),
      tables.Column('fd_classifier', 'Frechet distance', digits=2),
      tables.Column('intra_fd_classifier', 'within classes', digits=2),
      tables.Column('precision_classifier', 'precision', digits=3),
      tables.Column('recall_classifier', 'recall', digits=3),
    ],
    comparisons=[
      ('SNGAN', 'DCGAN', 'fd_classifier'),
      ('R3GAN', 'DCGAN', 'fd_classifier'),
    ],
    parts={
      'class made, %': _by_class('class_accuracy', 1, 100.0),
      'Frechet distance within each class': _by_class('intra_fd', 1, 1.0),
    },
    note=(
      f'{STEPS:,} steps of batch 32, 10,000 samples against the test images, '
      'in the features of a classifier trained on nine tenths of the training '
      'images.'
    ),
  )
