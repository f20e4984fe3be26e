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
    (0, [(60.0, 0, 0.0), (80.0, 10, 1.0)], '180 s left'),
    # A resumed run has but one row as yet, and the speed of its chunk.
    (50, [(60.0, 60, 4.0)], '10 s left'),
  ],
)
def test_the_time_left_leaves_compiling_out(
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
  clock: list[float],
  start: int,
  rows: list[tuple[float, int, float]],
  left: str,
):
  with writers.Writers(
    tmp_path, step=start, rows=None, steps=100, step_samples=8
  ) as sinks:
    for clock[0], step, speed in rows:
      sinks.write(step, {}, steps_per_second=speed)
  assert left in capsys.readouterr().err
