"""LPIPS, a distance of images that was fitted to what people see.

Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", version 0.1 of its code with VGG-16 (Simonyan & Zisserman
2015):

    d(x, y) = sum_l E_place sum_c w_lc (f_lc(x) - f_lc(y))^2

where f_l is what is after the last rectifier of each of the five stages, of
length 1 over the channels at each place.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.evaluation import pretrained, reader as readers, resizers
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


def distance(params: types.PyTree, x: jax.Array, y: jax.Array) -> jax.Array:
  """d(x, y), `[N]`, 0 or more.

  Its products are of float32 on all devices.

  Args:
    params: of `convert`.
    x: images `[N, H, W, C]` in [-1, 1], C 1 or 3, sides of `LEAST_SIDE` or
      more.
    y: as many.
  """
  shape = (*x.shape[:3], 3)
  h = jnp.concatenate([jnp.broadcast_to(each, shape) for each in (x, y)])
  h = resizers.standardised(h, resizers.IMAGENET)
  total = jnp.zeros(len(x))
  with jax.default_matmul_precision('highest'):
    for i, stage in enumerate(params):
      if i:
        h = nn.max_pool(h, (2, 2), (2, 2))
      for layer in stage['layers']:
        h = conv.conv(h, layer['kernel'], padding='SAME')
        h = nn.relu(h + layer['bias'].reshape(1, 1, 1, -1))
      length = jnp.sqrt(jnp.square(h).sum(axis=-1, keepdims=True))
      of_x, of_y = jnp.split(h / (length + _EPSILON), 2)
      weight = stage['weight'].reshape(1, 1, 1, -1)
      apart = (weight * jnp.square(of_x - of_y)).sum(axis=-1)
      total += apart.mean(axis=(1, 2))
  return total


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
