"""The figures of a game, by the kind of data, and the arrays of its picture."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import fields as configs, values
from gan_jax.data import densities, source as sources
from gan_jax.engine import build, compiler
from gan_jax.evaluation import overfitting
from gan_jax.game import (
  langevin,
  sampling,
  spec as specs,
  state as states,
)
from gan_jax.metrics import modes, one_dimensional, sliced

T = TypeVar('T', types.Batch, types.Latent)

# `measure(state, key)`: figures, and the arrays of a picture.
Measure = Callable[
  [states.GanState, jax.Array], tuple[types.Logs, dict[str, jax.Array]]
]


def _value(
  spec: specs.Spec, disc: states.NetState, real: types.Batch, fake: types.Batch
) -> types.Logs:
  """Mean D on real and on fake samples `[N, ...]` and the value of the game.

  The value is E log D(x) + E log(1 - D(G(z))) (Goodfellow et al. 2014, eq.
  1), -log 4 at the equilibrium. Nothing where D is no classifier.
  """
  if not spec.loss.classifier:
    return {}
  logits = {
    'real': sampling.judge(spec, disc, real),
    'fake': sampling.judge(spec, disc, fake),
  }
  return {
    'd_real': jax.nn.sigmoid(logits['real']).mean(),
    'd_fake': jax.nn.sigmoid(logits['fake']).mean(),
    'value': -spec.loss.disc(**logits),
  }


def _driven(
  spec: specs.Spec,
  state: states.GanState,
  gen: tuple[types.PyTree, types.PyTree],
  latent: types.Latent,
  drive: langevin.Settings | None,
  key: jax.Array,
) -> types.Batch | None:
  """Samples of latents that D moves; None where it does not."""
  if drive is None:
    return None
  # Labels are of 1.
  chain_key = jax.random.fold_in(key, 3)
  moved = sampling.driven(spec, *gen, state.disc, latent, drive, chain_key)
  return sampling.sample(spec, *gen, moved)


def _measure_density(
  spec: specs.Spec,
  law: densities.Density,
  *,
  num: int,
  ema: bool,
  drive: langevin.Settings | None,
) -> Measure:
  """Figures and `frames.Curves` of a one-dimensional game.

  What is of D, and the curves, are of the game: of samples of G's own latents.
  The other figures are of latents that D has moved, where it does.

  Args:
    spec: the game.
    law: what the generator should follow.
    num: samples; a multiple of `spec.packing`.
    ema: evaluate the averaged generator.
    drive: how D moves latents; None leaves them.
  """

  def measure(
    state: states.GanState, key: jax.Array
  ) -> tuple[types.Logs, dict[str, jax.Array]]:
    _, z_key, real_key = jax.random.split(key, 3)
    gen = sampling.eval_generator(spec, state, ema=ema)
    latent = spec.eval_latent(z_key, num)
    samples = sampling.sample(spec, *gen, latent)
    line = samples.x[:, 0]
    moved = _driven(spec, state, gen, latent, drive, z_key)
    own = _distances(law, line)
    figures = {
      **(own if moved is None else _distances(law, moved.x[:, 0])),
      **_value(
        spec, state.disc, types.Batch(law.sample(real_key, num)), samples
      ),
    }
    x, data, generated = _densities(law, line)
    curves = {
      'x': x,
      'data': data,
      'generated': generated,
      'optimal': data / (data + generated),
      'disc': jnp.full_like(x, jnp.nan),
      'gen_loss': jnp.full_like(x, jnp.nan),
      'gen_loss_even': _learned_loss(spec, jnp.zeros(1))[0],
      'z': jnp.zeros(0),
      'mapped': jnp.zeros(0),
      'ks': own['ks'],
      'total_variation': own['total_variation'],
    }

    def logits(x: jax.Array) -> jax.Array:
      return sampling.judge(spec, state.disc, types.Batch(x[:, None]))

    if spec.packing == 1 and spec.loss.of_logits:
      curves['gen_loss'] = _learned_loss(spec, logits(x))
    if spec.loss.classifier and spec.packing == 1:

      def disc(x: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(logits(x))

      curves['disc'] = disc(x)
      figures['max_d_gap'] = one_dimensional.max_disc_gap(
        line, disc, law.cdf, law.interval
      )
    if latent.z.shape[1] == 1:
      # Latents in order, at even shares of their mass; sorting all is slow.
      curves['z'] = jnp.quantile(latent.z[:8192, 0], jnp.linspace(0.0, 1.0, 61))
      ordered = types.Latent(curves['z'][:, None])
      curves['mapped'] = sampling.sample(spec, *gen, ordered).x[:, 0]
    return figures, curves

  return measure


def _distances(law: densities.Density, line: jax.Array) -> types.Logs:
  """From samples `[N]` to a law, and how far they reach."""
  return {
    'ks': one_dimensional.ks_statistic(line, law.cdf),
    'wasserstein_1': one_dimensional.wasserstein_1(line, law.cdf, law.interval),
    'total_variation': one_dimensional.total_variation(
      line, law.cdf, _tv_interval(law), _TV_BINS
    ),
    'support_low': (line.min() - law.mean[0]) / law.std[0],
    'support_high': (line.max() - law.mean[0]) / law.std[0],
  }


def _learned_loss(spec: specs.Spec, logits: jax.Array) -> jax.Array:
  """What G minimises, as a function of where D's logits `[N]` were taken.

  Minus the logit, where the loss of one sample depends on others. What real
  samples add to it is left out.
  """
  if spec.loss.gen_sees_real and not spec.loss.signed:
    return -logits
  sure = jnp.full((), jnp.inf)  # Of which the logarithm of D is 0.
  return jax.vmap(lambda logit: spec.loss.gen(real=sure, fake=logit))(logits)


# Cells of the total variation, each a tenth of a standard deviation wide.
_TV_BINS = 120


def _tv_interval(law: densities.Density) -> tuple[float, float]:
  """What they cover: six standard deviations to either side of the mean."""
  mean, reach = float(law.mean[0]), 6 * float(law.std[0])
  return mean - reach, mean + reach


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
  edges = jnp.linspace(low - margin, high + margin, 101)
  width, x = edges[1] - edges[0], (edges[1:] + edges[:-1]) / 2
  generated = jnp.histogram(line, bins=edges)[0] / len(line) / width
  return x, jnp.diff(law.cdf(edges)) / width, generated


def _measure_points(
  spec: specs.Spec,
  law: densities.Points,
  *,
  asked: bool,
  num: int,
  ema: bool,
  drive: langevin.Settings | None,
) -> Measure:
  """Figures and `frames.Cloud` of a two-dimensional game; as above.

  `asked` says whether samples are asked for by mode.
  """

  def measure(
    state: states.GanState, key: jax.Array
  ) -> tuple[types.Logs, dict[str, jax.Array]]:
    _, z_key, real_key, slice_key = jax.random.split(key, 4)
    gen = sampling.eval_generator(spec, state, ema=ema)
    latent = spec.eval_latent(z_key, num)
    samples = sampling.sample(spec, *gen, latent)
    drawn = law.draw(real_key, num)
    real = drawn.x
    # Of the game, in which D moves nothing.
    figures = _value(spec, state.disc, drawn, samples)
    moved = _driven(spec, state, gen, latent, drive, z_key)
    samples = samples if moved is None else moved
    points = samples.x
    figures['sliced_wasserstein_1'] = sliced.sliced_wasserstein_1(
      points, real, slice_key
    )
    if law.modes is not None:
      coverage = modes.mode_coverage(
        points, jnp.asarray(law.modes), law.mode_std
      )
      figures |= coverage._asdict()
      if asked:
        figures['asked_mode'] = modes.asked_mode(
          samples, jnp.asarray(law.modes)
        )
    low, high = real.min(axis=0), real.max(axis=0)
    reach = 0.65 * (high - low).max() * jnp.linspace(-1.0, 1.0, 101)
    x, y = (low + high)[:, None] / 2 + reach[None]
    disc = jnp.full((101, 101), jnp.nan)
    # With classes, D has a landscape for each of them.
    if spec.packing == 1 and not asked:
      plane = jnp.stack(jnp.meshgrid(x, y), axis=-1).reshape(-1, 2)
      disc = sampling.judge(spec, state.disc, types.Batch(plane))
      disc = disc.reshape(101, 101)
      disc = jax.nn.sigmoid(disc) if spec.loss.classifier else disc
    return figures, {
      'real': real[:2000],
      'generated': points[:2000],
      'x': x,
      'y': y,
      'disc': disc,
    }

  return measure


def _measure_images(
  spec: specs.Spec,
  real: types.Batch,
  overfit: overfitting.Figures | None,
  *,
  num: int,
  classes: int,
  ema: bool,
) -> Measure:
  """D on real images `[N, H, W, C]` and on as many samples, and `overfit`.

  The picture's arrays are those of `frames.LogitPath`, and `images`,
  `[num, H, W, C]`, in a game of classes a row for each of the first of them.
  """
  by_class = None
  if classes:
    by_class = jnp.repeat(jnp.arange(min(classes, GRID)), GRID)

  def measure(
    state: states.GanState, key: jax.Array
  ) -> tuple[types.Logs, dict[str, jax.Array]]:
    _, z_key = jax.random.split(key)
    gen = sampling.eval_generator(spec, state, ema=ema)
    latent = spec.eval_latent(z_key, num)
    samples = sampling.sample(spec, *gen, latent)
    as_many = _first(samples, len(real.x))
    figures = _value(spec, state.disc, real, as_many)
    if overfit is not None:
      figures |= overfit(state.disc, samples)
    pairs = min(PAIRS * spec.packing, len(real.x))
    ends = _first(real, pairs), _first(samples, pairs)
    path = _path(spec, state.disc, *ends)
    if by_class is not None:
      latent = _first(latent, len(by_class))._replace(label=by_class)
      samples = sampling.sample(spec, *gen, latent)
    return figures, {'images': samples.x, **path}

  return measure


def _path(
  spec: specs.Spec, disc: states.NetState, real: types.Batch, fake: types.Batch
) -> dict[str, jax.Array]:
  """D from real images to generated ones: `t` `[T]` and `logits` `[P, T]`.

  Images that D judges together move together. Where there are labels, a whole
  path is judged under its real image's.

  Args:
    spec: the game.
    disc: of whom.
    real: `[m * P, H, W, C]`, where the paths begin.
    fake: as many, where they end.
  """
  t = jnp.linspace(0.0, 1.0, 25)

  def judge(share: jax.Array) -> jax.Array:
    between = (1 - share) * real.x + share * fake.x
    return sampling.judge(spec, disc, real._replace(x=between))

  return {'t': t, 'logits': jax.lax.map(judge, t).T}


def _first(batch: T, num: int) -> T:
  first: T = jax.tree.map(lambda x: x[:num], batch)
  return first


def make_measure(
  config: configs.Config, spec: specs.Spec, source: sources.Source
) -> Measure:
  """What is measured in a game with data of this kind.

  Raises:
    ValueError: images are to be held out, and cannot be, or there are none; or
      D cannot drive samples as asked.
  """
  ema = values.uses_ema(config)
  num = _num_samples(config)
  drive = build.make_langevin(config, spec)
  held_out = config.eval.held_out
  if held_out and source.info.kind != 'images':
    raise ValueError(
      f'eval.held_out={held_out!r}: needs images, and data.name='
      f'{config.data.name!r} has none'
    )
  if source.info.kind == 'density':
    law = densities.DENSITIES[config.data.name]
    return _measure_density(spec, law, num=num, ema=ema, drive=drive)
  if source.info.kind == 'points':
    points = densities.POINTS[config.data.name]
    return _measure_points(
      spec,
      points,
      asked=config.conditional,
      num=num,
      ema=ema,
      drive=drive,
    )
  # The same images for every seed, unless they are streamed.
  draw = source.batch
  args = source.chunk(0, 1), jax.random.key(0), jnp.int32(0)
  # Those to be split are on the host, from which compiled code would take all.
  if not source.split:
    facts = {
      'program': 'first images',
      'game': values.to_dict(config),
      'data': source.info,
    }
    draw = compiler.compile(jax.jit(draw), *args, facts=facts)
  rounds = draw(*args)
  real = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), rounds)
  num = min(len(real.x), GRID**2) // spec.packing * spec.packing
  return _measure_images(
    spec,
    _first(real, num),
    overfitting.make_figures(config, spec) if held_out else None,
    num=GRID**2,
    classes=len(source.info.class_shares)
    if values.asks_for_classes(config)
    else 0,
    ema=ema,
  )


def _num_samples(config: configs.Config) -> int:
  """Behind the figures of a law: whole packs."""
  return config.eval.num_samples // config.packing * config.packing


def stamp(config: configs.Config) -> dict[str, Any]:
  """All that the figures of a known law depend on, besides the generator."""
  stamp = {'data': config.data.name, 'num_generated': _num_samples(config)}
  if config.data.name in densities.DENSITIES:
    low, high = _tv_interval(densities.DENSITIES[config.data.name])
    stamp |= {
      'total_variation_bins': _TV_BINS,
      'total_variation_interval': [round(low, 6), round(high, 6)],
    }
  return stamp


# Images a side of a grid of samples.
GRID = 10
# Pairs of a real and a generated image between which D is evaluated.
PAIRS = 8


_VALUE = ('d_real', 'd_fake', 'value')


def figure_names(config: configs.Config, info: sources.Info) -> list[str]:
  """Of a game's summary, in the order in which they are told."""
  if info.kind == 'density':
    support = 'support_low', 'support_high'
    return [
      'ks', 'wasserstein_1', 'total_variation', *support, *_VALUE, 'max_d_gap'
    ]  # fmt: skip
  if info.kind == 'images':
    return list(_VALUE)
  known = densities.POINTS[config.data.name].modes is not None
  coverage = modes.ModeCoverage._fields if known else ()
  if known and config.conditional:
    coverage = (*coverage, 'asked_mode')
  return [*coverage, 'sliced_wasserstein_1', *_VALUE]
