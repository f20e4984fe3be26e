"""What a run shows of its game.

For each kind of data there is a `Measure`, from a state to figures and to the
arrays of a picture. A report's `frame(state)` is called every `eval.every`
steps: it keeps the picture and returns the figures. `finish(state)` draws what
was kept and returns the figures of the summary.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
from jax.sharding import Mesh

from gan_jax import (
  charts,
  config as configs,
  frames,
  plots,
  population,
  sampling,
  state as states,
  statistics,
  steps,
  types,
  writers,
)
from gan_jax.data import densities, source as sources
from gan_jax.metrics import modes, one_dimensional, sliced

# `evaluate(state, key)`: what `eval.metrics` asks for, of one run's state.
Evaluate = Callable[[states.GanState, jax.Array], dict[str, float]]

# Figures by name: a number, or `[P]` numbers of a population's members.
Figures = dict[str, Any]

# `measure(state, key)`: figures, and the arrays of a picture.
Measure = Callable[
  [states.GanState, jax.Array], tuple[types.Logs, dict[str, jax.Array]]
]


class Report(Protocol):
  """Frames while the game is played, and its summary."""

  def frame(self, state: states.GanState) -> Figures: ...

  def finish(self, state: states.GanState) -> Figures: ...


class Album(Protocol):
  """The pictures of a run."""

  def add(self, step: int, arrays: Mapping[str, np.ndarray]) -> None: ...

  def has(self, step: int) -> bool: ...

  def draw(self) -> None: ...


def _verdict(
  spec: steps.Spec, disc: states.NetState, real: jax.Array, fake: jax.Array
) -> types.Logs:
  """Mean D on real and on fake samples `[N, ...]` and the value of the game.

  The value is E log D(x) + E log(1 - D(G(z))) (Goodfellow et al. 2014, eq.
  1), -log 4 at the equilibrium. Nothing where D is no classifier.
  """
  if not spec.loss.classifier:
    return {}
  real = sampling.judge(spec, disc, real)
  fake = sampling.judge(spec, disc, fake)
  return {
    'd_real': jax.nn.sigmoid(real).mean(),
    'd_fake': jax.nn.sigmoid(fake).mean(),
    'value': -spec.loss.disc(real=real, fake=fake),
  }


def _measure_density(
  spec: steps.Spec,
  law: densities.Density,
  *,
  num: int,
  ema: bool,
) -> Measure:
  """Figures and `frames.Curves` of a one-dimensional game.

  Args:
    spec: the game.
    law: what the generator should follow.
    num: samples; a multiple of `spec.packing`.
    ema: look at the averaged generator.
  """

  def measure(
    state: states.GanState, key: jax.Array
  ) -> tuple[types.Logs, dict[str, jax.Array]]:
    gen_key, z_key, real_key = jax.random.split(key, 3)
    gen = sampling.eval_generator(spec, state, gen_key, ema=ema)
    z = spec.latent(z_key, num)
    samples = sampling.sample(spec, *gen, z)
    line = samples[:, 0]
    figures = {
      'ks': one_dimensional.ks_statistic(line, law.cdf),
      'wasserstein_1': one_dimensional.wasserstein_1(
        line, law.cdf, law.interval
      ),
      **_verdict(spec, state.disc, law.sample(real_key, num), samples),
    }
    x, data, generated = _densities(law, line)
    curves = {
      'x': x,
      'data': data,
      'generated': generated,
      'optimal': data / (data + generated),
      'disc': jnp.full_like(x, jnp.nan),
      'z': jnp.zeros(0),
      'mapped': jnp.zeros(0),
      'ks': figures['ks'],
    }
    if spec.loss.classifier and spec.packing == 1:

      def disc(x: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(sampling.judge(spec, state.disc, x[:, None]))

      curves['disc'] = disc(x)
      figures['max_d_gap'] = one_dimensional.max_disc_gap(
        line, disc, law.cdf, law.interval
      )
    if z.shape[1] == 1:
      # Latents in order, at even shares of their mass; sorting all is slow.
      curves['z'] = jnp.quantile(z[:8192, 0], jnp.linspace(0.0, 1.0, 61))
      mapped = sampling.sample(spec, *gen, curves['z'][:, None])
      curves['mapped'] = mapped[:, 0]
    return figures, curves

  return measure


def _densities(
  law: densities.Density, line: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """The law's density and that of samples `[N]`, over cells `[K]` each.

  Returns:
    The cells' centres, and the two densities.
  """
  # The central part of the law, with room for a generator that is off.
  low, high = one_dimensional.quantiles(
    jnp.array([0.002, 0.998]), law.cdf, law.interval
  )
  margin = 0.15 * (high - low)
  edges = jnp.linspace(low - margin, high + margin, 201)
  width, x = edges[1] - edges[0], (edges[1:] + edges[:-1]) / 2
  generated = jnp.histogram(line, bins=edges)[0] / len(line) / width
  return x, jnp.diff(law.cdf(edges)) / width, generated


def _measure_points(
  spec: steps.Spec,
  law: densities.Points,
  *,
  num: int,
  ema: bool,
) -> Measure:
  """Figures and `frames.Cloud` of a two-dimensional game; as above."""

  def measure(
    state: states.GanState, key: jax.Array
  ) -> tuple[types.Logs, dict[str, jax.Array]]:
    gen_key, z_key, real_key, slice_key = jax.random.split(key, 4)
    gen = sampling.eval_generator(spec, state, gen_key, ema=ema)
    samples = sampling.sample(spec, *gen, spec.latent(z_key, num))
    real = law.sample(real_key, num)
    figures = _verdict(spec, state.disc, real, samples)
    figures['sliced_wasserstein_1'] = sliced.sliced_wasserstein_1(
      samples, real, slice_key
    )
    if law.modes is not None:
      coverage = modes.mode_coverage(
        samples, jnp.asarray(law.modes), law.mode_std
      )
      figures |= coverage._asdict()
    low, high = real.min(axis=0), real.max(axis=0)
    reach = 0.65 * (high - low).max() * jnp.linspace(-1.0, 1.0, 101)
    x, y = (low + high)[:, None] / 2 + reach[None]
    disc = jnp.full((101, 101), jnp.nan)
    if spec.packing == 1:
      plane = jnp.stack(jnp.meshgrid(x, y), axis=-1).reshape(-1, 2)
      disc = sampling.judge(spec, state.disc, plane).reshape(disc.shape)
      disc = jax.nn.sigmoid(disc) if spec.loss.classifier else disc
    return figures, {
      'real': real[:2000],
      'generated': samples[:2000],
      'x': x,
      'y': y,
      'disc': disc,
    }

  return measure


def _measure_images(
  spec: steps.Spec, real: jax.Array, *, num: int, ema: bool
) -> Measure:
  """D's verdict on real images `[N, H, W, C]` and as many samples.

  The picture's array is `images`, `[num, H, W, C]`.
  """

  def measure(
    state: states.GanState, key: jax.Array
  ) -> tuple[types.Logs, dict[str, jax.Array]]:
    gen_key, z_key = jax.random.split(key)
    gen = sampling.eval_generator(spec, state, gen_key, ema=ema)
    images = sampling.sample(spec, *gen, spec.latent(z_key, num))
    return _verdict(spec, state.disc, real, images[: len(real)]), {
      'images': images
    }

  return measure


def make_measure(
  config: configs.Config, spec: steps.Spec, source: sources.Source
) -> Measure:
  """What is measured in a game with data of this kind."""
  ema = configs.uses_ema(config)
  num = config.eval.num_samples // spec.packing * spec.packing
  if source.info.kind == 'density':
    law = densities.DENSITIES[config.data.name]
    return _measure_density(spec, law, num=num, ema=ema)
  if source.info.kind == 'points':
    points = densities.POINTS[config.data.name]
    return _measure_points(spec, points, num=num, ema=ema)
  # The same images for every seed, unless they are streamed.
  key, step = jax.random.key(0), jnp.int32(0)
  real = jax.jit(source.batch)(source.chunk(0, 1), key, step).x
  num = min(len(real), GRID**2) // spec.packing * spec.packing
  return _measure_images(spec, real[:num], num=GRID**2, ema=ema)


# Images a side of a grid of samples.
GRID = 10

_VERDICT = ('d_real', 'd_fake', 'value')


class SingleReport:
  """The frames of one run's game."""

  def __init__(
    self,
    measure: Measure,
    key: jax.Array,
    names: Sequence[str],
    album: Album,
    evaluate: Evaluate | None,
  ):
    """Takes the parts.

    Args:
      measure: traceable.
      key: of the samples, the same for every frame.
      names: of the figures in the summary.
      album: where the pictures go.
      evaluate: more figures, on the host.
    """
    self._evaluate = evaluate
    self._measure = jax.jit(measure)
    self._last: tuple[int, Figures, Figures] | None = None
    self._key, self._names, self._album = key, names, album

  def frame(self, state: states.GanState) -> Figures:
    figures, arrays = self._look(state)
    self._album.add(states.step_of(state), arrays)
    return {f'eval/{name}': value for name, value in figures.items()}

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
    self._album.draw()
    finals: Figures = {
      name: float(figures[name]) if name in figures else None
      for name in self._names
    }
    # What `evaluate` adds.
    finals |= {n: float(x) for n, x in figures.items() if n not in finals}
    for name, count in state.extra.get('skipped', {}).items():
      finals[f'{name}_skipped'] = int(count)
    return finals


class _Grids:
  """Grids of samples from one fixed batch of latents."""

  def __init__(self, workdir: pathlib.Path, sinks: writers.Writers):
    self._workdir, self._sinks = workdir, sinks
    self._folder = workdir / 'samples'
    self._folder.mkdir(exist_ok=True)

  def add(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
    grid = plots.image_grid(arrays['images'], GRID)
    png = plots.png(grid)
    (self._folder / f'step_{step:08d}.png').write_bytes(png)
    self._sinks.image(step, 'samples', png, grid.shape)

  def has(self, step: int) -> bool:
    return (self._folder / f'step_{step:08d}.png').exists()

  def draw(self) -> None:
    pictures = []
    for path in sorted(self._folder.glob('*.png')):
      with PIL.Image.open(path) as picture:
        pictures.append(picture.copy())
    plots.save_gif(self._workdir / 'evolution.gif', pictures)


class PopulationReport:
  """Every member's figures, and how they spread."""

  def __init__(
    self,
    measure: Measure,
    keys: jax.Array,
    names: Sequence[str],
    mesh: Mesh,
    config: configs.Config,
    workdir: pathlib.Path,
    evaluate: Evaluate | None,
  ):
    """Takes the parts.

    Args:
      measure: of one member; traceable.
      keys: each member's, `[P]`.
      names: of the figures in the summary, in their order.
      mesh: the members are split over.
      config: of the population.
      workdir: where its picture goes.
      evaluate: more figures of one member, on the host.
    """
    self._evaluate = evaluate
    # One member's samples at a time.
    each = population.over_members(
      lambda member, _: measure(*member)[0], len(keys), 1, mesh
    )
    self._measure = jax.jit(lambda state, keys: each((state, keys), ()))
    self._last: tuple[int, Figures] | None = None
    self._keys, self._names = keys, names
    self._config, self._workdir = config, workdir

  def frame(self, state: states.GanState) -> Figures:
    figures = self._figures(state)
    return {f'eval/{name}': value for name, value in figures.items()}

  def _figures(self, state: states.GanState) -> Figures:
    """`[P]` each; those of the last frame are kept for the end."""
    step = states.step_of(state)
    if self._last is None or self._last[0] != step:
      self._last = step, self._measured(state)
    return self._last[1]

  def _measured(self, state: states.GanState) -> Figures:
    figures: Figures = jax.device_get(self._measure(state, self._keys))
    if self._evaluate:
      each = [
        self._evaluate(population.take(state, i), self._keys[i])
        for i in range(len(self._keys))
      ]
      for name in each[0]:
        figures[name] = np.array([found[name] for found in each])
    return figures

  def finish(self, state: states.GanState) -> Figures:
    rows = writers.read_rows(self._workdir)
    last = self._figures(state)
    names = [name for name in self._names if name in last]
    names += [name for name in last if name not in names]
    # A game of images whose D is no classifier may have none.
    if names:
      spreads = _spreads(rows, self._config, names)
      charts.save_population(self._workdir / 'population.png', spreads)
    finals: Figures = {name: last[name].tolist() for name in names}
    for name, count in state.extra.get('skipped', {}).items():
      finals[f'{name}_skipped'] = np.asarray(count).tolist()
    return finals


def _spreads(
  rows: Sequence[Mapping[str, Any]],
  config: configs.Config,
  names: Sequence[str],
) -> list[charts.Spread]:
  """One for each of the reports' figures that has values."""
  found = [row for row in rows if f'eval/{names[0]}' in row]
  steps = [row['step'] for row in found]
  spreads = []
  for name in names:
    if f'eval/{name}' not in found[-1]:
      continue
    # A null becomes a NaN.
    values = np.array(
      [row[f'eval/{name}']['members'] for row in found], np.float64
    )
    lines = {
      title: [statistics.estimate(name, row[part].tolist()) for row in values]
      for title, part in population.settings(config).items()
    }
    fields = {
      field: {
        value: statistics.estimate(name, values[-1][indices].tolist())
        for value, indices in groups.items()
      }
      for field, groups in population.by_field(config).items()
    }
    spreads.append(charts.Spread(name, steps, lines, fields))
  return spreads


def draw_health(workdir: pathlib.Path) -> None:
  """`health.png`: the balance of the two players over the whole run."""
  rows = writers.read_rows(workdir)
  if any('disc/loss' in row for row in rows):
    charts.save_health(workdir / 'health.png', rows)


def figure_names(config: configs.Config, info: sources.Info) -> list[str]:
  """Of a game's summary, in the order in which they are told."""
  if info.kind == 'density':
    return ['ks', 'wasserstein_1', *_VERDICT, 'max_d_gap']
  if info.kind == 'images':
    return list(_VERDICT)
  known = densities.POINTS[config.data.name].modes is not None
  coverage = modes.ModeCoverage._fields if known else ()
  return [*coverage, 'sliced_wasserstein_1', *_VERDICT]


def make_album(
  info: sources.Info, workdir: pathlib.Path, sinks: writers.Writers
) -> Album:
  """Where a run's pictures go, for the kind of data there is."""
  if info.kind == 'images':
    return _Grids(workdir, sinks)
  if info.kind == 'density':
    return frames.Frames(workdir, frames.Curves, frames.CurvesPanel)
  return frames.Frames(workdir, frames.Cloud, frames.CloudPanel)
