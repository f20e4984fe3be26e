"""The figure of power spectra: in the plane, and along one dimension."""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gan_jax.metrics import power_spectra
from gan_jax.report import plots

if TYPE_CHECKING:
  from matplotlib.axes import Axes

_TITLES = {
  'horizontal': '0 degrees',
  'diagonal': '45 degrees',
  'azimuthal': 'mean over all angles',
}
# dB that the colours of a difference reach, either way.
_APART = 10.0


def save(
  path: pathlib.Path,
  powers: Mapping[str, np.ndarray],
  curves: Mapping[str, Mapping[str, power_spectra.Curve]],
) -> None:
  """Above both spectra and their difference, below the curves, all in dB.

  Args:
    path: the png.
    powers: 'real' and 'generated', `[4N, 4N]`, as `power_spectra.result`.
    curves: of 'horizontal', 'diagonal' and 'azimuthal', those of both.
  """
  plt = plots.pyplot()
  figure, axes = plt.subplots(
    2, 3, figsize=(10, 6.4), dpi=110, layout='constrained'
  )
  planes = {
    name: np.fft.fftshift(power_spectra.decibels(power))
    for name, power in powers.items()
  }
  finite = [x[np.isfinite(x)] for x in planes.values()]
  both = np.concatenate([*finite, np.zeros(1)])
  limits = np.floor(np.percentile(both, 0.5)), np.ceil(both.max())
  for place, (name, plane) in zip(axes[0], planes.items(), strict=False):
    _draw_plane(place, plane, name, 'viridis', limits)
  with np.errstate(invalid='ignore'):
    apart = planes['generated'] - planes['real']
  _draw_plane(
    axes[0, 2], apart, 'generated - real', 'RdBu_r', (-_APART, _APART)
  )
  for place, (name, lines) in zip(axes[1], curves.items(), strict=True):
    for label, line in lines.items():
      place.plot(line.frequency, line.decibels, lw=1.2, label=label)
    place.set_xlabel('periods an image', fontsize=8)
    place.set_title(_TITLES[name], fontsize=9)
    place.tick_params(labelsize=7)
    place.grid(color='0.92')
  axes[1, 0].set_ylabel('dB', fontsize=8)
  axes[1, 0].legend(fontsize=8)
  plots.save_figure(path, figure)


def _draw_plane(
  axes: 'Axes',
  plane: np.ndarray,
  title: str,
  colours: str,
  limits: tuple[Any, Any],
) -> None:
  """Frequency 0 in the middle, `[4N, 4N]`."""
  half = len(plane) / power_spectra.POINTS / 2
  drawn = axes.imshow(
    plane, cmap=colours, vmin=limits[0], vmax=limits[1],
    extent=(-half, half, half, -half), interpolation='nearest',
  )  # fmt: skip
  axes.set_title(title, fontsize=9)
  axes.tick_params(labelsize=7)
  bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.85, extend='both')
  bar.ax.tick_params(labelsize=7)
