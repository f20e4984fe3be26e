"""What the terminal and TensorBoard are told."""

import io
import pathlib
import struct

import crc32c
import numpy as np
import PIL.Image
import pytest
from tensorboardX.proto import event_pb2

from gan_jax.report import plots
from gan_jax.storage import writers


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


def masked_crc(data: bytes) -> int:
  """As TFRecord's documentation defines it."""
  crc = crc32c.crc32c(data)
  return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_tensorboard_has_a_row_in_one_event(tmp_path: pathlib.Path):
  """Read while the file is open, as TensorBoard does, checksums included."""
  grid = np.random.default_rng(0).integers(0, 255, (6, 5, 1), np.uint8)
  with writers.Writers(
    tmp_path, step=0, rows=None, steps=8, step_samples=1
  ) as sinks:
    row = {'gen/loss': 0.5, 'disc/loss': float('nan')}
    sinks.write(4, row, steps_per_second=2.0)
    sinks.image(8, 'samples', plots.png(grid), grid.shape)
    (path,) = (tmp_path / 'tensorboard').iterdir()
    data, found = path.read_bytes(), []
  while data:
    (length,) = struct.unpack('<Q', data[:8])
    body = data[12 : 12 + length]
    checks = struct.unpack('<II', data[8:12] + data[12 + length : 16 + length])
    assert checks == (masked_crc(data[:8]), masked_crc(body))
    found.append(event_pb2.Event.FromString(body))
    data = data[16 + length :]
  version, scalars, image = found
  assert version.file_version == 'brain.Event:2'
  told = {value.tag: value.simple_value for value in scalars.summary.value}
  assert scalars.step == 4
  assert told['gen/loss'] == 0.5
  assert np.isnan(told['disc/loss'])
  assert told['speed/steps'] == 2
  (shown,) = image.summary.value
  assert (image.step, shown.tag) == (8, 'samples')
  assert (shown.image.height, shown.image.width) == (6, 5)
  assert shown.image.colorspace == 1
  picture = PIL.Image.open(io.BytesIO(shown.image.encoded_image_string))
  np.testing.assert_array_equal(picture, grid[..., 0])
