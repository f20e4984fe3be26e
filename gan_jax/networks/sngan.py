"""SNGAN (Miyato et al. 2018) and its projection (Miyato & Koyama 2018).

Residual networks for 32x32, 48x48 and 128x128 (their tables 4, 5 and 6) and, as
in the authors' code, 64x64; or the standard CNN of table 3, for any size that
8 divides. A generator of classes scales and shifts by class what batch
normalisation gives, but for the last.
"""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import conditional, layers, residual, spectral

# In units of a width of 64, of which the authors' ResNets are made.
PLANS = {
  32: residual.Plan((4, 4, 4, 4), (2, 2, 2, 2), 2),
  48: residual.Plan((8, 4, 2, 1), (1, 2, 4, 8, 16), 4),
  64: residual.Plan((16, 8, 4, 2, 1), (1, 2, 4, 8, 16), 5),
  128: residual.Plan((16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5),
}

# The initial weights of the authors' code.
INITS = residual.Inits(
  ('glorot_uniform', math.sqrt(2)), ('glorot_uniform', 1.0)
)
# Of the CNN in public code; the paper says nothing.
_CNN_INIT: layers.Init = ('normal', 0.02)
# D's stages there: channels in units of the width, and the stride.
_CNN_STAGES = ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1))


@dataclasses.dataclass(frozen=True)
class _Settings:
  """Of both players."""

  # 'resnet', for 32x32, 48x48, 64x64 and 128x128, or 'cnn'.
  architecture: str = declare.field('resnet', choices=('resnet', 'cnn'))
  # The unit of channels. With 64 the ResNet for 32x32 has 256 in G and 128 in
  # D, others from 1024 or 512 to 64, and the CNN from 512 to 64.
  width: int = declare.field(64, at_least=1)
  # Spectral normalisation of all kernels, as in SAGAN.
  spectral_norm: bool = False
  # Of the power method in each update.
  power_iterations: int = declare.field(1, at_least=1)
  # Where biases begin: a name in layers.BIASES.
  bias_init: str = declare.field('zeros', choices=layers.BIASES)
  # The law of the initial weights of the ResNet's 1x1 shortcuts and of its G's
  # last convolution: a name in layers.INITIALISERS, of scale 1.
  shortcut_init: str = declare.field(
    'glorot_uniform', choices=layers.INITIALISERS
  )

  @property
  def inits(self) -> residual.Inits:
    """Of the initial weights of the ResNet."""
    return INITS._replace(shortcut=(self.shortcut_init, 1.0))


@dataclasses.dataclass(frozen=True)
class GenSettings(_Settings):
  """Of the generator."""

  # What batch normalisation adds to the variance; by default as in the authors'
  # code.
  epsilon: float = declare.field(2e-5, above=0)
  # How the ResNet doubles sides: by 'nearest' neighbours, or 'bilinear' as in
  # mimicry.
  doubling: str = declare.field('nearest', choices=('nearest', 'bilinear'))


@dataclasses.dataclass(frozen=True)
class DiscSettings(conditional.DiscSettings, _Settings):
  """Of the discriminator."""

  # Spectral normalisation of all weights.
  spectral_norm: bool = True
  # What the ResNet's last layer sees of each channel: the 'sum' over all
  # pixels, as in the paper, or the 'mean', as of WGAN-GP in public code.
  pooling: str = declare.field('sum', choices=('sum', 'mean'))
  # Shortcuts of the ResNet take what is rectified for the first convolution, as
  # in mimicry, where that is done in place.
  rectified_shortcuts: bool = False
  # The ResNet's last layer has a bias at 32x32 too, where the authors' has not.
  last_bias: bool = False
  # Of the ResNet, the size of the space in which what D sees of parts of an
  # image is compared with what it sees of the whole (Lee et al. 2021,
  # InfoMax-GAN, whose code has 1024); 0 has none.
  infomax: int = declare.field(0, at_least=0)


def lowest(shape: tuple[int, ...]) -> int:
  """The side of the CNN's lowest resolution, for images `(H, W, C)`.

  Raises:
    ValueError: it is not a square image, or 8 does not divide its side.
  """
  layers.check_square('sngan', shape)
  if shape[0] % 8:
    near = max(round(shape[0] / 8), 1) * 8
    raise ValueError(
      f"data.size={shape[0]}: sngan with net.architecture='cnn' makes images "
      f'whose side 8 divides, such as 32 or 48; set data.size={near}'
    )
  return shape[0] // 8


class Critic(nn.Module):
  """Features `[..., C]` to points `[..., features]` to be compared.

  A hidden layer of the same width and, beside it, a linear one (Lee et al.
  2021, "InfoMax-GAN", and its code).

  Attributes:
    features: of the space.
    dtype: of the activations.
  """

  features: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, h: jax.Array) -> jax.Array:
    def dense(features: int, name: str) -> layers.Dense:
      return layers.dense(features, *INITS.other, self.dtype, name=name)

    hidden = nn.relu(dense(h.shape[-1], 'hidden')(h))
    out = dense(self.features, 'out')(hidden)
    other: jax.Array = dense(self.features, 'shortcut')(h)
    return out + other


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]` in [-1, 1].

  Attributes:
    shape: of one image, `(size, size, C)`.
    settings: `config.gen.net`.
    classes: that scale and shift what batch normalisation gives; 0 for none.
    dtype: of the activations.
  """

  shape: tuple[int, ...]
  settings: GenSettings = GenSettings()
  classes: int = 0
  dtype: Any = jnp.float32

  @property
  def entries(self) -> tuple[tuple[str, ...], ...]:
    return layers.FIRST_DENSE

  @property
  def spectral(self) -> spectral.Norm | None:
    settings = self.settings
    return spectral.norm_if(
      settings.spectral_norm, spectral.is_kernel, settings.power_iterations
    )

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    settings = self.settings

    def norm(h: jax.Array, style: jax.Array | None) -> jax.Array:
      return conditional.normalised(
        h, style, mode=mode, classes=self.classes, dtype=self.dtype,
        epsilon=settings.epsilon,
      )  # fmt: skip

    label = latent.label if self.classes else None
    if settings.architecture == 'cnn':
      return self._cnn(latent.z, label, norm)
    plan = residual.choose('sngan', PLANS, self.shape)
    return residual.grow(
      latent.z,
      [label] * (len(plan.up) - 1),
      self.shape,
      [settings.width * n for n in plan.up],
      norm,
      settings.inits,
      bilinear=settings.doubling == 'bilinear',
      dtype=self.dtype,
    )

  def _cnn(
    self, z: jax.Array, label: jax.Array | None, norm: residual.Norm
  ) -> jax.Array:
    """Table 3; nothing is between the linear layer and the first stage."""
    side, width = lowest(self.shape), self.settings.width
    h = layers.dense(side * side * 8 * width, *_CNN_INIT, self.dtype)(z)
    h = h.reshape(-1, side, side, 8 * width)
    for n in (4, 2, 1):
      up = layers.Conv(n * width, 4, 2, True, *_CNN_INIT, dtype=self.dtype)
      h = nn.relu(norm(up(h), label))
    last = layers.Conv(
      self.shape[-1], 3, 1, False, *_CNN_INIT, dtype=self.dtype
    )
    return nn.tanh(last(h))


class Discriminator(conditional.Judge):
  """Images `[B, size, size, C]` to logits `[B]`.

  Attributes:
    settings: `config.disc.net`.
    classes: that there are; 0 for none.
    dtype: of the activations.
  """

  settings: DiscSettings = DiscSettings()

  @property
  def homogeneous(self) -> bool:
    return True

  @nn.compact
  def judge(self, batch: types.Batch, mode: types.Mode) -> types.Judged:
    del mode
    settings = self.settings
    outputs = conditional.outputs(settings, self.classes)
    heads = {}
    if settings.architecture == 'cnn':
      if settings.infomax:
        raise ValueError(
          f'disc.net.infomax={settings.infomax}: is of '
          "disc.net.architecture='resnet'"
        )
      last, h = self._cnn(batch.x, outputs)
    else:
      plan = residual.choose('sngan', PLANS, batch.x.shape[1:])
      local, h = residual.shrink(
        batch.x,
        [settings.width * n for n in plan.down],
        plan.halvings,
        settings.inits,
        wide=False,
        rectified=settings.rectified_shortcuts,
        dtype=self.dtype,
      )
      if settings.infomax:
        # As their code has it, whose last block rectifies in place.
        parts = nn.relu(local).reshape(len(local), -1, local.shape[-1])
        for name, part in (('local', parts), ('global', h)):
          critic = Critic(settings.infomax, self.dtype, name=f'{name}_critic')
          heads[name] = critic(part)
      if settings.pooling == 'mean':
        h = h / (batch.x.shape[1] >> plan.halvings) ** 2
      use_bias = settings.last_bias or batch.x.shape[1] != 32
      dense = layers.dense(
        outputs, *INITS.other, jnp.float32, use_bias=use_bias
      )
      last = dense(h)
    judged = conditional.judged(
      last,
      h,
      batch.label,
      classes=self.classes,
      settings=settings,
    )
    return judged._replace(heads={**judged.heads, **heads})

  def _cnn(self, h: jax.Array, outputs: int) -> tuple[jax.Array, jax.Array]:
    """Table 3: `[B, outputs]`, and sums over all pixels `[B, C]`."""
    lowest(h.shape[1:])
    for n, stride in _CNN_STAGES:
      conv = layers.Conv(
        n * self.settings.width, 2 + stride, stride, False, *_CNN_INIT,
        dtype=self.dtype,
      )  # fmt: skip
      h = nn.leaky_relu(conv(h), 0.1)
    dense = layers.dense(outputs, *_CNN_INIT, jnp.float32)
    sums = h.sum(axis=(1, 2), dtype=jnp.float32)
    return dense(h.reshape(len(h), -1)), sums
