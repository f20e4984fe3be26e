"""The networks of Goodfellow et al. 2014 (their MNIST experiment).

Numbers that the paper leaves out are those of the authors' published
configuration: layer sizes, initial ranges, dropout rates.
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
from gan_jax.ops import linear


@dataclasses.dataclass(frozen=True)
class GenSettings:
  """Of the generator."""

  # Of each hidden layer of rectifiers.
  width: int = declare.field(1200, at_least=1)
  # Hidden layers.
  depth: int = declare.field(2, at_least=1)
  # The distribution of the initial weights: a name in layers.INITIALISERS.
  kernel_init: str = declare.field('uniform', choices=layers.INITIALISERS)
  # Its scale: half-width, standard deviation or gain.
  kernel_scale: float = declare.field(0.05, at_least=0)


@dataclasses.dataclass(frozen=True)
class DiscSettings:
  """Of the discriminator."""

  # Maxout units of each hidden layer.
  width: int = declare.field(240, at_least=1)
  # Hidden layers.
  depth: int = declare.field(2, at_least=1)
  # Linear pieces of which each unit takes the largest (Goodfellow et al. 2013,
  # "Maxout networks", eq. 1).
  pieces: int = declare.field(5, at_least=1)
  # The share of inputs dropped in training.
  input_dropout: float = declare.field(0.2, at_least=0, below=1)
  # The share of each hidden layer's units dropped in training.
  hidden_dropout: float = declare.field(0.5, at_least=0, below=1)
  # The distribution of the initial weights: a name in layers.INITIALISERS.
  kernel_init: str = declare.field('uniform', choices=layers.INITIALISERS)
  # Its scale: half-width, standard deviation or gain.
  kernel_scale: float = declare.field(0.005, at_least=0)


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]` in [-1, 1], through a sigmoid.

  Attributes:
    shape: of one image, `(H, W, C)`.
    settings: `config.gen.net`.
    marginals: the mean of each pixel of the data in [-1, 1], `[H, W, C]`: the
      output bias is such that a zero input gives them. None starts at grey.
    dtype: of the activations.
  """

  shape: tuple[int, ...]
  settings: GenSettings = GenSettings()
  marginals: Any = None
  dtype: Any = jnp.float32

  @property
  def entries(self) -> tuple[tuple[str, ...], ...]:
    return layers.FIRST_DENSE

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    del mode
    if len(self.shape) != 3:
      raise ValueError(
        'the maxout generator ends in a sigmoid and makes images; the data '
        f'have shape {self.shape}'
      )
    settings = self.settings
    init = settings.kernel_init, settings.kernel_scale
    h = latent.z
    for _ in range(settings.depth):
      h = nn.relu(layers.dense(settings.width, *init, self.dtype)(h))
    size = math.prod(self.shape)
    x = layers.dense(size, *init, self.dtype, bias_init=self._marginal_bias)(h)
    return (2 * nn.sigmoid(x) - 1).reshape(-1, *self.shape)

  def _marginal_bias(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The inverse sigmoid of each pixel's mean, kept from 0 and 1."""
    del key
    if self.marginals is None:
      return jnp.zeros(shape)
    mean = jnp.clip((jnp.asarray(self.marginals) + 1) / 2, 1e-7, 1 - 1e-7)
    return jnp.log(mean / (1 - mean)).reshape(shape)


class DenseGeneral(nn.Module):
  """A linear layer `[B, C]` to `[B, pieces, units]`; the largest piece counts.

  Units last: on a CPU the largest of five rows is many times faster to
  differentiate than the largest in a row of five.

  Attributes:
    pieces: of each unit.
    units: of the layer.
    kernel_init: of the initial weights, of all pieces as one matrix.
    dtype: of the activations.
  """

  pieces: int
  units: int
  kernel_init: nn.initializers.Initializer
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, h: jax.Array) -> jax.Array:
    shape = (self.pieces, self.units)

    def init(key: jax.Array) -> jax.Array:
      matrix = self.kernel_init(key, (h.shape[-1], math.prod(shape)))
      return jnp.reshape(matrix, (h.shape[-1], *shape))

    kernel = self.param('kernel', init).astype(self.dtype)
    bias = self.param('bias', nn.initializers.zeros, shape)
    axes = (((1,), (0,)), ((), ()))
    y = linear.as_matrices(h.astype(self.dtype), kernel, axes, None)
    return y + linear.spread(bias, y)


class Discriminator(nn.Module):
  """Samples `[B, ...]` to logits `[B]`: maxout layers with dropout.

  Attributes:
    settings: `config.disc.net`.
    dtype: of the activations.
  """

  settings: DiscSettings = DiscSettings()
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, batch: types.Batch, mode: types.Mode) -> jax.Array:
    settings, x = self.settings, batch.x
    # Images as in the paper, in [0, 1]; the published rates rely on it.
    h = (x + 1) / 2 if x.ndim == 4 else x
    h = h.reshape(h.shape[0], -1)
    h = nn.Dropout(settings.input_dropout, deterministic=not mode.dropout)(h)
    for _ in range(settings.depth):
      init = layers.INITIALISERS[settings.kernel_init](settings.kernel_scale)
      h = DenseGeneral(settings.pieces, settings.width, init, self.dtype)(h)
      h = layers.largest(h, axis=1)
      h = nn.Dropout(settings.hidden_dropout, deterministic=not mode.dropout)(h)
    logit = layers.dense(
      1, settings.kernel_init, settings.kernel_scale, jnp.float32
    )(h)
    return logit[:, 0]
