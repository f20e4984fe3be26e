"""TensorBoard's event files: written, and cut back to a step.

TensorBoard reads a run's files in the order of their names, which begin with
the time of their making, and shows what a killed run wrote after its last
checkpoint beside what the resumed one writes again. So a resumed run first
gathers the events that stand into one file whose name comes before all
others; then neither a kill nor a clock that was set back shows.
"""

import pathlib
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import message


def _import_tensorboard() -> Any:
  """tensorboardX without PyTorch, which it imports to name a type.

  Where PyTorch is installed, that would be half of a start's imports and
  190 MB of memory.
  """
  if 'torch' not in sys.modules:
    sys.modules['torch'] = None  # type: ignore[assignment]
  try:
    import tensorboardX
  finally:
    if sys.modules['torch'] is None:
      del sys.modules['torch']
  return tensorboardX


_tensorboard = _import_tensorboard()
_Event = _tensorboard.proto.event_pb2.Event
_GATHERED = 'events.out.tfevents.0000000000.gan_jax'


class Writer:
  """An event file of its own, in which a row is one event.

  What is written is the operating system's before a call returns, which raises
  OSError where it cannot be. A tensorboardX `SummaryWriter` would write an
  event a figure, from a thread, and its files force each flush onto the disk.
  """

  def __init__(self, folder: pathlib.Path):
    folder.mkdir(exist_ok=True)
    name = f'events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}'
    self._file = (folder / name).open('xb')
    self._write(file_version='brain.Event:2')

  def scalars(self, step: int, row: Mapping[str, float]) -> None:
    """Shows figures by name; none is left out, finite or not."""
    values = [{'tag': name, 'simple_value': x} for name, x in row.items()]
    self._write(step=step, summary={'value': values})

  def image(
    self, step: int, name: str, png: bytes, shape: tuple[int, ...]
  ) -> None:
    """Shows an encoded image, `[H, W, 1 or 3]` before."""
    height, width, channels = shape
    image = {
      'height': height,
      'width': width,
      'colorspace': channels,
      'encoded_image_string': png,
    }
    self._write(step=step, summary={'value': [{'tag': name, 'image': image}]})

  def _write(self, **fields: Any) -> None:
    event = _Event(wall_time=time.time(), **fields)
    self._file.write(_frame(event.SerializeToString()))
    self._file.flush()

  def close(self) -> None:
    self._file.close()


def _frame(data: bytes) -> bytes:
  """A record as `_records` reads it."""
  length = struct.pack('<Q', len(data))
  return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
  return struct.pack('<I', _tensorboard.record_writer.masked_crc32c(data))


def keep_until(folder: pathlib.Path, step: int) -> None:
  """Drops the events of later steps, and any that a kill cut short.

  Whole or not at all: files are removed once what stands of them is in the
  gathered file, and an event found in both is kept once.

  Args:
    folder: of event files; it may be missing.
    step: the last one to stay; -1 drops everything.
  """
  paths = sorted(folder.glob('events.out.tfevents.*'))
  if not paths:
    return
  kept: dict[bytes, None] = {}
  for path in paths:
    for record, event in _records(path):
      if event.step <= step:
        kept[record] = None
  temporary = folder / 'gathering.tmp'
  temporary.write_bytes(b''.join(kept))
  temporary.rename(folder / _GATHERED)
  for path in paths:
    if path.name != _GATHERED:
      path.unlink()


def _records(path: pathlib.Path) -> Iterator[tuple[bytes, Any]]:
  """Framed events (TFRecord: length, its CRC, data, their CRC) in order."""
  data, place = path.read_bytes(), 0
  while place + 12 <= len(data):
    (length,) = struct.unpack_from('<Q', data, place)
    end = place + 12 + length + 4
    if end > len(data):
      return
    try:
      event = _Event.FromString(data[place + 12 : end - 4])
    except message.DecodeError:
      return
    yield data[place:end], event
    place = end
