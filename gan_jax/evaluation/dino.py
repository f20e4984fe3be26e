"""DINO, the first one, as PyTorch-StudioGAN has it among its networks.

Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers",
the transformers S and B. The features are the normalised first tokens after the
last four blocks, side by side, of which the authors' linear classifier is.
"""

import functools
from collections.abc import Mapping

import numpy as np

from gan_jax import types
from gan_jax.evaluation import dinov2, reader as readers, vit

SIDE = 224

# StudioGAN's "friendly" one for this network.
RESIZER = 'friendly'

_LAST = 4


def convert(
  arrays: Mapping[str, np.ndarray], *, side: int = SIDE, heads: int = 0
) -> tuple[vit.Settings, types.PyTree]:
  """The network in a checkpoint of its authors, without a head.

  Args:
    arrays: by name, as there: 'blocks.0.attn.qkv.weight'.
    side: of the images that it will see.
    heads: as of `dinov2.read`.

  Returns:
    Its settings, and the parameters of `vit.Vit`.

  Raises:
    ValueError: an array is missing, has another shape, or is of another
      network.
  """
  reader = readers.Reader(arrays, 'DINO S or B')
  return dinov2.read(reader, side=side, heads=heads, scaled=False, last=_LAST)


# Features `[N, 4 * width]`, and no logits.
apply = functools.partial(dinov2.apply, resizer=RESIZER)
