"""One mesh over all devices: the batch is split, and the state as configured.

The same program runs on one device, on several, and on those of several
processes; the compiler puts in the communication, and batch statistics are of
the global batch.
"""

import contextlib
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gan_jax import types
from gan_jax.config import fields as configs

AXIS = 'batch'


# Values of an array up to which every device has a copy: to gather it costs
# more time than a part of it saves memory.
_SMALL = 2**14


def make_mesh(count: int | None = None) -> Mesh:
  """The first `count` devices along one axis, all by default."""
  return mesh_of(jax.devices()[:count])


def mesh_of(devices: Sequence[jax.Device]) -> Mesh:
  """These devices along one axis."""
  return jax.make_mesh(
    (len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices
  )


def local_mesh(mesh: Mesh) -> Mesh:
  """The mesh; of one that other processes share, this one's first device."""
  return mesh_of(jax.local_devices()[:1]) if mesh.is_multi_process else mesh


def check_divides(
  devices: int, config: configs.Config, named: str = 'devices'
) -> None:
  """Raises ValueError where the devices do not divide the batch, or its parts.

  Args:
    devices: how many.
    config: validated.
    named: what the message calls them.
  """
  parts = config.microbatches
  if config.batch_size % (parts * devices):
    of_parts = f' times microbatches={parts}' if parts > 1 else ''
    raise ValueError(
      f'batch_size={config.batch_size}: must be a multiple of the {devices} '
      f'{named}{of_parts}'
    )


def replicate(tree: types.PyTree, mesh: Mesh) -> types.PyTree:
  """A copy of the whole tree on every device."""
  return _put(tree, NamedSharding(mesh, PartitionSpec()))


def padded(count: int, mesh: Mesh) -> int:
  """Rows of which each device has as many: so many, and a few more."""
  return -(-count // mesh.size) * mesh.size


def split_rows(rows: np.ndarray, mesh: Mesh) -> jax.Array:
  """Rows of the host, an equal part on every device, with zeros at the end.

  Each process reads those of its own devices alone.
  """
  shape = padded(len(rows), mesh), *rows.shape[1:]

  def part(index: Any) -> np.ndarray:
    start, stop, _ = index[0].indices(shape[0])
    rows_here = np.zeros((stop - start, *shape[1:]), rows.dtype)
    there = rows[start:stop]
    rows_here[: len(there)] = there
    return rows_here

  where = NamedSharding(mesh, PartitionSpec(AXIS))
  return jax.make_array_from_callback(shape, where, part)


def fsdp_spec(shape: tuple[int, ...], count: int) -> PartitionSpec:
  """How 'fsdp' splits an array: by its largest dimension that so many divide.

  Of equal dimensions the last one. An array that is small, or that they do not
  divide, stays whole.
  """
  divisible = [i for i, size in enumerate(shape) if size % count == 0]
  if count == 1 or math.prod(shape) < _SMALL or not divisible:
    return PartitionSpec()
  axis = max(divisible, key=lambda i: (shape[i], i))
  return PartitionSpec(*[None] * axis, AXIS)


def state_sharding(tree: types.PyTree, mesh: Mesh, kind: str) -> types.PyTree:
  """The sharding of each array of a state: all of it on every device, or not.

  Args:
    tree: arrays, or their shapes.
    mesh: of the devices.
    kind: 'replicated' or 'fsdp' (Rajbhandari et al. 2020, stage 3).
  """

  def one(x: jax.Array) -> NamedSharding:
    whole = kind == 'replicated' or jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    spec = PartitionSpec() if whole else fsdp_spec(x.shape, mesh.size)
    return NamedSharding(mesh, spec)

  return jax.tree.map(one, tree)


def member_sharding(tree: types.PyTree, mesh: Mesh) -> types.PyTree:
  """That of a population's arrays `[P, ...]`: as many on every device."""
  return jax.tree.map(lambda _: NamedSharding(mesh, PartitionSpec(AXIS)), tree)


def abstract(shapes: types.PyTree, where: types.PyTree) -> types.PyTree:
  """Shapes and dtypes with the sharding of each."""
  return jax.tree.map(
    lambda x, one: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=one),
    shapes,
    where,
  )


def num_bytes(tree: types.PyTree) -> int:
  """Of all arrays of a tree, or of their shapes."""
  return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def put(tree: types.PyTree, where: types.PyTree) -> types.PyTree:
  """Puts each array on the devices that its sharding says."""
  return jax.tree.map(_put, tree, where)


def keep_split(tree: types.PyTree, mesh: Mesh, kind: str) -> types.PyTree:
  """Inside jit: a state stays as `state_sharding` says."""
  if kind == 'replicated' or mesh.size == 1:
    return tree
  return jax.lax.with_sharding_constraint(
    tree, state_sharding(tree, mesh, kind)
  )


def known(mesh: Mesh | None) -> contextlib.AbstractContextManager[Any]:
  """A context in which traced code can ask for the mesh of several devices."""
  if mesh is None or mesh.size == 1:
    return contextlib.nullcontext()
  return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def _put(tree: types.PyTree, sharding: NamedSharding) -> types.PyTree:
  """All arrays of a tree in one way, also where processes share the mesh."""
  if not sharding.mesh.is_multi_process:
    return jax.device_put(tree, sharding)
  return jax.tree.map(functools.partial(_put_own, sharding), tree)


def _put_own(sharding: NamedSharding, x: jax.Array) -> jax.Array:
  """This process's part of an array that all of them have whole."""
  if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
    data = _put_own(sharding, jax.random.key_data(x))
    return jax.random.wrap_key_data(data)
  whole = np.asarray(x)
  return jax.make_array_from_callback(
    whole.shape, sharding, lambda index: whole[index]
  )


@functools.cache
def _gatherer(mesh: Mesh) -> jax.stages.Wrapped:
  """Compiled once for each shape, and not at each call."""
  return jax.jit(
    lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec())
  )


def whole(tree: types.PyTree, mesh: Mesh) -> types.PyTree:
  """Arrays that a process can read alone.

  Of a mesh that several processes share, copies on this one's first device, or
  of split arrays in the host's memory; all must call it together where there
  are any.
  """
  if not mesh.is_multi_process:
    return tree
  gather = _gatherer(mesh)

  def one(x: jax.Array) -> jax.Array | np.ndarray:
    if x.is_fully_replicated:
      return x.addressable_data(0)
    # One after another: no device need hold them all.
    return np.asarray(gather(x).addressable_data(0))

  return jax.tree.map(one, tree)


def split_batch(tree: types.PyTree, mesh: Mesh, axis: int = 0) -> types.PyTree:
  """Inside jit: splits `axis` of every array over the devices."""
  spec = PartitionSpec(*[None] * axis, AXIS)
  return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, spec))
