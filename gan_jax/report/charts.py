"""Charts of figures: against the step, over a population, in the plane."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gan_jax.report import plots
from gan_jax.study import statistics

if TYPE_CHECKING:
  from matplotlib.axes import Axes

# For up to nine lines that may lie on one another, in front of grey.
_MANY: tuple[dict[str, Any], ...] = tuple(
  {'color': f'C{colour}', 'ls': (0, (3, 1.5)) if i % 4 == 3 else '-'}
  for i, colour in enumerate((0, 1, 2, 3, 4, 5, 6, 9, 8))
)


def save_lines(
  path: pathlib.Path,
  lines: Mapping[str, tuple[Sequence[int], Sequence[float]]],
  *,
  label: str,
  log: bool,
) -> None:
  """Values against steps, a named line for each run."""
  plt = plots.pyplot()
  figure, axes = plt.subplots(figsize=(6, 3), dpi=130, layout='constrained')
  for name, (steps, values) in lines.items():
    axes.plot(steps, values, label=name)
  axes.set(xlabel='step', ylabel=label, yscale='log' if log else 'linear')
  axes.legend(fontsize=8)
  plots.save_figure(path, figure)


class Spread(NamedTuple):
  """One figure of a population.

  Attributes:
    name: of the figure.
    steps: `[T]`.
    lines: for each combination of what varies, `[T]` estimates.
    fields: for each number that varies, the estimate at each of its values of
      the members' last looks, of each seed the mean over the other numbers; one
      nameless field where none varies.
  """

  name: str
  steps: Sequence[int]
  lines: Mapping[str, Sequence[statistics.Estimate]]
  fields: Mapping[str, Mapping[str, statistics.Estimate]]


def save_population(path: pathlib.Path, spreads: Sequence[Spread]) -> None:
  """Curves with 95 % bands, then a row of final values a varied field."""
  plt = plots.pyplot()
  rows, columns = 1 + len(spreads[0].fields), len(spreads)
  figure, axes = plt.subplots(
    rows, columns, figsize=(2.9 * columns, 2.5 * rows), dpi=110,
    layout='constrained', squeeze=False,
  )  # fmt: skip
  for column, spread in zip(axes.T, spreads, strict=True):
    _draw_bands(column[0], spread)
    for place, (field, values) in zip(
      column[1:], spread.fields.items(), strict=True
    ):
      _draw_strip(place, values)
      place.set_xlabel(field, fontsize=8)
  if 1 < len(spreads[0].lines) <= 8:
    axes[0, 0].legend(fontsize=6)
  for place in axes[1:, 0]:
    place.set_ylabel('at the last evaluation', fontsize=8)
  plots.save_figure(path, figure)


def _colours(count: int) -> Any:
  return plots.pyplot().get_cmap('viridis')(np.linspace(0, 0.85, count))


def _draw_bands(axes: 'Axes', spread: Spread) -> None:
  """Means and their 95 % intervals against the step."""
  axes.set_title(spread.name, fontsize=9)
  axes.set_xlabel('step', fontsize=8)
  for (title, line), colour in zip(
    spread.lines.items(), _colours(len(spread.lines)), strict=True
  ):
    low, high = [e.low for e in line], [e.high for e in line]
    means = [e.mean for e in line]
    axes.plot(spread.steps, means, color=colour, lw=1.2, label=title)
    axes.fill_between(spread.steps, low, high, color=colour, alpha=0.2, lw=0)
  # Where a setting was dropped, its line ends.
  means = [e.mean for line in spread.lines.values() for e in line]
  means = [mean for mean in means if np.isfinite(mean)] or [0.0]
  if min(means) > 0 and max(means) > 20 * min(means):
    axes.set_yscale('log')


def _draw_strip(
  axes: 'Axes', values: Mapping[str, statistics.Estimate]
) -> None:
  """Each seed as a point; the mean and its 95 % interval beside them."""
  rng = np.random.default_rng(0)
  for place, (estimate, colour) in enumerate(
    zip(values.values(), _colours(len(values)), strict=True)
  ):
    spots = place + rng.uniform(-0.2, 0.05, len(estimate.members))
    axes.plot(spots, estimate.members, '.', color=colour, ms=4, alpha=0.6)
    axes.errorbar(
      place + 0.2,
      estimate.mean,
      [[estimate.mean - estimate.low], [estimate.high - estimate.mean]],
      fmt='o', ms=3, color='black', capsize=3, lw=1,
    )  # fmt: skip
  axes.set_xticks(range(len(values)), list(values), fontsize=8)
  axes.set_xlim(-0.6, len(values) - 0.4)


def _mean(value: Any) -> float:
  """A figure as it stands in a row, which may be a population's, or null."""
  if isinstance(value, Mapping):
    value = value['mean']
  return np.nan if value is None else float(value)


# Title, scale, lines by their names, and where a line is drawn for reference.
_Panel = tuple[str, str, Mapping[str, str], float | None]

_BALANCE: tuple[_Panel, ...] = (
  ('accuracy of D', 'linear', {'': 'disc/accuracy'}, 0.5),
  ('gradient norm', 'log', {'D': 'disc/grad_norm', 'G': 'gen/grad_norm'}, None),
  ('loss of D / loss of G', 'linear', {'': 'health/loss_ratio'}, None),
)
_OVERFITTING: tuple[_Panel, ...] = (
  (
    'mean logit of D',
    'linear',
    {
      'training images': 'overfit/real',
      'held out': 'overfit/held_out',
      'generated': 'overfit/fake',
    },
    None,
  ),
  (
    "D's overfitting",
    'linear',
    {
      'r_v': 'overfit/r_v',
      'r_t': 'overfit/r_t',
      'r_t in training': 'augment/r_t',
      'p': 'augment/p',
    },
    0.0,
  ),
  (
    'to the nearest training image / held out',
    'linear',
    {'': 'overfit/nearest'},
    1.0,
  ),
)


def save_health(path: pathlib.Path, rows: Sequence[Mapping[str, Any]]) -> None:
  """D's accuracy, both players' gradients and the ratio of their losses.

  Below them, of a run with held-out images, whether D has learnt its images by
  heart, and whether G's samples are nearer to them than held-out ones are.

  Args:
    path: the png.
    rows: of `metrics.jsonl`; null is a gap.
  """
  held_out = any('overfit/r_v' in row for row in rows)
  panels = [_BALANCE, _OVERFITTING] if held_out else [_BALANCE]
  plt = plots.pyplot()
  figure, axes = plt.subplots(
    len(panels), 3, figsize=(10, 2.6 * len(panels)), dpi=110,
    layout='constrained', squeeze=False,
  )  # fmt: skip
  for places, each in zip(axes, panels, strict=True):
    for place, panel in zip(places, each, strict=True):
      _draw_panel(place, panel, rows)
  axes[0, 0].set_ylim(0, 1)
  if held_out:
    # A D that tells nothing apart yet makes r_v as large as it likes.
    low, high = axes[1, 1].get_ylim()
    axes[1, 1].set_ylim(max(low, -0.5), min(high, 1.5))
  plots.save_figure(path, figure)


def _draw_panel(
  axes: 'Axes', panel: _Panel, rows: Sequence[Mapping[str, Any]]
) -> None:
  """Lines against the step, of those that the rows have."""
  title, scale, lines, reference = panel
  drawn = 0
  for name, key in lines.items():
    found = [row for row in rows if key in row]
    if found:
      values = [_mean(row[key]) for row in found]
      axes.plot([row['step'] for row in found], values, label=name, lw=1)
      drawn += 1
  axes.set(xlabel='step', yscale=scale)
  axes.set_title(title, fontsize=10)
  if reference is not None:
    axes.axhline(reference, color='gray', lw=0.8, ls=':')
  if drawn > 1:
    axes.legend(fontsize=8)


class Plane(NamedTuple):
  """A game of two numbers.

  Attributes:
    name: its title.
    paths: by the rule's name, `[T, 2]`: G's number and D's after each update;
      the equilibrium is (0, 0).
    axis: `[K]`, where the arrows stand on either axis.
    arrows: `[K, K, 2]` where the players are drawn, of length 1; rows are D's
      number.
  """

  name: str
  paths: Mapping[str, np.ndarray]
  axis: np.ndarray
  arrows: np.ndarray


def _draw_plane(axes: 'Axes', plane: Plane) -> None:
  """Every path from the common start, over the arrows."""
  limit = plane.axis[-1]
  axes.quiver(
    plane.axis, plane.axis, *plane.arrows.transpose(2, 0, 1),
    color='0.87', scale=26, width=0.004, pivot='mid', zorder=0,
  )  # fmt: skip
  for style, points in zip(_MANY, plane.paths.values(), strict=False):
    axes.plot(*points.T, lw=1.2, **style)
  start = next(iter(plane.paths.values()))[0]
  axes.plot(*start, 'o', ms=6, color='black')
  axes.plot(0, 0, '*', ms=11, color='black', mec='white', mew=0.8)
  axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect='equal')
  axes.set(xlabel='generator', title=plane.name)


def save_planes(path: pathlib.Path, planes: Sequence[Plane]) -> None:
  """Paths over the plane, and below them their distance to the equilibrium."""
  plt = plots.pyplot()
  figure, axes = plt.subplots(
    2, len(planes), figsize=(4 * len(planes), 6.8), dpi=110, squeeze=False,
    sharey='row', height_ratios=(3, 2), layout='constrained',
  )  # fmt: skip
  for top, bottom, plane in zip(*axes, planes, strict=True):
    _draw_plane(top, plane)
    for style, (name, points) in zip(_MANY, plane.paths.items(), strict=False):
      bottom.semilogy(np.hypot(*points.T), lw=1.5, label=name, **style)
    bottom.set(xlim=(0, len(points) - 1), ylim=(1e-6, 20), xlabel='step')
    bottom.grid(color='0.92')
  axes[0, 0].set_ylabel('discriminator')
  axes[1, 0].set_ylabel('distance to the equilibrium')
  figure.legend(
    *axes[1, 0].get_legend_handles_labels(),
    ncols=8,
    loc='outside lower center',
    frameon=False,
  )
  plots.save_figure(path, figure)


def save_landscape(
  path: pathlib.Path,
  walks: Mapping[str, Sequence[float]],
  losses: Mapping[str, np.ndarray],
) -> None:
  """D's loss on a way out of collapse, and while the game is played.

  Args:
    path: the png.
    walks: by the loss's name, D's best loss at collapse, between two real
      points, and at another real point.
    losses: by the loss's name, D's loss `[N, T]` of N seeds.
  """
  plt = plots.pyplot()
  figure, axes = plt.subplots(
    1, 1 + len(losses), figsize=(3 * (1 + len(losses)), 2.8), dpi=110,
    layout='constrained', sharey=True,
  )  # fmt: skip
  for name, values in walks.items():
    axes[0].step([0, 0.2, 0.8, 1], [values[0], *values], label=name)
  axes[0].set(xlabel='way of one point', ylabel="D's loss", title='D optimal')
  axes[0].legend(fontsize=8)
  for place, (name, found) in zip(axes[1:], losses.items(), strict=True):
    place.plot(found[:10].T, lw=0.6, alpha=0.7)
    place.axhline(walks[name][0], color='black', lw=0.8, ls=':')
    place.axhline(np.log(2), color='grey', lw=0.8, ls=':')
    place.set(xlabel='step', title=name, ylim=(0, 0.8))
  plots.save_figure(path, figure)


def save_damping(
  path: pathlib.Path,
  rates: Mapping[float, statistics.Estimate],
  exact: Callable[[float], float],
  times: np.ndarray,
  distances: Mapping[float, np.ndarray],
) -> None:
  """Rates of decay by weight, and the distance against time at three weights.

  Args:
    path: the png.
    rates: by weight, as measured.
    exact: the rate of a weight.
    times: `[T]`.
    distances: by weight, `[T]`.
  """
  plt = plots.pyplot()
  figure, (left, right) = plt.subplots(
    1, 2, figsize=(8, 3), dpi=110, layout='constrained'
  )
  weights = list(rates)
  line = np.geomspace(weights[0], weights[-1], 300)
  left.plot(line, [exact(x) for x in line], color='grey', label='closed form')
  bars = [[e.mean - e.low for e in rates.values()],
          [e.high - e.mean for e in rates.values()]]  # fmt: skip
  means = [e.mean for e in rates.values()]
  left.errorbar(
    weights, means, bars, fmt='o', ms=4, capsize=3, label='measured'
  )
  left.set(xscale='log', xlabel='weight of R1', ylabel='rate of decay')
  left.legend(fontsize=8)
  best = max(rates, key=lambda x: rates[x].mean)
  for weight in dict.fromkeys((weights[0], best, weights[-1])):
    right.semilogy(times, distances[weight], lw=1, label=f'R1 of {weight:g}')
  right.set(xlabel='time', ylabel='distance', xlim=(0, 60), ylim=(1e-6, 2))
  right.legend(fontsize=8)
  plots.save_figure(path, figure)


def save_cycles(path: pathlib.Path, games: Mapping[str, np.ndarray]) -> None:
  """Paths `[N, T, 2]` of N starts in the plane, a panel for each game."""
  plt = plots.pyplot()
  figure, axes = plt.subplots(
    1, len(games), figsize=(2.4 * len(games), 2.8), dpi=110, squeeze=False,
    layout='constrained', sharey=True,
  )  # fmt: skip
  for place, (name, found) in zip(axes[0], games.items(), strict=True):
    place.plot(*found.transpose(2, 1, 0), lw=0.6)
    place.plot(0, 0, '*', ms=8, color='black')
    place.set(xlabel='generator', aspect='equal')
    place.set(xlim=(-2, 2), ylim=(-2, 2))
    place.set_title(name, fontsize=8)
  axes[0, 0].set_ylabel('critic')
  plots.save_figure(path, figure)


def save_samples(
  path: pathlib.Path, laws: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
  """Clouds `[N, 2]` by what made them, a row of panels for each law.

  Args:
    path: the png.
    laws: by name, with the same makers; the first is the data.
  """
  plt = plots.pyplot()
  makers = list(next(iter(laws.values())))
  figure, axes = plt.subplots(
    len(laws), len(makers), figsize=(2.2 * len(makers), 2.3 * len(laws)),
    dpi=110, squeeze=False, layout='constrained',
  )  # fmt: skip
  for row, clouds in zip(axes, laws.values(), strict=True):
    most = 1.15 * np.abs(clouds[makers[0]]).max()
    for place, maker in zip(row, makers, strict=True):
      place.plot(*np.asarray(clouds[maker]).T, '.', ms=1, alpha=0.5)
      place.set(aspect='equal', xticks=[], yticks=[])
      place.set(xlim=(-most, most), ylim=(-most, most))
      place.set_title(maker, fontsize=8)
  plots.save_figure(path, figure)
