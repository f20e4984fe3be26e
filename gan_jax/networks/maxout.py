"""The networks of Goodfellow et al. 2014 (their MNIST experiment).

Numbers that the paper leaves out are those of the authors' published
configuration: layer sizes, initial ranges, dropout rates.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.networks import layers
from gan_jax.ops import linear


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]` in [-1, 1], through a sigmoid.

  Attributes:
    shape: of one image, `(H, W, C)`.
    marginals: the mean of each pixel of the data in [-1, 1], `[H, W, C]`: the
      output bias is such that a zero input gives them. None starts at grey.
    width: of each hidden layer of rectifiers.
    depth: hidden layers.
    kernel_init: a name in `layers.INITIALISERS`, with its `kernel_scale`.
    dtype: of the activations.
  """

  shape: tuple[int, ...]
  marginals: Any = None
  width: int = 1200
  depth: int = 2
  kernel_init: str = 'uniform'
  kernel_scale: float = 0.05
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    del mode
    if len(self.shape) != 3:
      raise ValueError(
        'the maxout generator ends in a sigmoid and makes images; the data '
        f'have shape {self.shape}'
      )
    h = latent.z
    for _ in range(self.depth):
      h = layers.dense(
        self.width, self.kernel_init, self.kernel_scale, self.dtype
      )(h)
      h = nn.relu(h)
    x = layers.dense(
      math.prod(self.shape),
      self.kernel_init,
      self.kernel_scale,
      self.dtype,
      bias_init=self._marginal_bias,
    )(h)
    return (2 * nn.sigmoid(x) - 1).reshape(-1, *self.shape)

  def _marginal_bias(
    self, key: jax.Array, shape: tuple[int, ...], dtype: Any
  ) -> jax.Array:
    """The inverse sigmoid of each pixel's mean, kept from 0 and 1."""
    del key
    if self.marginals is None:
      return jnp.zeros(shape, dtype)
    mean = jnp.clip((jnp.asarray(self.marginals) + 1) / 2, 1e-3, 1 - 1e-3)
    return jnp.log(mean / (1 - mean)).reshape(shape).astype(dtype)


class Discriminator(nn.Module):
  """Samples `[B, ...]` to logits `[B]`: maxout layers with dropout.

  Attributes:
    width: maxout units of each hidden layer.
    depth: hidden layers.
    pieces: linear pieces of which each unit takes the largest (Goodfellow et
      al. 2013, "Maxout networks", eq. 1).
    input_dropout: the share of inputs dropped in training.
    hidden_dropout: the share of each hidden layer's units dropped.
    kernel_init: a name in `layers.INITIALISERS`, with its `kernel_scale`.
    dtype: of the activations.
  """

  width: int = 240
  depth: int = 2
  pieces: int = 5
  input_dropout: float = 0.2
  hidden_dropout: float = 0.5
  kernel_init: str = 'uniform'
  kernel_scale: float = 0.005
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, batch: types.Batch, mode: types.Mode) -> jax.Array:
    x = batch.x
    # Images as in the paper, in [0, 1]; the published rates rely on it.
    h = (x + 1) / 2 if x.ndim == 4 else x
    h = h.reshape(h.shape[0], -1)
    h = nn.Dropout(self.input_dropout, deterministic=not mode.dropout)(h)
    for _ in range(self.depth):
      # Units last: as far as a CPU is concerned, the largest of five rows is
      # many times faster to differentiate than the largest in a row of five.
      h = nn.DenseGeneral(
        (self.pieces, self.width),
        kernel_init=layers.INITIALISERS[self.kernel_init](self.kernel_scale),
        dtype=self.dtype,
        dot_general_cls=lambda: linear.as_matrices,
      )(h)
      h = h.max(axis=1)
      h = nn.Dropout(self.hidden_dropout, deterministic=not mode.dropout)(h)
    logit = layers.dense(1, self.kernel_init, self.kernel_scale, self.dtype)(h)
    return logit[:, 0]
