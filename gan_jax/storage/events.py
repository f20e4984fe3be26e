"""TensorBoard's events, written anew whenever a run starts or goes on.

They only show what `metrics.jsonl` and `samples/` hold. So the event file of a
killed run is not needed: it may be torn, or have steps that come again.
"""

import io
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import PIL.Image


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
# Seconds; TensorBoard looks every 30. A flush waits for the disk.
_FLUSH_EVERY = 5.0


class Writer:
  """An event file in which a row is one event.

  Written in the caller's thread, which sees the OSError of a full disk; the
  thread of tensorboardX's `FileWriter` ends there, and its caller waits for it
  forever.
  """

  def __init__(
    self, folder: pathlib.Path, settings: Mapping[str, Any] | None = None
  ):
    """Removes the event files there and begins one.

    Args:
      folder: of the run's events.
      settings: numbers, texts and booleans that HParams shows beside the final
        figures; None for no line there.
    """
    self._settings = settings
    folder.mkdir(exist_ok=True)
    for path in folder.glob('events.out.tfevents.*'):
      path.unlink()
    self._file = _tensorboard.event_file_writer.EventsWriter(
      str(folder / 'events')
    )
    self._flushed = time.monotonic()

  def scalars(self, step: int, row: Mapping[str, float]) -> None:
    """Shows figures by name; none is left out, finite or not."""
    values = [{'tag': name, 'simple_value': x} for name, x in row.items()]
    self._write(step=step, summary={'value': values})
    if time.monotonic() - self._flushed >= _FLUSH_EVERY:
      self._file.flush()
      self._flushed = time.monotonic()

  def image(self, step: int, name: str, png: bytes) -> None:
    """Shows an encoded image; its row comes after it."""
    with PIL.Image.open(io.BytesIO(png)) as picture:
      image = {
        'height': picture.height,
        'width': picture.width,
        'colorspace': len(picture.getbands()),
        'encoded_image_string': png,
      }
    self._write(step=step, summary={'value': [{'tag': name, 'image': image}]})

  def finish(self, figures: Mapping[str, float]) -> None:
    """Shows the figures of the end as `final/NAME`, if there are settings."""
    if self._settings is None:
      return
    finals = {f'final/{name}': x for name, x in figures.items()}
    values = [{'tag': name, 'simple_value': x} for name, x in finals.items()]
    told = _tensorboard.summary.hparams(dict(self._settings), finals)
    for summary in (*told, {'value': values}):
      self._write(summary=summary)

  def _write(self, **fields: Any) -> None:
    self._file.write_event(_Event(wall_time=time.time(), **fields))

  def close(self) -> None:
    self._file.close()
