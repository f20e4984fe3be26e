"""Checkpoints: the state, a pytree of plain arrays, written by Orbax.

A save goes to a temporary name and is renamed when complete, so that a kill
at any moment leaves the one before it. The arrays are copied before `save`
returns and written behind the next steps.
"""

import pathlib
from typing import Self

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax import state as states


class Checkpoints:
  """The checkpoints of a run, under `workdir/checkpoints/STEP`.

  Attributes:
    latest: the newest complete step, or None.
  """

  def __init__(self, workdir: pathlib.Path, *, keep: int | None = None):
    """Opens, and makes at the first save, the folder of checkpoints.

    Args:
      workdir: of the run.
      keep: delete all but the newest so many; None deletes nothing.
    """
    self._manager = ocp.CheckpointManager(
      (workdir / 'checkpoints').absolute(),
      options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
    )

  @property
  def latest(self) -> int | None:
    step: int | None = self._manager.latest_step()
    return step

  def save(self, state: states.GanState) -> None:
    """Saves, unless this step is there already."""
    step = int(state.step)
    if step != self.latest:
      self._manager.save(step, args=ocp.args.StandardSave(state))

  def restore(
    self, template: states.GanState, mesh: Mesh, step: int | None = None
  ) -> states.GanState:
    """The state of a step, the newest if not given, copied to every device.

    Args:
      template: shapes and dtypes (`jax.eval_shape` of the initial state).
      mesh: of the devices there are now, which may be others than before.
      step: a saved step.
    """
    sharding = NamedSharding(mesh, PartitionSpec())
    abstract = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
      template,
    )
    state: states.GanState = self._manager.restore(
      self.latest if step is None else step,
      args=ocp.args.StandardRestore(abstract),
    )
    return state

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *exception: object) -> None:
    """Waits for what is being written."""
    self._manager.wait_until_finished()
    self._manager.close()
