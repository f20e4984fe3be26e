"""The metrics of images by name, and what each looks at.

Each is `(init, update, result)`: a state for each set of images, into which its
blocks go one by one, and figures of the states. None keeps more of a set than
`counts` says.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.metrics import (
  frechet,
  inception_score,
  kept,
  kernel,
  modes,
  neighbours,
  parzen,
  sliced,
)

# Of precision and recall, and of density and coverage: their papers' own.
K, DENSITY_K = 3, 5


class Block(NamedTuple):
  """Some images of a set, and what a fixed network sees in them.

  Attributes:
    x: `[n, H, W, C]` float32 in [-1, 1].
    label: `[n]`, or None.
    seen: features and logits; None where no metric asks for them.
  """

  x: np.ndarray
  label: np.ndarray | None
  seen: types.Perception | None

  def first(self, num: int) -> 'Block':
    return jax.tree.map(lambda array: array[:num], self)

  @property
  def features(self) -> np.ndarray:
    assert self.seen is not None
    return np.asarray(self.seen.features)

  @property
  def logits(self) -> np.ndarray:
    assert self.seen is not None
    return np.asarray(self.seen.logits)


class Facts(NamedTuple):
  """What is known before an image is read.

  Attributes:
    num: images of each set: 'generated', 'real' (of `eval.split`), 'train'
      (those that G was trained on), 'held_out' (those it was not; may be 0).
    shape: of an image, `(H, W, C)`.
    settings: of the metrics.
    dim: features of an image.
    logits: shape of an image's logits, `(K,)`, or `(C, K)` of stacks.
  """

  num: Mapping[str, int]
  shape: tuple[int, int, int]
  settings: configs.Eval
  dim: int = 0
  logits: tuple[int, ...] = ()


class Scene(NamedTuple):
  """What a metric's figures are made of.

  Attributes:
    facts: as they were.
    states: of the metric, by the sets' names.
    train: reads the images that G was trained on, block by block, from the
      first.
    key: for metrics that draw subsets.
  """

  facts: Facts
  states: Mapping[str, Any]
  train: Callable[[], Iterator[np.ndarray]]
  key: jax.Array


Counts = dict[str, int]
Figures = dict[str, float]


class Metric(NamedTuple):
  """What `eval.metrics` names.

  Attributes:
    figures: the names of what it gives; where it sees features, theirs is
      added, as in `kid_inception`.
    counts: how many images of each set it looks at, the first ones.
    init: its state before the first image of a set.
    update: the state with a block more; the given one is used up.
    result: the figures.
    settings: what else the figures depend on, for the stamp.
    shortage: a line of warning where there are too few images, or None.
    least: images of each set without which there is no figure.
    sees: needs a fixed network.
    single: looks at images one by one, and stacks have no images of their own.
    one_class: needs a network that gives an image one class.
    labels: needs a network that knows the classes of the data.
    asked: is of generated images that were asked for by class.
    only: the one network of whose features it is, or ''.
    plain: its figures' names go without the network's.
    apart: sets of which it has no state, for `result` reads them.
    why: what `least` comes from, for the message.
  """

  figures: tuple[str, ...]
  counts: Callable[[Facts], Counts]
  init: Callable[[Facts], Any]
  update: Callable[[Any, Block], Any]
  result: Callable[[Scene], Figures]
  settings: Callable[[Facts], dict[str, Any]] = lambda facts: {}
  shortage: Callable[[Facts], str | None] = lambda facts: None
  least: Callable[[Facts], Counts] = lambda facts: {}
  sees: bool = True
  single: bool = False
  one_class: bool = False
  labels: bool = False
  asked: bool = False
  only: str = ''
  plain: bool = False
  apart: tuple[str, ...] = ()
  why: str = ''


def _pair(facts: Facts, most: int | None = None) -> Counts:
  """All real and all generated images, or `most` of either."""
  pair = {name: facts.num[name] for name in ('real', 'generated')}
  if most is None:
    return pair
  return {name: min(num, most) for name, num in pair.items()}


def _equal_pair(facts: Facts, most: int) -> Counts:
  """As many of either, as a comparison of neighbourhoods wants."""
  return dict.fromkeys(('real', 'generated'), min(*_pair(facts, most).values()))


def _generated(facts: Facts) -> Counts:
  return {'generated': facts.num['generated']}


def _keep_features(state: kept.Kept, block: Block) -> kept.Kept:
  return kept.update(state, block.features)


def _keep_pixels(state: kept.Kept, block: Block) -> kept.Kept:
  return kept.update(state, block.x)


def _most_pixels(facts: Facts) -> int:
  """Images that a metric of pixels keeps of a set."""
  return min(10_000, kept.BYTES // (4 * int(np.prod(facts.shape))))


# The Frechet distance, of all and within classes.


def _fd(name: str) -> Metric:
  def result(scene: Scene) -> Figures:
    real, generated = (
      frechet.result(scene.states[s]) for s in ('real', 'generated')
    )
    return {'fd': frechet.frechet_distance(real, generated)}

  return Metric(
    figures=('fd',),
    counts=_pair,
    init=lambda facts: frechet.init(),
    update=lambda state, block: frechet.update(state, block.features),
    result=result,
    shortage=lambda facts: frechet.shortage(
      min(_pair(facts).values()), facts.dim
    ),
    least=lambda facts: {'real': 2, 'generated': 2},
    only=name,
  )


Classes = dict[int, frechet.Moments]


def _update_classes(state: Classes, block: Block) -> Classes:
  """The data's own labels, and the samples' classes.

  Those are what was asked for, or as the network names them.
  """
  label = block.label
  if label is None:
    label = block.logits.argmax(axis=1)
  for name in np.unique(label):
    moments = state.get(int(name), frechet.init())
    rows = block.features[label == name]
    state[int(name)] = frechet.update(moments, rows)
  return state


def _intra_fd(scene: Scene) -> Figures:
  """The mean Frechet distance within a class (Miyato & Koyama 2018).

  A class with fewer than two samples has no distance, and the mean none
  either.
  """
  distances = []
  for name, real in scene.states['real'].items():
    generated = scene.states['generated'].get(name, frechet.init())
    try:
      pair = frechet.result(real), frechet.result(generated)
    except ValueError:
      return {'intra_fd': float('nan')}
    distances.append(frechet.frechet_distance(*pair))
  return {'intra_fd': float(np.mean(distances))}


# Whether G makes the class that it is asked for.


class Hits(NamedTuple):
  """Samples of the class that was asked for, of so many."""

  hits: int
  total: int


def _update_hits(state: Hits, block: Block) -> Hits:
  assert block.label is not None
  named = block.logits.argmax(axis=1)
  hits = int((named == block.label).sum())
  return Hits(state.hits + hits, state.total + len(named))


def _class_accuracy(scene: Scene) -> Figures:
  """The share of samples that a classifier gives the class asked for."""
  state = scene.states['generated']
  return {'class_accuracy': state.hits / state.total}


# The kernel distance, the inception score, precision and recall.


def _kid(scene: Scene) -> Figures:
  real, generated = (
    jnp.asarray(kept.result(scene.states[name]))
    for name in ('real', 'generated')
  )
  settings = scene.facts.settings
  found = kernel.kernel_distance(
    real,
    generated,
    scene.key,
    subsets=settings.kid_subsets,
    subset_size=settings.kid_subset_size,
  )
  return {'kid': found.mean, 'kid_std': found.std}


def _inception_score(scene: Scene) -> Figures:
  found = inception_score.result(scene.states['generated'])
  return {'is': found.mean, 'is_std': found.std}


def _manifolds(scene: Scene) -> Figures:
  real, generated = (
    jnp.asarray(kept.result(scene.states[name]))
    for name in ('real', 'generated')
  )
  found = neighbours.manifolds(real, generated, k=K, density_k=DENSITY_K)
  return found._asdict()


# Of pixels.


def _flat(x: np.ndarray) -> jax.Array:
  """Images in [-1, 1] as vectors with pixels in [0, 1]."""
  return jnp.asarray(x.reshape(len(x), -1) + 1) / 2


# The first so many held-out images choose sigma, as in the paper.
_VALIDATION = 1000


def _parzen_counts(facts: Facts) -> Counts:
  centres = min(_most_pixels(facts), facts.num['train'], facts.num['generated'])
  tested = min(_most_pixels(facts) + _VALIDATION, facts.num['held_out'])
  return {'generated': centres, 'train': centres, 'held_out': tested}


def _parzen(scene: Scene) -> Figures:
  """Of the samples, and as the ceiling of as many training images."""
  held_out, generated, train = (
    _flat(kept.result(scene.states[name]))
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


def _swd_counts(facts: Facts) -> Counts:
  return _equal_pair(facts, sliced.most_images(facts.shape, 2 * kept.BYTES))


def _sliced(scene: Scene) -> Figures:
  real, generated = (
    kept.result(scene.states[name]) for name in ('real', 'generated')
  )
  # A second level for images of 28 x 28 too.
  found = sliced.image_sliced_wasserstein_1(
    generated, real, scene.key, smallest=14
  )
  return {'swd': float(found.mean())}


def _memorisation_counts(facts: Facts) -> Counts:
  most = _most_pixels(facts)
  return {
    'generated': min(facts.num['generated'], most),
    'held_out': min(facts.num['held_out'], most),
    'train': facts.num['train'],
  }


def _memorisation(scene: Scene) -> Figures:
  """The training images pass by; all others are at hand."""
  searches = [
    neighbours.search(_flat(kept.result(scene.states[name])))
    for name in ('generated', 'held_out')
  ]
  for x in scene.train():
    searches = [neighbours.look(search, _flat(x)) for search in searches]
  generated, held_out = (search.found for search in searches)
  return {'memorisation': neighbours.memorised(generated, held_out).ratio}


# Modes as a classifier names them: the classes of all channels.


def _num_modes(facts: Facts) -> int:
  channels = 1 if len(facts.logits) < 2 else facts.logits[0]
  return int(facts.logits[-1] ** channels)


def _count_classes(counts: np.ndarray, block: Block) -> np.ndarray:
  named = block.logits.argmax(axis=-1).reshape(len(block.x), -1)
  index = modes.stacked_label(named, block.logits.shape[-1])
  return counts + np.bincount(index, minlength=len(counts))


def _classes(scene: Scene) -> Figures:
  found = modes.coverage_of(scene.states['generated'])
  return {'modes': float(found.modes), 'reverse_kl': found.reverse_kl}


def _class_shortage(facts: Facts) -> str | None:
  """Of a class of the average size."""
  each = min(_pair(facts).values()) // facts.logits[-1]
  line = frechet.shortage(each, facts.dim)
  return f'a class has about {line}' if line else None


ALIASES = {'fid': 'fd_inception'}

METRICS: dict[str, Metric] = {
  'fd_inception': _fd('inception'),
  'fd_classifier': _fd('classifier'),
  'kid': Metric(
    ('kid', 'kid_std'),
    counts=lambda facts: _pair(facts, facts.settings.features_kept),
    init=lambda facts: kept.init(),
    update=_keep_features,
    result=_kid,
    settings=lambda facts: {
      'subsets': facts.settings.kid_subsets,
      'subset_size': facts.settings.kid_subset_size,
    },
    shortage=lambda facts: kernel.shortage(
      min(_pair(facts, facts.settings.features_kept).values()),
      facts.settings.kid_subset_size,
    ),
    least=lambda facts: dict.fromkeys(
      ('real', 'generated'), facts.settings.kid_subset_size
    ),
    why=', the samples of a subset (eval.kid_subset_size)',
  ),
  'is': Metric(
    ('is', 'is_std'),
    counts=_generated,
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
    why=', one a split (eval.is_splits)',
    one_class=True,
  ),
  'prdc': Metric(
    neighbours.Manifolds._fields,
    counts=lambda facts: _equal_pair(facts, facts.settings.features_kept),
    init=lambda facts: kept.init(),
    update=_keep_features,
    result=_manifolds,
    settings=lambda facts: {'k': K, 'density_k': DENSITY_K},
    shortage=lambda facts: neighbours.shortage(
      min(_pair(facts, facts.settings.features_kept).values())
    ),
    least=lambda facts: dict.fromkeys(
      ('real', 'generated'), max(K, DENSITY_K) + 1
    ),
  ),
  'parzen': Metric(
    (
      'parzen', 'parzen_stderr', 'parzen_sigma', 'parzen_of_data',
      'parzen_of_data_stderr',
    ),
    counts=_parzen_counts,
    init=lambda facts: kept.init(),
    update=_keep_pixels,
    result=_parzen,
    settings=lambda facts: {'held_out_for_sigma': _VALIDATION},
    shortage=lambda facts: parzen.shortage(
      _parzen_counts(facts)['generated'],
      _parzen_counts(facts)['held_out'] - _VALIDATION,
    ),
    least=lambda facts: {'held_out': _VALIDATION + 2},
    sees=False,
    single=True,
  ),
  'swd': Metric(
    ('swd',),
    counts=_swd_counts,
    init=lambda facts: kept.init(),
    update=_keep_pixels,
    result=_sliced,
    shortage=lambda facts: sliced.shortage(_swd_counts(facts)['real']),
    sees=False,
  ),
  'memorisation': Metric(
    ('memorisation',),
    counts=_memorisation_counts,
    init=lambda facts: kept.init(),
    update=_keep_pixels,
    result=_memorisation,
    least=lambda facts: {'held_out': 2},
    sees=False,
    single=True,
    apart=('train',),
  ),
  'classes': Metric(
    ('modes', 'reverse_kl'),
    counts=_generated,
    init=lambda facts: np.zeros(_num_modes(facts), np.int64),
    update=_count_classes,
    result=_classes,
    shortage=lambda facts: modes.shortage(
      facts.num['generated'], _num_modes(facts)
    ),
    labels=True,
    plain=True,
  ),
  'intra_fd': Metric(
    ('intra_fd',),
    counts=_pair,
    init=lambda facts: {},
    update=_update_classes,
    result=_intra_fd,
    shortage=_class_shortage,
    one_class=True,
    labels=True,
  ),
  'class_accuracy': Metric(
    ('class_accuracy',),
    counts=_generated,
    init=lambda facts: Hits(0, 0),
    update=_update_hits,
    result=_class_accuracy,
    one_class=True,
    labels=True,
    asked=True,
  ),
}  # fmt: skip
