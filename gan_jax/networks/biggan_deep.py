"""BigGAN-deep (Brock et al. 2019, appendix B, figure 16, tables 7 and 8).

BigGAN's stages, of two blocks each. A block has four convolutions: 1x1 to a
quarter of the channels, two of 3x3, and 1x1 back. Its shortcut changes nothing
but the sides: where G's channels get fewer it keeps the first of them; where
D's get more, a 1x1 convolution of it makes those that are missing. All of z,
joined to an embedding of the class, goes to G's first layer and to each of its
blocks.

The channels are BigGAN's; D's first of them are of a 3x3 convolution of the
image. At 32x32 and 64x64, of which the paper has none, they are as in the
authors' PyTorch code, whose D of 32x32 has attention after each stage, and not
after the first of a resolution.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import (
  attention,
  biggan,
  conditional,
  layers,
  residual,
  spectral,
)
from gan_jax.ops import linear


@dataclasses.dataclass(frozen=True)
class Settings(biggan.Settings):
  """Of both players."""

  # The unit of channels; 3x3 convolutions of the narrowest blocks have half.
  width: int = declare.field(128, at_least=2)
  # Blocks of a stage; the paper has 2.
  depth: int = declare.field(2, at_least=1)


@dataclasses.dataclass(frozen=True)
class GenSettings(Settings):
  """Of the generator."""

  # The size of the embedding of the class, in a conditional game.
  shared: int = declare.field(128, at_least=1)
  # What batch normalisation adds to the variance.
  epsilon: float = declare.field(1e-5, above=0)


@dataclasses.dataclass(frozen=True)
class DiscSettings(conditional.DiscSettings, Settings):
  """Of the discriminator."""


class UpBlock(nn.Module):
  """`[B, H, W, I]` to `[B, H, W, features]`, or with twice the sides.

  Attributes:
    features: channels that come out, at most I.
    double: the sides.
    norm: before each activation.
    initial: of the initial weights.
    dtype: of the activations.
  """

  features: int
  double: bool
  norm: residual.Norm
  initial: layers.Init
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, style: jax.Array) -> jax.Array:
    rest = self.initial, self.dtype
    hidden = x.shape[-1] // 4
    h = residual.conv(hidden, 1, *rest)(linear.relu(self.norm(x, style)))
    h = linear.relu(self.norm(h, style))
    x = x[..., : self.features]
    if self.double:
      h = residual.resampled(hidden, *rest, up=True)(h)
      x = residual.doubled(x)
    else:
      h = residual.conv(hidden, 3, *rest)(h)
    h = residual.conv(hidden, 3, *rest)(linear.relu(self.norm(h, style)))
    h = linear.relu(self.norm(h, style))
    return x + residual.conv(self.features, 1, *rest)(h)


class DownBlock(nn.Module):
  """`[B, H, W, I]` to `[B, H, W, features]`, or with half the sides.

  Attributes:
    features: channels that come out, at least I.
    halve: the sides.
    initial: of the initial weights.
    dtype: of the activations.
  """

  features: int
  halve: bool
  initial: layers.Init
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    rest = self.initial, self.dtype
    hidden, missing = self.features // 4, self.features - x.shape[-1]
    h = residual.conv(hidden, 1, *rest)(linear.relu(x))
    for _ in range(2):
      h = residual.conv(hidden, 3, *rest)(linear.relu(h))
    h = linear.relu(h)
    if self.halve:
      h, x = residual.halved(h), residual.halved(x)
    h = residual.conv(self.features, 1, *rest)(h)
    if missing:
      more = residual.conv(missing, 1, *rest)(x)
      x = jnp.concatenate([x, more], axis=-1)
    return x + h


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]` in [-1, 1].

  Gains and biases are linear functions of z and, in a game of classes, of an
  embedding of the class. A stage's last block doubles the sides and has its
  channels.

  Attributes:
    shape: of one image, `(size, size, C)`.
    settings: `config.gen.net`.
    classes: that there are; 0 for none.
    dtype: of the activations.
  """

  shape: tuple[int, ...]
  settings: GenSettings = GenSettings()
  classes: int = 0
  dtype: Any = jnp.float32

  @property
  def truncation(self) -> str:
    return 'latent'

  @property
  def spectral(self) -> spectral.Norm | None:
    settings = self.settings
    return spectral.norm_if(
      settings.spectral_norm, spectral.is_kernel, settings.power_iterations
    )

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    settings, init = self.settings, _init(self.settings)
    plan = residual.choose('biggan_deep', biggan.PLANS, self.shape)
    sides = plan.sides_up(self.shape[0])
    residual.check_attention('gen.net.attention', settings.attention, sides)
    style, block = self._style(latent), _block(UpBlock, settings)

    def norm(h: jax.Array, style: jax.Array | None) -> jax.Array:
      return conditional.normalised(
        h, style, mode=mode, classes=self.classes, init=init,
        epsilon=settings.epsilon, dtype=self.dtype,
      )  # fmt: skip

    first, *stages = (settings.width * n for n in plan.up)
    side = self.shape[0] >> len(stages)
    h = layers.dense(side * side * first, *init, self.dtype)(style)
    h = h.reshape(-1, side, side, first)
    for stage, features in enumerate(stages):
      for i in range(1, settings.depth + 1):
        last = i == settings.depth
        name = f'Block_{stage * settings.depth + i - 1}'
        out = features if last else h.shape[-1]
        h = block(out, last, norm, init, self.dtype, name=name)(h, style)
      if h.shape[1] == settings.attention:
        h = attention.SelfAttention(init, self.dtype)(h)
    h = linear.relu(norm(h, None))
    return nn.tanh(residual.conv(self.shape[-1], 3, init, self.dtype)(h))

  def _style(self, latent: types.Latent) -> jax.Array:
    """What the first layer and each block are told, `[B, S]`."""
    z, settings = latent.z.astype(self.dtype), self.settings
    if not self.classes:
      return z
    embedding = conditional.Embedding(
      self.classes, settings.shared, _init(settings), self.dtype, name='shared'
    )
    return jnp.concatenate([embedding(latent.label), z], axis=1)


class Discriminator(conditional.Judge):
  """Images `[B, size, size, C]` to logits `[B]`.

  A stage's first block has its channels and halves the sides, but for the last
  at 32x32.

  Attributes:
    settings: `config.disc.net`.
    classes: that there are; 0 for none.
    dtype: of the activations.
  """

  settings: DiscSettings = DiscSettings()

  @property
  def homogeneous(self) -> bool:
    return not self.settings.attention

  @nn.compact
  def judge(self, batch: types.Batch, mode: types.Mode) -> types.Judged:
    del mode
    settings, init = self.settings, _init(self.settings)
    size = batch.x.shape[1]
    plan = residual.choose('biggan_deep', biggan.PLANS, batch.x.shape[1:])
    sides = plan.sides_down(size)[:-1]
    residual.check_attention('disc.net.attention', settings.attention, sides)
    block = _block(DownBlock, settings)
    first, *stages = (settings.width * n for n in plan.down)
    h = residual.conv(first, 3, init, self.dtype)(batch.x)
    for stage, features in enumerate(stages):
      for i in range(settings.depth):
        halve = i == 0 and stage < plan.halvings
        name = f'Block_{stage * settings.depth + i}'
        h = block(features, halve, init, self.dtype, name=name)(h)
      # At 32x32 two stages have one resolution.
      if settings.attention and stage == sides.index(settings.attention):
        h = attention.SelfAttention(init, self.dtype)(h)
    h = linear.relu(h).sum(axis=(1, 2), dtype=jnp.float32)
    outputs = conditional.outputs(settings, self.classes)
    return conditional.judged(
      layers.dense(outputs, *init, jnp.float32)(h),
      h,
      batch.label,
      classes=self.classes,
      settings=settings,
      init=init,
    )


def _init(settings: Settings) -> layers.Init:
  return settings.kernel_init, settings.kernel_scale


def _block(block: Any, settings: Settings) -> Any:
  """A kind of block, whose insides are computed again where they are to be."""
  return nn.remat(block) if settings.remat else block
