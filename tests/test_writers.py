"""What the terminal is told."""

import pathlib

import pytest

from gan_jax import writers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
  """The seconds that `writers` reads, to be set."""
  now = [0.0]
  monkeypatch.setattr(writers.time, 'monotonic', lambda: now[0])
  return now


@pytest.mark.parametrize(
  ('start', 'rows', 'left'),
  [
    # A start: after 60 s of compiling, 10 steps in 20 s.
    (0, [(60.0, 0), (80.0, 10)], '180 s left'),
    # A resumed run writes no row of the step that it goes on from.
    (50, [(60.0, 60), (70.0, 80)], '10 s left'),
  ],
)
def test_the_time_left_leaves_compiling_out(
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
  clock: list[float],
  start: int,
  rows: list[tuple[float, int]],
  left: str,
):
  with writers.Writers(
    tmp_path, step=start, rows=None, steps=100, step_samples=8
  ) as sinks:
    for clock[0], step in rows:
      sinks.write(step, {}, steps_per_second=1.0)
  said = capsys.readouterr().err
  assert left in said
  assert said.count(' s left') == 1
