"""The fixed networks in whose features sets of images are compared.

Inception needs weights that are not ours to bring. Digits need none: their
classifier is trained on the spot, the same from the same seed, and kept.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import cache as caches, types
from gan_jax.evaluation import classifier, inception as networks, weights

INCEPTION_FILE = 'pt_inception-2015-12-05-6726825d.pth'
INCEPTION_URL = (
  'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/'
  + INCEPTION_FILE
)


class Extractor(NamedTuple):
  """A network that is fixed, and what a figure's stamp must say of it.

  Attributes:
    name: of the network.
    sha256: of its weights' file.
    params: its weights, an argument so that no program contains them.
    apply: `apply(params, images)`, with images `[N, H, W, C]` in [-1, 1], to
      features and logits; traceable.
  """

  name: str
  sha256: str
  params: types.PyTree
  apply: Callable[[types.PyTree, jax.Array], types.Perception]


def perceive(
  extractor: Extractor,
  images: Any,
  *,
  batch_size: int = 64,
) -> Iterator[types.Perception]:
  """What the network sees, a batch at a time, on the host.

  Args:
    extractor: of `inception` or `digits`.
    images: `[N, H, W, C]` in [-1, 1], or an iterable of such arrays.
    batch_size: images at once. The last batch is filled up, so that there is
      one program to compile; that does not change the others' features.

  Yields:
    Features and logits of at most `batch_size` images each, in order; both are
    numpy arrays.
  """
  apply = jax.jit(extractor.apply)
  for block in [images] if hasattr(images, 'shape') else images:
    for start in range(0, len(block), batch_size):
      x = np.asarray(block[start : start + batch_size], np.float32)
      full = np.zeros((batch_size, *x.shape[1:]), np.float32)
      full[: len(x)] = x
      seen = jax.device_get(apply(extractor.params, jnp.asarray(full)))
      yield types.Perception(
        seen.features[: len(x)],
        seen.logits[: len(x)],
      )


def inception(path: str = '') -> Extractor:
  """Inception-v3 in FID's variant: 2,048 features and 1,008 logits.

  A checkpoint of pytorch-fid is converted once, to a safetensors file beside
  it, which will do without it.

  Args:
    path: of the checkpoint or of what it was converted to; '' is
      `INCEPTION_FILE` in `caches.folder()`.

  Raises:
    ValueError: it is not there, cannot be read, or is of another network.
  """
  source = pathlib.Path(path or caches.folder() / INCEPTION_FILE)
  source = source.expanduser()
  converted = source.with_suffix('.safetensors')
  if not (source.is_file() or converted.is_file()):
    raise ValueError(
      f'{source}: there are no weights of Inception; download {INCEPTION_FILE} '
      f'from {INCEPTION_URL}'
    )
  digest = weights.sha256(source) if source.is_file() else ''
  params: types.PyTree = None
  notes: dict[str, str] = {}
  if converted.is_file():
    params, notes = weights.load(converted)
    digest = digest if source.suffix != '.safetensors' else ''
  origin = notes.get('sha256', '')
  if params is None or (digest and digest != origin):
    params, origin = networks.convert(weights.read_torch(source)), digest
    # Where nothing can be written, it is converted each time.
    with contextlib.suppress(OSError):
      weights.save(converted, params, {'sha256': origin, 'name': source.name})
  if not origin:
    raise ValueError(
      f'{converted}: it does not say of which checkpoint it was made; remove it'
      f', and download {INCEPTION_FILE} from {INCEPTION_URL}'
    )
  # Of the checkpoint, by which others know these weights.
  return Extractor('inception', origin, jax.device_put(params), networks.apply)


@dataclasses.dataclass(frozen=True)
class DigitsConfig:
  """How the classifier of digits is trained.

  Attributes:
    seed: of everything random.
    epochs: passes over the images.
    batch_size: images a step.
    learning_rate: Adam's, which falls to 0 as a cosine.
    shift: rows and columns by which images are moved at most.
    width: as in `classifier.Classifier`, and so are the next three.
    features: D.
    classes: K.
    dropout: in training.
  """

  seed: int = 0
  epochs: int = 30
  batch_size: int = 100
  learning_rate: float = 1e-3
  shift: int = 2
  width: int = 32
  features: int = 128
  classes: int = 10
  dropout: float = 0.5

  def network(self) -> classifier.Classifier:
    return classifier.Classifier(
      self.classes, self.width, self.features, self.dropout
    )


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


@functools.partial(jax.jit, static_argnames='config')
def _train(
  images: jax.Array, labels: jax.Array, *, config: DigitsConfig
) -> types.PyTree:
  """The classifier's parameters, after all steps in one program."""
  network = config.network()
  key_init, key_steps = jax.random.split(jax.random.key(config.seed))
  params = network.init(key_init, images[:1], train=False)['params']
  per_epoch = len(images) // config.batch_size
  optimiser = optax.adam(
    optax.cosine_decay_schedule(config.learning_rate, config.epochs * per_epoch)
  )

  def loss(params: types.PyTree, rows: jax.Array, key: jax.Array) -> jax.Array:
    key_move, key_drop = jax.random.split(key)
    seen = network.apply(
      {'params': params},
      _moved(images[rows], key_move, config.shift),
      train=True,
      rngs={'dropout': key_drop},
    )
    assert isinstance(seen, types.Perception)
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
    rows = order[: per_epoch * config.batch_size].reshape(per_epoch, -1)
    return jax.lax.scan(
      step, state, (rows, jax.random.split(key_step, per_epoch))
    )

  keys = jax.random.split(key_steps, config.epochs)
  state = (params, optimiser.init(params))
  return jax.lax.scan(epoch, state, keys)[0][0]


def _perceive_channels(
  params: types.PyTree,
  images: jax.Array,
  *,
  shape: tuple[int, ...],
  config: DigitsConfig,
) -> types.Perception:
  """See `digits`."""
  if images.shape[1:3] != shape[:2]:
    raise ValueError(
      f'images of {images.shape[1]} x {images.shape[2]}: the classifier of '
      f'digits knows {shape[0]} x {shape[1]} alone'
    )
  n, height, width, channels = images.shape
  single = images.transpose(0, 3, 1, 2).reshape(-1, height, width, 1)
  seen = config.network().apply({'params': params}, single, train=False)
  assert isinstance(seen, types.Perception)
  if channels == 1:
    return seen
  return types.Perception(
    features=seen.features.reshape(n, -1),
    logits=seen.logits.reshape(n, channels, -1),
  )


def _check_digits(
  images: np.ndarray, labels: np.ndarray, config: DigitsConfig
) -> None:
  """Raises the ValueErrors of `digits`."""
  shape = images.shape
  if len(shape) != 4 or shape[-1] != 1 or labels.shape != shape[:1]:
    raise ValueError(
      'digits must have shapes [N, H, W, 1] and [N], got '
      f'{list(shape)} and {list(labels.shape)}'
    )
  if labels.size and not 0 <= labels.min() <= labels.max() < config.classes:
    raise ValueError(
      f'labels of digits must be in [0, {config.classes}), got {labels.min()} '
      f'... {labels.max()}'
    )
  if len(images) < config.batch_size:
    raise ValueError(
      f'batch_size={config.batch_size}: there are only {len(images)} digits'
    )


def digits(
  images: np.ndarray,
  labels: np.ndarray,
  config: DigitsConfig | None = None,
  *,
  cache: pathlib.Path | None = None,
) -> Extractor:
  """A classifier trained on these digits, or read if it was trained before.

  What it extracts of single-channel images is features `[N, D]` and logits
  `[N, K]`. Channels of others, as of StackedMNIST, are each classified on their
  own: features are put side by side, `[N, C * D]`, and logits `[N, C, K]`.

  Measured with `python -m experiments.digit_features`: trained on the first
  9,000 images of MNIST's test split, it has 992 of the other 1,000 right (and
  990 with seed 1), after a minute on two cores that others used too.

  Args:
    images: to train on, `[N, H, W, 1]` float32 in [-1, 1]. Images whose figures
      are to be believed must not be among them.
    labels: `[N]` int in [0, K).
    config: `DigitsConfig()` if None.
    cache: the folder to keep it in; `caches.folder()` if None.

  Raises:
    ValueError: the shapes do not fit, there are fewer images than a batch, or
      labels beyond K.
  """
  config = config or DigitsConfig()
  _check_digits(images, labels, config)
  images = np.asarray(images, np.float32, order='C')
  labels = np.asarray(labels, np.int32, order='C')
  recipe = json.dumps(dataclasses.asdict(config), sort_keys=True)
  digest = hashlib.sha256(recipe.encode())
  digest.update(str(images.shape).encode() + images.tobytes())
  digest.update(labels.tobytes())
  folder = cache or caches.folder()
  path = folder / f'digits-{digest.hexdigest()[:16]}.safetensors'
  if not path.is_file():
    params = _train(jnp.asarray(images), jnp.asarray(labels), config=config)
    try:
      weights.save(path, params, {'config': recipe})
    except OSError as error:
      raise ValueError(
        f'{path}: cannot be written ({error.strerror}); XDG_CACHE_HOME says '
        'where else'
      ) from None
  params, _ = weights.load(path)
  apply = functools.partial(
    _perceive_channels, shape=images.shape[1:3], config=config
  )
  return Extractor(
    'digits', weights.sha256(path), jax.device_put(params), apply
  )
