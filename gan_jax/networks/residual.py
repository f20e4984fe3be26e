"""Residual networks of SNGAN, SAGAN and BigGAN, which differ in their tables.

Shortcuts take x itself, before the activation. A 1x1 convolution commutes with
means, nearest neighbours and interpolation, so a shortcut's is computed at the
lower resolution.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import attention as attentions, layers
from gan_jax.ops import linear


class Plan(NamedTuple):
  """The channels of both networks at one size, in units of their width.

  Attributes:
    up: of G's lowest resolution, and after each of its blocks, which double
      the sides.
    down: after each of D's blocks.
    halvings: how many of D's blocks, from the first, halve the sides.
  """

  up: tuple[int, ...]
  down: tuple[int, ...]
  halvings: int

  def sides_up(self, size: int) -> list[int]:
    """After each of G's blocks."""
    blocks = len(self.up) - 1
    return [size >> (blocks - 1 - i) for i in range(blocks)]

  def sides_down(self, size: int) -> list[int]:
    """After each of D's blocks."""
    last = self.halvings
    return [size >> min(i + 1, last) for i in range(len(self.down))]


class Inits(NamedTuple):
  """Of the initial weights.

  Attributes:
    block: of the two 3x3 convolutions of a block.
    other: of all other layers.
    shortcut: of 1x1 shortcuts, and of G's last convolution; None for `other`.
  """

  block: layers.Init
  other: layers.Init
  shortcut: layers.Init | None = None

  @property
  def shortcuts(self) -> layers.Init:
    """Where shortcuts begin."""
    return self.shortcut or self.other


# Normalises `[B, H, W, C]` by a style: `norm(h, style)`, called in a module.
Norm = Callable[[jax.Array, jax.Array | None], jax.Array]


def choose(
  name: str, plans: Mapping[int, Plan], shape: tuple[int, ...]
) -> Plan:
  """The plan for images of a shape `(H, W, C)`.

  Raises:
    ValueError: there is none.
  """
  layers.check_square(name, shape)
  *rest, last = map(str, plans)
  known = f'{", ".join(rest)} or {last}'
  if shape[0] not in plans:
    near = min(plans, key=lambda size: abs(size - shape[0]))
    raise ValueError(
      f'data.size={shape[0]}: {name} makes images of side {known}; set '
      f'data.size={near}'
    )
  return plans[shape[0]]


def check_attention(field: str, side: int, sides: Sequence[int]) -> None:
  """Raises ValueError unless some block gives a resolution; 0 is none."""
  if side and side not in sides:
    known = ', '.join(map(str, dict.fromkeys(sides)))
    raise ValueError(
      f'{field}={side}: at this data.size, blocks give sides of {known}; 0 is '
      'no attention'
    )


def doubled(x: jax.Array) -> jax.Array:
  """Nearest neighbours, `[B, H, W, C]` to `[B, 2H, 2W, C]`."""
  return x.repeat(2, axis=1).repeat(2, axis=2)


def halved(x: jax.Array) -> jax.Array:
  """Means of 2x2, `[B, 2H, 2W, C]` to `[B, H, W, C]`."""
  return layers.windows(x).mean(axis=(2, 4))


def interpolated(x: jax.Array) -> jax.Array:
  """The same by linear interpolation between the middles of pixels."""
  batch, height, width, channels = x.shape
  shape = batch, 2 * height, 2 * width, channels
  return jax.image.resize(x, shape, 'linear')


class UpBlock(nn.Module):
  """Doubles the sides, `[B, H, W, I]` to `[B, 2H, 2W, features]`.

  Attributes:
    features: channels that come out, and those in between.
    norm: before each activation.
    inits: of the initial weights.
    dtype: of the activations.
    bilinear: doubles by interpolation, and not by nearest neighbours.
  """

  features: int
  norm: Norm
  inits: Inits
  dtype: Any = jnp.float32
  bilinear: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, style: jax.Array | None) -> jax.Array:
    double = interpolated if self.bilinear else doubled
    h = linear.relu(self.norm(x, style))
    if self.bilinear:
      h = conv(self.features, 3, self.inits.block, self.dtype)(double(h))
    else:
      h = resampled(self.features, self.inits.block, self.dtype, up=True)(h)
    h = linear.relu(self.norm(h, style))
    h = conv(self.features, 3, self.inits.block, self.dtype)(h)
    init = self.inits.shortcuts
    return h + double(conv(self.features, 1, init, self.dtype)(x))


class DownBlock(nn.Module):
  """`[B, H, W, I]` to `[B, H, W, features]`, or with half the sides.

  Attributes:
    features: channels that come out.
    hidden: those in between.
    first: there is no activation before the first convolution.
    halve: the sides.
    inits: of the initial weights.
    dtype: of the activations.
    rectified: the shortcut takes x after the activation.
  """

  features: int
  hidden: int
  first: bool
  halve: bool
  inits: Inits
  dtype: Any = jnp.float32
  rectified: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    h = x if self.first else linear.relu(x)
    x = h if self.rectified else x
    h = conv(self.hidden, 3, self.inits.block, self.dtype)(h)
    h = linear.relu(h)
    changes = self.halve or x.shape[-1] != self.features
    if self.halve:
      h = resampled(self.features, self.inits.block, self.dtype, up=False)(h)
      x = halved(x)
    else:
      h = conv(self.features, 3, self.inits.block, self.dtype)(h)
    if changes:
      x = conv(self.features, 1, self.inits.shortcuts, self.dtype)(x)
    return h + x


def conv(
  features: int, kernel: int, init: layers.Init, dtype: Any
) -> layers.Conv:
  return layers.Conv(features, kernel, 1, False, *init, dtype=dtype)


def resampled(
  features: int, init: layers.Init, dtype: Any, *, up: bool
) -> layers.Conv:
  """3x3 after nearest neighbours, or before means of 2x2."""
  return layers.Conv(features, 3, 2, up, *init, dtype=dtype, box=True)


def grow(
  z: jax.Array,
  styles: Sequence[jax.Array | None],
  shape: tuple[int, ...],
  channels: Sequence[int],
  norm: Norm,
  inits: Inits,
  *,
  attention: int = 0,
  remat: bool = False,
  bilinear: bool = False,
  dtype: Any,
) -> jax.Array:
  """A generator from its first layer to its last; called inside a module.

  Args:
    z: what the first layer sees, `[B, Z]`.
    styles: of each block.
    shape: of one image, `(size, size, C)`.
    channels: of the lowest resolution and after each block.
    norm: of all layers; the last of them has no style.
    inits: of the initial weights.
    attention: the side of the resolution with self-attention; 0 for none.
    remat: compute the insides of blocks again for the gradient.
    bilinear: as in `UpBlock`.
    dtype: of the activations.

  Returns:
    Images `[B, *shape]` in [-1, 1].
  """
  side, width = shape[0] >> len(styles), channels[0]
  h = layers.dense(side * side * width, *inits.other, dtype)(z)
  h = h.reshape(-1, side, side, width)
  block = nn.remat(UpBlock) if remat else UpBlock
  for i, (features, style) in enumerate(zip(channels[1:], styles, strict=True)):
    up = block(features, norm, inits, dtype, bilinear, name=f'Block_{i}')
    h = up(h, style)
    if h.shape[1] == attention:
      h = attentions.SelfAttention(inits.other, dtype)(h)
  h = linear.relu(norm(h, None))
  return nn.tanh(conv(shape[-1], 3, inits.shortcuts, dtype)(h))


def shrink(
  h: jax.Array,
  channels: Sequence[int],
  halvings: int,
  inits: Inits,
  *,
  wide: bool,
  attention: int = 0,
  remat: bool = False,
  rectified: bool = False,
  dtype: Any,
) -> tuple[jax.Array, jax.Array]:
  """A discriminator but for its last layer; called inside a module.

  Args:
    h: images `[B, size, size, C]`.
    channels: after each block.
    halvings: how many of them, from the first, halve the sides.
    inits: of the initial weights.
    wide: the hidden channels of a block are those that come out (BigGAN), and
      not those that go in (SNGAN, but for its first block).
    attention: the side of the resolution after whose first block there is
      self-attention; 0 for none.
    remat: compute the insides of blocks again for the gradient.
    rectified: as in `DownBlock`.
    dtype: of the activations.

  Returns:
    What the last block sees, `[B, H, W, I]`, and the sums over all pixels of
    what it makes of that, `[B, C]` float32.
  """
  block = nn.remat(DownBlock) if remat else DownBlock
  attended = False
  for i, features in enumerate(channels):
    hidden = features if wide or i == 0 else h.shape[-1]
    local = h
    down = block(
      features, hidden, i == 0, i < halvings, inits, dtype, rectified,
      name=f'Block_{i}',
    )  # fmt: skip
    h = down(h)
    if h.shape[1] == attention and not attended:
      h, attended = attentions.SelfAttention(inits.other, dtype)(h), True
  return local, linear.relu(h).sum(axis=(1, 2), dtype=jnp.float32)
