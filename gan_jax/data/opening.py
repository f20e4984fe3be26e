"""From the configuration of the data to a source of batches."""

import math
from collections.abc import Sequence

import jax
import numpy as np

from gan_jax.config import fields as configs
from gan_jax.data import densities, images, source as sources

# Larger sets are decoded whenever a block of them is looked at.
_HELD_BYTES = 2**29


def open_source(
  data: configs.Data, key: jax.Array, size: int, *, shared: bool
) -> sources.Source:
  """Opens the data: a density by name, or images.

  Args:
    data: of a validated configuration.
    key: the data's key.
    size: samples a step uses.
    shared: whether the members of a population share them.

  Raises:
    ValueError: the name is unknown, or the data cannot be read.
  """
  if data.name in densities.DENSITIES or data.name in densities.POINTS:
    return _density_source(data, size)
  return _image_source(data, key, size, shared=shared)


def _density_source(data: configs.Data, size: int) -> sources.Source:
  kind = 'density' if data.name in densities.DENSITIES else 'points'
  if data.stack > 1:
    raise ValueError(f'data.stack={data.stack}: stacks are made of images')
  law: densities.Density | densities.Points = (
    densities.DENSITIES if kind == 'density' else densities.POINTS
  )[data.name]
  mean, std = law.mean, law.std
  if not data.standardise:
    mean, std = np.zeros_like(mean), np.ones_like(std)
  info = sources.Info(
    kind=kind,
    shape=mean.shape,
    mean=tuple(mean.tolist()),
    std=tuple(std.tolist()),
    num_examples=data.num_points,
  )
  if data.num_points:
    # The data set is one and the same for every seed.
    x = law.sample(jax.random.key(0), data.num_points)
    return sources.points(x, info, size)
  return sources.drawn(law.sample, info, size)


def _open_images(data: configs.Data, split: str) -> images.ImageSet:
  """An image set by name; raises ValueError where it cannot be read."""
  if data.name == 'digits':
    return images.digits(data.size, data.channels)
  if data.name == 'folder':
    return images.folder(data.dir, data.size, data.channels)
  known = [*densities.DENSITIES, *densities.POINTS, 'digits', 'folder']
  return images.tfds(
    data.name, data.dir, split, data.size, data.channels, known
  )


def open_split(data: configs.Data, split: str) -> tuple[images.ImageSet, str]:
  """A split to be read by rows.

  Returns:
    The images, held where they are few, and their fingerprint, which is
    made as for training.

  Raises:
    ValueError: they cannot be read, or the set has no other splits.
  """
  if data.name in ('digits', 'folder') and split != data.split:
    raise ValueError(
      f'{split!r}: data.name={data.name!r} has no splits to choose from'
    )
  image_set = _open_images(data, split)
  size = image_set.total * math.prod(image_set.shape)
  if size <= _HELD_BYTES:
    image_set = images.held(image_set)
  rows: Sequence[int] = range(image_set.total)
  if size / 2**30 > data.device_limit_gb:
    rows = images.spread_rows(image_set.total)
  return image_set, images.fingerprint(
    image_set,
    (image_set.fetch(rows[i : i + 1000]) for i in range(0, len(rows), 1000)),
  )


def _image_source(
  data: configs.Data, key: jax.Array, size: int, *, shared: bool
) -> sources.Source:
  image_set = _open_images(data, data.split)
  height, width, channels = image_set.shape
  if data.stack > 1 and channels > 1:
    raise ValueError(
      f'data.stack={data.stack}: stacks are made of grey images, and these '
      f'have {channels} channels; data.channels=1 makes them grey'
    )
  classes = len(image_set.class_names)
  if classes**data.stack > 2**31:
    raise ValueError(
      f'data.stack={data.stack}: of {classes} classes there are too many stacks'
    )
  gib = image_set.total * math.prod(image_set.shape) / 2**30
  streamed = gib > data.device_limit_gb
  if streamed:
    pixels, labels = image_set.fetch(images.spread_rows(image_set.total))
  else:
    pixels, labels = images.read_all(image_set)
  info = sources.Info(
    kind='images',
    shape=(height, width, channels * data.stack),
    num_examples=image_set.total,
    class_names=image_set.class_names,
    fingerprint=images.fingerprint(image_set, [(pixels, labels)]),
  )
  treatment = sources.Treatment(data.flip, data.stack, classes)
  if streamed and shared:
    raise ValueError(
      f'data.device_limit_gb={data.device_limit_gb}: the {gib:.1f} GiB of '
      'images would be streamed, and the members of a population share what '
      'is on the device; raise it'
    )
  if streamed:
    marginals = sources.pixel_means(pixels)
    return sources.images_streamed(
      image_set.fetch, info, key, size, treatment, marginals=marginals
    )
  return sources.images_on_device(pixels, labels, info, size, treatment)
