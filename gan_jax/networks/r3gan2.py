"""The second version of R3GAN's networks, of its authors' code (2026).

There is no paper yet; https://github.com/IFeelBloated/R3GAN2 is the source. The
blocks are R3GAN's, with layers that keep magnitudes (`magnitude`), and the
variance that each block adds is known and divided out where its sum is read. An
image of size `8 * 2**k` takes k + 1 stages, the lowest of them at 8x8. G's
blocks add noise. Their published configurations are of images; their code also
trains on the latents of a VAE, of Stable Diffusion's (4 channels) or Flux 2's
(32), whose encoders are not here. Any number of channels works.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import layers, magnitude, rotary
from gan_jax.ops import linear, resample

_BASE = 8
# Factor of the cosines of queries and keys, and of the sink.
_SHARPNESS = 8.0


@dataclasses.dataclass(frozen=True)
class GenSettings:
  """Of the generator."""

  # Channels: one number, or one for each resolution from 8x8 on, of which each
  # must divide four times the next.
  width: declare.Stages = declare.field(512, at_least=1)
  # Feed-forward blocks at each resolution; one number or several.
  depth: declare.Stages = declare.field(4, at_least=1)
  # Attention blocks at each resolution, each before one of the first
  # feed-forward blocks; one number or several.
  attentions: declare.Stages = declare.field(0, at_least=0)
  # Channels within a feed-forward block, as a multiple of the width.
  expansion: int = declare.field(2, at_least=1)
  # Channels that share weights in the 3x3 convolutions and in the 4x4 bases,
  # or all where there are fewer.
  group_width: int = declare.field(32, at_least=1)
  # Channels of an attention head, a multiple of 4; or all where there are
  # fewer.
  head_width: int = declare.field(64, at_least=4)
  # Of the class's embedding; that of z in the authors' configurations.
  embedding: int = declare.field(64, at_least=2)
  # Compute activations again on the way back: less memory, more time.
  remat: bool = False


@dataclasses.dataclass(frozen=True)
class DiscSettings(GenSettings):
  """Of the discriminator, the generator's mirror."""

  # Of the class's embedding, and of D's last layer in a game of classes; the
  # width at 8x8 in the authors' configurations.
  embedding: int = declare.field(512, at_least=2)


class Stage(NamedTuple):
  """One resolution.

  Attributes:
    width: channels.
    depth: feed-forward blocks.
    attentions: attention blocks.
  """

  width: int
  depth: int
  attentions: int


def plan(settings: GenSettings, shape: tuple[int, ...]) -> list[Stage]:
  """Each resolution of an image `(H, W, C)`, from 8x8 on.

  Raises:
    ValueError: no number of doublings makes the image, a field has a number for
      each of other resolutions, or numbers of channels do not divide.
  """
  resolutions = layers.doublings('r3gan2', shape, _BASE) + 1
  columns = [
    layers.at_each(name, getattr(settings, name), resolutions, _BASE)
    for name in Stage._fields
  ]
  stages = [Stage(*row) for row in zip(*columns, strict=True)]
  for stage, after in zip(stages, [*stages[1:], None], strict=True):
    _check(settings, stage, after)
  return stages


def _check(settings: GenSettings, stage: Stage, after: Stage | None) -> None:
  """Raises ValueError where channels cannot be divided as they have to be."""
  width = stage.width
  if after and 4 * after.width % width:
    raise ValueError(
      f'net.width={width},{after.width}: each must divide four times the next'
    )
  for channels in (settings.expansion * width, 2 * width):
    if channels % min(settings.group_width, channels):
      raise ValueError(
        f'net.group_width={settings.group_width}: must divide the {channels} '
        f'channels of a layer of the width {width}'
      )
  if stage.attentions > stage.depth:
    raise ValueError(
      f'net.attentions={stage.attentions}: must be at most '
      f'net.depth={stage.depth}'
    )
  head = min(settings.head_width, width)
  if stage.attentions and (width % head or head % 4):
    raise ValueError(
      f'net.head_width={settings.head_width}: must be a multiple of 4 that '
      f'divides the width {width}'
    )


class _Block(nn.Module):
  """A residual block on [B, H, W, C]; the identity at initialisation.

  It is called as `block(x, variance)` with the variance of x, `[C]`, by whose
  root its input is divided, and gives both after it. What it adds has a
  variance of alpha^2, with a learned alpha in (-1, 1) of each channel.

  Attributes:
    settings: of the network.
    noise: it adds some, where it is feed-forward.
    dtype: of the activations.
  """

  settings: GenSettings
  noise: bool
  dtype: Any

  @nn.compact
  def __call__(
    self, x: jax.Array, variance: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    residual = self.param('residual', nn.initializers.zeros, x.shape[-1:])
    alpha = jnp.tanh(residual)
    y = self.branch(x, jax.lax.rsqrt(variance), alpha)
    return x + y, variance + alpha**2

  def branch(
    self, x: jax.Array, gain: jax.Array, alpha: jax.Array
  ) -> jax.Array:
    """What is added: of `x * gain`, its last layer times alpha."""
    raise NotImplementedError


class FeedForward(_Block):
  """1x1, 3x3 in groups, 1x1, with rectifiers between them."""

  def branch(
    self, x: jax.Array, gain: jax.Array, alpha: jax.Array
  ) -> jax.Array:
    settings, width = self.settings, x.shape[-1]
    hidden = settings.expansion * width
    h = magnitude.BiasedConv(hidden, self.noise, self.dtype, name='wide')(
      x, gain
    )
    group_width = min(settings.group_width, hidden)
    h = magnitude.Conv(
      hidden, 3, group_width, dtype=self.dtype, name='spatial'
    )(magnitude.activate(h))
    return magnitude.Conv(width, dtype=self.dtype, name='narrow')(
      magnitude.activate(h), scale=alpha
    )


class Attention(_Block):
  """Attention of all pixels to all, by the cosines of queries and keys.

  Positions are rotary. Each head has a learned logit that takes a share of the
  weights and adds nothing (a sink).
  """

  def branch(
    self, x: jax.Array, gain: jax.Array, alpha: jax.Array
  ) -> jax.Array:
    batch, height, side, width = x.shape
    head = min(self.settings.head_width, width)
    heads = width // head
    h = magnitude.BiasedConv(3 * width, dtype=self.dtype, name='qkv')(x, gain)
    h = magnitude.unit(h.reshape(batch, -1, heads, head, 3), (3,))
    query, key, value = (h[..., i] for i in range(3))
    angles = rotary.angles(height, side, head)
    query, key = (rotary.rotate(part, angles) for part in (query, key))
    scores = jnp.einsum('bqhc,bkhc->bhqk', query, key * (_SHARPNESS / head))
    sinks = self.param('sinks', nn.initializers.zeros, (heads,))
    sinks = _SHARPNESS * sinks.reshape(1, heads, 1, 1)
    scores = scores.astype(jnp.float32)
    sinks = jnp.broadcast_to(sinks, (*scores.shape[:3], 1))
    shares = nn.softmax(jnp.concatenate([scores, sinks], axis=3))
    seen = jnp.einsum(
      'bhqk,bkhc->bqhc', shares[..., :-1].astype(self.dtype), value
    )
    return magnitude.Conv(width, dtype=self.dtype, name='out')(
      seen.reshape(x.shape), scale=alpha
    )


def _blocks(
  h: jax.Array, stage: Stage, settings: GenSettings, *, noise: bool
) -> tuple[jax.Array, jax.Array]:
  """The blocks of a resolution, `[B, H, W, C]` to the same; inside a module.

  Returns:
    Also its variance, `[C]`.
  """
  variance = jnp.ones(h.shape[-1:])
  side = h.shape[1]
  for i in range(stage.depth):
    kinds = (Attention, FeedForward) if i < stage.attentions else (FeedForward,)
    for kind in kinds:
      block = nn.remat(kind) if settings.remat else kind
      name = f'{kind.__name__}_{side}_{i}'
      h, variance = block(settings, noise, h.dtype, name=name)(h, variance)
  return h, variance


def _stages(
  h: jax.Array,
  stages: Sequence[Stage],
  settings: GenSettings,
  resize: Callable[[jax.Array, int], jax.Array],
  *,
  noise: bool,
) -> tuple[jax.Array, jax.Array]:
  """All resolutions in turn, of an input of variance 1; inside a module.

  Args:
    h: `[B, H, W, C]` of the first.
    stages: in turn.
    settings: of the network.
    resize: from one resolution to the next, of so many channels.
    noise: as of `_blocks`.

  Returns:
    `[B, H', W', C']` of the last, and its variance, `[C']`.
  """
  h, variance = _blocks(h, stages[0], settings, noise=noise)
  for stage in stages[1:]:
    scale = jax.lax.rsqrt(variance)
    h = resize(h * linear.spread(scale, h), stage.width)
    h, variance = _blocks(h, stage, settings, noise=noise)
  return h, variance


def _up(h: jax.Array, width: int) -> jax.Array:
  """`[B, H, W, C]` to `[B, 2H, 2W, width]`.

  Where the width changes, the pixels of a window of 2x2 are channels: each is
  repeated as often as needed, and they are smoothed.
  """
  batch, height, side, channels = h.shape
  if channels == width:
    return resample.upsample(h)
  h = jnp.repeat(h, 4 * width // channels, axis=3)
  h = h.reshape(batch, height, side, width, 2, 2)
  h = h.transpose(0, 1, 4, 2, 5, 3).reshape(batch, 2 * height, 2 * side, width)
  return resample.smooth(h)


def _down(h: jax.Array, width: int) -> jax.Array:
  """`[B, 2H, 2W, C]` to `[B, H, W, width]`; the mirror of `_up`.

  Channels are the means of as many.
  """
  batch, height, side, channels = h.shape
  if channels == width:
    return resample.downsample(h)
  h = layers.windows(resample.smooth(h)).transpose(0, 1, 3, 5, 2, 4)
  return h.reshape(batch, height // 2, side // 2, width, -1).mean(axis=-1)


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]`, unbounded: there is no tanh.

  Attributes:
    shape: of one image, `(size, size, C)`.
    settings: `config.gen.net`.
    classes: whose embedding is concatenated to z; 0 for none.
    dtype: of the activations from 8x8 on.
  """

  shape: tuple[int, ...]
  settings: GenSettings = GenSettings()
  classes: int = 0
  dtype: Any = jnp.float32

  @property
  def project(self) -> Any:
    return magnitude.project

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    del mode
    settings = self.settings
    stages = plan(settings, self.shape)
    z = latent.z
    if self.classes:
      embed = magnitude.Embedding(self.classes, settings.embedding)
      z = jnp.concatenate([z, embed(latent.label)], axis=1)
    h = self._begin(z, stages[0].width).astype(self.dtype)
    h, variance = _stages(h, stages, settings, _up, noise=True)
    gain = self.param('gain', nn.initializers.ones, ())
    to_image = magnitude.Conv(
      self.shape[-1], centred=False, dtype=self.dtype, name='to_image'
    )
    return to_image(h, gain=gain * jax.lax.rsqrt(variance))

  def _begin(self, z: jax.Array, width: int) -> jax.Array:
    """`[B, Z]` to `[B, 8, 8, width]`, in float32."""
    # Of the bias.
    z = jnp.concatenate([z, jnp.ones_like(z[:, :1])], axis=1)
    h = magnitude.activate(magnitude.Linear(2 * width, name='from_latent')(z))
    group = min(self.settings.group_width, 2 * width)
    h = magnitude.Basis(group, name='basis')(h)
    h = magnitude.Conv(width, name='mixed')(magnitude.activate(h))
    return resample.upsample(h)


class Discriminator(nn.Module):
  """Images `[B, size, size, C]` to logits `[B]`; the Generator's mirror.

  Attributes:
    settings: `config.disc.net`.
    classes: with whose embedding the last layer is multiplied; 0 for none.
    dtype: of the activations down to 8x8.
  """

  settings: DiscSettings = DiscSettings()
  classes: int = 0
  dtype: Any = jnp.float32

  @property
  def project(self) -> Any:
    return magnitude.project

  @nn.compact
  def __call__(self, batch: types.Batch, mode: types.Mode) -> jax.Array:
    del mode
    settings = self.settings
    stages = plan(settings, batch.x.shape[1:])[::-1]
    h = magnitude.Conv(
      stages[0].width, centred=False, dtype=self.dtype, name='from_image'
    )(batch.x)
    h, variance = _stages(h, stages, settings, _down, noise=False)
    h = self._end(h.astype(jnp.float32), variance)
    if not self.classes:
      return h[:, 0]
    embed = magnitude.Embedding(self.classes, settings.embedding)
    return (h * embed(batch.label)).sum(axis=1) * settings.embedding**-0.5

  def _end(self, h: jax.Array, variance: jax.Array) -> jax.Array:
    """`[B, 8, 8, C]` to `[B, E]`, or `[B, 1]` without classes, in float32."""
    width = 2 * h.shape[-1]
    h = resample.downsample(h)
    h = magnitude.BiasedConv(width, name='mixed')(h, jax.lax.rsqrt(variance))
    group = min(self.settings.group_width, width)
    h = magnitude.Conv(width, 4, group, padding='VALID', name='basis')(
      magnitude.activate(h)
    )
    h = magnitude.activate(h[:, 0, 0])
    features = self.settings.embedding if self.classes else 1
    return magnitude.Linear(features, name='to_logits')(h)
