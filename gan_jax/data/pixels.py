"""What becomes of an image's pixels: 8 bits, no transparency, one shape.

Only NumPy and Pillow are imported: processes that decode start fast.
"""

import contextlib
import io
import pathlib
import warnings
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageColor
import PIL.ImageOps

# What Pillow decodes without running another program, by content.
FORMATS = ('PNG', 'JPEG', 'WEBP', 'BMP', 'TIFF', 'GIF', 'PPM')

# Pixels beyond which an image is refused and not decoded.
MAX_PIXELS = 100_000_000

# EXIF's orientations that exchange width and height.
_TURNED = (5, 6, 7, 8)
_ORIENTATION = 0x0112

# Kinds of greys that 8 bits do not hold.
WIDE = ('16 bits', '32 bits', 'floats')


class UnreadableError(ValueError):
  """A file that is an image by its name or its first bytes, and is broken."""


class UnknownError(UnreadableError):
  """A file that begins like no image."""


class Header(NamedTuple):
  """What is known of an image before it is decoded.

  Attributes:
    width: in pixels, after it has been turned as EXIF says.
    height: likewise.
    colour: False for greys.
    wide: '' for 8 bits a channel, or one of `WIDE`.
    alpha: whether it has transparency.
    frames: whether it has more than the first.
  """

  width: int
  height: int
  colour: bool
  wide: str
  alpha: bool
  frames: bool


class Form(NamedTuple):
  """What all images of a set become.

  Its name and fields are hashed into the fingerprints of data.

  Attributes:
    size: of both sides, centre-cropped and area-resized; 0 leaves their own.
    channels: 1 or 3.
    background: the colour that transparency is put on.
    tops: what becomes 255 in greys of 32 bits and in floats.
  """

  size: int
  channels: int
  background: str = 'white'
  tops: tuple[float, float] = (2**32 - 1, 1.0)


def check_background(colour: str) -> None:
  """Raises ValueError where it is no opaque colour that Pillow knows."""
  with contextlib.suppress(ValueError):
    if len(PIL.ImageColor.getrgb(colour)) == 3:
      return
  raise ValueError(
    f'data.background={colour!r}: must be a colour, such as white, black or '
    "'#808080'"
  )


@contextlib.contextmanager
def quietly() -> Iterator[None]:
  """Without Pillow's warnings: what it warns of is read right or refused."""
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    yield


@contextlib.contextmanager
def opened(file: pathlib.Path | IO[bytes]) -> Iterator[PIL.Image.Image]:
  """An image, decoded only when its pixels are asked for.

  Raises:
    UnknownError: it begins like no image of `FORMATS`.
    UnreadableError: it is broken or has more than `MAX_PIXELS`; also for what
      happens in the body.
  """
  try:
    with PIL.Image.open(file, formats=FORMATS) as image:
      if image.width * image.height > MAX_PIXELS:
        raise ValueError(f'{image.width}x{image.height} pixels are too many')
      yield image
  except PIL.UnidentifiedImageError:
    raise UnknownError('is no image of a known format') from None
  except Exception as error:
    # Decoders meet bytes of any kind, and what they raise is of any kind too.
    reason = ' '.join(str(error).split()) or type(error).__name__
    raise UnreadableError(reason) from None


def header(image: PIL.Image.Image) -> Header:
  """Of an open image, without decoding it."""
  width, height = image.size
  # Pillow has turned TIFF's size already. A PNG's own method would decode it
  # to look for EXIF behind the pixels.
  if image.format != 'TIFF':
    exif = PIL.Image.Image.getexif(image)
    if exif.get(_ORIENTATION) in _TURNED:
      width, height = height, width
  return Header(
    width,
    height,
    not (_wide(image) or _grey(image)),
    _wide(image),
    image.has_transparency_data,
    # A JPEG's other frames are previews.
    image.format not in ('JPEG', 'MPO')
    and bool(getattr(image, 'is_animated', False)),
  )


def _grey(image: PIL.Image.Image) -> bool:
  """Of 8 bits or fewer; a palette may hold nothing else."""
  if image.mode != 'P' or image.palette is None:
    return image.mode in ('1', 'L', 'LA', 'La')
  step = len(image.palette.rawmode or image.palette.mode)
  entries = np.frombuffer(bytes(image.palette.palette), np.uint8)
  colours = entries[: len(entries) // step * step].reshape(-1, step)
  return bool((colours[:, :3] == colours[:, :1]).all())


def _wide(image: PIL.Image.Image) -> str:
  """'' for 8 bits a channel, or one of `WIDE`."""
  if image.mode.startswith('I;16'):
    return '16 bits'
  if image.mode == 'I':
    # Pillow has 16 bits of these formats in 32.
    return '16 bits' if image.format in ('PNG', 'PPM') else '32 bits'
  return 'floats' if image.mode == 'F' else ''


def _values(image: PIL.Image.Image) -> np.ndarray:
  """The numbers of a wide grey image, `[H, W]`."""
  values = np.asarray(image)
  tags = getattr(image, 'tag_v2', {})
  if image.mode == 'I' and tags.get(339, (1,))[0] == 1:
    return values.view(np.uint32)  # Pillow has no unsigned integers of 32 bits.
  return values


def extent(image: PIL.Image.Image) -> tuple[float, float]:
  """The least and the greatest value of a wide grey image."""
  values = _values(image)
  return float(values.min()), float(values.max())


def integer_top(high: float) -> float:
  """What becomes 255 in 32-bit integers up to `high`: 8, 16 or 32 bits."""
  return next(top for top in (255, 2**16 - 1, 2**32 - 1) if high <= top)


def float_top(high: float) -> float:
  """What becomes 255 in floats up to `high`, which is at most 255."""
  return 1.0 if high <= 1 else 255.0


def check_extent(name: str, low: float, high: float, wide: str) -> None:
  """Raises ValueError, naming the file, where values have no known range."""
  most = 255 if wide == 'floats' else 2**32 - 1
  if not (low >= 0 and high <= most):  # NaN is neither.
    accepted = '[0, 1] or [0, 255]' if wide == 'floats' else '[0, 2^32 - 1]'
    raise ValueError(
      f'{name}: its {wide} go from {low:g} to {high:g}, and must lie in '
      f'{accepted}'
    )


def eight_bits(values: np.ndarray, top: float) -> np.ndarray:
  """Values in [0, `top`] as uint8, rounded: `top` becomes 255."""
  scaled = np.rint(values.astype(np.float64) * (255 / top))
  return np.clip(scaled, 0, 255).astype(np.uint8)


def _narrowed(image: PIL.Image.Image, form: Form) -> PIL.Image.Image:
  """A wide grey image in 8 bits, with its transparency."""
  values, top = _values(image), 2**16 - 1.0
  wide = _wide(image)
  if wide != '16 bits':
    top = form.tops[WIDE.index(wide) - 1]
  narrow = PIL.Image.fromarray(eight_bits(values, top))
  clear = image.info.get('transparency')
  if isinstance(clear, int):
    narrow.putalpha(PIL.Image.fromarray(np.uint8(255) * (values != clear)))
  kept = ('exif', 'xmp', 'XML:com.adobe.xmp')
  narrow.info = {k: image.info[k] for k in kept if k in image.info}
  return narrow


def render(image: PIL.Image.Image, form: Form) -> np.ndarray:
  """An image of any mode as `[H, W, C]` uint8."""
  image.load()
  if _wide(image):
    image = _narrowed(image, form)
  image = PIL.ImageOps.exif_transpose(image)
  if image.has_transparency_data:
    rgba = image.convert('RGBA')
    ground = PIL.Image.new('RGBA', image.size, form.background)
    image = PIL.Image.alpha_composite(ground, rgba)
  image = image.convert('L' if form.channels == 1 else 'RGB')
  size = form.size
  if size and image.size != (size, size):
    # Area averaging to shrink; to enlarge it would only repeat pixels.
    shrinks = min(image.size) >= size
    method = PIL.Image.Resampling
    image = PIL.ImageOps.fit(
      image, (size, size), method.BOX if shrinks else method.BICUBIC
    )
  return np.asarray(image).reshape(image.height, image.width, form.channels)


def render_array(values: np.ndarray, form: Form) -> np.ndarray:
  """`[H, W, C]` uint8 or float32, C being 1 to 4, as `render` has it."""
  if values.dtype == np.float32:
    values = eight_bits(values, form.tops[1])
  if values.shape[-1] == 1:
    values = values[..., 0]
  return render(PIL.Image.fromarray(values), form)


def decode(data: bytes, form: Form) -> np.ndarray:
  """The bytes of an image file, as `render` has them."""
  with opened(io.BytesIO(data)) as image:
    return render(image, form)
