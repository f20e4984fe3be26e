"""Moments of a game of one or two dimensions: kept as arrays, and drawn.

`Curves` and `Cloud` are moments, `CurvesPanel` and `CloudPanel` draw them, and
`Frames` makes a figure and an animation of those of a run.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from gan_jax import plots

if TYPE_CHECKING:
  from matplotlib.axes import Axes

_DATA, _GEN, _DISC, _BEST = 'black', 'tab:green', 'tab:blue', 'tab:orange'


class Curves(NamedTuple):
  """A one-dimensional game at one moment.

  Attributes:
    step: when.
    x: `[K]`, centres of even cells over the data's interval.
    data: `[K]` the density of the data.
    generated: `[K]` the generator's.
    disc: `[K]` D(x), NaN where D is no classifier of single samples.
    optimal: `[K]` D*(x) = p / (p + p_g), NaN where both are 0.
    z: `[M]` latents in order, empty unless they are one-dimensional.
    mapped: `[M]` G(z).
    ks: the Kolmogorov-Smirnov statistic.
  """

  step: int
  x: np.ndarray
  data: np.ndarray
  generated: np.ndarray
  disc: np.ndarray
  optimal: np.ndarray
  z: np.ndarray
  mapped: np.ndarray
  ks: float


class Cloud(NamedTuple):
  """A two-dimensional game at one moment.

  Attributes:
    step: when.
    real: `[N, 2]` points of the data.
    generated: `[N, 2]`.
    x: `[K]` the columns of `disc`.
    y: `[K]` its rows.
    disc: `[K, K]` D over the plane: a probability, or an output where D is no
      classifier; NaN where it judges several samples at once.
  """

  step: int
  real: np.ndarray
  generated: np.ndarray
  x: np.ndarray
  y: np.ndarray
  disc: np.ndarray


class Panel(Protocol):
  """A place in a figure that shows one moment after another."""

  def __init__(self, figure: Any, place: Any, frame: Any): ...

  def show(self, frame: Any) -> Sequence[Any]:
    """Shows that moment; returns the artists that differ between moments."""


class CurvesPanel:
  """`Curves` as in figure 1 of Goodfellow et al. 2014."""

  def __init__(self, figure: Any, place: Any, frame: Curves):
    top, bottom = place.subgridspec(
      2, 1, height_ratios=(4, 1), hspace=0
    ).subplots()
    low, high = frame.x[0], frame.x[-1]
    (data,) = top.plot(frame.x, frame.data, ':', color=_DATA, label='data')
    (self._generated,) = top.plot([], [], color=_GEN, label='generated')
    top.set(xlim=(low, high), ylim=(0, 1.6 * frame.data.max()), xticks=[])
    self._title = top.set_title('', fontsize=9)
    right = top.twinx()
    (self._disc,) = right.plot([], [], '--', color=_DISC, label='D(x)')
    (self._optimal,) = right.plot([], [], color=_BEST, lw=0.8, label='D*(x)')
    right.set(ylim=(0, 1), yticks=(0, 0.5, 1))
    handles = [data, self._generated]
    if np.isfinite(frame.disc).any():
      handles += [self._disc, self._optimal]
    self._legend = right.legend(
      handles=handles, fontsize=6, ncols=2, loc='upper center'
    )
    bottom.set(xlim=(low, high), ylim=(0, 1), yticks=[])
    self._lines = bottom.plot(
      *np.zeros((2, 2, frame.z.size)), color=_GEN, lw=0.5, clip_on=True
    )
    if frame.z.size:
      bottom.set_ylabel('z → x', fontsize=7)

  def show(self, frame: Curves) -> Sequence[Any]:
    self._title.set_text(f'step {frame.step:,}   KS {frame.ks:.3f}')
    self._generated.set_data(frame.x, frame.generated)
    self._disc.set_data(frame.x, frame.disc)
    self._optimal.set_data(frame.x, frame.optimal)
    if frame.z.size:
      # z on the lower edge, spread over the panel's width; x on the upper.
      low, high = frame.x[0], frame.x[-1]
      span = frame.z.max() - frame.z.min()
      start = low + (high - low) * (frame.z - frame.z.min()) / span
      for line, *ends in zip(self._lines, start, frame.mapped, strict=True):
        line.set_data(ends, [0, 1])
    curves = self._generated, self._disc, self._optimal
    return self._title, *curves, self._legend, *self._lines


class CloudPanel:
  """`Cloud`: real and generated points over the level sets of D."""

  def __init__(self, figure: Any, place: Any, frame: Cloud):
    self._figure = figure
    self._axes: Axes = figure.add_subplot(place)
    style: dict[str, Any] = {'ls': '', 'marker': '.', 'ms': 1.5}
    self._points = [
      *self._axes.plot([], [], color=_DATA, label='data', **style),
      *self._axes.plot([], [], color=_GEN, label='generated', **style),
    ]
    self._axes.set(
      xlim=(frame.x[0], frame.x[-1]),
      ylim=(frame.y[0], frame.y[-1]),
      aspect='equal',
    )
    self._title = self._axes.set_title('', fontsize=9)
    self._legend = self._axes.legend(fontsize=6, loc='upper right')
    self._shades: Any = None
    self._bar: Any = None

  def show(self, frame: Cloud) -> Sequence[Any]:
    self._title.set_text(f'step {frame.step:,}')
    for line, points in zip(
      self._points, (frame.real, frame.generated), strict=True
    ):
      line.set_data(*points.T)
    artists = *self._points, self._legend, self._title
    if not np.isfinite(frame.disc).any():
      return artists
    place = {'ax': self._axes, 'fraction': 0.046}
    if self._bar:
      self._shades.remove()
      self._bar.ax.clear()
      place = {'cax': self._bar.ax}
    self._shades = self._axes.contourf(
      frame.x, frame.y, frame.disc, levels=12, cmap='coolwarm', alpha=0.5
    )
    self._bar = self._figure.colorbar(self._shades, label='D', **place)
    return self._shades, *artists, self._bar.ax


def _save(path: pathlib.Path, frame: Curves | Cloud) -> None:
  """Writes a moment as plain arrays, whole or not at all."""
  temporary = path.with_suffix('.tmp')
  with temporary.open('wb') as file:
    np.savez_compressed(file, **frame._asdict())
  temporary.rename(path)


def _make_figure(
  frames: Sequence[Any], kind: type[Panel], dpi: int
) -> tuple[Any, list[Panel]]:
  """Panels side by side."""
  count = len(frames)
  figure = plots.pyplot().figure(
    figsize=(3.4 * count, 3.2), dpi=dpi, layout='constrained'
  )
  grid = figure.add_gridspec(1, count)
  panels = [kind(figure, grid[0, i], frames[i]) for i in range(count)]
  return figure, panels


def save_figure(
  path: pathlib.Path, frames: Sequence[Any], kind: type[Panel]
) -> None:
  """The given moments side by side, as a png."""
  figure, panels = _make_figure(frames, kind, dpi=130)
  for panel, frame in zip(panels, frames, strict=True):
    panel.show(frame)
  plots.save_figure(path, figure)


def save_animation(
  path: pathlib.Path, frames: Sequence[Any], kind: type[Panel]
) -> None:
  """One moment after another, as a gif that rests on the last.

  What stays the same is laid out, as suits the last, and drawn once: that is
  most of the work.
  """
  figure, (panel,) = _make_figure(frames[-1:], kind, dpi=80)
  for artist in panel.show(frames[-1]):
    artist.set_animated(True)  # Left out of the drawing.
  canvas, pictures = figure.canvas, []
  canvas.draw()
  background = canvas.copy_from_bbox(figure.bbox)
  for frame in frames:
    canvas.restore_region(background)
    for artist in panel.show(frame):
      artist.draw(canvas.get_renderer())
    pictures.append(plots.pixels(figure))
  plots.pyplot().close(figure)
  plots.save_gif(path, pictures)


class Frames:
  """The moments of a run on disk, from which its pictures are drawn."""

  def __init__(
    self,
    workdir: pathlib.Path,
    kind: type[Any],
    panel: type[Panel],
  ):
    self._workdir, self._kind, self._panel = workdir, kind, panel
    self._folder = workdir / 'frames'
    self._folder.mkdir(exist_ok=True)

  def add(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
    frame = self._kind(step=step, **arrays)
    _save(self._folder / f'step_{step:08d}.npz', frame)

  def has(self, step: int) -> bool:
    return (self._folder / f'step_{step:08d}.npz').exists()

  def draw(self) -> None:
    """`figure.png` of four moments and `evolution.gif` of up to 48."""
    paths = sorted(self._folder.glob('*.npz'))
    last = len(paths) - 1
    # Most of a game happens early: at its start, 1/16, 1/4 and end.
    moments = sorted({0, -(-last // 16), -(-last // 4), last})
    picked = sorted({round(i * last / 47) for i in range(48)})
    save_figure(
      self._workdir / 'figure.png',
      [self._load(paths[i]) for i in moments],
      self._panel,
    )
    save_animation(
      self._workdir / 'evolution.gif',
      [self._load(paths[i]) for i in picked],
      self._panel,
    )

  def _load(self, path: pathlib.Path) -> Any:
    with np.load(path, allow_pickle=False) as stored:
      return self._kind(
        **{
          name: value if value.ndim else value.item()
          for name, value in stored.items()
        }
      )
