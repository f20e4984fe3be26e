"""Pictures in turn: GIF and WebP by Pillow, MP4 by the system's ffmpeg."""

import pathlib
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from gan_jax.report import plots

SUFFIXES = '.gif', '.webp', '.mp4'


def check(suffix: str) -> None:
  """Raises ValueError where nothing here writes such files."""
  if suffix == '.mp4' and shutil.which('ffmpeg') is None:
    raise ValueError(
      '--out: an .mp4 is encoded by ffmpeg, which is not on the PATH; install '
      'it, or write .gif or .webp'
    )


def save(
  path: pathlib.Path, frames: Sequence[np.ndarray], *, rate: float
) -> None:
  """Writes an animation; GIF and WebP begin again after their end.

  Args:
    path: ends in one of `SUFFIXES`.
    frames: `[H, W, 1 or 3]` uint8, all of one shape.
    rate: frames a second; GIF rounds their time to 10 ms.

  Raises:
    ValueError: ffmpeg is needed and not there, or fails.
  """
  check(path.suffix)
  if path.suffix == '.mp4':
    return _encode(path, frames, rate)
  # Without the axis of length 1 that greys have, as Pillow wants them.
  pictures = [
    PIL.Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x) for x in frames
  ]
  options: dict[str, Any] = {'lossless': True} if path.suffix == '.webp' else {}
  plots.save_animation(path, pictures, round(1000 / rate), **options)
  return None


def _encode(
  path: pathlib.Path, frames: Sequence[np.ndarray], rate: float
) -> None:
  """H.264, with even sides and the colours that players know."""
  height, width, channels = frames[0].shape
  raw = [
    'ffmpeg', '-loglevel', 'error', '-y', '-f', 'rawvideo', '-pix_fmt',
    'gray' if channels == 1 else 'rgb24', '-s', f'{width}x{height}',
    '-r', str(rate), '-i', '-',
  ]  # fmt: skip
  coded = [
    '-vf', 'pad=ceil(iw/2)*2:ceil(ih/2)*2', '-c:v', 'libx264', '-crf', '17',
    '-pix_fmt', 'yuv420p', str(path),
  ]  # fmt: skip
  done = subprocess.run(
    [*raw, *coded],
    input=b''.join(np.ascontiguousarray(x).tobytes() for x in frames),
    capture_output=True,
    check=False,
  )
  if done.returncode:
    told = done.stderr.decode(errors='replace').split()
    raise ValueError(f'{path}: ffmpeg failed ({" ".join(told)[:300]})')
