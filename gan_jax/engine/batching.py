"""The members of a population, batched in one program."""

import math
import os
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from gan_jax import types
from gan_jax.engine import compiler, sharding
from gan_jax.ops import cpu


def over_members(
  run: Callable[[types.PyTree, types.PyTree], types.PyTree],
  count: int,
  at_once: int,
  mesh: Mesh,
) -> Callable[[types.PyTree, types.PyTree], types.PyTree]:
  """Makes `run(member, shared)` one of arrays with a leading axis of members.

  Args:
    run: of one member; traceable.
    count: of members, P.
    at_once: this many side by side under `vmap` on each device, and such
      groups one after another.
    mesh: the members are split over its devices, whose number divides P.

  Returns:
    `run(members, shared)`, with `[P, ...]` leaves in the first argument and
    in the result.
  """
  here = count // mesh.size

  def local(members: types.PyTree, shared: types.PyTree) -> types.PyTree:
    def one(member: types.PyTree) -> types.PyTree:
      return run(member, shared)

    if at_once >= here:
      return jax.vmap(one)(members)
    if at_once == 1:
      return jax.lax.map(one, members)
    return jax.lax.map(one, members, batch_size=at_once)

  if mesh.size == 1:
    return local
  split = PartitionSpec(sharding.AXIS)
  return jax.shard_map(
    local, mesh=mesh, in_specs=(split, PartitionSpec()), out_specs=split,
    check_vma=False,
  )  # fmt: skip


def devices_for(count: int) -> int:
  """How many devices share the members: as many as divide their number."""
  return math.gcd(count, jax.device_count())


def take(tree: types.PyTree, index: int) -> Any:
  """One member's arrays."""
  return jax.tree.map(lambda x: x[index], tree)


def choose_at_once(here: int, state_bytes: int) -> int:
  """How many members to train side by side on one device, for speed.

  Args:
    here: members on the device.
    state_bytes: of one member's state.
  """
  if compiler.is_tuned() and state_bytes > cpu.SIDE_BY_SIDE_BYTES:
    return 1
  return here


def memory_limit() -> float:
  """Bytes that a program may take on one device."""
  device = jax.local_devices()[0]
  stats = device.memory_stats() or {}
  if 'bytes_limit' in stats:
    return 0.9 * float(stats['bytes_limit'])
  pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  return 0.8 * pages / jax.local_device_count()


def memory_needed(compiled: jax.stages.Compiled) -> float:
  """Bytes that it takes on one device.

  With those of the state twice: a copy may be evaluated meanwhile.
  """
  analysis: Any = compiled.memory_analysis()
  return float(
    analysis.argument_size_in_bytes
    + analysis.output_size_in_bytes
    + analysis.temp_size_in_bytes
  )
