"""One mesh over all devices: the batch is split, parameters are copies.

The same program runs on one device and on several; the compiler puts in the
communication, and batch statistics are of the global batch.
"""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gan_jax import types

AXIS = 'batch'


def make_mesh(count: int | None = None) -> Mesh:
  """The first `count` devices along one axis, all by default."""
  devices = jax.devices()[:count]
  return jax.make_mesh(
    (len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices
  )


def check_divides(mesh: Mesh, batch_size: int) -> None:
  """Raises ValueError where the devices do not divide the batch."""
  if batch_size % mesh.size:
    raise ValueError(
      f'batch_size={batch_size}: {mesh.size} devices do not divide it'
    )


def replicate(tree: types.PyTree, mesh: Mesh) -> types.PyTree:
  """A copy of the whole tree on every device."""
  return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split_members(tree: types.PyTree, mesh: Mesh) -> types.PyTree:
  """A population's arrays `[P, ...]`, an equal share on every device."""
  return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(AXIS)))


def split_batch(tree: types.PyTree, mesh: Mesh, axis: int = 0) -> types.PyTree:
  """Inside jit: splits `axis` of every array over the devices."""
  spec = PartitionSpec(*[None] * axis, AXIS)
  return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, spec))
