"""Samples from a checkpoint of a run; the data need not be there.

  python -m experiments.sample --workdir=runs/digits --num=100 --out=grid.png
  python -m experiments.sample --workdir=runs/digits --num=5000 --out=x.npz
  python -m experiments.sample --workdir=runs/digits --num=50000 --out=samples/
  python -m experiments.sample --workdir=runs/classes --per_class=10 --out=g.png
  python -m experiments.sample --workdir=runs/digits --num=100 --out=d.png \
    --langevin_steps=100

A png is a grid of images; an npz has `samples`, [N, ...] float32 in the units
of the data (images in [-1, 1]), of a conditional game also `labels` (`codes`,
where gen.codes is set), and how they were made. A folder (a path without
suffix, or with / at its end) has a png for each sample, written as they are
drawn, so that memory does not grow with their number; `dataset.json` has the
labels in the form that `data.dir` reads, and `stamp.json` how they were made.
The same run, seed and number give the same files.
"""

import itertools
import json
import pathlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

from experiments import chosen, launch

if TYPE_CHECKING:
  from collections.abc import Iterable

  from gan_jax import types
  from gan_jax.run import trained as runs

launch.define_distributed()
_RUN = chosen.define()
_LANGEVIN = chosen.define_langevin()
_NUM = flags.DEFINE_integer('num', None, 'Samples to draw; 64.', lower_bound=1)
_CLASS = flags.DEFINE_string(
  'class', None, 'Of all samples, by name or number; if not given, as often as '
  'the data have them.'
)  # fmt: skip
_PER_CLASS = flags.DEFINE_integer(
  'per_class', None, 'So many samples of each class, a row for each.',
  lower_bound=1,
)  # fmt: skip
_TRUNCATION = chosen.define_truncation()
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Of the latents.', lower_bound=0, upper_bound=2**32 - 1
)
_OUT = flags.DEFINE_string('out', None, '.png, .npz, or a folder.')


# Samples, where neither --num nor --per_class says how many.
_DEFAULT = 64


def _labels(run: 'runs.Run') -> np.ndarray | None:
  """The class of each sample, as the flags ask for it."""
  from gan_jax.config import words
  from gan_jax.run import trained as runs

  name, each = _CLASS.value, _PER_CLASS.value
  if name is not None and each is not None:
    raise ValueError('--class and --per_class: give one of them')
  if name is not None:
    index = runs.class_of(run, name)
    return np.full(_NUM.value or _DEFAULT, index, np.int32)
  if each is None:
    return None
  if _NUM.value is not None:
    raise ValueError('--num and --per_class: give one of them')
  labels = runs.labels_of_each_class(run, each, 'per_class')
  empty = len(run.info.class_shares) - len(labels) // each
  if empty:
    classes = words.counted(empty, 'class')
    print(f'{classes} left out, of which the data have none', file=sys.stderr)
  return labels


def _write_folder(
  folder: pathlib.Path,
  blocks: 'Iterable[types.Batch]',
  num: int,
  kind: str,
  stamp: dict[str, Any],
) -> None:
  """A png for each sample, a block of them in memory at a time.

  `kind` is what their labels are: 'labels', or 'codes', which are no classes.
  """
  from gan_jax.data import decoding, source as sources
  from gan_jax.report import plots

  labels: list[Any] | None = None
  counter = itertools.count()
  with decoding.progress(num, 'sampling') as bar:
    for block in blocks:
      named = [f'{next(counter):06d}.png' for _ in block.x]
      for name, image in zip(
        named, sources.to_bytes(np.asarray(block.x)), strict=True
      ):
        (folder / name).write_bytes(plots.png(image))
      if block.label is not None:
        labels = labels or []
        labels += zip(named, block.label.tolist(), strict=True)
      bar.update(len(named))
  if labels is not None:
    (folder / 'dataset.json').write_text(json.dumps({kind: labels}))
  (folder / 'stamp.json').write_text(json.dumps(stamp, indent=2) + '\n')


def _write_file(
  file: pathlib.Path,
  blocks: 'Iterable[types.Batch]',
  kind: str,
  stamp: dict[str, Any],
) -> None:
  """A grid as a png, or an npz; `kind` as above."""
  from gan_jax.report import plots

  drawn = list(blocks)
  samples = np.concatenate([block.x for block in drawn])
  if file.suffix == '.npz':
    made: dict[str, Any] = {'samples': samples}
    if drawn[0].label is not None:
      made[kind] = np.concatenate([block.label for block in drawn])
    np.savez_compressed(file, **made, stamp=json.dumps(stamp))
  else:
    columns = _PER_CLASS.value or int(np.ceil(np.sqrt(len(samples))))
    file.write_bytes(plots.png(plots.image_grid(samples, columns)))


def main() -> None:
  if _RUN.workdir.value is None or _OUT.value is None:
    raise ValueError('--workdir=DIR and --out=FILE must be given')
  from gan_jax.config import checks
  from gan_jax.engine import build
  from gan_jax.evaluation import evaluator
  from gan_jax.run import trained as runs
  from gan_jax.storage import whole

  out = pathlib.Path(_OUT.value)
  suffix = whole.suffix(_OUT.value, ('.png', '.npz'), folder=True)
  run = _RUN.load()
  if suffix != '.npz':
    runs.check_pictures(run, f'--out={out} (.npz takes all)')
  if _TRUNCATION.value is not None:
    run.config.eval.truncation = _TRUNCATION.value
  _LANGEVIN.set_fields(run.config.eval)
  checks.validate(run.config)
  for line in build.langevin_warnings(run.config, run.spec):
    print(f'warning: {line}', file=sys.stderr)
  labels = _labels(run)
  num = len(labels) if labels is not None else _NUM.value or _DEFAULT
  blocks = runs.samples(run, num, seed=_SEED.value, labels=labels)
  stamp = evaluator.generator_stamp(run.config, run.spec)
  stamp |= {'seed': _SEED.value, 'step': int(run.state.step)}
  if labels is not None:
    asked = f'{_PER_CLASS.value} of each class'
    stamp['labels'] = f'class {_CLASS.value}' if _CLASS.value else asked
  kind = 'codes' if run.config.gen.codes else 'labels'
  if suffix:
    with whole.file(out) as part:
      _write_file(part, blocks, kind, stamp)
  else:
    with whole.folder(out) as part:
      _write_folder(part, blocks, num, kind, stamp)
  print(f'{num} samples {run.info.shape} in {out}')


if __name__ == '__main__':
  launch.run(main, by_first=True)
