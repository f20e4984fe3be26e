"""Where figures go: the terminal, `metrics.jsonl` and TensorBoard."""

import json
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Self

import numpy as np
import tensorboardX
import tqdm


class Writers:
  """The three sinks of a run's scalars, and TensorBoard's images.

  `metrics.jsonl` holds what (config, seed) determines, so that two runs have
  equal files; speeds go to the terminal and to TensorBoard.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    step: int | None,
    steps: int,
    step_samples: int,
  ):
    """Opens the sinks, dropping rows later than `step`.

    Args:
      workdir: of the run.
      step: the checkpoint to go on from, or None at a run's beginning. Rows
        after it are of a run that was killed between a row and its
        checkpoint, and will come again.
      steps: the run's last step.
      step_samples: samples that one step counts for.
    """
    self._path = workdir / 'metrics.jsonl'
    _keep_rows_until(self._path, -1 if step is None else step)
    step = step or 0
    self._file = self._path.open('a')
    self._tensorboard = tensorboardX.SummaryWriter(
      str(workdir / 'tensorboard'), purge_step=step + 1 if step else None
    )
    self._step_samples = step_samples
    self._steps = steps
    self._bar = tqdm.tqdm(
      total=steps, initial=step, unit='step', disable=None, dynamic_ncols=True
    )
    self._said = self._began = time.monotonic()
    self._began_at = step
    if step:
      self.say(f'{workdir}: going on from the checkpoint of step {step:,}')

  def write(
    self, step: int, row: Mapping[str, float], *, steps_per_second: float
  ) -> None:
    """Writes one row of scalars, flushed to disk before this returns."""
    self._file.write(json.dumps({'step': step, **row}) + '\n')
    self._file.flush()
    for name, value in row.items():
      self._tensorboard.add_scalar(name, value, step)
    self._tensorboard.add_scalar('speed/steps', steps_per_second, step)
    self._tensorboard.flush()
    samples = steps_per_second * self._step_samples
    losses = {
      name: f'{row[key]:.3f}'
      for name, key in (('D', 'disc/loss'), ('G', 'gen/loss'))
      if key in row
    }
    if not self._bar.disable:
      self._bar.set_postfix({'samples/s': f'{samples:,.0f}', **losses})
      self._bar.update(step - self._bar.n)
    elif step == self._steps or (
      step > self._began_at and time.monotonic() - self._said > 5
    ):
      self._said = time.monotonic()
      done = step - self._began_at
      left = (self._said - self._began) * (self._steps - step) / max(done, 1)
      said = '  '.join(f'{name} {value}' for name, value in losses.items())
      self.say(
        f'step {step:>7,} of {self._steps:,}  {said}  '
        f'{samples:,.0f} samples/s  {left:.0f} s left'
      )

  def images(self, step: int, name: str, grid: np.ndarray) -> None:
    """Shows `[H, W, C]` uint8 in TensorBoard."""
    self._tensorboard.add_image(name, grid, step, dataformats='HWC')

  def say(self, line: str) -> None:
    """Prints a line, above the progress bar where there is one."""
    tqdm.tqdm.write(line, file=sys.stderr)

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *exception: object) -> None:
    self._bar.close()
    self._file.close()
    self._tensorboard.close()


def _keep_rows_until(path: pathlib.Path, step: int) -> None:
  """Drops the rows of later steps, and a last line cut short by a kill."""
  if not path.exists():
    return
  kept = []
  for line in path.read_text().splitlines(keepends=True):
    if line.endswith('\n') and json.loads(line)['step'] <= step:
      kept.append(line)
  temporary = path.with_suffix('.tmp')
  temporary.write_text(''.join(kept))
  temporary.rename(path)
