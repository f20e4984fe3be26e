"""Published figures beside ours, as one record and as one page."""

import collections
import math
import pathlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gan_jax.config import words
from gan_jax.study import blocks, measured, statistics

_ERRORS = ('standard error', 'standard deviation', '')


class Claim(NamedTuple):
  """Figures of one table or of one sentence of a paper.

  Attributes:
    paper: where they stand.
    table: the file of ours that has these rows, without '.py'; or ''.
    config: the configuration of ours, FILE.py or FILE.py:ARGUMENT; or ''.
    trials: runs that they are of; 0 where that is not said.
    error: of those trials, what stands after ±; '' where it is something else.
    budget: of the paper, in words.
    differences: from the paper's protocol, in words.
    rows: by title and name, the figures as the paper writes them.
    scale: by name, what ours is multiplied by.
    eval: fields of `config.eval` that the figures ask for, of a configuration.
    smaller: whether ours is another, smaller setting on purpose.
  """

  paper: str
  trials: int
  error: str
  budget: str
  differences: str
  rows: Mapping[str, Mapping[str, str]]
  table: str = ''
  config: str = ''
  scale: Mapping[str, float] = {}
  eval: Mapping[str, Any] = {}
  smaller: bool = False


class Published(NamedTuple):
  """A figure as it is written: '.45 ± .09'.

  Attributes:
    mean: .45.
    error: .09; NaN where there is none.
    digits: after the point, 2.
  """

  mean: float
  error: float
  digits: int


def read_claims(path: pathlib.Path) -> list[Claim]:
  """Of a TOML file, whose head says what a claim is.

  Raises:
    ValueError: a field is unknown or missing, or a figure is no number.
  """
  try:
    found = tomllib.loads(path.read_text())
    claims = [Claim(**fields) for fields in found['claim']]
  except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
    raise ValueError(f'{path}: {error}') from None
  for claim in claims:
    if bool(claim.table) == bool(claim.config):
      raise ValueError(f'{path}: {claim.paper}: of a table or of a config')
    if claim.error not in _ERRORS:
      raise ValueError(f'{path}: error={claim.error!r}: is none of {_ERRORS}')
    for figures in claim.rows.values():
      for name, text in figures.items():
        try:
          parse(text)
        except (TypeError, ValueError):
          raise ValueError(
            f"{path}: {name} = {text!r}: must be '.45' or '.45 ± .09', in "
            'quotes, with the digits of the paper'
          ) from None
  return claims


def of_table(path: pathlib.Path, name: str) -> dict[str, Mapping[str, str]]:
  """The papers' figures of a table of ours, by row.

  Args:
    path: as `read_claims` takes it.
    name: of the table.

  Raises:
    ValueError: the file is not as it should be.
  """
  return {
    row: figures
    for claim in read_claims(path)
    if claim.table == name
    for row, figures in claim.rows.items()
  }


def parse(text: str) -> Published:
  """A figure, with or without what stands after ±.

  Raises:
    ValueError: it is no number.
  """
  number = r'\d+(?:\.\d+)?|\.\d+'
  match = re.fullmatch(rf'(-?(?:{number}))(?: ± ({number}))?', text)
  if not match:
    raise ValueError(f'{text!r}: is no figure such as .45 or .45 ± .09')
  digits = len(match[1].partition('.')[2])
  return Published(float(match[1]), float(match[2] or 'nan'), digits)


def _plain(x: float) -> float | None:
  return x if math.isfinite(x) else None


def entry(
  claim: Claim,
  row: str,
  name: str,
  runs: Sequence[measured.Run],
  *,
  title: str,
  scale: float,
  steps: int,
  state: str,
  command: str,
) -> dict[str, Any]:
  """One published figure and ours, for the record.

  Where no run has the figure, or none a finite one, the entry says so in its
  place. Shorter runs than the row asks for are not tested.

  Args:
    claim: it is of.
    row: title.
    name: of the figure in `summary.json`.
    runs: of ours that are one population, as `measured.together` gives them.
    title: of the figure, for readers.
    scale: what ours is multiplied by.
    steps: that the row asks for.
    state: of the row, where nothing is measured.
    command: that measures it.
  """
  text = claim.rows[row][name]
  e: dict[str, Any] = {
    'paper': claim.paper,
    'source': claim.table or claim.config,
    'row': row,
    'figure': name,
    'title': title,
    'published': text,
    'digits': parse(text).digits,
    'published_trials': claim.trials,
    'published_error': claim.error,
    'published_budget': claim.budget,
    'differences': claim.differences,
    'smaller': claim.smaller,
    'state': state,
    'ours': None,
    'difference': None,
    'budget': '',
    'whole': True,
    'runs': [],
    'command': command,
  }
  return e | _ours(claim, e, runs, scale, steps) if runs else e


def _ours(
  claim: Claim,
  e: Mapping[str, Any],
  runs: Sequence[measured.Run],
  scale: float,
  steps: int,
) -> dict[str, Any]:
  """What runs have of the figure of an entry; arguments as there."""
  name, counted = e['figure'], measured.counted(runs, e['figure'])
  if not counted:
    return {'state': f'no summary has {name}'}
  by_seed = {seed: x for _, own in counted for seed, x in own.items()}
  seeds = sorted(by_seed)
  found = statistics.of_summary(
    name, {'members': [by_seed[seed] for seed in seeds]}, scale
  )
  if not math.isfinite(found.mean):
    told = f'{name} is finite in none of {len(seeds)} runs'
    if all(run.diverged for run, _ in counted):
      told = f'diverged, {len(seeds)} of {len(seeds)} runs'
    return {'state': told}
  whole, batch = runs[0].steps >= steps, runs[0].settings['batch_size']
  tested = whole and not claim.smaller
  theirs = parse(e['published'])
  return {
    'state': 'measured',
    'ours': found.to_json() | {'seeds': seeds},
    'difference': _difference(found, theirs, claim) if tested else None,
    'budget': f'{runs[0].steps:,} steps of batch {batch}',
    'whole': whole,
    'runs': [
      {
        'seeds': sorted(own),
        'commit': run.commit,
        'machine': run.machine,
        'command': run.command,
      }
      for run, own in counted
    ],
  }


def _difference(
  ours: statistics.Estimate, theirs: Published, claim: Claim
) -> dict[str, Any] | None:
  """Ours minus the paper's; None of one member, which has no spread."""
  error, trials = theirs.error, claim.trials
  if claim.error == 'standard deviation':
    error /= math.sqrt(max(trials, 1))
  own = ours.members
  try:
    if claim.error and trials > 1 and math.isfinite(error):
      found = statistics.compare_published(own, theirs.mean, error, trials)
    else:
      found = statistics.compare_single(own, theirs.mean, max(trials, 1))
  except ValueError:
    return None
  return {name: _plain(x) for name, x in found._asdict().items()}


def verdict(e: Mapping[str, Any]) -> str:
  """Whether a published figure is reproduced, of an entry of the record.

  'within the error' where the 95 % interval of the difference holds 0; else
  'no', and on which side ours is. Of one member, of fewer steps than the row
  has, or of a smaller setting there is nothing to tell.
  """
  ours, gap = e['ours'], e['difference']
  if ours is None:
    return ''
  if not e['whole']:
    return 'too short'
  if ours['stderr'] is None:
    return 'one run'
  if e['smaller']:
    return 'smaller setting'
  if gap is None:
    return 'not tested'
  if gap['low'] <= 0 <= gap['high']:
    return 'within the error'
  return 'no, lower' if gap['difference'] < 0 else 'no, higher'


def _line(e: Mapping[str, Any]) -> list[str]:
  """Cells of a row of the page."""
  head = [e['row'], e['title'], e['published']]
  ours, gap = e['ours'], e['difference']
  if ours is None:
    return [*head, e['state'], '', '', '', '', '', '']

  def number(x: float) -> str:
    return f'{x:.{e["digits"]}f}'

  mean, interval, difference = number(ours['mean']), '', ''
  if ours['stderr'] is not None:
    low, high = map(number, ours['ci95'])
    mean += f' ± {number(ours["stderr"])}'
    interval = f'[{low}, {high}]'
  if gap:
    low, high = number(gap['low']), number(gap['high'])
    difference = (
      f'{number(gap["difference"])} [{low}, {high}], p = {gap["p"]:.3f}'
    )
  failed = f' ({ours["failed"]} failed)' if ours['failed'] else ''
  return [
    *head, mean, f'{len(ours["members"])}{failed}', interval, difference,
    verdict(e), e['budget'], _made_by(e['runs']),
  ]  # fmt: skip


def _made_by(runs: Sequence[Mapping[str, Any]]) -> str:
  """Commit and machine, of several runs with the seeds of each."""
  if len(runs) == 1:
    return f'{runs[0]["commit"]}, {runs[0]["machine"]}'
  return '; '.join(
    f'{run["commit"]}, {run["machine"]} ({_in_words(run["seeds"])})'
    for run in runs
  )


def _in_words(seeds: Sequence[int]) -> str:
  """Of increasing ones: seed 3; seeds 0-4; seeds 0, 2."""
  first, last = seeds[0], seeds[-1]
  if first == last:
    return f'seed {first}'
  if last - first + 1 == len(seeds):
    return f'seeds {first}-{last}'
  return f'seeds {", ".join(map(str, seeds))}'


_HEADER = [
  '', '', 'published', 'ours', 'n', '95 % interval', 'ours - published',
  'reproduced', 'our budget', 'commit, machine',
]  # fmt: skip


def as_markdown(record: Sequence[Mapping[str, Any]], command: str) -> str:
  """The page of a record: a table for each paper, and what it depends on."""
  lines = [
    '# Published figures, and ours',
    '',
    f'Written by `{command}` from the folders of runs,',
    'with a JSON record beside it: no figure here is typed by hand. Published '
    'ones are in',
    '`experiments/tables/published.toml`. Ours are mean ± standard error of n '
    'runs. The',
    'interval of a difference, at 95 %, is by Welch where the paper gives a '
    'spread over so',
    'many trials; else it is a prediction interval, for which the paper has '
    'one run (or as',
    'many as it says) that varies as ours do. A figure is not reproduced where '
    'that interval',
    'does not hold 0. `One run`, `too short`, `smaller setting` and `not '
    'tested`, where our',
    'runs are all equal, tell nothing, and `within',
    'the error` tells little where the interval is wide; of twenty figures '
    'that are the same',
    'one is expected outside of it. A row of several commands was measured a '
    'few seeds at a',
    'time.',
  ]
  for paper in dict.fromkeys(e['paper'] for e in record):
    entries = [e for e in record if e['paper'] == paper]
    first = entries[0]
    trials = first['published_trials'] or 'not said'
    error = first['published_error'] or 'not said, or no spread over trials'
    after = (
      f'After ±: {error}. '
      if any('±' in e['published'] for e in entries)
      else ''
    )
    commands = [each['command'] for e in entries for each in e['runs'] or [e]]
    lines += [
      '',
      f'## {paper}',
      '',
      f'Trials: {trials}. {after}Budget: {first["published_budget"]}.',
      f'Known differences: {first["differences"]}',
      '',
      *(f'    {each}' for each in dict.fromkeys(commands)),
      '',
      *words.markdown([_HEADER]),
      f'|{"---|" * len(_HEADER)}',
      *words.markdown(map(_line, entries)),
    ]
  lines += ['', _how_many(record)]
  return '\n'.join(lines) + '\n'


_KINDS = {'one run': 'of one run', 'smaller setting': 'of a smaller setting'}


def _how_many(entries: Sequence[Mapping[str, Any]], of: str = '') -> str:
  """Figures are measured, and what that tells."""
  found = [e for e in entries if e['ours'] is not None]
  kinds = collections.Counter(
    'tested' if e['difference'] else verdict(e) for e in found
  )
  parts = ', '.join(
    f'{count} {_KINDS.get(kind, kind)}' for kind, count in kinds.items()
  )
  return (
    f'{len(found)} of {len(entries)} figures{of} are measured so far'
    f'{parts and f" ({parts})"}.'
  )


_SHORT = ['', '', 'published', 'ours', 'n', 'reproduced', 'our budget']


def fill(text: str, record: Sequence[Mapping[str, Any]]) -> str:
  """A page with the figures of a record in its blocks.

  In `<!-- ledger: NAMES -->` the names, with commas between them, are tables or
  configurations of the record, whose measured figures stand there, and how many
  there are in all.

  Args:
    text: of the page, in Markdown.
    record: of all claims.

  Raises:
    ValueError: there is no block, one does not end, or a name is not known.
  """
  return blocks.fill(text, 'ledger', lambda names: _block(names, record))


def _block(names: str, record: Sequence[Mapping[str, Any]]) -> list[str]:
  """What stands between the two marks."""
  asked = [name.strip() for name in names.split(',')]
  known = list(dict.fromkeys(e['source'] for e in record))
  for name in asked:
    if name not in known:
      raise ValueError(
        f'<!-- ledger: {name} -->: is none of {", ".join(known)}'
      )
  own = [e for name in asked for e in record if e['source'] == name]
  found = [e for e in own if e['ours'] is not None]
  rows = []
  for e in found:
    head, title, theirs, ours, n, _, _, told, budget, _ = _line(e)
    rows.append((head, title, theirs, ours, n, told, budget))
  lines = []
  if rows:
    lines = [*words.markdown([_SHORT, words.rule(_SHORT), *rows]), '']
  return [*lines, _how_many(own, f' of {names}')]
