"""One metric of several runs against the step, as a png.

  python -m experiments.curves --runs=runs/a,runs/b \
    --metric=gen/grad_norm --log --out=curves.png
"""

import math
import pathlib

from absl import flags

from experiments import launch, several
from gan_jax.storage import lines, whole

_METRIC = flags.DEFINE_string('metric', None, 'A key of metrics.jsonl.')
_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_LOG = flags.DEFINE_bool('log', False, 'Logarithmic values.')


def series(workdir: pathlib.Path, metric: str) -> tuple[list[int], list[float]]:
  """Steps and values of the rows that have the metric."""
  path = workdir / 'metrics.jsonl'
  if not path.exists():
    raise ValueError(f'--runs: {workdir} has no metrics.jsonl')
  rows = lines.read(path)
  having = [row for row in rows if metric in row]
  if not having:
    names = sorted({name for row in rows for name in row} - {'step'})
    raise ValueError(
      f'--metric={metric}: not in {path}; there are {", ".join(names)}'
    )
  values = [row[metric] for row in having]
  # Of a population, the mean; a null is a gap.
  means = [x['mean'] if isinstance(x, dict) else x for x in values]
  return (
    [row['step'] for row in having],
    [math.nan if x is None else x for x in means],
  )


def main() -> None:
  if not (_METRIC.value and _OUT.value):
    raise ValueError('--metric and --out must be given')
  workdirs = several.folders()
  whole.check_file('out', _OUT.value)
  from gan_jax.report import charts

  names = [path.name for path in workdirs]
  curves = {
    path.name if names.count(path.name) == 1 else str(path): series(
      path, _METRIC.value
    )
    for path in workdirs
  }
  charts.save_lines(
    pathlib.Path(_OUT.value), curves, label=_METRIC.value, log=_LOG.value
  )
  print(_OUT.value)


if __name__ == '__main__':
  launch.run(main)
