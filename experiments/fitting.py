"""Each configuration on a pod, and what makes it fit where it does not."""

import dataclasses
import importlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from experiments import files
from gan_jax.config import fields as configs, overrides

_FOLDER = pathlib.Path(__file__).parent / 'configs'

# Of images.py and digits.py, whose images are the user's own.
_SIDES = {'images': 64}
# Classes of a folder that has them, as of faces.py:person.
_CLASSES = 40

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


def load(name: str, title: str, matmul_precision: str = '') -> configs.Config:
  """As `titles` has it; at its own precision where none is given."""
  from gan_jax.engine import build

  config = files.load_config(name)
  if matmul_precision:
    config.matmul_precision = matmul_precision
  if not config.data.size:
    config.data.size = _SIDES.get(title.partition(':')[0], 0)
  return build.complete(config)


def read(path: pathlib.Path) -> dict[str, Any]:
  """The rows of a table that are done, by what they are of.

  Raises:
    ValueError: the file is none of this program's.
  """
  try:
    done = json.loads(path.read_text()) if path.exists() else {}
  except (OSError, ValueError) as error:
    raise ValueError(f'--out={path}: cannot be read ({error})') from None
  sound = isinstance(done, dict) and all(
    isinstance(rows, list)
    and all(isinstance(row, dict) and 'title' in row for row in rows)
    for rows in done.values()
  )
  if not sound:
    raise ValueError(f'--out={path}: is no file of this program')
  return done


def _compiled(config: configs.Config, topology: str) -> dict[str, Any]:
  """A report, or the line that says why there is none."""
  from gan_jax.data import absent
  from gan_jax.engine import ahead

  labelled = config.conditional and config.data.name == 'folder'
  form = absent.ImageSpec(classes=_CLASSES if labelled else 0)
  try:
    return ahead.compile_apart(config, topology, form)
  except ValueError as error:
    said = str(error).removeprefix(f'--topology={topology}: ')
    return {'topology': topology, 'error': said}


def rows(
  config: configs.Config, title: str, topology: str
) -> Iterator[dict[str, Any]]:
  """Its row, and where it does not fit, one for each remedy that is tried.

  Where the chips do not divide its batch, it has the next that they do. The
  last remedy is to go through the batch in parts (`microbatches`), the fewest
  first, down to one sample on each chip.
  """
  from gan_jax.engine import build, chips

  count = chips.parse(topology).num_chips
  whole = count * config.microbatches
  if config.batch_size % whole:
    batch = -(-config.batch_size // whole) * whole
    config = dataclasses.replace(config, batch_size=batch)
    title = f'{title} + batch {batch}'
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
  of_whole, on_each = title, config.batch_size // count
  for parts in range(config.microbatches + 1, on_each + 1):
    if row.get('fits') is not False:
      return
    if on_each % parts == 0:
      title = f'{of_whole} + microbatches {parts}'
      smaller = dataclasses.replace(config, microbatches=parts)
      row = _compiled(smaller, topology) | {'title': title}
      yield row
