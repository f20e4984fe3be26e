"""Samples from a checkpoint of a run; the data need not be there.

  python -m experiments.sample --workdir=runs/digits --num=100 --out=grid.png
  python -m experiments.sample --workdir=runs/digits --num=50000 --out=x.npz

A png is a grid of images; an npz has `samples`, [N, ...] float32 in the units
of the data (images in [-1, 1]). The same run, seed and number give the same
file.
"""

import pathlib

import numpy as np
from absl import flags

from experiments import launch

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_NUM = flags.DEFINE_integer('num', 64, 'Samples to draw.', lower_bound=1)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the latents.', lower_bound=0)
_EMA = flags.DEFINE_bool(
  'ema', None, 'The averaged generator, or the live one; if not given, as in '
  'training.'
)  # fmt: skip
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best (by checkpoint.best), or a step.'
)
_MEMBER = flags.DEFINE_integer(
  'member', None, 'Which run of a population, from 0.'
)
_OUT = flags.DEFINE_string('out', None, 'File to write: .png or .npz.')


def main() -> None:
  if _WORKDIR.value is None or _OUT.value is None:
    raise ValueError('--workdir=DIR and --out=FILE must be given')
  out = pathlib.Path(_OUT.value)
  if out.suffix not in ('.png', '.npz'):
    raise ValueError(f'--out={out}: must end in .png or .npz')
  if not out.absolute().parent.is_dir():
    raise ValueError(f'--out={out}: there is no folder {out.parent}')
  from gan_jax.report import plots
  from gan_jax.run import trained as runs

  run = runs.load(
    pathlib.Path(_WORKDIR.value), _CHECKPOINT.value, _MEMBER.value
  )
  if out.suffix == '.png' and run.info.kind != 'images':
    raise ValueError(f'--out={out}: these samples are no images; use .npz')
  if _EMA.value is not None:
    run.config.eval.ema = _EMA.value
  blocks = runs.samples(run, _NUM.value, seed=_SEED.value)
  samples = np.concatenate(list(blocks))
  try:
    if out.suffix == '.npz':
      np.savez_compressed(out, samples=samples)
    else:
      columns = int(np.ceil(np.sqrt(len(samples))))
      out.write_bytes(plots.png(plots.image_grid(samples, columns)))
  except OSError as error:
    raise ValueError(f'--out={out}: cannot be written ({error})') from None
  print(f'{len(samples)} samples {samples.shape[1:]} in {out}')


if __name__ == '__main__':
  launch.run(main)
