"""A small classifier of small images, for figures that need no ImageNet."""

import flax.linen as nn
import jax

from gan_jax import types
from gan_jax.networks import layers


class Classifier(nn.Module):
  """Images `[B, H, W, C]` in [-1, 1] to features `[B, D]` and logits `[B, K]`.

  Two convolutions that halve the sides, and two linear layers; no batch
  normalisation, so that an image's features are its own.

  Attributes:
    classes: K.
    width: channels of the first convolution; the second has twice as many.
    features: D, of the layer before the last, after its ReLU.
    dropout: the share of features that training leaves out.
  """

  classes: int = 10
  width: int = 32
  features: int = 128
  dropout: float = 0.5

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> types.Features:
    # Of float32 on all devices, for figures depend on it.
    with jax.default_matmul_precision('highest'):
      return self._extract(x, train=train)

  def _extract(self, x: jax.Array, *, train: bool) -> types.Features:
    for stage in range(2):
      x = nn.relu(layers.Conv(self.width * 2**stage, kernel=3, stride=2)(x))
    x = x.reshape(len(x), -1)
    features = nn.relu(nn.Dense(self.features)(x))
    kept = nn.Dropout(self.dropout, deterministic=not train)(features)
    return types.Features(features, nn.Dense(self.classes)(kept))
