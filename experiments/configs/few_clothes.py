"""Five hundred grey images of clothes, and ADA at a strength that is varied.

Paper: ADA (Karras et al. 2020), which holds fixed strengths against the
adaptive one. The game is not theirs: that of few_images.py, on the first 500
images of Fashion-MNIST at 32x32. Colour's hue and saturation are left out, as
images are grey. few_clothes.py:none augments nothing; few_clothes.py:adaptive
moves the strength, from 0.

Command (DIR as `tfds build fashion_mnist --file_format=array_record` leaves
it):
  TFDS_DATA_DIR=DIR python -m experiments.train \
    --config=experiments/configs/few_clothes.py:ada --workdir=runs/few_clothes

experiments/tables/few_clothes.py has five strengths, and the adaptive one.
"""

from experiments.configs import few_images
from gan_jax.config import fields as config

ARGUMENTS = few_images.ARGUMENTS


def get_config(augmentation: str = 'ada') -> config.Config:
  c = few_images.get_config(augmentation)
  c.data.name = 'fashion_mnist'
  c.data.channels = 0
  c.data.flip = False
  c.data.split = 'train[:500]'
  c.eval.held_out = c.eval.split = 'test'
  c.eval.metrics = 'fd_classifier,prdc'
  # Nine tenths of the training images; the rest tells how good it is.
  c.eval.features_data, c.eval.features_split = 'fashion_mnist', 'train'
  c.eval.num_samples = 5_000
  c.steps = 3_000
  c.eval.every = c.checkpoint.every = c.steps
  return c
