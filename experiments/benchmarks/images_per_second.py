"""Images a second of a folder, a zip file and TFDS, against Pillow's decoders.

  python -m experiments.benchmarks.images_per_second --rounds=3

Writes so many JPEGs a side (seeded, the same in all three), and takes turns:
Pillow decodes each in one thread, and a run opens them with an empty cache, as
its first start does. Then tiny networks are trained on the set while it is
streamed from the cache: images a second that can be read, and how long steps
waited for them; and the same where the cache has no room, so that images are
decoded again whenever a step uses them.
"""

import contextlib
import functools
import io
import json
import math
import os
import pathlib
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from absl import flags

from experiments import launch, listed
from experiments.benchmarks import jpegs, results
from gan_jax.config import words

_IMAGES = flags.DEFINE_integer('images', 2500, 'A side.', lower_bound=32)
_SIDES = flags.DEFINE_list(
  'sides', ['64', '128', '256'], 'Of images, in pixels.'
)
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Of each.', lower_bound=1)
_BATCH = flags.DEFINE_integer('batch', 16, 'Of the game.', lower_bound=1)

# Steps of one program, and such programs that are timed.
_LENGTH, _PARTS = 10, 6
_KINDS = 'folder', 'zip', 'tfds'


def write_tfds(folder: pathlib.Path, root: pathlib.Path, side: int) -> str:
  """The images of class folders as TFDS would prepare them; its name there."""
  from array_record.python import array_record_module as array_record
  from tensorflow_datasets.proto import tf_example_pb2

  name = f'jpegs_{side}'
  paths = sorted(folder.rglob('*.jpg'))
  classes = sorted({path.parent.name for path in paths})
  home = root / name / '1.0.0'
  home.mkdir(parents=True)
  shard = home / f'{name}-train.array_record-00000-of-00001'
  writer = array_record.ArrayRecordWriter(str(shard), 'group_size:1')
  for path in paths:
    example = tf_example_pb2.Example()
    feature = example.features.feature
    feature['image'].bytes_list.value.append(path.read_bytes())
    feature['label'].int64_list.value.append(classes.index(path.parent.name))
    writer.write(example.SerializeToString())
  writer.close()
  of = 'tensorflow_datasets.core.features'
  shape = {'dimensions': [str(side), str(side), '3']}
  jpeg = {'dtype': 'uint8', 'encodingFormat': 'jpeg', 'shape': shape}
  features = {
    'pythonClassName': f'{of}.features_dict.FeaturesDict',
    'featuresDict': {
      'features': {
        'image': {
          'pythonClassName': f'{of}.image_feature.Image', 'image': jpeg,
        },
        'label': {
          'pythonClassName': f'{of}.class_label_feature.ClassLabel',
          'classLabel': {'numClasses': str(len(classes))},
        },
      }
    },
  }  # fmt: skip
  split = {
    'name': 'train',
    'shardLengths': [str(len(paths))],
    'numBytes': str(shard.stat().st_size),
    'filepathTemplate': '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}',
  }
  about = {
    'name': name, 'version': '1.0.0', 'fileFormat': 'array_record',
    'splits': [split],
  }  # fmt: skip
  (home / 'features.json').write_text(json.dumps(features))
  (home / 'dataset_info.json').write_text(json.dumps(about))
  (home / 'label.labels.txt').write_text('\n'.join(classes) + '\n')
  return name


def written(
  root: pathlib.Path, side: int, count: int
) -> dict[str, dict[str, str]]:
  """The same images in three ways, each as `configs.Data` takes it."""
  folder = root / f'folder{side}'
  jpegs.write(folder, count, side)
  archive = root / f'images{side}.zip'
  with zipfile.ZipFile(archive, 'w') as file:
    for path in sorted(folder.rglob('*.jpg')):
      file.write(path, path.relative_to(folder))
  name = write_tfds(folder, root / 'tfds', side)
  return {
    'folder': {'name': 'folder', 'dir': str(folder)},
    'zip': {'name': 'folder', 'dir': str(archive)},
    'tfds': {'name': name, 'dir': str(root / 'tfds')},
  }


def _encoded(data: dict[str, str]) -> Iterator[Any]:
  """What Pillow opens: each image's file, or its bytes."""
  where = pathlib.Path(data['dir'])
  if data['name'] != 'folder':
    import tensorflow_datasets

    source = tensorflow_datasets.data_source(
      data['name'], split='train', data_dir=where,
      decoders={'image': tensorflow_datasets.decode.SkipDecoding()},
    )  # fmt: skip
    yield from (io.BytesIO(source[row]['image']) for row in range(len(source)))
  elif where.is_dir():
    yield from sorted(where.rglob('*.jpg'))
  else:
    with zipfile.ZipFile(where) as archive:
      for name in archive.namelist():
        yield io.BytesIO(archive.read(name))


def by_pillow(data: dict[str, str]) -> int:
  """Decodes all in this thread, and tells how many there were."""
  import numpy as np
  import PIL.Image

  count = 0
  for file in _encoded(data):
    with PIL.Image.open(file) as image:
      np.asarray(image.convert('RGB'))
    count += 1
  return count


@contextlib.contextmanager
def cached_in(folder: str) -> Iterator[None]:
  """Within, what is decoded is kept there, if that can be."""
  before = os.environ.get('XDG_CACHE_HOME')
  os.environ['XDG_CACHE_HOME'] = folder
  try:
    yield
  finally:
    os.environ.pop('XDG_CACHE_HOME')
    if before is not None:
      os.environ['XDG_CACHE_HOME'] = before


def make_config(data: dict[str, str]) -> Any:
  """Of tiny networks on these images, streamed: whose steps are soon over."""
  from gan_jax.config import fields as configs
  from gan_jax.networks import mlp

  # One part before those that are timed, and one read ahead after them.
  steps = _LENGTH * (_PARTS + 2)
  config = configs.Config(
    steps=steps, log_every=_LENGTH, batch_size=_BATCH.value
  )
  config.eval.every = config.checkpoint.every = steps
  config.data = configs.Data(data['name'], data['dir'], device_limit_gb=0.0)
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.disc.net = mlp.DiscSettings(width=8, depth=1)
  return config


def open_data(data: dict[str, str]) -> None:
  """As a run does that streams them."""
  import jax

  from gan_jax.engine import build

  build.make_source(make_config(data), jax.random.key(0))


def _seconds(work: Callable[[], Any]) -> float:
  began = time.monotonic()
  work()
  return time.monotonic() - began


def starts(data: dict[str, str], root: pathlib.Path) -> dict[str, list[float]]:
  """Images a second of each round: Pillow's, and of a first start."""
  rates: dict[str, list[float]] = {'pillow': [], 'first_start': []}
  for _ in range(_ROUNDS.value):
    seconds = _seconds(lambda: by_pillow(data))
    rates['pillow'].append(_IMAGES.value / seconds)
    with tempfile.TemporaryDirectory(dir=root) as empty, cached_in(empty):
      seconds = _seconds(lambda: open_data(data))
    rates['first_start'].append(_IMAGES.value / seconds)
  return rates


def streams(data: dict[str, str]) -> dict[str, list[float]]:
  """Images a second that are read; of steps, seconds and the share waited."""
  from gan_jax.engine import chunks, program

  game = program.open_game(make_config(data))
  read = game.source.read
  assert read is not None
  read.rows(0, _LENGTH, slice(None))  # Compiles what chooses them.
  rounds: dict[str, list[float]] = {'read': [], 'step_ms': [], 'waited': []}
  for part in range(_ROUNDS.value):
    some = functools.partial(read.rows, part * _LENGTH, _LENGTH, slice(None))
    rounds['read'].append(_LENGTH * math.prod(read.shape) / _seconds(some))
  state = game.start()
  play = chunks.Chunks(game, _LENGTH, state, 0)
  for part in range(_PARTS + 1):
    before, began = play.waited, time.monotonic()
    state, _, _ = play(state, part * _LENGTH)
    took = time.monotonic() - began
    if part:  # The data of the first were read before it.
      rounds['step_ms'].append(took / _LENGTH * 1e3)
      rounds['waited'].append((play.waited - before) / took)
  return rounds


def _row(name: str, rounds: dict[str, list[float]]) -> list[str]:
  """Of the table, with medians."""
  median = {key: statistics.median(values) for key, values in rounds.items()}
  return [
    name,
    f'{median["pillow"]:,.0f}',
    f'{median["first_start"]:,.0f}',
    f'{median["first_start"] / median["pillow"]:.2f}',
    f'{median["read"]:,.0f}',
    f'{median["step_ms"]:.1f}',
    f'{median["waited"]:.0%}',
    f'{median["undecoded_read"]:,.0f}',
    f'{median["undecoded_step_ms"]:.1f}',
    f'{median["undecoded_waited"]:.0%}',
  ]


_HEAD = (
  'side and kind', 'Pillow', 'first start', 'ratio', 'kept', 'step, ms',
  'waited', 'not kept', 'step, ms', 'waited',
)  # fmt: skip


def main() -> None:
  from gan_jax.storage import whole

  sides = listed.numbers('sides', _SIDES.value, int, 'numbers of pixels', 1)
  figures: dict[str, Any] = {'images': _IMAGES.value, 'rounds': {}}
  print(*words.markdown([_HEAD, ['---'] * len(_HEAD)]), sep='\n')
  with whole.scratch() as root:
    # Imports and what is compiled once.
    for data in written(root / 'first', 8, count=20).values():
      by_pillow(data)
      with cached_in(str(root / 'cache')):
        open_data(data)
    for side in sides:
      ways = written(root, side, _IMAGES.value)
      for kind in _KINDS:
        rounds = starts(ways[kind], root)
        with tempfile.TemporaryDirectory(dir=root) as kept, cached_in(kept):
          rounds |= streams(ways[kind])
        # A place where nothing can be written.
        with cached_in('/dev/null'):
          each = streams(ways[kind])
        rounds |= {f'undecoded_{name}': each[name] for name in each}
        figures['rounds'][f'{side} {kind}'] = rounds
        print(*words.markdown([_row(f'{side}, {kind}', rounds)]), flush=True)
  results.write(figures)


if __name__ == '__main__':
  launch.run(main)
