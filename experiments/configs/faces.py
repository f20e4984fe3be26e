"""Faces 64x64 from four hundred photographs, on two cores.

Paper: DCGAN (Radford et al. 2016), without batch normalisation in D, with R1,
and DiffAugment (Zhao et al. 2020), whose low-shot settings mirror images, too.
The Olivetti faces of AT&T Laboratories Cambridge are ten grey images of each of
40 people; sklearn.datasets.fetch_olivetti_faces has them. A tenth of them,
chosen by their names, is held out. faces.py:person tells both players who it
is, and is half as long.

Command (FILE: a zip file or a folder with a folder of images for each person):
  python -m experiments.train --config=experiments/configs/faces.py \
    --workdir=runs/faces --config.data.dir=FILE

Machine: meant for two x86 cores.
Result: faces of different people, none of 48 a copy (docs/results.md): samples
are 1.49 times as far from the nearest training picture as held-out ones. 220 to
230 images a second on two cores, so 75 minutes. By person, after 10,850 steps:
96.1 % of samples are of the person asked for.
"""

from experiments import recipes
from gan_jax.config import fields as config, values

ARGUMENTS = {'everyone': False, 'person': True}


def get_config(who: str = 'everyone') -> config.Config:
  c = config.Config()
  c.conditional = values.choose('who', who, ARGUMENTS)
  c.data.name = 'folder'
  c.data.size = 64
  c.data.channels = 1
  c.data.flip = True
  c.data.split = 'train[:90%]'
  c.eval.held_out = 'train[90%:]'
  recipes.use_dcgan(c, width=256, batch_norm=False, learning_rate=4e-4)
  c.batch_size = 32
  c.steps = 16_000 if c.conditional else 32_000
  c.penalties.r1.weight = 0.1
  c.augment.policy = 'diffaugment'
  c.augment.p = 1.0
  c.log_every = 50
  c.eval.every = c.checkpoint.every = 500
  return c
