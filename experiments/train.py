"""Trains one configuration, or takes up its run where it stopped.

  python -m experiments.train --config=experiments/configs/gaussian_1d.py \
    --workdir=runs/gaussian_1d --config.data.name=exponential
"""

import pathlib

from absl import flags

from experiments import launch

_CONFIG = launch.define_config()
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_DISTRIBUTED = flags.DEFINE_bool(
  'distributed', False, 'Join the other hosts (jax.distributed) first.'
)


def main() -> None:
  if _CONFIG.value is None or _WORKDIR.value is None:
    raise ValueError('--config=FILE and --workdir=DIR must be given')
  import jax

  if _DISTRIBUTED.value:
    jax.distributed.initialize()
  from gan_jax import train

  workdir = pathlib.Path(_WORKDIR.value)
  summary = train.train(_CONFIG.value, workdir)
  for name, value in summary.items():
    print(f'{name:24s} {"-" if value is None else f"{value:.4f}"}')
  print(f'files in {workdir}')


if __name__ == '__main__':
  launch.run(main)
