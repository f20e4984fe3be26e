"""The figure of spectra: eigenvalues in the plane, and what they say."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.report import plots
from gan_jax.study import statistics


class Spectrum(NamedTuple):
  """One game.

  Attributes:
    name: its title.
    last: eigenvalues of v at the last look, `[N, P]`, of N seeds.
    steps: `[T]`, of the looks.
    figures: by name, `[T]` estimates over the seeds.
  """

  name: str
  last: np.ndarray
  steps: Sequence[int]
  figures: Mapping[str, Sequence[statistics.Estimate]]


def save(path: pathlib.Path, spectra: Sequence[Spectrum]) -> None:
  """A column for each game: its last eigenvalues, then a row for each figure.

  The eigenvalues are of -v, along which players move, and each seed's are
  divided by their largest modulus: those to the left of 0 are stable.
  """
  plt = plots.pyplot()
  names = list(spectra[0].figures)
  figure, axes = plt.subplots(
    1 + len(names), len(spectra), dpi=100, squeeze=False, sharey='row',
    figsize=(1.7 * len(spectra) + 0.6, 1.8 * (1 + len(names))),
    layout='constrained',
  )  # fmt: skip
  for column, spectrum in zip(axes.T, spectra, strict=True):
    column[0].set_title(spectrum.name, fontsize=9)
    scaled = -spectrum.last / np.abs(spectrum.last[:, :1])
    column[0].plot(scaled.real, scaled.imag, '.', color='C0', ms=2)
    column[0].axvline(0, color='grey', lw=0.6)
    column[0].set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect='equal')
    for place, name in zip(column[1:], names, strict=True):
      line = spectrum.figures[name]
      place.plot(spectrum.steps, [e.mean for e in line], lw=1.2)
      low, high = [e.low for e in line], [e.high for e in line]
      place.fill_between(spectrum.steps, low, high, alpha=0.2, lw=0)
      place.axhline(0, color='grey', lw=0.6)
      place.tick_params(labelsize=6)
    column[-1].set_xlabel('step', fontsize=8)
  axes[0, 0].set_ylabel('imaginary part', fontsize=8)
  for place, name in zip(axes[1:, 0], names, strict=True):
    place.set_ylabel(name, fontsize=8)
  plots.save_figure(path, figure)
