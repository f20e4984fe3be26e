"""Averages of several lengths as they were at many steps: `averages/STEP.npz`.

Of each length its parameters, by the names LENGTH/PATH. Old checkpoints go and
these stay: together they make an average of any length (`game.posthoc`).
"""

import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gan_jax import types
from gan_jax.config import values
from gan_jax.game import posthoc, state as states
from gan_jax.storage import whole


def _folder(workdir: pathlib.Path) -> pathlib.Path:
  return workdir / 'averages'


def save(workdir: pathlib.Path, state: states.GanState) -> None:
  """Writes those of a state; whole or not at all."""
  arrays = states.named(jax.device_get(state.memory[posthoc.MEMORY]))
  _write(workdir, states.step_of(state), arrays)


def _write(workdir: pathlib.Path, step: int, arrays: Mapping[str, Any]) -> None:
  _folder(workdir).mkdir(exist_ok=True)
  path = _folder(workdir) / f'{step}.npz'
  with whole.replacing(path) as part:
    np.savez(part, **arrays)


def steps(workdir: pathlib.Path) -> list[int]:
  """At which they are stored, in order."""
  names = [path.stem for path in _folder(workdir).glob('*.npz')]
  return sorted(int(name) for name in names if name.isdecimal())


def read(
  workdir: pathlib.Path, step: int, member: int | None = None
) -> dict[str, np.ndarray]:
  """The arrays of a step by their names, of one member of a population.

  Raises:
    ValueError: the file is damaged.
  """
  path = _folder(workdir) / f'{step}.npz'
  try:
    with np.load(path) as file:
      arrays = {name: file[name] for name in file}
    return {
      name: x if member is None else x[member] for name, x in arrays.items()
    }
  except (OSError, ValueError, EOFError, IndexError, zipfile.BadZipFile) as e:
    reason = str(e).splitlines() or [type(e).__name__]
    raise ValueError(f'{path}: is damaged ({reason[0]})') from None


def export(workdir: pathlib.Path, out: pathlib.Path, member: int) -> None:
  """Copies those of one member of a population to a run of its own."""
  for step in steps(workdir):
    _write(out, step, read(workdir, step, member))


def reconstruct(
  workdir: pathlib.Path,
  state: states.GanState,
  length: float,
  member: int | None = None,
) -> tuple[types.PyTree, str]:
  """The average of any length at a state of a run.

  Args:
    workdir: of the run.
    state: of the run, or of its member.
    length: as in `ema.posthoc`.
    member: of a population.

  Returns:
    Its parameters, float32, and how they came about, in words.

  Raises:
    ValueError: the run keeps no averages, has not begun, or a file of it is
      damaged.
  """
  own, end = state.memory.get(posthoc.MEMORY), states.step_of(state)
  field = f'--ema_length={length:g}'
  if own is None:
    raise ValueError(
      f'{field}: {workdir} keeps no averages to make it of; its run had no '
      'ema.posthoc'
    )
  values.check_ema_length('--ema_length', length)
  if posthoc.name(length) in own:
    return own[posthoc.name(length)], 'the average that training kept'
  if not end:
    raise ValueError(f'{field}: {workdir} is at step 0')
  lengths = [float(name) for name in own]
  before = [step for step in steps(workdir) if 0 < step < end]
  stored = [(step, own) for step in [*before, end] for own in lengths]
  fit = posthoc.coefficients(stored, end, length)
  shares = dict(zip(stored, fit.coefficients, strict=True))
  wide: dict[str, np.ndarray] = {}
  for step in [*before, end]:
    arrays = (
      states.named(jax.device_get(own))
      if step == end
      else read(workdir, step, member)
    )
    for name, x in arrays.items():
      kept, _, path = name.partition('/')
      part = shares[step, float(kept)] * np.asarray(x, np.float64)
      wide[path] = wide.get(path, 0.0) + part
  template = own[posthoc.name(lengths[0])]
  leaves = [wide[name].astype(np.float32) for name in states.named(template)]
  made = jax.tree.unflatten(jax.tree.structure(template), leaves)
  about = f'of {len(stored)} stored averages, {fit.misfit:.1%} off its profile'
  return made, about
