"""Swin Transformer, one of PyTorch-StudioGAN's networks for evaluation.

Liu et al. 2021, "Swin Transformer: Hierarchical Vision Transformer using
Shifted Windows"; StudioGAN has Swin-B at 224 pixels with windows of 7, learned
on ImageNet's 22,000 classes and then on its 1,000.
"""

import dataclasses
import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.evaluation import reader as readers, resizers, vit

SIDE = 224

# Pillow's bicubic of floats, StudioGAN's "friendly" one for this network.
RESIZER = 'clean'

_EPSILON = 1e-5

# What is added to products of tokens that are no neighbours in the image.
_APART = -100.0


@dataclasses.dataclass(frozen=True)
class Settings:
  """Which of the networks it is.

  Attributes:
    width: of a token in the first stage; each later one has twice as many.
    depths: blocks of each stage.
    heads: of attention in each stage.
    window: side of the windows, in tokens.
    patch: side of the patches, in pixels.
    classes: that it names.
  """

  width: int
  depths: tuple[int, ...]
  heads: tuple[int, ...]
  window: int
  patch: int
  classes: int

  def __str__(self) -> str:
    return f'Swin of width {self.width}, {sum(self.depths)} blocks'


def relative(window: int) -> np.ndarray:
  """The row of the table of places for each pair of a window's tokens.

  Returns:
    `[window**2, window**2]` int: of (dy, dx), each from 1 - window on, row by
    row.
  """
  place = np.stack(np.divmod(np.arange(window**2), window))
  dy, dx = place[:, :, None] - place[:, None, :] + window - 1
  return dy * (2 * window - 1) + dx


def apart(side: int, window: int, shift: int) -> np.ndarray:
  """Which tokens of shifted windows do not lie side by side in the image.

  Returns:
    `[windows, window**2, window**2]` bool.
  """
  at = np.arange(side)
  # After a shift, the last window of an axis has both of its ends.
  part = (at >= side - window).astype(int) + (at >= side - shift)
  part = (3 * part[:, None] + part).reshape(1, side, side, 1)
  tokens = np.asarray(_windows(part, window))[..., 0]
  return tokens[:, :, None] != tokens[:, None, :]


def _windows(x: jax.Array | np.ndarray, window: int) -> jax.Array | np.ndarray:
  """`[N, S, S, D]` as `[N * windows, window**2, D]`."""
  n, side, _, width = x.shape
  x = x.reshape(n, side // window, window, side // window, window, width)
  return x.swapaxes(2, 3).reshape(-1, window**2, width)


def _whole(x: jax.Array, side: int) -> jax.Array:
  """The reverse of `_windows`."""
  window, width = math.isqrt(x.shape[1]), x.shape[-1]
  count = side // window
  x = x.reshape(-1, count, count, window, window, width)
  return x.swapaxes(2, 3).reshape(-1, side, side, width)


class _Block(nn.Module):
  """Attention within windows and a layer of four times the width.

  In every second block windows are shifted by half their side, unless there is
  one alone.
  """

  heads: int
  window: int
  shifted: bool

  def _attention(self, x: jax.Array) -> jax.Array:
    side, width = x.shape[2:]
    window = min(self.window, side)
    shift = window // 2 if self.shifted and side > window else 0
    table = self.param(
      'place',
      nn.initializers.normal(0.02),
      ((2 * window - 1) ** 2, self.heads),
    )
    bias = table[relative(window)].transpose(2, 0, 1)[None]
    if shift:
      x = jnp.roll(x, (-shift, -shift), (1, 2))
      mask = _APART * apart(side, window, shift)[:, None]
      bias = jnp.tile(bias + mask, (len(x), 1, 1, 1))
    qkv = vit.dense(3 * width, 'qkv')(_windows(x, window))
    seen = vit.dense(width, 'proj')(vit.attend(qkv, self.heads, bias))
    return jnp.roll(_whole(seen, side), (shift, shift), (1, 2))

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x += self._attention(nn.LayerNorm(_EPSILON, name='norm1')(x))
    return x + vit.perceptron(nn.LayerNorm(_EPSILON, name='norm2')(x))


class Swin(nn.Module):
  """Images `[N, S, S, 3]` of standardised colours to features and logits.

  The features `[N, D]` are the mean of the last tokens, D = 8 widths in four
  stages; logits are `[N, classes]`. S is a multiple of the patches' side, and
  the side in patches of the windows', until there is one alone.
  """

  settings: Settings

  def _merged(self, x: jax.Array, name: str) -> jax.Array:
    """Four neighbours as one token of twice the width."""
    n, side, _, width = x.shape
    x = x.reshape(n, side // 2, 2, side // 2, 2, width)
    # In a token: first the rows of the left column, then those of the right.
    x = x.transpose(0, 1, 3, 4, 2, 5).reshape(n, side // 2, side // 2, -1)
    x = nn.LayerNorm(_EPSILON, name=f'{name}_norm')(x)
    return vit.dense(2 * width, f'{name}_reduction', bias=False)(x)

  @nn.compact
  def __call__(self, x: jax.Array) -> types.Features:
    s = self.settings
    n, side = len(x), x.shape[1] // s.patch
    x = x.reshape(n, side, s.patch, side, s.patch, 3).swapaxes(2, 3)
    x = vit.dense(s.width, 'patches')(x.reshape(n, side, side, -1))
    x = nn.LayerNorm(_EPSILON, name='early')(x)
    for stage, (depth, heads) in enumerate(zip(s.depths, s.heads, strict=True)):
      if stage:
        x = self._merged(x, f'merge{stage}')
      for i in range(depth):
        shifted = bool(i % 2)
        x = _Block(heads, s.window, shifted, name=f'stage{stage}_{i}')(x)
    x = nn.LayerNorm(_EPSILON, name='norm')(x)
    features = x.mean(axis=(1, 2))
    return types.Features(features, vit.dense(s.classes, 'head')(features))


def convert(
  arrays: Mapping[str, np.ndarray], *, side: int = SIDE
) -> tuple[Settings, types.PyTree]:
  """The network in a checkpoint of its authors.

  Args:
    arrays: by name, as there: 'layers.0.blocks.0.attn.qkv.weight'. What the
      authors keep of masks and places is left out.
    side: of the images that it will see.

  Returns:
    Its settings, and the parameters of `Swin`.

  Raises:
    ValueError: an array is missing, has another shape, or is of another
      network, or one of images of another side.
  """
  reader = readers.Reader(arrays, 'Swin Transformer')
  early = reader.take('patch_embed.norm.weight', [None])
  width = first = len(early)
  kernel = reader.patches('patch_embed.proj', width)
  params: dict[str, types.PyTree] = {
    'patches': {
      'kernel': kernel,
      'bias': reader.take('patch_embed.proj.bias', [width]),
    },
    'early': reader.norm('patch_embed.norm', width),
  }
  depths, heads, window = [], [], 1
  for stage in range(reader.depth('layers.')):
    if stage:
      name = f'layers.{stage - 1}.downsample'
      params[f'merge{stage}_norm'] = reader.norm(f'{name}.norm', 4 * width)
      reduction = reader.take(
        f'{name}.reduction.weight', [2 * width, 4 * width]
      )
      params[f'merge{stage}_reduction'] = {'kernel': reduction.T}
      width *= 2
    depths.append(reader.depth(f'layers.{stage}.blocks.'))
    for i in range(depths[-1]):
      name = f'layers.{stage}.blocks.{i}'
      table = reader.take(
        f'{name}.attn.relative_position_bias_table', [None, None]
      )
      block = reader.transformer(name, width)
      params[f'stage{stage}_{i}'] = block | {'place': table}
    heads.append(table.shape[1])
    window = max(window, (math.isqrt(len(table)) + 1) // 2)
  params['norm'] = reader.norm('norm', width)
  classes = len(reader.take('head.bias', [None]))
  params['head'] = reader.dense('head', width, classes)
  patch = math.isqrt(len(kernel) // 3)
  for stage in range(len(depths)):
    tokens = side // patch >> stage
    if tokens > window and tokens % window:
      raise ValueError(
        f'weights: windows of {window} do not divide {tokens} tokens a side of '
        f'images of {side} pixels, to which all are brought'
      )
  kept = ('.relative_position_index', '.attn_mask')
  reader.check_left(*(n for n in reader.left if n.endswith(kept)))
  settings = Settings(
    first, tuple(depths), tuple(heads), window, patch, classes,
  )  # fmt: skip
  return settings, params


def apply(
  params: types.PyTree,
  images: jax.Array,
  *,
  settings: Settings,
  resizer: str = RESIZER,
  side: int = SIDE,
) -> types.Features:
  """Features and logits of images of any size.

  Args:
    params: of `convert`, and so are the settings.
    images: `[N, H, W, C]` in [-1, 1], C 1 or 3.
    settings: of the network.
    resizer: of `resizers.RESIZERS`.
    side: that images are brought to, for which the weights are.
  """
  x = resizers.resize(images, side, resizer)
  x = resizers.standardised(x, resizers.IMAGENET)
  seen = Swin(settings).apply({'params': params}, x)
  assert isinstance(seen, types.Features)
  return seen
