"""What a program writes outside a run's folder: whole, or not at all."""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence

# What is being written now.
_PARTS: set[pathlib.Path] = set()


def discard() -> None:
  """Removes what is half written, where the process ends at once."""
  for part in [*_PARTS]:
    if part.is_dir():
      shutil.rmtree(part, ignore_errors=True)
    else:
      part.unlink(missing_ok=True)


def check_file(flag: str, path: str | pathlib.Path) -> None:
  """Before the work, whether the file that `--FLAG` names can be made.

  Raises:
    ValueError: the folder that it would be in is not there, or it is one.
  """
  _check_parent(flag, path)
  if pathlib.Path(path).is_dir():
    raise ValueError(f'--{flag}={path}: is a folder')


def _check_parent(flag: str, path: str | pathlib.Path) -> None:
  parent = pathlib.Path(path).absolute().parent
  if not parent.is_dir():
    raise ValueError(f'--{flag}={path}: there is no folder {parent}')


def suffix(path: str, accepted: Sequence[str], *, folder: bool = False) -> str:
  """What `--out` names: one of the suffixes in lower case, or '' for a folder.

  Args:
    path: as it was given; a folder has no suffix, or ends in a slash.
    accepted: such as '.png'.
    folder: whether a folder is accepted too.

  Raises:
    ValueError: it is none of them, or its own folder is not there.
  """
  place = pathlib.Path(path)
  found = '' if path.endswith('/') else place.suffix.lower()
  if found not in accepted and not (folder and not found):
    kinds = ' or '.join(filter(None, [', '.join(accepted[:-1]), accepted[-1]]))
    more = ', or be a folder (no suffix, or / at its end)' if folder else ''
    raise ValueError(f'--out={path}: must end in {kinds}{more}')
  _check_parent('out', path)
  return found


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """A file beside `path` to write into, which then takes its place.

  Its suffix is that of `path` in lower case. What the body raises leaves
  neither.

  Raises:
    OSError: it cannot be written.
  """
  part = path.with_name(f'.{path.stem}.{os.getpid()}{path.suffix.lower()}')
  _PARTS.add(part)
  try:
    part.touch()
    yield part
    part.replace(path)
  finally:
    part.unlink(missing_ok=True)
    _PARTS.discard(part)


@contextlib.contextmanager
def file(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """`replacing` for what `--out` names.

  Raises:
    ValueError: for an OSError here or in the body.
  """
  with _told(path):
    if path.is_dir():
      raise ValueError(f'--out={path}: is a folder')
    with replacing(path) as part:
      yield part


@contextlib.contextmanager
def folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """The same for a folder, which must not be there, or be empty.

  Raises:
    ValueError: there is something at `path`, or an OSError.
  """
  path = path.absolute()
  part = path.with_name(f'.{path.name}.{os.getpid()}')
  with _told(path):
    if path.exists() and not path.is_dir():
      raise ValueError(f'--out={path}: is a file, not a folder')
    if path.is_dir() and any(path.iterdir()):
      raise ValueError(f'--out={path}: the folder is not empty; choose another')
    _PARTS.add(part)
    try:
      part.mkdir()
      yield part
      part.replace(path)
    finally:
      shutil.rmtree(part, ignore_errors=True)
      _PARTS.discard(part)


@contextlib.contextmanager
def scratch() -> Iterator[pathlib.Path]:
  """A temporary folder, which is removed however the program ends."""
  with tempfile.TemporaryDirectory() as name:
    path = pathlib.Path(name)
    _PARTS.add(path)
    try:
      yield path
    finally:
      _PARTS.discard(path)


@contextlib.contextmanager
def _told(path: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except OSError as error:
    reason = error.strerror or ' '.join(str(error).split())
    raise ValueError(f'--out={path}: cannot be written ({reason})') from None
