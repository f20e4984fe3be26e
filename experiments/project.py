"""The latent of a run's generator whose sample is nearest to an image.

  python -m experiments.project --workdir=runs/faces --image=face.png \
    --out=nearest.png

Adam from the nearest of 1,000 random samples, in w where the network has it.
Distances are of pixels, and with --features=classifier or inception of that
network's features too, or with lpips as people see them. The picture has the
image to the left and the sample to the right; an npz of the same name has `z`
or `w`, and of a conditional game `label`. An image of another size is treated
as in training.
"""

import math
import pathlib
from typing import Any

import numpy as np
from absl import flags

from experiments import chosen, launch

_RUN = chosen.define()
_IMAGE = flags.DEFINE_string('image', None, 'File of the image.')
_OUT = flags.DEFINE_string('out', None, '.png to write, and an .npz beside it.')
_SPACE = flags.DEFINE_enum(
  'space', None, ['z', 'w'], 'What is sought; if not given, w where there is '
  'one.'
)  # fmt: skip
_FEATURES = flags.DEFINE_enum(
  'features', None, ['classifier', 'inception', 'lpips'],
  'That count besides pixels.',
)  # fmt: skip
_WEIGHTS = flags.DEFINE_string(
  'weights', None, "Inception's checkpoint; for lpips torchvision's VGG-16."
)
_LPIPS = flags.DEFINE_string('lpips', None, 'The weights of its channels.')
_WEIGHT = flags.DEFINE_float(
  'weight', 1.0, 'Of the features, those of the image having mean square 1.',
  lower_bound=0.0,
)  # fmt: skip
_CLASS = flags.DEFINE_string(
  'class', None, 'Of the sample, by name or number; if not given, of the '
  'nearest random samples.'
)  # fmt: skip
_STEPS = flags.DEFINE_integer('steps', 300, 'Of Adam.', lower_bound=1)
_RATE = flags.DEFINE_float(
  'rate', 0.1, "Adam's, in standard deviations of the latents.",
  lower_bound=1e-6,
)  # fmt: skip
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Of the latents.', lower_bound=0, upper_bound=2**32 - 1
)
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'Where the data are now.')


def _check_flags() -> None:
  """Refuses what is not given, is no number, or would not be read."""
  for flag in (_RUN.workdir, _IMAGE, _OUT):
    if flag.value is None:
      raise ValueError(
        '--workdir=DIR, --image=FILE and --out=FILE must be given'
      )
  for name in ('weight', 'weights', 'data_dir'):
    if _FEATURES.value is None and flags.FLAGS[name].present:
      raise ValueError(f'--{name}: needs --features')
  for flag in (_WEIGHT, _RATE):
    if not math.isfinite(flag.value):
      raise ValueError(f'--{flag.name}={flag.value:g}: must be finite')
  if _FEATURES.value == 'classifier':
    chosen.refuse((_WEIGHTS,), 'the classifier is trained here')
  else:
    chosen.refuse((_DATA_DIR,), 'is of the data that the classifier learns of')
  if _LPIPS.value is not None and _FEATURES.value != 'lpips':
    raise ValueError('--lpips: needs --features=lpips')


def main() -> None:
  _check_flags()
  of_lpips = _FEATURES.value == 'lpips'
  from gan_jax.data import opening
  from gan_jax.evaluation import evaluator, lpips
  from gan_jax.report import plots
  from gan_jax.run import projection, trained as runs
  from gan_jax.storage import whole

  out = pathlib.Path(_OUT.value or '')
  whole.suffix(str(out), ('.png',))
  run = _RUN.load()
  runs.check_pictures(run, f'--out={out}')
  config = run.config
  for name in ('features', 'weights'):
    value = flags.FLAGS[name].value
    if value is not None and not of_lpips:
      setattr(config.eval, name, value)
  if config.data.name in opening.WITHOUT_FILES:
    chosen.refuse(
      (_DATA_DIR,), f'data.name={config.data.name!r} needs no folder'
    )
  if _DATA_DIR.value is not None:
    config.data.dir = _DATA_DIR.value
  target, line = projection.read_target(pathlib.Path(_IMAGE.value or ''), run)
  if line:
    print(line)
  label = None
  if _CLASS.value is not None:
    label = runs.class_of(run, _CLASS.value)
  extractor = None
  if of_lpips:
    files = _WEIGHTS.value or '', _LPIPS.value or ''
    extractor = lpips.extractor(*files, min(run.info.shape[:2]))
  elif _FEATURES.value:
    extractor = evaluator.open_extractor(config)
  projector = projection.Projector(run, extractor, _SPACE.value or '')
  asked = projection.SearchOptions(
    _SEED.value, _STEPS.value, _RATE.value, label, _WEIGHT.value
  )
  with whole.file(out) as picture, whole.file(out.with_suffix('.npz')) as npz:
    projected = projector.project(target, asked)
    grid = plots.image_grid(np.stack([target, projected.image]), 2)
    picture.write_bytes(plots.png(grid))
    made: dict[str, Any] = {projector.space: projected.input}
    if projected.label is not None:
      made['label'] = np.int32(projected.label)
    np.savez(npz, **made, image=projected.image, pixels=projected.pixels)
  print(f'pixels    {projected.pixels:.4f}  (root mean square, of [-1, 1])')
  print(
    f'  {projected.drawn:.4f}  was the best of {projection.DRAWN:,} samples'
  )
  if not projected.moved:
    print(
      'warning: no step came nearer than the best of these samples (--rate)'
    )
  if projected.features is not None:
    print(f'features  {projected.features:.4f}  (over those of the image)')
  where = '' if projected.label is None else f' of class {projected.label}'
  print(f'{projector.space}{where} in {out.with_suffix(".npz")}; {out}')


if __name__ == '__main__':
  launch.run(main)
