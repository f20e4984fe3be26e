"""StyleGAN3 (Karras et al. 2021, "Alias-Free Generative Adversarial Networks").

G's layers treat their activations as continuous signals, so that what it makes
moves with its input, and not with the grid of pixels: configuration T by whole
and broken pixels, configuration R (`kernel=1`, `radial=True`, twice the
channels) by any angle, too. z becomes an intermediate latent w, of which each
layer has its own copy. D is StyleGAN2's. The sides of images are 4 * 2^k.
"""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import alias_free, layers, style_layers, stylegan2

# Of the running average of w, as in the authors' code.
_DECAY = 0.998

DiscSettings = stylegan2.DiscSettings
Discriminator = stylegan2.Discriminator


@dataclasses.dataclass(frozen=True)
class GenSettings:
  """Of the generator; the defaults are configuration T's."""

  # The most channels of any layer; 1024 in configuration R.
  width: int = declare.field(512, at_least=1)
  # Twice the most channels times cutoff: channels halve where the cutoff
  # doubles; 65536 in configuration R.
  channel_base: int = declare.field(32768, at_least=1)
  # The size of the intermediate latent w.
  w_dim: int = declare.field(512, at_least=1)
  # Layers of the mapping network, from z to w.
  depth: int = declare.field(2, at_least=1)
  # The factor on the mapping network's learning rates.
  mapping_rate: float = declare.field(0.01, above=0)
  # Layers of the synthesis, beside the input and the one that makes the image.
  layers: int = declare.field(14, at_least=2)
  # Of these, the last that keep all frequencies of the image.
  critical: int = declare.field(2, at_least=0)
  # The cutoff of the first layer, in periods an image; the last one's is half
  # the side of the image, those between are a geometric series.
  first_cutoff: float = declare.field(2.0, at_least=1)
  # Where the first layer's stopband begins, in periods an image.
  first_stopband: float = declare.field(2**2.1, above=0)
  # Where the last one's begins, in times its cutoff.
  last_stopband: float = declare.field(2**0.3, above=1)
  # Samples beyond each side of the image, of each layer but the last two.
  margin: int = declare.field(10, at_least=0)
  # What the last layer is multiplied by.
  output_scale: float = declare.field(0.25, above=0)
  # The side of the convolutions; 1 in configuration R.
  kernel: int = declare.field(3, choices=(1, 3))
  # Filters that are alike in all directions; of configuration R.
  radial: bool = False
  # Taps of a filter for each sample of the lower rate.
  filter_size: int = declare.field(6, at_least=1)
  # How many times the rate of its layer a leaky rectifier has; 1 lets it alias.
  upsampling: int = declare.field(2, at_least=1)
  # The most that an activation can be; none bounds none.
  clamp: float | None = declare.field(256.0, above=0)
  # Of the running averages of the layers' mean squares, in samples of G's
  # updates.
  magnitude_half_life: float = declare.field(20_000.0, above=0)
  # Compute each layer again when it is differentiated: less memory, more time.
  remat: bool = False


def signals(
  settings: GenSettings, shape: tuple[int, ...]
) -> tuple[alias_free.Signal, ...]:
  """What each layer gives, the image the last (section 3.2).

  Cutoffs and the ends of transition bands are geometric series, which stay at
  their last value in the critically sampled layers. A rate is the least power
  of two that has the band, and at most the image's.

  Args:
    settings: of the network.
    shape: of one image, `(H, W, C)`.

  Raises:
    ValueError: it is not a square image of a suitable side, or the settings
      make no such series.
  """
  layers.doublings('stylegan3', shape, 4, least=1)
  side, count = shape[0], settings.layers
  if settings.critical >= count:
    raise ValueError(
      f'net.critical={settings.critical}: must be below net.layers={count}'
    )
  last_cutoff = side / 2
  for name, low, high in (
    ('first_cutoff', settings.first_cutoff, last_cutoff),
    ('first_cutoff', settings.first_cutoff, settings.first_stopband),
  ):
    if low >= high:
      what = 'half the side of the images'
      if high == settings.first_stopband:
        what = 'net.first_stopband'
      raise ValueError(f'net.{name}={low:g}: must be below {what}, {high:g}')

  def at(i: int) -> alias_free.Signal:
    share = min(i / (count - settings.critical), 1.0)
    first, last = settings.first_cutoff, last_cutoff
    cutoff = first * (last / first) ** share
    first, last = settings.first_stopband, last_cutoff * settings.last_stopband
    stopband = first * (last / first) ** share
    rate = 2 ** math.ceil(math.log2(min(2 * stopband, side)))
    channels = min(settings.channel_base / 2 / cutoff, settings.width)
    return alias_free.Signal(
      cutoff=cutoff,
      half_width=max(stopband, rate / 2) - cutoff,
      rate=rate,
      size=side if i >= count - 1 else rate + 2 * settings.margin,
      channels=shape[-1] if i == count else max(round(channels), 1),
    )

  return tuple(at(i) for i in range(count + 1))


def options(settings: GenSettings) -> alias_free.Options:
  """What all layers of a network have in common."""
  return alias_free.Options(
    kernel=settings.kernel,
    radial=settings.radial,
    filter_size=settings.filter_size,
    upsampling=settings.upsampling,
    clamp=settings.clamp,
    half_life=settings.magnitude_half_life,
  )


class Generator(nn.Module):
  """Latents `[B, Z]` to images `[B, *shape]`, unbounded: there is no tanh.

  `averages` has `w` `[W]`, a running average of the intermediate latents that
  the generator's own updates draw, and of each layer the mean square of what it
  is given; `constants` has the waves of the input.

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
    return 'map', 'synthesise', 'synthesise_moved'

  @property
  def truncation(self) -> str:
    return 'w'

  @property
  def entries(self) -> tuple[tuple[str, ...], ...]:
    names = ['input', *(f'l{i}' for i in range(self.settings.layers + 1))]
    return tuple(('synthesis', name, 'affine', 'kernel') for name in names)

  def setup(self) -> None:
    own = self.settings
    self.mapping = style_layers.Mapping(
      own.w_dim, own.depth, own.mapping_rate, self.classes
    )
    self.synthesis = alias_free.Synthesis(
      signals(own, self.shape),
      own.critical,
      options(own),
      own.output_scale,
      own.remat,
      self.dtype,
    )
    self.average = self.variable('averages', 'w', jnp.zeros, (own.w_dim,))

  def __call__(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    return self.synthesise(self.map(latent, mode), mode)

  def map(self, latent: types.Latent, mode: types.Mode) -> jax.Array:
    """Latents to intermediate ones, one a layer: `[B, layers + 2, W]`."""
    w = self.mapping(latent.z, latent.label)
    if mode.update_vars:
      mean = jax.lax.stop_gradient(w).mean(axis=0)
      self.average.value = mean + _DECAY * (self.average.value - mean)
    count = self.settings.layers + 2
    return jnp.broadcast_to(w[:, None], (w.shape[0], count, w.shape[-1]))

  def synthesise(self, ws: jax.Array, mode: types.Mode) -> jax.Array:
    """What `map` gives, `[B, layers + 2, W]`, to images `[B, *shape]`."""
    images: jax.Array = self.synthesis(ws, mode.update_vars)
    return images

  def synthesise_moved(
    self, moved: tuple[jax.Array, jax.Array], mode: types.Mode
  ) -> jax.Array:
    """The same of images that a transform has moved or turned.

    Args:
      moved: what `map` gives, and a transform `[3, 3]` or `[B, 3, 3]` from
        places in the image to those of the unmoved one: the sides are 1, and
        the middle is 0.
      mode: as of all.
    """
    ws, transform = moved
    images: jax.Array = self.synthesis(ws, mode.update_vars, transform)
    return images
