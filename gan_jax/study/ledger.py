"""Published figures beside ours, as one record and as one page."""

import contextlib
import math
import pathlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gan_jax.config import words
from gan_jax.study import blocks, statistics

_ERRORS = ('standard error', 'standard deviation', '')
# The state of a row of which there is no run.
NO_RUN = 'not measured yet'
MEASURED = 'measured'
# How one begins that has not ended: 'at step 5 of 10'.
AT = 'at'


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


class Run(NamedTuple):
  """What was found of a row.

  Attributes:
    folder: of the run.
    command: that makes it.
    state: MEASURED, NO_RUN, how far it came, or why its figures are others.
    summary: its figures, where it was measured.
    budget: it was trained for, in words.
    commit: of the code at the end.
    machine: the devices of its last session.
    whole: whether it has the steps that the row asks for.
    seeds: of its members, in their order; none where these have other settings.
    protocol: what tells the settings that the row asks for from others.
  """

  folder: str
  command: str
  state: str
  summary: Mapping[str, Any]
  budget: str = ''
  commit: str = ''
  machine: str = ''
  whole: bool = True
  seeds: Sequence[int] = ()
  protocol: str = ''


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
      for text in figures.values():
        parse(text)
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


def _measured(
  found: statistics.Estimate, e: Mapping[str, Any]
) -> dict[str, Any]:
  """What the record has of our figure, beside the published one of an entry.

  The difference is ours minus the paper's, where both have a spread over trials
  and ours has all of its steps.
  """
  ours = found.to_json() | {'stderr': _plain(found.stderr)}
  theirs, trials = parse(e['published']), e['published_trials']
  spread = theirs.error
  if e['published_error'] == 'standard deviation':
    spread /= math.sqrt(trials)
  tested = e['published_error'] and trials > 1 and math.isfinite(spread)
  difference = None
  if tested and e['whole']:
    with contextlib.suppress(ValueError):  # Of one member there is no spread.
      gap = statistics.compare_published(
        found.members, theirs.mean, spread, trials
      )
      difference = {name: _plain(x) for name, x in gap._asdict().items()}
  return {'ours': ours, 'difference': difference}


def entry(
  claim: Claim, row: str, name: str, run: Run, title: str, scale: float
) -> dict[str, Any]:
  """One published figure and ours, for the record.

  A run that was measured without this figure, or with none that is finite, says
  so in its place. One that is shorter than its row is not tested.

  Args:
    claim: it is of.
    row: title.
    name: of the figure in `summary.json`.
    run: of ours.
    title: of the figure, for readers.
    scale: what ours is multiplied by.

  Raises:
    ValueError: what stands in the run's summary is no figure.
  """
  text = claim.rows[row][name]
  e = {
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
    'scale': scale,
    'protocol': run.protocol,
    'state': run.state,
    'ours': None,
    'difference': None,
    'seeds': list(run.seeds),
    'budget': run.budget,
    'whole': run.whole,
    'commit': run.commit,
    'machine': run.machine,
    'command': run.command,
  }
  if run.state != MEASURED:
    return e
  if name not in run.summary:
    return e | {'state': f'its summary has no {name}', 'seeds': []}
  try:
    found = statistics.of_summary(name, run.summary[name], scale)
  except (KeyError, TypeError, ValueError):
    raise ValueError(
      f'{run.folder}/summary.json: {name} is no figure'
    ) from None
  if not math.isfinite(found.mean):
    told = f'{name} is finite in none of {len(found.members)} runs'
    return e | {'state': told}
  if len(found.members) != len(run.seeds):
    e['seeds'] = []
  return e | _measured(found, e)


_IDENTITY = 'paper', 'source', 'row', 'figure'
_OURS = (
  'state', 'ours', 'difference', 'seeds', 'budget', 'whole', 'commit',
  'machine', 'command',
)  # fmt: skip


def with_earlier(
  record: Sequence[dict[str, Any]], earlier: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
  """A record with what an earlier one has and its runs have not.

  What was measured stays where the row's run is gone, has not ended, or is
  shorter. Seeds that were measured before join those of a run with as many
  steps, also where all of these failed; of a seed that both have, the run's
  counts. Figures of a row that has other settings by now are left out, and the
  row says so.

  Args:
    record: of the runs that are there.
    earlier: of others, as it was written.

  Raises:
    ValueError: the earlier one is no record.
  """
  if not isinstance(earlier, list) or not all(
    isinstance(e, dict) and set(_IDENTITY) < set(e) for e in earlier
  ):
    raise ValueError('is no record of this program')
  known = {tuple(e[name] for name in _IDENTITY): e for e in earlier}
  merged = []
  for e in record:
    old = known.get(tuple(e[name] for name in _IDENTITY), {})
    same = old.get('published') == e['published'] and old.get('ours')
    merged.append(_joined(old, e) if same else e)
  return merged


def _joined(old: Mapping[str, Any], new: dict[str, Any]) -> dict[str, Any]:
  """An entry with what was measured of it before."""
  going_on = new['state'] == NO_RUN or new['state'].startswith(f'{AT} ')
  if old.get('protocol') != new['protocol']:
    told = f'measured with other settings, at {old["commit"]}'
    return new | {'state': told} if new['state'] == NO_RUN else new
  shorter = old['whole'] and not new['whole']
  if going_on or shorter:
    return new | {name: old[name] for name in _OURS}
  by_seed = _by_seed(old) | _by_seed(new)
  seeds = sorted(by_seed)
  alike = old['seeds'] and new['seeds'] and new['budget'] == old['budget']
  if not alike or seeds == new['seeds']:
    return new
  members = [by_seed[seed] for seed in seeds]
  scaled = [None if x is None else x / new['scale'] for x in members]
  found = statistics.of_summary(
    new['figure'], {'members': scaled}, new['scale']
  )
  if not math.isfinite(found.mean):
    return new
  of_both = {
    name: sep.join(dict.fromkeys(f'{old[name]}{sep}{new[name]}'.split(sep)))
    for name, sep in (('commit', ', '), ('machine', ', '), ('command', '\n'))
  }
  pooled = {'state': MEASURED, 'seeds': seeds} | _measured(found, new)
  return new | of_both | pooled


def _by_seed(e: Mapping[str, Any]) -> dict[int, float | None]:
  """Our members, None where one failed."""
  seeds = e['seeds']
  members = e['ours']['members'] if e['ours'] else [None] * len(seeds)
  return dict(zip(seeds, members, strict=bool(seeds)))


def _number(x: float | None, digits: int) -> str:
  return '-' if x is None else f'{x:.{digits}f}'


def verdict(e: Mapping[str, Any]) -> str:
  """Whether a published figure is reproduced, of an entry of the record.

  'within the error' where the interval, at 95 %, of ours holds the paper's
  figure, or that of the difference, where it is tested, holds 0; else 'no'. Of
  one member, of fewer steps than the row has, or of a smaller setting there is
  nothing to tell.
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
  low, high = ours['ci95']
  if gap:
    inside = gap['low'] <= 0 <= gap['high']
  else:
    inside = low <= parse(e['published']).mean <= high
  return 'within the error' if inside else 'no'


def _line(e: Mapping[str, Any]) -> list[str]:
  """Cells of a row of the page."""
  head = [e['row'], e['title'], e['published']]
  ours, digits = e['ours'], e['digits']
  if ours is None:
    return [*head, e['state'], '', '', '', '', '', '']
  n = len(ours['members']) - ours.get('dropped', 0)
  failed = f' ({ours["failed"]} failed)' if ours['failed'] else ''
  mean = _number(ours['mean'], digits)
  if ours['stderr'] is not None:
    mean += f' ± {_number(ours["stderr"], digits)}'
  low, high = (_number(x, digits) for x in ours['ci95'])
  gap = e['difference']
  if gap:
    ends = [
      _number(gap[part], digits) for part in ('difference', 'low', 'high')
    ]
    gap = f'{ends[0]} [{ends[1]}, {ends[2]}], p = {_number(gap["p"], 3)}'
  return [
    *head, mean, f'{n}{failed}', f'[{low}, {high}]' if n > 1 else '',
    gap or '', verdict(e), e['budget'], f'{e["commit"]}, {e["machine"]}',
  ]  # fmt: skip


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
    'runs; the',
    "interval of a difference is Welch's, where the paper says how many trials "
    'it has and',
    'what stands after its ±. A figure is not reproduced where that interval '
    'does not hold 0',
    "or, where there is none, where ours does not hold the paper's figure; "
    '`one run`,',
    '`too short` and `smaller setting` tell nothing, and `within the error` '
    'tells little',
    'where the interval is wide.',
  ]
  for paper in dict.fromkeys(e['paper'] for e in record):
    entries = [e for e in record if e['paper'] == paper]
    first = entries[0]
    trials = first['published_trials'] or 'an unknown number of'
    error = first['published_error'] or 'not a spread over trials, or not said'
    commands = '\n'.join(e['command'] for e in entries).splitlines()
    lines += [
      '',
      f'## {paper}',
      '',
      f'Trials: {trials}. After ±: {error}. Budget: '
      f'{first["published_budget"]}.',
      f'Known differences: {first["differences"]}',
      '',
      *(f'    {each}' for each in dict.fromkeys(commands)),
      '',
      *words.markdown([_HEADER]),
      f'|{"---|" * len(_HEADER)}',
      *words.markdown(map(_line, entries)),
    ]
  measured = sum(e['ours'] is not None for e in record)
  lines += ['', f'{measured} of {len(record)} figures are measured.']
  return '\n'.join(lines) + '\n'


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
  measured = [e for e in own if e['ours'] is not None]
  rows = []
  for e in measured:
    head, title, theirs, ours, n, _, _, told, budget, _ = _line(e)
    rows.append((head, title, theirs, ours, n, told, budget))
  lines = []
  if rows:
    lines = [*words.markdown([_SHORT, words.rule(_SHORT), *rows]), '']
  said = (
    f'{len(measured)} of {len(own)} figures of {names} are measured so far.'
  )
  return [*lines, said]
