"""Image sets: scikit-learn's digits, folders of images, and TFDS.

All come as an `ImageSet`, which is read by rows: at once where the images fit
on the device, a chunk at a time where they do not.
"""

import concurrent.futures
import contextlib
import hashlib
import math
import os
import pathlib
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageOps

from gan_jax import cache

# Pixels beyond which an image file is refused and not decoded.
MAX_PIXELS = 100_000_000

# Images `[n, H, W, C]` uint8, and labels `[n]` int32 or None.
Pixels = tuple[np.ndarray, np.ndarray | None]

# Raised by a change of what decoding gives.
_DECODING = 1
# Larger sets are decoded at every start.
_KEPT_BYTES = 2**30

_SUFFIXES = ('.png', '.jpg', '.jpeg')


class ImageSet(NamedTuple):
  """Labelled or unlabelled images of one shape.

  Attributes:
    total: how many.
    shape: of each, `(H, W, C)`.
    fetch: rows to their images and labels.
    class_names: `()` where there are no labels.
    stored: a hash of all that decoding starts from, of sets whose decoding
      takes longer than reading what it gave.
  """

  total: int
  shape: tuple[int, int, int]
  fetch: Callable[[Sequence[int]], Pixels]
  class_names: tuple[str, ...] = ()
  stored: Callable[[], str] | None = None


def spread_rows(total: int, most: int = 10_000) -> list[int]:
  """Up to `most` rows, evenly over the whole set."""
  count = min(total, most)
  return [i * total // count for i in range(count)]


def fingerprint(image_set: ImageSet, blocks: Iterable[Pixels]) -> str:
  """A hash by which a changed set is noticed.

  Args:
    image_set: its size, shape and class names count.
    blocks: all images with their labels, or those of `spread_rows`.

  Returns:
    32 hexadecimal digits.
  """
  facts = (image_set.total, image_set.shape, image_set.class_names)
  digest = hashlib.blake2b(repr(facts).encode(), digest_size=16)
  known = []
  for pixels, labels in blocks:
    digest.update(np.ascontiguousarray(pixels).data)
    known += [] if labels is None else [labels]
  for labels in known:
    digest.update(np.ascontiguousarray(labels).data)
  return digest.hexdigest()


def _rendered(image: PIL.Image.Image, size: int, channels: int) -> np.ndarray:
  """An image as `[H, W, C]` uint8: centre-cropped and resized if asked to.

  Args:
    image: of any mode; transparency is put on white.
    size: of both sides; 0 leaves the image's own.
    channels: 1 or 3.
  """
  image = PIL.ImageOps.exif_transpose(image)
  if image.has_transparency_data:
    rgba = image.convert('RGBA')
    white = PIL.Image.new('RGBA', image.size, 'white')
    image = PIL.Image.alpha_composite(white, rgba)
  image = image.convert('L' if channels == 1 else 'RGB')
  if size and image.size != (size, size):
    # Area averaging to shrink; to enlarge it would only repeat pixels.
    shrinks = min(image.size) >= size
    method = PIL.Image.Resampling
    image = PIL.ImageOps.fit(
      image, (size, size), method.BOX if shrinks else method.BICUBIC
    )
  return np.asarray(image).reshape(image.height, image.width, channels)


def digits(size: int, channels: int) -> ImageSet:
  """The 1,797 handwritten digits 8x8 of the UCI set in scikit-learn (BSD)."""
  import sklearn.datasets  # Imported here: slow, and rarely needed.

  data = sklearn.datasets.load_digits()
  grey = (data.images * 255 / 16).round().astype(np.uint8)  # From 0 ... 16.
  return _in_memory(
    grey[..., None],
    data.target.astype(np.int32),
    tuple(str(name) for name in data.target_names),
    size,
    channels,
  )


def _in_memory(
  images: np.ndarray,
  labels: np.ndarray | None,
  class_names: tuple[str, ...],
  size: int,
  channels: int,
) -> ImageSet:
  """Images `[N, H, W, C]` uint8 at the asked size and number of channels."""
  channels = channels or images.shape[-1]
  size = 0 if images.shape[1:3] == (size, size) else size
  if size or channels != images.shape[-1]:
    images = np.stack(
      [
        _rendered(PIL.Image.fromarray(i.squeeze()), size, channels)
        for i in images
      ]
    )

  def fetch(rows: Sequence[int]) -> Pixels:
    index = np.asarray(rows)
    return images[index], None if labels is None else labels[index]

  height, width = images.shape[1:3]
  return ImageSet(len(images), (height, width, channels), fetch, class_names)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[PIL.Image.Image]:
  """An image file, decoded only when its pixels are asked for.

  Raises:
    ValueError: naming the file, when it is no image, is broken, or has more
      than `MAX_PIXELS`; also for what happens in the body.
  """
  try:
    with warnings.catch_warnings():
      # Pillow warns of what is refused here.
      warnings.simplefilter('ignore', PIL.Image.DecompressionBombWarning)
      image = PIL.Image.open(path, formats=('PNG', 'JPEG'))
    with image:
      if image.width * image.height > MAX_PIXELS:
        raise ValueError(f'{image.width}x{image.height} pixels are too many')
      yield image
  except (
    OSError,
    SyntaxError,
    ValueError,
    PIL.Image.DecompressionBombError,
  ) as error:
    reason = str(error).replace(repr(str(path)), 'it')
    raise ValueError(f'{path}: not a readable png or jpg: {reason}') from None


def folder(directory: str, size: int, channels: int) -> ImageSet:
  """Images below a folder: one sub-folder a class, or none.

  Args:
    directory: with png and jpg files, or with sub-folders of them.
    size: centre-crop and area-resize to size x size; 0 keeps the size of
      images that are all alike.
    channels: 1, 3, or 0 for colour if any image has it.

  Raises:
    ValueError: there are no images, one cannot be read, or sizes differ.
  """
  if not directory:
    raise ValueError("data.dir='': the folder of images must be given")
  root = pathlib.Path(directory)
  if not root.is_dir():
    raise ValueError(f'data.dir={directory!r}: there is no such folder')
  files = sorted(
    path
    for path in root.rglob('*')
    if path.suffix.lower() in _SUFFIXES and path.is_file()
  )
  if not files:
    raise ValueError(f'data.dir={directory!r}: no png or jpg file in it')
  first = [path.relative_to(root).parts[:-1][:1] for path in files]
  class_names = tuple(sorted({parts[0] for parts in first if parts}))
  labels = None
  if class_names:
    if () in first:
      stray = files[first.index(())]
      raise ValueError(f'{stray}: stands beside class folders, in none of them')
    index = {name: i for i, name in enumerate(class_names)}
    labels = np.array([index[parts[0]] for parts in first], np.int32)
  shape = _folder_shape(files, size, channels)

  def read(path: pathlib.Path) -> np.ndarray:
    with _opened(path) as image:
      return _rendered(image, size, shape[2])

  def fetch(rows: Sequence[int]) -> Pixels:
    with concurrent.futures.ThreadPoolExecutor() as pool:
      images = np.stack(list(pool.map(read, (files[row] for row in rows))))
    return images, None if labels is None else labels[np.asarray(rows)]

  return ImageSet(len(files), shape, fetch, class_names)


def _folder_shape(
  files: Sequence[pathlib.Path], size: int, channels: int
) -> tuple[int, int, int]:
  """The shape all images will have, from their headers alone."""
  sizes: dict[tuple[int, int], pathlib.Path] = {}
  colour = False
  for path in files:
    with _opened(path) as image:
      sizes.setdefault(PIL.ImageOps.exif_transpose(image).size, path)
      colour |= image.mode not in ('1', 'L', 'LA', 'I;16', 'I')
  if not size and len(sizes) > 1:
    (a, one), (b, other) = list(sizes.items())[:2]
    raise ValueError(
      f'data.size=0: images differ in size ({one.name} is {a[0]}x{a[1]}, '
      f'{other.name} {b[0]}x{b[1]}); give the size to make them'
    )
  width, height = (size, size) if size else next(iter(sizes))
  return height, width, channels or (3 if colour else 1)


def tfds(
  name: str,
  directory: str,
  split: str,
  size: int,
  channels: int,
  others: Sequence[str],
) -> ImageSet:
  """A TensorFlow Datasets image set, read without TensorFlow.

  Args:
    name: as TFDS knows it, with or without a config ('mnist', 'emnist/mnist').
    directory: the TFDS data directory; '' is $TFDS_DATA_DIR, then
      ~/tensorflow_datasets.
    split: such as 'train' or 'test[:90%]'.
    size: as in `folder`.
    channels: as in `folder`.
    others: names that are not TFDS's, for the message on an unknown one.

  Raises:
    ValueError: the set is not prepared there, the split does not exist, or
      its examples hold no image.
  """
  root = pathlib.Path(
    directory or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
  ).expanduser()
  source = _open_tfds(name, root, split, others)
  features = source.dataset_info.features
  if 'image' not in features:
    raise ValueError(
      f'data.name={name!r}: its examples have no image, only {list(features)}'
    )
  class_names = _class_names(features)
  shape = source[0]['image'].shape
  shape = (size or shape[0], size or shape[1], channels or shape[2])

  def fetch(rows: Sequence[int]) -> Pixels:
    examples = [source[row] for row in rows]
    images = [
      _rendered(PIL.Image.fromarray(e['image'].squeeze()), size, shape[2])
      for e in examples
    ]
    odd = next((i.shape for i in images if i.shape != shape), None)
    if odd is not None:
      raise ValueError(
        f'data.size=0: images of {name} differ in size ({shape[0]}x{shape[1]}'
        f' and {odd[0]}x{odd[1]}); give the size to make them'
      )
    labels = [e['label'] for e in examples if class_names]
    return np.stack(images), np.array(labels, np.int32) if class_names else None

  def stored() -> str:
    """Of the records, whose hashing takes a fiftieth of decoding them."""
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, len(source), 1000):
      rows = range(start, min(start + 1000, len(source)))
      for record in source.data_source.__getitems__(rows):
        digest.update(record)
    facts = (_DECODING, PIL.__version__, name, shape, class_names, size)
    digest.update(repr(facts).encode())
    return digest.hexdigest()

  return ImageSet(len(source), shape, fetch, class_names, stored)


def _class_names(features: Any) -> tuple[str, ...]:
  """Of the labels among TFDS's features; `()` where they are no classes."""
  if 'label' not in features or not hasattr(features['label'], 'num_classes'):
    return ()
  label = features['label']
  return tuple(label.int2str(i) for i in range(label.num_classes))


def read_all(image_set: ImageSet) -> Pixels:
  """All images of a set, kept decoded where that is worth it."""
  size = image_set.total * math.prod(image_set.shape)
  if image_set.stored is None or size > _KEPT_BYTES:
    return image_set.fetch(range(image_set.total))
  kept = cache.folder() / f'images-{image_set.stored()}.npz'
  found = _kept(kept)
  if found is not None:
    return found
  images, labels = image_set.fetch(range(image_set.total))
  # Where nothing can be written, they are decoded each time.
  with contextlib.suppress(OSError):
    kept.parent.mkdir(parents=True, exist_ok=True)
    known = {} if labels is None else {'labels': labels}
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
      new = pathlib.Path(folder, kept.name)
      np.savez(new, allow_pickle=False, images=images, **known)
      new.replace(kept)
  return images, labels


def held(image_set: ImageSet) -> ImageSet:
  """The same set, read once, and its rows from memory."""
  images, labels = read_all(image_set)
  whole = _in_memory(
    images, labels, image_set.class_names, 0, image_set.shape[2]
  )
  return whole._replace(stored=image_set.stored)


def _kept(path: pathlib.Path) -> Pixels | None:
  """What `read_all` wrote, if it is there and whole."""
  try:
    with path.open('rb') as file, np.load(file, allow_pickle=False) as found:
      return found['images'], found.get('labels')
  except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
    return None


def _open_tfds(
  name: str, root: pathlib.Path, split: str, others: Sequence[str]
) -> Any:
  """TFDS's random-access source; the arguments and errors of `tfds`."""
  import tensorflow_datasets  # Imported here: slow, and rarely needed.

  if not (root / name).is_dir():
    # TFDS's own message would be of a file format.
    known = tensorflow_datasets.list_builders(with_community_datasets=False)
    if name.split('/')[0] not in known:
      raise ValueError(
        f'data.name={name!r}: there is no such choice; there are '
        f'{", ".join(others)}, or the name of any TFDS image data set'
      )
    raise ValueError(
      f'data.name={name!r}: TFDS has not prepared it in {root}; run `tfds '
      f'build {name} --data_dir={root} --file_format=array_record` where there '
      'is TensorFlow, or point data.dir or TFDS_DATA_DIR at where it is'
    )
  try:
    return tensorflow_datasets.data_source(name, split=split, data_dir=root)
  except (ValueError, KeyError, NotImplementedError) as error:
    reason = ' '.join(str(error).split())
    raise ValueError(
      f'data.split={split!r}: TFDS cannot read it from {root / name} '
      f'({reason[:300]})'
    ) from None
