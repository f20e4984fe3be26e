"""The flag of programs that look at several runs: their folders."""

import glob
import pathlib

from absl import flags

_RUNS = flags.DEFINE_list(
  'runs', [], "Patterns of work folders, with commas between them: 'runs/*'."
)


def asked() -> str:
  """The flag as it was given."""
  return f'--runs={",".join(_RUNS.value)}'


def folders() -> list[pathlib.Path]:
  """The folders that --runs names, each once.

  Raises:
    ValueError: it is not given, or a pattern matches no folder.
  """
  if not _RUNS.value:
    raise ValueError("--runs='DIR/*' must be given")
  found: dict[pathlib.Path, None] = {}
  for pattern in _RUNS.value:
    literal = pathlib.Path(pattern)
    matches = [pathlib.Path(path) for path in sorted(glob.glob(pattern))]
    matches = [literal] if literal.is_dir() else matches
    own = [path for path in matches if path.is_dir()]
    if not own:
      raise ValueError(f'--runs={pattern}: no folder is there')
    found |= dict.fromkeys(own)
  return list(found)
