"""What a benchmark has found, as a file."""

import json
import pathlib
from typing import Any


def write(path: str | None, figures: Any) -> None:
  """Writes them as JSON, if there is a path."""
  if path:
    pathlib.Path(path).write_text(json.dumps(figures, indent=2) + '\n')
