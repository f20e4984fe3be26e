"""Walks between samples of a run, and tables of samples; no data needed.

  python -m experiments.walk --workdir=runs/mnist --seeds=1,2,3,1 --out=walk.gif
  python -m experiments.walk --workdir=runs/classes --seeds=1 \
    --classes=0,1,2,3 --logits --out=walk.webp
  python -m experiments.walk --workdir=runs/faces --mode=truncation \
    --seeds=1,2,3 --values=0.3,0.5,0.7,1 --out=sweep.png
  python -m experiments.walk --workdir=runs/faces --mode=mixing \
    --seeds=1,2,3 --columns=4,5,6,7 --layers=0-3 --out=mixing.png
  python -m experiments.walk --workdir=runs/mnist --mode=nearest \
    --seeds=1,2,3 --out=nearest.png

Seed S is the first sample of `experiments.sample --seed=S`. A walk passes
through all seeds: normal latents along great circles, others along straight
lines, a style network in w; classes change by shares. As a png it has a row for
each leg. --logits draws D's logit below it. `nearest` reads the training
images.
"""

import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

from experiments import chosen, launch, listed

if TYPE_CHECKING:
  from gan_jax import types
  from gan_jax.run import trained as runs, walk as walks

_MODES = 'walk', 'truncation', 'mixing', 'nearest'

_RUN = chosen.define()
_MODE = flags.DEFINE_enum('mode', 'walk', _MODES, 'What is drawn.')
_SEEDS = flags.DEFINE_list('seeds', '1,2,3,1', 'The stops, or the rows.')
_CLASSES = flags.DEFINE_list(
  'classes', None, 'By name or number, one or as many as seeds; if not given, '
  'each seed draws its own. With one seed, the stops are classes.'
)  # fmt: skip
_STEPS = flags.DEFINE_integer(
  'steps', None, 'Of a walk, from one stop to the next; 24, and 9 for a png.',
  lower_bound=1,
)  # fmt: skip
_RATE = flags.DEFINE_float(
  'rate', 15.0, 'Of a walk, pictures a second.', lower_bound=0.1,
  upper_bound=100.0,
)  # fmt: skip
_LOGITS = flags.DEFINE_bool('logits', False, "Of a walk: with D's logit.")
_VALUES = flags.DEFINE_list(
  'values', '0.3,0.5,0.7,1', 'Of truncation: a column each.'
)
_COLUMNS = flags.DEFINE_list(
  'columns', None, 'Of mixing: seeds, 4,5,6 if not given. Of nearest: how many '
  'training images, 7.'
)  # fmt: skip
_LAYERS = flags.DEFINE_string(
  'layers', '0-3', "Of mixing: the rows' layers that are the columns' instead."
)
_TRUNCATION = chosen.define_truncation()
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'Where the data are now.')
_OUT = flags.DEFINE_string('out', None, '.png; of a walk .gif, .webp, .mp4.')

# Which flags are of one mode alone.
_OWN: dict[str, tuple[flags.FlagHolder[Any], ...]] = {
  'walk': (_STEPS, _RATE, _LOGITS),
  'truncation': (_VALUES,),
  'mixing': (_LAYERS,),
  'nearest': (_DATA_DIR,),
}


def _check_flags() -> None:
  """Refuses what the mode does not read."""
  mode = _MODE.value
  for other, given in _OWN.items():
    for flag in given:
      if flag.present and other != mode:
        raise ValueError(f'--{flag.name}: applies to --mode={other} only')
  if _COLUMNS.present and mode not in ('mixing', 'nearest'):
    raise ValueError(
      '--columns: applies to --mode=mixing and --mode=nearest only'
    )
  columns = _COLUMNS.value or ['7']
  if mode == 'nearest' and len(columns) > 1:
    raise ValueError(
      f'--columns={",".join(columns)}: in --mode=nearest it is how many '
      'training images, a single number'
    )
  if _TRUNCATION.present and mode == 'truncation':
    raise ValueError('--truncation: --mode=truncation takes --values')
  if _CLASSES.present and mode == 'mixing':
    raise ValueError('--classes: in --mode=mixing each seed draws its own')


def _seeds(flag: str, texts: list[str]) -> list[int]:
  what = 'whole numbers from 0, less than 2**32'
  return listed.numbers(flag, texts, int, what, 0, 2**32 - 1)


def _labels(run: 'runs.Run') -> list[int] | None:
  from gan_jax.run import trained as runs

  if _CLASSES.value is None:
    return None
  return [runs.class_of(run, text, 'classes') for text in _CLASSES.value]


def _walk(
  walker: 'walks.Walker', stops: 'types.Latent', part: pathlib.Path
) -> str:
  """Writes a walk; says what it is."""
  from gan_jax.report import animation, plots, ways

  steps = _STEPS.value or (9 if part.suffix == '.png' else 24)
  inputs = walker.way(stops, steps)
  images = walker.make(inputs)
  logits = walker.judge(images, inputs.label) if _LOGITS.value else None
  if part.suffix == '.png':
    part.write_bytes(plots.png(ways.strip(images, logits, steps)))
  else:
    frames = ways.frames(images, logits, steps)
    animation.save(part, frames, rate=_RATE.value)
  return f'{len(images)} samples on the way between {len(stops.z)} stops'


def _table(
  walker: 'walks.Walker', seeds: list[int], labels: list[int] | None
) -> tuple[np.ndarray, str]:
  """Images `[rows, columns, H, W, C]`, and what they are."""
  if _MODE.value == 'truncation':
    values = listed.numbers('values', _VALUES.value, float, 'numbers')
    made = []
    for value in values:
      shorter = walker.truncated(value)
      made.append(shorter.make(shorter.inputs(shorter.latents(seeds, labels))))
    about = f'truncation {", ".join(map(str, values))} from left to right'
    return np.stack(made, axis=1), about
  rows = walker.latents(seeds, labels)
  if _MODE.value == 'mixing':
    return _mixing(walker, rows)
  (k,) = _seeds('columns', _COLUMNS.value or ['7'])
  images = walker.make(walker.inputs(rows))
  near = walker.nearest(images, k)
  for seed, distance, mirrored in zip(
    seeds, near.distance[:, 0], near.mirrored[:, 0], strict=False
  ):
    which = 'training image, mirrored,' if mirrored else 'training image'
    print(f'seed {seed}: the nearest {which} is {distance:.4f} away')
  about = 'samples, each with the nearest training images to its right'
  return np.concatenate([images[:, None], near.found], axis=1), about


def _mixing(
  walker: 'walks.Walker', rows: 'types.Latent'
) -> tuple[np.ndarray, str]:
  """The same: both sources along the edges, the mixtures within."""
  others = _seeds('columns', _COLUMNS.value or ['4', '5', '6'])
  first, last = listed.layers(_LAYERS.value)
  columns = walker.latents(others)
  inputs = walker.mixed(rows, columns, first, last)
  left, top = (walker.make(walker.inputs(x)) for x in (rows, columns))
  grid = walker.make(inputs).reshape(len(left), len(top), *left.shape[1:])
  # The corner is white.
  top = np.concatenate([np.ones_like(top[:1]), top])[None]
  body = np.concatenate([left[:, None], grid], axis=1)
  about = f'layers {first} to {last} of the seeds {others} of the columns'
  return np.concatenate([top, body]), about


def main() -> None:
  if _RUN.workdir.value is None or _OUT.value is None:
    raise ValueError('--workdir=DIR and --out=FILE must be given')
  _check_flags()
  from gan_jax.config import checks
  from gan_jax.report import animation, plots
  from gan_jax.run import trained as runs, walk as walks
  from gan_jax.storage import whole

  walking = _MODE.value == 'walk'
  kinds = ('.png', *(animation.SUFFIXES if walking else ()))
  animation.check(whole.suffix(_OUT.value, kinds))
  seeds = _seeds('seeds', _SEEDS.value)
  run = _RUN.load()
  runs.check_pictures(run, f'--out={_OUT.value}')
  if _TRUNCATION.value is not None:
    run.config.eval.truncation = _TRUNCATION.value
  if _DATA_DIR.value is not None:
    run.config.data.dir = _DATA_DIR.value
  checks.validate(run.config)
  walker = walks.Walker(run)
  labels = _labels(run)
  out = pathlib.Path(_OUT.value)
  if walking:
    if _LOGITS.value:
      walker.check_logits()
    stops = walker.latents(seeds, labels)
    if len(stops.z) < 2:
      raise ValueError('--seeds: a walk has two stops at least')
    with whole.file(out) as part:
      about = _walk(walker, stops, part)
  else:
    with whole.file(out) as part:
      table, about = _table(walker, seeds, labels)
      images = table.reshape(-1, *table.shape[2:])
      grid = plots.image_grid(images, table.shape[1])
      part.write_bytes(plots.png(grid))
  print(f'{about}: {out}')


if __name__ == '__main__':
  launch.run(main)
