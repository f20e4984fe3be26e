"""Where what can be made again is kept."""

import os
import pathlib


def folder() -> pathlib.Path:
  """What can be made again is here: gan_jax in $XDG_CACHE_HOME or ~/.cache."""
  home = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache')
  return home.expanduser() / 'gan_jax'
