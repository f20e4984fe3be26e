"""Checkpoints: the state, a pytree of plain arrays, written by Orbax.

A save goes to a temporary name and is renamed when complete, so that a kill
at any moment leaves the one before it. The arrays are copied before `save`
returns and written behind the next steps. Beside them stands a manifest: the
format's version, the configuration, the versions of the libraries, and a
checksum of every array, which a restore verifies.
"""

import contextlib
import dataclasses
import errno
import json
import math
import os
import pathlib
import re
import textwrap
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.game import state as states

# Of what a checkpoint consists: the items `state` and `manifest`. Up to 1 the
# state had `extra` in place of `memory`, and the fields of the configuration
# other names.
FORMAT = 2
_SIGNS = {'max': 1.0, 'min': -1.0}


@contextlib.contextmanager
def _file_errors() -> Iterator[None]:
  """What the array writer says of the disk, as an OSError like all others.

  It raises a ValueError with the system's error code in its text.
  """
  try:
    yield
  except (ValueError, RuntimeError) as error:
    code = re.search(r"os_error_code='(\d+)'", str(error))
    if code is None:
      raise
    number = int(code.group(1))
    raise OSError(number, os.strerror(number)) from error


def _raise_if_no_damage(error: Exception) -> None:
  """Raises again what says more of this machine than of the files."""
  said = ('RESOURCE_EXHAUSTED', 'PERMISSION_DENIED', 'Permission denied')
  if isinstance(error, MemoryError) or any(x in str(error) for x in said):
    raise error
  missing = (errno.ENOENT, errno.ENOTDIR, None)
  if isinstance(error, OSError) and error.errno not in missing:
    raise error


class DamagedError(Exception):
  """A checkpoint whose content is not what was saved."""


def checksums(state: types.PyTree) -> dict[str, str]:
  """The CRC-32 of every array's bytes, dtype and shape, by its path."""

  def checksum(x: np.ndarray) -> str:
    kind = zlib.crc32(f'{x.dtype}{x.shape}'.encode())
    return f'{zlib.crc32(np.ascontiguousarray(x).reshape(-1).data, kind):08x}'

  arrays = states.named(jax.device_get(state))
  return {name: checksum(np.asarray(x)) for name, x in arrays.items()}


def _text_checksum(manifest: Mapping[str, Any]) -> str:
  """The CRC-32 of plain values, however they are laid out in a file."""
  return f'{zlib.crc32(json.dumps(manifest, sort_keys=True).encode()):08x}'


@dataclasses.dataclass
class _Best:
  """Keeps the best by a metric; Orbax's own forgets those of an earlier start.

  A `PreservationPolicy` of Orbax.
  """

  # By step, the larger the better.
  values: dict[int, float]

  def should_preserve(
    self,
    checkpoints: Sequence[checkpoint_managers.PolicyCheckpointInfo],
    *,
    context: checkpoint_managers.PreservationContext,
  ) -> Sequence[bool]:
    del context
    steps = [checkpoint.step for checkpoint in checkpoints]
    best = best_of({k: x for k, x in self.values.items() if k in steps})
    return [step == best for step in steps]


def best_of(values: Mapping[int, float]) -> int | None:
  """The step with the largest value, of several the last."""
  return max(values, key=lambda step: (values[step], step), default=None)


def _metric(figure: str) -> str:
  """The name of an evaluation figure in rows of metrics."""
  return f'eval/{figure}'


def _policy(
  settings: configs.Checkpoint, stay: Sequence[int], values: dict[int, float]
) -> checkpoint_managers.PreservationPolicy:
  """The newest, every k-th, the best by a metric, and those that stay."""
  policies: list[checkpoint_managers.PreservationPolicy] = [
    checkpoint_managers.LatestN(settings.keep),
    checkpoint_managers.CustomSteps(stay),
  ]
  if settings.keep_every:
    policies.append(checkpoint_managers.EveryNSteps(settings.keep_every))
  if settings.best:
    policies.append(_Best(values))
  return checkpoint_managers.AnyPreservationPolicy(policies)


def steps_in(folder: pathlib.Path) -> list[int]:
  """The checkpoints that are in a folder whole, in order."""
  names = [path.name for path in folder.glob('*')]
  # What is being written has a longer name.
  return sorted(int(name) for name in names if name.isdecimal())


def _alone() -> ocp.options.MultiprocessingOptions:
  """Whoever opens checkpoints reads and writes them without the others."""
  index = jax.process_index()
  return ocp.options.MultiprocessingOptions(
    primary_host=index,
    active_processes={index},
    barrier_sync_key_prefix=f'process_{index}',
  )


class Checkpoints:
  """The checkpoints of a run, under `workdir/checkpoints/STEP`."""

  def __init__(
    self,
    workdir: pathlib.Path,
    settings: configs.Checkpoint | None = None,
    stay: Sequence[int] = (),
  ):
    """Opens, and makes at the first save, the folder of checkpoints.

    Args:
      workdir: of the run.
      settings: which to keep; None opens them to be read alone.
      stay: steps whose checkpoints are kept besides.
    """
    self._folder = (workdir / 'checkpoints').absolute()
    self._settings = settings
    # Of the metric by which the best is kept.
    self._values: dict[int, float] = {}
    reads = settings is None
    if not reads:
      self._folder.mkdir(parents=True, exist_ok=True)
    options = ocp.CheckpointManagerOptions(
      preservation_policy=settings and _policy(settings, stay, self._values),
      # Orbax makes none where it is not to wait for other processes.
      create=False,
      multiprocessing_options=_alone(),
      read_only=reads,
      # What a kill left half-written.
      cleanup_tmp_directories=not reads,
      save_root_metadata=False,
    )
    self._manager: ocp.CheckpointManager | None = None
    if self._folder.is_dir() or not reads:
      self._manager = ocp.CheckpointManager(self._folder, options=options)
    if settings and settings.best:
      for step in self.steps:
        # Whoever restores a damaged one tells of it.
        with contextlib.suppress(DamagedError):
          value = self._value(step, settings.best, settings.best_mode)
          if value is not None:
            self._values[step] = value

  @property
  def steps(self) -> list[int]:
    """Those that are on the disk whole, in order."""
    return steps_in(self._folder)

  @property
  def latest(self) -> int | None:
    return max(self.steps, default=None)

  def safe(self) -> str:
    """What a run that has to end can count on, in words."""
    step = self.latest
    if step is None:
      return 'there is no checkpoint yet'
    return f'the checkpoint of step {step:,} is whole'

  def best(self, figure: str, mode: str) -> int | None:
    """The step with the best value of a figure, among those still here."""
    values = {step: self._value(step, figure, mode) for step in self.steps}
    return best_of({k: x for k, x in values.items() if x is not None})

  def _value(self, step: int, figure: str, mode: str) -> float | None:
    """A figure of a step, if it has it: the larger the better."""
    value = self.manifest(step).get('metrics', {}).get(_metric(figure))
    return None if value is None else value * _SIGNS[mode]

  def save(
    self,
    state: states.GanState,
    facts: Mapping[str, Any],
    metrics: Mapping[str, float],
  ) -> None:
    """Saves, unless this step is there already.

    Args:
      state: copied before this returns, and written behind the next steps.
      facts: what the manifest says beside the checksums; plain values.
      metrics: of this step, among them the one by which the best is kept.
    """
    assert self._manager is not None
    step = states.step_of(state)
    if step == self._manager.latest_step():
      return
    # Owned by nobody else: a chunk of steps may be given the state's buffers.
    arrays = jax.tree.map(np.array, jax.device_get(state))
    known = {name: x for name, x in metrics.items() if math.isfinite(x)}
    manifest: dict[str, Any] = {
      'format': FORMAT,
      'step': step,
      **facts,
      'metrics': known,
      'checksums': checksums(arrays),
    }
    manifest['own_checksum'] = _text_checksum(manifest)
    settings = self._settings
    if settings and _metric(settings.best) in known:
      sign = _SIGNS[settings.best_mode]
      self._values[step] = known[_metric(settings.best)] * sign
    with _file_errors():
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(arrays),
          manifest=ocp.args.JsonSave(manifest),
        ),
      )

  def wait(self) -> None:
    """Returns when what was saved is on the disk."""
    if self._manager:
      with _file_errors():
        self._manager.wait_until_finished()

  def manifest(self, step: int) -> dict[str, Any]:
    """What was written beside a state.

    Raises:
      DamagedError: it cannot be read.
    """
    assert self._manager is not None
    if not (self._folder / str(step) / 'manifest').is_dir():
      raise DamagedError('its manifest is gone')
    try:
      items = self._manager.restore(
        step, args=ocp.args.Composite(manifest=ocp.args.JsonRestore())
      )
      manifest: dict[str, Any] = items['manifest']
      own = manifest.pop('own_checksum')
    except Exception as error:
      _raise_if_no_damage(error)
      raise DamagedError(f'its manifest cannot be read ({error})') from None
    if own != _text_checksum(manifest):
      raise DamagedError('the checksum of its manifest differs')
    return manifest

  def restore(self, template: states.GanState, step: int) -> states.GanState:
    """The state of a step, on the devices that the template names.

    Args:
      template: shapes, dtypes and shardings (`jax.ShapeDtypeStruct`); the
        devices may be others than before.
      step: a saved step.

    Raises:
      DamagedError: it cannot be read, or a checksum does not match.
      ValueError: another version of this code wrote it.
    """
    assert self._manager is not None
    manifest = self.manifest(step)
    if manifest['format'] != FORMAT:
      raise ValueError(
        f'{self._folder / str(step)}: is of format {manifest["format"]}, '
        f'written by gan_jax at commit {manifest.get("commit")}; this version '
        f'reads format {FORMAT}'
      )
    arguments = ocp.args.StandardRestore(template)
    try:
      items = ocp.args.Composite(state=arguments)
      state = self._manager.restore(step, args=items)['state']
    except Exception as error:
      _raise_if_no_damage(error)
      # Whatever a reader trips over in a file that was cut short or changed.
      # It may go on with all that a library knows of the array.
      reason = textwrap.shorten(str(error), 120, placeholder=' ...')
      raise DamagedError(
        f'cannot be read: {reason or type(error).__name__}'
      ) from None
    expected, found = manifest['checksums'], checksums(state)
    wrong = [name for name in expected if found.get(name) != expected[name]]
    if wrong or expected.keys() != found.keys():
      raise DamagedError(
        f'the checksum of {(wrong or ["its arrays"])[0]} differs'
      )
    restored: states.GanState = state
    return restored

  def put_aside(self, step: int) -> pathlib.Path:
    """Moves a damaged checkpoint out of the way, and says where to."""
    assert self._manager is not None
    aside = self._folder.parent / 'damaged'
    aside.mkdir(exist_ok=True)
    count = len(list(aside.glob(f'{step}.*')))
    target = aside / f'{step}.{count}'
    (self._folder / str(step)).rename(target)
    self._manager.reload()
    return target

  def __enter__(self) -> Self:
    return self

  def __exit__(self, kind: object, error: object, trace: object) -> None:
    """Waits for what is being written."""
    if self._manager:
      # Where the disk is full, writing behind fails after the fact as well.
      with contextlib.suppress(*[OSError] * bool(error)), _file_errors():
        self._manager.close()
