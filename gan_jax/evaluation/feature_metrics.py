"""Metrics of the features of images."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from gan_jax.evaluation import extractors, metric as metrics
from gan_jax.metrics import (
  authenticity,
  copying,
  discrepancy,
  frechet,
  inception_score,
  kept,
  kernel,
  modes,
  prd,
  prdc,
)

# Of precision and recall, and of density and coverage: their papers' own.
K, DENSITY_K = 3, 5

# The Frechet distance: of all, of infinitely many, and within classes.


def _fd_resampled(inputs: metrics.Inputs) -> Callable[[np.ndarray], float]:
  features = inputs.generated()
  distance = frechet.distance_from(frechet.result(inputs.states['real']))
  return lambda rows: distance(frechet.statistics(features[rows]))


def _subset_shortage(facts: metrics.Facts) -> str | None:
  """Of the smallest subset, without whose full rank the line does not fit."""
  least = frechet.sizes(metrics.kept_pair(facts)['generated'])[0]
  line = frechet.shortage(least, facts.dim)
  return f'in the smallest subset {line}' if line else None


def _fd_infinity_resampled(
  inputs: metrics.Inputs,
) -> Callable[[np.ndarray], float]:
  features, rng = inputs.generated(), inputs.rng()
  real = frechet.result(inputs.states['real'])
  return lambda rows: frechet.extrapolated(real, features[rows], rng)


def _fd_infinity(inputs: metrics.Inputs) -> metrics.Figures:
  count = len(inputs.generated())
  return {'fd_infinity': _fd_infinity_resampled(inputs)(np.arange(count))}


def _fd(name: str) -> metrics.Metric:
  def result(inputs: metrics.Inputs) -> metrics.Figures:
    real, generated = (
      frechet.result(inputs.states[s]) for s in ('real', 'generated')
    )
    return {'fd': frechet.frechet_distance(real, generated)}

  return metrics.Metric(
    figures=('fd',),
    counts=metrics.pair,
    init=lambda facts: frechet.init(),
    update=lambda state, block: frechet.update(state, block.features),
    result=result,
    shortage=lambda facts: frechet.shortage(
      min(metrics.pair(facts).values()), facts.dim
    ),
    least=lambda facts: {'real': 2, 'generated': 2},
    extractor=name,
    resample=_fd_resampled,
  )


class Classes(NamedTuple):
  """The moments of each class, and the class of each image."""

  moments: dict[int, frechet.Moments]
  labels: kept.Kept


def _update_classes(state: Classes, block: metrics.Block) -> Classes:
  """The data's own labels, and the samples' classes.

  Those are what was asked for, or as the network names them.
  """
  label = block.label
  if label is None:
    label = block.logits.argmax(axis=1)
  for name in np.unique(label):
    moments = state.moments.get(int(name), frechet.init())
    rows = block.features[label == name]
    state.moments[int(name)] = frechet.update(moments, rows)
  return state._replace(labels=kept.update(state.labels, label))


def _distances_by_class(inputs: metrics.Inputs) -> np.ndarray:
  """`[K]`: NaN where there are fewer than two images of either set."""
  distances = np.full(inputs.facts.logits[0], np.nan)
  of_generated = inputs.states['generated'].moments
  for name, real in inputs.states['real'].moments.items():
    generated = of_generated.get(name, frechet.init())
    try:
      pair = frechet.result(real), frechet.result(generated)
    except ValueError:
      continue
    distances[name] = frechet.frechet_distance(*pair)
  return distances


def _without_distance(inputs: metrics.Inputs) -> str | None:
  """Which classes of the real images have none."""
  real, generated = (
    np.bincount(
      kept.result(inputs.states[name].labels),
      minlength=inputs.facts.logits[0],
    )
    for name in ('real', 'generated')
  )
  few = np.flatnonzero((real > 0) & (np.minimum(real, generated) < 2))
  if not len(few):
    return None
  counts = (f'{i} ({real[i]:,} and {generated[i]:,})' for i in few)
  return (
    'a distance needs two images of either set; of some classes there are '
    f'fewer (real and generated): {", ".join(counts)}'
  )


def _intra_fd(inputs: metrics.Inputs) -> metrics.Figures:
  """The mean Frechet distance within a class (Miyato & Koyama 2018).

  It is of the classes of the real images; where one of them has no distance,
  the mean has none either.
  """
  distances = _distances_by_class(inputs)
  there = sorted(inputs.states['real'].moments)
  mean = float(np.mean(distances[there]))
  return {'intra_fd': mean} | _of_classes(inputs, 'intra_fd', distances)


def _of_classes(
  inputs: metrics.Inputs, figure: str, values: np.ndarray
) -> metrics.Figures:
  """A figure of each class, `[K]`, where they are asked for."""
  names = metrics.class_names(inputs.facts, figure)
  return dict(zip(names, values.tolist(), strict=True)) if names else {}


def _intra_fd_resampled(
  inputs: metrics.Inputs,
) -> Callable[[np.ndarray], float]:
  features = inputs.generated()
  labels = kept.result(inputs.states['generated'].labels)
  try:
    distances = {
      name: frechet.distance_from(frechet.result(real))
      for name, real in inputs.states['real'].moments.items()
    }
  except ValueError:  # A class of one image.
    return lambda rows: float('nan')

  def mean(rows: np.ndarray) -> float:
    parts = {name: rows[labels[rows] == name] for name in distances}
    if min(map(len, parts.values())) < 2:
      return float('nan')
    found = [
      distance(frechet.statistics(features[parts[name]]))
      for name, distance in distances.items()
    ]
    return float(np.mean(found))

  return mean


# Whether G makes the class that it is asked for.


class Hits(NamedTuple):
  """Samples of the class that was asked for, of so many; `[K]` each."""

  hits: np.ndarray
  total: np.ndarray


def _update_hits(state: Hits, block: metrics.Block) -> Hits:
  assert block.label is not None
  hit = block.logits.argmax(axis=1) == block.label
  count = functools.partial(np.bincount, minlength=len(state.total))
  return Hits(
    state.hits + count(block.label[hit]), state.total + count(block.label)
  )


def _class_accuracy(inputs: metrics.Inputs) -> metrics.Figures:
  """The share of samples that a classifier gives the class asked for."""
  state = inputs.states['generated']
  mean = float(state.hits.sum() / state.total.sum())
  # NaN where no sample of the class was asked for.
  accuracies = state.hits / np.where(state.total, state.total, np.nan)
  return {
    'class_accuracy': mean, **_of_classes(inputs, 'class_accuracy', accuracies)
  }  # fmt: skip


def _update_codes(state: np.ndarray, block: metrics.Block) -> np.ndarray:
  """How many samples of each code a classifier gives each class, `[M, K]`."""
  assert block.code is not None
  np.add.at(state, (block.code, block.logits.argmax(axis=1)), 1)
  return state


def _code_accuracy(inputs: metrics.Inputs) -> metrics.Figures:
  """The share of samples of their code's class, by the best matching.

  Each code has one class and each class one code at most (Chen et al. 2016,
  section 7.2, of real images).
  """
  counts = inputs.states['generated']
  matched = scipy.optimize.linear_sum_assignment(-counts)
  return {'code_accuracy': float(counts[matched].sum() / counts.sum())}


# The kernel distance, the inception score, precision and recall.


def _features(inputs: metrics.Inputs, *names: str) -> list[jax.Array]:
  """Those that were kept of each set, `[N, D]`."""
  return [jnp.asarray(kept.result(inputs.states[name])) for name in names]


def _kernel_distance(
  inputs: metrics.Inputs, real: jax.Array, generated: jax.Array
) -> kernel.KernelDistance:
  settings = inputs.facts.settings
  return kernel.kernel_distance(
    real,
    generated,
    inputs.key,
    subsets=settings.kid_subsets,
    subset_size=settings.kid_subset_size,
  )


def _kid(inputs: metrics.Inputs) -> metrics.Figures:
  found = _kernel_distance(inputs, *_features(inputs, 'real', 'generated'))
  return {'kid': found.mean, 'kid_std': found.std}


def _kid_resampled(inputs: metrics.Inputs) -> Callable[[np.ndarray], float]:
  (real,), features = _features(inputs, 'real'), inputs.generated()
  return lambda rows: (
    _kernel_distance(inputs, real, jnp.asarray(features[rows])).mean
  )


def _cmmd_resampled(inputs: metrics.Inputs) -> Callable[[np.ndarray], float]:
  (real,), features = _features(inputs, 'real'), inputs.generated()
  return lambda rows: discrepancy.discrepancy(real, jnp.asarray(features[rows]))


def _cmmd(inputs: metrics.Inputs) -> metrics.Figures:
  real, generated = _features(inputs, 'real', 'generated')
  return {'cmmd': discrepancy.discrepancy(real, generated)}


def _inception_score(inputs: metrics.Inputs) -> metrics.Figures:
  found = inception_score.result(inputs.states['generated'])
  return {'is': found.mean, 'is_std': found.std}


def _manifolds(inputs: metrics.Inputs) -> metrics.Figures:
  real, generated = _features(inputs, 'real', 'generated')
  found = prdc.manifolds(real, generated, k=K, density_k=DENSITY_K)
  return found._asdict()


def _prd(inputs: metrics.Inputs) -> metrics.Figures:
  real, generated = (
    kept.result(inputs.states[name]) for name in ('real', 'generated')
  )
  found = prd.prd(real, generated, inputs.rng())
  return {
    'prd_f8': prd.max_f(found, prd.BETA),
    'prd_f1_8': prd.max_f(found, 1 / prd.BETA),
  }


# Copies of training images, of which no more are kept than of other sets.


def _kept(facts: metrics.Facts, *names: str) -> metrics.Counts:
  most = facts.settings.features_kept
  return {name: min(facts.num[name], most) for name in names}


def _and_untried(line: str | None, facts: metrics.Facts) -> str | None:
  """A line of warning, and how many training images are left out."""
  most, num = facts.settings.features_kept, facts.num['train']
  if num <= most:
    return line
  untried = (
    f'copies of {num - most:,} of the {num:,} training images are not looked '
    f'for (eval.features_kept={most})'
  )
  return f'{line}; {untried}' if line else untried


def _authenticity(inputs: metrics.Inputs) -> metrics.Figures:
  generated, train = _features(inputs, 'generated', 'train')
  found = authenticity.authenticity(generated[:, 0], train)
  return {'authenticity': found}


def _copying(inputs: metrics.Inputs) -> metrics.Figures:
  sets = (
    kept.result(inputs.states[name]).reshape(-1, inputs.facts.dim)
    for name in ('generated', 'held_out', 'train')
  )
  return {'copying': copying.copying(*sets)}


# Modes as a classifier names them: the classes of all channels.


def _num_modes(facts: metrics.Facts) -> int:
  channels = 1 if len(facts.logits) < 2 else facts.logits[0]
  return int(facts.logits[-1] ** channels)


def _count_classes(counts: np.ndarray, block: metrics.Block) -> np.ndarray:
  named = block.logits.argmax(axis=-1).reshape(len(block.x), -1)
  index = modes.stacked_label(named, block.logits.shape[-1])
  return counts + np.bincount(index, minlength=len(counts))


def _classes(inputs: metrics.Inputs) -> metrics.Figures:
  found = modes.coverage_of(inputs.states['generated'])
  return {'modes': float(found.modes), 'reverse_kl': found.reverse_kl}


def _class_shortage(facts: metrics.Facts) -> str | None:
  """Of a class of the average size."""
  each = min(metrics.pair(facts).values()) // facts.logits[-1]
  line = frechet.shortage(each, facts.dim)
  return f'a class has about {line}' if line else None


METRICS: dict[str, metrics.Metric] = {
  **{f'fd_{name}': _fd(name) for name in extractors.NAMES},
  'fd_infinity': metrics.Metric(
    ('fd_infinity',),
    counts=lambda facts: (
      metrics.pair(facts) | {'generated': metrics.kept_pair(facts)['generated']}
    ),
    init=lambda facts: frechet.init(),
    update=lambda state, block: frechet.update(state, block.features),
    result=_fd_infinity,
    settings=lambda facts: {
      'sizes': frechet.sizes(metrics.kept_pair(facts)['generated'])
    },
    shortage=_subset_shortage,
    least=lambda facts: {'real': 2, 'generated': 2 * frechet.POINTS},
    stateless=('generated',),
    reads_features=True,
    resample=_fd_infinity_resampled,
    reads=('features_kept',),
  ),
  'kid': metrics.Metric(
    ('kid', 'kid_std'),
    counts=metrics.kept_pair,
    init=lambda facts: kept.init(),
    update=metrics.keep_features,
    result=_kid,
    resample=_kid_resampled,
    settings=lambda facts: {
      'subsets': facts.settings.kid_subsets,
      'subset_size': facts.settings.kid_subset_size,
    },
    shortage=lambda facts: kernel.shortage(
      min(metrics.pair(facts, facts.settings.features_kept).values()),
      facts.settings.kid_subset_size,
    ),
    least=lambda facts: dict.fromkeys(
      ('real', 'generated'), facts.settings.kid_subset_size
    ),
    least_reason=', the samples of a subset (eval.kid_subset_size)',
    reads=('features_kept', 'kid_subsets', 'kid_subset_size'),
  ),
  'cmmd': metrics.Metric(
    ('cmmd',),
    counts=metrics.kept_pair,
    init=lambda facts: kept.init(),
    update=metrics.keep_features,
    result=_cmmd,
    shortage=lambda facts: discrepancy.shortage(
      *metrics.kept_pair(facts).values()
    ),
    resample=_cmmd_resampled,
    settings=lambda facts: {
      'sigma': discrepancy.SIGMA, 'scale': discrepancy.SCALE,
    },
    least=lambda facts: {'real': 1, 'generated': 1},
    extractor='clip',
    unsuffixed=True,
    reads=('features_kept',),
  ),
  'is': metrics.Metric(
    ('is', 'is_std'),
    counts=metrics.generated,
    init=lambda facts: inception_score.init(
      facts.num['generated'], facts.settings.is_splits
    ),
    update=lambda state, block: inception_score.update(state, block.logits),
    result=_inception_score,
    settings=lambda facts: {'splits': facts.settings.is_splits},
    shortage=lambda facts: inception_score.shortage(
      facts.num['generated'], facts.settings.is_splits, facts.logits[-1]
    ),
    least=lambda facts: {'generated': facts.settings.is_splits},
    least_reason=', one a split (eval.is_splits)',
    one_class=True,
    reads=('is_splits',),
  ),
  'prdc': metrics.Metric(
    prdc.Manifolds._fields,
    counts=lambda facts: metrics.equal_pair(
      facts, facts.settings.features_kept
    ),
    init=lambda facts: kept.init(),
    update=metrics.keep_features,
    result=_manifolds,
    settings=lambda facts: {'k': K, 'density_k': DENSITY_K},
    shortage=lambda facts: prdc.shortage(
      min(metrics.pair(facts, facts.settings.features_kept).values())
    ),
    least=lambda facts: dict.fromkeys(
      ('real', 'generated'), max(K, DENSITY_K) + 1
    ),
    reads=('features_kept',),
  ),
  'prd': metrics.Metric(
    ('prd_f8', 'prd_f1_8'),
    counts=lambda facts: metrics.equal_pair(
      facts, facts.settings.features_kept
    ),
    init=lambda facts: kept.init(),
    update=metrics.keep_features,
    result=_prd,
    settings=lambda facts: {
      'clusters': prd.CLUSTERS, 'runs': prd.RUNS, 'batch': prd.BATCH,
      'angles': prd.ANGLES, 'beta': prd.BETA,
    },
    shortage=lambda facts: prd.shortage(
      min(metrics.pair(facts, facts.settings.features_kept).values())
    ),
    least=lambda facts: dict.fromkeys(('real', 'generated'), prd.CLUSTERS),
    least_reason=', as many as clusters',
    reads=('features_kept',),
  ),
  'authenticity': metrics.Metric(
    ('authenticity',),
    counts=lambda facts: _kept(facts, 'generated', 'train'),
    init=lambda facts: kept.init(),
    update=metrics.keep_both_ways,
    result=_authenticity,
    settings=lambda facts: {'mirrored': facts.mirrored},
    shortage=lambda facts: _and_untried(
      authenticity.shortage(_kept(facts, 'generated')['generated']), facts
    ),
    least=lambda facts: {'generated': 1, 'train': 2},
    mirrors=True,
    single=True,
    reads=('features_kept', 'mirrored'),
  ),
  'copying': metrics.Metric(
    ('copying',),
    counts=lambda facts: _kept(facts, 'generated', 'held_out', 'train'),
    init=lambda facts: kept.init(),
    update=metrics.keep_both_ways,
    result=_copying,
    settings=lambda facts: {
      'cells': copying.CELLS, 'components': copying.COMPONENTS,
      'mirrored': facts.mirrored,
    },
    shortage=lambda facts: _and_untried(
      copying.shortage(*_kept(facts, 'generated', 'held_out').values()), facts
    ),
    mirrors=True,
    least=lambda facts: {'held_out': 2, 'train': copying.CELLS},
    single=True,
    reads=('features_kept', 'held_out', 'mirrored'),
  ),
  'classes': metrics.Metric(
    ('modes', 'reverse_kl'),
    counts=metrics.generated,
    init=lambda facts: np.zeros(_num_modes(facts), np.int64),
    update=_count_classes,
    result=_classes,
    shortage=lambda facts: modes.shortage(
      facts.num['generated'], _num_modes(facts)
    ),
    labels=True,
    unsuffixed=True,
  ),
  'intra_fd': metrics.Metric(
    ('intra_fd',),
    counts=metrics.pair,
    init=lambda facts: Classes({}, kept.init()),
    update=_update_classes,
    result=_intra_fd,
    resample=_intra_fd_resampled,
    by_class=True,
    shortage=_class_shortage,
    missing=_without_distance,
    settings=lambda facts: {
      'classes': 'asked for' if facts.labelled else 'as the network names them'
    },
    one_class=True,
    labels=True,
  ),
  'class_accuracy': metrics.Metric(
    ('class_accuracy',),
    counts=metrics.generated,
    init=lambda facts: Hits(*np.zeros((2, facts.logits[0]), np.int64)),
    update=_update_hits,
    result=_class_accuracy,
    by_class=True,
    one_class=True,
    labels=True,
    conditional=True,
  ),
  'code_accuracy': metrics.Metric(
    ('code_accuracy',),
    counts=metrics.generated,
    init=lambda facts: np.zeros((facts.codes, facts.logits[0]), np.int64),
    update=_update_codes,
    result=_code_accuracy,
    one_class=True,
    labels=True,
    coded=True,
  ),
}  # fmt: skip
