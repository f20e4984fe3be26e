"""The small DCGAN of unrolled GANs' StackedMNIST (Metz et al. 2017, appendix).

Kernels of 3 x 3, three halvings of any square size, and a D that is a fraction
of G: the layers of PacGAN's code (Lin et al. 2018), at the widths below those
of its "D = 1/4 G". There the plain convolutions start from a truncated normal
law, here all kernels from a whole one.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.networks import layers

_STAGES = 3


def sides(shape: tuple[int, ...]) -> list[int]:
  """The side of an image and of its halvings, rounded up: 28, 14, 7, 4.

  Args:
    shape: of one image, `(H, W, C)`.

  Raises:
    ValueError: it is not a square image of at least 8 x 8.
  """
  if len(shape) != 3 or shape[0] != shape[1] or shape[0] < 8:
    raise ValueError(
      'small_dcgan makes square images of at least 8 x 8; the data have shape '
      f'{shape} (data.size crops them to squares)'
    )
  return [-(-shape[0] // 2**stage) for stage in range(_STAGES + 1)]


def _check_width(width: int, least: int) -> None:
  if width < least:
    raise ValueError(
      f'width={width}: small_dcgan halves it and needs at least {least}'
    )


def crop(x: jax.Array, side: int) -> jax.Array:
  """`[B, 2H, 2H, C]` to an odd side, as TensorFlow grows to it.

  There a transposed convolution is the gradient of a 'SAME' one, which pads an
  odd side by as much before as after, and an even one only after.
  """
  odd = x.shape[1] - side
  return x[:, odd:, odd:]


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]` in [-1, 1].

  Attributes:
    shape: of one image, `(size, size, C)`.
    width: channels at the lowest resolution; they halve with each stage.
    kernel_init: a name in `layers.INITIALISERS`, with its `kernel_scale`.
    dtype: of the activations.
  """

  shape: tuple[int, ...]
  width: int = 64
  kernel_init: str = 'normal'
  kernel_scale: float = 0.02
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    *targets, base = sides(self.shape)
    _check_width(self.width, 2**_STAGES)
    law = self.kernel_init, self.kernel_scale
    h = layers.dense(base * base * self.width, *law, self.dtype)(latent.z)
    h = h.reshape(-1, base, base, self.width)
    h = nn.relu(layers.batch_norm(mode, self.dtype)(h))
    for stage, side in enumerate(reversed(targets), 1):
      h = layers.Conv(
        self.width // 2**stage, 3, 2, True, *law, dtype=self.dtype
      )(h)
      h = nn.relu(layers.batch_norm(mode, self.dtype)(crop(h, side)))
    h = layers.Conv(self.shape[-1], 3, 1, False, *law, dtype=self.dtype)(h)
    return nn.tanh(h)


class Discriminator(nn.Module):
  """Images `[B, size, size, C]` to logits `[B]`.

  Attributes:
    width: channels at the lowest resolution.
    batch_norm: on every stage.
    kernel_init: a name in `layers.INITIALISERS`, with its `kernel_scale`.
    dtype: of the activations.
  """

  width: int = 8
  batch_norm: bool = True
  kernel_init: str = 'normal'
  kernel_scale: float = 0.02
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, batch: types.Batch, mode: types.Mode) -> jax.Array:
    sides(batch.x.shape[1:])
    _check_width(self.width, 2 ** (_STAGES - 1))
    law = self.kernel_init, self.kernel_scale
    h = batch.x
    for stage in range(1, _STAGES + 1):
      features = self.width // 2 ** (_STAGES - stage)
      h = layers.Conv(features, 3, 2, False, *law, dtype=self.dtype)(h)
      if self.batch_norm:
        h = layers.batch_norm(mode, self.dtype)(h)
      h = nn.leaky_relu(h, 0.3)
    h = h.reshape(h.shape[0], -1)
    return layers.dense(1, *law, self.dtype)(h)[:, 0]
