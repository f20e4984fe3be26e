"""The data of a chunk of steps, on the devices: copied, split or streamed."""

import concurrent.futures
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax import types
from gan_jax.data import source as sources
from gan_jax.engine import program, sharding


def make_batches(
  game: program.Game, length: int
) -> Callable[[int], types.PyTree]:
  """Makes `batches(step)`: the arrays of the chunk at `step`, on the devices.

  A set that is the same for every chunk is copied to them once, or split over
  them. Of one that is streamed each process reads what its own devices are
  given, and the next chunk's while this one is played.
  """
  if game.source.read is not None:
    return _make_streamed(game, length, game.source.read)
  held: list[types.PyTree] = [None, None]

  def batches(step: int) -> types.PyTree:
    arrays = game.source.chunk(step, length)
    if arrays is not held[0]:
      held[:] = arrays, _placed(game, arrays)
    return held[1]

  return batches


def _placed(game: program.Game, arrays: types.PyTree) -> types.PyTree:
  """What all chunks read, on the devices as `data_sharding` says."""
  if not game.source.split:
    return sharding.replicate(arrays, game.mesh)
  images, labels = arrays
  return (
    sharding.split_rows(images, game.mesh),
    sharding.replicate(labels, game.mesh),
  )


def data_sharding(game: program.Game, arrays: types.PyTree) -> types.PyTree:
  """The sharding of each array that the steps of a chunk read."""
  whole = NamedSharding(game.mesh, PartitionSpec())
  shardings = jax.tree.map(lambda _: whole, arrays)
  if game.source.split:
    return NamedSharding(game.mesh, PartitionSpec(sharding.AXIS)), shardings[1]
  if game.source.read is not None:
    split = _of_streamed(game.mesh)
    shardings['picked'] = jax.tree.map(lambda _: split, shardings['picked'])
  return shardings


def _of_streamed(mesh: Mesh) -> NamedSharding:
  """That of `[steps, rounds, samples of a round, ...]`."""
  return NamedSharding(mesh, PartitionSpec(None, None, sharding.AXIS))


def _make_streamed(
  game: program.Game, length: int, read: sources.Read
) -> Callable[[int], types.PyTree]:
  """`batches(step)` of images that are read chunk by chunk."""
  split = _of_streamed(game.mesh)
  shape = length, *read.shape

  def rows_of(index: Any) -> tuple[int, int]:
    """The places of a device's samples among those of a round."""
    start, stop, _ = index[2].indices(read.shape[1])
    return start, stop

  places = {
    rows_of(index)
    for index in split.addressable_devices_indices_map(shape).values()
  }

  def gather(step: int) -> types.PyTree:
    parts = {rows: read.rows(step, length, slice(*rows)) for rows in places}

    def put(*each: np.ndarray) -> jax.Array:
      by_rows = dict(zip(parts, each, strict=True))
      return jax.make_array_from_callback(
        (*shape, *each[0].shape[3:]),
        split,
        lambda index: by_rows[rows_of(index)],
      )

    return {
      'first': sharding.replicate(np.int32(step), game.mesh),
      'picked': jax.tree.map(put, *parts.values()),
    }

  pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
  ahead: dict[int, concurrent.futures.Future[types.PyTree]] = {}

  def batches(step: int) -> types.PyTree:
    ready = ahead.pop(step, None)
    arrays = ready.result() if ready else gather(step)
    ahead.clear()
    if step + length < game.config.steps:
      ahead[step + length] = pool.submit(gather, step + length)
    return arrays

  return batches
