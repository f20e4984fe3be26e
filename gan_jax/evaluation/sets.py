"""Sets of images that are read a block at a time, and never all at once."""

import pathlib
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from gan_jax.config import fields as configs
from gan_jax.data import images, opening, source as sources
from gan_jax.metrics import checks

# Images that are in memory together as float32.
BLOCK = 256

# Images `[n, H, W, C]` float32 in [-1, 1], and labels `[n]` or None.
Block = tuple[np.ndarray, np.ndarray | None]


class Images(NamedTuple):
  """Images in a fixed order.

  Attributes:
    total: how many.
    shape: of each, `(H, W, C)`.
    fetch: `fetch(start, stop)` to their pixels, uint8 or float32 in [-1, 1],
      and labels.
    class_names: `()` where there are no labels.
    fingerprint: which tells a changed set.
  """

  total: int
  shape: tuple[int, int, int]
  fetch: Callable[[int, int], images.Pixels]
  class_names: tuple[str, ...] = ()
  fingerprint: str = ''

  def blocks(self, most: int | None = None) -> Iterator[Block]:
    """The first `most` of them, or all, in order."""
    end = self.total if most is None else min(most, self.total)
    for start in range(0, end, BLOCK):
      x, label = self.fetch(start, min(start + BLOCK, end))
      yield sources.to_unit_range(x) if x.dtype == np.uint8 else x, label

  def pixels(self, most: int) -> images.Pixels:
    """The first `most` of them, or all, at once: uint8, and their labels."""
    found, labels = [], []
    end = min(most, self.total)
    for start in range(0, end, BLOCK):
      x, label = self.fetch(start, min(start + BLOCK, end))
      if x.dtype != np.uint8:
        x = sources.to_bytes(x)
      found.append(x)
      labels += [] if label is None else [label]
    return np.concatenate(found), np.concatenate(labels) if labels else None


def in_order(image_set: images.ImageSet, fingerprint: str = '') -> Images:
  """As the set has them."""
  return Images(
    image_set.total,
    image_set.shape,
    lambda start, stop: image_set.fetch(range(start, stop)),
    image_set.class_names,
    fingerprint,
  )


def in_any_order(
  image_set: images.ImageSet, fingerprint: str = '', stack: int = 1
) -> Images:
  """In a random order, always the same, so that any first ones are of all.

  Files come class by class.

  Args:
    image_set: the images.
    fingerprint: of them.
    stack: how many grey ones make the channels of one sample (StackedMNIST),
      of which there are as many as images.
  """
  rng = np.random.default_rng(0)
  orders = [rng.permutation(image_set.total) for _ in range(stack)]
  order = np.stack(orders, axis=1)
  classes = len(image_set.class_names)

  def fetch(start: int, stop: int) -> images.Pixels:
    rows = order[start:stop].reshape(-1)
    x, label = image_set.fetch(rows.tolist())
    if stack > 1:
      return sources.stacked(x, label, stack, classes)
    return x, label

  height, width, channels = image_set.shape
  return Images(
    image_set.total,
    (height, width, channels * stack),
    fetch,
    image_set.class_names,
    fingerprint,
  )


def open_path(
  path: pathlib.Path, size: int, channels: int, scratch: pathlib.Path
) -> images.ImageSet:
  """The images of a folder, a zip file of one, or an npz file.

  Args:
    path: of it. An npz file holds `images`, or it is its first array: uint8
      `[N, H, W, C]` or floating-point in [-1, 1]; integers `labels` beside it
      are classes.
    size: as `data.size`; npz files are taken as they are.
    channels: as `data.channels`.
    scratch: an empty folder for an npz file's arrays.

  Raises:
    ValueError: it is none of these, or cannot be read.
  """
  if not path.exists():
    raise ValueError(f'{path}: there is no such folder or file')
  if not path.is_dir() and _unpack_arrays(path, scratch):
    return _open_arrays(path, scratch)
  data = configs.Data(
    name='folder', dir=str(path), size=size, channels=channels
  )
  return opening.open_images(data, 'train', field='split')


def holds_arrays(path: pathlib.Path) -> bool:
  """Whether it is an npz file, and no zip file of images or folder."""
  try:
    with zipfile.ZipFile(path) as archive:
      return bool(_arrays(archive))
  except (OSError, zipfile.BadZipFile):
    return False


def _arrays(archive: zipfile.ZipFile) -> list[str]:
  return [name for name in archive.namelist() if name.endswith('.npy')]


def _unpack_arrays(path: pathlib.Path, scratch: pathlib.Path) -> bool:
  """Unpacks an npz file's arrays; False for a zip file without any."""
  try:
    with zipfile.ZipFile(path) as archive:
      arrays = _arrays(archive)
      first = 'images.npy' if 'images.npy' in arrays else [*arrays, ''][0]
      for name in {first, 'labels.npy'} & {*arrays}:
        target = scratch / ('x.npy' if name == first else name)
        with archive.open(name) as packed, target.open('wb') as plain:
          shutil.copyfileobj(packed, plain)
  except (OSError, zipfile.BadZipFile, RuntimeError, zlib.error) as error:
    raise ValueError(
      f'{path}: not a readable zip or npz file: {error}'
    ) from None
  return bool(first)


def _open_arrays(path: pathlib.Path, scratch: pathlib.Path) -> images.ImageSet:
  """The unpacked arrays of an npz file; see `open_path`."""
  labels_path = scratch / 'labels.npy'
  labels: np.ndarray | None = None
  try:
    # Mapped: a block at a time is read, whatever the file's size.
    x = np.load(scratch / 'x.npy', mmap_mode='r', allow_pickle=False)
    if labels_path.exists():
      labels = np.load(labels_path, allow_pickle=False)
  except (OSError, EOFError, ValueError) as error:
    raise ValueError(f'{path}: not a readable npz file: {error}') from None
  if (
    x.ndim != 4
    or not x.size
    or x.shape[-1] not in (1, 3)
    or not (x.dtype == np.uint8 or x.dtype.kind == 'f')
  ):
    raise ValueError(
      f'{path}: images must be uint8 or floating-point of shape [N, H, W, C] '
      f'with C 1 or 3, got {x.dtype} of shape {list(x.shape)}'
    )
  if x.dtype != np.uint8:
    extent = checks.init()
    for start in range(0, len(x), BLOCK):
      extent = checks.update(extent, x[start : start + BLOCK], str(path))
    checks.result(extent, str(path))
  names: tuple[str, ...] = ()
  if labels is not None:
    if labels.shape != x.shape[:1] or labels.dtype.kind not in 'iu':
      raise ValueError(
        f'{path}: labels must be integers of shape [{len(x)}], got '
        f'{labels.dtype} of shape {list(labels.shape)}'
      )
    values, labels = np.unique(labels, return_inverse=True)
    names = tuple(str(value) for value in values)

  def fetch(rows: object) -> images.Pixels:
    index = np.asarray(rows)
    found = np.asarray(x[index])
    label = None if labels is None else labels[index].astype(np.int32)
    return found if x.dtype == np.uint8 else found.astype(np.float32), label

  height, width, channels = x.shape[1:]
  return images.ImageSet(len(x), (height, width, channels), fetch, names)
