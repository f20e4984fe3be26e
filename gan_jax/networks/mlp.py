"""Multi-layer perceptrons, for points and for small images."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.networks import layers


class Generator(nn.Module):
  """Latents `[B, Z]` to samples `[B, *shape]`.

  Attributes:
    shape: of one sample; three axes mean an image, which ends in tanh.
    width: of each hidden layer.
    depth: hidden layers.
    activation: a name in `layers.ACTIVATIONS`.
    batch_norm: after each hidden linear layer.
    kernel_init: a name in `layers.INITIALISERS`, with its `kernel_scale`.
    dtype: of the activations.
  """

  shape: tuple[int, ...]
  width: int = 128
  depth: int = 3
  activation: str = 'relu'
  batch_norm: bool = False
  kernel_init: str = 'lecun'
  kernel_scale: float = 1.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    h = _hidden(self, latent.z, mode)
    size = math.prod(self.shape)
    x = layers.dense(size, self.kernel_init, self.kernel_scale, self.dtype)(h)
    x = nn.tanh(x) if len(self.shape) == 3 else x
    return x.reshape(-1, *self.shape)


class Discriminator(nn.Module):
  """Samples `[B, ...]` to logits `[B]`; attributes as the Generator's."""

  width: int = 128
  depth: int = 3
  activation: str = 'leaky_relu'
  batch_norm: bool = False
  kernel_init: str = 'lecun'
  kernel_scale: float = 1.0
  dtype: Any = jnp.float32

  @property
  def homogeneous(self) -> bool:
    return self.activation in layers.RECTIFIERS and not self.batch_norm

  @nn.compact
  def __call__(self, batch: types.Batch, mode: types.Mode) -> jax.Array:
    h = _hidden(self, batch.x.reshape(len(batch.x), -1), mode)
    logit = layers.dense(1, self.kernel_init, self.kernel_scale, self.dtype)(h)
    return logit[:, 0]


def _hidden(
  net: Generator | Discriminator, h: jax.Array, mode: types.Mode
) -> jax.Array:
  """The hidden layers, `[B, C]` to `[B, width]`; called inside the module."""
  for _ in range(net.depth):
    h = layers.dense(net.width, net.kernel_init, net.kernel_scale, net.dtype)(h)
    if net.batch_norm:
      h = layers.batch_norm(mode, net.dtype)(h)
    h = layers.ACTIVATIONS[net.activation](h)
  return h
