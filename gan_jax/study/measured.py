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
    stamp: what the figures depend on, as in `protocol.json`.
    commit: of the code at the end.
    machine: the devices of its last session.
    command: that makes it.
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

  def of(self, figure: str) -> dict[int, float | None]:
    """The members' values by seed; empty where it was not measured."""
    if self.diverged:
      return dict.fromkeys(self.seeds)
    return dict(zip(self.seeds, self.figures.get(figure, ()), strict=False))


_TYPES = {
  'source': str, 'row': str, 'settings': dict, 'steps': int, 'seeds': list,
  'figures': dict, 'diverged': bool, 'stamp': dict, 'commit': str,
  'machine': str, 'command': str,
}  # fmt: skip


def read(record: Any) -> list[Run]:
  """The runs of a record, as `write` made it.

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
  """All runs, without those whose seeds a later one has with as many steps."""
  runs = [*earlier, *found]

  def is_replaced(i: int) -> bool:
    own = runs[i]
    return any(
      (own.source, own.row, own.steps) == (other.source, other.row, other.steps)
      and {*own.seeds} <= {*other.seeds}
      for other in runs[i + 1 :]
    )

  return [run for i, run in enumerate(runs) if not is_replaced(i)]


def together(runs: Sequence[Run], steps: int) -> list[Run]:
  """Those of a row that are one population, in their order.

  They have the steps that are asked for or, if none has, the most; and what
  their figures depend on is what those of the last one do.

  Args:
    runs: of one row, with its settings.
    steps: that the row asks for.
  """
  if not runs:
    return []
  best = max((run.steps == steps, run.steps) for run in runs)
  long = [run for run in runs if (run.steps == steps, run.steps) == best]
  last = long[-1].stamp
  return [
    run
    for run in long
    if all(run.stamp[name] == last[name] for name in run.stamp.keys() & last)
  ]


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
