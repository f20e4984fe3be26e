"""The sliced Wasserstein distance, for laws without a distribution function.

For points as they are, and for images by their patches at several scales.
"""

import functools

import jax
import jax.numpy as jnp

from gan_jax.metrics import one_dimensional


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
    gaps = one_dimensional.sort(a @ direction)
    gaps -= one_dimensional.sort(b @ direction)
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


def laplacian_pyramid(images: jax.Array, smallest: int = 16) -> list[jax.Array]:
  """What each halving of the sides loses, and what is left.

  Args:
    images: `[N, H, W, C]`.
    smallest: sides are halved while they are even and their halves no less.

  Returns:
    `[N, H / 2^l, W / 2^l, C]` for l = 0, 1, ...; the last is the small image.
  """
  levels = []
  while all(x % 2 == 0 and x // 2 >= smallest for x in images.shape[1:3]):
    small = _smooth(images)[:, ::2, ::2]
    spread = jnp.zeros_like(images).at[:, ::2, ::2].set(small)
    # Three of four pixels are 0, so the filter's mass is four times as much.
    levels.append(images - 4 * _smooth(spread))
    images = small
  return [*levels, images]


@functools.partial(jax.jit, static_argnames=('patches', 'size'))
def _patches(
  images: jax.Array, key: jax.Array, *, patches: int, size: int
) -> jax.Array:
  """Normalised patches [N * patches, size * size * C] at random places."""
  n, height, width, channels = images.shape
  key_rows, key_columns = jax.random.split(key)
  shape = (n, patches, 1, 1)
  rows = jax.random.randint(key_rows, shape, 0, height - size + 1)
  columns = jax.random.randint(key_columns, shape, 0, width - size + 1)
  offsets = jnp.arange(size)
  found = images[
    jnp.arange(n).reshape(n, 1, 1, 1),
    rows + offsets.reshape(1, 1, size, 1),
    columns + offsets.reshape(1, 1, 1, size),
  ]
  axes = (0, 1, 2, 3)
  mean, std = (f(found, axis=axes, keepdims=True) for f in (jnp.mean, jnp.std))
  # A channel without any variation is left at 0.
  normal = (found - mean) / jnp.where(std > 0, std, 1)
  return normal.reshape(n * patches, size * size * channels)


def image_sliced_wasserstein_1(
  a: jax.Array,
  b: jax.Array,
  key: jax.Array,
  *,
  patches: int = 128,
  size: int = 7,
  projections: int = 512,
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
  pyramids = [
    laplacian_pyramid(jnp.asarray(x, jnp.float32), smallest) for x in (a, b)
  ]
  sides = pyramids[0][-1].shape[1:3]
  if min(sides) < size:
    raise ValueError(
      f'size={size}: patches are larger than the last level, {sides[0]} x '
      f'{sides[1]}'
    )
  values = []
  for level, pair in enumerate(zip(*pyramids, strict=True)):
    places, directions = jax.random.split(jax.random.fold_in(key, level))
    x, y = (_patches(z, places, patches=patches, size=size) for z in pair)
    values.append(sliced_wasserstein_1(x, y, directions, projections))
  return jnp.stack(values)
