"""Words of the lines that a user reads."""


def counted(count: int, noun: str) -> str:
  """'1 image', '2,000 images', '2 processes'."""
  ending = 'es' if noun.endswith('ss') else 's'
  return f'{count:,} {noun}{ending if count != 1 else ""}'
