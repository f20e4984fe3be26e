"""Data that are not there: their shape, for a program that is only compiled."""

import math
from typing import NamedTuple

import jax
import numpy as np

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import opening, source as sources


class ImageSpec(NamedTuple):
  """What is known of a set of images without it.

  Attributes:
    shape: of one image, `(H, W, C)`; `()` where it is not known.
    classes: that its labels tell apart; 0 without labels.
    examples: images in it; 0 where it is not known.
  """

  shape: tuple[int, ...] = ()
  classes: int = 0
  examples: int = 0


# The training splits, as the pages of TensorFlow Datasets give them.
KNOWN = {
  'mnist': ImageSpec((28, 28, 1), 10, 60_000),
  'fashion_mnist': ImageSpec((28, 28, 1), 10, 60_000),
  'kmnist': ImageSpec((28, 28, 1), 10, 60_000),
  'cifar10': ImageSpec((32, 32, 3), 10, 50_000),
  'cifar100': ImageSpec((32, 32, 3), 100, 50_000),
  'svhn_cropped': ImageSpec((32, 32, 3), 10, 73_257),
  'imagenet_resized/32x32': ImageSpec((32, 32, 3), 1000, 1_281_167),
  'imagenet_resized/64x64': ImageSpec((64, 64, 3), 1000, 1_281_167),
  'imagenet2012': ImageSpec((), 1000, 1_281_167),
}


def form_of(data: configs.Data, given: ImageSpec) -> ImageSpec:
  """What the configuration and `KNOWN` say, with what is given in front.

  Raises:
    ValueError: the shape of an image follows from none of them.
  """
  known = KNOWN.get(data.name, ImageSpec())
  shape = given.shape or known.shape
  if data.size:
    channels = shape[-1] if shape else 3
    shape = (data.size, data.size, channels)
  if not shape:
    raise ValueError(
      f'data.name={data.name!r}, data.size=0: the shape of its images is not '
      'known without them; give --image=HEIGHTxWIDTHxCHANNELS'
    )
  if data.channels:
    shape = (*shape[:2], data.channels)
  return ImageSpec(
    shape, given.classes or known.classes, given.examples or known.examples
  )


def open_absent(
  data: configs.Data,
  key: jax.Array,
  shape: tuple[int, int],
  given: ImageSpec,
  devices: int = 1,
) -> sources.Source:
  """A source with the shapes of the configured one, and images of nothing.

  What needs no files (densities, points, digits) is opened as it is. Images of
  an unknown number are taken as too many for the device, and streamed.

  Args:
    data: of a validated configuration.
    key: the data's key.
    shape: `(R, B)`, rounds of a step and samples of each.
    given: what the user says of the images.
    devices: on which they are to be.

  Raises:
    ValueError: the shape of an image is not known.
  """
  if data.name in opening.WITHOUT_FILES:
    return opening.open_source(data, key, shape, shared=False)
  form = form_of(data, given)
  height, width, channels = form.shape
  opening.check_stack(data, channels)
  classes, labels = form.classes, form.classes**data.stack
  info = sources.Info(
    kind='images',
    shape=(height, width, channels * data.stack),
    num_examples=form.examples or 2**31 // math.prod(shape) // data.stack,
    class_names=tuple(map(str, range(classes))),
    class_shares=(1 / labels,) * labels if classes else (),
  )
  treatment = sources.Treatment(data.flip, data.stack, classes, data.dequantise)
  marginals = np.zeros(form.shape, np.float32)
  num_bytes = form.examples * math.prod(form.shape)
  if form.examples and num_bytes <= opening.most_on_devices(data, devices):
    one = np.zeros((1, *form.shape), np.uint8)
    its = np.zeros(1, np.int32) if classes else None
    return sources.images_on_device(
      one,
      its,
      info,
      shape,
      treatment,
      marginals=marginals,
      split=data.placement == 'split',
    )

  def fetch(rows: types.PyTree) -> tuple[np.ndarray, np.ndarray | None]:
    # Of no memory: one byte, seen as so many.
    pixels = np.broadcast_to(np.uint8(0), (len(rows), *form.shape))
    return pixels, np.zeros(len(rows), np.int32) if classes else None

  return sources.images_streamed(
    fetch, info, key, shape, treatment, marginals=marginals
  )


def chunk_shapes(source: sources.Source, length: int) -> types.PyTree:
  """Shapes of what the steps of a chunk read, with all images of the set."""
  arrays = source.chunk(0, length)
  count = source.info.num_examples

  def shape(x: jax.Array) -> jax.ShapeDtypeStruct:
    held = source.info.kind == 'images' and not isinstance(arrays, dict)
    lead = (count, *x.shape[1:]) if held else x.shape
    return jax.ShapeDtypeStruct(lead, x.dtype)

  return jax.tree.map(shape, arrays)


def parse_shape(text: str | None) -> tuple[int, ...]:
  """`64x64x3` as a shape; `()` of None.

  Raises:
    ValueError: it is none of an image.
  """
  if text is None:
    return ()
  sizes = text.split('x')
  if len(sizes) != 3 or not all(n.isdecimal() and int(n) for n in sizes):
    raise ValueError(
      f'--image={text}: must be HEIGHTxWIDTHxCHANNELS, as 64x64x3'
    )
  return tuple(map(int, sizes))
