"""Reads TensorBoard's event files, as TFRecord's documentation has them."""

import pathlib
import struct
from collections.abc import Iterator

import crc32c
from tensorboardX.proto import event_pb2


def events(folder: pathlib.Path) -> Iterator[event_pb2.Event]:
  """In the order in which TensorBoard reads them, checksums looked at."""
  for path in sorted(folder.glob('events.out.tfevents.*')):
    data = path.read_bytes()
    while data:
      (length,) = struct.unpack('<Q', data[:8])
      end = 12 + length
      checks = struct.unpack('<II', data[8:12] + data[end : end + 4])
      assert checks == (_masked_crc(data[:8]), _masked_crc(data[12:end]))
      yield event_pb2.Event.FromString(data[12:end])
      data = data[end + 4 :]


def _masked_crc(data: bytes) -> int:
  crc = crc32c.crc32c(data)
  return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
