"""The fixed networks in whose features sets of images are compared.

The pretrained ones need weights that are not ours to bring (`pretrained.py`).
The classifier needs none: it is trained on the spot on labelled images, the
same from the same seed, and kept.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import cache as caches, types
from gan_jax.evaluation import classifier as networks
from gan_jax.storage import weights

HELD_OUT_RULE = 'a tenth, the first of numpy.random.default_rng(0).permutation'


class Extractor(NamedTuple):
  """A network that is fixed, and what a figure's stamp must say of it.

  Attributes:
    name: of the network.
    sha256: of its weights' file.
    params: its weights, an argument so that no program contains them.
    apply: `apply(params, images)`, with images `[N, H, W, C]` in [-1, 1], to
      features and logits; compiled.
    facts: what else a stamp must say, by name.
  """

  name: str
  sha256: str
  params: types.PyTree
  apply: Callable[[types.PyTree, jax.Array], types.Features]
  facts: Mapping[str, Any] = {}


def extract(
  extractor: Extractor,
  images: Any,
  *,
  batch_size: int = 64,
) -> Iterator[types.Features]:
  """Features and logits, a batch at a time, on the host.

  Args:
    extractor: of `classifier`, or of `pretrained.PRETRAINED`.
    images: `[N, H, W, C]` in [-1, 1], or an iterable of such arrays.
    batch_size: images at once. The last batch is filled up, so that there is
      one program to compile; that does not change the others' features.

  Yields:
    Features and logits of at most `batch_size` images each, in order; both are
    numpy arrays.
  """
  for block in [images] if hasattr(images, 'shape') else images:
    for start in range(0, len(block), batch_size):
      x = np.asarray(block[start : start + batch_size], np.float32)
      full = np.zeros((batch_size, *x.shape[1:]), np.float32)
      full[: len(x)] = x
      seen = jax.device_get(
        extractor.apply(extractor.params, jnp.asarray(full))
      )
      yield types.Features(
        seen.features[: len(x)],
        seen.logits[: len(x)],
      )


def _classify(
  params: types.PyTree,
  images: jax.Array,
  *,
  shape: tuple[int, ...],
  network: networks.Classifier,
) -> types.Features:
  """See `classifier`."""
  n, height, width, channels = images.shape
  if (height, width) != shape[:2] or shape[2] not in (1, channels):
    raise ValueError(
      f'images of {height} x {width} x {channels}: the classifier knows '
      f'{" x ".join(map(str, shape))} alone'
    )
  parts = channels // shape[2]
  x = images
  if parts > 1:
    x = images.transpose(0, 3, 1, 2).reshape(-1, height, width, 1)
  seen = network.apply({'params': params}, x, train=False)
  assert isinstance(seen, types.Features)
  if parts == 1:
    return seen
  return types.Features(
    features=seen.features.reshape(n, -1),
    logits=seen.logits.reshape(n, parts, -1),
  )


def _check_labelled(
  images: np.ndarray, labels: np.ndarray, classes: int
) -> None:
  """Raises the ValueErrors of `classifier`."""
  shape = images.shape
  if len(shape) != 4 or images.dtype != np.uint8 or labels.shape != shape[:1]:
    raise ValueError(
      'labelled images must be uint8 of shapes [N, H, W, C] and [N], got '
      f'{images.dtype} of {list(shape)} and {list(labels.shape)}'
    )
  if len(images) < 2 * classes or classes < 2:
    raise ValueError(
      f'a classifier needs 2 classes and 2 images of each at least, got '
      f'{len(images)} images of {classes} classes'
    )
  if not 0 <= labels.min() <= labels.max() < classes:
    raise ValueError(
      f'labels must be in [0, {classes}), got {labels.min()} ... {labels.max()}'
    )


def classifier(
  images: np.ndarray,
  labels: np.ndarray,
  classes: int,
  config: networks.Config | None = None,
  *,
  cache: pathlib.Path | None = None,
) -> Extractor:
  """A classifier trained on these images, or read if it was trained before.

  Where they are grey it extracts features `[N, D]` and logits `[N, K]` of grey
  images; channels of others, as of StackedMNIST, are each classified on their
  own: features are put side by side, `[N, C * D]`, and logits `[N, C, K]`.
  Where they are coloured it sees coloured ones whole.

  A tenth (`HELD_OUT_RULE`) is not trained on: the share of it that is
  classified rightly is in `facts`, and so is how many there are of either.

  Args:
    images: `[N, H, W, C]` uint8.
    labels: `[N]` int in [0, K).
    classes: K.
    config: `networks.Config()` if None.
    cache: the folder to keep it in; `caches.folder()` if None.

  Raises:
    ValueError: the shapes do not fit, there are fewer than 2 images a class, or
      labels beyond K.
  """
  config = config or networks.Config()
  _check_labelled(images, labels, classes)
  images = np.ascontiguousarray(images)
  labels = np.asarray(labels, np.int32, order='C')
  recipe = json.dumps(
    {'classes': classes} | dataclasses.asdict(config), sort_keys=True
  )
  digest = hashlib.sha256(recipe.encode())
  digest.update(str(images.shape).encode())
  digest.update(images.data)
  digest.update(labels.data)
  folder = cache or caches.folder()
  path = folder / f'classifier-{digest.hexdigest()[:16]}.safetensors'
  order = np.random.default_rng(0).permutation(len(images))
  held_out, train = np.split(order, [max(1, len(images) // 10)])
  if not path.is_file():
    # Some minutes for 60,000 images: said before, not only after.
    print(
      f'training the classifier of eval.features on {len(train):,} images, '
      'once; it is kept',
      file=sys.stderr,
    )
    params = networks.train(
      images[train], labels[train], classes=classes, config=config
    )
    _save(path, params, recipe)
  params, _ = weights.load(path)
  apply = functools.partial(
    _classify, shape=images.shape[1:], network=config.network(classes)
  )
  extractor = Extractor(
    'classifier', weights.sha256(path), jax.device_put(params), jax.jit(apply)
  )
  facts = {
    'features_trained_on': len(train),
    'features_held_out': f'{len(held_out)}: {HELD_OUT_RULE}',
    'features_accuracy': networks.accuracy(
      config.network(classes), params, images[held_out], labels[held_out]
    ),
  }
  return extractor._replace(facts=facts)


def _save(path: pathlib.Path, params: types.PyTree, recipe: str) -> None:
  try:
    weights.save(path, params, {'config': recipe})
  except OSError as error:
    raise ValueError(
      f'{path}: cannot be written ({error.strerror}); XDG_CACHE_HOME says '
      'where else'
    ) from None
