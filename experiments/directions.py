"""Directions along which a generator's samples change most; no data needed.

  python -m experiments.directions --workdir=runs/faces --directions=0,1,2 \
    --num=5 --distance=3 --out=directions.png
  python -m experiments.directions --workdir=runs/faces --layers=0-3 \
    --truncation=0.7 --out=coarse.png

SeFa (Shen & Zhou 2021): the eigenvectors of A^T A, where A is the first affine
step on the latent, of a style network those of the layers of w. The picture has
a block for each direction: a row for each sample, which moves from the distance
-d to d (with an odd number of columns it is itself in the middle). Prints the
first eigenvalues. Row i is of the first sample of `experiments.sample
--seed=SEED+i`, rows counted from 0.
"""

import pathlib

import numpy as np
from absl import flags

from experiments import chosen, launch, listed

_RUN = chosen.define()
_DIRECTIONS = flags.DEFINE_list(
  'directions', '0,1,2', 'A block each, from 0, the largest change.'
)
_LAYERS = flags.DEFINE_string(
  'layers', None, 'Of a style network, as 0-3: those whose affine steps count, '
  'and whose w moves; all if not given.'
)  # fmt: skip
_DISTANCE = flags.DEFINE_float(
  'distance', 3.0, 'How far either way, in units of the latent.'
)
_COLUMNS = flags.DEFINE_integer(
  'columns', 7, 'From one end to the other.', lower_bound=2
)
_NUM = flags.DEFINE_integer('num', 5, 'Samples, a row each.', lower_bound=1)
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Of the first sample.', lower_bound=0, upper_bound=2**31
)
_TRUNCATION = chosen.define_truncation()
_OUT = flags.DEFINE_string('out', None, '.png.')

# Eigenvalues that are printed.
_SHOWN = 10


def _stacked(grids: list[np.ndarray], rows: int) -> np.ndarray:
  """`[H, W, C]` of some rows each, half a row apart from one another."""
  height, *rest = grids[0].shape
  white = np.full((height // rows // 2, *rest), 255, np.uint8)
  parts = [part for grid in grids for part in (white, grid)]
  return np.concatenate(parts[1:])


def main() -> None:
  if _RUN.workdir.value is None or _OUT.value is None:
    raise ValueError('--workdir=DIR and --out=FILE must be given')
  from gan_jax.config import checks
  from gan_jax.report import plots
  from gan_jax.run import trained as runs, walk as walks
  from gan_jax.storage import whole

  whole.suffix(_OUT.value, ('.png',))
  wanted = listed.numbers(
    'directions', _DIRECTIONS.value, int, 'whole numbers from 0', 0
  )
  far = _DISTANCE.value
  if not 0 < far < float('inf'):
    raise ValueError(f'--distance={far:g}: must be above 0 and finite')
  layers = None if _LAYERS.value is None else listed.layers(_LAYERS.value)
  run = _RUN.load()
  runs.check_pictures(run, f'--out={_OUT.value}')
  if _TRUNCATION.value is not None:
    run.config.eval.truncation = _TRUNCATION.value
  checks.validate(run.config)
  walker = walks.Walker(run)
  found = walker.directions(layers)
  size = len(found.values)
  if max(wanted) >= size:
    raise ValueError(f'--directions={max(wanted)}: there are 0 to {size - 1}')
  rows = walker.latents([_SEED.value + i for i in range(_NUM.value)])
  distances = np.linspace(-far, far, _COLUMNS.value)
  out, grids = pathlib.Path(_OUT.value), []
  with whole.file(out) as part:
    for direction in wanted:
      vector = found.vectors[direction]
      table = walker.along(rows, vector, distances, layers)
      images = table.reshape(-1, *table.shape[2:])
      grids.append(plots.image_grid(images, len(distances)))
    part.write_bytes(plots.png(_stacked(grids, _NUM.value)))
  shown = ', '.join(f'{x:.4g}' for x in found.values[:_SHOWN])
  print(
    f'the first {min(_SHOWN, size)} of {size} eigenvalues, whose sum is '
    f'{found.values.sum():.4g}: {shown}'
  )
  for line in walker.remarks():
    print(line)
  print(
    f'directions {", ".join(map(str, wanted))} from top to bottom, distances '
    f'{-far:g} to {far:g} from left to right: {out}'
  )


if __name__ == '__main__':
  launch.run(main)
