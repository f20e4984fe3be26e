"""Images of one's own: what is read, what is left out, and what is said."""

import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import zipfile
from typing import Any

import jax
import numpy as np
import PIL.Image
import pytest

from gan_jax import cache
from gan_jax.config import fields as configs
from gan_jax.data import (
  decoding,
  files,
  images,
  opening,
  pixels,
  splits,
)
from gan_jax.engine import build, program
from gan_jax.run import train

KEY = jax.random.key(0)
ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def own_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
  """Three images of class a and two of class b, 8x8, each its own."""
  for i, name in enumerate(('a/0', 'a/1', 'a/2', 'b/0', 'b/deep/1')):
    save(tmp_path / 'set' / f'{name}.png', i)
  return tmp_path / 'set'


def save(path: pathlib.Path, seed: int, side: int = 8) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 256, (side, side, 3), np.uint8)
  PIL.Image.fromarray(image).save(path)


def opened(path: object, split: str = 'train', **data) -> images.ImageSet:
  config = configs.Data(name='folder', dir=str(path), **data)
  return opening.open_images(config, split)


def fingerprint(image_set: images.ImageSet) -> str:
  return images.facts(image_set).fingerprint


def test_a_folder_of_classes(root: pathlib.Path):
  found = opened(root)
  assert (found.total, found.shape) == (5, (8, 8, 3))
  assert found.class_names == ('a', 'b')
  x, labels = found.fetch([4, 1])
  assert labels is not None
  assert labels.tolist() == [1, 0]
  for image, seed in zip(x, (4, 1), strict=True):
    rng = np.random.default_rng(seed)
    expected = rng.integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(image, expected)


def test_a_folder_without_classes(tmp_path: pathlib.Path):
  save(tmp_path / 'set' / 'x.png', 0)
  found = opened(tmp_path / 'set')
  assert (found.class_names, found.labels) == ((), None)
  assert images.describe(found) == '1 image 8x8x3'


def test_all_that_is_left_out_is_said(
  root: pathlib.Path, tmp_path: pathlib.Path
):
  """A hidden folder, a webp, 16 bits, broken files and a linked class."""
  save(root / '.hidden' / '0.png', 9)
  save(root / '__MACOSX' / 'a' / '0.png', 9)
  (root / 'a' / 'Thumbs.db').write_bytes(b'x')
  save(root / 'a' / '3.webp', 10)
  deep = np.full((8, 8), 65535, np.uint16)
  PIL.Image.fromarray(deep).save(root / 'a' / '4.png')
  for name in ('1.txt', '2.txt', '3.json'):
    (root / 'a' / name).write_text('{}')
  whole = (root / 'a' / '0.png').read_bytes()
  (root / 'b' / 'cut.png').write_bytes(whole[: len(whole) // 2])
  (root / 'b' / 'text.jpg').write_text('no image')
  save(tmp_path / 'elsewhere' / '0.png', 11)
  (root / 'c').symlink_to(tmp_path / 'elsewhere')
  (root / 'b' / 'gone.png').symlink_to(tmp_path / 'nowhere')
  (root / 'b' / 'loop').symlink_to(root)
  expected = (
    '8 images 8x8x3, 3 classes (a 5, b 2, c 1), 7 files ignored (2 .txt, '
    '1 .json, 4 unreadable: b/loop, b/gone.png, b/text.jpg, b/cut.png), 3 '
    'hidden names skipped, 1 of 16 bits scaled to 8 bits'
  )
  said = images.describe(opened(root))
  assert sorted(said.split()) == sorted(expected.split())
  assert said == images.describe(opened(root))
  again = images.describe(opened(root, 'train[:50%]'))
  assert ', train[:50%] of 8, 7 files ignored' in again


def test_many_classes_and_files_are_named_in_part(tmp_path: pathlib.Path):
  for i in range(6):
    save(tmp_path / 'set' / f'class{i}' / '0.png', i)
    save(tmp_path / 'set' / f'class{i}' / '1.png', i)
    (tmp_path / 'set' / f'class{i}' / 'z.png').write_text('')
  said = images.describe(opened(tmp_path / 'set'))
  assert '(class0 2, class1 2, class2 2, class3 2, ...)' in said
  assert said.endswith('class4/z.png, ...)')


def test_most_files_broken_is_refused_with_their_names(root: pathlib.Path):
  for i in range(6):
    (root / 'b' / f'bad{i}.png').write_bytes(b'\x89PNG\r\n\x1a\n')
  with pytest.raises(
    ValueError, match=r'6 of 11 .*bad0\.png \(.*bad4.*, \.\.\.'
  ):
    opened(root)


def test_broken_pixels_count_as_well(root: pathlib.Path):
  for path in sorted(root.rglob('*.png'))[:3]:
    path.write_bytes(path.read_bytes()[:120])
  with pytest.raises(
    ValueError, match=r'3 of 5 images cannot be read: a/0\.png'
  ):
    opened(root)


def test_too_many_pixels(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setattr(pixels, 'MAX_PIXELS', 63)
  with pytest.raises(ValueError, match=r'a/0\.png \(8x8 pixels are too many\)'):
    opened(root)


@pytest.mark.parametrize(
  ('kind', 'message'),
  [
    ('nothing', "data.dir='': the folder or zip file"),
    ('missing', 'there is no such folder'),
    ('empty', r'no image in it \(png, jpeg'),
    ('packed', r'ppm\); if its images are in x\.zip, give that'),
    ('file', 'x.txt is no folder and no zip file'),
    ('stray', r'stray\.png: stands beside class folders'),
    ('sizes', r'images differ in size \(a/0\.png is 8x8, b/big\.png 9x9\)'),
    ('splits', r'folders \(Train, test\) are splits .* data.dir=.*/Train$'),
    ('inside', 'there is no test/ in x.zip'),
  ],
)
def test_what_cannot_be_a_set(root: pathlib.Path, kind: str, message: str):
  where: object = root
  if kind == 'nothing':
    where = ''
  elif kind == 'missing':
    where = root / 'none'
  elif kind == 'empty':
    where = root.parent / 'empty'
    where.mkdir()
  elif kind == 'packed':
    where = root.parent / 'packed'
    where.mkdir()
    zipped(root, where / 'x.zip')
  elif kind == 'file':
    where = root.parent / 'x.txt'
    where.write_text('x')
  elif kind == 'stray':
    save(root / 'stray.png', 0)
  elif kind == 'sizes':
    save(root / 'b' / 'big.png', 0, side=9)
  elif kind == 'inside':
    where = zipped(root, root.parent / 'x.zip') / 'test'
  else:
    (root / 'a').rename(root / 'Train')
    (root / 'b').rename(root / 'test')
  with pytest.raises(ValueError, match=message):
    opened(where)


def zipped(
  root: pathlib.Path, path: pathlib.Path, under: str = ''
) -> pathlib.Path:
  with zipfile.ZipFile(path, 'w') as archive:
    for file in sorted(root.rglob('*')):
      archive.write(file, under + str(file.relative_to(root)))
  return path


def test_a_zip_file_is_read_like_its_folder(
  root: pathlib.Path, tmp_path: pathlib.Path
):
  plain = opened(root)
  path = zipped(root, tmp_path / 'set.zip')
  found = opened(path)
  assert fingerprint(found) == fingerprint(plain)
  assert images.describe(found) == images.describe(plain)
  assert fingerprint(opened(path / 'a')) == fingerprint(opened(root / 'a'))
  with zipfile.ZipFile(path, 'a') as archive:
    for name in ('__MACOSX/a/._0.png', 'a/.DS_Store', 'a/x.txt'):
      archive.writestr(name, 'x')
    archive.writestr('a/9.png', b'\x89PNG\r\n\x1a\n')
  said = images.describe(opened(path))
  assert said.endswith(
    '2 files ignored (1 .txt, 1 unreadable: a/9.png), 2 hidden names skipped'
  )


def test_zip_files_with_splits_in_them(
  root: pathlib.Path, tmp_path: pathlib.Path
):
  path = zipped(root, tmp_path / 'set.zip', 'train/')
  with pytest.raises(ValueError, match=r'give .*data.dir=.*set\.zip/train$'):
    opened(path)
  assert fingerprint(opened(path / 'train')) == fingerprint(opened(root))


def test_damaged_zip_entries_are_named(
  root: pathlib.Path, tmp_path: pathlib.Path
):
  path = zipped(root, tmp_path / 'set.zip')
  data = path.read_bytes()
  where = data.index((root / 'a' / '1.png').read_bytes()) + 60
  path.write_bytes(data[:where] + b'????' + data[where + 4 :])
  assert opened(path).notes == ('1 file ignored (1 unreadable: a/1.png)',)


NAMES = ['00000/img0.png', '00000/img1.png', '00001/img2.png']


def stylegan(
  path: pathlib.Path, labels: object, *, unpacked: bool = False
) -> pathlib.Path:
  """A set as StyleGAN's tools write it, zipped or not."""
  for i, name in enumerate(NAMES):
    save(path / name, i)
  (path / 'dataset.json').write_text(json.dumps({'labels': labels}))
  return path if unpacked else zipped(path, path.with_suffix('.zip'))


@pytest.mark.parametrize('in_folder', [False, True])
def test_stylegans_labels(tmp_path: pathlib.Path, in_folder: bool):
  pairs = [[name, label] for name, label in zip(NAMES, (2, 0, 2), strict=True)]
  found = opened(stylegan(tmp_path / 'x', pairs[::-1], unpacked=in_folder))
  assert found.class_names == ('0', '1', '2')
  assert found.fetch([0, 1, 2])[1].tolist() == [2, 0, 2]
  assert images.describe(found) == (
    '3 images 8x8x3, 3 classes (0 1, 1 0, 2 2), no image of 1 of them'
  )


def test_stylegans_images_without_labels(tmp_path: pathlib.Path):
  """Their folders are no classes."""
  found = opened(stylegan(tmp_path / 'x', None))
  assert (found.total, found.class_names, found.labels) == (3, (), None)


PAIRS = [[name, 0] for name in NAMES]


@pytest.mark.parametrize(
  ('labels', 'message'),
  [
    (PAIRS[:2], r'has no label of 00001/img2\.png'),
    ([*PAIRS, ['img3.png', 1]], r'a label of img3\.png, which is not there'),
    ([*PAIRS[:2], [NAMES[2], -1]], r'label -1 of 00001/img2\.png .* outside 0'),
    ([*PAIRS[:2], [NAMES[2], 10**9]], 'outside 0 to 99,999'),
    ([*PAIRS[:2], [NAMES[2], 0.5]], 'is no whole number'),
    ([*PAIRS[:2], [NAMES[2], True]], 'is no whole number'),
    ({'a': 1}, r'must be null or \[\[name, number\], \.\.\.\]'),
    (['ab'], 'must be null or'),
    ([*PAIRS, [NAMES[0], 1]], r'img0\.png .* is not 0, which it has there too'),
  ],
)
def test_labels_that_do_not_fit(
  tmp_path: pathlib.Path, labels: object, message: str
):
  with pytest.raises(ValueError, match=message) as caught:
    opened(stylegan(tmp_path / 'x', labels))
  assert '\n' not in str(caught.value)


def test_another_programs_dataset_json(root: pathlib.Path):
  (root / 'dataset.json').write_text('{"author": "x"}')
  assert opened(root).class_names == ('a', 'b')
  assert opened(root).notes == ('1 file ignored (1 .json)',)
  (root / 'dataset.json').write_text('{"labels": ')
  with pytest.raises(ValueError, match=r'its dataset\.json cannot be read'):
    opened(root)
  (root / 'dataset.json').write_text(json.dumps(PAIRS))
  with pytest.raises(ValueError, match=r'must be {"labels": \[.* list alone'):
    opened(root)


# Slices.


def test_slices_are_disjoint_whole_and_of_names_alone():
  names = [f'class{i % 10}/{i:05d}.png' for i in range(20_000)]
  left = splits.by_name(names, 'train[:90%]')
  right = splits.by_name(names, 'train[90%:]')
  assert sorted([*left, *right]) == list(range(20_000))
  # Binomial: 5 standard deviations of 42.
  assert abs(len(right) - 2000) < 5 * 42
  classes = np.bincount(right % 10, minlength=10)
  assert np.abs(classes - 200).max() < 5 * 14
  # Whatever else is there, in any order.
  some = names[::-3]
  own = {names[i] for i in right} & {*some}
  assert {some[i] for i in splits.by_name(some, 'train[90%:]')} == own
  thirds = ['train[:33.3%]', 'train[33.3%:66.6%]', 'train[66.6%:]']
  parts = [splits.by_name(names, third).tolist() for third in thirds]
  assert sorted(itertools.chain(*parts)) == list(range(20_000))


def test_a_name_keeps_its_side():
  """By BLAKE2b, as `printf a/0.png | b2sum -l 64` gives it."""
  share = 0xD6D521CAD454D62C / 2**64
  for edge, expected in ((share * 100 - 0.01, []), (share * 100 + 0.01, [0])):
    assert (
      splits.by_name(['a/0.png'], f'train[:{edge:.6f}%]').tolist() == expected
    )


@pytest.mark.parametrize(
  'split',
  ['test', 'train[:10]', 'train[90%]', 'train[50%:50%]', 'train[:110%]', '',
   'train[:1.2.3%]', 'train[60%:40%]'],
)  # fmt: skip
def test_other_splits_are_refused(root: pathlib.Path, split: str):
  with pytest.raises(ValueError, match=r"'train\[:90%\]' and 'train\[90%:\]'"):
    opened(root, split)


def test_an_empty_slice_is_refused(root: pathlib.Path):
  with pytest.raises(ValueError, match=r'has none of the 5 images'):
    opened(root, 'train[:0.001%]')


@pytest.mark.parametrize(
  ('a', 'b', 'expected'),
  [
    ('train[:90%]', 'train[90%:]', False),
    ('train[:90%]', 'train[80%:]', True),
    ('train', 'train[90%:]', True),
    ('train[10%:20%]', 'train[:10%]', False),
  ],
)
def test_slices_that_share_images(a: str, b: str, expected: bool):
  for split, held_out in ((a, b), (b, a)):
    data = configs.Data(name='folder', split=split)
    assert opening.overlap(data, held_out) == expected


def test_halves_are_made_alike(root: pathlib.Path):
  """Of one shape and one list of classes, though one half has no colour."""
  grey = PIL.Image.fromarray(np.zeros((8, 8), np.uint8))
  for i in range(40):
    grey.save(root / 'a' / f'grey{i}.png')
  halves = [opened(root, s) for s in ('train[:20%]', 'train[20%:]')]
  assert {half.shape for half in halves} == {(8, 8, 3)}
  assert {half.class_names for half in halves} == {('a', 'b')}
  assert sum(half.total for half in halves) == 45


# The cache.


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch):
  """Decoding, or reading a header, is an error within this."""

  def refuse(*_: object, **__: object) -> None:
    raise AssertionError('an image was opened')

  def forbid() -> pytest.MonkeyPatch:
    monkeypatch.setattr(PIL.Image, 'open', refuse)
    return monkeypatch

  return forbid


def test_the_second_start_opens_no_image(root: pathlib.Path, undecoded):
  (root / 'a' / 'bad.png').write_text('')
  before = opened(root)
  known, said = fingerprint(before), images.describe(before)
  undecoded()
  again = opened(root)
  assert (fingerprint(again), images.describe(again)) == (known, said)
  assert opened(root, 'train[50%:]').total == 5


def test_moved_files_are_found_again(root: pathlib.Path, undecoded):
  known = fingerprint(opened(root))
  root.rename(root.parent / 'moved')
  undecoded()
  assert fingerprint(opened(f'{root.parent}/moved/')) == known


def exchange(one: pathlib.Path, other: pathlib.Path) -> None:
  """The contents alone."""
  first, second = one.read_bytes(), other.read_bytes()
  for path, data in ((one, second), (other, first)):
    path.write_bytes(data)
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize('change', ['pixels', 'size', 'name', 'background'])
def test_what_changes_is_decoded_anew(root: pathlib.Path, change: str):
  data: dict[str, object] = {}
  for path in root.rglob('*.png'):
    # Of one length and time: as some tools leave their copies.
    path.write_bytes(path.read_bytes().ljust(1000, b'\0'))
    os.utime(path, ns=(0, 0))
  before = [*opened(root).fetch(range(5))[0]]
  order = [0, 1, 2, 3, 4]
  if change == 'pixels':
    order = [3, 1, 2, 0, 4]
    exchange(root / 'a' / '0.png', root / 'b' / '0.png')
  elif change == 'name':
    (root / 'a' / '0.png').rename(root / 'a' / '9.png')
    order = [1, 2, 0, 3, 4]
  else:
    data = {'size': 4} if change == 'size' else {'background': 'black'}
  found = opened(root, **data).fetch(range(5))[0]
  if change == 'size':
    assert found.shape == (5, 4, 4, 3)
  else:
    np.testing.assert_array_equal(found, [before[i] for i in order])


def test_a_damaged_cache_is_made_again(root: pathlib.Path):
  known = fingerprint(opened(root))
  for suffix in ('npy', 'json'):
    (path,) = cache.folder().glob(f'images-*.{suffix}')
    path.write_bytes(path.read_bytes()[:-20])
    assert fingerprint(opened(root)) == known


def test_what_no_game_can_use_is_not_decoded(
  root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  """A size, labels, a stack: all are refused by what the headers tell."""

  def refused(config: configs.Config, why: str) -> None:
    with pytest.raises(ValueError, match=why):
      program.open_game(config)
    assert not [*cache.folder().glob('*.npy')]

  monkeypatch.setattr(decoding, 'write', None)
  config = configs.Config(batch_size=4)
  config.data = configs.Data(name='folder', dir=str(root), size=20)
  config.gen.name = config.disc.name = 'r3gan'
  refused(config, '20')
  config.data.stack = 2
  refused(config, '^data.stack=2: ')
  config.data.stack, config.data.size = 1, 8
  (root.parent / 'plain').mkdir()
  for image in root.rglob('*.png'):
    image.rename(root.parent / 'plain' / f'{image.parent.name}{image.name}')
  config.data.dir, config.conditional = str(root.parent / 'plain'), True
  refused(config, '^conditional=True: ')


def test_broken_images_need_no_class(root: pathlib.Path):
  """Whether their headers are sound or not: they are left out."""
  whole = (root / 'a' / '0.png').read_bytes()
  (root / 'stray.png').write_bytes(whole[: len(whole) // 2])
  found = opened(root)
  assert (found.total, found.class_names) == (5, ('a', 'b'))
  assert '1 unreadable: stray.png' in images.describe(found)
  names = [path.relative_to(root) for path in root.rglob('?.png')]
  labels = {'labels': [[str(name), 0] for name in names]}
  (root / 'dataset.json').write_text(json.dumps(labels))
  assert opened(root).class_names == ('0',)


@pytest.mark.parametrize('how', ['no room', 'full', 'closed'])
@pytest.mark.parametrize('limit', [4.0, 0.0])
def test_without_room_for_the_cache(
  root: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
  how: str,
  limit: float,
):
  """In memory, or decoded whenever it is read: the images are the same."""
  cut = root / 'a' / 'cut.png'
  cut.write_bytes((root / 'a' / '0.png').read_bytes()[:120])
  config = configs.Config(batch_size=4)
  config.data = configs.Data(name='folder', dir=str(root))
  known = build.make_source(config, KEY).info
  shutil.rmtree(cache.folder())
  if how == 'no room':
    usage = shutil.disk_usage(root)._replace(free=10)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage)
  elif how == 'full':

    def full(*_: object, **__: object) -> None:
      raise OSError(28, 'No space left on device')

    monkeypatch.setattr(decoding, 'write', full)
  else:
    monkeypatch.setenv('XDG_CACHE_HOME', str(root / 'a' / '0.png'))
  config.data.device_limit_gb = limit
  capsys.readouterr()
  source = build.make_source(config, KEY)
  assert source.info == known
  assert source.about.endswith('1 file ignored (1 unreadable: a/cut.png)')
  batch = source.batch(source.chunk(0, 1), KEY, np.int32(0))
  assert batch.x.shape == (1, 4, 8, 8, 3)
  (line,) = capsys.readouterr().err.splitlines()
  assert 'decoded images cannot be kept' in line


def test_many_files_are_decoded_in_processes(
  root: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
):
  (root / 'a' / 'bad.png').write_bytes(b'\x89PNG\r\n\x1a\n')
  known = fingerprint(opened(root))
  shutil.rmtree(cache.folder())
  monkeypatch.setattr(decoding, '_FEW', 3)
  monkeypatch.setattr(decoding, '_TASK', 2)
  monkeypatch.setattr(decoding, 'available', lambda: 2)
  own = []
  each = decoding._each

  def noted(place: files.FileRoot, *rest: Any) -> Any:
    # Streams of earlier tests may still be reading ahead, of their folders.
    if place.path == str(root):
      own.append(0)
    return each(place, *rest)

  monkeypatch.setattr(decoding, '_each', noted)
  capsys.readouterr()
  assert fingerprint(opened(root)) == known
  assert not own
  assert capsys.readouterr().err.splitlines() == [
    'reading 6 images',
    'decoding 5 images',
  ]


def test_a_script_that_cannot_be_started_twice(
  root: pathlib.Path, tmp_path: pathlib.Path
):
  """Processes of Python begin with the script, unless it is guarded."""
  script = tmp_path / 'script.py'
  script.write_text(
    'from gan_jax.data import decoding, folder\n'
    'decoding._FEW = 3\n'
    'decoding.available = lambda: 2\n'
    f'print(folder.open_folder({str(root)!r}, folder.Asked()).total)\n'
  )
  done = subprocess.run(
    [sys.executable, str(script)],
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout == '5\n'
  assert 'decoding goes on in one process' in done.stderr


def test_what_a_kill_left_goes(root: pathlib.Path):
  old, new = (cache.folder() / f'partial-{x}' for x in ('old', 'new'))
  for partial in (old, new):
    partial.mkdir(parents=True)
    (partial / 'images.npy').write_text('x')
  long_ago = time.time() - 3 * 24 * 3600
  for path in (old / 'images.npy', old):
    os.utime(path, (long_ago, long_ago))
  opened(root)
  assert new.exists()
  assert not old.exists()


# What a run says and takes.


def trained(tiny: configs.Config, root: object) -> configs.Config:
  tiny.data = configs.Data(name='folder', dir=str(root))
  tiny.steps = 4
  return tiny


def test_a_start_says_its_data_and_its_devices(
  tiny: configs.Config,
  root: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
  monkeypatch: pytest.MonkeyPatch,
):
  (root / 'a' / 'notes.txt').write_text('x')

  class CompilingError(Exception):
    pass

  def stop(*_: object) -> None:
    raise CompilingError

  monkeypatch.setattr(program, 'compile_chunk', stop)
  with pytest.raises(CompilingError):
    train.train(trained(tiny, root), root.parent / 'run')
  first, second, *_ = capsys.readouterr().err.splitlines()
  assert first == (
    '5 images 8x8x3, 2 classes (a 3, b 2), 1 file ignored (1 .txt)'
  )
  assert second.startswith('devices: 4 cpu (')


def test_moved_images_do_not_block_a_resume(
  tiny: configs.Config, root: pathlib.Path, tmp_path: pathlib.Path
):
  train.train(trained(tiny, root), tmp_path / 'run')
  shutil.copytree(root, tmp_path / 'copy')
  for where in (
    f'{root}/',
    tmp_path / 'copy',
    zipped(root, tmp_path / 's.zip'),
  ):
    tiny.data.dir = str(where)
    tiny.steps += 4
    assert train.train(tiny, tmp_path / 'run')['step'] == tiny.steps
  save(tmp_path / 'copy' / 'a' / '0.png', 77)
  tiny.data.dir = str(tmp_path / 'copy')
  tiny.steps += 4
  with pytest.raises(ValueError, match='the data have changed'):
    train.train(tiny, tmp_path / 'run')


def run_program(tmp_path: pathlib.Path, before: str, **env: str):
  program = (
    'import sys\n'
    'from experiments import launch\n'
    f'def main():\n  {before}\n  import jax\n  print(jax.devices())\n'
    'launch.run(main)'
  )
  return subprocess.run(
    [sys.executable, '-c', program],
    env=os.environ | {'PYTHONPATH': str(ROOT)} | env,
    capture_output=True,
    text=True,
    check=False,
    cwd=tmp_path,
  )


@pytest.mark.parametrize('name', ['cuda', 'nonsense'])
def test_a_backend_that_is_not_there_is_one_line(
  tmp_path: pathlib.Path, name: str
):
  done = run_program(tmp_path, 'pass', JAX_PLATFORMS=name)
  assert done.returncode == 1
  (line,) = done.stderr.splitlines()
  assert line.startswith(f'error: JAX_PLATFORMS={name}: ')


def test_a_gpu_that_is_there_and_unused_is_told(tmp_path: pathlib.Path):
  """JAX looks for a device file; here it is told that there is one."""
  patch = (
    'from jax._src import hardware_utils; '
    'hardware_utils.has_visible_nvidia_gpu = lambda: True'
  )
  done = run_program(tmp_path, patch, JAX_PLATFORMS='', XLA_FLAGS='')
  assert done.returncode == 0, done.stderr
  (line,) = done.stderr.splitlines()
  assert line.startswith('warning: An NVIDIA GPU may be present')
