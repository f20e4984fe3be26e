"""LPIPS, a distance of images that was fitted to what people see.

Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", version 0.1 of its code with VGG-16 (Simonyan & Zisserman
2015):

    d(x, y) = sum_l E_place sum_c w_lc (f_lc(x) - f_lc(y))^2

where f_l is what is after the last rectifier of each of the five stages, of
length 1 over the channels at each place.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.evaluation import (
  features,
  pretrained,
  reader as readers,
  resizers,
  vit,
)
from gan_jax.ops import conv

VGG = pretrained.Published(
  'vgg16-397923af.pth',
  'https://download.pytorch.org/models/vgg16-397923af.pth',
)
LINEAR = pretrained.Published(
  'lpips_vgg.pth',
  'https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/'
  'lpips/weights/v0.1/vgg.pth',
)

# VGG-16's stages: channels and convolutions, and, between two of them, a layer
# that halves sides.
_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))

# So that the last stage has a place.
LEAST_SIDE = 16

_EPSILON = 1e-10


class Distance(NamedTuple):
  """A distance of images, and what a stamp must say of it.

  Attributes:
    params: its weights, an argument so that no program contains them.
    apply: `apply(params, x, y)` of images `[N, H, W, C]` in [-1, 1], `[N]`.
    facts: by name.
  """

  params: types.PyTree
  apply: Callable[[types.PyTree, jax.Array, jax.Array], jax.Array]
  facts: Mapping[str, str] = {}


def convert(
  vgg: Mapping[str, np.ndarray], linear: Mapping[str, np.ndarray]
) -> types.PyTree:
  """The parameters of `distance`.

  Args:
    vgg: of torchvision's VGG-16, by name: 'features.0.weight'.
    linear: of LPIPS with VGG-16: 'lin0.model.1.weight'.

  Returns:
    For each stage its convolutions and the weights of its channels.

  Raises:
    ValueError: an array is missing, has another shape, or is of another
      network.
  """
  reader = readers.Reader(vgg, "torchvision's VGG-16")
  weights = readers.Reader(linear, 'LPIPS with VGG-16')
  stages, place, old = [], 0, 3
  for stage, (width, depth) in enumerate(_STAGES):
    layers = []
    for _ in range(depth):
      name = f'features.{place}'
      kernel = reader.take(f'{name}.weight', [width, old, 3, 3])
      bias = reader.take(f'{name}.bias', [width])
      layers.append({'kernel': kernel.transpose(2, 3, 1, 0), 'bias': bias})
      # A rectifier is between two convolutions.
      place, old = place + 2, width
    place += 1
    fitted = weights.take(f'lin{stage}.model.1.weight', [1, width, 1, 1])
    stages.append({'layers': layers, 'weight': fitted.reshape(width)})
  reader.check_left('classifier.')
  weights.check_left()
  return stages


def _seen(params: types.PyTree, x: jax.Array) -> Iterator[jax.Array]:
  """What each stage sees, of which d is the squared distance.

  Its products are of float32 on all devices.

  Args:
    params: of `convert`.
    x: images `[N, H, W, C]` in [-1, 1].

  Yields:
    sqrt(w_lc / places) f_lc, `[N, H_l, W_l, C_l]`.
  """
  h = resizers.standardised(
    jnp.broadcast_to(x, (*x.shape[:3], 3)), resizers.IMAGENET
  )
  for i, stage in enumerate(params):
    if i:
      h = nn.max_pool(h, (2, 2), (2, 2))
    for layer in stage['layers']:
      with jax.default_matmul_precision('highest'):
        h = conv.conv(h, layer['kernel'], padding='SAME')
      h = nn.relu(h + layer['bias'].reshape(1, 1, 1, -1))
    squared = jnp.square(h).sum(axis=-1, keepdims=True)
    # The root has no slope at 0, where all channels are.
    length = jnp.sqrt(jnp.maximum(squared, _EPSILON**2))
    share = stage['weight'] / (h.shape[1] * h.shape[2])
    yield jnp.sqrt(share).reshape(1, 1, 1, -1) * h / (length + _EPSILON)


def distance(params: types.PyTree, x: jax.Array, y: jax.Array) -> jax.Array:
  """d(x, y), `[N]`, 0 or more.

  Args:
    params: of `convert`.
    x: images `[N, H, W, C]` in [-1, 1], C 1 or 3, sides of `LEAST_SIDE` or
      more.
    y: as many.
  """
  total = jnp.zeros(len(x))
  for seen in _seen(params, jnp.concatenate([x, y])):
    of_x, of_y = jnp.split(seen, 2)
    total += jnp.square(of_x - of_y).sum(axis=(1, 2, 3))
  return total


def embed(params: types.PyTree, x: jax.Array) -> types.Features:
  """Points `[N, D]` whose squared distances are d, and no logits.

  Arguments as of `distance`; D is some 30 numbers a pixel.
  """
  parts = [seen.reshape(len(x), -1) for seen in _seen(params, x)]
  return vit.without_logits(jnp.concatenate(parts, axis=1))


def read(vgg: str = '', linear: str = '') -> Distance:
  """LPIPS by two files of weights.

  Args:
    vgg: torchvision's VGG-16; '' is the usual one in the cache.
    linear: the weights of channels; likewise.

  Raises:
    ValueError: one is not there, cannot be read, or is of another network.
  """
  of_vgg, vgg_digest = pretrained.arrays(VGG, vgg)
  of_linear, linear_digest = pretrained.arrays(LINEAR, linear)
  facts = {'vgg_sha256': vgg_digest, 'lpips_sha256': linear_digest}
  params = jax.device_put(convert(of_vgg, of_linear))
  return Distance(params, distance, facts)


def extractor(vgg: str, linear: str, side: int) -> features.Extractor:
  """`embed` by those files, for images of a side.

  Raises:
    ValueError: as `read`, or images are too small.
  """
  if side < LEAST_SIDE:
    raise ValueError(
      f'lpips: images have a side of {side} pixels, and {LEAST_SIDE} are the '
      'least'
    )
  found = read(vgg, linear)
  digest = found.facts['vgg_sha256']
  return features.Extractor(
    'lpips', digest, found.params, jax.jit(embed), found.facts
  )
