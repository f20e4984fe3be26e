"""Inception-v3 as FID uses it, which is not quite the published network.

The network of 2015-12-05 whose weights pytorch-fid ported: average pools leave
padding out of their means, and the last block pools by maxima (Szegedy et al.
2016, "Rethinking the Inception Architecture", figures 5 to 7 and 10). It is
never trained here, so that batch normalisation is part of the kernels.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.evaluation import reader, resizers
from gan_jax.ops import conv

# The side of the images it was trained on.
SIDE = 299

FEATURES, CLASSES = 2048, 1008

# Of pytorch-fid, whose checkpoint this is.
RESIZER = 'legacy_pytorch'

# What pixels in [0, 255] are divided by, after as much was taken from them:
# pytorch-fid and StudioGAN have 127.5, TensorFlow's graph and clean-fid 128.
_CENTRES = {'legacy_tensorflow': 128.0, 'clean': 128.0}

_EPSILON = 1e-3  # Of its batch normalisation.


class _Conv(nn.Module):
  """Convolution, bias and ReLU; padded by half a window unless 'VALID'."""

  features: int
  window: tuple[int, int] = (1, 1)
  stride: int = 1
  valid: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (*self.window, x.shape[-1], self.features)
    kernel = self.param('kernel', nn.initializers.he_normal(), shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    strides = (self.stride, self.stride)
    padding = 'VALID' if self.valid else 'SAME'
    y = conv.conv(x, kernel, strides=strides, padding=padding)
    return nn.relu(y + bias.reshape(1, 1, 1, -1))


def _max_pool(x: jax.Array) -> jax.Array:
  """Halves the sides."""
  return nn.max_pool(x, (3, 3), (2, 2))


def _average(x: jax.Array) -> jax.Array:
  """The mean of what a window of 3 x 3 meets, padding left out."""
  return nn.avg_pool(x, (3, 3), padding='SAME', count_include_pad=False)


# Modules and their parts are named as in the checkpoint.


class _BlockA(nn.Module):
  pooled: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    five = _Conv(48, name='branch5x5_1')(x)
    three = _Conv(64, name='branch3x3dbl_1')(x)
    three = _Conv(96, (3, 3), name='branch3x3dbl_2')(three)
    branches = [
      _Conv(64, name='branch1x1')(x),
      _Conv(64, (5, 5), name='branch5x5_2')(five),
      _Conv(96, (3, 3), name='branch3x3dbl_3')(three),
      _Conv(self.pooled, name='branch_pool')(_average(x)),
    ]
    return jnp.concatenate(branches, -1)


class _BlockB(nn.Module):
  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    three = _Conv(64, name='branch3x3dbl_1')(x)
    three = _Conv(96, (3, 3), name='branch3x3dbl_2')(three)
    branches = [
      _Conv(384, (3, 3), 2, valid=True, name='branch3x3')(x),
      _Conv(96, (3, 3), 2, valid=True, name='branch3x3dbl_3')(three),
      _max_pool(x),
    ]
    return jnp.concatenate(branches, -1)


class _BlockC(nn.Module):
  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    seven = _Conv(self.width, name='branch7x7_1')(x)
    seven = _Conv(self.width, (1, 7), name='branch7x7_2')(seven)
    double = _Conv(self.width, name='branch7x7dbl_1')(x)
    double = _Conv(self.width, (7, 1), name='branch7x7dbl_2')(double)
    double = _Conv(self.width, (1, 7), name='branch7x7dbl_3')(double)
    double = _Conv(self.width, (7, 1), name='branch7x7dbl_4')(double)
    branches = [
      _Conv(192, name='branch1x1')(x),
      _Conv(192, (7, 1), name='branch7x7_3')(seven),
      _Conv(192, (1, 7), name='branch7x7dbl_5')(double),
      _Conv(192, name='branch_pool')(_average(x)),
    ]
    return jnp.concatenate(branches, -1)


class _BlockD(nn.Module):
  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    three = _Conv(192, name='branch3x3_1')(x)
    seven = _Conv(192, name='branch7x7x3_1')(x)
    seven = _Conv(192, (1, 7), name='branch7x7x3_2')(seven)
    seven = _Conv(192, (7, 1), name='branch7x7x3_3')(seven)
    branches = [
      _Conv(320, (3, 3), 2, valid=True, name='branch3x3_2')(three),
      _Conv(192, (3, 3), 2, valid=True, name='branch7x7x3_4')(seven),
      _max_pool(x),
    ]
    return jnp.concatenate(branches, -1)


class _BlockE(nn.Module):
  """Pools by maxima where `maxima`, which only the last block does."""

  maxima: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    three = _Conv(384, name='branch3x3_1')(x)
    double = _Conv(448, name='branch3x3dbl_1')(x)
    double = _Conv(384, (3, 3), name='branch3x3dbl_2')(double)
    pooled = nn.max_pool(x, (3, 3), padding='SAME')
    branches = [
      _Conv(320, name='branch1x1')(x),
      _Conv(384, (1, 3), name='branch3x3_2a')(three),
      _Conv(384, (3, 1), name='branch3x3_2b')(three),
      _Conv(384, (1, 3), name='branch3x3dbl_3a')(double),
      _Conv(384, (3, 1), name='branch3x3dbl_3b')(double),
      _Conv(192, name='branch_pool')(pooled if self.maxima else _average(x)),
    ]
    return jnp.concatenate(branches, -1)


class Inception(nn.Module):
  """Images `[N, 299, 299, 3]` in [-1, 1] to features and logits.

  The features `[N, 2048]` are of the last average pool; the logits `[N, 1008]`
  of ImageNet's classes and eight unused ones, without the layer's bias, as the
  inception score is published (Salimans et al. 2016 multiply by the weights
  alone).
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> types.Features:
    x = _Conv(32, (3, 3), 2, valid=True, name='Conv2d_1a_3x3')(x)
    x = _Conv(32, (3, 3), valid=True, name='Conv2d_2a_3x3')(x)
    x = _max_pool(_Conv(64, (3, 3), name='Conv2d_2b_3x3')(x))
    x = _Conv(80, name='Conv2d_3b_1x1')(x)
    x = _max_pool(_Conv(192, (3, 3), valid=True, name='Conv2d_4a_3x3')(x))
    x = _BlockA(32, name='Mixed_5b')(x)
    x = _BlockA(64, name='Mixed_5c')(x)
    x = _BlockA(64, name='Mixed_5d')(x)
    x = _BlockB(name='Mixed_6a')(x)
    x = _BlockC(128, name='Mixed_6b')(x)
    x = _BlockC(160, name='Mixed_6c')(x)
    x = _BlockC(160, name='Mixed_6d')(x)
    x = _BlockC(192, name='Mixed_6e')(x)
    x = _BlockD(name='Mixed_7a')(x)
    x = _BlockE(maxima=False, name='Mixed_7b')(x)
    x = _BlockE(maxima=True, name='Mixed_7c')(x)
    features = x.mean(axis=(1, 2))
    kernel = self.param(
      'kernel', nn.initializers.lecun_normal(), (FEATURES, CLASSES)
    )
    self.param('bias', nn.initializers.zeros, (CLASSES,))
    return types.Features(features, features @ kernel)


def centre(resizer: str) -> float:
  """That of the pixels, of whose FID a resizer is."""
  return _CENTRES.get(resizer, 127.5)


def as_input(images: jax.Array, resizer: str) -> jax.Array:
  """What the network sees, `[N, SIDE, SIDE, 3]`; see `resizers.resize`."""
  x, c = resizers.resize(images, SIDE, resizer), centre(resizer)
  return x if c == 127.5 else ((x + 1) * 127.5 - c) / c


def apply(
  params: types.PyTree, images: jax.Array, *, resizer: str = RESIZER
) -> types.Features:
  """Features and logits of images of any size; see `as_input`.

  Its products are of float32 on all devices, as those of the published figures.
  """
  x = as_input(images, resizer)
  with jax.default_matmul_precision('highest'):
    seen = Inception().apply({'params': params}, x)
  assert isinstance(seen, types.Features)
  return seen


def _shapes() -> types.PyTree:
  """Of the parameters."""
  example = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
  return jax.eval_shape(Inception().init, jax.random.key(0), example)['params']


def convert(arrays: Mapping[str, np.ndarray]) -> types.PyTree:
  """The parameters in pytorch-fid's checkpoint.

  Args:
    arrays: by name, as in the checkpoint: 'Mixed_5b.branch1x1.conv.weight'.
      What is not of the network, such as counts of batches, is left out.

  Returns:
    Those of `Inception`, float32.

  Raises:
    ValueError: one is missing, or has another shape.
  """

  taken = reader.Reader(arrays, 'FID')

  def walk(shapes: types.PyTree, path: tuple[str, ...]) -> types.PyTree:
    if 'kernel' not in shapes:
      return {k: walk(v, (*path, k)) for k, v in shapes.items()}
    name = '.'.join(path)
    *window, i, o = shapes['kernel'].shape
    return taken.convolution(
      f'{name}.conv', f'{name}.bn', [o, i, *window], _EPSILON
    )

  shapes = dict(_shapes())
  for name in ('kernel', 'bias'):
    del shapes[name]
  return walk(shapes, ()) | taken.dense('fc', FEATURES, CLASSES)
