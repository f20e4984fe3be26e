"""A trace of some steps, for TensorBoard's profiler or xprof."""

import contextlib
import pathlib
import re
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

import jax

FOLDER = 'profile'


class Steps(NamedTuple):
  """Which steps are traced: `num` of them after step `first`."""

  first: int
  num: int


def parse(text: str | None) -> Steps | None:
  """`FIRST:COUNT`; None of None.

  Raises:
    ValueError: it is not two whole numbers, or the second one is 0.
  """
  if text is None:
    return None
  found = re.fullmatch(r'(\d+):(\d+)', text)
  if not found or not int(found.group(2)):
    raise ValueError(
      f'--profile={text}: must be FIRST:COUNT, as 1000:100 for a hundred '
      'steps after step 1000'
    )
  return Steps(*map(int, found.groups()))


class Profile:
  """Traces whole chunks: those in which the steps asked for are."""

  def __init__(self, workdir: pathlib.Path, steps: Steps | None, last: int):
    """Prepares to trace; writes nothing.

    Args:
      workdir: of the run; the trace goes into `profile/`.
      steps: to be traced; None traces nothing.
      last: the run's last step.

    Raises:
      ValueError: the run ends before them.
    """
    if steps is not None and steps.first >= last:
      raise ValueError(
        f'--profile={steps.first}:{steps.num}: the run ends at step {last:,}'
      )
    self._folder = workdir / FOLDER
    self._steps, self._last = steps, last
    self._began: int | None = None

  def check(self, step: int) -> None:
    """Raises ValueError where a run that goes on from `step` is past them."""
    steps = self._steps
    if steps and step >= min(steps.first + steps.num, self._last):
      raise ValueError(
        f'--profile={steps.first}:{steps.num}: the run is at step {step:,} '
        'already'
      )

  @contextlib.contextmanager
  def chunk(self, step: int, length: int) -> Iterator[None]:
    """Around the steps `step` ... `step + length - 1` on the device."""
    steps = self._steps
    if steps is None or step + length <= steps.first:
      yield
      return
    if self._began is None:
      jax.profiler.start_trace(self._folder)
      self._began = step
    with jax.profiler.StepTraceAnnotation('chunk', step_num=step):
      yield
    if step + length >= steps.first + steps.num:
      self._stop(step + length)

  def _stop(self, step: int | None) -> None:
    """Writes what was traced, up to a step."""
    began, self._began, self._steps = self._began, None, None
    jax.profiler.stop_trace()
    until = '' if step is None else f' to {step:,}'
    print(f'profile of the steps after {began:,}{until} in {self._folder}')

  def __enter__(self) -> Self:
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    """Ends a trace that the run did not come to the end of."""
    if self._began is not None:
      self._stop(None)
