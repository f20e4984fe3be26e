"""Five hundred images of one kind, 32x32, and ADA at a strength that is varied.

Paper: ADA (Karras et al. 2020), which holds fixed strengths against the
adaptive one. The game is not theirs: a narrow DCGAN with R1, on a tenth of a
folder of 5,000 images, such as one class of CIFAR-10. few_images.py:none
augments nothing; few_images.py:adaptive moves the strength, from 0.

Command (FILE: a zip file or a folder with the images, such as
cifar10.zip/horse; five strengths, three seeds of each, in one program):
  python -m experiments.train --config=experiments/configs/few_images.py:ada \
    --workdir=runs/few_images --config.data.dir=FILE \
    --config.population.seeds=3 \
    --config.population.vary=augment.p=0,0.2,0.4,0.6,0.8

The adaptive strength: few_images.py:adaptive, without the last line.

Machine: meant for two x86 cores.
Result: not measured; few_clothes.py is, on grey images.
"""

import dataclasses

from experiments import recipes
from gan_jax.config import fields as config, values

ARGUMENTS = {
  'none': config.Augment(),
  'ada': config.Augment(policy='ada.bgc', p=1.0),
  # As in few_faces.py, for a run that sees so few.
  'adaptive': config.Augment(policy='ada.bgc', adapt='sign', speed_kimg=100.0),
}


def get_config(augmentation: str = 'ada') -> config.Config:
  c = config.Config()
  c.data.name = 'folder'
  c.data.size = 32
  c.data.channels = 3
  c.data.flip = True
  c.data.split = 'train[:10%]'
  c.eval.held_out = c.eval.split = 'train[90%:]'
  recipes.use_dcgan(c, width=64, batch_norm=False, learning_rate=4e-4)
  c.batch_size = 32
  c.steps = 5_000
  c.penalties.r1.weight = 0.1
  chosen = values.choose('augmentation', augmentation, ARGUMENTS)
  c.augment = dataclasses.replace(chosen)
  c.eval.metrics = 'swd,memorisation'
  # About as many as are held out.
  c.eval.num_samples = 500
  c.eval.every = c.checkpoint.every = 1000
  return c
