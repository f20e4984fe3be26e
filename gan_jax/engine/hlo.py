"""A compiled program's text: how often its parts run, and what it sends."""

import collections
import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

KINDS = (
  'all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all',
  'collective-permute',
)  # fmt: skip

_BYTES = {'pred': 1, 'f8e4m3fn': 1, 'f8e5m2': 1, 'bf16': 2}
_HEAD = re.compile(r'^(?:ENTRY )?%?(\S+) \(.*-> .*\{$')
_ARRAY = re.compile(r'\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\]')
# With its order of sides, the least first, and the tile that ends it.
_TILED = re.compile(
  r'\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\]\{([\d,]*)(?::T\(([\d,]+)\))?'
)
_CALLS = re.compile(
  r'(?:calls|condition|body|true_computation|false_computation)=%?([^ ,)}]+)'
)
_APPLIED = re.compile(r'to_apply=%?([^ ,)}]+)')
_BRANCHES = re.compile(r'branch_computations=\{([^}]*)\}')
_TRIPS = re.compile(r'known_trip_count[^0-9]*(\d+)')
_BOUND = re.compile(r'= s32\[\]\S* constant\((\d+)\)')


# Where an operation comes from, of several 'jit(f)/(a/b:c/d)'; and the scopes
# that steps have by name.
_OP_NAME = re.compile(r'op_name="([^"]*?)(?:/\(([^"]*:[^"]*)\))?"')
_SCOPES = re.compile(
  r'\b(data|(?:disc|gen)_update|augmentation|penalty_\w+|average)\b'
)


class Collective(NamedTuple):
  """One of a program's text.

  Attributes:
    kind: one of `KINDS`.
    num: how often it is sent.
    num_bytes: of the whole arrays that it makes, or of what a device gives to a
      `reduce-scatter`, each time together.
    part: of the step, such as 'disc_update'; 'gen_update + disc_update' of what
      XLA made one; '' where the text does not tell.
  """

  kind: str
  num: float
  num_bytes: float
  part: str = ''


def collectives(text: str, length: int) -> list[Collective]:
  """Those of one step, on average over a chunk.

  A loop whose number of rounds the text does not tell counts as one round, and
  of branches all are counted: of a step at which all that is lazy is due.

  Args:
    text: of the compiled chunk (`Compiled.as_text`), for one of the devices.
    length: its steps.
  """
  computations, entry = parse(text)
  runs: collections.Counter[str] = collections.Counter()
  for name, times in executions(computations, entry):
    runs[name] += times
  return [
    Collective(kind, num, num * _size(line, kind), _part(line))
    for name, times in runs.items()
    for num in [times / length]
    for line in computations[name]
    if (kind := _kind(line))
  ]


def summed(
  sent: Iterable[Collective], *, by_part: bool = False
) -> list[Collective]:
  """All of a kind as one, or all of a kind in one part of the step."""
  totals: dict[tuple[str, str], Collective] = {}
  for kind, num, num_bytes, part in sent:
    key = kind, part if by_part else ''
    known = totals.get(key, Collective(kind, 0.0, 0.0, key[1]))
    totals[key] = known._replace(
      num=known.num + num, num_bytes=known.num_bytes + num_bytes
    )
  return list(totals.values())


def stored(made: str) -> int:
  """Bytes of the arrays in a type such as `f32[3,4]{1,0:T(8,128)}`."""
  return sum(_in_tiles(*array) for array in _TILED.findall(made))


def size(made: str) -> int:
  """Values in the arrays of such a type."""
  arrays = _ARRAY.findall(made)
  return sum(math.prod(_numbers(shape)) for _, shape in arrays)


def precisions(text: str) -> dict[str, int]:
  """How many products and convolutions are at each precision, by name."""
  products = [
    line
    for line in text.splitlines()
    if re.search(r' (dot|convolution)\(', line)
  ]
  counts = collections.Counter(
    match.group(1) if match else 'default'
    for line in products
    for match in [re.search(r'operand_precision=\{([a-z]+),', line)]
  )
  return dict(counts)


def parse(text: str) -> tuple[dict[str, list[str]], str]:
  """The lines of each computation by its name, and the entry's name."""
  computations: dict[str, list[str]] = {}
  entry, lines = '', None
  for line in text.splitlines():
    head = _HEAD.match(line)
    if head:
      lines = computations[head.group(1)] = []
      entry = head.group(1) if line.startswith('ENTRY') else entry
    elif line.startswith('}'):
      lines = None
    elif lines is not None:
      lines.append(line)
  return computations, entry


def executions(
  computations: dict[str, list[str]], entry: str
) -> Iterator[tuple[str, int]]:
  """Each computation that the entry calls, and how often it runs.

  A loop whose number of rounds the text does not tell counts as one round, and
  of branches all count.
  """
  if entry not in computations:
    return
  yield entry, 1
  for line in computations[entry]:
    for callee, rounds in _called(line, computations):
      for name, times in executions(computations, callee):
        yield name, times * rounds


def _kind(line: str) -> str | None:
  """Of a collective, where it begins; None of anything else."""
  for kind in KINDS:
    if f' {kind}(' in line or f' {kind}-start(' in line:
      return kind
  return None


def _part(line: str) -> str:
  """The scopes that it is in, from without to within, of all that it joins."""
  name = _OP_NAME.search(line)
  if not name:
    return ''
  first, joined = name.groups('')
  parts = [
    '/'.join(_SCOPES.findall(f'{first}/{own}')) for own in joined.split(':')
  ]
  return ' + '.join(filter(None, dict.fromkeys(parts)))


def _size(line: str, kind: str) -> int:
  """Bytes of what it makes; of a reduce-scatter, of what it is given."""
  made, _, rest = line.partition(f' {kind}')
  if kind == 'reduce-scatter':
    groups = re.search(
      r'replica_groups=(?:mesh\[\S*?=(\d+)|\{\{([\d,]+)\})', rest
    )
    count = 1
    if groups:
      count = int(groups.group(1) or groups.group(2).count(',') + 1)
    return count * _bytes_of(made)
  # One that is started makes its operands beside its results.
  both = rest.startswith('-start') and kind != 'all-reduce'
  return _bytes_of(made, results_alone=both)


def _bytes_of(made: str, *, results_alone: bool = False) -> int:
  """Of all arrays of a type such as `(f32[3,4]{1,0}, s32[])`.

  With `results_alone` of the second half of them; numbers of the runtime
  (`u32[]`) are none of them.
  """
  arrays, total = _ARRAY.findall(made.partition(' = ')[2]), 0
  if results_alone:
    arrays = [(dtype, shape) for dtype, shape in arrays if shape]
    arrays = arrays[len(arrays) // 2 :]
  for dtype, shape in arrays:
    total += _bytes_each(dtype) * math.prod(_numbers(shape))
  return total


def _bytes_each(dtype: str) -> int:
  return _BYTES.get(dtype) or int(re.sub(r'\D', '', dtype) or 8) // 8


def _numbers(text: str) -> list[int]:
  return [int(number) for number in text.split(',') if number]


def _in_tiles(dtype: str, shape: str, order: str, tile: str) -> int:
  """Bytes of an array in whole tiles."""
  sides = _numbers(shape)
  sizes = reversed(_numbers(tile))
  for axis, size in zip(_numbers(order), sizes, strict=False):
    sides[axis] = -(-sides[axis] // size) * size
  return _bytes_each(dtype) * math.prod(sides)


def _called(
  line: str, computations: dict[str, list[str]]
) -> Iterator[tuple[str, int]]:
  """What a line calls, and how often."""
  names = _CALLS.findall(line)
  if ' call(' in line:
    names += _APPLIED.findall(line)
  for branches in _BRANCHES.findall(line):
    names += [name.strip().lstrip('%') for name in branches.split(',')]
  rounds = _rounds(line, computations) if ' while(' in line else 1
  for name in names:
    yield name, rounds


def _rounds(line: str, computations: dict[str, list[str]]) -> int:
  """Of a loop; 1 where its text does not tell."""
  told = _TRIPS.search(line)
  if told:
    return int(told.group(1))
  condition = re.search(r'condition=%?([^ ,)}]+)', line)
  lines = computations.get(condition.group(1), []) if condition else []
  bounds = [int(n) for text in lines for n in _BOUND.findall(text)]
  counts = any(' compare(' in text and 'direction=LT' in text for text in lines)
  return bounds[0] if counts and len(bounds) == 1 else 1
