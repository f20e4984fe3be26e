"""Faces of FFHQ at 64x64, 256x256 or 1024x1024.

Paper: R3GAN (Huang et al. 2024), table 9: batches of 256, 100 million images at
64x64 and 200 million at 256x256. Not here: its bfloat16 at high resolutions
(`--config.precision=bfloat16` is of all). ffhq.py:r3gan2_256 is its authors'
second version by the preset FFHQ-256 of their code
(https://github.com/IFeelBloated/R3GAN2), for as many images; that for 64x64 is
images.py:r3gan2. ffhq.py:stylegan2_1024 is StyleGAN2's configuration F (Karras
et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"), and
ffhq.py:stylegan2_256 the baseline paper256 of StyleGAN2-ADA.
ffhq.py:stylegan3_t_256 and stylegan3_r_256 are StyleGAN3's configurations T and
R (Karras et al. 2021) as docs/configs.md of the authors' code has them for
256x256, where the images are FFHQ-U; ffhq.py:stylegan3_t_1024 and
stylegan3_r_1024 as it has them for FFHQ.
Published: FID of 50,000 samples against the whole set of 70,000: of R3GAN 1.95
at 64x64 and 2.75 at 256x256, of StyleGAN2 3.78 at 256x256 (as Huang et al. 2024
quote it); and 2.84 at 1024x1024, against 50,000 of them (2.76 against all, by
clean-fid).

Command (FILE: the images as a folder or a zip file, 256x256 ones shrunken by a
box filter, as the published figures are of such):
  python -m experiments.train --config=experiments/configs/ffhq.py:64 \
    --workdir=runs/ffhq --config.data.dir=FILE

Machine: meant for an accelerator; 256x256 took the authors three weeks on eight
A6000.
Result: not measured.
"""

from experiments import recipes
from gan_jax.config import fields as config, values

_WIDTHS = (768, 768, 768, 768, 384, 192, 96)


def _r3gan(
  c: config.Config, size: int, *, gamma: float, million_images: int
) -> None:
  resolutions = size.bit_length() - 2
  recipes.use_r3gan(
    c,
    _WIDTHS[:resolutions],
    gamma=gamma,
    half_life=500_000.0,
    burn_in=20_000_000,
    augment=0.3,
  )
  c.data.size = size
  c.batch_size = 256
  c.steps = recipes.whole_rows(million_images * 1_000_000, c.batch_size)


def _r3gan2_256(c: config.Config) -> None:
  width = (512, 512, 512, 512, 256, 128)
  recipes.use_r3gan2(c, width, batch_size=256, gamma=150.0, augment=0.3)
  c.data.size = 256
  c.steps = recipes.whole_rows(200_000_000, c.batch_size)


def _stylegan2(c: config.Config, size: int, preset: str) -> None:
  c.data.size = size
  recipes.use_stylegan2(c, recipes.STYLEGAN2[preset])


def _stylegan3(c: config.Config, size: int, rotation: bool) -> None:
  c.data.size = size
  if size == 1024:
    recipes.use_stylegan3(c, rotation=rotation, gamma=32.8)
    return
  recipes.use_stylegan3(
    c, rotation=rotation, batch=64, gamma=1.0, fmaps=0.5, disc_rate=0.0025
  )


ARGUMENTS = {
  '64': lambda c: _r3gan(c, 64, gamma=2.0, million_images=100),
  '256': lambda c: _r3gan(c, 256, gamma=150.0, million_images=200),
  'r3gan2_256': _r3gan2_256,
  'stylegan2_256': lambda c: _stylegan2(c, 256, 'paper256'),
  'stylegan2_1024': lambda c: _stylegan2(c, 1024, 'stylegan2'),
  'stylegan3_t_256': lambda c: _stylegan3(c, 256, rotation=False),
  'stylegan3_r_256': lambda c: _stylegan3(c, 256, rotation=True),
  'stylegan3_t_1024': lambda c: _stylegan3(c, 1024, rotation=False),
  'stylegan3_r_1024': lambda c: _stylegan3(c, 1024, rotation=True),
}


def get_config(size: str = '64') -> config.Config:
  c = config.Config()
  c.data.name = 'folder'
  c.data.flip = True
  values.choose('size', size, ARGUMENTS)(c)
  c.log_every = 25
  c.eval.every = c.checkpoint.every = 1000
  return c
