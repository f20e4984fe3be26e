"""What a run shows of its game.

For each kind of data there is a `Measure`, from a state to figures and to the
arrays of a picture. A report's `frame(state)` is called every `eval.every`
steps: it keeps the picture and returns the figures. `finish(state)` draws what
was kept and returns the figures of the summary.
"""

import contextlib
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np
import PIL.Image

from gan_jax.data import source as sources
from gan_jax.evaluation import laws
from gan_jax.game import state as states
from gan_jax.report import charts, frames, moments, plots
from gan_jax.storage import writers

# `evaluate(state, key)`: what `eval.metrics` asks for, of one run's state.
Evaluate = Callable[[states.GanState, jax.Array], dict[str, float]]

# Figures by name: a number, or `[P]` numbers of a population's members.
Figures = dict[str, Any]


def row_name(figure: str) -> str:
  """What a figure is called in a row: with `eval/`, or as it is grouped."""
  return figure if '/' in figure else f'eval/{figure}'


class Report(Protocol):
  """Frames while the game is played, and its summary."""

  def frame(self, state: states.GanState) -> Figures: ...

  def finish(self, state: states.GanState) -> Figures: ...


class Album(Protocol):
  """The pictures of a run."""

  def add(self, step: int, arrays: Mapping[str, np.ndarray]) -> None: ...

  def has(self, step: int) -> bool: ...

  def save(self) -> None: ...


class SingleReport:
  """The frames of one run's game."""

  def __init__(
    self,
    measure: laws.Measure,
    key: jax.Array,
    names: Sequence[str],
    album: Album,
    evaluate: Evaluate | None,
    *,
    draws: bool = True,
  ):
    """Takes the parts.

    Args:
      measure: traceable.
      key: of the samples, the same for every frame.
      names: of the figures in the summary.
      album: where the pictures go.
      evaluate: more figures, on the host.
      draws: the album's pictures at the end.
    """
    self._evaluate, self._draws = evaluate, draws
    self._measure = jax.jit(measure)
    self._last: tuple[int, Figures, Figures] | None = None
    self._key, self._names, self._album = key, names, album

  def frame(self, state: states.GanState) -> Figures:
    figures, arrays = self._look(state)
    self._album.add(states.step_of(state), arrays)
    return {row_name(name): value for name, value in figures.items()}

  def _look(self, state: states.GanState) -> tuple[Figures, Figures]:
    """Figures and arrays; those of the last frame are kept for the end."""
    step = states.step_of(state)
    if self._last is None or self._last[0] != step:
      figures, arrays = jax.device_get(self._measure(state, self._key))
      if self._evaluate:
        figures |= self._evaluate(state, self._key)
      self._last = step, figures, arrays
    return self._last[1:]

  def finish(self, state: states.GanState) -> Figures:
    figures, arrays = self._look(state)
    step = states.step_of(state)
    # A member that became a run has only its rows.
    if not self._album.has(step):
      self._album.add(step, arrays)
    if self._draws:
      self._album.save()
    finals: Figures = {
      name: float(figures[name]) if name in figures else None
      for name in self._names
    }
    # What `evaluate` adds.
    finals |= {n: float(x) for n, x in figures.items() if n not in finals}
    for name, count in state.memory.get('skipped', {}).items():
      finals[f'{name}_skipped'] = int(count)
    return finals


class _Grids:
  """Grids of samples from one fixed batch of latents, and D between images."""

  def __init__(self, workdir: pathlib.Path, sinks: writers.Writers):
    self._workdir, self._sinks = workdir, sinks
    self._folder = workdir / 'samples'
    self._folder.mkdir(exist_ok=True)
    self._loss_path = frames.Frames(
      workdir, frames.LogitPath, frames.PathPanel, 'loss_path.png', None
    )
    # TensorBoard's file is a new one (events.py).
    for step, path in self._grids():
      if step <= sinks.last:
        sinks.image(step, 'samples', path.read_bytes())

  def _grids(self) -> list[tuple[int, pathlib.Path]]:
    """The grids there are, by step."""
    found = {
      path: path.stem.removeprefix('step_')
      for path in self._folder.glob('step_*.png')
    }
    return sorted((int(n), path) for path, n in found.items() if n.isdigit())

  def add(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
    grid = plots.image_grid(arrays['images'], laws.GRID)
    png = plots.png(grid)
    (self._folder / f'step_{step:08d}.png').write_bytes(png)
    self._sinks.image(step, 'samples', png)
    self._loss_path.add(step, arrays)

  def has(self, step: int) -> bool:
    grid = self._folder / f'step_{step:08d}.png'
    return grid.exists() and self._loss_path.has(step)

  def save(self) -> None:
    pictures = []
    for _, path in moments.pick(self._grids(), moments.DRAWN):
      # One that is half-written is left out.
      with (
        contextlib.suppress(OSError, SyntaxError),
        PIL.Image.open(path) as picture,
      ):
        pictures.append(picture.copy())
    plots.save_gif(self._workdir / 'evolution.gif', pictures)
    self._loss_path.save()


def save_health(workdir: pathlib.Path) -> None:
  """`health.png`: the balance of the two players over the whole run."""
  rows = writers.read_rows(workdir)
  if any('disc/loss' in row for row in rows):
    charts.save_health(workdir / 'health.png', rows)


def make_album(
  info: sources.Info, workdir: pathlib.Path, sinks: writers.Writers
) -> Album:
  """Where a run's pictures go, for the kind of data there is."""
  if info.kind == 'images':
    return _Grids(workdir, sinks)
  if info.kind == 'density':
    return frames.Frames(workdir, frames.Curves, frames.CurvesPanel)
  return frames.Frames(workdir, frames.Cloud, frames.CloudPanel)
