"""Layers of StyleGAN2 (Karras et al. 2020), as their code of 2021 has them.

All weights start as N(0, 1) and are scaled where they are used, so that Adam
moves all layers alike (equalised learning rates; Karras et al. 2018, section
4.1). Leaky rectifiers of slope .2 are followed by sqrt(2), which keeps second
moments near 1. Products are accumulated in the type of the activations;
latents, styles and the images that blocks add up are float32.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import layers
from gan_jax.ops import conv, linear, resample

_EPSILON = 1e-8
_SLOPE = 0.2
ARCHITECTURES = ('skip', 'orig', 'resnet')


def unit_moment(x: jax.Array) -> jax.Array:
  """`[B, C]`, each row scaled so that its mean square is 1."""
  mean = jnp.square(x).mean(axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(mean + _EPSILON)


def activate(
  x: jax.Array, gain: float = 1.0, clamp: float | None = None
) -> jax.Array:
  """gain sqrt(2) leaky_relu(x, .2), of which no value is beyond gain clamp."""
  y = nn.leaky_relu(x, _SLOPE) * (math.sqrt(2) * gain)
  return clamped(y, clamp and gain * clamp)


def clamped(x: jax.Array, most: float | None) -> jax.Array:
  """In [-most, most]; None bounds none."""
  return x if most is None else jnp.clip(x, -most, most)


def minibatch_std(x: jax.Array, group: int) -> jax.Array:
  """`[B, H, W, C]` with one channel more, `[B, H, W, C + 1]` float32.

  It is the standard deviation within a group of samples, averaged over pixels
  and channels (Karras et al. 2018, section 3). There are B / group groups, and
  a group has every (B / group)-th sample.

  Args:
    x: activations.
    group: samples in each; it divides B.
  """
  x = x.astype(jnp.float32)
  b, h, w, c = x.shape
  variance = x.reshape(group, b // group, h, w, c).var(axis=0)
  std = jnp.sqrt(variance + _EPSILON).mean(axis=(1, 2, 3))
  channel = jnp.tile(std, group).reshape(b, 1, 1, 1)
  return jnp.concatenate([x, jnp.broadcast_to(channel, (b, h, w, 1))], axis=-1)


class Dense(nn.Module):
  """A linear layer `[B, C]` to `[B, features]`, float32.

  Attributes:
    features: of the result.
    rate: the factor on the learning rates of weights and bias.
    active: whether `activate` follows.
    first_bias: its initial value, or one for each feature.
    scale: the standard deviation of the initial weights.
  """

  features: int
  rate: float = 1.0
  active: bool = False
  first_bias: float | tuple[float, ...] = 0.0
  scale: float = 1.0

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    kernel = self.param(
      'kernel',
      nn.initializers.normal(self.scale / self.rate),
      (x.shape[-1], self.features),
    )
    first = nn.initializers.constant(jnp.array(self.first_bias) / self.rate)
    bias = self.param('bias', first, (self.features,))
    y = x @ (kernel * (self.rate / math.sqrt(x.shape[-1])))
    y += linear.spread(bias * self.rate, y)
    return activate(y) if self.active else y


class Conv(nn.Module):
  """A convolution `[B, H, W, I]` to `[B, H', W', features]`, zeros beyond.

  Attributes:
    features: of the result.
    kernel: its side, 1 or 3.
    resample: '', 'down' (to half the sides, the filter first) or, for a side of
      1, 'up' (to twice the sides, the filter last).
    active: whether a bias and `activate` follow.
    clamp: of that.
    dtype: of the activations.
  """

  features: int
  kernel: int
  resample: str = ''
  active: bool = True
  clamp: float | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, gain: float = 1.0) -> jax.Array:
    shape = (self.kernel, self.kernel, x.shape[-1], self.features)
    kernel = self.param('kernel', nn.initializers.normal(1.0), shape)
    scale = 1.0 if self.active else gain
    scale /= math.sqrt(math.prod(shape[:3]))
    kernel = (kernel * scale).astype(self.dtype)
    x = x.astype(self.dtype)
    if self.resample == 'down' and self.kernel == 1:
      x = conv.conv(resample.downsample(x), kernel, padding='VALID')
    elif self.resample == 'down':
      x = resample.widen(x)
      x = conv.conv(x, kernel, strides=(2, 2), padding='VALID')
    else:
      x = conv.conv(x, kernel, padding='SAME')
      x = resample.upsample(x) if self.resample == 'up' else x
    if not self.active:
      return x
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    return activate(x + linear.spread(bias, x), gain, self.clamp)


class Mapping(nn.Module):
  """z, a class, or both, to intermediate latents `[B, width]` float32.

  Attributes:
    width: of all its layers.
    depth: how many there are.
    rate: the factor on their learning rates.
    classes: that there are; 0 for none.
  """

  width: int
  depth: int
  rate: float = 0.01
  classes: int = 0

  @nn.compact
  def __call__(self, z: jax.Array | None, label: jax.Array | None) -> jax.Array:
    parts = [] if z is None else [unit_moment(z.astype(jnp.float32))]
    if self.classes:
      assert label is not None
      chosen = layers.shares(label, self.classes, jnp.float32)
      parts.append(unit_moment(Dense(self.width, name='embed')(chosen)))
    x = jnp.concatenate(parts, axis=-1)
    for i in range(self.depth):
      x = Dense(self.width, self.rate, active=True, name=f'fc{i}')(x)
    return x


def modulated(
  x: jax.Array,
  kernel: jax.Array,
  style: jax.Array,
  *,
  up: bool = False,
  demodulate: bool = True,
  padding: conv.Padding = 'SAME',
) -> jax.Array:
  """A convolution whose input channels each sample scales (eq. 1 and 3).

  One kernel for all samples, between a scaling of its input and one of its
  output: the same as with a kernel for each, which would be a convolution of as
  many groups as samples.

  Upwards, it is a transposed convolution and the filter after it. A filter
  before it would leave four times the products to the convolution. Where XLA
  convolves the image with its zeros (`lhs_dilation`), a CPU takes up to 16
  times as long for gradients and for gradients of gradients, which `conv` has
  a fast path for.

  Args:
    x: `[B, H, W, I]`.
    kernel: `[K, K, I, O]` float32.
    style: `[B, I]` float32.
    up: to twice the sides.
    demodulate: scale each output channel of each sample by the norm of what it
      is convolved with.
    padding: as of `conv.conv`; not upwards.

  Returns:
    `[B, H', W', O]`.
  """
  y = x * linear.spread(style[:, None, None], x)
  cast = kernel.astype(x.dtype)
  if up:
    # The filter times 4, for three of four pixels were zeros.
    y = 4 * resample.narrow(conv.conv_transpose(y, cast, padding='VALID'))
  else:
    y = conv.conv(y, cast, padding=padding)
  if not demodulate:
    return y
  squares = jnp.square(style) @ jnp.square(kernel).sum(axis=(0, 1))
  scale = jax.lax.rsqrt(squares + _EPSILON)
  return y * linear.spread(scale[:, None, None], y)


def draw_noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """N(0, 1) for all channels of `[B, H, W, C]` alike, `[B, H, W, 1]`."""
  return jax.random.normal(key, (*shape[:3], 1))


class StyleLayer(nn.Module):
  """A modulated 3x3 convolution, noise, bias and activation.

  Attributes:
    features: channels of the result.
    up: to twice the sides.
    clamp: of the activation.
    dtype: of the activations.
  """

  features: int
  up: bool = False
  clamp: float | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array, w: jax.Array, gain: float = 1.0
  ) -> jax.Array:
    style = Dense(x.shape[-1], first_bias=1.0, name='affine')(w)
    shape = (3, 3, x.shape[-1], self.features)
    kernel = self.param('kernel', nn.initializers.normal(1.0), shape)
    y = modulated(x.astype(self.dtype), kernel, style, up=self.up)
    strength = self.param('noise_strength', nn.initializers.zeros, ())
    noise = draw_noise(self.make_rng('noise'), y.shape) * strength
    y += linear.spread(noise, y)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    return activate(y + linear.spread(bias, y), gain, self.clamp)


class ToRGB(nn.Module):
  """A modulated 1x1 convolution to `[B, H, W, features]` float32, with bias."""

  features: int
  clamp: float | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
    width = x.shape[-1]
    style = Dense(width, first_bias=1.0, name='affine')(w) / math.sqrt(width)
    shape = (1, 1, width, self.features)
    kernel = self.param('kernel', nn.initializers.normal(1.0), shape)
    y = modulated(x.astype(self.dtype), kernel, style, demodulate=False)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    y = y.astype(jnp.float32)
    return clamped(y + linear.spread(bias, y), self.clamp)


class SynthesisBlock(nn.Module):
  """The generator at one resolution.

  Attributes:
    features: channels.
    colours: channels of images.
    architecture: 'skip' adds up images, 'resnet' adds activations, 'orig'
      neither.
    first: whether it starts from a learned 4x4 constant.
    last: whether it makes the image where the architecture adds up none.
    clamp: of activations and images.
    dtype: of the activations.
  """

  features: int
  colours: int
  architecture: str
  first: bool
  last: bool
  clamp: float | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array | None, image: jax.Array | None, ws: jax.Array
  ) -> tuple[jax.Array, jax.Array | None]:
    """Activations and the image so far, None before the first of them.

    Args:
      x: of the block before, at half the sides.
      image: of the blocks before, at half the sides.
      ws: of up to two convolutions and the image, `[B, 2 or 3, W]`.
    """
    w = iter(jnp.unstack(ws, axis=1))
    own: dict[str, Any] = {'clamp': self.clamp, 'dtype': self.dtype}
    convolved = StyleLayer(self.features, **own, name='conv1')
    if x is None:
      x = self.param(
        'const', nn.initializers.normal(1.0), (4, 4, self.features)
      )
      x = jnp.broadcast_to(x[None], (ws.shape[0], *x.shape))
      x = convolved(x, next(w))
    else:
      grown = StyleLayer(self.features, up=True, **own, name='conv0')
      h = grown(x, next(w))
      if self.architecture == 'resnet':
        half = math.sqrt(0.5)
        skip = Conv(
          self.features, 1, 'up', active=False, dtype=self.dtype, name='skip'
        )
        x = skip(x, half) + convolved(h, next(w), half)
      else:
        x = convolved(h, next(w))
    if image is not None:
      image = resample.upsample(image)
    if self.last or self.architecture == 'skip':
      y = ToRGB(self.colours, **own, name='torgb')(x, next(w))
      image = y if image is None else image + y
    return x, image


class Synthesis(nn.Module):
  """Intermediate latents `[B, 2 * len(widths), W]` to images, float32.

  Attributes:
    widths: channels at 4x4, 8x8 and so on.
    colours: channels of images.
    architecture: as of `SynthesisBlock`.
    remat: compute each block again when it is differentiated.
    clamp: of activations and images.
    dtype: of the activations.
  """

  widths: tuple[int, ...]
  colours: int
  architecture: str
  remat: bool
  clamp: float | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, ws: jax.Array) -> jax.Array:
    block = nn.remat(SynthesisBlock) if self.remat else SynthesisBlock
    ws = ws.astype(jnp.float32)
    x, image, at = None, None, 0
    for i, width in enumerate(self.widths):
      convolutions = 2 if i else 1
      # The image's is that of the next block's first convolution, too.
      block_ws = ws[:, at : at + convolutions + 1]
      at += convolutions
      x, image = block(
        width,
        self.colours,
        self.architecture,
        first=i == 0,
        last=i == len(self.widths) - 1,
        clamp=self.clamp,
        dtype=self.dtype,
        name=f'b{4 * 2**i}',
      )(x, image, block_ws)
    assert image is not None
    return image


class DiscBlock(nn.Module):
  """The discriminator from one resolution to half of it.

  Attributes:
    features: channels at the higher one.
    next_features: at the lower one.
    architecture: 'skip' reads the image at each resolution, 'resnet' adds up
      activations, 'orig' does neither.
    clamp: of activations.
    dtype: of the activations.
  """

  features: int
  next_features: int
  architecture: str
  clamp: float | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array | None, image: jax.Array | None
  ) -> tuple[jax.Array, jax.Array | None]:
    """Activations and, where it is read again, the image at half the sides.

    Args:
      x: of the block before; None at the highest resolution.
      image: at this resolution.
    """
    own: dict[str, Any] = {'clamp': self.clamp, 'dtype': self.dtype}
    if x is None or self.architecture == 'skip':
      assert image is not None
      y = Conv(self.features, 1, **own, name='fromrgb')(image)
      x = y if x is None else x + y
    smaller = None
    if self.architecture == 'skip' and image is not None:
      smaller = resample.downsample(image)
    h = Conv(self.features, 3, **own, name='conv0')(x)
    shrunk = Conv(self.next_features, 3, 'down', **own, name='conv1')
    if self.architecture != 'resnet':
      return shrunk(h), smaller
    skip = Conv(
      self.next_features, 1, 'down', active=False, dtype=self.dtype, name='skip'
    )
    half = math.sqrt(0.5)
    return skip(x, half) + shrunk(h, half), smaller


class Epilogue(nn.Module):
  """The discriminator at 4x4, `[B, 4, 4, C]` to `[B, outputs]`, float32.

  Attributes:
    outputs: of the last layer.
    group: of `minibatch_std`; 0 leaves it out.
    skips: whether the image is read here, too.
    clamp: of the convolution.
  """

  outputs: int
  group: int
  skips: bool
  clamp: float | None = None

  @nn.compact
  def __call__(self, x: jax.Array, image: jax.Array | None) -> jax.Array:
    width = x.shape[-1]
    x = x.astype(jnp.float32)
    if self.skips:
      assert image is not None
      x += Conv(width, 1, name='fromrgb')(image)
    if self.group:
      x = minibatch_std(x, self.group)
    x = Conv(width, 3, clamp=self.clamp, name='conv')(x)
    x = Dense(width, active=True, name='fc')(x.reshape(len(x), -1))
    return Dense(self.outputs, name='out')(x)
