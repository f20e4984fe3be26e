"""The metrics of images by name, and what each looks at."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.metrics import (
  frechet,
  inception_score,
  kernel,
  modes,
  neighbours,
  parzen,
  sliced,
)


class Images(NamedTuple):
  """A set of images, and what a fixed network sees in them.

  Attributes:
    x: `[N, H, W, C]` float32 in [-1, 1].
    label: `[N]`, or None.
    seen: features and logits of all, on the host.
  """

  x: np.ndarray
  label: np.ndarray | None
  seen: types.Perception


class Scene(NamedTuple):
  """What a metric of images may look at.

  Attributes:
    real: the images of `eval.split`, in an order of their own.
    train: those that G was trained on, `[N, H, W, C]` float32 in [-1, 1].
    held_out: those of `eval.held_out`, which G was not trained on; or None.
    fake: generated ones.
    num_classes: that the network tells apart.
    key: for metrics that draw subsets.
  """

  real: Images
  train: np.ndarray
  held_out: np.ndarray | None
  fake: Images
  num_classes: int
  key: jax.Array


Figures = dict[str, float]


def _fid(scene: Scene) -> Figures:
  real, fake = (
    frechet.statistics(s.seen.features) for s in (scene.real, scene.fake)
  )
  return {'fid': frechet.frechet_distance(real, fake)}


def _kid(scene: Scene) -> Figures:
  real, fake = (jnp.asarray(s.seen.features) for s in (scene.real, scene.fake))
  size = min(1000, len(real), len(fake))
  found = kernel.kernel_distance(real, fake, scene.key, subset_size=size)
  return {'kid': found.mean, 'kid_std': found.std}


def _inception_score(scene: Scene) -> Figures:
  found = inception_score.inception_score(scene.fake.seen.logits)
  return {'is': found.mean, 'is_std': found.std}


def _manifolds(scene: Scene) -> Figures:
  # As many of either, as a comparison of neighbourhoods wants.
  num = min(len(scene.real.x), len(scene.fake.x))
  real, fake = (
    jnp.asarray(s.seen.features[:num]) for s in (scene.real, scene.fake)
  )
  return neighbours.manifolds(real, fake)._asdict()


def _flat(x: np.ndarray) -> jax.Array:
  """Images in [-1, 1] as vectors with pixels in [0, 1]."""
  return jnp.asarray(x.reshape(len(x), -1) + 1) / 2


def _parzen(scene: Scene) -> Figures:
  """Of the samples, and as the ceiling of as many training images."""
  assert scene.held_out is not None
  held_out = _flat(scene.held_out)
  # The first 1,000 choose sigma, as in the paper.
  split = held_out[:1000], held_out[1000:]
  num = min(len(scene.train), len(scene.fake.x), 10_000)
  own = parzen.log_likelihood(_flat(scene.fake.x[:num]), *split)
  ceiling = parzen.log_likelihood(_flat(scene.train[:num]), *split)
  return {
    'parzen': own.mean,
    'parzen_stderr': own.standard_error,
    'parzen_sigma': own.sigma,
    'parzen_of_data': ceiling.mean,
    'parzen_of_data_stderr': ceiling.standard_error,
  }


def _sliced(scene: Scene) -> Figures:
  num = min(len(scene.real.x), len(scene.fake.x))
  real, fake = (jnp.asarray(s.x[:num]) for s in (scene.real, scene.fake))
  # A second level for images of 28 x 28 too.
  found = sliced.image_sliced_wasserstein_1(fake, real, scene.key, smallest=14)
  return {'swd': float(found.mean())}


def _memorisation(scene: Scene) -> Figures:
  assert scene.held_out is not None
  found = neighbours.memorisation(
    _flat(scene.fake.x), _flat(scene.train), _flat(scene.held_out)
  )
  return {'memorisation': found.ratio}


def _classes(scene: Scene) -> Figures:
  """Modes as a classifier names them: the digits of all channels."""
  logits = scene.fake.seen.logits
  labels = np.asarray(logits.argmax(axis=-1))
  channels = 1 if logits.ndim == 2 else logits.shape[1]
  if channels > 1:
    labels = modes.stacked_label(labels)
  found = modes.class_coverage(labels, scene.num_classes**channels)
  return {'modes': float(found.modes), 'reverse_kl': found.reverse_kl}


def _intra_fid(scene: Scene) -> Figures:
  """The mean Frechet distance within a class (Miyato & Koyama 2018).

  The classifier names the samples' classes; a class with fewer than two
  samples has no distance, and the mean none either.
  """
  assert scene.real.label is not None
  named = scene.fake.seen.logits.argmax(axis=1)
  distances = []
  for label in np.unique(scene.real.label):
    real = scene.real.seen.features[scene.real.label == label]
    fake = scene.fake.seen.features[named == label]
    if min(len(real), len(fake)) < 2:
      return {'intra_fid': float('nan')}
    distances.append(
      frechet.frechet_distance(
        frechet.statistics(real), frechet.statistics(fake)
      )
    )
  return {'intra_fid': float(np.mean(distances))}


class Metric(NamedTuple):
  """What `eval.metrics` names.

  Attributes:
    value: of a scene.
    figures: the names of what it gives.
    generated: samples that it needs.
    real: images of the data that it needs.
    held_out: images that it needs G never to have seen.
    single: looks at images one by one, and stacks have no images of their own.
    one_class: needs a network that gives an image one class.
    labels: needs a network that knows the classes of the data.
  """

  value: Callable[[Scene], Figures]
  figures: tuple[str, ...]
  generated: int = 1
  real: int = 1
  held_out: int = 0
  single: bool = False
  one_class: bool = False
  labels: bool = False


METRICS: dict[str, Metric] = {
  'fid': Metric(_fid, ('fid',), generated=2, real=2),
  'kid': Metric(_kid, ('kid', 'kid_std'), generated=2, real=2),
  'is': Metric(
    _inception_score, ('is', 'is_std'), generated=10, one_class=True
  ),
  'prdc': Metric(
    _manifolds, neighbours.Manifolds._fields, generated=6, real=6
  ),
  'parzen': Metric(
    _parzen,
    (
      'parzen', 'parzen_stderr', 'parzen_sigma', 'parzen_of_data',
      'parzen_of_data_stderr',
    ),
    held_out=1002,
    single=True,
  ),
  'swd': Metric(_sliced, ('swd',)),
  'memorisation': Metric(
    _memorisation, ('memorisation',), held_out=2, single=True
  ),
  'classes': Metric(_classes, ('modes', 'reverse_kl'), labels=True),
  'intra_fid': Metric(
    _intra_fid, ('intra_fid',), one_class=True, labels=True
  ),
}  # fmt: skip
