"""A page of runs: one HTML file, from their folders alone.

  python -m experiments.report --runs='runs/*' --out=report.html

The file needs no network and no server: open it in a browser. Folders that
hold no run are told and left out.
"""

import pathlib
import sys

from absl import flags

from experiments import launch, several
from gan_jax.storage import whole

_OUT = flags.DEFINE_string('out', 'report.html', 'The file to write.')
_TITLE = flags.DEFINE_string('title', 'Runs', 'Above the page.')


def main() -> None:
  folders = several.folders()
  out = pathlib.Path(_OUT.value or '')
  whole.check_file('out', out)
  from gan_jax.report import pages

  data = pages.collect(folders, _TITLE.value or '')
  for line in data['skipped']:
    print(f'skipped: {line}', file=sys.stderr)
  if not data['runs']:
    raise ValueError(f'{several.asked()}: none of {len(folders)} holds a run')
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
