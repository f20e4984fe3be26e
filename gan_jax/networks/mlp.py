"""Multi-layer perceptrons, for points and for small images."""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import conditional, layers, spectral


@dataclasses.dataclass(frozen=True)
class GenSettings:
  """Of the generator."""

  # Of each hidden layer.
  width: int = declare.field(128, at_least=1)
  # Hidden layers.
  depth: int = declare.field(3, at_least=1)
  # After each hidden layer: a name in layers.ACTIVATIONS.
  activation: str = declare.field('relu', choices=layers.ACTIVATIONS)
  # After each hidden linear layer.
  batch_norm: bool = False
  # Equal parts of a batch that are normalised apart: with as many as `packing`,
  # each of the samples that D judges at once, as in PacGAN's code.
  norm_groups: int = declare.field(1, at_least=1)
  # The share of the past in the running averages of the normalisation.
  norm_momentum: float = declare.field(0.9, at_least=0, below=1)
  # What is added to the variance.
  norm_epsilon: float = declare.field(1e-5, above=0)
  # The distribution of the initial weights: a name in layers.INITIALISERS.
  kernel_init: str = declare.field('lecun', choices=layers.INITIALISERS)
  # Its scale: half-width, standard deviation or gain.
  kernel_scale: float = declare.field(1.0, at_least=0)
  # The first layer's scale in place of kernel_scale, with initial biases from
  # U(-spread, spread): its units then bend at places all over the inputs' range
  # and not at 0 alone, and a larger spread lets the network vary faster along
  # them. 0 treats the first layer like the others, whose biases begin at 0.
  spread: float = declare.field(0.0, at_least=0)
  # Spectral normalisation of all weights.
  spectral_norm: bool = False


@dataclasses.dataclass(frozen=True)
class DiscSettings(conditional.DiscSettings, GenSettings):
  """Of the discriminator: the generator's, with another activation."""

  # After each hidden layer: a name in layers.ACTIVATIONS.
  activation: str = declare.field('leaky_relu', choices=layers.ACTIVATIONS)
  # How it takes the class, in a conditional game.
  conditioning: str = declare.field(
    'concatenation', choices=('concatenation', *conditional.CONDITIONING)
  )


class Generator(nn.Module):
  """Latents `[B, Z]` to samples `[B, *shape]`.

  Attributes:
    shape: of one sample; three axes mean an image, which ends in tanh.
    settings: `config.gen.net`.
    classes: whose number is concatenated to z, one-hot; 0 if there are none.
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
    return spectral.norm_if(self.settings.spectral_norm)

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    z = conditional.concatenated(latent.z, latent.label, self.classes)
    h = _hidden(self, z, mode)
    size = math.prod(self.shape)
    init = self.settings.kernel_init, self.settings.kernel_scale
    x = layers.dense(size, *init, self.dtype)(h)
    x = nn.tanh(x) if len(self.shape) == 3 else x
    return x.reshape(-1, *self.shape)


class Discriminator(conditional.Judge):
  """Samples `[B, ...]` to logits `[B]`; attributes as the Generator's."""

  settings: DiscSettings = DiscSettings()

  @property
  def homogeneous(self) -> bool:
    settings = self.settings
    added = self.classes and settings.conditioning == 'concatenation'
    smooth = settings.activation not in layers.RECTIFIERS
    return not (smooth or settings.batch_norm or added)

  @nn.compact
  def judge(self, batch: types.Batch, mode: types.Mode) -> types.Judged:
    settings = self.settings
    h = batch.x.reshape(len(batch.x), -1)
    if settings.conditioning == 'concatenation':
      h = conditional.concatenated(h, batch.label, self.classes)
    h = _hidden(self, h, mode)
    outputs = conditional.outputs(settings, self.classes)
    last = layers.dense(
      outputs, settings.kernel_init, settings.kernel_scale, jnp.float32
    )
    return conditional.judged(
      last(h),
      h,
      batch.label,
      classes=self.classes,
      settings=settings,
    )


def _hidden(
  net: Generator | Discriminator, h: jax.Array, mode: types.Mode
) -> jax.Array:
  """The hidden layers, `[B, C]` to `[B, width]`; called inside the module."""
  settings = net.settings
  for layer in range(settings.depth):
    scale, biases = settings.kernel_scale, nn.initializers.zeros
    if settings.spread and layer == 0:
      scale = settings.spread
      biases = layers.INITIALISERS['uniform'](scale)
    init = settings.kernel_init, scale
    h = layers.dense(settings.width, *init, net.dtype, bias_init=biases)(h)
    if settings.batch_norm:
      h = layers.batch_norm(
        mode,
        net.dtype,
        epsilon=settings.norm_epsilon,
        momentum=settings.norm_momentum,
        groups=settings.norm_groups,
      )(h)
    h = layers.ACTIVATIONS[settings.activation](h)
  return h
