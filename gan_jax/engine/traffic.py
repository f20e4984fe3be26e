"""What a compiled program reads and writes once for several of its steps."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from gan_jax.engine import hlo

_LINE = re.compile(r'^\s*(ROOT )?%?(\S+) = (.*?) ([a-z][\w-]*)\(([^)]*)\)(.*)$')
_FUSED = re.compile(r'\bcalls=%?([^ ,)}]+)')
_SLICE = re.compile(r'slice_sizes=\{([\d,]*)\}')
_SIDES = re.compile(r'\[[\d,]*\]')

# They move nothing, or what they call does.
_FREE = (
  'after-all', 'async-done', 'async-start', 'async-update', 'bitcast', 'call',
  'conditional', 'constant', 'copy-done', 'get-tuple-element', 'parameter',
  'tuple', 'while',
)  # fmt: skip


class _Line(NamedTuple):
  """A line of a computation.

  Attributes:
    made: the type of what it makes.
    kind: of its operation.
    operands: names of what it reads.
    rest: what stands behind them.
    is_root: whether the computation makes it.
  """

  made: str
  kind: str
  operands: tuple[str, ...]
  rest: str
  is_root: bool


_Lines = Mapping[str, _Line]


def shared(text: str, length: int) -> float:
  """Bytes that XLA counts at each step, though several steps share them.

  XLA counts each line of a program once, whether it is in the loop over the
  steps or not. Shared is what runs once for a chunk, such as copies of a small
  data set into a chip's fast memory, and the draw of batches for many steps at
  once. It is counted as XLA does: what a line reads and what it makes, in whole
  tiles; of a slice what is taken.

  Args:
    text: of the compiled chunk.
    length: its steps.
  """
  computations, entry = hlo.parse(text)
  by_name = {name: _parse(lines) for name, lines in computations.items()}
  fused = {
    name
    for lines in by_name.values()
    for line in lines.values()
    if line.kind == 'fusion'
    for name in _FUSED.findall(line.rest)
  }
  total = 0.0
  for name, times in hlo.executions(computations, entry):
    if times < length and name not in fused:
      lines = by_name[name]
      moved = sum(_moved(line, lines, by_name) for line in lines.values())
      total += moved * (1 - times / length)
  return total


def _parse(lines: list[str]) -> dict[str, _Line]:
  """By the names of what they make."""
  found = {}
  for line in lines:
    match = _LINE.match(line)
    if match:
      root, name, made, kind, operands, rest = match.groups()
      names = tuple(each.split('%')[-1] for each in operands.split(', '))
      found[name] = _Line(made, kind, names, rest, bool(root))
  return found


def _moved(line: _Line, beside: _Lines, by_name: Mapping[str, _Lines]) -> int:
  """Bytes that a line reads and writes."""
  if line.kind in _FREE:
    return 0
  if line.kind == 'copy-start':
    return hlo.stored(line.made)  # Names what it reads beside what it writes.
  root, inner, given = line, beside, line.operands
  users: list[_Line] = [line]
  if line.kind == 'fusion':
    inner = by_name[_FUSED.findall(line.rest)[0]]
    given = tuple(n for n, each in inner.items() if each.kind == 'parameter')
    users = [*inner.values()]
    root = next((each for each in users if each.is_root), line)
  read = sum(
    _read(name, inner[name].made, users) for name in {*given} & {*inner}
  )
  if root.kind == 'dynamic-update-slice':  # In place.
    root = inner.get(root.operands[1], line)
    return read + hlo.stored(root.made)
  return read + hlo.stored(line.made)


def _read(name: str, made: str, users: list[_Line]) -> int:
  """Bytes of an array that lines read; all of them where one reads it whole."""
  total = 0
  for line in users:
    if name not in line.operands:
      continue
    if name in line.operands[1:]:
      return hlo.stored(made)
    if line.kind in ('slice', 'dynamic-slice'):
      total += hlo.stored(line.made)
    elif line.kind == 'gather':
      total += _gathered(line, made)
    elif line.kind != 'dynamic-update-slice':
      return hlo.stored(made)
  return total


def _gathered(line: _Line, made: str) -> int:
  """Bytes of the slices that a gather reads, each in whole tiles."""
  sides = _SLICE.findall(line.rest)[0]
  count = hlo.size(line.made) // math.prod(map(int, sides.split(',')))
  return count * hlo.stored(_SIDES.sub(f'[{sides}]', made))
