"""StyleGAN2 (Karras et al. 2020), with the classes of StyleGAN2-ADA.

The generator maps z to an intermediate latent w, of which each convolution has
its own copy. What a copy says reaches the image as a scale of each channel. The
sides of images are 4 * 2^k. A discriminator ends at 4x4, where it sees how much
the samples of a batch differ. Modulation and demodulation are of the paper's
section 2.2, path lengths of section 3.2, the skips of G and the residual D of
section 4.1, all else of its appendix B.
"""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import layers, style_layers

_BASE = 4
# Of the running average of w, as in the authors' code.
_DECAY = 0.995


def sides(shape: tuple[int, ...]) -> tuple[int, ...]:
  """Of all resolutions from 4 to that of an image.

  Args:
    shape: of one image, `(H, W, C)`.

  Raises:
    ValueError: it is not a square image, or no number of doublings makes it.
  """
  doublings = layers.doublings('stylegan2', shape, _BASE, least=1)
  return tuple(_BASE * 2**i for i in range(doublings + 1))


@dataclasses.dataclass(frozen=True)
class GenSettings:
  """Of the generator."""

  # The most channels at any resolution.
  width: int = declare.field(512, at_least=1)
  # The most channels times side: above channel_base / width, channels halve
  # where the side doubles.
  channel_base: int = declare.field(32768, at_least=1)
  # The size of the intermediate latent w.
  w_dim: int = declare.field(512, at_least=1)
  # Layers of the mapping network, from z to w.
  depth: int = declare.field(8, at_least=1)
  # The factor on the mapping network's learning rates.
  mapping_rate: float = declare.field(0.01, above=0)
  # 'skip' adds up images of all resolutions, 'resnet' adds up activations,
  # 'orig' does neither.
  architecture: str = declare.field('skip', choices=style_layers.ARCHITECTURES)
  # How often a training batch has the w of a second z from one layer on, which
  # is drawn with it; that z is normal, so gen.latent should be.
  mixing: float = declare.field(0.9, at_least=0, at_most=1)
  # The most that an activation can be; none bounds none. 256 where the authors
  # train in 16 bits.
  clamp: float | None = declare.field(None, above=0)
  # Compute each resolution again when it is differentiated: less memory, more
  # time.
  remat: bool = False


@dataclasses.dataclass(frozen=True)
class DiscSettings:
  """Of the discriminator."""

  # The most channels at any resolution.
  width: int = declare.field(512, at_least=1)
  # The most channels times side, as of the generator.
  channel_base: int = declare.field(32768, at_least=1)
  # 'resnet' adds up activations, 'skip' reads the image at each resolution,
  # 'orig' does neither.
  architecture: str = declare.field(
    'resnet', choices=style_layers.ARCHITECTURES
  )
  # Samples whose standard deviation is a channel of each; the batch is
  # divided into such groups, and 0 leaves it out.
  mbstd_group: int = declare.field(4, at_least=0)
  # The most that an activation can be, as of the generator.
  clamp: float | None = declare.field(None, above=0)
  # With classes, layers of the network that maps the class, after an embedding.
  depth: int = declare.field(8, at_least=0)
  # The factor on that network's learning rates.
  mapping_rate: float = declare.field(0.01, above=0)
  # Compute each resolution again when it is differentiated.
  remat: bool = False


def _widths(
  settings: GenSettings | DiscSettings, shape: tuple[int, ...]
) -> tuple[int, ...]:
  """Channels at each of `sides`."""
  return tuple(
    max(min(settings.channel_base // side, settings.width), 1)
    for side in sides(shape)
  )


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]`, unbounded: there is no tanh.

  `averages` has `w` `[W]`, a running average of the intermediate latents that
  the generator's own updates draw.

  Attributes:
    shape: of one image, `(size, size, C)`.
    settings: `config.gen.net`.
    classes: that are concatenated to z; 0 for none.
    dtype: of the activations; the mapping network's are float32.
  """

  shape: tuple[int, ...]
  settings: GenSettings = GenSettings()
  classes: int = 0
  dtype: Any = jnp.float32

  @property
  def methods(self) -> tuple[str, ...]:
    return 'map', 'synthesise'

  @property
  def truncation(self) -> str:
    return 'w'

  @property
  def entries(self) -> tuple[tuple[str, ...], ...]:
    # Images but the last share their w with the next block's first convolution.
    first, *others = (f'b{side}' for side in sides(self.shape))
    names = [(first, 'conv1')]
    names += [(b, conv) for b in others for conv in ('conv0', 'conv1')]
    names += [(others[-1], 'torgb')]
    return tuple(('synthesis', *name, 'affine', 'kernel') for name in names)

  def setup(self) -> None:
    settings = self.settings
    self.mapping = style_layers.Mapping(
      settings.w_dim, settings.depth, settings.mapping_rate, self.classes
    )
    self.synthesis = style_layers.Synthesis(
      _widths(settings, self.shape),
      self.shape[-1],
      settings.architecture,
      settings.remat,
      settings.clamp,
      self.dtype,
    )
    self.average = self.variable('averages', 'w', jnp.zeros, (settings.w_dim,))

  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    return self.synthesise(self.map(latent, mode), mode)

  def map(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    """Latents to intermediate ones, one a layer: `[B, layers, W]`.

    In training, some batches mix the styles of two latents; all samples change
    from one to the other at the same layer, as in the authors' code.
    """
    w = self.mapping(latent.z, latent.label)
    if mode.update_vars:
      mean = jax.lax.stop_gradient(w).mean(axis=0)
      average = self.average.value
      self.average.value = average + (1 - _DECAY) * (mean - average)
    count = 2 * len(sides(self.shape))
    ws = jnp.broadcast_to(w[:, None], (w.shape[0], count, w.shape[-1]))
    # Off where dropout is: not after training.
    if not (mode.dropout and self.settings.mixing):
      return ws
    keys = jax.random.split(self.make_rng('noise'), 3)
    other = self.mapping(
      jax.random.normal(keys[0], latent.z.shape), latent.label
    )
    start = jax.random.randint(keys[1], (), 1, count)
    mixes = jax.random.bernoulli(keys[2], self.settings.mixing)
    later = mixes & (jnp.arange(count) >= start)
    return jnp.where(later[None, :, None], other[:, None], ws)

  def synthesise(self, ws: jax.Array, mode: types.Mode) -> jax.Array:
    """What `map` gives, `[B, layers, W]`, to images `[B, *shape]`."""
    del mode
    images: jax.Array = self.synthesis(ws)
    return images


class Discriminator(nn.Module):
  """Images `[B, size, size, C]` to logits `[B]`.

  With classes, the logit is the inner product of the last layer and of what a
  mapping network makes of the class, over the root of their size.

  Attributes:
    settings: `config.disc.net`.
    classes: that there are; 0 for none.
    dtype: of the activations; at 4x4 they are float32.
  """

  settings: DiscSettings = DiscSettings()
  classes: int = 0
  dtype: Any = jnp.float32

  @property
  def homogeneous(self) -> bool:
    # The network that maps the class has biases of its own, and what is clipped
    # does not scale.
    settings = self.settings
    return not (settings.mbstd_group or settings.clamp or self.classes)

  @nn.compact
  def __call__(self, batch: types.Batch, mode: types.Mode) -> jax.Array:
    settings = self.settings
    widths = _widths(settings, batch.x.shape[1:])
    block = style_layers.DiscBlock
    block = nn.remat(block) if settings.remat else block
    x: jax.Array | None = None
    image: jax.Array | None = batch.x
    for i in reversed(range(1, len(widths))):
      x, image = block(
        widths[i],
        widths[i - 1],
        settings.architecture,
        settings.clamp,
        dtype=self.dtype,
        name=f'b{_BASE * 2**i}',
      )(x, image)
    assert x is not None
    out = style_layers.Epilogue(
      widths[0] if self.classes else 1,
      _group(settings.mbstd_group, len(batch.x), mode),
      settings.architecture == 'skip',
      settings.clamp,
      name='b4',
    )(x, image)
    if not self.classes:
      return out[:, 0]
    of_class = style_layers.Mapping(
      widths[0],
      settings.depth,
      settings.mapping_rate,
      self.classes,
      name='mapping',
    )(None, batch.label)
    return (out * of_class).sum(axis=-1) / math.sqrt(widths[0])


def _group(wanted: int, samples: int, mode: types.Mode) -> int:
  """Of the minibatch standard deviation: all samples where they are fewer.

  After training, where a block of samples may be of any size, the largest that
  divides it.

  Raises:
    ValueError: in training, it does not divide the batch.
  """
  group = min(wanted, samples)
  if group and mode.batch_stats and samples % group:
    raise ValueError(
      f'disc.net.mbstd_group={wanted}: must divide the batch of {samples} '
      'samples'
    )
  while group and samples % group:
    group -= 1
  return group
