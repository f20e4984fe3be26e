"""Instance noise of an adaptive length on the 25 Gaussians: Diffusion-GAN.

Paper: Wang et al. 2023 (arXiv 2206.02262), the toy example: "the vanilla GAN
exhibits severe mode collapsing", where Diffusion-GAN "successfully captures all
the 25 Gaussian modes". It gives no figures, and the authors' code has no toy
example: networks of two hidden layers of 128 are what we believe the paper has;
the Gaussians, optimiser and budget are ours, the same for all rows and tuned to
none; the diffusion has that code's defaults. D is not told t, as in the plug-in
of the authors' README.

Command:
  python -m experiments.table --table=experiments/tables/diffusion_grid.py \
    --workdir=runs/diffusion_grid

Machine: half a core of a shared x86 machine beside other jobs, 25 min.
Result: docs/results.md. The plain GAN does not collapse, and the paper's
statement is not reproduced. Noise of .5 has less reverse KL and sliced W1.
"""

from experiments import recipes
from gan_jax.config import fields as config
from gan_jax.networks import mlp
from gan_jax.study import tables


def get_gan() -> config.Config:
  c = config.Config(steps=10_000, batch_size=256)
  c.data.name = 'grid'
  recipes.set_latents(c, 2)
  c.gen.net = mlp.GenSettings(width=128, depth=2, activation='leaky_relu')
  c.disc.net = mlp.DiscSettings(width=128, depth=2)
  recipes.set_adam(c, 1e-3, 0.5)
  c.eval.num_samples = 2500
  c.eval.every = c.log_every = 2000
  c.checkpoint.every = 10_000
  c.population.seeds = 5
  return c


def get_diffusion(
  noise: float, mixture: str = 'priority', *, adapts: bool = True
) -> config.Config:
  c = get_gan()
  c.augment.policy = 'diffusion'
  if adapts:
    c.augment.adapt, c.augment.speed_kimg = 'sign', 100.0
  c.augment.diffusion.noise = noise
  c.augment.diffusion.mixture = mixture
  return c


def get_constant() -> config.Config:
  """The longest chain throughout."""
  c = get_diffusion(0.5, adapts=False)
  c.augment.p = 1.0
  return c


def get_table() -> tables.Table:
  rows = {
    'GAN': get_gan(),
    'Diffusion-GAN, noise .05': get_diffusion(0.05),
    'Diffusion-GAN, noise .5': get_diffusion(0.5),
    'the same, uniform t': get_diffusion(0.5, 'uniform'),
    'the same, T of 1,000': get_constant(),
  }
  columns = [
    tables.Column('modes', 'modes of 25', digits=1),
    tables.Column('high_quality', 'HQ %', digits=1, scale=100.0),
    tables.Column('reverse_kl', 'reverse KL', digits=3),
    tables.Column('sliced_wasserstein_1', 'sliced W1', digits=3),
  ]
  return tables.Table(
    rows=rows,
    columns=columns,
    comparisons=[
      (row, 'GAN', column.metric)
      for row in rows
      if row != 'GAN'
      for column in columns
    ],
    note='10,000 steps of batch 256, MLPs of 2 x 128, Adam 1e-3 (.5, .999).',
  )
