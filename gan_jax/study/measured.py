"""What a ledger keeps of measured runs, and which of them count together.

A long table is measured a few seeds at a time, on one machine after another.
Each run of a row is kept as it was found, with its settings and all that its
figures depend on, and every figure is computed from those that count.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Run(NamedTuple):
  """A run of a row that came to its end.

  Attributes:
    source: the table or the configuration that the row is of.
    row: its title.
    settings: of its configuration, less what changes nothing of what it finds.
    steps: of each member.
    seeds: of the members, in order.
    figures: by name the value of each member, None where it failed.
    diverged: whether it ended as all members had failed; it has no figures.
    stamp: what the figures depend on, as in `protocol.json`; empty where that
      is not known.
    commit: of the code at the end.
    machine: the devices of its last session.
    command: that makes it.
    ended: the time, in seconds since 1970; 0 where it is not known.
  """

  source: str
  row: str
  settings: Mapping[str, Any]
  steps: int
  seeds: Sequence[int]
  figures: Mapping[str, Sequence[float | None]]
  diverged: bool
  stamp: Mapping[str, Any]
  commit: str
  machine: str
  command: str
  ended: float

  def found(self) -> 'Run':
    """Without what tells who made it, and when."""
    return self._replace(commit='', machine='', command='', ended=0.0)

  def of(self, figure: str) -> dict[int, float | None]:
    """The members' values by seed; empty where it was not measured."""
    if self.diverged:
      return dict.fromkeys(self.seeds)
    return dict(zip(self.seeds, self.figures.get(figure, ()), strict=False))


_TYPES = {
  'source': str, 'row': str, 'settings': dict, 'steps': int, 'seeds': list,
  'figures': dict, 'diverged': bool, 'stamp': dict, 'commit': str,
  'machine': str, 'command': str, 'ended': float,
}  # fmt: skip


def read(record: Any) -> list[Run]:
  """The runs of a record of the ledger.

  Raises:
    ValueError: it is no such record.
  """
  found = record.get('runs') if isinstance(record, dict) else None
  if not isinstance(found, list):
    raise ValueError('is no record of this program')
  for each in found:
    if (
      not isinstance(each, dict)
      or {name: type(value) for name, value in each.items()} != _TYPES
    ):
      raise ValueError('has a run that is not as this program writes it')
    for name, members in each['figures'].items():
      if not isinstance(members, list) or len(members) != len(each['seeds']):
        raise ValueError(
          f'has not as many members of {each["row"]}, {name}, as seeds'
        )
  return [Run(**each) for each in found]


def merged(earlier: Sequence[Run], found: Sequence[Run]) -> list[Run]:
  """All runs, in the order in which they ended.

  One that found the same to the last digit as an earlier one is that one, read
  again or repeated.
  """
  runs: list[Run] = []
  for run in [*earlier, *found]:
    if all(run.found() != other.found() for other in runs):
      runs.append(run)
  return sorted(runs, key=lambda run: run.ended)


def together(runs: Sequence[Run], steps: int) -> list[Run]:
  """Those of a row that are one population, in their order.

  They have the steps that are asked for or, if none has, the most; and their
  figures depend on the same. Of several such populations it is the one with the
  most seeds, or else the last.

  Args:
    runs: of one row, with its settings, in the order of `merged`.
    steps: that the row asks for.
  """
  best = max(((run.steps == steps, run.steps) for run in runs), default=None)
  long = [run for run in runs if (run.steps == steps, run.steps) == best]
  stamps = [run.stamp for run in long if run.stamp]
  populations = [
    [run for run in long if not run.stamp or run.stamp == stamp]
    for stamp in stamps or [{}]
  ]

  def size(population: list[Run]) -> int:
    return len({seed for run in population for seed in run.seeds})

  most = max(map(size, populations))
  return [each for each in populations if size(each) == most][-1]


def counted(
  runs: Sequence[Run], figure: str
) -> list[tuple[Run, dict[int, float | None]]]:
  """Of runs that are one population, those that give members of a figure.

  Each with its members' values by seed, in the order of their seeds; of a seed
  that several runs have the last one's counts.
  """
  left, taken = [], set[int]()
  for run in reversed(runs):
    own = {s: x for s, x in run.of(figure).items() if s not in taken}
    taken |= own.keys()
    if own:
      left.append((run, own))
  return sorted(left, key=lambda each: min(each[1]))
