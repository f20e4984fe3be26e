"""The small DCGAN of unrolled GANs' StackedMNIST (Metz et al. 2017, appendix).

Kernels of 3 x 3, three halvings of any square size, and a D that is a fraction
of G: the layers of PacGAN's code (Lin et al. 2018), at the widths below those
of its "D = 1/4 G". There the plain convolutions start from a truncated normal
distribution, here all kernels from a whole one.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import layers

_STAGES = 3


def sides(shape: tuple[int, ...]) -> list[int]:
  """The side of an image and of its halvings, rounded up: 28, 14, 7, 4.

  Args:
    shape: of one image, `(H, W, C)`.

  Raises:
    ValueError: it is not a square image of at least 8 x 8.
  """
  layers.check_square('small_dcgan', shape)
  if shape[0] < 8:
    raise ValueError(
      f'data.size={shape[0]}: small_dcgan makes images of at least 8 x 8'
    )
  return [-(-shape[0] // 2**stage) for stage in range(_STAGES + 1)]


@dataclasses.dataclass(frozen=True)
class _Settings:
  """Of both players."""

  # The distribution of the initial weights: a name in layers.INITIALISERS.
  kernel_init: str = declare.field('normal', choices=layers.INITIALISERS)
  # Its scale: half-width, standard deviation or gain.
  kernel_scale: float = declare.field(0.02, at_least=0)


@dataclasses.dataclass(frozen=True)
class GenSettings(_Settings):
  """Of the generator."""

  # Channels at the lowest resolution; they halve with each of three stages.
  width: int = declare.field(64, at_least=8)
  # Equal parts of a batch that are normalised apart: with as many as `packing`,
  # each of the samples that D judges at once, as in PacGAN's code.
  norm_groups: int = declare.field(1, at_least=1)


@dataclasses.dataclass(frozen=True)
class DiscSettings(_Settings):
  """Of the discriminator, a fraction of the generator."""

  # Channels at the lowest resolution; they halve with each of three stages.
  width: int = declare.field(8, at_least=4)
  # On every stage.
  batch_norm: bool = True


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]` in [-1, 1].

  Attributes:
    shape: of one image, `(size, size, C)`.
    settings: `config.gen.net`.
    dtype: of the activations.
  """

  shape: tuple[int, ...]
  settings: GenSettings = GenSettings()
  dtype: Any = jnp.float32

  @property
  def entries(self) -> tuple[tuple[str, ...], ...]:
    return layers.FIRST_DENSE

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    *targets, base = sides(self.shape)
    settings = self.settings
    init = settings.kernel_init, settings.kernel_scale
    h = layers.grow(
      latent.z,
      base,
      settings.width,
      [settings.width // 2**stage for stage in range(1, _STAGES + 1)],
      lambda h: layers.batch_norm(
        mode, self.dtype, groups=settings.norm_groups
      )(h),
      kernel=3,
      init=init,
      dtype=self.dtype,
      sides=targets[::-1],
    )
    norm = layers.batch_norm(mode, self.dtype, groups=settings.norm_groups)
    h = nn.relu(norm(h))
    h = layers.Conv(self.shape[-1], 3, 1, False, *init, dtype=self.dtype)(h)
    return nn.tanh(h)


class Discriminator(nn.Module):
  """Images `[B, size, size, C]` to logits `[B]`.

  Attributes:
    settings: `config.disc.net`.
    dtype: of the activations.
  """

  settings: DiscSettings = DiscSettings()
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, batch: types.Batch, mode: types.Mode) -> jax.Array:
    sides(batch.x.shape[1:])
    settings = self.settings
    init = settings.kernel_init, settings.kernel_scale
    last, _ = layers.shrink(
      batch.x,
      [settings.width // 2**stage for stage in reversed(range(_STAGES))],
      mode,
      kernel=3,
      init=init,
      dtype=self.dtype,
      normalised=0 if settings.batch_norm else None,
      slope=0.3,
    )
    return last[:, 0]
