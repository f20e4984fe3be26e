"""R3GAN (Huang et al. 2024): plain residual networks without normalisation.

Of the paper's section 3, configuration E, with the sizes of table 9.

An image of size `4 * 2**k` takes k + 1 stages of residual blocks, the lowest
of them at 4x4. Linear layers and convolutions have no bias; an activation adds
one to each channel first.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import conditional, layers
from gan_jax.ops import conv, linear, resample

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
  return layers.doublings('r3gan', shape, _BASE) + 1


@dataclasses.dataclass(frozen=True)
class GenSettings:
  """Of the generator."""

  # Channels: one number, or one for each resolution from 4x4 on.
  width: declare.Stages = declare.field(768, at_least=1)
  # Residual blocks at each resolution; one number or several, as the width.
  depth: declare.Stages = declare.field(2, at_least=1)
  # Blocks of channels with weights of their own in the 3x3 convolutions; the
  # paper has 16 channels in each, of twice the width. One number or several.
  groups: declare.Stages = declare.field(96, at_least=1)
  # Of the class's embedding.
  embedding: int = declare.field(64, at_least=1)
  # Compute activations again on the way back: less memory, more time.
  remat: bool = False


@dataclasses.dataclass(frozen=True)
class DiscSettings(GenSettings):
  """Of the discriminator, the generator's mirror.

  The embedding of a class has the width of the lowest resolution in the paper.
  """

  # Of the class's embedding, and of D's last layer in a game of classes.
  embedding: int = declare.field(768, at_least=1)


class Stage(NamedTuple):
  """One resolution.

  Attributes:
    width: channels.
    depth: residual blocks.
    groups: of their 3x3 convolutions.
  """

  width: int
  depth: int
  groups: int


def plan(settings: GenSettings, resolutions: int) -> list[Stage]:
  """Each resolution, from 4x4 on.

  Raises:
    ValueError: a field has a number for each of other resolutions, or groups
      do not divide the channels.
  """
  columns = [
    layers.at_each(name, getattr(settings, name), resolutions, _BASE)
    for name in Stage._fields
  ]
  planned = [Stage(*row) for row in zip(*columns, strict=True)]
  for stage in planned:
    if 2 * stage.width % stage.groups:
      raise ValueError(
        f'net.groups={stage.groups}: must divide the {2 * stage.width} '
        f'channels within a block, twice the width {stage.width}; set it too'
      )
  return planned


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


def _dense(features: int, dtype: Any) -> layers.Dense:
  """Weights N(0, 1 / fan_in), no bias."""
  return layers.dense(features, 'fan_in_normal', 1.0, dtype, use_bias=False)


def _embedding(
  classes: int, features: int, gain: float, dtype: Any
) -> conditional.Embedding:
  """A linear layer of the one-hot class, without bias: a fan-in of K."""
  init = ('normal', gain * classes**-0.5)
  return conditional.Embedding(classes, features, init, dtype)


class BiasedActivation(nn.Module):
  """leaky_relu(x + bias, .2) with a bias for each channel of [..., C]."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    bias = self.param('bias', nn.initializers.zeros, x.shape[-1:])
    return nn.leaky_relu(x + linear.spread(bias, x), 0.2)


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
    h = _conv(2 * width, 1, self.gain, self.dtype)(x)
    h = BiasedActivation()(h)
    h = _conv(2 * width, 3, self.gain, self.dtype, self.groups)(h)
    h = BiasedActivation()(h)
    return x + _conv(width, 1, 0.0, self.dtype)(h)


def _blocks(
  h: jax.Array, each: Sequence[Stage], i: int, settings: GenSettings
) -> jax.Array:
  """The blocks of the i-th resolution of all; called inside a module."""
  gain = block_gain(sum(stage.depth for stage in each))
  kind = nn.remat(Block) if settings.remat else Block
  first = sum(stage.depth for stage in each[:i])
  for block in range(first, first + each[i].depth):
    h = kind(each[i].groups, gain, h.dtype, name=f'Block_{block}')(h)
  return h


def _to_width(h: jax.Array, width: int) -> jax.Array:
  """A 1x1 convolution where the width changes; called inside a module."""
  return h if h.shape[-1] == width else _conv(width, 1, 1.0, h.dtype)(h)


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]`, unbounded: there is no tanh.

  Attributes:
    shape: of one image, `(size, size, C)`.
    settings: `config.gen.net`.
    classes: whose embedding is concatenated to z; 0 for none.
    dtype: of the activations.
  """

  shape: tuple[int, ...]
  settings: GenSettings = GenSettings()
  classes: int = 0
  dtype: Any = jnp.float32

  @property
  def entries(self) -> tuple[tuple[str, ...], ...]:
    return layers.FIRST_DENSE

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    del mode
    settings = self.settings
    each = plan(settings, stages(self.shape))
    # A learned image, each channel scaled by a linear function of z.
    basis = self.param(
      'basis', nn.initializers.normal(1.0), (_BASE, _BASE, each[0].width)
    )
    z = latent.z.astype(self.dtype)
    if self.classes:
      embed = _embedding(self.classes, settings.embedding, 1.0, self.dtype)
      z = jnp.concatenate([z, embed(latent.label)], axis=1)
    scale = _dense(each[0].width, self.dtype)(z)
    like = jax.ShapeDtypeStruct((len(z), *basis.shape), self.dtype)
    scale = linear.spread(scale[:, None, None], like)
    h = linear.spread(basis, like) * scale
    for i, stage in enumerate(each):
      h = resample.upsample(_to_width(h, stage.width)) if i else h
      h = _blocks(h, each, i, settings)
    return _conv(self.shape[-1], 1, 1.0, self.dtype)(h)


class Discriminator(nn.Module):
  """Images `[B, size, size, C]` to logits `[B]`; the Generator's mirror.

  Attributes:
    settings: `config.disc.net`.
    classes: with whose embedding the last layer is multiplied; 0 for none.
    dtype: of the activations.
  """

  settings: DiscSettings = DiscSettings()
  classes: int = 0
  dtype: Any = jnp.float32

  @property
  def homogeneous(self) -> bool:
    return True

  @nn.compact
  def __call__(self, batch: types.Batch, mode: types.Mode) -> jax.Array:
    del mode
    settings = self.settings
    each = plan(settings, stages(batch.x.shape[1:]))[::-1]
    lowest = each[-1].width
    h = _conv(each[0].width, 1, 1.0, self.dtype)(batch.x)
    for i, stage in enumerate(each):
      h = _to_width(resample.downsample(h), stage.width) if i else h
      h = _blocks(h, each, i, settings)
    basis = self.param(
      'basis',
      layers.INITIALISERS['fan_in_normal'](1.0),
      (_BASE, _BASE, 1, lowest),
    )
    h = conv.conv(h, basis.astype(self.dtype), padding='VALID', groups=lowest)
    h = h[:, 0, 0]
    # Logits are float32, whatever the activations are.
    if not self.classes:
      return _dense(1, jnp.float32)(h)[:, 0]
    h = _dense(settings.embedding, jnp.float32)(h)
    gain = settings.embedding**-0.5
    embed = _embedding(self.classes, settings.embedding, gain, jnp.float32)
    return (h * embed(batch.label)).sum(axis=1)
