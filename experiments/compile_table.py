r"""Every configuration on every pod: does it fit, and how fast could it be?

  python -m experiments.compile_table --topologies=v5e:2x2,v5e:4x4 \
    --out=table.json

Compiles each file in experiments/configs/ with each of its arguments, and
prints a table in Markdown. What is done is in --out, and the same command goes
on from there. Where one does not fit, its networks are computed again for the
gradient (remat), then also in bfloat16, then also with its state split (fsdp),
then with its batch in parts (microbatches), until it does. A batch that the
chips do not divide is rounded up.
"""

import pathlib
import re
import sys

from absl import flags

from experiments import fitting, launch

_TOPOLOGIES = flags.DEFINE_list(
  'topologies', ['v5e:2x2', 'v5e:4x4', 'v6e:2x4', 'v5e:16x16'], 'Pods.'
)
_OUT = flags.DEFINE_string('out', None, 'The file of the rows, in JSON.')
_ONLY = flags.DEFINE_string('only', '', 'Only titles that match this.')
_PRECISION = flags.DEFINE_enum(
  'matmul_precision', '', ['', 'default', 'high', 'highest'],
  'That of all configurations, in place of their own.'
)  # fmt: skip
_PRINT = flags.DEFINE_bool(
  'print', False, 'Print what is done; compile nothing.'
)


def _key(title: str, topology: str) -> str:
  """Of its rows in --out."""
  precision = _PRECISION.value
  return f'{title} {topology}' + (f' at {precision}' if precision else '')


def main() -> None:
  if not _OUT.value:
    raise ValueError('--out=FILE must be given')
  from gan_jax.engine import ahead, chips
  from gan_jax.report import forecast
  from gan_jax.storage import whole, workdir as workdirs

  path = pathlib.Path(_OUT.value)
  whole.check_file('out', path)
  if not _TOPOLOGIES.value:
    raise ValueError('--topologies: names none')
  for topology in _TOPOLOGIES.value:
    if chips.parse(topology).chip in chips.OTHERS:
      raise ValueError(f'--topologies={topology}: must be pods, as v5e:2x2')
  try:
    wanted = [(t, c) for t, c in fitting.titles() if re.search(_ONLY.value, t)]
  except re.error as error:
    raise ValueError(f'--only={_ONLY.value}: no pattern ({error})') from None
  done = fitting.read(path)
  if not wanted:
    raise ValueError(f'--only={_ONLY.value}: matches no configuration')
  if not _PRINT.value:
    ahead.check_compiler(_TOPOLOGIES.value[0])
  for topology in [] if _PRINT.value else _TOPOLOGIES.value:
    for title, name in wanted:
      key = _key(title, topology)
      if key in done and not any('error' in row for row in done[key]):
        continue
      print(key, file=sys.stderr)
      config = fitting.load(name, title, _PRECISION.value)
      done[key] = list(fitting.rows(config, title, topology))
      workdirs.write_json(path, done)
  rows = [
    row
    for title, _ in wanted
    for topology in _TOPOLOGIES.value
    for row in done.get(_key(title, topology), [])
  ]
  if not rows:
    raise ValueError(f'--print: --out={path} has none of these')
  print(*forecast.markdown(rows), sep='\n')
  if all('error' in row for row in rows):
    raise ValueError('none of these could be compiled')


if __name__ == '__main__':
  launch.run(main)
