"""What a Python file describes: a configuration, or a table."""

import contextlib
import importlib.util
import pathlib
import sys
import traceback
from collections.abc import Iterator
from types import ModuleType

from gan_jax.config import fields as configs, overrides, values

_ROOT = pathlib.Path(__file__).parent.parent


def load_module(path: pathlib.Path, flag: str) -> ModuleType:
  """Runs the Python file that a flag names.

  Raises:
    ValueError: there is no such file, or it cannot be run.
  """
  spec = importlib.util.spec_from_file_location(path.stem, path)
  if path.is_dir():
    raise ValueError(f'--{flag}={path}: is a folder')
  if path.is_file() and (spec is None or spec.loader is None):
    raise ValueError(f'--{flag}={path}: is no Python file (.py)')
  if spec is None or spec.loader is None or not path.is_file():
    here = ''
    if not path.is_absolute():
      here = f' in {pathlib.Path.cwd()}'
    if (_ROOT / path).is_file():
      here += f'; there is one in {_ROOT}, so run this from there'
    raise ValueError(f'--{flag}={path}: there is no such file{here}')
  module = importlib.util.module_from_spec(spec)
  # Known with its file: what it defines may be part of a program (kept.py).
  sys.modules[f'{flag} {path}'] = module
  with mistakes_in(path, flag):
    spec.loader.exec_module(module)
  return module


@contextlib.contextmanager
def mistakes_in(path: pathlib.Path, flag: str) -> Iterator[None]:
  """One line for an exception of a file that is run, with its place there.

  Raises:
    ValueError: for another exception; one that is raised as such says by itself
      what is wrong.
  """
  try:
    yield
  except SyntaxError as error:
    line = error.lineno if error.filename == str(path) else None
    raise _mistake(path, flag, error, error.msg or '', line) from None
  except Exception as error:
    frames = traceback.extract_tb(error.__traceback__)
    own = [
      frame
      for frame in frames
      if pathlib.Path(frame.filename) in (path, path.absolute())
    ]
    # What was raised on purpose, there or by what it calls, says what is wrong.
    here = own and own[-1] is frames[-1]
    meant = not here or (own[-1].line or '').startswith('raise')
    is_of_text = isinstance(error, UnicodeError)
    if isinstance(error, ValueError) and meant and not is_of_text:
      raise
    lines = [frame.lineno for frame in own]
    raise _mistake(path, flag, error, str(error), *lines[-1:]) from None


def _mistake(
  path: pathlib.Path,
  flag: str,
  error: Exception,
  said: str,
  line: int | None = None,
) -> ValueError:
  place = f'{path}' if line is None else f'{path}:{line}'
  said = ' '.join(said.split())
  return ValueError(f'--{flag}={place}: {type(error).__name__}: {said}')


def load_config(text: str) -> configs.Config:
  """What `FILE.py` or `FILE.py:ARGUMENT` describes, or a run's config.json.

  Raises:
    ValueError: there is no such file, it takes no such argument, or it gives
      no configuration.
  """
  stem, colon, argument = text.partition('.py:')
  path = pathlib.Path(f'{stem}.py' if colon else text)
  if path.name == 'config.json':
    return _config_of_run(path)
  module = load_module(path, 'config')
  accepted = getattr(module, 'ARGUMENTS', {})
  if colon and not accepted:
    raise ValueError(f'--config={text}: {path.name} takes no argument')
  if colon:
    values.choose(f'--config={path}: argument', argument, accepted)
  make = getattr(module, 'get_config', None)
  with mistakes_in(path, 'config'):
    config = make(*([argument] if colon else [])) if make else None
  if not isinstance(config, configs.Config):
    raise ValueError(
      f'--config={path}: needs a get_config() that returns a '
      'gan_jax.config.fields.Config'
    )
  try:
    overrides.check_names(config)
  except ValueError as error:
    raise ValueError(f'--config={path}: {error}') from None
  return config


def _config_of_run(path: pathlib.Path) -> configs.Config:
  from gan_jax.storage import workdir as workdirs

  try:
    config, _ = workdirs.load(path.parent)
  except ValueError as error:
    reason = str(error).removeprefix(f'--workdir={path.parent}: ')
    raise ValueError(f'--config={path}: {reason}') from None
  return config
