"""One mesh over all devices: the batch is split, parameters are copies.

The same program runs on one device, on several, and on those of several
processes; the compiler puts in the communication, and batch statistics are of
the global batch.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gan_jax import types

AXIS = 'batch'


def make_mesh(count: int | None = None) -> Mesh:
  """The first `count` devices along one axis, all by default."""
  return make_mesh_of(jax.devices()[:count])


def make_mesh_of(devices: list[jax.Device]) -> Mesh:
  """Those devices along one axis."""
  return jax.make_mesh(
    (len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices
  )


def own(mesh: Mesh) -> Mesh:
  """The mesh; of one that other processes share, this one's first device."""
  return (
    make_mesh_of(jax.local_devices()[:1]) if mesh.is_multi_process else mesh
  )


def check_divides(mesh: Mesh, batch_size: int) -> None:
  """Raises ValueError where the devices do not divide the batch."""
  if batch_size % mesh.size:
    raise ValueError(
      f'batch_size={batch_size}: {mesh.size} devices do not divide it'
    )


def replicate(tree: types.PyTree, mesh: Mesh) -> types.PyTree:
  """A copy of the whole tree on every device."""
  return _put(tree, NamedSharding(mesh, PartitionSpec()))


def split_members(tree: types.PyTree, mesh: Mesh) -> types.PyTree:
  """A population's arrays `[P, ...]`, an equal share on every device."""
  return _put(tree, NamedSharding(mesh, PartitionSpec(AXIS)))


def _put(tree: types.PyTree, sharding: NamedSharding) -> types.PyTree:
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


def whole(tree: types.PyTree, mesh: Mesh) -> types.PyTree:
  """Arrays that a process can look at alone.

  Of a mesh that several processes share, copies on this one's first device;
  all must call it together where some array is split.
  """
  if not mesh.is_multi_process:
    return tree
  if not all(x.is_fully_replicated for x in jax.tree.leaves(tree)):
    everywhere = NamedSharding(mesh, PartitionSpec())
    tree = jax.jit(lambda x: x, out_shardings=everywhere)(tree)
  return jax.tree.map(lambda x: x.addressable_data(0), tree)


def split_batch(tree: types.PyTree, mesh: Mesh, axis: int = 0) -> types.PyTree:
  """Inside jit: splits `axis` of every array over the devices."""
  spec = PartitionSpec(*[None] * axis, AXIS)
  return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, spec))
