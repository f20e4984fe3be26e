"""Every field at its default: a game of one dimension.

The commands that a page of runs shows (experiments.report) begin here, and say
whatever differs. For a first run, gaussian_1d.py is the better choice.

Command:
  python -m experiments.train --config=experiments/configs/default.py \
    --workdir=runs/default

Machine: 2 shared x86 cores.
Result: not measured.
"""

from gan_jax.config import fields as config


def get_config() -> config.Config:
  return config.Config()
