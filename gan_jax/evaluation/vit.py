"""The vision transformer of DINO, DINOv2 and CLIP, which differ in details.

Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", with normalisation
before each part of a block. It is never trained here. All blocks are one
program: their parameters are stacked, `[depth, ...]`.
"""

import dataclasses
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.evaluation import resizers

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
    last: blocks of whose first tokens the features consist, side by side.
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
  last: int = 1

  def __str__(self) -> str:
    return f'ViT/{self.patch}, {self.depth} blocks of width {self.width}'


def dense(features: int, name: str, *, bias: bool = True) -> nn.Dense:
  """A linear layer, of float32 on all devices."""
  return nn.Dense(features, use_bias=bias, precision=_PRECISION, name=name)


def attend(
  qkv: jax.Array, heads: int, bias: jax.Array | None = None
) -> jax.Array:
  """Attention of tokens to each other.

  Args:
    qkv: queries, keys and values side by side, `[N, tokens, 3 * D]`.
    heads: into which channels are divided.
    bias: added to the products, and broadcast to `[N, heads, tokens, tokens]`.

  Returns:
    `[N, tokens, D]`.
  """
  n, tokens, width = qkv.shape
  # [3, N, heads, tokens, channels].
  q, k, v = jnp.moveaxis(qkv.reshape(n, tokens, 3, heads, -1), (2, 3), (0, 2))
  products = jnp.matmul(q, k.swapaxes(-1, -2), precision=_PRECISION)
  products *= q.shape[-1] ** -0.5
  if bias is not None:
    products += bias
  seen = jnp.matmul(jax.nn.softmax(products), v, precision=_PRECISION)
  return seen.swapaxes(1, 2).reshape(n, tokens, width // 3)


def perceptron(x: jax.Array, *, quick: bool = False) -> jax.Array:
  """Layers fc1 and fc2, of four times the width and of the width.

  Args:
    x: tokens, `[N, tokens, D]`.
    quick: GELU is x * sigmoid(1.702 x).
  """
  y = dense(4 * x.shape[-1], 'fc1')(x)
  if quick:
    y *= jax.nn.sigmoid(1.702 * y)
  else:
    y = jax.nn.gelu(y, approximate=False)
  return dense(x.shape[-1], 'fc2')(y)


class _Block(nn.Module):
  """Attention and a layer of four times the width, each added to its input."""

  settings: Settings

  def _attention(self, x: jax.Array) -> jax.Array:
    width = x.shape[-1]
    qkv = dense(3 * width, 'qkv')(x)
    return dense(width, 'proj')(attend(qkv, self.settings.heads))

  def _perceptron(self, x: jax.Array) -> jax.Array:
    return perceptron(x, quick=self.settings.quick)

  @nn.compact
  def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
    parts = (self._attention, 'norm1', 'scale1'), (
      self._perceptron, 'norm2', 'scale2',
    )  # fmt: skip
    for part, norm, scale in parts:
      y = part(nn.LayerNorm(self.settings.epsilon, name=norm)(x))
      if self.settings.scaled:
        gamma = self.param(scale, nn.initializers.ones, x.shape[-1:])
        y *= gamma.reshape(1, 1, -1)
      x += y
    return x, x[:, 0]


class Vit(nn.Module):
  """Images `[N, S, S, 3]` to the first token's `[N, D]` after the blocks.

  S is a multiple of the patches' side; D is `last` widths, or `projected`.
  """

  settings: Settings

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    s = self.settings
    n, side = len(x), x.shape[1] // s.patch
    x = x.reshape(n, side, s.patch, side, s.patch, 3).swapaxes(2, 3)
    x = dense(s.width, 'patches')(x.reshape(n, side**2, -1))
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
    _, first = blocks(s, name='blocks')(x, None)
    x = nn.LayerNorm(s.epsilon, name='norm')(first[-s.last :])
    x = x.swapaxes(0, 1).reshape(n, -1)
    if not s.projected:
      return x
    kernel = self.param(
      'projection', nn.initializers.lecun_normal(), (s.width, s.projected)
    )
    return jnp.matmul(x, kernel, precision=_PRECISION)


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
  colours: resizers.Colours,
) -> jax.Array:
  """What a network sees in images of its size.

  Args:
    settings: of the network.
    params: of `Vit`.
    x: `[N, S, S, 3]` in [-1, 1].
    colours: that it was trained with.

  Returns:
    `[N, D]`.
  """
  x = resizers.standardised(x, colours)
  found = Vit(settings).apply({'params': params}, x)
  assert isinstance(found, jax.Array)
  return found
