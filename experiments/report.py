"""A page of runs: one HTML file, from their folders alone.

  python -m experiments.report --runs='runs/*' --out=report.html

The file needs no network and no server: open it in a browser. Folders that
hold no run are told and left out.
"""

import glob
import pathlib
import sys

from absl import flags

from experiments import launch
from gan_jax.storage import whole

_RUNS = flags.DEFINE_list(
  'runs', [], "Patterns of work folders, with commas between them: 'runs/*'."
)
_OUT = flags.DEFINE_string('out', 'report.html', 'The file to write.')
_TITLE = flags.DEFINE_string('title', 'Runs', 'Above the page.')


def main() -> None:
  if not _RUNS.value:
    raise ValueError("--runs='DIR/*' must be given")
  out = pathlib.Path(_OUT.value or '')
  whole.check_file('out', out)
  matches = [path for p in _RUNS.value for path in sorted(glob.glob(p))]
  folders = [pathlib.Path(path) for path in dict.fromkeys(matches)]
  folders = [folder for folder in folders if folder.is_dir()]
  asked = ','.join(_RUNS.value)
  if not folders:
    raise ValueError(f'--runs={asked}: no folder is there')
  from gan_jax.report import pages

  data = pages.collect(folders, _TITLE.value or '')
  for line in data['skipped']:
    print(f'skipped: {line}', file=sys.stderr)
  if not data['runs']:
    raise ValueError(f'--runs={asked}: none of {len(folders)} holds a run')
  try:
    pages.write(out, data)
  except OSError as error:
    raise ValueError(
      f'--out={out}: cannot be written ({error.strerror})'
    ) from None
  size = out.stat().st_size / 1e6
  print(f'{len(data["runs"])} runs in {out}, {size:.1f} MB')


if __name__ == '__main__':
  launch.run(main)
