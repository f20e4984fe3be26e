"""MNIST's own four files, and those of sets in their form, as TFDS has a set.

They hold the images in the order of the papers, which `tfds build` shuffles.
The form is that of LeCun, Cortes & Burges (http://yann.lecun.com/exdb/mnist):
a magic number, sizes, all of four bytes and big-endian, then a byte for each
pixel or label.
"""

import gzip
import math
import pathlib
import types
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

_MAGIC = {3: 0x803, 1: 0x801}  # By the number of axes; all of bytes.
_FILES = {
  'train': ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte'),
  'test': ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'),
}
# As TFDS names them.
_CLASSES = {
  'mnist': tuple('0123456789'),
  'fashion_mnist': (
    'T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt',
    'Sneaker', 'Bag', 'Ankle boot',
  ),
  'kmnist': ('o', 'ki', 'su', 'tsu', 'na', 'ha', 'ma', 'ya', 're', 'wo'),
}  # fmt: skip


class _Records:
  """The bytes of examples, by which a set is known again."""

  def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
    self._images, self._labels = images, labels

  def __getitems__(self, rows: Sequence[int]) -> list[bytes]:
    return [
      self._images[row].tobytes() + self._labels[row].tobytes() for row in rows
    ]


class Source:
  """Examples by their rows; what `prepared` uses of TFDS's data sources.

  Attributes:
    dataset_info: its features, splits, files and version.
    data_source: the records themselves.
  """

  def __init__(self, images: np.ndarray, labels: np.ndarray, info: Any) -> None:
    self._images, self._labels = images, labels
    self.dataset_info = info
    self.data_source = _Records(images, labels)

  def __len__(self) -> int:
    return len(self._images)

  def __getitem__(self, row: int) -> dict[str, Any]:
    return {'image': self._images[row], 'label': self._labels[row]}


def _find(root: pathlib.Path, name: str) -> pathlib.Path | None:
  """A file as it was published, or unpacked."""
  paths = root / f'{name}.gz', root / name
  return next((path for path in paths if path.is_file()), None)


def places(name: str) -> str:
  """What `data.dir` may be for a set, for a message."""
  own = f' or the folder of {", ".join(sum(_FILES.values(), ()))}'
  return 'where it is' + own * (name in _CLASSES)


def are_there(name: str, root: pathlib.Path) -> bool:
  """Whether a folder holds the files of a set in this form."""
  first = _FILES['train'][0]
  return name in _CLASSES and _find(root, first) is not None


def read(path: pathlib.Path, axes: int) -> np.ndarray:
  """The array of one file, uint8.

  Args:
    path: of it, packed by gzip where its name ends so.
    axes: how many it has: 3 for images, 1 for labels.

  Raises:
    ValueError: it is no such file, or not whole.
  """
  try:
    open_ = gzip.open if path.suffix == '.gz' else open
    with open_(path, 'rb') as file:
      data: bytes = file.read()
  except (OSError, EOFError, zlib.error) as error:
    raise ValueError(f'{path}: cannot be read ({error})') from None
  magic, *shape = (
    int.from_bytes(data[4 * i : 4 * i + 4]) for i in range(1 + axes)
  )
  if len(data) < 4 + 4 * axes or magic != _MAGIC[axes]:
    raise ValueError(f'{path}: is no file of MNIST with {axes} axes')
  values = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
  if len(values) != math.prod(shape):
    raise ValueError(
      f'{path}: has {len(values):,} values where its head says '
      f'{math.prod(shape):,}'
    )
  return values.reshape(shape)


def open_source(
  name: str, root: pathlib.Path, split: str, field: str
) -> Source:
  """A split of a set whose files are there, in their order.

  Args:
    name: 'mnist', 'fashion_mnist' or 'kmnist'.
    root: the folder of the files.
    split: as TFDS takes it: 'train[:50000]', 'train+test'.
    field: of the configuration, that asks for the split.

  Raises:
    ValueError: there is no such split, or a file is missing or damaged.
  """
  import tensorflow_datasets as tfds  # Imported here: slow, and rarely needed.

  parts, found = {}, []
  for part, files in _FILES.items():
    for file in files:
      path = _find(root, file)
      if path is None:
        raise ValueError(f'{root}: there is no {file}.gz, nor {file}')
      found.append(path)
    images, labels = read(found[-2], 3), read(found[-1], 1)
    if len(images) != len(labels):
      raise ValueError(
        f'{root}: {part} has {len(images):,} images and {len(labels):,} labels'
      )
    parts[part] = images[..., None], labels
  classes = _CLASSES[name]
  features = {
    'image': tfds.features.Image(shape=parts['train'][0].shape[1:]),
    'label': tfds.features.ClassLabel(names=classes),
  }
  sizes = tfds.core.splits.SplitDict(
    [
      tfds.core.SplitInfo(name=part, shard_lengths=[len(labels)], num_bytes=0)
      for part, (_, labels) in parts.items()
    ]
  )
  info = types.SimpleNamespace(
    features=features, splits=sizes, files=found, version='idx'
  )
  try:
    asked = tfds.core.ReadInstruction.from_spec(split).to_absolute(sizes)
  except ValueError as error:
    raise ValueError(f'{field}={split!r}: {error}') from None
  taken = [
    [array[each.from_ : each.to] for array in parts[each.splitname]]
    for each in asked
  ]
  images, labels = (
    np.concatenate(arrays) for arrays in zip(*taken, strict=True)
  )
  if not labels.size:
    raise ValueError(f'{field}={split!r}: has no images')
  if labels.max() >= len(classes):
    raise ValueError(f'{root}: a label is {labels.max()}, of 10 classes')
  return Source(images, labels, info)
