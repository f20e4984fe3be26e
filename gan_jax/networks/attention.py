"""Self-attention of images (Zhang et al. 2019), as its authors' code has it.

The paper neither halves the sides of keys and values nor projects the result.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import layers
from gan_jax.ops import linear


class SelfAttention(nn.Module):
  """x + gamma o(softmax(q k^T) v), `[B, H, W, C]` to the same; at first x.

  q are C/8 channels at each pixel, k C/8 and v C/2 channels of 1x1
  convolutions, of which the largest of each 2x2 is taken; o goes back to C
  channels. The products are not scaled.

  Attributes:
    initial: of the initial weights.
    dtype: of the activations.
  """

  initial: layers.Init
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    channels = x.shape[-1]

    def conv(features: int, name: str) -> layers.Conv:
      return layers.Conv(
        max(features, 1), 1, 1, False, *self.initial,
        use_bias=False, dtype=self.dtype, name=name,
      )  # fmt: skip

    def pixels(h: jax.Array) -> jax.Array:
      return h.reshape(h.shape[0], -1, h.shape[-1])

    def largest(h: jax.Array) -> jax.Array:
      return layers.largest(layers.largest(layers.windows(h), 4), 2)

    query = pixels(conv(channels // 8, 'query')(x))
    key = pixels(largest(conv(channels // 8, 'key')(x)))
    value = pixels(largest(conv(channels // 2, 'value')(x)))
    scores = jnp.einsum('bqc,bkc->bqk', query, key).astype(jnp.float32)
    weights = nn.softmax(scores).astype(self.dtype)
    seen = jnp.einsum('bqk,bkc->bqc', weights, value)
    seen = conv(channels, 'out')(seen.reshape(*x.shape[:-1], -1))
    gamma = self.param('gamma', nn.initializers.zeros, ())
    return x + linear.spread(gamma, seen) * seen
