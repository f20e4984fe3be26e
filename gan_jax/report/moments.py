"""Pictures of a run as a page takes them: a few moments, made small."""

import base64
import contextlib
import functools
import io
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

# Sides in pixels and moments to try in turn, until a run's grids are small
# enough.
_TRIES = ((512, 16), (512, 10), (384, 10), (384, 6), (256, 6), (256, 3))

# What the reading of a damaged moment ends in.
DAMAGED = (
  EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile, zlib.error
)  # fmt: skip

# Moments of a run that an animation has at most.
DRAWN = 48

# The least repetition of pixels that is undone, and the most that is tried.
_REPEATS = range(16, 1, -1)


class Limits(NamedTuple):
  """What the pictures of one run may take.

  Attributes:
    grids: bytes of its image grids, encoded.
    moments: of a game in one or two dimensions.
    points: of a cloud.
    cells: of a plane's sides.
  """

  grids: int = 1_500_000
  moments: int = 16
  points: int = 1000
  cells: int = 48


def limits(count: int) -> Limits:
  """For each of so many runs, so that twenty make a page of 8 MB at most."""
  if count <= 4:
    return Limits()
  if count <= 8:
    return Limits(400_000, 12, 600, 40)
  return Limits(2_800_000 // count, max(3, 160 // count), 300, 28)


def read(workdir: pathlib.Path, kind: str, limits: Limits) -> dict[str, Any]:
  """The moments of a run that are on its page.

  Args:
    workdir: of the run.
    kind: of its data: 'density', 'points' or 'images'.
    limits: what they may take.

  Returns:
    `grids`, `curves`, `clouds` or `paths`, each with its `moments`, and `of`
    how many they were chosen; nothing of a population, which keeps none.
  """
  found: dict[str, Any] = {}
  grids = sorted((workdir / 'samples').glob('step_*.png'))
  if grids:
    found['grids'] = _grids(grids, limits)
  frames = sorted((workdir / 'frames').glob('step_*.npz'))
  shows = {'density': 'curves', 'points': 'clouds'}.get(kind, 'paths')
  readers: dict[str, Callable[[Any], dict[str, Any]]] = {
    'curves': _curves,
    'clouds': functools.partial(_cloud, limits=limits),
    'paths': _path,
  }
  moments = []
  for path in pick(frames, limits.moments):
    try:
      with opened(path) as stored:
        moments.append({'step': _step(path), **readers[shows](stored)})
    except DAMAGED:
      continue  # The others show the run.
  if moments:
    found[shows] = {'moments': moments, 'of': len(frames)}
  return found


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[Mapping[str, np.ndarray]]:
  """The arrays of a moment; where it is damaged, one of `DAMAGED` is raised."""
  # NumPy leaves a file open that it opened itself and cannot read.
  with path.open('rb') as file, np.load(file, allow_pickle=False) as stored:
    yield stored


def pick(found: Sequence[Any], count: int) -> list[Any]:
  """At most `count` of them, evenly, with the first and the last."""
  if len(found) <= count:
    return list(found)
  places = np.linspace(0, len(found) - 1, count).round().astype(int)
  return [found[i] for i in places]


def _step(path: pathlib.Path) -> int:
  return int(path.stem.removeprefix('step_'))


def _grids(paths: Sequence[pathlib.Path], limits: Limits) -> dict[str, Any]:
  moments: list[dict[str, Any]]
  for side, count in _TRIES:
    moments = []
    for path in pick(paths, count):
      try:
        data, size = _encoded(path, path.stat().st_mtime_ns, side)
      except (OSError, SyntaxError):
        continue  # Half-written, by a run at work.
      moments.append({'step': _step(path), 'image': data, 'size': size})
    if sum(len(m['image']) for m in moments) <= limits.grids:
      break
  reduced = any(max(m['size']) >= side for m in moments)
  return {'moments': moments, 'of': len(paths), 'side': side * reduced}


@functools.lru_cache(maxsize=512)
def _encoded(
  path: pathlib.Path, changed: int, side: int
) -> tuple[str, tuple[int, int]]:
  """A grid as a data URI, without pixels that only repeat others; its size.

  What is smaller than `side` keeps every bit; what is larger is reduced.
  """
  del changed  # Another file has another key.
  with PIL.Image.open(path) as opened:
    picture = opened.convert('RGB') if opened.mode != 'L' else opened.copy()
  picture = PIL.Image.fromarray(unrepeated(np.asarray(picture)))
  whole = max(picture.size) <= side
  picture.thumbnail((side, side), PIL.Image.Resampling.BOX)
  file = io.BytesIO()
  picture.convert('RGB').save(
    file, 'webp', lossless=whole and max(picture.size) < 300, quality=82
  )
  text = base64.b64encode(file.getvalue()).decode()
  return f'data:image/webp;base64,{text}', picture.size


def unrepeated(image: np.ndarray) -> np.ndarray:
  """`[H, W, ...]` without the whole repetition of `plots.image_grid`."""
  for times in _REPEATS:
    if image.shape[0] % times or image.shape[1] % times:
      continue
    small = image[::times, ::times]
    if (small.repeat(times, axis=0).repeat(times, axis=1) == image).all():
      return small
  return image


def _curves(stored: Any) -> dict[str, Any]:
  names = 'x', 'data', 'generated', 'disc', 'optimal', 'gen_loss', 'z', 'mapped'
  arrays = {name: digits(stored[name]) for name in names}
  return {**arrays, 'ks': digits(stored['ks'])}


def _cloud(stored: Any, limits: Limits) -> dict[str, Any]:
  by = max(1, -(-len(stored['x']) // limits.cells))
  return {
    'real': digits(stored['real'][: limits.points].T, 3),
    'generated': digits(stored['generated'][: limits.points].T, 3),
    'x': digits(stored['x'][::by]),
    'y': digits(stored['y'][::by]),
    'disc': digits(stored['disc'][::by, ::by], 3),
  }


def _path(stored: Any) -> dict[str, Any]:
  return {'t': digits(stored['t'], 3), 'logits': digits(stored['logits'])}


def digits(values: np.ndarray, count: int = 4) -> Any:
  """Plain numbers of so many digits; None for what is no number."""
  values = np.asarray(values, np.float64)
  sound = np.isfinite(values)
  plain = np.where(sound, values, 0.0)
  size = np.abs(np.where(plain == 0, 1.0, plain))
  places = count - 1 - np.floor(np.log10(size))
  scale = 10.0 ** np.clip(places, -300, 300)
  rounded = np.where(sound, np.round(plain * scale) / scale, np.nan)
  objects = rounded.astype(object)
  objects[~sound] = None
  return objects.tolist()
