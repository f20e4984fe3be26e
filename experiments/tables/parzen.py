"""The Parzen window table of Goodfellow et al. 2014, by its own protocol.

The paper: 225 ± 2 nats, of 10,000 samples, sigma chosen on 1,000 validation
images, the mean over the 10,000 test images, after training on 50,000. Here
training has the length over which the authors' configuration moves its
momentum; it names no end. `parzen_of_data` is the figure of 10,000 training
images in place of samples.

One thing is changed in the second row: the units that D drops in G's step are
not those of its own step, as they are where one pass of D serves both.

Command (DIR is the folder of MNIST's own four files, whose first 50,000 images
are the paper's; `tfds build` shuffles them):
  TFDS_DATA_DIR=DIR python -m experiments.table \
    --table=experiments/tables/parzen.py --workdir=runs/parzen

Machine: 2 shared x86 cores; 22 ms a step of one seed, alone on both.
Result: 183.8 ± 2.3, 180.4 ± 2.4 and 179.1 ± 2.3 of three seeds of the first
row, 179.7 ± 2.3 of one of the second (± over test images; docs/results.md).
"""

from experiments.configs import mnist_2014
from gan_jax.config import fields as config
from gan_jax.study import tables


def get_row(latents: str = 'shared_pass') -> config.Config:
  c = mnist_2014.get_config()
  c.latents = latents
  c.eval.metrics = 'parzen'
  # The first 1,000 choose sigma.
  c.eval.held_out = 'train[50000:51000]+test'
  c.eval.num_samples = 10_000
  c.eval.every = c.checkpoint.every = 12_500
  c.population.seeds = 3
  return c


def get_table() -> tables.Table:
  return tables.Table(
    rows={
      'adversarial nets': get_row(),
      'a pass of D for each player': get_row(latents='shared'),
    },
    columns=[
      tables.Column('parzen', 'log-likelihood', digits=1),
      tables.Column('parzen_sigma', 'sigma', digits=3),
      tables.Column('parzen_of_data', 'of the data', digits=1),
    ],
    note='125,000 steps of batch 100, 10,000 samples.',
  )
