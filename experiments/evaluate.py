"""Figures of a run's generator, with the protocol they were obtained by.

  python -m experiments.evaluate --workdir=runs/mnist --metrics=fid,kid,prdc \
    --num=10000

Prints a table and appends a line to the run's evaluations.jsonl with all that
the figures depend on; the same protocol and seed give the same digits. A game
whose data follow a known law has its own figures, and needs no --metrics.
What is not given is as the run's configuration says under eval.
"""

import pathlib
from typing import Any

from absl import flags

from experiments import launch

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_METRICS = flags.DEFINE_string(
  'metrics', None, 'fid, kid, is, prdc, parzen, swd, memorisation, classes, '
  'intra_fid, with commas between them.'
)  # fmt: skip
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best (by checkpoint.best), or a step.'
)
_MEMBER = flags.DEFINE_integer(
  'member', None, 'Which run of a population, from 0.'
)
_NUM = flags.DEFINE_integer('num', None, 'Samples to draw.', lower_bound=2)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the samples.', lower_bound=0)
_EMA = flags.DEFINE_bool(
  'ema', None, 'The averaged generator, or the live one.'
)
_SPLIT = flags.DEFINE_string('split', None, 'Real images to compare with.')
_HELD_OUT = flags.DEFINE_string('held_out', None, 'Images G never saw.')
_FEATURES = flags.DEFINE_string('features', None, 'digits or inception.')
_WEIGHTS = flags.DEFINE_string('weights', None, "Inception's checkpoint.")
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'Where the data are now.')


def main() -> None:
  if _WORKDIR.value is None:
    raise ValueError('--workdir=DIR must be given')
  import jax

  from gan_jax.config import checks
  from gan_jax.engine import build
  from gan_jax.evaluation import evaluator as evaluations, scene as scenes
  from gan_jax.run import trained as runs
  from gan_jax.storage import workdir as workdirs

  workdir = pathlib.Path(_WORKDIR.value)
  run = runs.load(workdir, _CHECKPOINT.value, _MEMBER.value)
  config = run.config
  for field, flag in (
    ('metrics', _METRICS), ('num_samples', _NUM), ('ema', _EMA),
    ('split', _SPLIT), ('held_out', _HELD_OUT), ('features', _FEATURES),
    ('weights', _WEIGHTS),
  ):  # fmt: skip
    if flag.value is not None:
      setattr(config.eval, field, flag.value)
  if _DATA_DIR.value is not None:
    config.data.dir = _DATA_DIR.value
  checks.validate(config)
  key = jax.random.key(_SEED.value)
  stamp: dict[str, Any] = {
    'step': int(run.state.step), 'member': _MEMBER.value, 'seed': _SEED.value,
  }  # fmt: skip
  if run.info.kind == 'images':
    if not config.eval.metrics:
      raise ValueError(
        f'--metrics: must be given; there are {", ".join(scenes.METRICS)}'
      )
    evaluator = evaluations.Evaluator(config, run.spec, run.info)
    figures = evaluator.figures(run.state, key)
    stamp |= evaluator.stamp() | {'warnings': evaluator.warnings}
  else:
    for flag in (_METRICS, _SPLIT, _HELD_OUT, _FEATURES, _WEIGHTS):
      if flag.value is not None:
        raise ValueError(
          f'--{flag.name}: is of images; this game has figures of its own'
        )
    source = build.make_source(config, key)
    figures = evaluations.law_figures(config, run.spec, source, run.state, key)
    stamp |= evaluations.generator_stamp(config, run.spec)
    stamp |= {
      'data': config.data.name,
      'num_generated': config.eval.num_samples // config.packing
      * config.packing,
    }  # fmt: skip
  stamp |= workdirs.provenance()
  for name, value in figures.items():
    print(f'{name:24s} {value:12.5f}')
  for name, value in stamp.items():
    if name != 'versions':
      print(f'  {name:28s} {value}')
  evaluations.record(workdir / 'evaluations.jsonl', figures, stamp)


if __name__ == '__main__':
  launch.run(main)
