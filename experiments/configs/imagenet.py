"""ImageNet with classes, at 32x32, 64x64 or 128x128.

Paper: BigGAN (Brock et al. 2019) as its authors' PyTorch code trains it at
128x128, where that comes to a TensorFlow inception score of 97.35 +- 1.79 just
before it collapses (its README). imagenet.py:32 and imagenet.py:64 have no
published recipe: they are the same with 20 of z for each block, and attention
at half of the size.

Command (DIR as `tfds build imagenet_resized/64x64 --file_format=array_record`
leaves it; imagenet2012 for 128x128):
  python -m experiments.train --config=experiments/configs/imagenet.py:64 \
    --workdir=runs/imagenet --config.data.dir=DIR

Machine: meant for several accelerators; a batch of 2,048 on fewer takes
--config.precision=bfloat16 and net.remat of both players.
Result: not measured.
"""

from experiments import recipes
from gan_jax.config import fields as config, values


def _32(c: config.Config) -> None:
  c.data.name = 'imagenet_resized/32x32'
  recipes.use_large_biggan(c, latent_dim=80, attention=16)


def _64(c: config.Config) -> None:
  c.data.name = 'imagenet_resized/64x64'
  recipes.use_large_biggan(c, latent_dim=100, attention=32)


def _128(c: config.Config) -> None:
  c.data.name = 'imagenet2012'
  c.data.size = 128
  recipes.use_large_biggan(c, latent_dim=120, attention=64)


ARGUMENTS = {'64': _64, '32': _32, '128': _128}


def get_config(size: str = '64') -> config.Config:
  c = config.Config()
  c.conditional = True
  values.choose('size', size, ARGUMENTS)(c)
  # Ours; the authors trained until it collapsed.
  c.steps = 150_000
  c.eval.every = c.checkpoint.every = 1000
  return c
