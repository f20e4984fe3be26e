"""Layers of StyleGAN3 (Karras et al. 2021, "Alias-Free Generative Adversarial
Networks"), by the names of its section 3.

Activations stand for continuous signals: a grid of `rate` samples for the unit
length of the image, band-limited to `cutoff`. A layer convolves them, goes to a
higher rate for its leaky rectifier, and back through a low-pass filter that
removes what the rectifier adds above the next cutoff. Weights are scaled as in
style_layers.py. Filters, latents and styles are float32, and sums of filters.
"""

import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy

from gan_jax.networks import style_layers
from gan_jax.ops import fir, linear


class Signal(NamedTuple):
  """What a layer gives.

  Attributes:
    cutoff: f_c, of its frequencies, in periods an image.
    half_width: f_h, of the transition band of the filter that limits it.
    rate: s, samples an image.
    size: samples of a side, with the margin beyond the image.
    channels: of it.
  """

  cutoff: float
  half_width: float
  rate: int
  size: int
  channels: int


class Options(NamedTuple):
  """What all layers have in common; as `stylegan3.GenSettings` has them."""

  kernel: int
  radial: bool
  filter_size: int
  upsampling: int
  clamp: float | None
  half_life: float


@functools.cache
def lowpass(
  taps: int, cutoff: float, half_width: float, rate: int, radial: bool = False
) -> np.ndarray:
  """A low-pass filter by Kaiser's window, `[taps]`, of sum 1 (appendix C).

  Args:
    taps: how many; 1 is no filter.
    cutoff: f_c, where it halves amplitudes, in the unit of `rate`.
    half_width: f_h, from there to the end of the transition band.
    rate: of the signal.
    radial: a jinc, alike in all directions, `[taps, taps]`: of configuration R.
  """
  if taps == 1:
    return np.ones(1, np.float32)
  if not radial:
    band = scipy.signal.firwin(taps, cutoff, width=2 * half_width, fs=rate)
    return np.asarray(band, np.float32)
  x = (np.arange(taps) - (taps - 1) / 2) / rate
  r = np.hypot(x[:, None], x)
  # 2 pi f_c^2 jinc(2 f_c r), up to a factor; an odd filter has its limit at 0.
  safe = np.where(r == 0, 1, np.pi * r)
  jinc = scipy.special.j1(2 * cutoff * safe) / safe
  jinc = np.where(r == 0, cutoff, jinc)
  attenuation = scipy.signal.kaiser_atten(taps, 4 * half_width / rate)
  window = np.kaiser(taps, scipy.signal.kaiser_beta(attenuation))
  table = jinc * np.outer(window, window)
  return np.asarray(table / table.sum(), np.float32)


def _turned(w: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The rotation `[B, 2, 2]` and the shift `[B, 2]` that w asks for.

  By (r_c, r_s, t_x, t_y) over the length of (r_c, r_s) (section 3.2,
  "transformed Fourier features"); at first they change nothing.
  """
  affine = style_layers.Dense(
    4, first_bias=(1.0, 0.0, 0.0, 0.0), scale=0.0, name='affine'
  )
  t = affine(w)
  t = t / jnp.linalg.norm(t[:, :2], axis=1, keepdims=True)
  cos, sin = t[:, 0], t[:, 1]
  rows = jnp.stack([cos, -sin], axis=1), jnp.stack([sin, cos], axis=1)
  turn = jnp.stack(rows, axis=1)
  return turn, -jnp.einsum('bxy,by->bx', turn, t[:, 2:])


class FourierFeatures(nn.Module):
  """w `[B, W]` to the first activations `[B, H, H, C]`, float32.

  Waves of frequencies drawn once, evenly on a disc of radius `cutoff`, and of
  phases drawn once; w turns and moves them. They are `constants`, which nothing
  trains or averages.

  Attributes:
    signal: what it gives.
  """

  signal: Signal

  def _draw_frequencies(self) -> jax.Array:
    """Of x and of y, in periods an image, `[C, 2]`."""
    key = self.make_rng('params')
    f = jax.random.normal(key, (self.signal.channels, 2))
    square = jnp.square(f).sum(axis=1, keepdims=True)
    # exp(-|f|^2 / 2) is uniform; its root is the radius of a point on a disc.
    return f * jax.lax.rsqrt(square) * jnp.exp(-square / 4) * self.signal.cutoff

  def _draw_phases(self) -> jax.Array:
    """In periods, `[C]`."""
    key, shape = self.make_rng('params'), (self.signal.channels,)
    return jax.random.uniform(key, shape, minval=-0.5, maxval=0.5)

  @nn.compact
  def __call__(self, w: jax.Array, transform: jax.Array | None) -> jax.Array:
    """The features of images that `transform` takes to those of w alone.

    Args:
      w: of this layer.
      transform: `[3, 3]` or `[B, 3, 3]`, from places in the image to those
        where they are looked up; the sides of the image are 1, x goes to the
        right and y down, and 0 is its middle. None moves nothing.
    """
    cutoff, _, rate, size, channels = self.signal
    frequencies = self.variable(
      'constants', 'frequencies', self._draw_frequencies
    ).value
    phases = self.variable('constants', 'phases', self._draw_phases).value
    turn, shift = _turned(w)
    if transform is not None:
      each = jnp.broadcast_to(transform, (w.shape[0], 3, 3))
      shift += jnp.einsum('bxy,by->bx', turn, each[:, :2, 2])
      turn = turn @ each[:, :2, :2]
    phases = phases[None] + shift @ frequencies.T
    frequencies = jnp.einsum('cx,bxy->bcy', frequencies, turn)
    # A transform that shrinks the image makes frequencies that the grid has
    # not; they fade out.
    length = jnp.linalg.norm(frequencies, axis=2)
    amplitudes = jnp.clip(1 - (length - cutoff) / (rate / 2 - cutoff), 0, 1)
    grid = (jnp.arange(size) + 0.5 - size / 2) / rate
    along_x = grid[None, None, :, None] * frequencies[:, None, None, :, 0]
    along_y = grid[None, :, None, None] * frequencies[:, None, None, :, 1]
    angle = along_x + along_y + phases[:, None, None]
    x = jnp.sin(2 * math.pi * angle) * amplitudes[:, None, None]
    shape = (channels, channels)
    kernel = self.param('kernel', nn.initializers.normal(1.0), shape)
    return x @ (kernel / math.sqrt(channels))


class Filters(NamedTuple):
  """Around a leaky rectifier.

  Attributes:
    up: how many times the rate of what it is given the rectifier has.
    up_taps: `[T]`, of sum 1.
    down: how many times the rate of the result it has.
    down_taps: `[T]`, or `[T, T]`, of sum 1.
  """

  up: int
  up_taps: np.ndarray
  down: int
  down_taps: np.ndarray


def filters_between(
  before: Signal, after: Signal, options: Options, critical: bool
) -> Filters:
  """Those of a layer; see `Layer`."""
  rate = max(before.rate, after.rate) * options.upsampling
  up, down = rate // before.rate, rate // after.rate
  up_count, down_count = (
    options.filter_size * factor if factor > 1 else 1 for factor in (up, down)
  )
  radial = options.radial and not critical
  return Filters(
    up,
    lowpass(up_count, before.cutoff, before.half_width, rate),
    down,
    lowpass(down_count, after.cutoff, after.half_width, rate, radial),
  )


def filtered_relu(
  x: jax.Array, filters: Filters, size: int, clamp: float | None
) -> jax.Array:
  """sqrt(2) leaky_relu(x, .2) at a higher rate (section 3.2).

  Args:
    x: `[B, H, W, C]`.
    filters: to that rate and from it.
    size: the sides of the result, in the middle of what there is.
    clamp: the most that absolute values are, before the second filter.
  """
  up, up_taps, down, down_taps = filters
  missing = (size - 1) * down + 1 - up * x.shape[1]
  missing += len(up_taps) + len(down_taps) - 2
  # Pixels are squares, whose middles stay where they are (appendix C.3).
  before = (missing + up) // 2
  # Of `up` pixels along either axis, all but one are zeros.
  x = fir.resample(x, up * up_taps, up=up, padding=(before, missing - before))
  x = style_layers.activate(x, clamp=clamp)
  return fir.resample(x, down_taps, down=down)


class Layer(nn.Module):
  """`[B, H, H, I]` to `[B, H', H', O]`: figure 4b of the paper.

  `averages` has `magnitude` `[]`, a running average of the mean square of what
  the layer is given, by whose root that is divided.

  Attributes:
    before: what it is given.
    after: what it gives.
    options: of all layers.
    critical: whether its filter is at the limit of its rate, which makes it
      sharp and never radial.
    to_rgb: makes the image instead: a 1x1 convolution and nothing else.
    dtype: of the activations.
  """

  before: Signal
  after: Signal
  options: Options
  critical: bool
  to_rgb: bool
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, w: jax.Array, follow: bool) -> jax.Array:
    """Of `x` and its own w `[B, W]`; `follow` moves the average."""
    gain = self._gain(x, follow)
    style = style_layers.Dense(x.shape[-1], first_bias=1.0, name='affine')(w)
    side = 1 if self.to_rgb else self.options.kernel
    shape = (side, side, x.shape[-1], self.after.channels)
    kernel = self.param('kernel', nn.initializers.normal(1.0), shape)
    if self.to_rgb:
      style /= math.sqrt(x.shape[-1])
    else:
      # Demodulation undoes both, and squares no small numbers for them.
      square = jnp.square(kernel).mean(axis=(0, 1, 2), keepdims=True)
      kernel *= jax.lax.rsqrt(square)
      style = style_layers.unit_moment(style)
    x = x.astype(self.dtype)
    y = style_layers.modulated(
      x * linear.spread(gain, x),
      kernel,
      style,
      demodulate=not self.to_rgb,
      padding=[(side - 1, side - 1)] * 2,
    )
    bias = self.param('bias', nn.initializers.zeros, (self.after.channels,))
    y += linear.spread(bias, y)
    if self.to_rgb:
      return style_layers.clamped(y, self.options.clamp)
    return filtered_relu(
      y,
      filters_between(self.before, self.after, self.options, self.critical),
      self.after.size,
      self.options.clamp,
    )

  def _gain(self, x: jax.Array, follow: bool) -> jax.Array:
    average = self.variable('averages', 'magnitude', jnp.ones, ())
    if follow:
      square = jnp.square(jax.lax.stop_gradient(x).astype(jnp.float32)).mean()
      kept = 0.5 ** (x.shape[0] / self.options.half_life)
      average.value = square + kept * (average.value - square)
    return jax.lax.rsqrt(average.value)


class Synthesis(nn.Module):
  """Intermediate latents `[B, layers + 2, W]` to images, float32.

  Attributes:
    signals: what each layer gives, the last of which is the image.
    critical: layers at the end that are critically sampled, beside the last.
    options: of all layers.
    output_scale: what the last layer is multiplied by.
    remat: compute each layer again when it is differentiated.
    dtype: of the activations.
  """

  signals: tuple[Signal, ...]
  critical: int
  options: Options
  output_scale: float
  remat: bool
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, ws: jax.Array, follow: bool, transform: jax.Array | None = None
  ) -> jax.Array:
    """Images; `follow` moves averages, `transform` is `FourierFeatures`'."""
    layer = nn.remat(Layer, static_argnums=(3,)) if self.remat else Layer
    first, *others = jnp.unstack(ws.astype(jnp.float32), axis=1)
    x = FourierFeatures(self.signals[0], name='input')(first, transform)
    last = len(others) - 1
    for i, w in enumerate(others):
      x = layer(
        self.signals[max(i - 1, 0)],
        self.signals[i],
        self.options,
        critical=i >= last - self.critical,
        to_rgb=i == last,
        dtype=self.dtype,
        name=f'l{i}',
      )(x, w, follow)
    return x.astype(jnp.float32) * self.output_scale
