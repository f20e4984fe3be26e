"""Pixels of every format and depth, by values worked out by hand."""

import contextlib
import io
import pathlib
import struct

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets

from gan_jax.data import folder, images, pixels, prepared

# 0, a hundredth, the middle and the top of a range, as 8 bits have them.
SHARES = np.array([[0, 0.01, 0.5, 1]])
EIGHT = [0, 3, 128, 255]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def opened(
  path: pathlib.Path, size: int = 0, channels: int = 0, background='white'
) -> images.ImageSet:
  asked = folder.Asked(size, channels, background)
  return folder.open_folder(str(path), asked)


def first(path: pathlib.Path, **asked) -> np.ndarray:
  """The pixels `[H, W, C]` of the only image of a folder."""
  return opened(path, **asked).fetch([0])[0][0]


GREY = np.random.default_rng(0).integers(0, 256, (6, 5), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 5, 3), np.uint8)


@pytest.mark.parametrize(
  ('kind', 'image', 'options'),
  [
    ('PNG', COLOUR, {}),
    ('BMP', COLOUR, {}),
    ('TIFF', COLOUR, {'compression': 'tiff_lzw'}),
    ('WEBP', COLOUR, {'lossless': True}),
    ('PPM', COLOUR, {}),
    ('PPM', GREY, {}),
    ('GIF', GREY, {}),
    ('JPEG', GREY, {'quality': 100}),
  ],
)
def test_formats_are_known_by_their_content(
  tmp_path: pathlib.Path, kind: str, image: np.ndarray, options: dict
):
  for name in ('a.png', 'b', 'c.txt'):
    tmp_path.joinpath('set').mkdir(exist_ok=True)
    path = tmp_path / 'set' / name
    with path.open('wb') as file:
      PIL.Image.fromarray(image).save(file, kind, **options)
  found = opened(tmp_path / 'set')
  assert found.total == 3
  expected = image.reshape(6, 5, -1)
  assert found.shape == expected.shape
  for each in found.fetch(range(3))[0]:
    np.testing.assert_allclose(each, expected, atol=2 if kind == 'JPEG' else 0)


def test_palettes_are_grey_or_not(tmp_path: pathlib.Path):
  image = PIL.Image.fromarray(np.array([[0, 1]], np.uint8)).convert('P')
  for name, palette in {
    'a': [5, 5, 5, 90, 90, 90],
    'b': [5, 5, 5, 90, 0, 0],
  }.items():
    for kind in ('png', 'gif', 'bmp'):
      (tmp_path / name).mkdir(exist_ok=True)
      image.putpalette(palette)
      image.save(tmp_path / name / f'x.{kind}')
  assert opened(tmp_path / 'a').shape == (1, 2, 1)
  assert opened(tmp_path / 'a').fetch([2])[0].ravel().tolist() == [5, 90]
  assert opened(tmp_path / 'b').shape == (1, 2, 3)
  assert opened(tmp_path / 'b').fetch([2])[0][0, 0, 1].tolist() == [90, 0, 0]


def test_other_formats_are_no_images(tmp_path: pathlib.Path):
  """PostScript is a program, and Pillow would run another one for it."""
  image = PIL.Image.fromarray(COLOUR)
  image.save(tmp_path / 'good.png')
  image.save(tmp_path / 'a.eps')
  found = opened(tmp_path)
  assert (found.total, found.notes) == (1, ('1 file ignored (1 .eps)',))


def test_the_first_frame(tmp_path: pathlib.Path):
  frames = [PIL.Image.fromarray(np.full((4, 4), v, np.uint8)) for v in (50, 90)]
  frames[0].save(tmp_path / 'a.gif', save_all=True, append_images=frames[1:])
  found = opened(tmp_path, channels=1)
  assert (found.fetch([0])[0] == 50).all()
  assert found.notes == ('1 by their first frame',)


def test_images_that_are_enlarged(tmp_path: pathlib.Path):
  for name, side in (('a', 4), ('b', 8), ('c', 12)):
    image = PIL.Image.fromarray(np.zeros((side, 12), np.uint8))
    image.save(tmp_path / f'{name}.png')
  found = opened(tmp_path, size=8)
  assert found.notes == ('1 enlarged to 8x8',)


@pytest.mark.parametrize('kind', ['png', 'tiff', 'pgm'])
def test_16_bits(tmp_path: pathlib.Path, kind: str):
  values = np.rint(SHARES * 65535).astype(np.uint16)
  path = tmp_path / f'a.{kind}'
  if kind == 'pgm':
    path.write_bytes(b'P5 4 1 65535\n' + values.astype('>u2').tobytes())
  else:
    PIL.Image.fromarray(values).save(path)
  found = opened(tmp_path)
  assert found.shape == (1, 4, 1)
  assert found.fetch([0])[0].ravel().tolist() == EIGHT
  assert found.notes == ('1 of 16 bits scaled to 8 bits',)


def tiff(path: pathlib.Path, values: np.ndarray) -> None:
  """A grey TIFF as the standard has it, little-endian, in one strip."""
  sample = {'u': 1, 'i': 2, 'f': 3}[values.dtype.kind]
  height, width = values.shape
  data = values.astype(values.dtype.newbyteorder('<')).tobytes()
  tags = [
    (256, width), (257, height), (258, 8 * values.itemsize), (259, 1),
    (262, 1), (273, 8), (277, 1), (278, height), (279, len(data)),
    (339, sample),
  ]  # fmt: skip
  entries = b''.join(struct.pack('<HHII', tag, 4, 1, v) for tag, v in tags)
  path.write_bytes(
    struct.pack('<2sHI', b'II', 42, 8 + len(data))
    + data
    + struct.pack('<H', len(tags))
    + entries
    + struct.pack('<I', 0)
  )


@pytest.mark.parametrize(
  ('dtype', 'top', 'kind'),
  [
    ('uint32', 255, '32 bits'),
    ('uint32', 65535, '32 bits'),
    ('uint32', 2**32 - 1, '32 bits'),
    ('int32', 65535, '32 bits'),
    ('float32', 1, 'floats'),
    ('float32', 255, 'floats'),
  ],
)
def test_wide_greys_by_the_range_of_all(
  tmp_path: pathlib.Path, dtype: str, top: int, kind: str
):
  """A dark image is dark: the brightest of the set says what is white."""
  values = SHARES * top if kind == 'floats' else np.rint(SHARES * top)
  tiff(tmp_path / 'a.tif', values.astype(dtype))
  tiff(tmp_path / 'dark.tif', np.zeros((1, 4), dtype))
  found = opened(tmp_path)
  assert found.fetch([0, 1])[0][..., 0].tolist() == [[EIGHT], [[0] * 4]]
  assert found.notes == (f'2 of {kind} scaled to 8 bits',)


@pytest.mark.parametrize(
  ('values', 'message'),
  [
    ([[-0.5, 1]], r'bad\.tif: its floats go from -0\.5 to 1, and must lie in'),
    ([[0, 300]], r'bad\.tif: its floats go from 0 to 300'),
    ([[np.nan, 1]], r'bad\.tif: its floats go from nan'),
  ],
)
def test_floats_of_no_known_range_are_refused(
  tmp_path: pathlib.Path, values: list, message: str
):
  tiff(tmp_path / 'bad.tif', np.array(values, np.float32))
  tiff(tmp_path / 'good.tif', np.ones((1, 2), np.float32))
  with pytest.raises(ValueError, match=message):
    opened(tmp_path)


def test_negative_integers_are_refused(tmp_path: pathlib.Path):
  tiff(tmp_path / 'bad.tif', np.array([[-1, 5]], np.int32))
  with pytest.raises(ValueError, match=r'bad\.tif: its 32 bits go from -1 to'):
    opened(tmp_path)


@pytest.mark.parametrize(
  ('background', 'expected'),
  [('white', 255), ('black', 0), ('#0a0a0a', 10)],
)
@pytest.mark.parametrize('mode', ['RGBA', 'LA', 'P', '16 bits'])
def test_transparency_is_put_on_the_background(
  tmp_path: pathlib.Path, mode: str, background: str, expected: int
):
  """The left half is clear, the right one is opaque and 100."""
  if mode == '16 bits':
    values = np.full((2, 2), 100 * 257, np.uint16)
    values[:, 0] = 7
    image, options = PIL.Image.fromarray(values), {'transparency': 7}
  elif mode == 'P':
    image = PIL.Image.fromarray(np.array([[0, 1]] * 2, np.uint8), 'L')
    image = image.convert('P')
    image.putpalette([9, 9, 9, 100, 100, 100])
    options = {'transparency': 0}
  else:
    value = np.full((2, 2), 100, np.uint8)
    alpha = np.array([[0, 255]] * 2, np.uint8)
    channels = [value] * (len(mode) - 1) + [alpha]
    image, options = PIL.Image.fromarray(np.stack(channels, -1)), {}
  image.save(tmp_path / 'a.png', **options)
  found = first(tmp_path, channels=1, background=background)
  assert found[..., 0].tolist() == [[expected, 100]] * 2
  said = opened(tmp_path, channels=1, background=background).notes
  assert f'1 with transparency put on {background}' in said


def test_a_background_is_a_colour():
  for colour in ('whte', '#12', '', 'rgba(0,0,0,0)'):
    with pytest.raises(ValueError, match=r'background=.*must be a colour'):
      pixels.check_background(colour)


@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp', 'tiff'])
@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_headers_know_how_an_image_is_turned(
  tmp_path: pathlib.Path, kind: str, orientation: int
):
  """EXIF's 6 says that the picture's top is on the right: turn it clockwise."""
  exif = PIL.Image.Exif()
  exif[0x0112] = orientation
  stored = np.zeros((8, 16), np.uint8)
  stored[:, 8:] = 255
  path = tmp_path / f'a.{kind}'
  PIL.Image.fromarray(stored).convert('RGB').save(path, exif=exif)
  found = opened(tmp_path, channels=1)
  turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]
  expected = np.rot90(stored, turns)
  assert found.shape == (*expected.shape, 1)
  image = found.fetch([0])[0][0, ..., 0].astype(int)
  assert np.abs(image - expected).max() < 30


def test_headers_alone_are_read_first(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  """Nothing is decoded to learn the size, of PNG and JPEG with EXIF too."""
  exif = PIL.Image.Exif()
  exif[0x0112] = 6
  for name in ('a.png', 'a.jpg', 'b.png'):
    options = {} if name == 'b.png' else {'exif': exif}
    PIL.Image.fromarray(COLOUR).save(tmp_path / name, **options)

  def load(self):
    raise AssertionError('decoded')

  monkeypatch.setattr(PIL.ImageFile.ImageFile, 'load', load)
  monkeypatch.setattr(PIL.PngImagePlugin.PngImageFile, 'load', load)
  for name, size in (('a.png', (6, 5)), ('a.jpg', (6, 5)), ('b.png', (5, 6))):
    with PIL.Image.open(tmp_path / name) as image:
      found = pixels.header(image)
    assert (found.width, found.height) == size


def test_crop_to_the_centre_then_average_areas(tmp_path: pathlib.Path):
  wide = np.random.default_rng(0).integers(0, 256, (4, 8), np.uint8)
  PIL.Image.fromarray(wide).save(tmp_path / 'a.png')
  centre = wide[:, 2:6].astype(float)
  expected = centre.reshape(2, 2, 2, 2).mean(axis=(1, 3))
  np.testing.assert_allclose(
    first(tmp_path, size=2, channels=1)[..., 0], expected, atol=1
  )


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'WEBP', 'BMP', 'TIFF', 'GIF'])
def test_damaged_bytes_are_read_or_named(kind: str):
  """Whatever stands in a file: an image, or UnreadableError."""
  rng = np.random.default_rng(0)
  whole = io.BytesIO()
  PIL.Image.fromarray(COLOUR).save(whole, kind)
  form = pixels.Form(8, 3)
  with pixels.quietly():
    for _ in range(200):
      data = bytearray(whole.getvalue()[: rng.integers(1, 10_000)])
      for where in rng.integers(0, len(data), rng.integers(0, 9)):
        data[where] = rng.integers(256)
      with contextlib.suppress(pixels.UnreadableError):
        assert pixels.decode(bytes(data), form).shape == (8, 8, 3)


class Deep(tensorflow_datasets.core.GeneratorBasedBuilder):
  """Greys of 16 bits as TFDS keeps them: PNG files."""

  VERSION = tensorflow_datasets.core.Version('1.0.0')

  def _info(self):
    features = tensorflow_datasets.features
    image = features.Image(shape=(1, 4, 1), dtype=np.uint16)
    label = features.ClassLabel(names=['a', 'b'])
    both = features.FeaturesDict({'image': image, 'label': label})
    return tensorflow_datasets.core.DatasetInfo(builder=self, features=both)

  def _split_generators(self, dl_manager):
    return {'train': self._generate_examples()}

  def _generate_examples(self):
    for i in range(6):
      file = io.BytesIO()
      values = np.rint(SHARES * 65535).astype(np.uint16)
      PIL.Image.fromarray(np.roll(values, i)).save(file, 'PNG')
      file.seek(0)
      yield i, {'image': file, 'label': i % 2}


def test_16_bits_of_tfds(tmp_path: pathlib.Path):
  builder = Deep(data_dir=tmp_path, file_format='array_record')
  builder.download_and_prepare()
  form = pixels.Form(0, 0)
  found = prepared.open_tfds('deep', str(tmp_path), 'train', form, [])
  assert (found.total, found.shape) == (6, (1, 4, 1))
  images_, labels = found.fetch(range(6))
  assert {tuple(sorted(i.ravel().tolist())) for i in images_} == {tuple(EIGHT)}
  assert sorted(labels.tolist()) == [0, 0, 0, 1, 1, 1]
  assert found.notes == ('6 of 16 bits scaled to 8 bits',)
  assert images.describe(found).startswith('6 images 1x4x1, 2 classes (a 3, b')


@pytest.mark.parametrize('top', [1.0, 255.0])
def test_floats_of_tfds(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, top: float
):
  """A source like TFDS's, which writes floats with TensorFlow alone."""
  feature = tensorflow_datasets.features.Image(
    shape=(1, 4, 1), dtype=np.float32
  )

  class Source(list):
    class dataset_info:  # noqa: N801
      features = {'image': feature}  # noqa: RUF012

  values = (SHARES * top).astype(np.float32)[..., None]
  source = Source([{'image': values}, {'image': np.zeros_like(values)}])
  monkeypatch.setattr(prepared, '_open', lambda *_: source)
  monkeypatch.setattr(prepared, '_key', lambda *_: '')
  found = prepared.open_tfds('f', str(tmp_path), '', pixels.Form(0, 0), [])
  assert found.fetch([0, 1])[0][..., 0].tolist() == [[EIGHT], [[0] * 4]]
  assert found.notes == ('2 of floats scaled to 8 bits',)
