"""Slices of a set that has no splits of its own: 'train[:90%]'.

Which images a slice has is a function of their names, or of their rows: the
same on every machine, and the slices [:p%] and [p%:] make up the whole.
"""

import fractions
import hashlib
import re
from collections.abc import Sequence

import numpy as np

_SLICE = re.compile(r'train(?:\[(?:([\d.]+)%)?:(?:([\d.]+)%)?\])?')

Part = tuple[fractions.Fraction, fractions.Fraction]


def parse(split: str, field: str = 'data.split') -> Part:
  """'train' or 'train[10%:90%]' as shares of the whole, from and to.

  Args:
    split: what was asked for.
    field: that asked.

  Raises:
    ValueError: it is something else.
  """
  found = _SLICE.fullmatch(split)
  try:
    if found:
      low, high = found.groups()
      part = (
        fractions.Fraction(low or 0) / 100,
        fractions.Fraction(high or 100) / 100,
      )
      if 0 <= part[0] < part[1] <= 1:
        return part
  except ValueError:
    pass
  raise ValueError(
    f'{field}={split!r}: a set without splits of its own has train and '
    "slices of it, such as 'train[:90%]' and 'train[90%:]'"
  )


def overlap(a: str, b: str) -> bool:
  """Whether two slices share images; the errors of `parse`."""
  (low, high), (from_, to) = parse(a), parse(b)
  return max(low, from_) < min(high, to)


def by_name(names: Sequence[str], split: str) -> np.ndarray:
  """The positions, ascending, of the names that a slice has.

  A hash of each name alone is its place between 0 and 1, so that a file keeps
  its side whatever is added or removed beside it; the sizes are close to the
  shares, and not exact.
  """
  low, high = (share * 2**64 for share in parse(split))

  def place(name: str) -> int:
    data = name.encode('utf-8', 'surrogateescape')
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())

  return np.array(
    [i for i, name in enumerate(names) if low <= place(name) < high], np.int64
  )


def by_row(total: int, split: str) -> np.ndarray:
  """The rows, ascending, that a slice has of `total` that have no names.

  They are shuffled once and for all; the sizes are exact.
  """
  low, high = (int(share * total) for share in parse(split))
  order = np.random.default_rng(0).permutation(total)
  return np.sort(order[low:high])
