"""Images of one's own: in a folder or a zip file, a sub-folder a class.

Every file is looked at by its content. What is no image, or a broken one, is
left out and named.
"""

import concurrent.futures
import contextlib
import functools
import hashlib
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL

from gan_jax import cache
from gan_jax.config import words
from gan_jax.data import decoding, files, images, pixels, splits

# Raised by a change of what decoding gives.
_DECODING = 2


class Asked(NamedTuple):
  """What the images are to become.

  Its name and fields are hashed into the fingerprints of data.

  Attributes:
    size: centre-crop and area-resize to size x size; 0 keeps the size of
      images that are all alike.
    channels: 1, 3, or 0 for colour if any image has it.
    background: the colour that transparency is put on.
  """

  size: int = 0
  channels: int = 0
  background: str = 'white'


class _Known(NamedTuple):
  """What is known of a listing's files once they have been looked at.

  Attributes:
    good: positions of the images among the names.
    form: what they become.
    shape: of each.
    refused: why an image cannot be read, by its name.
    other: how many files of each suffix are no images.
    made: what was made of how many images, and is to be said.
    decoded: whether all have been decoded, not only their headers.
  """

  good: list[int]
  form: pixels.Form
  shape: tuple[int, int, int]
  refused: dict[str, str]
  other: dict[str, int]
  made: dict[str, int]
  decoded: bool = False


def open_folder(
  directory: str,
  asked: Asked,
  split: str = 'train',
  most: float = math.inf,
  field: str = 'data.split',
  accept: images.Accept = images.accept_all,
) -> images.ImageSet:
  """Images below a folder or in a zip file: one sub-folder a class, or none.

  `dataset.json`, as StyleGAN has it, gives labels in place of the folders'.

  Args:
    directory: the folder, the zip file, or a folder in the zip file.
    asked: what the images are to become.
    split: 'train', or a slice of it such as 'train[:90%]'.
    most: bytes of images that may stay in memory where none can be kept on the
      disk; more are decoded again whenever they are read.
    field: of the configuration, that asks for the split.
    accept: called before anything is decoded.

  Raises:
    ValueError: there are no images, most are broken, sizes differ, or their
      folders or labels make no classes.
  """
  splits.parse(split, field)
  listing = files.find(directory)
  key = _key(listing, asked)
  with cache.alone(f'images-{key}'):
    known, array = _decoded(listing, key, asked, most, accept)
  names = [listing.names[i] for i in known.good]
  labelled = files.classes(listing, names)
  chosen = splits.by_name(names, split)
  if not len(chosen):
    raise ValueError(
      f'{field}={split!r}: has none of the {len(names):,} images of {directory}'
    )
  good = np.array(known.good, np.int64)[chosen]
  labels = None if labelled.labels is None else labelled.labels[chosen]

  def fetch(rows: Sequence[int]) -> images.Pixels:
    index = np.asarray(rows)
    label = None if labels is None else labels[index]
    if array is not None:
      return array[good[index]], label
    return _read([names[i] for i in chosen[index]], listing, known), label

  whole = hashlib.blake2b(f'{key} {split}'.encode(), digest_size=16)
  return images.ImageSet(
    total=len(chosen),
    shape=known.shape,
    fetch=fetch,
    class_names=labelled.names,
    key=whole.hexdigest(),
    labels=labels,
    notes=_notes(listing, known, labelled, split),
    whole=array if array is not None and len(good) == len(array) else None,
  )


def _key(listing: files.Listing, asked: Asked) -> str:
  """Of names, sizes and times, of what is asked for, and of some contents.

  The contents tell sets apart whose files are alike in all else.
  """
  digest = hashlib.blake2b(digest_size=16)
  digest.update(repr((_DECODING, PIL.__version__, asked)).encode())
  for name, stamp in zip(listing.names, listing.stamps, strict=True):
    digest.update(f'{name}\0{stamp}\0'.encode('utf-8', 'surrogateescape'))
  # A zip file's stamps are of the contents.
  count = 0 if listing.place.archive else min(len(listing.names), 256)
  for i in range(count):
    name = listing.names[i * len(listing.names) // count]
    try:
      with listing.place.open(name) as file:
        digest.update(hashlib.blake2b(file.read(2**20)).digest())
    except OSError:
      digest.update(b'unreadable')
  return digest.hexdigest()


def _decoded(
  listing: files.Listing,
  key: str,
  asked: Asked,
  most: float,
  accept: images.Accept,
) -> tuple[_Known, np.ndarray | None]:
  """What is known of the files, and their images `[names, H, W, C]`.

  The images are those of the cache; where it has no room, in memory; where
  that has none either, None.
  """
  stored = _from_json(images.read_notes(key))
  count = len(listing.names)
  if stored:
    array = images.kept(key, (count, *stored.shape))
    if array is not None:
      return stored, array
  with decoding.Workers(count) as workers:
    known = stored or _looked(workers, listing, asked)
    names = [listing.names[i] for i in known.good]
    # An image without a class may turn out to be broken, and is then left out.
    with contextlib.suppress(files.UnclassedError):
      labelled = files.classes(listing, names)
      accept(known.shape, labelled.names)
    broken: dict[str, str] = {}
    array = _kept(workers, listing, key, known, broken)
    if array is None:
      broken.clear()
      array = _in_memory(workers, listing, known, most, broken)
  known = _without(listing, known, broken)
  images.write_notes(key, known._asdict())
  return known, array


def _kept(
  workers: decoding.Workers,
  listing: files.Listing,
  key: str,
  known: _Known,
  broken: dict[str, str],
) -> np.ndarray | None:
  """The images, decoded into the cache if it has room; notes broken ones."""
  names = [listing.names[i] for i in known.good]

  def fill(path: pathlib.Path, offset: int) -> None:
    write = functools.partial(
      decoding.write, form=known.form, shape=known.shape, path=path
    )
    stride = math.prod(known.shape)
    offsets = [offset + i * stride for i in known.good]
    found = workers.map(write, listing.place, names, 'decoding', offsets)
    broken.update(_refused(names, found))

  shape = len(listing.names), *known.shape
  return images.keep(key, shape, len(names), fill)


def _in_memory(
  workers: decoding.Workers,
  listing: files.Listing,
  known: _Known,
  most: float,
  broken: dict[str, str],
) -> np.ndarray | None:
  """The images, where they take at most so many bytes; notes broken ones."""
  names = [listing.names[i] for i in known.good]
  if len(names) * math.prod(known.shape) > most:
    if not known.decoded:
      check = functools.partial(
        decoding.check, form=known.form, shape=known.shape
      )
      found = workers.map(check, listing.place, names, 'decoding')
      broken.update(_refused(names, found))
    return None
  array = np.zeros((len(listing.names), *known.shape), np.uint8)
  decode = functools.partial(
    decoding.images, form=known.form, shape=known.shape
  )
  decoded = workers.map(decode, listing.place, names, 'decoding')
  for i, image in zip(known.good, decoded, strict=True):
    if isinstance(image, decoding.Refused):
      broken[listing.names[i]] = image.reason
    else:
      array[i] = image
  return array


def _read(
  names: Sequence[str], listing: files.Listing, known: _Known
) -> np.ndarray:
  """Images by name, decoded in threads."""
  look = functools.partial(decoding.images, form=known.form, shape=known.shape)
  parts = [[name] for name in names]
  with pixels.quietly(), concurrent.futures.ThreadPoolExecutor() as pool:
    found = [
      image
      for (image,) in pool.map(lambda part: look(listing.place, part), parts)
    ]
  for name, image in zip(names, found, strict=True):
    if isinstance(image, decoding.Refused):
      raise ValueError(f'{listing.place.path}: {name}: {image.reason}')
  return np.stack(found)


def _refused(names: Sequence[str], found: Any) -> dict[str, str]:
  return {
    name: refused.reason
    for name, refused in zip(names, found, strict=True)
    if refused
  }


def _looked(
  workers: decoding.Workers, listing: files.Listing, asked: Asked
) -> _Known:
  """What the headers tell.

  Raises:
    ValueError: there are no images, most are broken, or they cannot be made
      alike.
  """
  found = [
    *workers.map(decoding.headers, listing.place, listing.names, 'reading')
  ]
  refused, other = dict(listing.broken), []
  headers: dict[int, pixels.Header] = {}
  for i, (name, header) in enumerate(zip(listing.names, found, strict=True)):
    if not isinstance(header, decoding.Refused):
      headers[i] = header
    elif (
      header.known or pathlib.PurePath(name).suffix.lower() in files.SUFFIXES
    ):
      refused[name] = header.reason
    else:
      other.append(name)
  _check_enough(listing, len(headers), refused)
  form = pixels.Form(
    asked.size,
    asked.channels or (3 if any(h.colour for h in headers.values()) else 1),
    asked.background,
    _tops(workers, listing, headers),
  )
  sizes = {(h.width, h.height): i for i, h in reversed(headers.items())}
  if not asked.size and len(sizes) > 1:
    (a, one), (b, two) = list(sizes.items())[:2]
    raise ValueError(
      f'{listing.place.path}: images differ in size ({listing.names[one]} is '
      f'{a[0]}x{a[1]}, {listing.names[two]} {b[0]}x{b[1]}); give the size to '
      'make them: data.size, or --size of experiments.evaluate'
    )
  width, height = (asked.size,) * 2 if asked.size else next(iter(sizes))
  made = {
    **{
      f'of {wide} scaled to 8 bits': _count(headers, 'wide', wide)
      for wide in pixels.WIDE
    },
    f'with transparency put on {asked.background}': _count(
      headers, 'alpha', True
    ),
    'by their first frame': _count(headers, 'frames', True),
    f'enlarged to {width}x{height}': sum(
      min(h.width, h.height) < min(width, height) for h in headers.values()
    ),
  }
  shape = height, width, form.channels
  others = files.by_suffix(other)
  return _Known([*headers], form, shape, refused, others, made)


def _count(headers: dict[int, pixels.Header], field: str, value: object) -> int:
  return sum(getattr(header, field) == value for header in headers.values())


def _tops(
  workers: decoding.Workers,
  listing: files.Listing,
  headers: dict[int, pixels.Header],
) -> tuple[float, float]:
  """What becomes 255: by the range of all that have such values.

  Raises:
    ValueError: naming an image whose values have no known range.
  """
  highest = [0.0, 0.0]
  for kind, wide in enumerate(pixels.WIDE[1:]):
    names = [listing.names[i] for i, h in headers.items() if h.wide == wide]
    found = workers.map(decoding.extents, listing.place, names, 'measuring')
    for name, extent in zip(names, found, strict=True):
      if not isinstance(extent, decoding.Refused):
        pixels.check_extent(f'{listing.place.path}: {name}', *extent, wide)
        highest[kind] = max(highest[kind], extent[1])
  return pixels.integer_top(highest[0]), pixels.float_top(highest[1])


def _without(
  listing: files.Listing, known: _Known, broken: dict[str, str]
) -> _Known:
  """Once all are decoded: without those that could not be.

  Raises:
    ValueError: they are most of the images.
  """
  good = [i for i in known.good if listing.names[i] not in broken]
  refused = known.refused | broken
  _check_enough(listing, len(good), refused)
  return known._replace(good=good, refused=refused, decoded=True)


def _check_enough(
  listing: files.Listing, good: int, refused: dict[str, str]
) -> None:
  """Raises ValueError where there are fewer images than broken ones."""
  where = f'data.dir={listing.place.path + "/" + listing.place.inside!r}'
  if good < len(refused):
    told = [f'{name} ({why})' for name, why in list(refused.items())[:5]]
    more = ', ...' if len(refused) > 5 else ''
    raise ValueError(
      f'{where}: {len(refused):,} of {good + len(refused):,} images cannot be '
      f'read: {", ".join(told)}{more}'
    )
  if not good:
    packed = [name for name in listing.names if name.endswith('.zip')]
    hint = f'; if its images are in {packed[0]}, give that' if packed else ''
    raise ValueError(
      f'{where}: no image in it ({", ".join(pixels.FORMATS).lower()}){hint}'
    )


def _from_json(stored: dict[str, Any] | None) -> _Known | None:
  """What `images.write_notes` was given."""
  try:
    known = _Known(**stored or {})
    form = pixels.Form(*known.form)
    low, high = form.tops
    height, width, channels = known.shape
  except (TypeError, ValueError):
    return None
  shape = height, width, channels
  return known._replace(form=form._replace(tops=(low, high)), shape=shape)


def _notes(
  listing: files.Listing,
  known: _Known,
  labelled: files.Classes,
  split: str,
) -> tuple[str, ...]:
  """What was left out, and what was made of the rest."""
  notes = []
  if split != 'train':
    notes.append(f'{split} of {len(known.good):,}')
  other = dict(known.other)
  if labelled.listed:
    other['.json'] -= 1
  parts = [f'{n:,} {suffix}' for suffix, n in other.items() if n]
  if known.refused:
    more = ', ...' if len(known.refused) > 5 else ''
    told = ', '.join([*known.refused][:5])
    parts.append(f'{len(known.refused):,} unreadable: {told}{more}')
  count = sum(other.values()) + len(known.refused)
  if count:
    told = ', '.join(parts)
    notes.append(f'{words.counted(count, "file")} ignored ({told})')
  if listing.hidden:
    names = words.counted(listing.hidden, 'hidden name')
    notes.append(f'{names} skipped')
  return (*notes, *(f'{n:,} {what}' for what, n in known.made.items() if n))
