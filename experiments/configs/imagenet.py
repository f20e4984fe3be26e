"""ImageNet with classes, at 32x32, 64x64 or 128x128.

Paper: imagenet.py:32 and imagenet.py:64 are R3GAN (Huang et al. 2024, table 9)
for a thousand million images: FID 1.27 and 2.09 of 50,000 samples against the
training images. imagenet.py:r3gan2_32 and imagenet.py:r3gan2_64 are its
authors' second version by the presets of their code
(https://github.com/IFeelBloated/R3GAN2), for as many; nothing is published.
imagenet.py:128 is BigGAN (Brock et al. 2019) as its authors'
PyTorch code trains it, where that comes to a TensorFlow inception score of
97.35 +- 1.79 just before it collapses (its README). imagenet.py:biggan_32 and
imagenet.py:biggan_64 have no published recipe: they are the same with 20 of z
for each block, and attention at half of the size.
imagenet.py:biggan_deep is BigGAN-deep at 128x128 by the script of that code,
which its authors have not trained to the end (its README).
imagenet.py:sagan is SAGAN (Zhang et al. 2019) at 128x128 by the same code, for
100 epochs; published are IS 52.52 and FID 18.6, as Brock et al. quote them.
imagenet.py:sngan is the projection discriminator (Miyato & Koyama 2018) at
128x128 as its authors' code trains it for 450,000 steps: IS 29.7, and within
classes FID 103.1.

Command (DIR as `tfds build imagenet_resized/64x64 --file_format=array_record`
leaves it; imagenet2012 for 128x128):
  python -m experiments.train --config=experiments/configs/imagenet.py:64 \
    --workdir=runs/imagenet --config.data.dir=DIR

Machine: meant for several accelerators; a batch of 2,048 on fewer takes more
--config.microbatches, --config.precision=bfloat16 and net.remat of both
players. BigGANs', SAGAN's and SNGAN's batches are in parts of 256, 128 and (of
D's) 16 samples, each normalised by its own statistics: with another batch_size,
change microbatches.
Result: not measured.
"""

from experiments import recipes
from gan_jax.config import fields as config, values


def _r3gan(
  c: config.Config, size: int, *, gamma: float, augment: float
) -> None:
  c.data.name = f'imagenet_resized/{size}x{size}'
  c.data.flip = True
  recipes.use_r3gan(
    c,
    1536,
    channels_a_group=32,
    gamma=gamma,
    half_life=50_000_000.0,
    burn_in=200_000_000,
    augment=augment,
  )
  c.batch_size = 4096
  c.steps = recipes.whole_rows(1_000_000_000, c.batch_size)


def _r3gan2(c: config.Config, size: int, *, gamma: float) -> None:
  c.data.name = f'imagenet_resized/{size}x{size}'
  c.data.flip = True
  recipes.use_r3gan2(
    c,
    1024,
    batch_size=4096,
    gamma=gamma,
    augment=0.4,
    burn_in=200_000_000,
  )
  c.steps = recipes.whole_rows(1_000_000_000, c.batch_size)


def _biggan(c: config.Config, size: int) -> None:
  c.data.name = f'imagenet_resized/{size}x{size}'
  recipes.use_large_biggan(c, size)
  # Ours; its authors trained until it collapsed.
  c.steps = 150_000


def _at_128(c: config.Config) -> None:
  c.data.name, c.data.size = 'imagenet2012', 128


def _biggan_128(c: config.Config) -> None:
  _biggan(c, 128)
  _at_128(c)


def _biggan_deep(c: config.Config) -> None:
  recipes.use_biggan_deep(c, 128)
  _at_128(c)
  # Ours.
  c.steps = 150_000


def _sagan(c: config.Config) -> None:
  recipes.use_sagan(c)
  _at_128(c)
  # 100 epochs.
  c.steps = 500_000


def _sngan(c: config.Config) -> None:
  recipes.use_sngan(c, steps=450_000, decay_from=400_000)
  _at_128(c)
  # Four processes, each with statistics of its own.
  c.microbatches = 4


ARGUMENTS = {
  '64': lambda c: _r3gan(c, 64, gamma=1.0, augment=0.4),
  '32': lambda c: _r3gan(c, 32, gamma=0.5, augment=0.5),
  'r3gan2_64': lambda c: _r3gan2(c, 64, gamma=1.0),
  'r3gan2_32': lambda c: _r3gan2(c, 32, gamma=0.5),
  '128': _biggan_128,
  'biggan_deep': _biggan_deep,
  'sagan': _sagan,
  'sngan': _sngan,
  'biggan_64': lambda c: _biggan(c, 64),
  'biggan_32': lambda c: _biggan(c, 32),
}


def get_config(size: str = '64') -> config.Config:
  c = config.Config()
  c.conditional = True
  values.choose('size', size, ARGUMENTS)(c)
  c.eval.every = c.checkpoint.every = 1000
  return c
