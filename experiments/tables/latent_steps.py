"""Latents that first go uphill in D (LOGAN), on the ring of eight modes.

Paper: LOGAN (Wu et al. 2019), the natural gradient with alpha .9 and beta .1;
its uniform latents. The data of PacGAN's ring (Lin et al. 2018), standardised;
the networks, rates and steps of `experiments/tables/ring_losses.py`. The paper
has no figures of such data.

Command:
  python -m experiments.table --table=experiments/tables/latent_steps.py \
    --workdir=runs/latent_steps

Machine: half of a shared x86 core.
Result: docs/results.md.
"""

from experiments.tables import ring_losses
from gan_jax.config import fields as config
from gan_jax.study import tables


def get_row(r1: float, *, uphill: bool) -> config.Config:
  c = ring_losses.get_row('non_saturating', (r1, 0.0, 0.0))
  c.gen.latent = 'uniform'
  if uphill:
    c.latent_step.rate = 0.9
  return c


def get_table() -> tables.Table:
  rows = {
    f'{penalty}, {name}': get_row(r1, uphill=uphill)
    for penalty, r1 in (('no penalty', 0.0), ('R1', 0.1))
    for name, uphill in (('latents as drawn', False), ('LOGAN', True))
  }
  return tables.Table(
    rows=rows,
    columns=[
      tables.Column('modes', 'modes of 8', digits=1),
      tables.Column('high_quality', 'HQ %', digits=1, scale=100.0),
      tables.Column('reverse_kl', 'reverse KL', digits=3),
    ],
    comparisons=[
      (f'{penalty}, LOGAN', f'{penalty}, latents as drawn', metric)
      for penalty in ('no penalty', 'R1')
      for metric in ('modes', 'high_quality')
    ],
    note='4,000 steps of batch 256, 2,500 samples of latents as drawn.',
  )
