"""The power spectrum of generated images beside that of real ones."""

import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.evaluation import (
  comparison,
  evaluator,
  metric as metrics,
  paths as image_paths,
  sets,
)
from gan_jax.game import spec as specs, state as states
from gan_jax.metrics import checks, power_spectra

# By the names of `power_spectra.Difference`; all in dB.
_FIGURES = {
  'whole': 'spectrum_difference',
  'high': 'spectrum_difference_high',
  'excess': 'spectrum_excess_high',
}

# The slices and the mean over angles, by name.
CURVES: dict[str, Callable[[np.ndarray], power_spectra.Curve]] = {
  'horizontal': power_spectra.horizontal,
  'diagonal': power_spectra.diagonal,
  'azimuthal': power_spectra.azimuthal,
}


class Found(NamedTuple):
  """Both spectra, and all that they depend on besides the key.

  Attributes:
    real: the power of real images, `[4N, 4N]`, as `power_spectra.result`.
    generated: the same of generated ones.
    stamp: all that they depend on.
  """

  real: np.ndarray
  generated: np.ndarray
  stamp: dict[str, Any]

  def curves(self) -> dict[str, dict[str, power_spectra.Curve]]:
    """`CURVES` of 'real' and of 'generated', in dB."""
    powers = {'real': self.real, 'generated': self.generated}
    return {
      name: {which: curve(power) for which, power in powers.items()}
      for name, curve in CURVES.items()
    }

  def figures(self) -> metrics.Figures:
    """How far apart the azimuthal means are, in dB."""
    azimuthal = self.curves()['azimuthal']
    found = power_spectra.difference(
      azimuthal['generated'], azimuthal['real']
    )._asdict()
    return {name: found[field] for field, name in _FIGURES.items()}


def of_run(
  config: configs.Config,
  spec: specs.Spec,
  info: sources.Info,
  state: states.GanState,
  key: jax.Array,
  num: int,
) -> Found:
  """Of a generator, beside the images of `eval.split`.

  Args:
    config: of the game; `eval` says which generator and which real images.
    spec: of the game.
    info: of the data that G is trained on.
    state: of the generator.
    key: of the samples.
    num: samples, and real images at most.

  Raises:
    ValueError: the game has no square images, the data cannot be read or are
      not those that G was trained on, or the samples are no images.
  """
  if info.kind != 'images':
    raise ValueError(
      f'data.name={config.data.name!r}: a power spectrum is of images'
    )
  sampler = build.make_sampler(config, spec, num)
  _, real = evaluator.open_real(config, info)
  _check_square(real.shape)
  blocks = (np.asarray(batch.x) for batch in sampler.samples(state, key))
  stamp = {
    'data': config.data.name,
    'stack': config.data.stack,
    'split': config.eval.split or config.data.split,
    'split_fingerprint': real.fingerprint,
    'num_generated': num,
    'resizer': evaluator.resizer(config.data.size),
    **evaluator.generator_stamp(config, spec),
  }
  return _compared(_checked(blocks), real, num, stamp)


def of_paths(
  paths: Mapping[str, pathlib.Path],
  scratch: pathlib.Path,
  *,
  size: int = 0,
  channels: int = 0,
  num: int | None = None,
) -> Found:
  """Of two sets of images on the disk.

  Args:
    paths: 'generated' and 'real': each as in `sets.open_path`.
    scratch: an empty folder for what must be unpacked.
    size: of folders, as in `sets.open_path`.
    channels: the same.
    num: images of each set at most; None is all.

  Raises:
    ValueError: a set cannot be read, has fewer generated images than `num`, or
      their images are not square or differ in shape.
  """
  found, stamp = image_paths.open_sets(
    paths, scratch, size=size, channels=channels
  )
  generated, real = found['generated'], found['real']
  _check_square(real.shape)
  taken = image_paths.count(generated, num)
  blocks = (x for x, _ in generated.blocks(taken))
  stamp = stamp | {'num_generated': taken}
  return _compared(blocks, real, num or real.total, stamp)


def _check_square(shape: tuple[int, int, int]) -> None:
  height, width, _ = shape
  if height != width or height < 2:
    raise ValueError(
      f'images of {height}x{width} pixels: a spectrum by angle needs square '
      'ones of at least 2x2 (--size or data.size crops them to squares)'
    )


def _checked(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
  """Samples of a generator, which must be images in [-1, 1]."""
  extent = checks.init()
  try:
    for x in blocks:
      extent = checks.update(extent, x, 'samples')
      yield x
    checks.result(extent, 'samples')
  except ValueError as error:
    raise comparison.SamplesError(str(error)) from None


def _compared(
  generated: Iterable[np.ndarray],
  real: sets.Images,
  most: int,
  stamp: Mapping[str, Any],
) -> Found:
  """Both spectra, whitened by the real images' pixels.

  The real images are read twice, a block at a time, and never all at once.
  """
  moments = power_spectra.Moments()
  for x, _ in real.blocks(most):
    moments = power_spectra.update_moments(moments, sources.to_bytes(x))
  if not moments.squares:
    raise ValueError('the real images are all of one colour: no spectrum')
  update = functools.partial(
    power_spectra.update, mean=moments.mean, std=moments.std
  )

  def power(blocks: Iterable[np.ndarray]) -> tuple[np.ndarray, int]:
    spectrum = power_spectra.init(real.shape[0])
    for x in blocks:
      # Of whole numbers, as in files: rounding has a spectrum of its own.
      spectrum = update(spectrum, sources.to_bytes(x))
    return power_spectra.result(spectrum), spectrum.images

  of_real, count = power(x for x, _ in real.blocks(most))
  of_generated, _ = power(generated)
  used = {
    'num_real': count,
    'pixels_mean': moments.mean,
    'pixels_std': moments.std,
    'window': f'kaiser {power_spectra.BETA:g}',
    'pixels': 'rounded to 8 bits',
  }
  return Found(of_real, of_generated, {**stamp, **used})
