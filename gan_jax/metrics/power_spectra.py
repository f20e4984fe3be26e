"""Average power spectra of sets of images (Karras et al. 2021, "Alias-Free
Generative Adversarial Networks"), as `avg_spectra.py` of its authors has them.

A generator that copies patterns of its own grid, or that makes too little
detail, shows it at high frequencies (Durall et al. 2020, arXiv 2003.01826;
Dzanic et al. 2020, arXiv 1911.06465). An image is whitened by the mean and the
standard deviation of all real pixels, multiplied by a Kaiser window, and
transformed; squares of amplitudes are averaged over channels and images. White
noise of the real images' variance is at 0 dB everywhere.

Frequencies are in periods an image, so that half the side is the highest along
an axis. Everything is float64.
"""

from typing import NamedTuple

import numpy as np

# Of the window, and points for each period an image; as in the authors' code.
BETA = 8.0
POINTS = 4
# Numbers that the transforms of a part of a block take at most.
_MOST = 2**22


class Moments(NamedTuple):
  """Of all pixels of all channels so far.

  Attributes:
    pixels: how many there are.
    mean: of them.
    squares: the sum of squares of their distances from it.
  """

  pixels: int = 0
  mean: float = 0.0
  squares: float = 0.0

  @property
  def std(self) -> float:
    """The root of the mean square; NaN without a pixel."""
    return (self.squares / self.pixels) ** 0.5 if self.pixels else np.nan


def update_moments(moments: Moments, images: np.ndarray) -> Moments:
  """With a block more (Chan et al. 1979).

  Args:
    moments: so far.
    images: `[n, H, W, C]`, uint8 or of any unit.
  """
  x = images.astype(np.float64)
  count, mean = x.size, float(x.mean())
  squares = float(np.square(x - mean).sum())
  total, apart = moments.pixels + count, mean - moments.mean
  return Moments(
    total,
    moments.mean + apart * count / total,
    moments.squares + squares + apart**2 * moments.pixels * count / total,
  )


class Spectrum(NamedTuple):
  """The sum over images.

  Attributes:
    power: `[2N, N + 1]`, the mean over channels; of N x N images, at twice as
      many frequencies along an axis: the half that real images need.
    images: how many.
  """

  power: np.ndarray
  images: int = 0


def init(side: int) -> Spectrum:
  """Of no images of N x N pixels."""
  return Spectrum(np.zeros((2 * side, side + 1)))


def window(side: int) -> np.ndarray:
  """Kaiser's, `[N]`, of which the squares add up to 1."""
  taper = np.kaiser(side, BETA)
  return np.asarray(taper / np.sqrt(np.square(taper).sum()))


def update(
  spectrum: Spectrum, images: np.ndarray, mean: float, std: float
) -> Spectrum:
  """With a block more.

  Args:
    spectrum: so far.
    images: `[n, N, N, C]`.
    mean: of the real pixels, in the unit of the images.
    std: the standard deviation of them, above 0.

  Raises:
    ValueError: the images are not square, of that side.
  """
  side = spectrum.power.shape[1] - 1
  if images.ndim != 4 or images.shape[1:3] != (side, side):
    raise ValueError(
      f'images must be of {side} x {side} pixels, [n, H, W, C], got '
      f'{list(images.shape)}'
    )
  taper = window(side)
  power, channels = spectrum.power.copy(), images.shape[3]
  step = max(_MOST // (channels * spectrum.power.size), 1)
  for start in range(0, len(images), step):
    x = images[start : start + step].astype(np.float64)
    x = (x - mean) / std * taper[:, None, None] * taper[:, None]
    amplitudes = np.fft.rfft2(x, (2 * side, 2 * side), axes=(1, 2))
    squares = np.square(amplitudes.real) + np.square(amplitudes.imag)
    power += squares.sum(axis=(0, 3)) / channels
  return Spectrum(power, spectrum.images + len(images))


def result(spectrum: Spectrum) -> np.ndarray:
  """The mean power, `[4N, 4N]`, of frequencies in the order of `np.fft`.

  It is that of images followed by 3N zeros along both axes: `POINTS` points for
  each period. `update` transforms at half as many, which costs a fourth: their
  power is the transform of the whole autocorrelation, 2N - 1 long, and zeros
  beyond that give the points between.

  Raises:
    ValueError: there was no image.
  """
  if not spectrum.images:
    raise ValueError('a spectrum needs at least one image')
  double = spectrum.power.shape[0]
  correlation = np.fft.irfft2(spectrum.power / spectrum.images, (double,) * 2)
  edge = (POINTS - 2) * double // 4
  padded = np.pad(np.fft.fftshift(correlation), edge)
  power = np.fft.fft2(np.fft.ifftshift(padded)).real
  # What rounding leaves where there is nothing.
  return np.maximum(power, 0.0)


class Curve(NamedTuple):
  """A spectrum along one dimension.

  Attributes:
    frequency: `[F]`, in periods an image.
    decibels: `[F]`; -inf where there is no power.
  """

  frequency: np.ndarray
  decibels: np.ndarray


def decibels(power: np.ndarray) -> np.ndarray:
  """10 log10 of it; -inf where it is 0."""
  with np.errstate(divide='ignore'):
    return 10 * np.log10(power)


def horizontal(power: np.ndarray) -> Curve:
  """The slice at 0 degrees of a `result`: from 0 to N / 2, `[2N + 1]`."""
  last = len(power) // 2
  return Curve(np.arange(last + 1) / POINTS, decibels(power[0, : last + 1]))


def diagonal(power: np.ndarray) -> Curve:
  """The slice at 45 degrees of a `result`: 0 to N / sqrt(2), `[2N + 1]`."""
  place = np.arange(len(power) // 2 + 1)
  return Curve(place * np.sqrt(2) / POINTS, decibels(power[place, place]))


def azimuthal(power: np.ndarray) -> Curve:
  """The mean over all angles of a `result`, `[N // 2 + 1]`.

  Of the power itself, over rings one period wide around 0, 1, 2, ... up to half
  the side (Durall et al. 2020). The corners beyond are in none.
  """
  side = len(power) // POINTS
  axis = np.fft.fftfreq(len(power)) * side
  ring = np.floor(np.hypot(axis[:, None], axis) + 0.5).astype(int)
  counts = np.bincount(ring.ravel())
  means = np.bincount(ring.ravel(), power.ravel()) / np.maximum(counts, 1)
  last = side // 2
  return Curve(np.arange(last + 1.0), decibels(means[: last + 1]))


class Difference(NamedTuple):
  """Between two azimuthal means, in dB, of all rings alike.

  Attributes:
    whole: the mean absolute difference over all frequencies.
    high: the same over the upper half: above a fourth of the side.
    excess: the mean of generated less real over the upper half; below 0 where
      there is too little detail.
  """

  whole: float
  high: float
  excess: float


def difference(generated: Curve, real: Curve) -> Difference:
  """Of two curves of `azimuthal`, of images of one side.

  Equal rings differ by 0, also where both have no power.
  """
  a, b = generated.decibels, real.decibels
  apart = np.subtract(a, b, out=np.zeros_like(a), where=a != b)
  upper = apart[real.frequency > real.frequency[-1] / 2]
  with np.errstate(invalid='ignore'):
    means = np.abs(apart).mean(), np.abs(upper).mean(), upper.mean()
  return Difference(*map(float, means))
