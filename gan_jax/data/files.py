"""The files of an image set, in a folder or a zip file, and their classes."""

import collections
import functools
import io
import itertools
import json
import os
import pathlib
import stat
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple, TypeGuard

import numpy as np

# Bytes beyond which a file in a zip file is not unpacked: more than an image
# of the most pixels takes.
_MAX_BYTES = 2**30

# By these a file that begins like no image is a broken one.
SUFFIXES = (
  '.png', '.apng', '.jpg', '.jpeg', '.jpe', '.jfif', '.webp', '.bmp', '.dib',
  '.tif', '.tiff', '.gif', '.pgm', '.ppm', '.pbm', '.pnm',
)  # fmt: skip

# What StyleGAN's tools write beside the images.
LABELS = 'dataset.json'
_MOST_CLASSES = 100_000

_SPLITS = ('train', 'training', 'val', 'valid', 'validation', 'dev', 'test')


class FileRoot(NamedTuple):
  """A folder, or a folder in a zip file, that holds images.

  Attributes:
    path: of the folder or the zip file.
    inside: '' or a folder in the zip file, with a '/' at its end.
    archive: '' for a folder; what changes where the zip file does.
  """

  path: str
  inside: str = ''
  archive: str = ''

  def open(self, name: str) -> IO[bytes]:
    """A file by its name in this place.

    Raises:
      OSError: it cannot be read; also for what is wrong with a zip file.
    """
    if not self.archive:
      return pathlib.Path(self.path, name).open('rb')
    try:
      archive = _archive(self.path, self.archive)
      entry = archive.getinfo(self.inside + name)
      if entry.file_size > _MAX_BYTES:
        raise OSError(f'{entry.file_size:,} bytes are too many')
      return io.BytesIO(archive.read(entry))
    except OSError:
      raise
    except Exception as error:
      # Of many kinds: encrypted, of an unknown compression, damaged.
      raise OSError(' '.join(str(error).split())) from None


@functools.lru_cache(maxsize=8)
def _archive(path: str, stamp: str) -> zipfile.ZipFile:
  """Stays open until another stamp; reading from several threads is safe."""
  del stamp
  return zipfile.ZipFile(path)


def seem_to_be_images(place: pathlib.Path) -> bool:
  """Whether it is a zip file, or a folder with images or folders of them."""
  if place.is_file():
    return zipfile.is_zipfile(place)
  near = itertools.chain(place.glob('*.*'), place.glob('*/*.*'))
  some = itertools.islice(near, 1000)
  return any(path.suffix.lower() in SUFFIXES for path in some)


class Listing(NamedTuple):
  """What a place holds.

  Attributes:
    place: the folder or zip file.
    names: of all files, relative to it, sorted by folder.
    stamps: for each, what changes where the file does.
    hidden: how many names were skipped: those that begin with a dot, and what
      systems leave behind.
    broken: links and folders that lead nowhere, with the reason.
  """

  place: FileRoot
  names: list[str]
  stamps: list[str]
  hidden: int
  broken: dict[str, str]


def find(directory: str) -> Listing:
  """All files below a folder, or in a zip file or a folder of it.

  Links are followed, but to a folder that they lie in.

  Raises:
    ValueError: there is no such folder or zip file.
  """
  if not directory:
    raise ValueError(
      "data.dir='': the folder or zip file of images must be given"
    )
  root = pathlib.Path(directory).expanduser()
  if root.is_dir():
    found = _Walk(root)
    place, stamps = FileRoot(str(root)), found.stamps
    hidden, broken = found.hidden, found.broken
  else:
    place, stamps, hidden = _zipped(directory, root)
    broken = {}
  names = sorted(stamps, key=lambda name: name.split('/'))
  return Listing(place, names, [stamps[n] for n in names], hidden, broken)


class _Walk:
  """All files below a folder."""

  def __init__(self, root: pathlib.Path):
    self.stamps: dict[str, str] = {}
    self.broken: dict[str, str] = {}
    self.hidden = 0
    self._root = root
    self._into('', ())

  def _into(self, inside: str, above: tuple[tuple[int, int], ...]) -> None:
    folder = self._root / inside
    try:
      status = folder.stat()
      own = status.st_dev, status.st_ino
      if own in above:
        self.broken[inside.rstrip('/')] = 'links to a folder that it lies in'
        return
      with os.scandir(folder) as entries:
        for entry in entries:
          self._look(entry, inside + entry.name, (*above, own))
    except OSError as error:
      if not inside:
        raise ValueError(
          f'data.dir={str(self._root)!r}: cannot be read ({error.strerror})'
        ) from None
      self.broken[inside.rstrip('/')] = error.strerror or str(error)

  def _look(
    self,
    entry: 'os.DirEntry[str]',
    name: str,
    above: tuple[tuple[int, int], ...],
  ) -> None:
    if _is_hidden(entry.name):
      self.hidden += 1
    elif entry.is_dir():
      self._into(f'{name}/', above)
    else:
      try:
        status = entry.stat()
      except OSError as error:
        self.broken[name] = error.strerror or str(error)
        return
      if stat.S_ISREG(status.st_mode):
        self.stamps[name] = f'{status.st_size} {status.st_mtime_ns}'
      else:
        self.broken[name] = 'is no file'


def _is_hidden(name: str) -> bool:
  return name.startswith('.') or name in ('__MACOSX', 'Thumbs.db')


def _zipped(
  directory: str, root: pathlib.Path
) -> tuple[FileRoot, dict[str, str], int]:
  """The files of a zip file, or of a folder in it: 'faces.zip/train'."""
  path = next((p for p in (root, *root.parents) if p.exists()), root)
  if not path.is_file():
    raise ValueError(f'data.dir={directory!r}: there is no such folder')
  status, real = path.stat(), str(path.resolve())
  stamp = f'{status.st_size} {status.st_mtime_ns}'
  try:
    entries = _archive(real, stamp).infolist()
  except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
    raise ValueError(
      f'data.dir={directory!r}: {path.name} is no folder and no zip file'
    ) from None
  inside = root.relative_to(path).as_posix() + '/' if path != root else ''
  stamps: dict[str, str] = {}
  hidden = set()
  for entry in entries:
    if entry.is_dir() or not entry.filename.startswith(inside):
      continue
    name = entry.filename.removeprefix(inside)
    parts = name.split('/')
    first = next((i for i, part in enumerate(parts) if _is_hidden(part)), None)
    if first is not None:
      hidden.add('/'.join(parts[: first + 1]))
    else:
      stamps[name] = f'{entry.file_size} {entry.CRC:08x}'
  if inside and not stamps:
    raise ValueError(
      f'data.dir={directory!r}: there is no {inside} in {path.name}'
    )
  return FileRoot(real, inside, stamp), stamps, len(hidden)


class Classes(NamedTuple):
  """What the images are of.

  Attributes:
    names: of the classes; `()` where there are none.
    labels: of the images, `[N]` int32, or None.
    listed: whether `dataset.json` has said so, and not the folders.
  """

  names: tuple[str, ...]
  labels: np.ndarray | None
  listed: bool = False


class UnclassedError(ValueError):
  """An image has no class, and others have one."""


def classes(listing: Listing, images: Sequence[str]) -> Classes:
  """The label of each image: of `dataset.json`, or its folder's.

  Args:
    listing: of all files.
    images: those of its names that are images.

  Raises:
    UnclassedError: an image stands beside class folders, or has no label.
    ValueError: the labels are none, or the folders are splits.
  """
  if LABELS in listing.names:
    listed = _listed(listing)
    if listed is not None:
      return _from_list(listing, listed['labels'], images)
  tops = [name.split('/')[0] if '/' in name else '' for name in images]
  names = tuple(sorted({*tops} - {''}))
  if not names:
    return Classes((), None)
  where = listing.place.path + '/' + listing.place.inside
  if '' in tops:
    stray = images[tops.index('')]
    raise UnclassedError(
      f'{where}{stray}: stands beside class folders, in none of them'
    )
  if all(name.lower() in _SPLITS for name in names):
    raise ValueError(
      f'data.dir={where[:-1]!r}: its folders ({", ".join(names)}) are splits '
      f'and not classes; give one of them, such as data.dir={where}{names[0]}'
    )
  index = {name: i for i, name in enumerate(names)}
  return Classes(names, np.array([index[top] for top in tops], np.int32))


def _listed(listing: Listing) -> dict[str, object] | None:
  """What `dataset.json` holds; None where it is another program's."""
  try:
    with listing.place.open(LABELS) as file:
      found = json.load(file)
  except (OSError, ValueError) as error:
    raise ValueError(
      f'{listing.place.path}: its {LABELS} cannot be read ({error})'
    ) from None
  if isinstance(found, list) and found and _is_pair(found[0]):
    raise ValueError(
      f'{listing.place.path}: its {LABELS} must be '
      '{"labels": [[name, number], ...]}, and is the list alone'
    )
  return found if isinstance(found, dict) and 'labels' in found else None


def _is_pair(value: object) -> TypeGuard[list[Any]]:
  """Whether it is a name with something beside it."""
  return (
    isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
  )


def _from_list(
  listing: Listing, labels: object, images: Sequence[str]
) -> Classes:
  """Labels in StyleGAN's form, [[name, number], ...] or null."""
  if labels is None:
    return Classes((), None, True)
  known: dict[str, int] = {}
  for name, number in _pairs(listing, labels):
    if isinstance(number, bool) or not isinstance(number, int):
      wrong = 'is no whole number'
    elif not 0 <= number < _MOST_CLASSES:
      wrong = f'is outside 0 to {_MOST_CLASSES - 1:,}'
    elif known.get(name, number) != number:
      wrong = f'is not {known[name]}, which it has there too'
    else:
      known[name] = number
      continue
    raise ValueError(
      f'{listing.place.path}: the label {number!r} of {name} in its {LABELS} '
      f'{wrong}'
    )
  where, there = f'{listing.place.path}: its {LABELS}', {*listing.names}
  for name in known:
    if name not in there:
      raise ValueError(f'{where} has a label of {name}, which is not there')
  for name in images:
    if name not in known:
      raise UnclassedError(f'{where} has no label of {name}')
  count = max(known.values(), default=-1) + 1
  numbers = np.array([known[name] for name in images], np.int32)
  return Classes(tuple(map(str, range(count))), numbers, True)


def _pairs(listing: Listing, labels: object) -> Iterator[tuple[str, object]]:
  """Raises ValueError where they are no list of pairs."""
  for pair in labels if isinstance(labels, list) else [labels]:
    if not _is_pair(pair):
      raise ValueError(
        f'{listing.place.path}: labels in its {LABELS} must be null or '
        f'[[name, number], ...]'
      )
    yield pair[0], pair[1]


def by_suffix(names: Sequence[str]) -> dict[str, int]:
  """How many files there are of each suffix, the most frequent first."""
  suffixes = (pathlib.PurePosixPath(name).suffix.lower() for name in names)
  counts = collections.Counter(s or 'without suffix' for s in suffixes)
  return dict(counts.most_common())
