"""SAGAN (Zhang et al. 2019) and BigGAN (Brock et al. 2019) as one family.

Images of 32, 64, 128 or 256 pixels a side, with the channels and blocks of the
BigGAN authors' PyTorch code. SAGAN is a G without `shared` and `hierarchical`,
with attention in both players. Attention is of SAGAN's section 3; the shared
embedding and the hierarchical latents of BigGAN's section 3, its truncation and
orthogonal regularisation of section 3.1, its blocks of appendix B. As in that
code every block that changes the size has a convolution in its shortcut;
compare_gan has none where the channels stay, so one less in its D at 256x256.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import conditional, layers, residual, spectral

# In units of the width; other code has narrower networks at 32x32 and 64x64.
PLANS = {
  32: residual.Plan((4, 4, 4, 4), (4, 4, 4, 4), 2),
  64: residual.Plan((16, 16, 8, 4, 2), (1, 2, 4, 8, 16), 4),
  128: residual.Plan((16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5),
  256: residual.Plan((16, 16, 8, 8, 4, 2, 1), (1, 2, 4, 8, 8, 16, 16), 6),
}


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of both players."""

  # The unit of channels; the paper has 96 for ImageNet.
  width: int = declare.field(64, at_least=1)
  # The side of the resolution with self-attention; 0 for none.
  attention: int = declare.field(0, at_least=0)
  # The distribution of the initial weights: a name in layers.INITIALISERS.
  kernel_init: str = declare.field('orthogonal', choices=layers.INITIALISERS)
  # Its scale: half-width, standard deviation or gain.
  kernel_scale: float = declare.field(1.0, at_least=0)
  # Where biases begin: a name in layers.BIASES.
  bias_init: str = declare.field('zeros', choices=layers.BIASES)
  # Spectral normalisation of the weights, but for embeddings in G.
  spectral_norm: bool = True
  # Of the power method in each update.
  power_iterations: int = declare.field(1, at_least=1)
  # Compute the insides of blocks again for the gradient, to save memory.
  remat: bool = False


@dataclasses.dataclass(frozen=True)
class GenSettings(Settings):
  """Of the generator."""

  # Each block takes a part of z of its own; gen.latent_dim is so many times the
  # number of blocks and one.
  hierarchical: bool = False
  # The size of an embedding of the class that all blocks share, of which gains
  # and biases are linear functions; 0 gives each class its own in each layer.
  shared: int = declare.field(0, at_least=0)
  # What batch normalisation adds to the variance.
  epsilon: float = declare.field(1e-5, above=0)


@dataclasses.dataclass(frozen=True)
class DiscSettings(conditional.DiscSettings, Settings):
  """Of the discriminator."""


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]` in [-1, 1].

  Without classes, gains and biases are linear functions of a block's part of z
  where `hierarchical`, and else parameters; `shared` has no effect.

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
  def truncation(self) -> str:
    return 'latent'

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
    settings, init = self.settings, _init(self.settings)
    plan = residual.choose('biggan', PLANS, self.shape)
    sides = plan.sides_up(self.shape[0])
    residual.check_attention('gen.net.attention', settings.attention, sides)
    z, styles = self._styles(latent, len(sides))

    def norm(h: jax.Array, style: jax.Array | None) -> jax.Array:
      return conditional.normalised(
        h, style, mode=mode, classes=self.classes, init=init,
        epsilon=settings.epsilon, dtype=self.dtype,
      )  # fmt: skip

    return residual.grow(
      z,
      styles,
      self.shape,
      [settings.width * n for n in plan.up],
      norm,
      residual.Inits(init, init),
      attention=settings.attention,
      remat=settings.remat,
      dtype=self.dtype,
    )

  def _styles(
    self, latent: types.Latent, blocks: int
  ) -> tuple[jax.Array, list[jax.Array | None]]:
    """What the first layer takes `[B, S]`, and what each block is told."""
    settings, z = self.settings, latent.z
    style = latent.label if self.classes else None
    if style is not None and settings.shared:
      embedding = conditional.Embedding(
        self.classes,
        settings.shared,
        _init(settings),
        self.dtype,
        name='shared',
      )
      style = embedding(style)
    if not settings.hierarchical:
      return z, [style] * blocks
    if self.classes and not settings.shared:
      raise ValueError(
        'gen.net.hierarchical=True: the embedding of the class that z is '
        'joined to has no size; set gen.net.shared, such as 128'
      )
    size, parts = z.shape[1], blocks + 1
    if size % parts:
      near = max(round(size / parts), 1) * parts
      raise ValueError(
        f'gen.latent_dim={size}: gen.net.hierarchical=True splits z into '
        f'{parts} equal parts; set gen.latent_dim={near}'
      )
    z, *chunks = jnp.split(z.astype(self.dtype), parts, axis=1)
    common = [] if style is None else [style]
    return z, [jnp.concatenate([*common, c], axis=1) for c in chunks]


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
    return not self.settings.attention

  @nn.compact
  def judge(self, batch: types.Batch, mode: types.Mode) -> types.Judged:
    del mode
    settings, init = self.settings, _init(self.settings)
    shape = batch.x.shape[1:]
    plan = residual.choose('biggan', PLANS, shape)
    sides = plan.sides_down(shape[0])
    residual.check_attention('disc.net.attention', settings.attention, sides)
    _, h = residual.shrink(
      batch.x,
      [settings.width * n for n in plan.down],
      plan.halvings,
      residual.Inits(init, init),
      wide=True,
      attention=settings.attention,
      remat=settings.remat,
      dtype=self.dtype,
    )
    outputs = conditional.outputs(settings, self.classes)
    return conditional.judged(
      layers.dense(outputs, *init, jnp.float32)(h),
      h,
      batch.label,
      classes=self.classes,
      settings=settings,
      init=init,
    )


def _init(settings: Settings) -> layers.Init:
  return settings.kernel_init, settings.kernel_scale
