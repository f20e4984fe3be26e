"""From the configuration of the data to a source of batches."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax
import numpy as np

from gan_jax.config import fields as configs
from gan_jax.data import (
  densities,
  folder,
  images,
  pixels as looks,
  prepared,
  source as sources,
  splits,
)

# What is drawn from a law, what needs no files, and what is none of TFDS's.
DRAWN = (*densities.DENSITIES, *densities.POINTS)
WITHOUT_FILES = (*DRAWN, 'digits')
OWN = (*WITHOUT_FILES, 'folder')


def open_source(
  data: configs.Data,
  key: jax.Array,
  shape: tuple[int, int],
  *,
  shared: bool,
  accept: Callable[[sources.Info], None] = lambda info: None,
) -> sources.Source:
  """Opens the data: a density by name, or images.

  Args:
    data: of a validated configuration.
    key: the data's key.
    shape: `(R, B)`, rounds of a step and samples of each.
    shared: whether the members of a population share them.
    accept: told what is known of images before any of them is decoded; raises
      ValueError where nothing can be done with them.

  Raises:
    ValueError: the name is unknown, or the data cannot be read.
  """
  if not data.name:
    raise ValueError(
      f"data.name='': must be one of {', '.join(OWN)}, or a set of TFDS"
    )
  if data.name in densities.DENSITIES or data.name in densities.POINTS:
    return _density_source(data, shape)
  _refuse(data, _OF_LAWS, 'has images')
  if data.name in WITHOUT_FILES:
    _refuse(data, ('dir', 'background'), 'needs none')
  return _image_source(data, key, shape, shared=shared, accept=accept)


# Fields that one kind of data alone reads.
_OF_IMAGES = (
  'flip', 'dequantise', 'size', 'channels', 'background', 'dir', 'split'
)  # fmt: skip
_OF_LAWS = 'standardise', 'num_points'


def _refuse(data: configs.Data, names: Sequence[str], why: str) -> None:
  """Raises ValueError where one of these fields is set."""
  usual = configs.Data()
  for name in names:
    value = getattr(data, name)
    if value != getattr(usual, name):
      raise ValueError(f'data.{name}={value!r}: data.name={data.name!r} {why}')


def _density_source(
  data: configs.Data, shape: tuple[int, int]
) -> sources.Source:
  kind = 'density' if data.name in densities.DENSITIES else 'points'
  if data.stack > 1:
    raise ValueError(f'data.stack={data.stack}: stacks are made of images')
  _refuse(data, _OF_IMAGES, 'has no images')
  if data.placement == 'split':
    raise ValueError(
      f"data.placement='split': data.name={data.name!r} has no images to "
      "split; set data.placement='copy'"
    )
  law: densities.Density | densities.Points = (
    densities.DENSITIES if kind == 'density' else densities.POINTS
  )[data.name]
  mean, std = law.mean, law.std
  if not data.standardise:
    mean, std = np.zeros_like(mean), np.ones_like(std)
  parts = law.parts if isinstance(law, densities.Points) else 0
  info = sources.Info(
    kind=kind,
    shape=mean.shape,
    mean=tuple(mean.tolist()),
    std=tuple(std.tolist()),
    num_examples=data.num_points,
    class_names=tuple(map(str, range(parts))),
    class_shares=(1 / parts,) * parts if parts else (),
  )
  if data.num_points:
    # The data set is one and the same for every seed.
    fixed = law.draw(jax.random.key(0), data.num_points)
    source = sources.points(fixed, info, shape)
    about = f'{data.num_points:,} points of {data.name}'
  else:
    source = sources.drawn(law.draw, info, shape)
    about = f'{data.name}, drawn afresh at every step'
  return dataclasses.replace(source, about=about)


def open_images(
  data: configs.Data,
  split: str,
  most: float = math.inf,
  field: str = 'data.split',
  accept: images.Accept = images.accept_all,
) -> images.ImageSet:
  """An image set by name.

  Args:
    data: of a validated configuration.
    split: of the set, or a slice of it.
    most: bytes of images that may stay in memory where the disk has no room.
    field: of the configuration, that asks for the split.
    accept: called before anything is decoded.

  Raises:
    ValueError: it cannot be read, or has no such split.
  """
  looks.check_background(data.background)
  if data.name == 'digits':
    return images.digits(data.size, data.channels, split, field, accept)
  if data.name == 'folder':
    asked = folder.Asked(data.size, data.channels, data.background)
    return folder.open_folder(data.dir, asked, split, most, field, accept)
  form = looks.Form(data.size, data.channels, data.background)
  return prepared.open_tfds(
    data.name, data.dir, split, form, OWN, most, field, accept
  )


def overlap(data: configs.Data, held_out: str) -> bool:
  """Whether `eval.held_out` shares images with `data.split`, by their names.

  Raises:
    ValueError: one of them is no split of this set.
  """
  if data.name in ('digits', 'folder'):
    splits.parse(held_out, 'eval.held_out')
    return splits.overlap(held_out, data.split)
  return prepared.overlap(
    data.name,
    data.dir,
    {'eval.held_out': held_out, 'data.split': data.split},
    OWN,
  )


def open_split(
  data: configs.Data, split: str, field: str = 'data.split'
) -> tuple[images.ImageSet, str]:
  """A split to be read by rows.

  Returns:
    The images, held or mapped where they fit on the device, and their
    fingerprint, which is made as for training.

  Raises:
    ValueError: they cannot be read, or the set has no such split.
  """
  most = data.device_limit_gb * 2**30
  image_set = _held(open_images(data, split, most, field), most)
  return image_set, images.kept_facts(image_set).fingerprint


def open_held_out(
  data: configs.Data, held_out: str
) -> tuple[images.ImageSet, str]:
  """What `eval.held_out` names, as `open_split`.

  Raises:
    ValueError: as there, or it shares images with `data.split`.
  """
  if overlap(data, held_out):
    raise ValueError(
      f'eval.held_out={held_out!r}: the generator is trained on it '
      f'(data.split={data.split!r})'
    )
  return open_split(data, held_out, 'eval.held_out')


def _held(image_set: images.ImageSet, most: float) -> images.ImageSet:
  """The set with all its images at hand, where they take so many bytes."""
  if _num_bytes(image_set) > most:
    return image_set
  pixels, labels = images.read_all(image_set)
  return images.in_memory(pixels, labels, image_set.class_names)


def most_on_devices(data: configs.Data, devices: int) -> float:
  """Bytes of images beyond which they are streamed."""
  parts = devices if data.placement == 'split' else 1
  return data.device_limit_gb * 2**30 * parts


def _num_bytes(image_set: images.ImageSet) -> int:
  return image_set.total * math.prod(image_set.shape)


def _shares(counts: np.ndarray, stack: int) -> tuple[float, ...]:
  """Of each label of a sample: images `[K]`, or stacks of them, `[K^stack]`."""
  if not counts.size:
    return ()
  share = one = counts / counts.sum()
  for _ in range(stack - 1):
    share = np.outer(share, one).reshape(-1)
  return tuple(share.tolist())


def check_stack(data: configs.Data, channels: int) -> None:
  """Raises ValueError where images of so many channels are to be stacked."""
  if data.stack > 1 and channels > 1:
    raise ValueError(
      f'data.stack={data.stack}: stacks are made of grey images, and these '
      f'have {channels} channels; data.channels=1 makes them grey'
    )


def _info(
  data: configs.Data,
  image: images.Shape,
  class_names: tuple[str, ...],
  counts: np.ndarray,
) -> sources.Info:
  """What images of a shape and of so many of each class become.

  Raises:
    ValueError: they cannot be stacked.
  """
  height, width, channels = image
  check_stack(data, channels)
  classes = len(class_names)
  if classes**data.stack > 2**31:
    raise ValueError(
      f'data.stack={data.stack}: of {classes} classes there are too many stacks'
    )
  return sources.Info(
    kind='images',
    shape=(height, width, channels * data.stack),
    class_names=class_names,
    class_shares=_shares(counts, data.stack),
  )


def _image_source(
  data: configs.Data,
  key: jax.Array,
  shape: tuple[int, int],
  *,
  shared: bool,
  accept: Callable[[sources.Info], None],
) -> sources.Source:
  def accept_info(image: images.Shape, class_names: tuple[str, ...]) -> None:
    # As if there were as many of each.
    accept(_info(data, image, class_names, np.ones(len(class_names))))

  most = most_on_devices(data, jax.device_count())
  image_set = open_images(data, data.split, most, accept=accept_info)
  needed = _num_bytes(image_set)
  if needed > most and shared:
    raise ValueError(
      f'data.device_limit_gb={data.device_limit_gb}: the '
      f'{needed / 2**30:.1f} GiB of images would be streamed, and the members '
      'of a population share what is on the device; raise it'
    )
  treatment = sources.Treatment(
    data.flip, data.stack, len(image_set.class_names), data.dequantise
  )
  held = _held(image_set, most)
  facts = images.kept_facts(held)
  marginals = sources.from_means(facts.means)
  info = _info(
    data, image_set.shape, image_set.class_names, facts.counts
  )._replace(num_examples=image_set.total, fingerprint=facts.fingerprint)
  if needed > most:
    source = sources.images_streamed(
      held.fetch, info, key, shape, treatment, marginals=marginals
    )
  else:
    assert held.whole is not None
    source = sources.images_on_device(
      held.whole,
      held.labels,
      info,
      shape,
      treatment,
      marginals=marginals,
      split=data.placement == 'split',
    )
  about = images.describe(image_set) + ', mirrored at random' * data.flip
  about += ', dequantised' * data.dequantise
  return dataclasses.replace(source, about=about)
