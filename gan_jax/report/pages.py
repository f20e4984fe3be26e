"""One HTML file that shows runs: opened from the disk, with no network.

`collect` reads folders to plain values, `html` puts them, plotly and the files
of `page/` into one text, `write` puts that on the disk, whole or not at all.
"""

import base64
import functools
import gzip
import html as escaping
import importlib.util
import json
import os
import pathlib
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax.report import entries, moments
from gan_jax.storage import whole, workdir as workdirs
from gan_jax.study import tables

_PARTS = pathlib.Path(__file__).parent / 'page'

# In the order in which they are read.
_SCRIPTS = 'base', 'runs', 'curves', 'pictures', 'details', 'table', 'start'

NAME = 'report.html'


def collect(folders: Sequence[pathlib.Path], title: str) -> dict[str, Any]:
  """What a page shows.

  Args:
    folders: work folders; they are shown by what their paths do not share.
    title: of the page.

  Returns:
    Plain values: `runs` (see `entries.read`), `games` with the fields in which
    their runs differ and the runs that are alike but for their seeds, and
    `skipped`, a line for each folder that holds no run that can be read.
  """
  limits = moments.limits(len(folders))
  runs: list[entries.Entry] = []
  skipped = []
  shared = os.path.commonpath([f.absolute().parent for f in folders])
  for folder in folders:
    name = os.path.relpath(folder.absolute(), shared)
    try:
      runs += entries.read(folder, name, limits)
    except ValueError as error:
      skipped.append(' '.join(str(error).removeprefix('--').split()))
  games = []
  for game in dict.fromkeys(run['game'] for run in runs):
    places = [i for i, run in enumerate(runs) if run['game'] == game]
    own = [runs[i] for i in places]
    alike = entries.over_seeds(own)
    for group in alike:
      group['members'] = [places[i] for i in group['members']]
    fields = entries.differing(own)
    games.append(
      {'title': game, 'runs': places, 'fields': fields, 'seeds': alike}
    )
  shown = {field for game in games for field in game['fields']}
  for run in runs:
    run['config'] = {k: v for k, v in run['config'].items() if k in shown}
  return {
    'title': title,
    'written': time.time(),
    'runs': runs,
    'games': games,
    'skipped': skipped,
  }


def of_table(
  table: tables.Table, summaries: tables.Summaries, command: str
) -> dict[str, Any]:
  """A table as plain values, with its parts, errors and comparisons."""
  return {
    **_grid(table, summaries),
    'parts': [
      {'title': title, **_grid(table._replace(columns=columns), summaries)}
      for title, columns in table.parts.items()
    ],
    'compared': tables.compared(table, summaries),
    'note': ' '.join(table.note.split()),
    'command': command,
  }


def _grid(table: tables.Table, summaries: tables.Summaries) -> dict[str, Any]:
  """The columns of a table, and its rows."""
  rows = []
  for title in table.rows:
    found = [tables.figure(summaries[title], c.metric) for c in table.columns]
    theirs = table.published.get(title, {})
    cells = [
      {
        'n': e.size - e.failed,
        'failed': e.failed,
        'published': theirs.get(c.metric, ''),
        'mean': entries.short(e.mean * c.scale),
        'stderr': entries.short(e.stderr * c.scale),
        'low': entries.short(e.low * c.scale),
        'high': entries.short(e.high * c.scale),
        'members': [entries.short(x * c.scale) for x in e.members],
      }
      for e, c in zip(found, table.columns, strict=True)
    ]
    rows.append({
      'title': title,
      'n': found[0].size,
      'failed': max(e.failed for e in found),
      'cells': cells,
    })  # fmt: skip
  return {
    'columns': [
      {'title': c.title or c.metric, 'digits': c.digits} for c in table.columns
    ],
    'rows': rows,
  }


def html(data: Mapping[str, Any]) -> str:
  """The page."""
  parts = {
    'TITLE': escaping.escape(data['title']),
    'STYLE': (_PARTS / 'page.css').read_text(),
    'SCRIPT': '\n'.join(
      (_PARTS / f'{name}.js').read_text() for name in _SCRIPTS
    ),
    'PLOTLY': _plotly(),
    'DATA': _packed(json.dumps(data, allow_nan=False).encode()),
  }
  page = (_PARTS / 'page.html').read_text()
  # In one pass, so that a title cannot name another part.
  return re.sub(r'\{\{([A-Z]+)\}\}', lambda found: parts[found[1]], page)


def _packed(content: bytes) -> str:
  """Compressed, as text; browsers undo both."""
  return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()


@functools.cache
def _plotly() -> str:
  """Its script, found without the import of its Python.

  Raises:
    ValueError: it is not installed.
  """
  spec = importlib.util.find_spec('plotly')
  if spec is None or spec.origin is None:
    raise ValueError('plotly is not installed; make env brings it')
  folder = pathlib.Path(spec.origin).parent
  return _packed((folder / 'package_data' / 'plotly.min.js').read_bytes())


def write(path: pathlib.Path, data: Mapping[str, Any]) -> None:
  """Writes a page whole or not at all.

  Raises:
    OSError: it cannot be written.
  """
  text = html(data)
  with whole.replacing(path) as part:
    part.write_text(text)


def write_run(workdir: pathlib.Path) -> None:
  """The page of one run, in its folder."""
  data = collect([workdir], workdir.absolute().name)
  if data['runs']:
    write(workdir / NAME, data)


def write_table(
  table: tables.Table,
  summaries: tables.Summaries,
  command: str,
  workdir: pathlib.Path,
  folders: Sequence[pathlib.Path],
) -> None:
  """The page of a table, in its folder, with the runs in `folders`.

  Raises:
    ValueError: it cannot be written.
  """
  data = collect(folders, workdir.absolute().name)
  data['table'] = of_table(table, summaries, command)
  with workdirs.writing(workdir, lambda: 'the rows are whole'):
    write(workdir / NAME, data)
