"""The table of a study: printed as it is measured, and written into a page.

--fill=docs/results.md:damping replaces what stands in that page between
`<!-- table: damping -->` and `<!-- table ends -->`.
"""

import pathlib
from collections.abc import Mapping, Sequence

from absl import flags

from gan_jax.config import words
from gan_jax.storage import whole
from gan_jax.study import blocks

_FILL = flags.DEFINE_string(
  'fill', None, "FILE.md:NAME, a page and which of its blocks '<!-- table: "
  "NAME -->' the table fills."
)  # fmt: skip


def check_page() -> None:
  """Before anything is measured.

  Raises:
    ValueError: --fill names no page, or no block of it.
  """
  if _FILL.value is not None:
    _filled(_FILL.value, [])


def write_page(lines: Sequence[str]) -> None:
  """Fills the block that --fill names, if it is given, with lines of Markdown.

  Raises:
    ValueError: as `check_page`, or the page cannot be written.
  """
  if _FILL.value is not None:
    page, text = _filled(_FILL.value, lines)
    try:
      with whole.replacing(page) as part:
        part.write_text(text)
    except OSError as error:
      raise ValueError(f'--fill={_FILL.value}: {error}') from None


def _filled(asked: str, lines: Sequence[str]) -> tuple[pathlib.Path, str]:
  """The page, and its text with these lines in the block that is asked for."""
  file, _, name = asked.rpartition(':')
  page, names = pathlib.Path(file), []

  def make(found: str) -> Sequence[str] | None:
    names.append(found)
    return lines if found == name else None

  if not file:
    raise ValueError(f'--fill={asked}: must be FILE.md:NAME')
  if not page.is_file():
    raise ValueError(f'--fill={asked}: there is no file {file}')
  try:
    text = blocks.fill(page.read_text(), 'table', make)
  except OSError as error:
    raise ValueError(f'--fill={asked}: {error}') from None
  except ValueError as error:
    raise ValueError(f'--fill={asked}: {file} {error}') from None
  if names.count(name) != 1:
    raise ValueError(
      f'--fill={asked}: must name one block of {file}: '
      f'{", ".join(sorted(names))}'
    )
  return page, text


class Sheet:
  """A table whose rows are printed one by one.

  Args:
    columns: the width of each by its title; the first is that of names.

  Raises:
    ValueError: as `check_page`.
  """

  def __init__(self, columns: Mapping[str, int]) -> None:
    check_page()
    self._columns = columns
    self._rows: list[Sequence[str]] = []
    self._print([*columns])

  def _print(self, cells: Sequence[str]) -> None:
    """In columns, the first to the left."""
    first, *others = zip(cells, self._columns.values(), strict=True)
    aligned = [f'{cell:>{width}s}' for cell, width in others]
    print(''.join([first[0].ljust(first[1]), *aligned]), flush=True)

  def add(self, *cells: str) -> None:
    """A row, printed at once."""
    self._print(cells)
    self._rows.append(cells)

  def write(self) -> None:
    """Fills the block that --fill names, if it is given.

    Raises:
      ValueError: as `write_page`.
    """
    header = [*self._columns]
    write_page(words.markdown([header, words.rule(header), *self._rows]))
