"""What a benchmark has found, as a file."""

import json
import pathlib
from typing import Any

from absl import flags

from gan_jax.storage import whole

_JSON = flags.DEFINE_string('json', None, 'File to write the figures to.')


def _can_be_made(path: str | None) -> bool:
  if path:
    whole.check_file('json', path)
  return True


# Known before anything is measured.
flags.register_validator(_JSON, _can_be_made)


def write(figures: Any) -> None:
  """Writes them as JSON, if --json names a file."""
  if _JSON.value:
    text = json.dumps(figures, indent=2)
    pathlib.Path(_JSON.value).write_text(text + '\n')
