"""The Parzen window table of Goodfellow et al. 2014, on the MNIST at hand.

The paper: 225 ± 2 nats, of 10,000 samples, sigma chosen on 1,000 validation
images, the mean over the 10,000 test images, after training on 50,000. Here
the first 8,000 images of MNIST's test split are to train on, 1,000 to choose
sigma and 1,000 to test, and training is far shorter. `parzen_of_data` is the
figure of the 8,000 training images themselves in place of samples.

Command (DIR as `tfds build mnist --file_format=array_record` leaves it):
  TFDS_DATA_DIR=DIR python -m experiments.table \
    --table=experiments/tables/parzen.py --workdir=runs/parzen

Machine: 2 shared x86 cores, 9 min beside other jobs.
Result: 3 seeds: -85.4 ± 62.1 (standard error), of the data 247.3.
"""

from experiments.configs import mnist_2014
from gan_jax.config import fields as config
from gan_jax.study import tables


def get_row() -> config.Config:
  c = mnist_2014.get_config()
  c.data.split = 'test[:80%]'
  c.steps = 4000
  c.eval.metrics = 'parzen'
  c.eval.held_out = 'test[80%:]'
  c.eval.num_samples = 8000
  c.eval.every = c.checkpoint.every = 2000
  c.population.seeds = 3
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={'adversarial nets': get_row()},
    columns=[
      tables.Column('parzen', 'log-likelihood', digits=1),
      tables.Column('parzen_sigma', 'sigma', digits=3),
      tables.Column('parzen_of_data', 'of the data', digits=1),
    ],
    note='4,000 steps of batch 100 (125,000 in the paper), 8,000 samples.',
  )
