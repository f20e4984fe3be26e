"""What the start of a run on own images costs, the first and the second time.

  python -m experiments.benchmarks.data_start --images=10000 --side=256

Writes so many JPEGs of ten classes into a temporary folder, and opens them as a
training run does, in a new process each time: first with nothing in the cache,
then again; held on the device, and streamed. Reports the seconds that opening
took, imports left out, and the most memory that a process had.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from absl import flags

from experiments import launch
from experiments.benchmarks import jpegs

_IMAGES = flags.DEFINE_integer('images', 10_000, 'How many.', lower_bound=10)
_SIDE = flags.DEFINE_integer('side', 256, 'Of each, in pixels.', lower_bound=8)
_OPEN = flags.DEFINE_string(
  'open', None, 'Only open this folder, and print what it took.'
)
_LIMIT = flags.DEFINE_float('limit', 64.0, 'data.device_limit_gb of --open.')


def open_folder(folder: str, limit: float) -> dict[str, float]:
  """Seconds to open it as a run does, and MiB of this and other processes."""
  import jax

  from gan_jax.config import fields as configs
  from gan_jax.engine import build

  config = configs.Config(batch_size=64)
  config.data = configs.Data(name='folder', dir=folder, device_limit_gb=limit)
  key = jax.random.key(0)
  began = time.monotonic()
  source = build.make_source(config, key)
  jax.block_until_ready(source.chunk(0, 1))
  seconds = time.monotonic() - began
  print(source.about, file=sys.stderr)
  this, others = (
    resource.getrusage(who).ru_maxrss / 1024
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
  )
  return {'seconds': seconds, 'mib': this, 'mib_of_a_worker': others}


def main() -> None:
  if _OPEN.value:
    print(json.dumps(open_folder(_OPEN.value, _LIMIT.value)))
    return
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary, 'images')
    jpegs.write(folder, _IMAGES.value, _SIDE.value)
    length = sum(path.stat().st_size for path in folder.rglob('*.jpg'))
    print(f'{_IMAGES.value:,} JPEGs, {length / 2**20:.0f} MiB')
    for kind, limit in (('on the device', 1e6), ('streamed', 0.0)):
      cache = {'XDG_CACHE_HOME': str(pathlib.Path(temporary, kind))}
      for which in ('first', 'second'):
        done = subprocess.run(
          [
            sys.executable, '-m', 'experiments.benchmarks.data_start',
            f'--open={folder}', f'--limit={limit}',
          ],
          env=os.environ | cache,
          stdout=subprocess.PIPE,
          check=True,
        )  # fmt: skip
        took = json.loads(done.stdout)
        print(
          f'{kind:14s} {which:7s} {took["seconds"]:7.2f} s '
          f'{took["mib"]:7.0f} MiB, {took["mib_of_a_worker"]:.0f} a worker'
        )


if __name__ == '__main__':
  launch.run(main)
