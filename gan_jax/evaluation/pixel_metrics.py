"""Metrics of the pixels of images."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.evaluation import metric as metrics
from gan_jax.metrics import kept, neighbours, parzen, sliced


def _flat(x: np.ndarray) -> jax.Array:
  """Images in [-1, 1] as vectors with pixels in [0, 1]."""
  return jnp.asarray(x.reshape(len(x), -1) + 1) / 2


# The first so many held-out images choose sigma, as in the paper.
_VALIDATION = 1000


def _parzen_counts(facts: metrics.Facts) -> metrics.Counts:
  centres = min(
    metrics.most_pixels(facts), facts.num['train'], facts.num['generated']
  )
  tested = min(metrics.most_pixels(facts) + _VALIDATION, facts.num['held_out'])
  return {'generated': centres, 'train': centres, 'held_out': tested}


def _parzen(inputs: metrics.Inputs) -> metrics.Figures:
  """Of the samples, and as the ceiling of as many training images."""
  held_out, generated, train = (
    _flat(kept.result(inputs.states[name]))
    for name in ('held_out', 'generated', 'train')
  )
  split = held_out[:_VALIDATION], held_out[_VALIDATION:]
  own = parzen.log_likelihood(generated, *split)
  ceiling = parzen.log_likelihood(train, *split)
  return {
    'parzen': own.mean,
    'parzen_stderr': own.standard_error,
    'parzen_sigma': own.sigma,
    'parzen_of_data': ceiling.mean,
    'parzen_of_data_stderr': ceiling.standard_error,
  }


# The least side of a level, 16 in the paper: images of 28 x 28 have a second.
_SMALLEST = 14


def _swd_counts(facts: metrics.Facts) -> metrics.Counts:
  return metrics.equal_pair(
    facts, sliced.most_images(facts.shape, 2 * kept.BYTES)
  )


def _sliced_resampled(inputs: metrics.Inputs) -> Callable[[np.ndarray], float]:
  real, generated = (
    kept.result(inputs.states[name]) for name in ('real', 'generated')
  )

  def distance(rows: np.ndarray) -> float:
    found = sliced.image_sliced_wasserstein_1(
      generated[rows], real, inputs.key, smallest=_SMALLEST
    )
    return float(found.mean())

  return distance


def _sliced(inputs: metrics.Inputs) -> metrics.Figures:
  count = len(kept.result(inputs.states['generated']))
  return {'swd': _sliced_resampled(inputs)(np.arange(count))}


def _memorisation_counts(facts: metrics.Facts) -> metrics.Counts:
  most = metrics.most_pixels(facts)
  return {
    'generated': min(facts.num['generated'], most),
    'held_out': min(facts.num['held_out'], most),
    'train': facts.num['train'],
  }


def _memorisation(inputs: metrics.Inputs) -> metrics.Figures:
  """The training images pass by, mirrored too; all others are at hand."""
  searches = [
    neighbours.init(_flat(kept.result(inputs.states[name])))
    for name in ('generated', 'held_out')
  ]
  for x in inputs.train():
    for way in (x, x[:, :, ::-1]) if inputs.facts.mirrored else (x,):
      searches = [neighbours.update(search, _flat(way)) for search in searches]
  generated, held_out = (search.nearest for search in searches)
  return {'memorisation': neighbours.memorised(generated, held_out)}


METRICS: dict[str, metrics.Metric] = {
  'parzen': metrics.Metric(
    (
      'parzen', 'parzen_stderr', 'parzen_sigma', 'parzen_of_data',
      'parzen_of_data_stderr',
    ),
    counts=_parzen_counts,
    init=lambda facts: kept.init(),
    update=metrics.keep_pixels,
    result=_parzen,
    settings=lambda facts: {'held_out_for_sigma': _VALIDATION},
    shortage=lambda facts: parzen.shortage(
      _parzen_counts(facts)['generated'],
      _parzen_counts(facts)['held_out'] - _VALIDATION,
    ),
    least=lambda facts: {'held_out': _VALIDATION + 2},
    uses_features=False,
    single=True,
    reads=('held_out',),
  ),
  'swd': metrics.Metric(
    ('swd',),
    counts=_swd_counts,
    init=lambda facts: kept.init(),
    update=metrics.keep_pixels,
    result=_sliced,
    resample=_sliced_resampled,
    settings=lambda facts: {
      'patches': sliced.PATCHES,
      'patch': sliced.SIDE,
      'projections': sliced.PROJECTIONS,
      'smallest_level': _SMALLEST,
    },
    shortage=lambda facts: sliced.shortage(_swd_counts(facts)['real']),
    uses_features=False,
  ),
  'memorisation': metrics.Metric(
    ('memorisation',),
    counts=_memorisation_counts,
    init=lambda facts: kept.init(),
    update=metrics.keep_pixels,
    result=_memorisation,
    settings=lambda facts: {'mirrored': facts.mirrored},
    shortage=lambda facts: neighbours.shortage(
      *(_memorisation_counts(facts)[w] for w in ('generated', 'held_out'))
    ),
    least=lambda facts: {'held_out': 2},
    uses_features=False,
    single=True,
    stateless=('train',),
    reads=('held_out', 'mirrored'),
  ),
}  # fmt: skip
