"""R3GAN (Huang et al. 2024): plain residual networks without normalisation.

An image of size `4 * 2**k` takes k + 1 stages of residual blocks, the lowest
of them at 4x4. Linear layers and convolutions have no bias; an activation adds
one to each channel first.
"""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import layers
from gan_jax.ops import conv, resample

_BASE = 4
# Keeps the variance through the activation: 2 / (1 + 0.2^2).
_GAIN = math.sqrt(2 / 1.04)


def stages(shape: tuple[int, ...]) -> int:
  """How many resolutions there are from 4x4 to that of an image.

  Args:
    shape: of one image, `(H, W, C)`.

  Raises:
    ValueError: it is not a square image, or no number of doublings makes it.
  """
  if len(shape) != 3 or shape[0] != shape[1]:
    raise ValueError(
      f'r3gan makes square images; the data have shape {shape} (data.size '
      'crops them to squares)'
    )
  doublings = int(math.log2(max(shape[0], _BASE) / _BASE))
  if shape[0] != _BASE * 2**doublings:
    near = f'{_BASE * 2**doublings}, {_BASE * 2 ** (doublings + 1)}'
    raise ValueError(
      f'data.size={shape[0]}: r3gan makes images whose side is 4 times a power '
      f'of two, such as {near}'
    )
  return doublings + 1


@dataclasses.dataclass(frozen=True)
class GenSettings:
  """Of the generator."""

  # Channels, the same at every resolution.
  width: int = declare.field(768, at_least=1)
  # Residual blocks at each resolution.
  depth: int = declare.field(2, at_least=1)
  # Blocks of channels with weights of their own in the 3x3 convolutions; the
  # paper has 16 channels in each, of twice the width.
  groups: int = declare.field(96, at_least=1)


@dataclasses.dataclass(frozen=True)
class DiscSettings(GenSettings):
  """Of the discriminator, the generator's mirror."""


def block_gain(blocks: int) -> float:
  """Of a block's first two convolutions, in a network of so many blocks.

  Fixup's scale for three layers a block (Zhang et al. 2019): L^(-1/4).
  """
  return _GAIN * blocks**-0.25


def _conv(
  features: int, kernel: int, gain: float, dtype: Any, groups: int = 1
) -> layers.Conv:
  """Weights N(0, gain^2 / fan_in), no bias."""
  return layers.Conv(
    features,
    kernel,
    kernel_init='fan_in_normal',
    kernel_scale=gain,
    groups=groups,
    use_bias=False,
    dtype=dtype,
  )


def _dense(features: int, dtype: Any) -> nn.Dense:
  """Weights N(0, 1 / fan_in), no bias."""
  return layers.dense(features, 'fan_in_normal', 1.0, dtype, use_bias=False)


class BiasedActivation(nn.Module):
  """leaky_relu(x + bias, .2) with a bias for each channel of [..., C]."""

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    bias = self.param('bias', nn.initializers.zeros, x.shape[-1:])
    bias = bias.astype(self.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
    return nn.leaky_relu(x + bias, 0.2)


class Block(nn.Module):
  """A residual block on [B, H, W, C]; the identity at initialisation.

  Attributes:
    groups: of the 3x3 convolution, between 2C channels.
    gain: of the first two convolutions; see `block_gain`.
    dtype: of the activations.
  """

  groups: int
  gain: float
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    width = x.shape[-1]
    if 2 * width % self.groups:
      raise ValueError(
        f'net.groups={self.groups}: must divide the {2 * width} channels '
        f'within a block, twice the width {width}'
      )
    h = _conv(2 * width, 1, self.gain, self.dtype)(x)
    h = BiasedActivation(self.dtype)(h)
    h = _conv(2 * width, 3, self.gain, self.dtype, self.groups)(h)
    h = BiasedActivation(self.dtype)(h)
    return x + _conv(width, 1, 0.0, self.dtype)(h)


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]`, unbounded: there is no tanh.

  Attributes:
    shape: of one image, `(size, size, C)`.
    settings: `config.gen.net`.
    dtype: of the activations.
  """

  shape: tuple[int, ...]
  settings: GenSettings = GenSettings()
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    del mode
    own = self.settings
    resolutions = stages(self.shape)
    gain = block_gain(resolutions * own.depth)
    # A learned image, each channel scaled by a linear function of z.
    basis = self.param(
      'basis', nn.initializers.normal(1.0), (_BASE, _BASE, own.width)
    )
    scale = _dense(own.width, self.dtype)(latent.z)
    h = basis.astype(self.dtype)[None] * scale[:, None, None, :]
    for stage in range(resolutions):
      h = resample.upsample(h) if stage else h
      for _ in range(own.depth):
        h = Block(own.groups, gain, self.dtype)(h)
    return _conv(self.shape[-1], 1, 1.0, self.dtype)(h)


class Discriminator(nn.Module):
  """Images `[B, size, size, C]` to logits `[B]`; the Generator's mirror.

  Attributes:
    settings: `config.disc.net`.
    dtype: of the activations.
  """

  settings: DiscSettings = DiscSettings()
  dtype: Any = jnp.float32

  @property
  def homogeneous(self) -> bool:
    return True

  @nn.compact
  def __call__(self, batch: types.Batch, mode: types.Mode) -> jax.Array:
    del mode
    own = self.settings
    resolutions = stages(batch.x.shape[1:])
    gain = block_gain(resolutions * own.depth)
    h = _conv(own.width, 1, 1.0, self.dtype)(batch.x)
    for stage in range(resolutions):
      h = resample.downsample(h) if stage else h
      for _ in range(own.depth):
        h = Block(own.groups, gain, self.dtype)(h)
    basis = self.param(
      'basis',
      layers.INITIALISERS['fan_in_normal'](1.0),
      (_BASE, _BASE, 1, own.width),
    )
    h = conv.conv(
      h, basis.astype(self.dtype), padding='VALID', groups=own.width
    )
    return _dense(1, self.dtype)(h[:, 0, 0])[:, 0]
