"""Figures of a run's generator, or of images, with all that they depend on.

  python -m experiments.evaluate --workdir=runs/mnist --metrics=kid,prdc \
    --num=10000

Prints a table and appends a line to the run's evaluations.jsonl with all that
the figures depend on; the same protocol and seed give the same digits. A game
whose data follow a known law has its own figures, and needs no --metrics.
What is not given is as the run's configuration says under eval.

  python -m experiments.evaluate --generated=PATH --real=PATH

compares two sets of images: each a folder, a zip file of one, or an npz file
(`images`, or its first array: uint8 [N, H, W, C], or floating-point in [-1, 1];
`labels` are its classes: of generated images those that were asked for, by the
names of the real images' classes or by their numbers from 0). Without --metrics
it is the Frechet distance of --features, which are Inception's unless they are
said. --json appends the line.
"""

import pathlib
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import chosen, launch

if TYPE_CHECKING:
  from gan_jax.config import fields as configs

launch.define_distributed()
_RUN = chosen.define()
_LANGEVIN = chosen.define_langevin()
_PATHS = chosen.define_paths()
_MIRRORED = flags.DEFINE_bool(
  'mirrored', False, 'Training saw the real images mirrored, too: for '
  'memorisation, authenticity and copying.',
)  # fmt: skip
_JSON = flags.DEFINE_string('json', None, 'File to append the line to.')
_METRICS = flags.DEFINE_string(
  'metrics', None, 'fd_inception (or fid) and so on for each of --features, '
  'fd_infinity, kid, cmmd, is, prdc, prd, authenticity, copying, parzen, swd, '
  'memorisation, classes, intra_fd, class_accuracy, cas, code_accuracy, with '
  'commas between them.'
)  # fmt: skip
_NUM = flags.DEFINE_integer('num', None, 'Samples to draw.', lower_bound=2)
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Of the samples.', lower_bound=0, upper_bound=2**32 - 1
)
_SPLIT = flags.DEFINE_string('split', None, 'Real images to compare with.')
_HELD_OUT = flags.DEFINE_string(
  'held_out', None, 'Images G never saw: a split, or a path.'
)
_FEATURES = flags.DEFINE_string(
  'features',
  None,
  'classifier, inception, dinov2, clip, resnet50, swav, dino or swin.',
)
_WEIGHTS = flags.DEFINE_string('weights', None, 'Its checkpoint.')
_RESIZER = flags.DEFINE_string('resizer', None, 'As eval.resizer.')
_FEATURES_DATA = flags.DEFINE_string(
  'features_data', None, 'TFDS set that the classifier is trained on.'
)
_FEATURES_SPLIT = flags.DEFINE_string(
  'features_split',
  None,
  'Its split; without it, the training or --real images.',
)
_KEPT = flags.DEFINE_integer(
  'features_kept', None, 'The most samples whose features are kept.'
)
_BOOTSTRAP = flags.DEFINE_integer(
  'bootstrap', None, 'Resamples for intervals.', lower_bound=0
)
_BY_CLASS = flags.DEFINE_bool(
  'by_class', None, 'intra_fd and class_accuracy of each class, too.'
)
_TRUNCATION = chosen.define_truncation()
_SUBSETS = flags.DEFINE_integer('kid_subsets', None, 'Subsets of kid.')
_SUBSET_SIZE = flags.DEFINE_integer(
  'kid_subset_size', None, 'Samples in each subset of kid.'
)
_SPLITS = flags.DEFINE_integer('is_splits', None, 'Parts of is.')
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'Where the data are now.')

# Fields of `config.eval` that some of the metrics read.
_OF_SOME = (
  _FEATURES, _WEIGHTS, _RESIZER, _FEATURES_DATA, _FEATURES_SPLIT, _KEPT,
  _SUBSETS, _SUBSET_SIZE, _SPLITS,
)  # fmt: skip
_OF_IMAGES = _METRICS, *_OF_SOME, _BOOTSTRAP, _BY_CLASS
_OF_PATHS = *_PATHS, _MIRRORED, _JSON
_OF_RUNS = *_RUN, *_LANGEVIN, _SPLIT, _TRUNCATION


def _set_fields(settings: 'configs.Eval') -> None:
  """What the flags of images say; each has the name of its field."""
  for flag in _OF_IMAGES:
    if flag.value is not None:
      setattr(settings, flag.name, flag.value)


def _check_read(settings: 'configs.Eval') -> None:
  """Raises ValueError for a flag that none of the metrics reads."""
  from gan_jax.evaluation import catalogue

  found = catalogue.parse(settings).values()
  read = {name for metric in found for name in metric.reads}
  if settings.bootstrap:
    read.add('features_kept')
  if any(metric.uses_features for metric in found):
    read |= {'features', 'weights', 'resizer'}
    if settings.features == 'classifier':
      read |= {'features_split', 'features_data'}
  some = *_OF_SOME, _HELD_OUT, _MIRRORED
  unread = tuple(flag for flag in some if flag.name not in read)
  chosen.refuse(unread, f'--metrics={settings.metrics} does not read it')
  if _FEATURES_DATA.present and not settings.features_split:
    raise ValueError('--features_data: needs --features_split, its images')


def _of_run() -> tuple[dict[str, float], dict[str, Any]]:
  """Figures and stamp of a run's generator."""
  import jax

  from gan_jax.config import checks
  from gan_jax.data import opening
  from gan_jax.engine import build
  from gan_jax.evaluation import catalogue, evaluator as evaluations

  run = _RUN.load()
  config = run.config
  if _FEATURES.value not in (None, config.eval.features):
    # Those of the run are of its own network.
    config.eval.weights = config.eval.resizer = ''
  _set_fields(config.eval)
  for field, flag in (
    ('num_samples', _NUM), ('split', _SPLIT), ('held_out', _HELD_OUT),
    ('truncation', _TRUNCATION),
  ):  # fmt: skip
    if flag.value is not None:
      setattr(config.eval, field, flag.value)
  _LANGEVIN.set_fields(config.eval)
  if _DATA_DIR.value is not None:
    config.data.dir = _DATA_DIR.value
  checks.validate(config)
  key = jax.random.key(_SEED.value)
  stamp: dict[str, Any] = {
    'step': int(run.state.step),
    'member': _RUN.member.value,
    'seed': _SEED.value,
  }
  if run.info.kind == 'images':
    if not config.eval.metrics:
      raise ValueError(
        f'--metrics: must be given; there are {", ".join(catalogue.METRICS)}'
      )
    _check_read(config.eval)
    of_data = not config.eval.features_split
    if config.data.name in opening.WITHOUT_FILES and of_data:
      chosen.refuse(
        (_DATA_DIR,), f'data.name={config.data.name!r} needs no folder'
      )
    evaluator = evaluations.Evaluator(config, run.spec, run.info)
    figures = evaluator.figures(run.state, key)
    stamp |= evaluator.stamp() | {'warnings': evaluator.warnings}
    return figures, stamp
  chosen.refuse(
    (*_OF_IMAGES, _SPLIT, _HELD_OUT, _TRUNCATION, _DATA_DIR),
    'needs images; this game has figures of its own',
  )
  source = build.make_source(config, key)
  figures = evaluations.law_figures(config, run.spec, source, run.state, key)
  stamp |= evaluations.law_stamp(config, run.spec)
  if unsure := build.langevin_warnings(config, run.spec):
    stamp['warnings'] = unsure
  return figures, stamp


def _of_paths(
  scratch: pathlib.Path,
) -> tuple[dict[str, float], dict[str, Any]]:
  """Figures and stamp of two sets of images."""
  import jax

  from gan_jax.config import fields as configs
  from gan_jax.evaluation import paths

  sets = _PATHS.checked()
  settings = configs.Eval(features=_FEATURES.value or 'inception')
  settings.metrics = f'fd_{settings.features}'
  _set_fields(settings)
  _check_read(settings)
  if not settings.features_split:
    chosen.refuse((_DATA_DIR,), 'is of --features_data, with --features_split')
  if _HELD_OUT.value is not None:
    sets['held_out'] = pathlib.Path(_HELD_OUT.value)
  comparison = paths.compare(
    sets,
    settings,
    scratch,
    jax.random.key(_SEED.value),
    size=_PATHS.size.value,
    channels=_PATHS.channels.value,
    num=_NUM.value,
    data_dir=_DATA_DIR.value or '',
    mirrored=_MIRRORED.value,
  )
  return comparison.figures, {'seed': _SEED.value, **comparison.stamp}


def main() -> None:
  of_paths = _PATHS.given(_RUN.workdir)
  from gan_jax.evaluation import evaluator as evaluations
  from gan_jax.storage import whole, workdir as workdirs

  if of_paths:
    chosen.refuse(
      _OF_RUNS, 'applies to a run; --generated and --real are images'
    )
    if _JSON.value:
      whole.check_file('json', _JSON.value)
    with whole.scratch() as scratch:
      figures, stamp = _of_paths(scratch)
    record = pathlib.Path(_JSON.value) if _JSON.value else None
  else:
    chosen.refuse(_OF_PATHS, 'needs --generated and --real')
    workdir = pathlib.Path(_RUN.workdir.value or '')
    figures, stamp = _of_run()
    record = workdir / 'evaluations.jsonl'
  stamp |= workdirs.provenance()
  for name, value in figures.items():
    print(f'{name:28s} {value:12.5f}')
  for name, value in stamp.items():
    if name not in ('versions', 'warnings'):
      print(f'  {name:28s} {value}')
  for line in stamp.get('warnings', ()):
    print(f'warning: {line}')
  if record:
    evaluations.record(record, figures, stamp)


if __name__ == '__main__':
  launch.run(main, by_first=True)
