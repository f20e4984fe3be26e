"""Files of JSON lines, of which a kill may have cut the last one short."""

import json
import os
import pathlib
from typing import Any


def is_torn(path: pathlib.Path) -> bool:
  """Whether the last line has no end: the next one would be a part of it."""
  if not path.exists() or not path.stat().st_size:
    return False
  with path.open('rb') as file:
    file.seek(-1, os.SEEK_END)
    return file.read() != b'\n'


def read(path: pathlib.Path) -> list[Any]:
  """What stands on the lines that are whole; none where there is no file."""
  if not path.is_file():
    return []
  found = []
  for text in path.read_text(errors='replace').splitlines():
    try:
      found.append(json.loads(text))
    except ValueError:
      continue
  return found
