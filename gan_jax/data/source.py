"""Batches as functions of (seed, step).

A source holds no position: the batch of a step depends on the key and the
step alone, so that resuming needs nothing but the step. It works in two
halves. `chunk(first, count)` runs on the host and gives the arrays that the
steps `first ... first + count - 1` read; `batch(arrays, key, step)` runs
inside the compiled loop and draws from them. A data set that fits on the
device has the same arrays for every chunk; one that does not is gathered chunk
by chunk, in the same order.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types

Array = TypeVar('Array', jax.Array, np.ndarray)


class Info(NamedTuple):
  """What the networks and the reports need to know of the data.

  Attributes:
    kind: 'density', 'points' or 'images'.
    shape: of one sample.
    mean: what standardisation takes off, a value for each coordinate; `()`
      for images, which go from [0, 255] to [-1, 1].
    std: what it divides by.
    num_examples: 0 where every step draws fresh samples.
    class_names: of one image; `()` where there are no labels.
    fingerprint: of images, which tells a changed set; '' for exact laws.
    class_shares: of each label that a sample can have, in the data; `()` where
      there are no labels.
  """

  kind: str
  shape: tuple[int, ...]
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  num_examples: int = 0
  class_names: tuple[str, ...] = ()
  fingerprint: str = ''
  class_shares: tuple[float, ...] = ()


class Read(NamedTuple):
  """How the images of a set that is streamed are read.

  Attributes:
    shape: `(R, n)`: rounds of a step, and the images that each of them uses,
      of which a stack takes several.
    step_bytes: of the images of a step.
    rows: `rows(first, count, part)`: of the n images of each round of `count`
      steps the m at the places `part`, `[count, R, m, H, W, C]` uint8, and
      their labels `[count, R, m]` or None.
  """

  shape: tuple[int, int]
  step_bytes: int
  rows: Callable[[int, int, slice], tuple[np.ndarray, np.ndarray | None]]


@dataclasses.dataclass(frozen=True)
class Source:
  """Batches as a function of the step.

  Attributes:
    info: what is known of the data.
    chunk: `chunk(first, count) -> arrays`, on the host.
    batch: `batch(arrays, key, step) -> Batch`, traceable: `[R, B, ...]`, a
      round for each update that is given real samples of its own.
    marginals: the mean of every pixel in [-1, 1], `[H, W, C]`; images only.
    about: one line, printed when a run starts.
    read: of images that are streamed; what `chunk` gives of them are all.
    split: `chunk` gives images and labels, of which the images are to be split
      over the devices by rows, as many on each, with others at the end that are
      never drawn.
  """

  info: Info
  chunk: Callable[[int, int], types.PyTree]
  batch: Callable[[types.PyTree, jax.Array, jax.Array], types.Batch]
  marginals: np.ndarray | None = None
  about: str = ''
  read: Read | None = None
  split: bool = False


def _mix(x: jax.Array, key: jax.Array) -> jax.Array:
  """A 32-bit hash of `x` under `key` (the finaliser of MurmurHash3)."""
  x = x ^ key
  x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
  x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
  return x ^ (x >> 16)


def permute(index: jax.Array, key: jax.Array, n: int) -> jax.Array:
  """The image of `index` under a keyed random permutation of 0 ... n - 1.

  A Feistel network of eight rounds over the least even power of two that
  holds n, walked along its cycles until it lands below n (Black & Rogaway
  2002): each index is computed alone, so that a batch costs its own size and
  not a shuffle of the data set.

  Args:
    index: `[B]` uint32 below n.
    key: `[8, B]` uint32 round keys; not `[B, 8]`, for a TPU pads the last
      dimension to 128.
    n: at most 2^31.

  Returns:
    `[B]` uint32, distinct for distinct indices under one key.
  """
  half = max((n - 1).bit_length() + 1, 2) // 2
  mask = jnp.uint32((1 << half) - 1)

  def encrypt(x: jax.Array) -> jax.Array:
    left, right = x >> half, x & mask
    for i in range(8):
      left, right = right, left ^ (_mix(right, key[i]) & mask)
    return (left << half) | right

  def walk(x: jax.Array) -> jax.Array:
    return jnp.where(x < n, x, encrypt(x))

  return jax.lax.while_loop(
    lambda x: jnp.any(x >= n), walk, encrypt(index.astype(jnp.uint32))
  )


def batch_indices(
  key: jax.Array, step: jax.Array, *, size: int, n: int
) -> jax.Array:
  """The examples of a step: every epoch is a fresh permutation of all n.

  Args:
    key: the data's key.
    step: `[]` int32.
    size: examples a step uses; may exceed n. Where `size * n` is 2^32 or more,
      the first permutations come again after 2^32 examples.
    n: examples there are.

  Returns:
    `[size]` int32 in [0, n).
  """
  step = step.astype(jnp.uint32)
  # Sample number step * size + i, as an epoch and a place in it, without
  # overflow: step = a n + b.
  place = (step % n) * size + jnp.arange(size, dtype=jnp.uint32)
  epoch = (step // n) * size + place // n
  keys = jax.vmap(lambda e: jax.random.bits(jax.random.fold_in(key, e), (8,)))
  # One batch meets few epochs: the keys of the first and of those after it.
  first = epoch[0]
  meets = -(-size // n) + 1
  table = keys(first + jnp.arange(meets, dtype=jnp.uint32))
  rows = permute(place % n, table.T[:, epoch - first], n)
  return _on_all(rows).astype(jnp.int32)


def _on_all(rows: jax.Array) -> jax.Array:
  """Numbers that each device computes for itself.

  Split like the images that they choose, they cost two messages between devices
  and one more for each round of the walk in `permute`.
  """
  if not _is_known_split(rows):
    return rows
  whole: jax.Array = jax.lax.with_sharding_constraint(rows, jax.P())
  return whole


def _is_known_split(x: jax.Array) -> bool:
  """Whether this is traced for a mesh of several devices that is known."""
  mesh = jax.sharding.get_abstract_mesh()
  traced = isinstance(x, jax.core.Tracer)
  return traced and not mesh.empty and mesh.are_all_axes_auto


def _split_rounds(rows: jax.Array) -> jax.Array:
  """Numbers `[R, n]`, of which each device has its part of every round.

  It then picks and treats the examples of its own samples alone. Were all in
  one row and cut into rounds later, every device would pick all of them.
  """
  if not _is_known_split(rows):
    return rows
  (axis,) = jax.sharding.get_abstract_mesh().axis_names
  split: jax.Array = jax.lax.with_sharding_constraint(rows, jax.P(None, axis))
  return split


def _pick_split(images: jax.Array, rows: jax.Array) -> jax.Array:
  """`images[rows]`, of images that may be split over the devices by rows.

  Each device looks for all rows in its own part, has zeros for those that are
  not there, and sends each of the k devices those that it is to have (an
  all-to-all): the bytes of `R n (k - 1) / k` images, and room for those of
  `2 R n` meanwhile. The sum of one image and zeros has the bits of
  `images[rows]`. A reduce-scatter would send as much, but libtpu makes an
  all-reduce of it, of four bytes for each of these.

  Args:
    images: `[N, H W C]` uint8; N is a multiple of k.
    rows: `[R, n]`, the same on all devices; n is a multiple of k.

  Returns:
    `[R, n, H W C]`, each round split.
  """
  if not _is_known_split(rows):
    return images[rows]
  mesh = jax.sharding.get_abstract_mesh()
  (axis,) = mesh.axis_names

  def local(images: jax.Array, rows: jax.Array) -> jax.Array:
    at = rows - jax.lax.axis_index(axis) * len(images)
    own = (at >= 0) & (at < len(images))
    found = images[jnp.where(own, at, 0)]
    found = jnp.where(own[..., None], found, 0)
    each = found.reshape(len(rows), mesh.size, -1, found.shape[-1])
    each = jax.lax.all_to_all(each, axis, split_axis=1, concat_axis=1)
    return each.sum(axis=1, dtype=found.dtype)

  picked: jax.Array = jax.shard_map(
    local, in_specs=(jax.P(axis), jax.P()), out_specs=jax.P(None, axis)
  )(images, rows)
  return picked


def drawn(
  draw: Callable[[jax.Array, int], types.Batch],
  info: Info,
  shape: tuple[int, int],
) -> Source:
  """Fresh, standardised draws from a law at every step.

  Args:
    draw: `draw(key, n)`, `[n, D]`.
    info: with the mean and standard deviation to standardise by.
    shape: `(R, B)`, rounds of a step and samples of each.
  """
  mean, std = np.array(info.mean), np.array(info.std)

  def batch(
    arrays: types.PyTree, key: jax.Array, step: jax.Array
  ) -> types.Batch:
    del arrays
    drawn = draw(jax.random.fold_in(key, step), math.prod(shape))
    drawn = drawn._replace(x=_standardised(drawn.x, mean, std))
    rounds: types.Batch = jax.tree.map(
      lambda a: a.reshape(*shape, *a.shape[1:]), drawn
    )
    return rounds

  return Source(info, lambda first, count: (), batch)


def _standardised(x: jax.Array, mean: np.ndarray, std: np.ndarray) -> jax.Array:
  """`[B, D]` with `[D]` taken off and divided by."""
  return (x - jnp.float32(mean)[None]) / jnp.float32(std)[None]


def points(fixed: types.Batch, info: Info, shape: tuple[int, int]) -> Source:
  """Batches `[R, B, D]` from points `[N, D]`, held on the device."""
  mean, std = np.array(info.mean), np.array(info.std)
  fixed = fixed._replace(x=_standardised(fixed.x, mean, std))

  def batch(
    arrays: types.PyTree, key: jax.Array, step: jax.Array
  ) -> types.Batch:
    size = math.prod(shape)
    rows = batch_indices(key, step, size=size, n=info.num_examples)
    rows = _split_rounds(rows.reshape(shape))
    picked: types.Batch = jax.tree.map(lambda a: a[rows], arrays)
    return picked

  return Source(info, lambda first, count: fixed, batch)


def unlabelled(source: Source) -> Source:
  """The same samples, for a game without classes."""

  def batch(
    arrays: types.PyTree, key: jax.Array, step: jax.Array
  ) -> types.Batch:
    return source.batch(arrays, key, step)._replace(label=None)

  return dataclasses.replace(source, batch=batch)


def coded(source: Source, codes: int) -> Source:
  """The same samples without labels, for a game of so many codes."""
  info = source.info._replace(class_names=(), class_shares=(1 / codes,) * codes)
  return dataclasses.replace(unlabelled(source), info=info)


def to_unit_range(images: Array) -> Array:
  """uint8 in [0, 255] to float32 in [-1, 1]."""
  x = images.astype(np.float32)
  # XLA divides by a constant like this: so the host has the device's bits.
  x *= 1 / 127.5
  x -= 1
  return x


def to_bytes(images: np.ndarray) -> np.ndarray:
  """[-1, 1] to the nearest uint8; what is beyond is cut off."""
  return np.clip((images + 1) * 127.5, 0, 255).round().astype(np.uint8)


def _dequantised(images: jax.Array, key: jax.Array) -> jax.Array:
  """uint8 to [-1, 1), the step between two values filled (Theis et al. 2016).

  As SNGAN's code does it: x / 128 - 1 + U(0, 1 / 128).
  """
  noise = jax.random.uniform(key, images.shape)
  return (images.astype(jnp.float32) + noise) / 128 - 1


def _mirror(images: jax.Array, key: jax.Array) -> jax.Array:
  """Flips images `[R, B, H, W, C]` left to right, each with probability 1/2."""
  flip = jax.random.bernoulli(key, shape=images.shape[:2])
  return jnp.where(flip[..., None, None, None], images[..., ::-1, :], images)


class Treatment(NamedTuple):
  """What becomes of the images that a step picks.

  Attributes:
    flip: mirror the samples at random.
    stack: how many grey ones make the channels of one sample (StackedMNIST).
    classes: that labels tell apart; a stack's label is a number of `stack`
      digits in this base, the first channel's the leading one.
    dequantise: add noise of one step of 8 bits to their values.
  """

  flip: bool = False
  stack: int = 1
  classes: int = 0
  dequantise: bool = False


def images_on_device(
  images: np.ndarray,
  labels: np.ndarray | None,
  info: Info,
  shape: tuple[int, int],
  treatment: Treatment,
  *,
  marginals: np.ndarray,
  split: bool = False,
) -> Source:
  """Batches of samples from images `[N, H, W, C]` held on the device.

  Args:
    images: uint8.
    labels: `[N]`, or None.
    info: of the samples; `num_examples` is N.
    shape: `(R, B)`, rounds of a step and samples of each.
    treatment: what is made of the images.
    marginals: the mean of every pixel in [-1, 1], `[H, W, C]`.
    split: they are to be split over devices, no one of which may have room for
      all; until then they stay on the host.
  """
  # A row each: of `[N, H, W, C]` a TPU makes N the innermost dimension, and
  # reads all images to pick a few.
  arrays = (images.reshape(len(images), -1), labels)
  if not split:
    arrays = jax.tree.map(jnp.asarray, arrays)
  rounds, size = shape[0], math.prod(shape) * treatment.stack
  form = images.shape[1:]  # `batch` keeps no images in the host's memory.

  def batch(
    arrays: types.PyTree, key: jax.Array, step: jax.Array
  ) -> types.Batch:
    rows = batch_indices(key, step, size=size, n=info.num_examples)
    rows = rows.reshape(rounds, -1)
    own = _split_rounds(rows)
    flat, labels = arrays
    pixels = _pick_split(flat, rows) if split else flat[own]
    pixels = pixels.reshape(*own.shape, *form)
    its = None if labels is None else labels[own]
    return _image_batch((pixels, its), key, step, treatment)

  means = _stacked_means(marginals, treatment)
  return Source(info, lambda first, count: arrays, batch, means, split=split)


def images_streamed(
  fetch: Callable[[Sequence[int]], tuple[np.ndarray, np.ndarray | None]],
  info: Info,
  key: jax.Array,
  shape: tuple[int, int],
  treatment: Treatment,
  *,
  marginals: np.ndarray,
) -> Source:
  """The batches of `images_on_device`, fetched on the host chunk by chunk.

  Args:
    fetch: rows to images `[n, H, W, C]` uint8 and labels `[n]` or None.
    info: of the data.
    key: the data's key, the one that `batch` will be given.
    shape: `(R, B)`, rounds of a step and samples of each.
    treatment: what is made of the images.
    marginals: the mean of every pixel in [-1, 1], `[H, W, C]`.
  """
  cpu = jax.local_devices(backend='cpu')[0]
  rounds, size = shape[0], math.prod(shape) * treatment.stack

  @jax.jit
  def rows_of(steps: jax.Array) -> jax.Array:
    return jax.vmap(
      lambda step: batch_indices(key, step, size=size, n=info.num_examples)
    )(steps).reshape(len(steps), rounds, -1)

  def rows(
    first: int, count: int, part: slice
  ) -> tuple[np.ndarray, np.ndarray | None]:
    with jax.default_device(cpu):
      each = np.asarray(rows_of(jnp.arange(first, first + count)))[..., part]
    picked: tuple[np.ndarray, np.ndarray | None] = jax.tree.map(
      lambda a: a.reshape(*each.shape, *a.shape[1:]),
      fetch(each.reshape(-1).tolist()),
    )
    return picked

  def chunk(first: int, count: int) -> types.PyTree:
    return {
      'first': np.int32(first), 'picked': rows(first, count, slice(None)),
    }  # fmt: skip

  def batch(
    arrays: types.PyTree, key: jax.Array, step: jax.Array
  ) -> types.Batch:
    picked = jax.tree.map(lambda a: a[step - arrays['first']], arrays['picked'])
    return _image_batch(picked, key, step, treatment)

  return Source(
    info,
    chunk,
    batch,
    _stacked_means(marginals, treatment),
    read=Read((rounds, size // rounds), math.prod(shape + info.shape), rows),
  )


def _image_batch(
  picked: tuple[jax.Array, jax.Array | None],
  key: jax.Array,
  step: jax.Array,
  treatment: Treatment,
) -> types.Batch:
  """Samples `[R, B, H, W, C]` in [-1, 1], mirrored or not by (key, step)."""
  images, labels = picked
  # Streams of their own: `batch_indices` folds epochs into the same key.
  flip_key, noise_key = (
    jax.random.fold_in(jax.random.fold_in(key, 2**31 + i), step) for i in (0, 1)
  )
  if treatment.dequantise:
    x = _dequantised(images, noise_key)
  else:
    x = to_unit_range(images)
  if treatment.stack > 1:
    x, labels = jax.vmap(
      lambda x, y: stacked(x, y, treatment.stack, treatment.classes)
    )(x, labels)
  if treatment.flip:
    x = _mirror(x, flip_key)
  return types.Batch(x, labels)


def stacked(
  images: Array, labels: Array | None, stack: int, classes: int
) -> tuple[Array, Array | None]:
  """Each `stack` grey images that follow each other as one of many channels.

  Args:
    images: `[B * stack, H, W, 1]`.
    labels: `[B * stack]`, or None.
    stack: channels of a sample.
    classes: the base in which a sample's label is written, the first channel's
      being the leading digit.

  Returns:
    `[B, H, W, stack]`, and `[B]` or None.
  """
  x = images.reshape(-1, stack, *images.shape[1:3]).transpose(0, 2, 3, 1)
  if labels is None:
    return x, None
  return x, labels.reshape(-1, stack) @ classes ** np.arange(stack)[::-1]


def _stacked_means(means: np.ndarray, treatment: Treatment) -> np.ndarray:
  return np.repeat(means, treatment.stack, axis=-1)


def from_means(means: np.ndarray) -> np.ndarray:
  """Means in [0, 255], float64, as those of [-1, 1], float32."""
  return (means / 127.5 - 1).astype(np.float32)
