"""What the folders of runs say, as the plain values of a page.

Everything is read through `storage/` and nothing is computed again: a page can
be made of runs whose data are gone, and of a run that goes on.
"""

import collections
import json
import math
import pathlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gan_jax.config import command, fields as configs, values
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.report import moments
from gan_jax.storage import (
  checkpoint,
  history,
  lines,
  workdir as workdirs,
  writers,
)
from gan_jax.study import halving, population, statistics

Entry = dict[str, Any]

# Rows of a run on a page; more are thinned evenly.
MAX_ROWS = 2000

# What a configuration says of places, not of the run.
_PLACES = ('log.', 'checkpoint.')

_ENDS = {
  'finish': 'finished', 'stop': 'stopped', 'diverge': 'diverged',
  'convert': 'converted',
}  # fmt: skip


def read(
  workdir: pathlib.Path, name: str, limits: moments.Limits
) -> list[Entry]:
  """A run, or each combination of what varies in a population.

  Args:
    workdir: of the run, which may be at work.
    name: by which the page shows it.
    limits: of its pictures.

  Returns:
    Entries of plain values, with numbers that are not finite as None.

  Raises:
    ValueError: there is no run, another version wrote it, or a file of it is
      damaged.
  """
  config, info = workdirs.load(workdir)
  config = build.complete(config)
  rows = writers.read_rows(workdir)
  summary = _summary(workdir, rows)
  told = history.read(workdir)
  seconds = history.seconds(told)
  shared = {
    'folder': name,
    'game': _game(config, info),
    'state': _state(workdir, told, summary, config),
    'step': max([row['step'] for row in rows], default=0),
    'steps': config.steps,
    'samples_per_step': build.samples_per_step(config),
    'command': _command(config, workdir, told),
    'events': history.events(told),
    'at_work': max(seconds.values(), default=None),
    'sessions': workdirs.sessions(workdir),
    'data': {k: v for k, v in info._asdict().items() if v},
    'checkpoints': checkpoint.steps_in(workdir / 'checkpoints'),
    'damaged': sorted(path.name for path in (workdir / 'damaged').glob('*')),
    'protocol': _json(workdir / 'protocol.json'),
    'evaluations': lines.read(workdir / 'evaluations.jsonl'),
    'pictures': moments.read(workdir, info.kind, limits),
    'rows': len(rows),
  }
  settings: dict[str, slice] = population.settings(config)
  members = population.members(config)
  dropped = halving.dropped(config, rows)
  found = []
  for title, part in settings.items():
    many = len(settings) > 1
    single = population.member_config(config, members[part.start])
    single.population.seeds = config.population.seeds
    own, played = {}, rows
    if title in dropped:
      own = {'state': 'dropped', 'step': dropped[title]}
      played = [row for row in rows if row['step'] <= dropped[title]]
    found.append({
      **shared,
      **own,
      'name': f'{name} · {title}' if many else name,
      'setting': title,
      'config': _texts(single),
      'figures': _figures(summary, title if many else None),
      'series': series(played, seconds, part if many else None),
    })  # fmt: skip
  return found


def _game(config: configs.Config, info: sources.Info) -> str:
  shape = 'x'.join(map(str, info.shape)) or '1'
  classes = ', classes asked for' * config.conditional
  classes += f', {config.gen.codes} codes' * bool(config.gen.codes)
  stacked = f', stacks of {config.data.stack}' * (config.data.stack > 1)
  return f'{config.data.name}, {info.kind} of {shape}{stacked}{classes}'


def _texts(config: configs.Config) -> dict[str, str]:
  return {
    name: command.text(value)
    for name, value in values.flatten(config).items()
    if not name.startswith(_PLACES)
  }


def _command(
  config: configs.Config, workdir: pathlib.Path, told: Sequence[history.Line]
) -> str:
  """What plays the run again from any checkout of its commit, if anything."""
  if files := history.converted_from(told):
    return f'# by experiments.convert, of {", ".join(files)}'
  parts = [
    'python -m experiments.train',
    '--config=experiments/configs/default.py',
    f'--workdir={shlex.quote(f"{workdir}_again")}',
    *map(shlex.quote, command.flags(config, build.complete)),
  ]
  return ' \\\n  '.join(parts)


def _state(
  workdir: pathlib.Path,
  told: Sequence[history.Line],
  summary: Mapping[str, Any],
  config: configs.Config,
) -> str:
  events = history.events(told)
  last = events[-1]['event'] if events else None
  if last in _ENDS:
    return _ENDS[last]
  if workdirs.is_at_work(workdir):
    return 'running'
  # Of a version without a history.
  ended = summary.get('step') == config.steps and summary.get('finished')
  return 'finished' if ended and not events else 'stopped'


def _summary(
  workdir: pathlib.Path, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
  """The figures of the end, or of the last look of a run that goes on."""
  last = next(
    (row for row in reversed(rows) if any(n.startswith('eval/') for n in row)),
    {'step': 0},
  )
  found = workdirs.read_summary(workdir)
  if found and found['step'] >= last['step']:
    return {**found, 'finished': True}
  figures = {
    name.removeprefix('eval/'): value
    for name, value in last.items()
    if name.startswith('eval/')
  }
  return {'step': last['step'], **figures}


def _figures(
  summary: Mapping[str, Any], setting: str | None
) -> dict[str, dict[str, Any]]:
  """By name: mean, interval, and of a population its members."""
  found = {}
  for name, value in summary.items():
    if name in ('step', 'finished') or isinstance(value, str):
      continue
    if isinstance(value, dict):
      settings = value.get('settings', {})
      if setting is not None and setting not in settings:
        continue
      part = settings[setting] if setting is not None else value
      low, high = part['ci95']
      found[name] = {
        'mean': short(part['mean']),
        'low': short(low),
        'high': short(high),
        'members': [short(x) for x in part['members']],
        'failed': part['failed'],
      }
    else:
      found[name] = {'mean': short(value)}
  return found


def short(value: float | None) -> float | None:
  """Six digits, or None for what is no number."""
  if value is None or not math.isfinite(value):
    return None
  return float(f'{value:.6g}')


def series(
  rows: Sequence[Mapping[str, Any]],
  seconds: Mapping[int, float],
  part: slice | None,
) -> list[dict[str, Any]]:
  """Rows as columns, those with the same figures together.

  Args:
    rows: of `metrics.jsonl`.
    seconds: by step, as far as it is known.
    part: of a population's members; None for all, or of a single run.

  Returns:
    For each set of names: `step` and `seconds`, `[T]`; `mean` and, of
    populations, `low` and `high` of the 95 % interval, by name `[T]`.
  """
  groups: dict[tuple[int, ...], list[str]] = collections.defaultdict(list)
  names = dict.fromkeys(name for row in rows for name in row if name != 'step')
  for name in names:
    having = tuple(i for i, row in enumerate(rows) if name in row)
    groups[having].append(name)
  return [
    _columns([rows[i] for i in having], together, seconds, part)
    for having, together in groups.items()
  ]


def _columns(
  rows: Sequence[Mapping[str, Any]],
  names: Iterable[str],
  seconds: Mapping[int, float],
  part: slice | None,
) -> dict[str, Any]:
  if len(rows) > MAX_ROWS:
    picked = np.linspace(0, len(rows) - 1, MAX_ROWS).round().astype(int)
    rows = [rows[i] for i in picked]
  steps = [row['step'] for row in rows]
  columns: dict[str, Any] = {'step': steps, 'mean': {}, 'low': {}, 'high': {}}
  clock = [seconds.get(step) for step in steps]
  columns['seconds'] = [None if t is None else round(t, 2) for t in clock]
  for name in names:
    cells = [row[name] for row in rows]
    if not isinstance(cells[0], dict):
      columns['mean'][name] = [short(x) for x in cells]
      continue
    mean, low, high = (
      _stored(cells) if part is None else _intervals(name, cells, part)
    )
    columns['mean'][name] = [short(x) for x in mean]
    columns['low'][name] = [short(x) for x in low]
    columns['high'][name] = [short(x) for x in high]
  return columns


def _stored(cells: Sequence[Mapping[str, Any]]) -> tuple[list[Any], ...]:
  low, high = zip(*[cell['ci95'] for cell in cells], strict=True)
  return [cell['mean'] for cell in cells], [*low], [*high]


def _intervals(
  name: str, cells: Sequence[Mapping[str, Any]], part: slice
) -> tuple[list[float], ...]:
  """Means of some members and their intervals, as `statistics.estimate` has."""
  table = np.array([cell['members'][part] for cell in cells], np.float64)
  sound = np.isfinite(table)
  count = sound.sum(axis=1)
  few = np.maximum(count, 1)
  mean = np.where(sound, table, 0.0).sum(axis=1) / few
  square = np.where(sound, table - mean[:, None], 0.0) ** 2
  variance = square.sum(axis=1) / np.maximum(count - 1, 1)
  half = statistics.student(few) * np.sqrt(variance / few)
  half = np.where(count > 1, half, np.nan)
  mean = np.where(count > 0, mean, np.nan)
  low, high = np.clip([mean - half, mean + half], *statistics.bounds(name))
  return mean.tolist(), low.tolist(), high.tolist()


def over_seeds(entries: Sequence[Entry]) -> list[dict[str, Any]]:
  """Single runs at one step that differ in their seed alone, two or more.

  Of runs of the same seed, the first one counts.

  Returns:
    `members`, their places in `entries`; `name`; `t`, by which a standard error
    of two, three, ... of them is multiplied; `bounds`, of the figures that have
    some; `figures` as of a population.
  """
  alike: dict[Any, dict[str, int]] = collections.defaultdict(dict)
  for i, entry in enumerate(entries):
    config = {k: v for k, v in entry['config'].items() if k != 'seed'}
    if config['population.seeds'] == '1':
      key = entry['game'], entry['step'], json.dumps(config, sort_keys=True)
      alike[key].setdefault(entry['config']['seed'], i)
  groups = []
  for of_seeds in alike.values():
    if len(of_seeds) < 2:
      continue
    members = [*of_seeds.values()]
    runs = [entries[i] for i in members]
    groups.append({
      'members': members,
      'name': f'{runs[0]["name"]} and {len(runs) - 1} more seeds',
      't': statistics.student(np.arange(2, len(runs) + 1)).tolist(),
      'bounds': {
        name: [short(x) for x in ends]
        for columns in runs[0]['series']
        for name in columns['mean']
        if math.isfinite((ends := statistics.bounds(name))[0])
      },
      'figures': {
        name: _joined(name, [run['figures'].get(name) for run in runs])
        for name in runs[0]['figures']
      },
    })  # fmt: skip
  return groups


def _joined(name: str, figures: Sequence[Any]) -> dict[str, Any]:
  each = [figure and figure['mean'] for figure in figures]
  found = statistics.estimate(
    name, [math.nan if x is None else x for x in each]
  )
  return {
    'mean': short(found.mean),
    'low': short(found.low),
    'high': short(found.high),
    'members': each,
    'failed': found.failed,
  }


def differing(entries: Sequence[Entry]) -> list[str]:
  """The fields of the configuration in which some of them differ."""
  names = dict.fromkeys(name for e in entries for name in e['config'])
  return [
    name for name in names if len({e['config'].get(name) for e in entries}) > 1
  ]


def _json(path: pathlib.Path) -> Any:
  try:
    return json.loads(path.read_text())
  except FileNotFoundError:
    return None
  except ValueError:
    raise ValueError(f'{path}: is damaged') from None
