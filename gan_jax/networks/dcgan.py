"""DCGAN (Radford et al. 2016) for square images of many sizes.

An image of size `base * 2**k`, with 4 <= base <= 7 and k >= 1, takes k
resampling stages: 28 is 7 * 4, 32 is 4 * 8, 96 is 6 * 16. With a number of
stages of its own any size halves so often, rounded up, as in the first code in
TensorFlow (carpedm20/DCGAN-tensorflow): 28, 14, 7, 4, 2.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import conditional, layers, spectral

_BASES = (4, 5, 6, 7)


def stages(shape: tuple[int, ...]) -> int:
  """How many times an image halves before its side is 4, 5, 6 or 7.

  Args:
    shape: of one image, `(H, W, C)`.

  Raises:
    ValueError: it is not a square image, or no number of halvings does.
  """
  layers.check_square('dcgan', shape)
  base, halvings = shape[0], 0
  while base % 2 == 0 and base > max(_BASES):
    base, halvings = base // 2, halvings + 1
  if base not in _BASES or halvings == 0:
    sizes = [b * 2**k for b in _BASES for k in range(1, 9)]
    near = sorted(sorted(sizes, key=lambda s: abs(s - shape[0]))[:4])
    raise ValueError(
      f'data.size={shape[0]}: dcgan makes images whose side is 4, 5, 6 or 7 '
      f'times a power of two, such as {", ".join(map(str, near))}'
    )
  return halvings


def sides(shape: tuple[int, ...], count: int) -> list[int]:
  """The side of an image and of each of its halvings.

  Args:
    shape: of one image, `(H, W, C)`.
    count: halvings, rounded up; 0 for those of `stages`.

  Raises:
    ValueError: it is not a square image, or of a size for other halvings.
  """
  if not count:
    return [shape[0] // 2**stage for stage in range(stages(shape) + 1)]
  layers.check_square('dcgan', shape)
  if shape[0] <= 2 ** (count - 1):
    raise ValueError(
      f'data.size={shape[0]}: dcgan of {count} stages (net.stages) makes '
      f'images of at least {2 ** (count - 1) + 1} pixels'
    )
  return [-(-shape[0] // 2**stage) for stage in range(count + 1)]


def _widths(player: str, width: int, depth: int) -> list[int]:
  """Channels of each stage, from the lowest resolution on.

  Raises:
    ValueError: the last would have none.
  """
  least = 2 ** (depth - 1)
  if width < least:
    raise ValueError(
      f'{player}.net.width={width}: must be at least {least}, because it '
      f'halves with each of {depth} stages'
    )
  return [width // 2**stage for stage in range(depth)]


@dataclasses.dataclass(frozen=True)
class _Settings:
  """Of both players."""

  # Channels at the lowest resolution; they halve with each stage.
  width: int = declare.field(512, at_least=1)
  # The side of all kernels; 5 in the first code in TensorFlow.
  kernel: int = declare.field(4, at_least=2)
  # How often the side halves, rounded up; 0 is until it is 4, 5, 6 or 7.
  stages: int = declare.field(0, at_least=0)
  # The distribution of the initial weights: a name in layers.INITIALISERS.
  kernel_init: str = declare.field('normal', choices=layers.INITIALISERS)
  # Its scale: half-width, standard deviation or gain.
  kernel_scale: float = declare.field(0.02, at_least=0)


@dataclasses.dataclass(frozen=True)
class GenSettings(_Settings):
  """Of the generator."""

  # Spectral normalisation of all kernels, as in SAGAN.
  spectral_norm: bool = False
  # Equal parts of a batch that are normalised apart: with as many as `packing`,
  # each of the samples that D judges at once, as in PacGAN's code.
  norm_groups: int = declare.field(1, at_least=1)
  # How it takes the class: 'batch_norm', a gain and a bias in each, or
  # 'concatenation', beside z.
  conditioning: str = declare.field(
    'batch_norm', choices=('batch_norm', 'concatenation')
  )


@dataclasses.dataclass(frozen=True)
class DiscSettings(conditional.DiscSettings, _Settings):
  """Of the discriminator, the generator's mirror."""

  # On every stage but the first.
  batch_norm: bool = True
  # Spectral normalisation of all weights.
  spectral_norm: bool = False


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]` in [-1, 1].

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
  def entries(self) -> tuple[tuple[str, ...], ...]:
    return layers.FIRST_DENSE

  @property
  def spectral(self) -> spectral.Norm | None:
    return spectral.norm_if(self.settings.spectral_norm, spectral.is_kernel)

  @nn.compact
  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    settings, groups = self.settings, self.settings.norm_groups
    *targets, base = sides(self.shape, settings.stages)
    first, *features = _widths('gen', settings.width, len(targets))
    z, label = latent.z, latent.label if self.classes else None
    beside_z = settings.conditioning == 'concatenation'
    if beside_z:
      z, label = conditional.concatenated(z, label, self.classes), None
    if self.classes and not beside_z and groups > 1:
      raise ValueError(
        f'net.norm_groups={groups}: batch normalisation by class has one group'
      )

    def norm(h: jax.Array) -> jax.Array:
      if label is None:
        return layers.batch_norm(mode, self.dtype, groups=groups)(h)
      return conditional.normalised(
        h, label, mode=mode, classes=self.classes, dtype=self.dtype
      )

    h = layers.grow(
      z,
      base,
      first,
      [*features, self.shape[-1]],
      norm,
      kernel=settings.kernel,
      init=(settings.kernel_init, settings.kernel_scale),
      dtype=self.dtype,
      sides=targets[::-1],
    )
    return nn.tanh(h)


class Discriminator(conditional.Judge):
  """Images `[B, size, size, C]` to logits `[B]`; the Generator's mirror.

  Attributes:
    settings: `config.disc.net`.
    classes: that there are; 0 for none.
    dtype: of the activations.
  """

  settings: DiscSettings = DiscSettings()

  @property
  def homogeneous(self) -> bool:
    return not self.settings.batch_norm

  @nn.compact
  def judge(self, batch: types.Batch, mode: types.Mode) -> types.Judged:
    settings = self.settings
    depth = len(sides(batch.x.shape[1:], settings.stages)) - 1
    init = settings.kernel_init, settings.kernel_scale
    last, h = layers.shrink(
      batch.x,
      _widths('disc', settings.width, depth)[::-1],
      mode,
      kernel=settings.kernel,
      init=init,
      dtype=self.dtype,
      normalised=1 if settings.batch_norm else None,
      slope=0.2,
      outputs=conditional.outputs(settings, self.classes),
    )
    return conditional.judged(
      last,
      h.sum(axis=(1, 2), dtype=jnp.float32),
      batch.label,
      classes=self.classes,
      settings=settings,
    )
