"""Moments of a game: kept as arrays, and drawn.

`Curves`, `Cloud` and `LogitPath` are moments of games in one and two dimensions
and of images, `CurvesPanel`, `CloudPanel` and `PathPanel` draw them, and
`Frames` makes a figure and an animation of those of a run.
"""

import contextlib
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from gan_jax.report import moments, plots
from gan_jax.storage import whole

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
    gen_loss: `[K]` what G minimises, at a sample x; NaN where D judges several
      samples at once, or with loss='none'.
    gen_loss_even: the same at D = 1/2.
    z: `[M]` latents in order, empty unless they are one-dimensional.
    mapped: `[M]` G(z).
    ks: the Kolmogorov-Smirnov statistic.
    total_variation: between the masses of cells.
  """

  step: int
  x: np.ndarray
  data: np.ndarray
  generated: np.ndarray
  disc: np.ndarray
  optimal: np.ndarray
  gen_loss: np.ndarray
  gen_loss_even: float
  z: np.ndarray
  mapped: np.ndarray
  ks: float
  total_variation: float


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


class LogitPath(NamedTuple):
  """D along straight lines from real images to generated ones, at one moment.

  Attributes:
    step: when.
    t: `[T]`, the generated image's share, from 0 to 1.
    logits: `[P, T]` D's outputs, a row for each pair of images.
  """

  step: int
  t: np.ndarray
  logits: np.ndarray


class Panel(Protocol):
  """A place in a figure that shows one moment after another.

  Attributes:
    HEIGHT: of the figure, in inches.
  """

  HEIGHT: float

  def __init__(self, place: Any, frames: Sequence[Any]):
    """Draws what is the same in all the moments it is going to show."""

  def show(self, frame: Any) -> Sequence[Any]:
    """Shows that moment; returns the artists of what differs."""


class CurvesPanel:
  """`Curves` as in figure 1 of Goodfellow et al. 2014, and D as a loss of x."""

  HEIGHT = 4.2

  def __init__(self, place: Any, frames: Sequence[Curves]):
    from matplotlib import collections

    top, middle, bottom = place.subgridspec(
      3, 1, height_ratios=(4, 1, 2), hspace=0.04
    ).subplots()
    x, density = frames[0].x, frames[0].data
    for axes in (top, middle, bottom):
      axes.set_xlim(x[0], x[-1])
      axes.tick_params(labelsize=7)
    self._title = top.set_title('', fontsize=9)
    self._draw_densities(top, x, density, frames)
    # From z to G(z).
    middle.set(ylim=(0, 1), xticks=[], yticks=[])
    self._lines = collections.LineCollection([], colors=_GEN, linewidths=0.5)
    middle.add_collection(self._lines, autolim=False)
    if frames[0].z.size:
      middle.set_ylabel('z → x', fontsize=7)
    self._draw_loss(bottom, frames)

  def _draw_densities(
    self,
    axes: 'Axes',
    x: np.ndarray,
    density: np.ndarray,
    frames: Sequence[Curves],
  ) -> None:
    """The two laws, D and D*."""
    (data,) = axes.plot(x, density, ':', color=_DATA, label='data')
    (self._generated,) = axes.plot([], [], color=_GEN, label='generated')
    axes.set(ylim=(0, 1.6 * density.max()), xticks=[])
    right = axes.twinx()
    (self._disc,) = right.plot([], [], '--', color=_DISC, label='D(x)')
    (self._optimal,) = right.plot([], [], color=_BEST, lw=0.8, label='D*(x)')
    right.set(ylim=(0, 1), yticks=(0, 0.5, 1))
    right.tick_params(labelsize=7)
    handles = [data, self._generated]
    if any(np.isfinite(frame.disc).any() for frame in frames):
      handles += [self._disc, self._optimal]
    self._legend = right.legend(
      handles=handles, fontsize=6, ncols=2, loc='upper center'
    )

  def _draw_loss(self, axes: 'Axes', frames: Sequence[Curves]) -> None:
    """What G minimises at x, with its samples on it."""
    (self._loss,) = axes.plot([], [], color=_DISC)
    (self._samples,) = axes.plot([], [], '.', color=_GEN, ms=3)
    axes.set_ylabel('loss of G', fontsize=7)
    axes.set_xlabel('x', fontsize=7, labelpad=0)
    values = np.array([frame.gen_loss for frame in frames])
    found = values[np.isfinite(values)]
    if not found.size:
      axes.set_yticks([])
      return
    even = frames[0].gen_loss_even
    axes.axhline(even, color=_DATA, lw=0.6, ls=':')
    # Around the loss at D = 1/2, and never a picture of noise alone. Where
    # nothing is left to judge the loss is far off, and leaves the panel.
    reach = 1.1 * max(0.25, float(np.quantile(np.abs(found - even), 0.8)))
    axes.set_ylim(even - reach, even + reach)

  def show(self, frame: Curves) -> Sequence[Any]:
    self._title.set_text(
      f'step {frame.step:,}   KS {frame.ks:.3f}   '
      f'TV {frame.total_variation:.3f}'
    )
    self._generated.set_data(frame.x, frame.generated)
    self._disc.set_data(frame.x, frame.disc)
    self._optimal.set_data(frame.x, frame.optimal)
    self._loss.set_data(frame.x, frame.gen_loss)
    if frame.z.size:
      # z on the lower edge, spread over the panel's width; x on the upper.
      low, high = frame.x[0], frame.x[-1]
      span = frame.z.max() - frame.z.min()
      start = low + (high - low) * (frame.z - frame.z.min()) / span
      ends = np.stack([start, frame.mapped], axis=1)
      heights = np.broadcast_to([0.0, 1.0], ends.shape)
      self._lines.set_segments([*np.stack([ends, heights], axis=2)])
      self._samples.set_data(
        frame.mapped, np.interp(frame.mapped, frame.x, frame.gen_loss)
      )
    curves = self._generated, self._disc, self._optimal
    loss = self._loss, self._samples
    return self._title, *curves, self._legend, self._lines, *loss


class CloudPanel:
  """`Cloud`: real and generated points over the level sets of D."""

  HEIGHT = 3.2

  def __init__(self, place: Any, frames: Sequence[Cloud]):
    from matplotlib import ticker

    figure = place.get_gridspec().figure
    self._axes: Axes = figure.add_subplot(place)
    x, y = frames[0].x, frames[0].y
    self._axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), aspect='equal')
    self._shades: Any = None
    planes = np.array([frame.disc for frame in frames])
    found = planes[np.isfinite(planes)]
    if found.size:
      locator = ticker.MaxNLocator(12)
      self._levels = locator.tick_values(found.min(), found.max())
      self._shades = self._shade(x, y, planes[0])
      figure.colorbar(self._shades, ax=self._axes, fraction=0.046, label='D')
    style: dict[str, Any] = {'ls': '', 'marker': '.', 'ms': 1.5}
    self._points = [
      *self._axes.plot([], [], color=_DATA, label='data', **style),
      *self._axes.plot([], [], color=_GEN, label='generated', **style),
    ]
    self._title = self._axes.set_title('', fontsize=9)
    self._legend = self._axes.legend(fontsize=6, loc='upper right')

  def _shade(self, x: np.ndarray, y: np.ndarray, disc: np.ndarray) -> Any:
    """Level sets, of the same levels each time."""
    return self._axes.contourf(
      x, y, disc, levels=self._levels, cmap='coolwarm', alpha=0.5
    )

  def show(self, frame: Cloud) -> Sequence[Any]:
    self._title.set_text(f'step {frame.step:,}')
    for line, points in zip(
      self._points, (frame.real, frame.generated), strict=True
    ):
      line.set_data(*points.T)
    artists = *self._points, self._legend, self._title
    if self._shades is None:
      return artists
    self._shades.remove()
    self._shades = self._shade(frame.x, frame.y, frame.disc)
    return self._shades, *artists


class PathPanel:
  """`LogitPath`: D from a real image to a generated one, pair by pair."""

  HEIGHT = 3.2

  def __init__(self, place: Any, frames: Sequence[LogitPath]):
    figure = place.get_gridspec().figure
    axes: Axes = figure.add_subplot(place)
    t, pairs = frames[0].t, len(frames[0].logits)
    self._lines = [
      axes.plot([], [], color=_DISC, lw=0.8, alpha=0.5)[0] for _ in range(pairs)
    ]
    (self._mean,) = axes.plot([], [], color=_DISC, lw=2.2)
    self._title = axes.set_title('', fontsize=9)
    values = np.array([frame.logits for frame in frames])
    found = np.append(values[np.isfinite(values)], (-0.25, 0.25))
    low, high = found.min(), found.max()
    margin = 0.05 * (high - low)
    axes.set(xlim=(t[0], t[-1]), ylim=(low - margin, high + margin))
    axes.set_xticks([t[0], t[-1]], ['real', 'generated'], fontsize=8)
    axes.axhline(0.0, color=_DATA, lw=0.6, ls=':')
    axes.tick_params(axis='y', labelsize=7)
    axes.set_ylabel('logit of D', fontsize=8)

  def show(self, frame: LogitPath) -> Sequence[Any]:
    self._title.set_text(f'step {frame.step:,}')
    for line, logits in zip(self._lines, frame.logits, strict=True):
      line.set_data(frame.t, logits)
    self._mean.set_data(frame.t, frame.logits.mean(axis=0))
    return self._title, *self._lines, self._mean


def _make_figure(
  count: int, dpi: int, panel: type[Panel]
) -> tuple[Any, list[Any]]:
  """A figure, and its places side by side."""
  figure = plots.pyplot().figure(
    figsize=(3.4 * count, panel.HEIGHT), dpi=dpi, layout='constrained'
  )
  return figure, list(figure.add_gridspec(1, count))


def _save_still(
  path: pathlib.Path, frames: Sequence[Any], panel: type[Panel]
) -> None:
  """The given moments side by side and on the same scales, as a png."""
  figure, places = _make_figure(len(frames), 130, panel)
  for place, frame in zip(places, frames, strict=True):
    panel(place, frames).show(frame)
  plots.save_figure(path, figure)


def _save_animation(
  path: pathlib.Path, frames: Sequence[Any], panel: type[Panel]
) -> None:
  """One moment after another, as a gif that rests on the last.

  What stays the same is laid out and drawn once: that is most of the work.
  """
  figure, (place,) = _make_figure(1, 80, panel)
  shown = panel(place, frames)
  for artist in shown.show(frames[0]):
    artist.set_animated(True)  # Left out of the drawing.
  canvas, pictures = figure.canvas, []
  canvas.draw()
  background = canvas.copy_from_bbox(figure.bbox)
  for frame in frames:
    canvas.restore_region(background)
    for artist in shown.show(frame):
      artist.draw(canvas.get_renderer())
    pictures.append(plots.pixels(figure))
  plots.pyplot().close(figure)
  plots.save_gif(path, pictures)


class Frames:
  """The moments of a run on disk, from which its pictures are drawn."""

  def __init__(
    self,
    workdir: pathlib.Path,
    moment: type[Any],
    panel: type[Panel],
    still: str = 'figure.png',
    animation: str | None = 'evolution.gif',
  ):
    """Makes the folder of the moments.

    Args:
      workdir: of the run.
      moment: the tuple that a moment is.
      panel: what draws it.
      still: the file of a few moments.
      animation: the file of many; None for none.
    """
    self._workdir, self._moment, self._panel = workdir, moment, panel
    self._still, self._animation = still, animation
    self._folder = workdir / 'frames'
    self._folder.mkdir(exist_ok=True)

  def add(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Keeps a moment; `arrays` may hold more than it is made of."""
    fields = self._moment._fields[1:]
    frame = self._moment(step, **{name: arrays[name] for name in fields})
    path = self._folder / f'step_{step:08d}.npz'
    with whole.replacing(path) as part:
      np.savez_compressed(part, **frame._asdict())

  def has(self, step: int) -> bool:
    return (self._folder / f'step_{step:08d}.npz').exists()

  def save(self) -> None:
    """The still of four moments and the animation of up to 48."""
    paths = sorted(self._folder.glob('step_*.npz'))
    last = len(paths) - 1
    # Most of a game happens early: at its start, 1/16, 1/4 and end.
    few = sorted({0, -(-last // 16), -(-last // 4), last})
    self._draw(_save_still, self._still, [paths[i] for i in few])
    if self._animation:
      picked = moments.pick(paths, moments.DRAWN)
      self._draw(_save_animation, self._animation, picked)

  def _draw(
    self,
    draw: Callable[[pathlib.Path, Sequence[Any], type[Panel]], None],
    name: str,
    paths: Sequence[pathlib.Path],
  ) -> None:
    sound = []
    for path in paths:
      with contextlib.suppress(*moments.DAMAGED):  # The others show the run.
        sound.append(self._load(path))
    if sound:
      draw(self._workdir / name, sound, self._panel)

  def _load(self, path: pathlib.Path) -> Any:
    with moments.opened(path) as stored:
      return self._moment(
        **{
          name: value if value.ndim else value.item()
          for name, value in stored.items()
        }
      )
