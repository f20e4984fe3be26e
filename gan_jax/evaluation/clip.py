"""CLIP's image encoder, in whose embeddings CMMD compares sets of images.

Radford et al. 2021, "Learning Transferable Visual Models from Natural Language
Supervision"; Jayasumana et al. 2024, "Rethinking FID", uses ViT-L/14 at 336
pixels and embeddings of length 1.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.evaluation import reader as readers, resizers, vit

SIDE = 336

# The paper's code opens and resizes images by Pillow.
RESIZER = 'pillow_bicubic'

_COLOURS = resizers.Colours(
  mean=(0.48145466, 0.4578275, 0.40821073),
  std=(0.26862954, 0.26130258, 0.27577711),
)


def convert(
  arrays: Mapping[str, np.ndarray], *, side: int = SIDE, heads: int = 0
) -> tuple[vit.Settings, types.PyTree]:
  """The image encoder in a checkpoint of `transformers`.

  Args:
    arrays: by name: 'vision_model.encoder.layers.0.mlp.fc1.weight'. What is of
      the text's encoder is left out.
    side: of the images that it will see.
    heads: of attention, which no array tells; 0 is one for 64 channels, as in
      all that are published.

  Returns:
    Its settings, and the parameters of `vit.Vit`.

  Raises:
    ValueError: an array is missing or has another shape, as for another side.
  """
  reader = readers.Reader(arrays, f'CLIP at {side} pixels')
  top = 'vision_model'
  first = reader.take(f'{top}.embeddings.class_embedding', [None])
  width = len(first)
  kernel = reader.patches(f'{top}.embeddings.patch_embedding', width)
  patch = round((len(kernel) / 3) ** 0.5)
  table = reader.take(
    f'{top}.embeddings.position_embedding.weight',
    [(side // patch) ** 2 + 1, width],
  )
  projection = reader.take('visual_projection.weight', [None, width]).T
  blocks = []
  for i in range(reader.depth(f'{top}.encoder.layers.')):
    name = f'{top}.encoder.layers.{i}'
    qkv = [
      reader.dense(f'{name}.self_attn.{part}_proj', width, width)
      for part in 'qkv'
    ]
    blocks.append(
      {
        'norm1': reader.norm(f'{name}.layer_norm1', width),
        'qkv': {
          part: np.concatenate([each[part] for each in qkv], axis=-1)
          for part in ('kernel', 'bias')
        },
        'proj': reader.dense(f'{name}.self_attn.out_proj', width, width),
        'norm2': reader.norm(f'{name}.layer_norm2', width),
        'fc1': reader.dense(f'{name}.mlp.fc1', width, 4 * width),
        'fc2': reader.dense(f'{name}.mlp.fc2', 4 * width, width),
      }
    )
  params = {
    'first': first[None, None],
    'place': table[None],
    # Its patches have no bias.
    'patches': {'kernel': kernel, 'bias': np.zeros(width, np.float32)},
    # So misspelt in every checkpoint.
    'early': reader.norm(f'{top}.pre_layrnorm', width),
    'blocks': vit.stacked(blocks),
    'norm': reader.norm(f'{top}.post_layernorm', width),
    'projection': projection,
  }
  settings = vit.Settings(
    width,
    len(blocks),
    heads or width // vit.HEAD,
    patch,
    1e-5,
    early=True,
    quick=True,
    projected=projection.shape[1],
  )
  return settings, params


def apply(
  params: types.PyTree,
  images: jax.Array,
  *,
  settings: vit.Settings,
  resizer: str = RESIZER,
  side: int = SIDE,
) -> types.Features:
  """Embeddings `[N, D]` of length 1 of images' central squares; no logits.

  Args:
    params: of `convert`, and so are the settings.
    images: `[N, H, W, C]` in [-1, 1], C 1 or 3.
    settings: of the network.
    resizer: of `resizers.RESIZERS`.
    side: as it was given to `convert`.
  """
  height, width = images.shape[1:3]
  least = min(height, width)
  top, left = (height - least) // 2, (width - least) // 2
  square = images[:, top : top + least, left : left + least]
  x = resizers.resize(square, side, resizer)
  features = vit.features(settings, params, x, _COLOURS)
  length = jnp.linalg.norm(features, axis=-1, keepdims=True)
  return vit.without_logits(features / length)
