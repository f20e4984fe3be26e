"""One mesh over all devices: the batch is split, and the state as configured.

The same program runs on one device and on several; the compiler puts in the
communication, and batch statistics are of the global batch.
"""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gan_jax import types

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


def check_divides(mesh: Mesh, batch_size: int) -> None:
  """Raises ValueError where the devices do not divide the batch."""
  if batch_size % mesh.size:
    raise ValueError(
      f'batch_size={batch_size}: {mesh.size} devices do not divide it'
    )


def replicate(tree: types.PyTree, mesh: Mesh) -> types.PyTree:
  """A copy of the whole tree on every device."""
  return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


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


def of_state(tree: types.PyTree, mesh: Mesh, kind: str) -> types.PyTree:
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


def place(tree: types.PyTree, mesh: Mesh, kind: str) -> types.PyTree:
  """Puts a state on the devices, as `of_state` says."""
  if kind == 'replicated':
    return replicate(tree, mesh)
  return jax.device_put(tree, of_state(tree, mesh, kind))


def keep_split(tree: types.PyTree, mesh: Mesh, kind: str) -> types.PyTree:
  """Inside jit: a state stays as `of_state` says."""
  if kind == 'replicated' or mesh.size == 1:
    return tree
  return jax.lax.with_sharding_constraint(tree, of_state(tree, mesh, kind))


def known(mesh: Mesh | None) -> contextlib.AbstractContextManager[Any]:
  """A context in which traced code can ask for the mesh of several devices."""
  if mesh is None or mesh.size == 1:
    return contextlib.nullcontext()
  return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def split_members(tree: types.PyTree, mesh: Mesh) -> types.PyTree:
  """A population's arrays `[P, ...]`, an equal share on every device."""
  return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(AXIS)))


def split_batch(tree: types.PyTree, mesh: Mesh, axis: int = 0) -> types.PyTree:
  """Inside jit: splits `axis` of every array over the devices."""
  spec = PartitionSpec(*[None] * axis, AXIS)
  return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, spec))
