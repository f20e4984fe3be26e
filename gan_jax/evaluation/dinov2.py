"""DINOv2, in whose features Stein et al. 2023 compare sets of images.

Oquab et al. 2023, "DINOv2: Learning Robust Visual Features without
Supervision", the networks S, B and L without registers; "Exposing flaws of
generative model evaluation metrics" uses ViT-L/14 at 224 pixels, of which the
features are the normalised first token.
"""

from collections.abc import Mapping

import jax
import numpy as np

from gan_jax import types
from gan_jax.evaluation import reader as readers, resizers, vit

SIDE = 224

# That of the paper's code by default: of an image opened by Pillow.
RESIZER = 'pillow_bicubic'

# What the positions' table is shrunk by is of a side so much longer.
_OFFSET = 0.1


def _cubic(x: np.ndarray) -> np.ndarray:
  """PyTorch's, with a = -3/4."""
  x = np.abs(x)
  near = (1.25 * x - 2.25) * x**2 + 1
  far = ((-0.75 * x + 3.75) * x - 6) * x + 3
  return np.where(x < 1, near, np.where(x < 2, far, 0))


def shrunk(table: np.ndarray, side: int) -> np.ndarray:
  """Positions `[M, M, D]` for `[side, side, D]` patches, as DINOv2 does it.

  Bicubic without antialiasing, edges repeated. The scale is of `side + 0.1`
  patches and not of `side`, a detail of the authors' code that features depend
  on. With as many patches as positions, nothing is done.
  """
  old = len(table)
  if side == old:
    return table
  at = (np.arange(side) + 0.5) * (old / (side + _OFFSET)) - 0.5
  near = np.floor(at).astype(int)[:, None] + np.arange(-1, 3)
  weight = np.zeros((side, old))
  rows = np.arange(side)[:, None]
  np.add.at(weight, (rows, near.clip(0, old - 1)), _cubic(at[:, None] - near))
  small = np.einsum('im,jn,mnd->ijd', weight, weight, table, optimize=True)
  return small.astype(np.float32)


def _grid(table: np.ndarray) -> np.ndarray:
  """Positions `[M * M, D]` as `[M, M, D]`."""
  side = round(len(table) ** 0.5)
  if side**2 != len(table):
    raise ValueError(
      f'weights: pos_embed has {len(table)} positions of patches, no square'
    )
  return table.reshape(side, side, -1)


def read(
  reader: readers.Reader,
  *,
  side: int,
  heads: int,
  scaled: bool = True,
  last: int = 1,
) -> tuple[vit.Settings, types.PyTree]:
  """The network in a checkpoint of DINOv2, or of DINO, which names it alike.

  Args:
    reader: of the checkpoint's arrays.
    side: of the images that it will see.
    heads: of attention, which no array tells; 0 is one for 64 channels.
    scaled: whether what a block adds is scaled, as in DINOv2 alone.
    last: blocks whose first tokens are features.

  Returns:
    Its settings, and the parameters of `vit.Vit`.

  Raises:
    ValueError: an array is missing, has another shape, or is of a variant.
  """
  first = reader.take('cls_token', [1, 1, None])
  width = first.shape[-1]
  kernel = reader.patches('patch_embed.proj', width)
  patch = round((len(kernel) / 3) ** 0.5)
  table = reader.take('pos_embed', [1, None, width])[0]
  small = shrunk(_grid(table[1:]), side // patch).reshape(-1, width)
  blocks = []
  for i in range(reader.depth('blocks.')):
    name = f'blocks.{i}'
    block = reader.transformer(name, width)
    if scaled:
      block |= {
        f'scale{k}': reader.take(f'{name}.ls{k}.gamma', [width]) for k in (1, 2)
      }
    blocks.append(block)
  params = {
    'first': first,
    'place': np.concatenate([table[:1], small])[None],
    'patches': {
      'kernel': kernel,
      'bias': reader.take('patch_embed.proj.bias', [width]),
    },
    'blocks': vit.stacked(blocks),
    'norm': reader.norm('norm', width),
  }
  reader.check_left('mask_token')
  heads = heads or width // vit.HEAD
  settings = vit.Settings(
    width, len(blocks), heads, patch, 1e-6, scaled=scaled, last=last
  )
  return settings, params


def convert(
  arrays: Mapping[str, np.ndarray], *, side: int = SIDE, heads: int = 0
) -> tuple[vit.Settings, types.PyTree]:
  """The network in a checkpoint of its authors.

  Args:
    arrays: by name, as there: 'blocks.0.attn.qkv.weight'.
    side: of the images that it will see.
    heads: as of `read`.

  Returns:
    Its settings, and the parameters of `vit.Vit`.

  Raises:
    ValueError: an array is missing, has another shape, or is of a variant,
      such as one with registers.
  """
  reader = readers.Reader(arrays, 'DINOv2 S, B or L')
  return read(reader, side=side, heads=heads)


def apply(
  params: types.PyTree,
  images: jax.Array,
  *,
  settings: vit.Settings,
  resizer: str = RESIZER,
  side: int = SIDE,
) -> types.Features:
  """Features `[N, width]` of images of any size, and no logits.

  Args:
    params: of `convert`, and so are the settings.
    images: `[N, H, W, C]` in [-1, 1], C 1 or 3.
    settings: of the network.
    resizer: of `resizers.RESIZERS`.
    side: as it was given to `convert`.
  """
  x = resizers.resize(images, side, resizer)
  features = vit.features(settings, params, x, resizers.IMAGENET)
  return vit.without_logits(features)
