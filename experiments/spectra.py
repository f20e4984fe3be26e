"""The average power spectrum of a run's samples beside that of real images.

  python -m experiments.spectra --workdir=runs/images --num=10000 \
    --out=spectra.png
  python -m experiments.spectra --generated=PATH --real=PATH --out=spectra.png

As in the code of StyleGAN3's authors (Karras et al. 2021), in dB: both spectra
in the plane, their slices at 0 and 45 degrees, and their means over all angles
(Durall et al. 2020), which the printed figures compare. Of a run they are added
to its evaluations.jsonl with all that they depend on. PATHs are as in
`experiments.evaluate`. --json=FILE appends the figures with all curves.
"""

import math
import pathlib
from typing import TYPE_CHECKING

from absl import flags

from experiments import chosen, launch

if TYPE_CHECKING:
  import numpy as np

  from gan_jax.evaluation import power_spectra as spectra

_RUN = chosen.define()
_LANGEVIN = chosen.define_langevin()
_PATHS = chosen.define_paths()
_NUM = flags.DEFINE_integer(
  'num', None, 'Samples, and real images at most: 10,000; of two sets of '
  'images all.', lower_bound=1,
)  # fmt: skip
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Of the samples.', lower_bound=0, upper_bound=2**32 - 1
)
_SPLIT = flags.DEFINE_string('split', None, 'Real images to compare with.')
_TRUNCATION = chosen.define_truncation()
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'Where the data are now.')
_OUT = flags.DEFINE_string('out', None, '.png.')
_JSON = flags.DEFINE_string('json', None, 'File to append a line to.')

_OF_RUNS = *_RUN, *_LANGEVIN, _SEED, _SPLIT, _TRUNCATION, _DATA_DIR

# Samples, where --num does not say how many.
_DEFAULT = 10_000


def _of_run() -> 'spectra.Found':
  import jax

  from gan_jax.config import checks
  from gan_jax.data import opening
  from gan_jax.evaluation import power_spectra

  run = _RUN.load()
  config = run.config
  if config.data.name in opening.WITHOUT_FILES:
    chosen.refuse(
      (_DATA_DIR,), f'data.name={config.data.name!r} needs no folder'
    )
  for field, flag in (('split', _SPLIT), ('truncation', _TRUNCATION)):
    if flag.value is not None:
      setattr(config.eval, field, flag.value)
  _LANGEVIN.set_fields(config.eval)
  if _DATA_DIR.value is not None:
    config.data.dir = _DATA_DIR.value
  checks.validate(config)
  found = power_spectra.of_run(
    config,
    run.spec,
    run.info,
    run.state,
    jax.random.key(_SEED.value),
    _NUM.value or _DEFAULT,
  )
  stamp = {
    'step': int(run.state.step),
    'member': _RUN.member.value,
    'seed': _SEED.value,
  }
  return found._replace(stamp=stamp | found.stamp)


def _of_paths() -> 'spectra.Found':
  from gan_jax.evaluation import power_spectra
  from gan_jax.storage import whole

  both = _PATHS.checked()
  with whole.scratch() as scratch:
    return power_spectra.of_paths(
      both,
      scratch,
      size=_PATHS.size.value,
      channels=_PATHS.channels.value,
      num=_NUM.value,
    )


def _numbers(values: 'np.ndarray') -> list[float | None]:
  """JSON has no infinity."""
  return [x if math.isfinite(x) else None for x in values.tolist()]


def main() -> None:
  of_paths = _PATHS.given(_RUN.workdir)
  if _OUT.value is None:
    raise ValueError('--out=FILE must be given')
  if of_paths:
    chosen.refuse(
      _OF_RUNS, 'applies to a run; --generated and --real are images'
    )
  else:
    chosen.refuse(_PATHS, 'needs --generated and --real')
  from gan_jax.evaluation import evaluator as evaluations
  from gan_jax.report import power_spectra
  from gan_jax.storage import whole, workdir as workdirs

  whole.suffix(_OUT.value, ('.png',))
  if _JSON.value is not None:
    whole.check_file('json', _JSON.value)
  found = _of_paths() if of_paths else _of_run()
  stamp = found.stamp | workdirs.provenance()
  figures, curves = found.figures(), found.curves()
  with whole.file(pathlib.Path(_OUT.value)) as part:
    powers = {'real': found.real, 'generated': found.generated}
    power_spectra.save(part, powers, curves)
  for name, value in figures.items():
    print(f'{name:28s} {value:8.2f} dB')
  for name, value in stamp.items():
    if name != 'versions':
      print(f'  {name:28s} {value}')
  print(
    'left out: phases, and differences between colours (their mean is taken)'
  )
  if not of_paths:
    record = pathlib.Path(_RUN.workdir.value or '') / 'evaluations.jsonl'
    evaluations.record(record, figures, stamp)
  if _JSON.value is not None:
    lines = {
      name: {
        'frequency': _numbers(each['real'].frequency),
        **{k: _numbers(curve.decibels) for k, curve in each.items()},
      }
      for name, each in curves.items()
    }
    plain = {n: x if math.isfinite(x) else None for n, x in figures.items()}
    line = {'figures': plain, 'curves': lines, 'stamp': stamp}
    workdirs.append_json(pathlib.Path(_JSON.value), line)
  print(f'spectra: {_OUT.value}')


if __name__ == '__main__':
  launch.run(main)
