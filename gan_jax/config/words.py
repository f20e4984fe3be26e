"""Words of the lines that a user reads."""

from collections.abc import Iterable, Sequence


def counted(count: int, noun: str) -> str:
  """'1 image', '2,000 images', '2 processes'."""
  ending = 'es' if noun.endswith('ss') else 's'
  return f'{count:,} {noun}{ending if count != 1 else ""}'


def duration(seconds: float) -> str:
  """'2 h 05 min', '12 min' or '40 s'."""
  minutes = round(seconds / 60)
  if minutes >= 60:
    return f'{minutes // 60} h {minutes % 60:02d} min'
  return f'{minutes} min' if seconds >= 60 else f'{seconds:.0f} s'


def rule(header: Sequence[str]) -> list[str]:
  """Below the header of a Markdown table: names left, figures right."""
  return ['---'] + ['---:'] * (len(header) - 1)


def markdown(rows: Iterable[Sequence[str]]) -> list[str]:
  """The lines of a Markdown table; the rule below the header is a row, too."""
  cells = ((cell.replace('|', r'\|') for cell in row) for row in rows)
  return [f'| {" | ".join(row)} |' for row in cells]
