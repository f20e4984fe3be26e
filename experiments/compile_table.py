r"""Every configuration on every pod: does it fit, and how fast could it be?

  python -m experiments.compile_table --topologies=v5e:2x2,v5e:4x4 \
    --out=table.json

Compiles each file in experiments/configs/ with each of its arguments, and
prints a table in Markdown. What is done is in --out, and the same command goes
on from there. Where one does not fit, its networks are computed again for the
gradient (remat), then also in bfloat16, then also with its state split (fsdp),
until it does.
"""

import importlib
import json
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

from absl import flags

from experiments import launch
from gan_jax.config import fields as configs, overrides

_TOPOLOGIES = flags.DEFINE_list(
  'topologies', ['v5e:2x2', 'v5e:4x4', 'v6e:2x4', 'v5e:16x16'], 'Pods.'
)
_OUT = flags.DEFINE_string('out', None, 'The file of the rows, in JSON.')
_ONLY = flags.DEFINE_string('only', '', 'Only titles that match this.')
_PRINT = flags.DEFINE_bool(
  'print', False, 'Print what is done; compile nothing.'
)

_FOLDER = pathlib.Path(__file__).parent / 'configs'

# Of images.py and digits.py, whose images are the user's own.
_SIDES = {'images': 64}

# Each has those before it as well.
_REMEDIES = (
  ('remat', [('gen.net.remat', 'true'), ('disc.net.remat', 'true')]),
  ('bfloat16', [('precision', 'bfloat16')]),
  ('fsdp', [('sharding', 'fsdp')]),
)


def titles() -> Iterator[tuple[str, str]]:
  """Each configuration: how it is called, and as `--config` takes it."""
  for path in sorted(_FOLDER.glob('*.py')):
    if path.stem == '__init__':
      continue
    module = importlib.import_module(f'experiments.configs.{path.stem}')
    for argument in getattr(module, 'ARGUMENTS', {'': None}):
      colon = f':{argument}' if argument else ''
      yield f'{path.stem}{colon}', f'{path}{colon}'


def _load(name: str, title: str) -> configs.Config:
  from gan_jax.engine import build

  config = launch.load_config(name)
  if not config.data.size:
    config.data.size = _SIDES.get(title.partition(':')[0], 0)
  return build.complete(config)


def _compiled(config: configs.Config, topology: str) -> dict[str, Any]:
  """A report, or the line that says why there is none."""
  from gan_jax.data import absent
  from gan_jax.engine import ahead

  try:
    return ahead.compile_apart(config, topology, absent.Form())
  except ValueError as error:
    return {'topology': topology, 'error': str(error)}


def _rows(
  config: configs.Config, title: str, topology: str
) -> Iterator[dict[str, Any]]:
  """Its row, and where it does not fit, one for each remedy that is tried."""
  from gan_jax.engine import build

  row = _compiled(config, topology) | {'title': title}
  yield row
  for name, changes in _REMEDIES:
    if row.get('fits') is not False:
      return
    known = name != 'remat' or hasattr(config.gen.net, 'remat')
    if not known:
      continue
    config = overrides.apply(config, changes, build.complete)
    title = f'{title} + {name}'
    row = _compiled(config, topology) | {'title': title}
    yield row


def main() -> None:
  if not _OUT.value:
    raise ValueError('--out=FILE must be given')
  from gan_jax.engine import chips
  from gan_jax.report import forecast

  path = pathlib.Path(_OUT.value)
  for topology in _TOPOLOGIES.value:
    chips.parse(topology)
  try:
    wanted = [(t, c) for t, c in titles() if re.search(_ONLY.value, t)]
    done = json.loads(path.read_text()) if path.exists() else {}
  except (re.error, ValueError) as error:
    raise ValueError(
      f'--only={_ONLY.value}, --out={path}: cannot be read ({error})'
    ) from None
  for topology in [] if _PRINT.value else _TOPOLOGIES.value:
    for title, name in wanted:
      key = f'{title} {topology}'
      if key in done:
        continue
      print(key, file=sys.stderr)
      done[key] = list(_rows(_load(name, title), title, topology))
      whole = path.with_suffix('.tmp')
      whole.write_text(json.dumps(done, indent=1) + '\n')
      whole.rename(path)
  rows = [
    row
    for title, _ in wanted
    for topology in _TOPOLOGIES.value
    for row in done.get(f'{title} {topology}', [])
  ]
  print(*forecast.markdown(rows), sep='\n')


if __name__ == '__main__':
  launch.run(main)
