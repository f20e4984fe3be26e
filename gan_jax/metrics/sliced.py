"""The sliced Wasserstein distance, for laws without a distribution function.

For points as they are, and for images by their patches at several scales.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.metrics import one_dimensional

# Of each image at each level, and the side of each, as in the paper.
PATCHES = 128
SIDE = 7
PROJECTIONS = 512

# Images whose pyramids are in memory together.
_BLOCK = 128


_product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def sliced_wasserstein_1(
  a: jax.Array, b: jax.Array, key: jax.Array, projections: int = 128
) -> jax.Array:
  """The mean Wasserstein-1 distance over random directions.

  Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters".

  Args:
    a: `[N, D]`.
    b: `[N, D]`, as many samples.
    key: of the directions.
    projections: how many.

  Returns:
    `[]`, in the samples' units.
  """
  directions = jax.random.normal(key, (projections, a.shape[1]))
  directions /= jnp.linalg.norm(directions, axis=1, keepdims=True)

  def along(direction: jax.Array) -> jax.Array:
    gaps = one_dimensional.sort(_product(a, direction))
    gaps -= one_dimensional.sort(_product(b, direction))
    return jnp.abs(gaps).mean()

  return jax.lax.map(along, directions).mean()


def _smooth(images: jax.Array) -> jax.Array:
  """Burt and Adelson's filter [1, 4, 6, 4, 1] / 16 along rows and columns.

  Beyond an edge the image is mirrored about its last pixel.
  """
  taps = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
  for axis in (1, 2):
    pads = [(2, 2) if i == axis else (0, 0) for i in range(4)]
    padded = jnp.pad(images, pads, mode='reflect')
    size = images.shape[axis]
    images = sum(
      (
        tap * jax.lax.slice_in_dim(padded, i, i + size, axis=axis)
        for i, tap in enumerate(taps)
      ),
      jnp.zeros_like(images),
    )
  return images


def _sides(height: int, width: int, smallest: int) -> list[tuple[int, int]]:
  """Of the levels of a pyramid, the finest first."""
  sides = [(height, width)]
  while all(x % 2 == 0 and x // 2 >= smallest for x in sides[-1]):
    sides.append((sides[-1][0] // 2, sides[-1][1] // 2))
  return sides


def laplacian_pyramid(images: jax.Array, smallest: int = 16) -> list[jax.Array]:
  """What each halving of the sides loses, and what is left.

  Args:
    images: `[N, H, W, C]`.
    smallest: sides are halved while they are even and their halves no less.

  Returns:
    `[N, H / 2^l, W / 2^l, C]` for l = 0, 1, ...; the last is the small image.
  """
  levels = []
  for _ in _sides(images.shape[1], images.shape[2], smallest)[1:]:
    small = _smooth(images)[:, ::2, ::2]
    spread = jnp.zeros_like(images).at[:, ::2, ::2].set(small)
    # Three of four pixels are 0, so the filter's mass is four times as much.
    levels.append(images - 4 * _smooth(spread))
    images = small
  return [*levels, images]


@functools.partial(jax.jit, static_argnames=('level', 'smallest', 'size'))
def _cut(
  images: jax.Array,
  rows: jax.Array,
  columns: jax.Array,
  *,
  level: int,
  smallest: int,
  size: int,
) -> jax.Array:
  """Patches [n, patches, size, size, C] of a level, at places [n, patches]."""
  offsets = jnp.arange(size)
  n, patches = rows.shape
  return laplacian_pyramid(images, smallest)[level][
    jnp.arange(n).reshape(n, 1, 1, 1),
    rows.reshape(n, patches, 1, 1) + offsets.reshape(1, 1, size, 1),
    columns.reshape(n, patches, 1, 1) + offsets.reshape(1, 1, 1, size),
  ]


def _patches(
  images: jax.Array | np.ndarray,
  rows: jax.Array,
  columns: jax.Array,
  *,
  level: int,
  smallest: int,
  size: int,
) -> jax.Array:
  """Normalised patches [N * patches, size * size * C]."""
  found = np.concatenate(
    [
      _cut(
        jnp.asarray(images[start : start + _BLOCK], jnp.float32),
        rows[start : start + _BLOCK],
        columns[start : start + _BLOCK],
        level=level,
        smallest=smallest,
        size=size,
      )
      for start in range(0, len(images), _BLOCK)
    ]
  )
  mean = found.mean(axis=(0, 1, 2, 3), dtype=np.float64)
  found -= mean.astype(np.float32)
  squares = np.einsum('npijc,npijc->c', found, found, dtype=np.float64)
  std = np.sqrt(squares / (found.size // found.shape[-1]))
  # A channel without any variation is left at 0.
  found /= np.where(std > 0, std, 1).astype(np.float32)
  return jnp.asarray(found.reshape(-1, size * size * found.shape[-1]))


def image_sliced_wasserstein_1(
  a: jax.Array | np.ndarray,
  b: jax.Array | np.ndarray,
  key: jax.Array,
  *,
  patches: int = PATCHES,
  size: int = SIDE,
  projections: int = PROJECTIONS,
  smallest: int = 16,
) -> jax.Array:
  """Sliced Wasserstein distances of patches, level by level.

  Karras et al. 2018, "Progressive Growing of GANs", section 5: patches of each
  level of a Laplacian pyramid, normalised a channel by the mean and standard
  deviation of that set's, and the mean Wasserstein-1 distance of their
  projections. The paper takes 16,384 images and reports 1000 times the values.
  Unlike its code, ours takes patches of the i-th images of both sets at the
  same places, so that a set is at distance 0 from itself; places and directions
  are independent of the images in both.

  Args:
    a: `[N, H, W, C]`.
    b: `[N, H, W, C]`, as many.
    key: of the places and directions.
    patches: of each image at each level.
    size: of a patch's side.
    projections: directions at each level.
    smallest: side of the last level at least: 16 in the paper; 28 x 28 images
      have a second level from 14 on.

  Returns:
    `[L]`, the finest level first.

  Raises:
    ValueError: the shapes differ, or a patch is larger than the last level.
  """
  if a.ndim != 4 or a.shape != b.shape:
    raise ValueError(
      'images must have one shape [N, H, W, C], got '
      f'{list(a.shape)} and {list(b.shape)}'
    )
  sides = _sides(a.shape[1], a.shape[2], smallest)
  if min(sides[-1]) < size:
    raise ValueError(
      f'size={size}: patches are larger than the last level, {sides[-1][0]} x '
      f'{sides[-1][1]}'
    )
  values = []
  for level, (height, width) in enumerate(sides):
    places, directions = jax.random.split(jax.random.fold_in(key, level))
    key_rows, key_columns = jax.random.split(places)
    shape = (len(a), patches)
    rows = jax.random.randint(key_rows, shape, 0, height - size + 1)
    columns = jax.random.randint(key_columns, shape, 0, width - size + 1)
    x, y = (
      _patches(z, rows, columns, level=level, smallest=smallest, size=size)
      for z in (a, b)
    )
    values.append(sliced_wasserstein_1(x, y, directions, projections))
  return jnp.stack(values)


def most_images(shape: tuple[int, int, int], limit: int) -> int:
  """How many images of one set to compare at most.

  Args:
    shape: `(H, W, C)` of each.
    limit: bytes that their pixels, or their patches at one level, may take.

  Returns:
    16,384 as in the paper, or fewer.

  Raises:
    ValueError: images are smaller than a patch.
  """
  if min(shape[:2]) < SIDE:
    raise ValueError(
      f'eval.metrics: swd is of patches of {SIDE} x {SIDE}, and images are '
      f'{shape[0]} x {shape[1]}'
    )
  area = max(shape[0] * shape[1], PATCHES * SIDE**2)
  return min(16_384, limit // (4 * area * shape[2]))


def shortage(images: int) -> str | None:
  """A line of warning where images are too few for their patches, or None."""
  if images >= 1000:
    return None
  return (
    f'patches of {images:,} images are few (1,000 images are sensible at '
    'least; 16,384 are usual)'
  )
