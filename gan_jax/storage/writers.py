"""Where figures go: the terminal, `metrics.jsonl` and TensorBoard."""

import contextlib
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import tqdm

from gan_jax.config import words
from gan_jax.storage import events, history, sinks, whole
from gan_jax.study import statistics

# A figure of a run, or of a population.
Value = float | statistics.Estimate

# The health of a game in one line: (shown as, key, format).
_SHOWN = (
  ('D', 'disc/loss', '.3f'),
  ('G', 'gen/loss', '.3f'),
  ('accuracy', 'disc/accuracy', '.2f'),
  ('|dD|', 'disc/grad_norm', '.1e'),
  ('|dG|', 'gen/grad_norm', '.1e'),
  ('D/G', 'health/loss_ratio', '.2f'),
)


class Writers:
  """The sinks of a run's scalars, and those of its images.

  `metrics.jsonl` holds what (config, seed) determines, so that two runs have
  equal files; speeds go to the terminal and, of this session, to TensorBoard.

  Attributes:
    last: the step up to which there are rows from before; -1 for none.
    rows: how many there are by now.
    step_samples: how many samples one step counts for.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    step: int,
    rows: int | None,
    steps: int,
    step_samples: int,
    hparams: Mapping[str, Any] | None = None,
    more: Sequence[sinks.Sink] = (),
  ):
    """Opens the sinks, dropping what is later than `step`.

    Args:
      workdir: of the run.
      step: the checkpoint to go on from. Rows after it are of a run that was
        killed between a row and its checkpoint, and will come again; those of
        the step that the run began at come after its checkpoint too.
      rows: how many there were at that checkpoint, if it says so.
      steps: the run's last step.
      step_samples: samples that one step counts for.
      hparams: settings that TensorBoard shows beside the final figures.
      more: open sinks, which are closed with the others.

    Raises:
      ValueError: rows that the checkpoint counts are not there any more.
    """
    path = workdir / 'metrics.jsonl'
    self.last = -1 if rows == 0 else step or -1
    resumed = path.exists()
    kept = _keep_rows_until(path, self.last, rows)
    self.rows = len(kept)
    self._file = path.open('a')
    self._clock = history.Clock(workdir)
    self._tensorboard = events.Writer(workdir / 'tensorboard', hparams)
    for row_step, row in kept:
      self._tensorboard.scalars(row_step, row)
    # What is asked for has no rows from before: it has kept its own.
    self._sinks: list[sinks.Sink] = [self._tensorboard, *more]
    self.step_samples = step_samples
    self._steps = steps
    self._bar = tqdm.tqdm(
      total=steps, initial=step, unit='step', disable=None, dynamic_ncols=True
    )
    # When the first row was written, and its step: compiling comes before.
    self._began: tuple[float, int] | None = None
    self._said = 0.0
    if step or resumed:
      self.say(f'{workdir}: going on from the checkpoint of step {step:,}')

  def write(
    self, step: int, row: Mapping[str, Value], *, steps_per_second: float
  ) -> None:
    """Writes one row of scalars; what is no number is null in the file.

    The row is the operating system's before this returns: killing the process
    does not lose it.
    """
    plain = {name: to_json(value) for name, value in row.items()}
    line = json.dumps({'step': step, **plain}, allow_nan=False)
    self._file.write(line + '\n')
    self._file.flush()
    self._clock.row(step)
    self.rows += 1
    shown = {**dict(_scalars(plain)), 'speed/steps': steps_per_second}
    for sink in self._sinks:
      sink.scalars(step, shown)
    now = time.monotonic()
    if self._began is None:
      self._began, self._said = (now, step), now
    began, began_at = self._began
    samples = steps_per_second * self.step_samples
    health = {
      name: format(central(row[key]), form)
      for name, key, form in _SHOWN
      if key in row
    }
    if not self._bar.disable:
      self._bar.set_postfix({'samples/s': f'{samples:,.0f}', **health})
      self._bar.update(step - self._bar.n)
    elif step == self._steps or now - self._said > 5:
      self._said = now
      left = (now - began) * (self._steps - step) / max(step - began_at, 1)
      said = '  '.join(f'{name} {value}' for name, value in health.items())
      self.say(
        f'step {step:>7,} of {self._steps:,}  {said}  '
        f'{samples:,.0f} samples/s  {words.duration(left)} left'
      )

  def sync(self) -> None:
    """Returns when the rows are on the disk itself."""
    os.fsync(self._file.fileno())

  def image(self, step: int, name: str, png: bytes) -> None:
    """Shows an encoded image; called before the step's row."""
    for sink in self._sinks:
      sink.image(step, name, png)

  def finish(self, figures: Mapping[str, Any]) -> None:
    """Shows the figures of the end, as `summary.json` has them."""
    plain = {name: x for name, x in _scalars(figures) if math.isfinite(x)}
    for sink in self._sinks:
      sink.finish(plain)

  def say(self, line: str) -> None:
    """Prints a line, above the progress bar where there is one."""
    tqdm.tqdm.write(line, file=sys.stderr)

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *exception: object) -> None:
    # All of them, where closing one fails.
    with contextlib.ExitStack() as stack:
      own = self._file, self._clock, self._bar
      for sink in (*own, *self._sinks):
        stack.callback(sink.close)


def to_json(value: Value) -> Any:
  """As it stands in `metrics.jsonl` and `summary.json`."""
  if isinstance(value, statistics.Estimate):
    return value.to_json()
  return value if math.isfinite(value) else None


def central(value: Value) -> float:
  """The figure itself, or a population's mean."""
  return value.mean if isinstance(value, statistics.Estimate) else value


def _scalars(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
  """What TensorBoard shows of a row of `metrics.jsonl`, by name.

  Of a population the mean and its interval, and of the reports' figures each
  member's as well. A null is NaN.
  """
  for name, value in row.items():
    if name == 'step':
      continue
    if not isinstance(value, dict):
      yield name, _number(value)
      continue
    low, high = value['ci95']
    yield f'{name}/mean', _number(value['mean'])
    yield f'{name}/low', _number(low)
    yield f'{name}/high', _number(high)
    if name.startswith('eval/'):
      for i, own in enumerate(value['members']):
        if own is None and 'dropped' in value:
          continue  # Dropped, as most of those without a value are.
        yield f'{name}/members/{i}', _number(own)


def _number(value: float | None) -> float:
  return math.nan if value is None else float(value)


def read_rows(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """The rows of `metrics.jsonl`; a last one that is not whole is left out.

  Raises:
    ValueError: another is no row.
  """
  path = workdir / 'metrics.jsonl'
  if not path.exists():
    return []
  rows = []
  for number, line in enumerate(path.read_text().splitlines(keepends=True)):
    if not line.endswith('\n'):
      break
    try:
      row = json.loads(line)
      int(row['step'])
    except (ValueError, KeyError, TypeError):
      raise ValueError(f'{path}: line {number + 1} is damaged') from None
    rows.append(row)
  return rows


def _keep_rows_until(
  path: pathlib.Path, step: int, expected: int | None
) -> list[tuple[int, dict[str, float]]]:
  """Drops the rows of later steps, and a last line cut short by a kill.

  Returns:
    Those that are left: their steps, and what TensorBoard shows of them.

  Raises:
    ValueError: there are fewer than expected, or one is no row.
  """
  lines, kept = [], []
  if path.exists():
    for number, line in enumerate(path.read_text().splitlines(keepends=True)):
      try:
        if line.endswith('\n') and (row := json.loads(line))['step'] <= step:
          kept.append((row['step'], dict(_scalars(row))))
          lines.append(line)
      except (ValueError, KeyError, TypeError):
        raise ValueError(f'{path}: line {number + 1} is damaged') from None
  if expected is not None and len(kept) != expected:
    raise ValueError(
      f'{path}: has {len(kept)} rows up to step {step:,} where the checkpoint '
      f'counted {expected}; the run cannot go on without the others'
    )
  if path.exists():
    with whole.replacing(path) as part:
      part.write_text(''.join(lines))
  return kept
