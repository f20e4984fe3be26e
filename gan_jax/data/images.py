"""Image sets: scikit-learn's digits, and what is kept decoded.

All come as an `ImageSet`, which is read by rows: at once where the images fit
on the device, a chunk at a time where they do not.
"""

import contextlib
import functools
import hashlib
import json
import math
import pathlib
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

from gan_jax import cache
from gan_jax.config import words
from gan_jax.data import pixels as looks, splits

# Images `[n, H, W, C]` uint8, and labels `[n]` int32 or None.
Pixels = tuple[np.ndarray, np.ndarray | None]
Shape = tuple[int, int, int]
# Told the shape and the classes of a set before any of it is decoded; raises
# ValueError where nothing can be done with them.
Accept = Callable[[Shape, tuple[str, ...]], None]

# Bytes that are looked at at once, and that the cache leaves free on its disk.
_BLOCK = 2**26
_SPARE = 2**30


class ImageSet(NamedTuple):
  """Labelled or unlabelled images of one shape.

  Attributes:
    total: how many.
    shape: of each, `(H, W, C)`.
    fetch: rows to their images and labels.
    class_names: `()` where there are no labels.
    key: names the set in the cache; '' where nothing of it is kept.
    labels: of all images, `[N]` int32, or None.
    notes: what was left out, and what was made of the rest.
    whole: all images, `[N, H, W, C]`, in memory or mapped from the disk, where
      they lie together.
  """

  total: int
  shape: Shape
  fetch: Callable[[Sequence[int]], Pixels]
  class_names: tuple[str, ...] = ()
  key: str = ''
  labels: np.ndarray | None = None
  notes: tuple[str, ...] = ()
  whole: np.ndarray | None = None


class Facts(NamedTuple):
  """What all images of a set together tell.

  Attributes:
    fingerprint: 32 hexadecimal digits, by which a changed set is noticed.
    means: of every pixel, `[H, W, C]` float64 in [0, 255].
    counts: of the images of each class, `[K]`; `[0]` without labels.
  """

  fingerprint: str
  means: np.ndarray
  counts: np.ndarray


def accept_all(shape: Shape, class_names: tuple[str, ...]) -> None:
  """An `Accept` for who can use all images."""
  del shape, class_names


def describe(image_set: ImageSet) -> str:
  """One line: how many images of which classes, and what was left out."""
  height, width, channels = image_set.shape
  number = words.counted(image_set.total, 'image')
  parts = [f'{number} {height}x{width}x{channels}']
  names, labels = image_set.class_names, image_set.labels
  if names and labels is not None:
    counts = np.bincount(labels, minlength=len(names)).tolist()
    shown = [
      f'{name} {count:,}' for name, count in zip(names, counts, strict=True)
    ]
    more = ['...'] if len(shown) > 4 else []
    classes = f'{len(names):,} class{"es" if len(names) > 1 else ""}'
    parts.append(f'{classes} ({", ".join(shown[:4] + more)})')
    if 0 in counts:
      parts.append(f'no image of {counts.count(0):,} of them')
  return ', '.join([*parts, *image_set.notes])


def blocks(image_set: ImageSet) -> Iterator[Pixels]:
  """All images in order, some MiB at a time."""
  length = max(1, _BLOCK // math.prod(image_set.shape))
  whole, labels = image_set.whole, image_set.labels
  for start in range(0, image_set.total, length):
    part = slice(start, min(start + length, image_set.total))
    if whole is None:
      yield image_set.fetch(range(part.start, part.stop))
    else:
      yield whole[part], None if labels is None else labels[part]


def facts(image_set: ImageSet) -> Facts:
  """Of all images, a block at a time: the same however they are read."""
  about = (image_set.total, image_set.shape, image_set.class_names)
  digest = hashlib.blake2b(repr(about).encode(), digest_size=16)
  sums = np.zeros(image_set.shape)
  labels = []
  for pixels, label in blocks(image_set):
    digest.update(np.ascontiguousarray(pixels).data)
    sums += pixels.sum(axis=0, dtype=np.float64)
    labels += [] if label is None else [label]
  counts = np.zeros(len(image_set.class_names), np.int64)
  for label in labels:
    digest.update(np.ascontiguousarray(label).data)
    counts += np.bincount(label, minlength=len(counts))
  return Facts(digest.hexdigest(), sums / image_set.total, counts)


def kept_facts(image_set: ImageSet) -> Facts:
  """The same, remembered: for sets that are never read as a whole."""
  name = f'facts-{image_set.key}.npz'
  if not image_set.key:
    return facts(image_set)
  try:
    with np.load(cache.folder() / name, allow_pickle=False) as found:
      return Facts(str(found['fingerprint']), found['means'], found['counts'])
  except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
    new = facts(image_set)
  with contextlib.suppress(OSError), cache.writing(name) as path:
    np.savez(path, allow_pickle=False, **new._asdict())
  return new


def read_all(image_set: ImageSet) -> Pixels:
  """All images of a set at once: mapped from the disk, where they can be."""
  if image_set.whole is not None:
    return image_set.whole, image_set.labels
  whole = np.empty((image_set.total, *image_set.shape), np.uint8)
  labels, start = [], 0
  for pixels, label in blocks(image_set):
    whole[start : start + len(pixels)] = pixels
    start += len(pixels)
    labels += [] if label is None else [label]
  return whole, np.concatenate(labels) if labels else None


def read_notes(key: str) -> dict[str, Any] | None:
  """What `write_notes` wrote of a set, if it is there and whole."""
  if not key:
    return None
  try:
    found = json.loads((cache.folder() / f'images-{key}.json').read_text())
    return found if isinstance(found, dict) else None
  except (OSError, ValueError):
    return None


def write_notes(key: str, notes: dict[str, Any]) -> None:
  """Keeps what is known of a set, where that can be."""
  if not key:
    return
  with contextlib.suppress(OSError), cache.writing(f'images-{key}.json') as new:
    new.write_text(json.dumps(notes))


def kept(key: str, shape: tuple[int, ...]) -> np.ndarray | None:
  """The decoded images of a set, mapped from the disk and not read yet."""
  try:
    found = np.load(cache.folder() / f'images-{key}.npy', mmap_mode='r')
  except (OSError, EOFError, ValueError):
    return None
  if found.shape != shape or found.dtype != np.uint8:
    return None
  return np.asarray(found)  # The same pages, without the class's own habits.


def keep(
  key: str,
  shape: tuple[int, ...],
  used: int,
  fill: Callable[[pathlib.Path, int], None],
) -> np.ndarray | None:
  """Decodes a set into the cache, once; None where the disk has no room.

  Args:
    key: of the set.
    shape: `[N, H, W, C]`.
    used: how many of the N images there are; the others take no room.
    fill: `fill(path, offset)` writes image i at byte `offset + i * H W C`.
  """
  if not key:
    return None
  folder = cache.folder()
  try:
    folder.mkdir(parents=True, exist_ok=True)
    need = used * math.prod(shape[1:])
    free = shutil.disk_usage(folder).free
    if need + _SPARE > free:
      raise OSError(
        f'{need / 2**30:.1f} GiB are needed and {free / 2**30:.1f} are free'
      )
    with cache.writing(f'images-{key}.npy') as path:
      with path.open('wb') as file:
        header = {'descr': '|u1', 'fortran_order': False, 'shape': shape}
        np.lib.format.write_array_header_1_0(file, header)
        offset = file.tell()
        file.truncate(offset + math.prod(shape))
      fill(path, offset)
  except OSError as error:
    print(
      f'{folder}: decoded images cannot be kept '
      f'({error.strerror or error}): they are decoded at every start',
      file=sys.stderr,
    )
    return None
  return kept(key, shape)


@functools.cache
def _uci_digits() -> Any:
  """scikit-learn's; a run reads each of its splits, and they are text."""
  import sklearn.datasets  # Imported here: slow, and rarely needed.

  return sklearn.datasets.load_digits()


def digits(
  size: int,
  channels: int,
  split: str,
  field: str = 'data.split',
  accept: Accept = accept_all,
) -> ImageSet:
  """The 1,797 handwritten digits 8x8 of the UCI set in scikit-learn (BSD).

  Raises:
    ValueError: there is no such split; or as `accept`.
  """
  splits.parse(split, field)
  data = _uci_digits()
  names = tuple(str(name) for name in data.target_names)
  side = size or 8
  accept((side, side, channels or 1), names)
  grey = (data.images * 255 / 16).round().astype(np.uint8)  # From 0 ... 16.
  if side != 8 or channels == 3:
    form = looks.Form(size, channels or 1)
    images = np.stack(
      [looks.render(PIL.Image.fromarray(image), form) for image in grey]
    )
  else:
    images = grey[..., None]
  rows = splits.by_row(len(images), split)
  if not len(rows):
    raise ValueError(f'{field}={split!r}: has none of the 1,797 digits')
  found = in_memory(images[rows], data.target[rows].astype(np.int32), names)
  if side == 8:
    return found
  made = 'enlarged' if side > 8 else 'resized'
  return found._replace(notes=(f'{made} from 8x8',))


def in_memory(
  images: np.ndarray,
  labels: np.ndarray | None,
  class_names: tuple[str, ...],
) -> ImageSet:
  """Images `[N, H, W, C]` uint8 that are there, with labels `[N]` or None."""

  def fetch(rows: Sequence[int]) -> Pixels:
    index = np.asarray(rows)
    return images[index], None if labels is None else labels[index]

  height, width, channels = images.shape[1:]
  return ImageSet(
    total=len(images),
    shape=(height, width, channels),
    fetch=fetch,
    class_names=class_names,
    labels=labels,
    whole=images,
  )
