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
import optax

from gan_jax import cache as caches, types
from gan_jax.data import source as sources
from gan_jax.evaluation import (
  classifier as networks,
  weights,
)

# The most bytes of images that a classifier learns from.
_LEARNT_BYTES = 2**29

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


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
  """How the classifier is trained.

  Attributes:
    seed: of everything random.
    epochs: passes over the images.
    batch_size: images a step; 0 is 100, or a tenth of fewer than 1,000.
    learning_rate: Adam's, which falls to 0 as a cosine.
    shift: rows and columns by which images are moved at most; -1 is a
      fourteenth of the shorter side, and 2 at most.
    width: as in `networks.Classifier`, and so are the next two.
    features: D.
    dropout: in training.
  """

  seed: int = 0
  epochs: int = 30
  batch_size: int = 0
  learning_rate: float = 1e-3
  shift: int = -1
  width: int = 32
  features: int = 128
  dropout: float = 0.5

  def network(self, classes: int) -> networks.Classifier:
    """The network for so many classes."""
    return networks.Classifier(classes, self.width, self.features, self.dropout)

  def batch_of(self, num: int) -> int:
    """Images a step, of `num` to learn from."""
    return self.batch_size or min(100, max(1, num // 10))

  def shift_of(self, side: int) -> int:
    """The largest move of an image whose shorter side is `side`."""
    return self.shift if self.shift >= 0 else min(2, side // 14)


def _moved(images: jax.Array, key: jax.Array, shift: int) -> jax.Array:
  """Each image by its own rows and columns; black, -1, comes in."""
  if not shift:
    return images
  pads = ((0, 0), (shift, shift), (shift, shift), (0, 0))
  padded = jnp.pad(images, pads, constant_values=-1.0)
  starts = jax.random.randint(key, (len(images), 2), 0, 2 * shift + 1)

  def cut(image: jax.Array, start: jax.Array) -> jax.Array:
    corner = (start[0], start[1], jnp.zeros((), start.dtype))
    return jax.lax.dynamic_slice(image, corner, images.shape[1:])

  return jax.vmap(cut)(padded, starts)


@functools.partial(jax.jit, static_argnames=('classes', 'config'))
def _train(
  images: jax.Array,
  labels: jax.Array,
  *,
  classes: int,
  config: ClassifierConfig,
) -> types.PyTree:
  """The classifier's parameters, after all steps in one program."""
  network = config.network(classes)
  key_init, key_steps = jax.random.split(jax.random.key(config.seed))
  first = sources.to_unit_range(images[:1])
  params = network.init(key_init, first, train=False)['params']
  batch_size = config.batch_of(len(images))
  shift = config.shift_of(min(images.shape[1:3]))
  per_epoch = len(images) // batch_size
  optimiser = optax.adam(
    optax.cosine_decay_schedule(config.learning_rate, config.epochs * per_epoch)
  )

  def loss(params: types.PyTree, rows: jax.Array, key: jax.Array) -> jax.Array:
    key_move, key_drop = jax.random.split(key)
    x = sources.to_unit_range(images[rows])
    seen = network.apply(
      {'params': params},
      _moved(x, key_move, shift),
      train=True,
      rngs={'dropout': key_drop},
    )
    assert isinstance(seen, types.Features)
    return optax.softmax_cross_entropy_with_integer_labels(
      seen.logits, labels[rows]
    ).mean()

  def step(
    state: tuple[types.PyTree, Any], inputs: tuple[jax.Array, jax.Array]
  ) -> tuple[tuple[types.PyTree, Any], None]:
    params, opt_state = state
    grads = jax.grad(loss)(params, *inputs)
    updates, opt_state = optimiser.update(grads, opt_state)
    return (optax.apply_updates(params, updates), opt_state), None

  def epoch(
    state: tuple[types.PyTree, Any], key: jax.Array
  ) -> tuple[tuple[types.PyTree, Any], None]:
    key_order, key_step = jax.random.split(key)
    order = jax.random.permutation(key_order, len(images))
    rows = order[: per_epoch * batch_size].reshape(per_epoch, -1)
    return jax.lax.scan(
      step, state, (rows, jax.random.split(key_step, per_epoch))
    )

  keys = jax.random.split(key_steps, config.epochs)
  state = (params, optimiser.init(params))
  return jax.lax.scan(epoch, state, keys)[0][0]


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


def most_to_learn(image_bytes: int) -> int:
  """How many images to give to `classifier` at most: half a GiB of them.

  Args:
    image_bytes: of each.
  """
  return max(1, _LEARNT_BYTES // image_bytes)


def classifier(
  images: np.ndarray,
  labels: np.ndarray,
  classes: int,
  config: ClassifierConfig | None = None,
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
    config: `ClassifierConfig()` if None.
    cache: the folder to keep it in; `caches.folder()` if None.

  Raises:
    ValueError: the shapes do not fit, there are fewer than 2 images a class, or
      labels beyond K.
  """
  config = config or ClassifierConfig()
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
    params = _train(
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
    'features_accuracy': _accuracy(
      extractor, images[held_out], labels[held_out]
    ),
  }
  return extractor._replace(facts=facts)


def _accuracy(
  extractor: Extractor, images: np.ndarray, labels: np.ndarray
) -> float:
  """The share of images that are classified rightly."""
  blocks = (
    sources.to_unit_range(images[start : start + 512])
    for start in range(0, len(images), 512)
  )
  named = [seen.logits.argmax(axis=1) for seen in extract(extractor, blocks)]
  return float((np.concatenate(named) == labels).mean())


def _save(path: pathlib.Path, params: types.PyTree, recipe: str) -> None:
  try:
    weights.save(path, params, {'config': recipe})
  except OSError as error:
    raise ValueError(
      f'{path}: cannot be written ({error.strerror}); XDG_CACHE_HOME says '
      'where else'
    ) from None
