"""What a benchmark has found, as a file."""

import json
import pathlib
from typing import Any

from absl import flags

_JSON = flags.DEFINE_string('json', None, 'File to write the figures to.')


def _has_folder(path: str | None) -> bool:
  return not path or pathlib.Path(path).absolute().parent.is_dir()


# Known before anything is measured.
flags.register_validator(_JSON, _has_folder, 'there is no such folder')


def write(figures: Any) -> None:
  """Writes them as JSON, if --json names a file."""
  if _JSON.value:
    text = json.dumps(figures, indent=2)
    pathlib.Path(_JSON.value).write_text(text + '\n')
