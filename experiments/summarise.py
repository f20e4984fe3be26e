"""One line a figure over the `summary.json` of several runs.

  python -m experiments.summarise --runs='runs/gaussian/*'

Folders without one, whose runs have not ended, are told and left out.
"""

import json
import sys

import numpy as np

from experiments import launch, several


def main() -> None:
  folders = several.folders()
  paths = [folder / 'summary.json' for folder in folders]
  for path in paths:
    if not path.is_file():
      print(f'skipped: {path.parent}: has no summary.json', file=sys.stderr)
  paths = [path for path in paths if path.is_file()]
  if not paths:
    raise ValueError(f'{several.asked()}: no finished run is there')
  runs = [json.loads(path.read_text()) for path in paths]
  for path, run in zip(paths, runs, strict=True):
    if any(isinstance(value, dict) for value in run.values()):
      raise ValueError(f'{path}: is of a population, which is summed up there')
  print(f'{len(runs)} runs')
  header = ('median', 'mean', 'std', 'min', 'max')
  print(f'{"":24s}' + ''.join(f'{name:>12s}' for name in header))
  for name in runs[0]:
    values = np.array([run[name] for run in runs if run.get(name) is not None])
    if not values.size:
      continue
    spread = values.std(ddof=1) if len(values) > 1 else float('nan')
    cells = (
      np.median(values),
      values.mean(),
      spread,
      values.min(),
      values.max(),
    )
    missing = len(runs) - len(values)
    note = f'  ({missing} without)' if missing else ''
    print(f'{name:24s}' + ''.join(f'{cell:12.4f}' for cell in cells) + note)


if __name__ == '__main__':
  launch.run(main)
