"""Latents that first go uphill in D (LOGAN), on the ring of eight modes.

Paper: LOGAN (Wu et al. 2019), the natural gradient with beta .1 and alpha .9,
or .1; its uniform latents. The data of PacGAN's ring (Lin et al. 2018),
standardised; the networks, rates and steps of
`experiments/tables/ring_losses.py`. The paper has no figures of such data.

Command:
  python -m experiments.table --table=experiments/tables/latent_steps.py \
    --workdir=runs/latent_steps --fill=docs/results.md:latent_steps

Machine: half of a shared x86 core.
Result: docs/results.md.
"""

from experiments.tables import ring_losses
from gan_jax.config import fields as config
from gan_jax.study import tables

RATES = {'latents as drawn': 0.0, 'LOGAN': 0.9, 'LOGAN, alpha .1': 0.1}


def get_row(r1: float, rate: float) -> config.Config:
  c = ring_losses.get_row('non_saturating', (r1, 0.0, 0.0))
  c.gen.latent = 'uniform'
  c.latent_step.rate = rate
  return c


def get_table() -> tables.Table:
  rows = {
    f'{penalty}, {name}': get_row(r1, rate)
    for penalty, r1 in (('no penalty', 0.0), ('R1', 0.1))
    for name, rate in RATES.items()
  }
  return tables.Table(
    rows=rows,
    columns=[
      tables.Column('modes', 'modes of 8', digits=1),
      tables.Column('high_quality', 'HQ %', digits=1, scale=100.0),
      tables.Column('reverse_kl', 'reverse KL', digits=3),
    ],
    comparisons=[
      (f'{penalty}, {name}', f'{penalty}, latents as drawn', 'high_quality')
      for penalty in ('no penalty', 'R1')
      for name in list(RATES)[1:]
    ],
    note='4,000 steps of batch 256, 2,500 samples of latents as drawn.',
  )
