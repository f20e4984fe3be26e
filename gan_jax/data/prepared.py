"""TensorFlow Datasets, read without TensorFlow."""

import functools
import hashlib
import io
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import PIL

from gan_jax import cache
from gan_jax.data import decoding, files, idx, images, pixels

# Raised by a change of what decoding gives.
_DECODING = 2

# Records that are decoded at once, and that stand for all.
_SOME = 200
_SAMPLE = 10_000


def open_tfds(
  name: str,
  directory: str,
  split: str,
  asked: pixels.Form,
  others: Sequence[str],
  most: float = math.inf,
  field: str = 'data.split',
  accept: images.Accept = images.accept_all,
) -> images.ImageSet:
  """A TensorFlow Datasets image set.

  Args:
    name: as TFDS knows it, with or without a config ('mnist', 'emnist/mnist').
    directory: the TFDS data directory, or a folder of MNIST's own files (see
      `idx`); '' is $TFDS_DATA_DIR, then ~/tensorflow_datasets.
    split: such as 'train' or 'test[:90%]'.
    asked: what the images are to become; 0 channels are those of the data.
    others: names that are not TFDS's, for the message on an unknown one.
    most: as in `folder.open_folder`.
    field: as in `folder.open_folder`.
    accept: as in `folder.open_folder`.

  Raises:
    ValueError: the set is not prepared there, the split does not exist, or
      its examples hold no images that can be made alike.
  """
  source = _open(name, _root(directory), split, others, field)
  features = source.dataset_info.features
  if 'image' not in features:
    raise ValueError(
      f'data.name={name!r}: its examples have no image, only {list(features)}'
    )
  dtype = np.dtype(features['image'].np_dtype)
  if dtype == np.uint16:
    # What TFDS itself decodes by OpenCV alone.
    import tensorflow_datasets

    source.decoders = {'image': tensorflow_datasets.decode.SkipDecoding()}
  class_names = _class_names(features)
  key = _key(source, (name, split, asked, class_names))
  with cache.alone(f'images-{key}'):
    known = images.read_notes(key) or {}
    form = _form(source, asked, dtype, known.get('top'))
    read = functools.partial(_read, source, form, bool(class_names), name)
    shape = len(source), *read([0])[0].shape[1:]
    array = images.kept(key, shape) if 'labels' in known else None
    if array is None:
      accept(shape[1:], class_names)
      array, known = _decoded(read, key, shape, most)
      images.write_notes(key, known | {'top': form.tops[1]})
  own = known.get('labels')
  labels = None if own is None else np.array(own, np.int32)

  def fetch(rows: Sequence[int]) -> images.Pixels:
    if array is None:
      return read(rows)
    index = np.asarray(rows)
    return array[index], None if labels is None else labels[index]

  notes = []
  height, width = (features['image'].shape or (None, None))[:2]
  if None not in (height, width) and (height, width) != shape[1:3]:
    notes.append(f'resized from {width}x{height}')
  if dtype != np.uint8:
    what = '16 bits' if dtype == np.uint16 else 'floats'
    notes.append(f'{len(source):,} of {what} scaled to 8 bits')
  elif (features['image'].shape or (None,))[-1] in (2, 4):
    notes.append(f'{len(source):,} with transparency put on {asked.background}')
  return images.ImageSet(
    len(source), shape[1:], fetch, class_names, key, labels, tuple(notes), array
  )


def _form(
  source: Any, asked: pixels.Form, dtype: np.dtype[Any], top: float | None
) -> pixels.Form:
  """What its images become, once what was left open is settled.

  Args:
    source: of TFDS.
    asked: what was.
    dtype: of its images.
    top: of its floats, where that is known already.

  Raises:
    ValueError: its floats have no known range.
  """
  channels = asked.channels
  if not channels:
    first = source[0]['image']
    if isinstance(first, bytes):
      with pixels.quietly(), pixels.opened(io.BytesIO(first)) as image:
        channels = 3 if pixels.header(image).colour else 1
    else:
      channels = 1 if first.shape[-1] < 3 else 3
  if top is None and dtype == np.float32:
    top = 1.0
    with decoding.progress(len(source), 'measuring') as bar:
      for row in range(len(source)):
        image = source[row]['image']
        low, high = float(image.min()), float(image.max())
        pixels.check_extent(f'image {row:,}', low, high, 'floats')
        top = max(top, pixels.float_top(high))
        bar.update()
  return asked._replace(channels=channels, tops=(asked.tops[0], top or 1.0))


def _read(
  source: Any,
  form: pixels.Form,
  labelled: bool,
  name: str,
  rows: Sequence[int],
) -> images.Pixels:
  """Some of its images and labels, decoded."""
  examples = [source[row] for row in rows]
  with pixels.quietly():
    found = [
      pixels.decode(e['image'], form)
      if isinstance(e['image'], bytes)
      else pixels.render_array(e['image'], form)
      for e in examples
    ]
  if len({image.shape for image in found}) > 1:
    one, other = [*dict.fromkeys(image.shape for image in found)][:2]
    raise ValueError(
      f'data.size=0: images of {name} differ in size ({one[0]}x{one[1]} and '
      f'{other[0]}x{other[1]}); give the size to make them'
    )
  labels = [e['label'] for e in examples] if labelled else []
  return np.stack(found), np.array(labels, np.int32) if labelled else None


def _class_names(features: Any) -> tuple[str, ...]:
  """Of the labels among TFDS's features; `()` where they are no classes."""
  if 'label' not in features or not hasattr(features['label'], 'num_classes'):
    return ()
  label = features['label']
  return tuple(label.int2str(i) for i in range(label.num_classes))


def _key(source: Any, asked: tuple[Any, ...]) -> str:
  """Of its files' names, sizes and times, and of a sample of its records."""
  info = source.dataset_info
  own = isinstance(source, idx.Source)
  files = info.files if own else pathlib.Path(str(info.data_dir)).glob('*')
  stamps = sorted(
    (path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files
  )
  facts = (_DECODING, PIL.__version__, str(info.version), len(source), stamps)
  digest = hashlib.blake2b(repr((facts, asked)).encode(), digest_size=16)
  count = min(len(source), _SAMPLE)
  for start in range(0, count, _SOME):
    some = range(start, min(start + _SOME, count))
    rows = [i * len(source) // count for i in some]
    for record in source.data_source.__getitems__(rows):
      digest.update(record)
  return digest.hexdigest()


def _decoded(
  read: Callable[[Sequence[int]], images.Pixels],
  key: str,
  shape: tuple[int, ...],
  most: float,
) -> tuple[np.ndarray | None, dict[str, Any]]:
  """All images `[N, H, W, C]`, by way of the cache, and their labels.

  Where it has no room, they are in memory; where that has none, there are
  neither.
  """
  labels: list[int] = []

  def parts() -> Iterator[np.ndarray]:
    labels.clear()
    with decoding.progress(shape[0], 'decoding') as bar:
      for start in range(0, shape[0], _SOME):
        rows = range(start, min(start + _SOME, shape[0]))
        found, label = read(rows)
        if found.shape[1:] != shape[1:]:
          read([0, start])  # Says in what they differ.
        labels.extend([] if label is None else label.tolist())
        yield found
        bar.update(len(rows))

  def fill(path: pathlib.Path, offset: int) -> None:
    with path.open('r+b') as file:
      file.seek(offset)
      for part in parts():
        file.write(np.ascontiguousarray(part).data)

  array = images.keep(key, shape, shape[0], fill)
  if array is None and math.prod(shape) <= most:
    array = np.concatenate([*parts()])
  return array, {} if array is None else {'labels': labels or None}


def overlap(
  name: str, directory: str, splits: Mapping[str, str], others: Sequence[str]
) -> bool:
  """Whether two slices share examples.

  Args:
    name: as in `open_tfds`.
    directory: the same.
    splits: two, such as 'train[:90%]' and 'train[50000:]+test', by the fields
      of the configuration that ask for them.
    others: as in `open_tfds`.

  Raises:
    ValueError: as `open_tfds`.
  """
  import tensorflow_datasets

  parts = []
  for field, split in splits.items():
    source = _open(name, _root(directory), split, others, field)
    instruction = tensorflow_datasets.core.ReadInstruction.from_spec(split)
    sizes = source.dataset_info.splits
    parts.append([
      (part.splitname, part.from_ or 0,
       sizes[part.splitname].num_examples if part.to is None else part.to)
      for part in instruction.to_absolute(sizes)
    ])  # fmt: skip
  return any(
    a[0] == b[0] and max(a[1], b[1]) < min(a[2], b[2])
    for a in parts[0]
    for b in parts[1]
  )


def _root(directory: str) -> pathlib.Path:
  asked = directory or os.environ.get('TFDS_DATA_DIR')
  return pathlib.Path(asked or '~/tensorflow_datasets').expanduser()


def _open(
  name: str, root: pathlib.Path, split: str, others: Sequence[str], field: str
) -> Any:
  """TFDS's random-access source; the arguments and errors of `open_tfds`."""
  import tensorflow_datasets  # Imported here: slow, and rarely needed.

  if idx.are_there(name, root):
    return idx.open_source(name, root, split, field)
  if not (root / name).is_dir():
    # TFDS's own message would be of a file format.
    known = tensorflow_datasets.list_builders(with_community_datasets=False)
    if name.split('/')[0] not in known:
      raise ValueError(
        f'data.name={name!r}: there is no such choice; there are '
        f'{", ".join(others)}, or the name of any TFDS image data set'
      )
    if files.seem_to_be_images(root):
      raise ValueError(
        f'data.name={name!r}: {root} has images and no set of TFDS; '
        'data.name=folder takes them, with data.size=PIXELS'
      )
    raise ValueError(
      f'data.name={name!r}: TFDS has not prepared it in {root}; run `tfds '
      f'build {name} --data_dir={root} --file_format=array_record` where there '
      f'is TensorFlow, or point data.dir or TFDS_DATA_DIR at {idx.places(name)}'
    )
  try:
    return tensorflow_datasets.data_source(name, split=split, data_dir=root)
  except (ValueError, KeyError, NotImplementedError) as error:
    reason = ' '.join(str(error).split())
    raise ValueError(
      f'{field}={split!r}: TFDS cannot read it from {root / name} '
      f'({reason[:300]})'
    ) from None
