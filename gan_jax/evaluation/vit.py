"""The vision transformer of DINOv2 and of CLIP, which differ in details.

Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", with normalisation
before each part of a block. It is never trained here. All blocks are one
program: their parameters are stacked, `[depth, ...]`.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types

# Channels of a head in all published sizes of both.
HEAD = 64

# Features are compared between machines.
_PRECISION = jax.lax.Precision.HIGHEST


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the networks differ in.

  Attributes:
    width: of a token.
    depth: blocks.
    heads: of attention.
    patch: side of the patches, in pixels.
    epsilon: of layer normalisation.
    scaled: what a block adds is scaled by channel (LayerScale).
    early: tokens are normalised before the first block.
    quick: GELU is x * sigmoid(1.702 x).
    projected: numbers that the first token is projected on; 0 leaves it.
  """

  width: int
  depth: int
  heads: int
  patch: int
  epsilon: float
  scaled: bool = False
  early: bool = False
  quick: bool = False
  projected: int = 0

  def __str__(self) -> str:
    return f'ViT/{self.patch}, {self.depth} blocks of width {self.width}'


def _dense(features: int, name: str) -> nn.Dense:
  return nn.Dense(features, precision=_PRECISION, name=name)


class _Block(nn.Module):
  """Attention and a layer of four times the width, each added to its input."""

  settings: Settings

  def _attention(self, x: jax.Array) -> jax.Array:
    heads = self.settings.heads
    qkv = _dense(3 * x.shape[-1], 'qkv')(x)
    # [3, N, heads, tokens, channels].
    q, k, v = jnp.moveaxis(
      qkv.reshape(*x.shape[:2], 3, heads, -1), (2, 3), (0, 2)
    )
    products = jnp.matmul(q, k.swapaxes(-1, -2), precision=_PRECISION)
    weights = jax.nn.softmax(products * q.shape[-1] ** -0.5)
    seen = jnp.matmul(weights, v, precision=_PRECISION)
    return _dense(x.shape[-1], 'proj')(seen.swapaxes(1, 2).reshape(x.shape))

  def _perceptron(self, x: jax.Array) -> jax.Array:
    y = _dense(4 * x.shape[-1], 'fc1')(x)
    if self.settings.quick:
      y *= jax.nn.sigmoid(1.702 * y)
    else:
      y = jax.nn.gelu(y, approximate=False)
    return _dense(x.shape[-1], 'fc2')(y)

  @nn.compact
  def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
    parts = (self._attention, 'norm1', 'scale1'), (
      self._perceptron, 'norm2', 'scale2',
    )  # fmt: skip
    for part, norm, scale in parts:
      y = part(nn.LayerNorm(self.settings.epsilon, name=norm)(x))
      if self.settings.scaled:
        gamma = self.param(scale, nn.initializers.ones, x.shape[-1:])
        y *= gamma.reshape(1, 1, -1)
      x += y
    return x, None


class Vit(nn.Module):
  """Images `[N, S, S, 3]` to the first token's `[N, D]` after the blocks.

  S is a multiple of the patches' side; D is the width, or `projected`.
  """

  settings: Settings

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    s = self.settings
    n, side = len(x), x.shape[1] // s.patch
    x = x.reshape(n, side, s.patch, side, s.patch, 3).swapaxes(2, 3)
    x = _dense(s.width, 'patches')(x.reshape(n, side**2, -1))
    shape = (1, side**2 + 1, s.width)
    place = self.param('place', nn.initializers.normal(0.02), shape)
    first = self.param('first', nn.initializers.zeros, (1, 1, s.width))
    first = jnp.broadcast_to(first, (n, 1, s.width))
    x = jnp.concatenate([first, x], axis=1) + place
    if s.early:
      x = nn.LayerNorm(s.epsilon, name='early')(x)
    blocks = nn.scan(
      _Block, {'params': 0}, split_rngs={'params': True}, length=s.depth
    )
    x, _ = blocks(s, name='blocks')(x, None)
    x = nn.LayerNorm(s.epsilon, name='norm')(x[:, 0])
    if not s.projected:
      return x
    kernel = self.param(
      'projection', nn.initializers.lecun_normal(), (s.width, s.projected)
    )
    return jnp.matmul(x, kernel, precision=_PRECISION)


class Reader:
  """Takes a checkpoint's arrays by name, each in the shape it must have.

  Attributes:
    left: names that nobody has taken.
  """

  def __init__(self, arrays: Mapping[str, np.ndarray], network: str):
    """Keeps the arrays; checks happen in `take`.

    Args:
      arrays: by name, as PyTorch has them.
      network: what they should be of, for messages.
    """
    self._arrays, self._network = arrays, network
    self.left = set(arrays)

  def take(self, name: str, shape: Sequence[int | None]) -> np.ndarray:
    """One array, float32; None stands for any length.

    Raises:
      ValueError: there is none, or it has another shape.
    """
    if name not in self._arrays:
      raise ValueError(
        f'weights: there is no {name}; they are not of {self._network}'
      )
    array = self._arrays[name]
    fits = array.ndim == len(shape) and all(
      wanted in (None, found)
      for wanted, found in zip(shape, array.shape, strict=True)
    )
    if not fits:
      words = ['any' if n is None else str(n) for n in shape]
      raise ValueError(
        f'weights: {name} has shape {list(array.shape)} instead of '
        f'[{", ".join(words)}]'
      )
    self.left.discard(name)
    return np.asarray(array, np.float32)

  def norm(self, name: str, width: int) -> types.PyTree:
    """Layer normalisation."""
    scale, bias = (
      self.take(f'{name}.{part}', [width]) for part in ('weight', 'bias')
    )
    return {'scale': scale, 'bias': bias}

  def dense(self, name: str, old: int, new: int) -> types.PyTree:
    """A linear layer."""
    kernel = self.take(f'{name}.weight', [new, old]).T
    return {'kernel': kernel, 'bias': self.take(f'{name}.bias', [new])}

  def patches(self, name: str, width: int) -> np.ndarray:
    """The convolution that makes tokens, as a product: `[P * P * 3, width]`."""
    kernel = self.take(f'{name}.weight', [width, 3, None, None])
    return kernel.transpose(2, 3, 1, 0).reshape(-1, width)

  def depth(self, prefix: str) -> int:
    """How many blocks there are, of names such as 'blocks.3.norm1.bias'."""
    names = [n for n in self._arrays if n.startswith(prefix)]
    found = {n.removeprefix(prefix).partition('.')[0] for n in names}
    return max(1, len(found))

  def square(self, name: str, table: np.ndarray) -> np.ndarray:
    """Positions `[M * M, D]` as `[M, M, D]`.

    Raises:
      ValueError: they are of no square.
    """
    side = round(len(table) ** 0.5)
    if side**2 != len(table):
      raise ValueError(
        f'weights: {name} has {len(table)} positions of patches, no square'
      )
    return table.reshape(side, side, -1)


def stacked(blocks: Sequence[types.PyTree]) -> types.PyTree:
  """The parameters of all blocks as those of one, `[depth, ...]`."""
  return jax.tree.map(lambda *each: np.stack(each), *blocks)


def without_logits(features: jax.Array) -> types.Features:
  """Of a network that names no classes."""
  return types.Features(features, jnp.zeros((len(features), 0)))


def features(
  settings: Settings,
  params: types.PyTree,
  x: jax.Array,
  *,
  mean: Sequence[float],
  std: Sequence[float],
) -> jax.Array:
  """What a network sees in images of its size.

  Args:
    settings: of the network.
    params: of `Vit`.
    x: `[N, S, S, 3]` in [-1, 1].
    mean: of colours in [0, 1], which the network takes as 0.
    std: their deviation, which it takes as 1.

  Returns:
    `[N, D]`.
  """
  shape = (1, 1, 1, 3)
  middle, scale = (jnp.array(c).reshape(shape) for c in (mean, std))
  x = ((x + 1) / 2 - middle) / scale
  found = Vit(settings).apply({'params': params}, x)
  assert isinstance(found, jax.Array)
  return found
