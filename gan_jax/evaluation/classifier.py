"""A small classifier of small images, for figures that need no ImageNet."""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import types
from gan_jax.data import source as sources
from gan_jax.networks import layers

# The most bytes of images that a classifier learns from.
_LEARNT_BYTES = 2**29


class Classifier(nn.Module):
  """Images `[B, H, W, C]` in [-1, 1] to features `[B, D]` and logits `[B, K]`.

  Two convolutions that halve the sides, and two linear layers; no batch
  normalisation, so that an image's features are its own.

  Attributes:
    classes: K.
    width: channels of the first convolution; the second has twice as many.
    features: D, of the layer before the last, after its ReLU.
    dropout: the share of features that training leaves out.
  """

  classes: int = 10
  width: int = 32
  features: int = 128
  dropout: float = 0.5

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> types.Features:
    # Of float32 on all devices, for figures depend on it.
    with jax.default_matmul_precision('highest'):
      return self._extract(x, train=train)

  def _extract(self, x: jax.Array, *, train: bool) -> types.Features:
    for stage in range(2):
      x = nn.relu(layers.Conv(self.width * 2**stage, kernel=3, stride=2)(x))
    x = x.reshape(len(x), -1)
    features = nn.relu(nn.Dense(self.features)(x))
    kept = nn.Dropout(self.dropout, deterministic=not train)(features)
    return types.Features(features, nn.Dense(self.classes)(kept))


@dataclasses.dataclass(frozen=True)
class Config:
  """How the classifier is trained.

  Attributes:
    seed: of everything random.
    epochs: passes over the images.
    batch_size: images a step; 0 is 100, or a tenth of fewer than 1,000.
    learning_rate: Adam's, which falls to 0 as a cosine.
    shift: rows and columns by which images are moved at most; -1 is a
      fourteenth of the shorter side, and 2 at most.
    width: as in `Classifier`, and so are the next two.
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

  def network(self, classes: int) -> Classifier:
    """The network for so many classes."""
    return Classifier(classes, self.width, self.features, self.dropout)

  def batch_of(self, num: int) -> int:
    """Images a step, of `num` to learn from."""
    return self.batch_size or min(100, max(1, num // 10))

  def shift_of(self, side: int) -> int:
    """The largest move of an image whose shorter side is `side`."""
    return self.shift if self.shift >= 0 else min(2, side // 14)


def most_to_learn(image_bytes: int) -> int:
  """How many images to train a classifier on at most: half a GiB of them.

  Args:
    image_bytes: of each.
  """
  return max(1, _LEARNT_BYTES // image_bytes)


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
def train(
  images: jax.Array,
  labels: jax.Array,
  *,
  classes: int,
  config: Config,
) -> types.PyTree:
  """The parameters of a classifier, after all steps in one program.

  Args:
    images: `[N, H, W, C]` uint8.
    labels: `[N]` int32 in [0, K).
    classes: K.
    config: of the training.
  """
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


@functools.partial(jax.jit, static_argnames='network')
def _named(
  network: Classifier, params: types.PyTree, x: jax.Array
) -> jax.Array:
  """The class of each image, `[N]`."""
  seen = network.apply({'params': params}, x, train=False)
  assert isinstance(seen, types.Features)
  return seen.logits.argmax(axis=1)


def accuracy(
  network: Classifier,
  params: types.PyTree,
  images: np.ndarray,
  labels: np.ndarray,
) -> float:
  """The share of uint8 images `[N, H, W, C]` that are classified rightly."""
  named = [
    _named(network, params, sources.to_unit_range(images[start : start + 500]))
    for start in range(0, len(images), 500)
  ]
  return float((np.concatenate(named) == labels).mean())
