"""What is predicted of chips that are not there, as text and as a picture."""

import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gan_jax.config import words
from gan_jax.engine import hlo
from gan_jax.report import plots

_NAMES = {
  'data': 'data',
  'data_ahead': 'data of the next steps, read ahead',
  'padding': "padding of the chip's layouts",
  'copy_of_state': 'copy of the state, to be looked at',
  'other_state': 'other state',
}
_WARNING = (
  "a prediction, from the chip's published peaks: no step was run, and a real "
  'one takes longer'
)


def lines(report: Mapping[str, Any]) -> list[str]:
  """A report of `ahead.compile_for` for a terminal."""
  found = [
    f'{report["topology"]}: {report["chips"]} devices, batch '
    f'{report["batch_size"]:,}, sharding {report["sharding"]}, '
    f'matmul precision {report["matmul_precision"]}',
    verdict(report),
  ]
  found += [
    f'  {_NAMES.get(name, name):36s}{size / 2**20:12,.1f} MiB'
    for name, size in report['memory'].items()
  ]
  found.append(f'operations a step     {report["operations"]:14.4g} on a chip')
  if 'bytes' not in report:
    if report['fits'] is None:
      found.append('lowered alone: what a compiler adds is not known')
    return found
  found.append(f'bytes a step          {report["bytes"]:14.4g} on a chip')
  sent = [hlo.Collective(**each) for each in report['collectives']]
  for each in hlo.summed(sent, by_part=True):
    found.append(
      f'{each.kind:22s}{each.num:14,.4g} a step, '
      f'{each.num_bytes / 2**20:,.2f} MiB{each.part and f"  {each.part}"}'
    )
  if not report['collectives']:
    found.append('nothing is sent between devices')
  kinds = ', '.join(f'{n} {name}' for name, n in report['products'].items())
  found.append(f'products by precision {kinds or "none"}')
  found.append(f'compiled in           {report["compile_seconds"]:14.1f} s')
  return found + _roofline(report.get('roofline'))


def verdict(report: Mapping[str, Any]) -> str:
  """Whether it fits, in one line."""
  if report['fits'] is None:
    return 'memory of a device, of what is known:'
  if 'why' in report:
    return f'does not fit: {report["why"]}'
  total, limit = sum(report['memory'].values()), report['limit']
  word = 'fits' if report['fits'] else 'does not fit'
  return f'{word}: {total / 2**30:.2f} of {limit / 2**30:.2f} GiB of a device:'


def _roofline(line: Mapping[str, Any] | None) -> list[str]:
  if line is None:
    return []
  parts = ', '.join(
    f'{name} {seconds * 1e3:.3g}' for name, seconds in line['seconds'].items()
  )
  return [
    f'step, at least        {line["step_seconds"] * 1e3:14.3g} ms ({parts})',
    f'bound by              {line["bound"]:>14s}',
    f'samples a second      {line["samples_per_second"]:14,.0f} at most',
    f'share of the peak     {line["share_of_peak"]:14.1%} at most',
    _WARNING,
  ]


def scaling_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
  """The rows of `scaling.predict` for a terminal."""
  header = (
    f'{"":8s}{"chips":>6s}{"batch":>9s}{"ms a step":>11s}'
    f'{"samples a second":>18s}{"efficiency":>12s}  bound by'
  )
  found = [header]
  for row in rows:
    line = row['report']['roofline']
    found.append(
      f'{row["kind"]:8s}{row["chips"]:6d}{row["batch_size"]:9,d}'
      f'{line["step_seconds"] * 1e3:11.3g}{line["samples_per_second"]:18,.0f}'
      f'{row["efficiency"]:12.1%}  {line["bound"]}'
    )
  return [*found, _WARNING]


def save_scaling(
  path: pathlib.Path, curves: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
  """Efficiency against chips, a colour for each name; strong lines are dashed.

  Args:
    path: of the png.
    curves: rows of `scaling.predict` by what they are of.
  """
  plt = plots.pyplot()
  figure, axes = plt.subplots(figsize=(7.2, 3.6), dpi=130, layout='constrained')
  for colour, (name, rows) in enumerate(curves.items()):
    for kind, style in (('weak', '-'), ('strong', '--')):
      own = [row for row in rows if row['kind'] == kind]
      axes.plot(
        [row['chips'] for row in own],
        [row['efficiency'] for row in own],
        f'C{colour}o{style}',
        markersize=3,
        label=f'{name}, {kind}',
      )
  counts = sorted({row['chips'] for rows in curves.values() for row in rows})
  axes.set_xscale('log', base=2)
  axes.set_xticks(counts, [str(count) for count in counts])
  axes.set(
    xlabel='chips', ylabel='speed of a chip, of the first', ylim=(0, 1.05)
  )
  axes.set_title('predicted by published peaks, not measured', fontsize=9)
  # Beside the lines, which go everywhere.
  figure.legend(loc='outside right center', fontsize=7, handlelength=4)
  plots.save_figure(path, figure)


def markdown(reports: Iterable[Mapping[str, Any]]) -> list[str]:
  """A table with a row for each report, which has a `title` besides."""
  header = (
    'configuration', 'chips', 'fits', 'GiB a chip', 'ms a step, at least',
    'bound by', 'share of peak', 'collectives a step',
  )  # fmt: skip
  rule = ['---', '---', '---', '---:', '---:', '---', '---:', '---:']
  rows: list[Sequence[str]] = [header, rule]
  rows += [_row(report) for report in reports]
  return words.markdown(rows)


def _row(report: Mapping[str, Any]) -> list[str]:
  start = [report['title'], report['topology']]
  if 'error' in report:
    return [*start, report['error'], *[''] * 5]
  if 'roofline' not in report:
    # What libtpu says that it would need for temporaries alone.
    needed = re.search(r'\(([\d.]+)G\)', report.get('why', ''))
    return [*start, 'no', f'> {needed.group(1)}' if needed else '', *[''] * 4]
  line, total = report['roofline'], sum(report['memory'].values())
  sent = sum(each['num'] for each in report['collectives'])
  return [
    *start,
    'yes' if report['fits'] else 'no',
    f'{total / 2**30:.2f}',
    f'{line["step_seconds"] * 1e3:.3g}',
    line['bound'],
    f'{line["share_of_peak"]:.0%}',
    f'{sent:.0f}',
  ]
