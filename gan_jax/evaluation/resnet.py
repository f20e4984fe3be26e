"""ResNet-50, whose features are compared as they were learned by two ways.

He et al. 2016, "Deep Residual Learning for Image Recognition", as torchvision
has it: of a block that halves sides, the middle convolution does so. Its
weights are those of ImageNet's classes, or of SwAV (Caron et al. 2020,
"Unsupervised Learning of Visual Features by Contrasting Cluster Assignments"),
which Morozov et al. 2021, "On Self-Supervised Image Representations for GAN
Evaluation", compare generators by. It is never trained here, so that batch
normalisation is part of the kernels.
"""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import numpy as np

from gan_jax import types
from gan_jax.evaluation import reader as readers, resizers, vit
from gan_jax.ops import conv

SIDE = 224

# StudioGAN's "friendly" one for these networks.
RESIZER = 'friendly'

# Of a block's output to what it works with inside.
_WIDER = 4

_EPSILON = 1e-5  # Of its batch normalisation.


@dataclasses.dataclass(frozen=True)
class Settings:
  """Which of the networks it is.

  Attributes:
    blocks: of each of the four stages.
    width: of the first convolution, and inside the first stage's blocks.
    classes: that it names; 0 where the weights have no such layer.
  """

  blocks: tuple[int, ...] = (3, 4, 6, 3)
  width: int = 64
  classes: int = 0

  def __str__(self) -> str:
    # As they are named: three layers a block, the first one and the classes'.
    return f'ResNet-{3 * sum(self.blocks) + 2} of width {self.width}'


class _Conv(nn.Module):
  """Convolution and bias, padded by half a window on each side."""

  features: int
  window: int = 1
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (self.window, self.window, x.shape[-1], self.features)
    kernel = self.param('kernel', nn.initializers.he_normal(), shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    half = self.window // 2
    y = conv.conv(
      x, kernel, strides=(self.stride,) * 2, padding=((half, half),) * 2
    )
    return y + bias.reshape(1, 1, 1, -1)


class _Block(nn.Module):
  """What three convolutions add to their input, which may change its shape."""

  width: int
  stride: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    wide = _WIDER * self.width
    y = nn.relu(_Conv(self.width, name='conv1')(x))
    y = nn.relu(_Conv(self.width, 3, self.stride, name='conv2')(y))
    y = _Conv(wide, name='conv3')(y)
    if x.shape != y.shape:
      x = _Conv(wide, 1, self.stride, name='downsample')(x)
    return nn.relu(x + y)


class ResNet(nn.Module):
  """Images `[N, S, S, 3]` of standardised colours to features and logits.

  The features are the means `[N, D]` of the last maps, D = 2,048; logits are
  `[N, classes]`.
  """

  settings: Settings

  @nn.compact
  def __call__(self, x: jax.Array) -> types.Features:
    s = self.settings
    x = nn.relu(_Conv(s.width, 7, 2, name='conv1')(x))
    x = nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
    for stage, blocks in enumerate(s.blocks):
      for i in range(blocks):
        stride = 2 if stage and not i else 1
        name = f'layer{stage + 1}.{i}'
        x = _Block(s.width * 2**stage, stride, name=name)(x)
    features = x.mean(axis=(1, 2))
    if not s.classes:
      return vit.without_logits(features)
    return types.Features(features, vit.dense(s.classes, 'fc')(features))


def convert(
  arrays: Mapping[str, np.ndarray],
) -> tuple[Settings, types.PyTree]:
  """The network in a checkpoint of torchvision.

  Args:
    arrays: by name: 'layer1.0.conv1.weight'.

  Returns:
    Its settings, and the parameters of `ResNet`.

  Raises:
    ValueError: an array is missing, has another shape, or is of another
      network.
  """
  return _read(arrays, 'a ResNet of classes with blocks of three convolutions')


def convert_swav(
  arrays: Mapping[str, np.ndarray],
) -> tuple[Settings, types.PyTree]:
  """The same of SwAV, without classes and without what comes after features."""
  return _read(
    arrays, "SwAV's ResNet", 'projection_head.', 'prototypes.', classes=False
  )


def _read(
  arrays: Mapping[str, np.ndarray],
  network: str,
  *without: str,
  classes: bool = True,
) -> tuple[Settings, types.PyTree]:
  """What is named `network`; see `readers.Reader.check_left` of the rest."""
  reader = readers.Reader(arrays, network)

  def take(conv: str, norm: str, old: int, new: int, side: int) -> types.PyTree:
    return reader.convolution(conv, norm, [new, old, side, side], _EPSILON)

  stem = reader.convolution('conv1', 'bn1', [None, 3, 7, 7], _EPSILON)
  params = {'conv1': stem}
  old = width = len(stem['bias'])
  blocks = []
  for stage in range(4):
    blocks.append(reader.depth(f'layer{stage + 1}.'))
    inner = width * 2**stage
    wide = _WIDER * inner
    for i in range(blocks[-1]):
      name = f'layer{stage + 1}.{i}'
      params[name] = {
        'conv1': take(f'{name}.conv1', f'{name}.bn1', old, inner, 1),
        'conv2': take(f'{name}.conv2', f'{name}.bn2', inner, inner, 3),
        'conv3': take(f'{name}.conv3', f'{name}.bn3', inner, wide, 1),
      }
      if not i:
        other = f'{name}.downsample'
        params[name]['downsample'] = take(
          f'{other}.0', f'{other}.1', old, wide, 1
        )
      old = wide
  names = 0
  if classes:
    names = len(reader.take('fc.bias', [None]))
    params['fc'] = reader.dense('fc', old, names)
  counts = {n for n in reader.left if n.endswith('.num_batches_tracked')}
  reader.check_left(*without, *counts)
  return Settings(tuple(blocks), width, names), params


def apply(
  params: types.PyTree,
  images: jax.Array,
  *,
  settings: Settings,
  resizer: str = RESIZER,
  side: int = SIDE,
) -> types.Features:
  """Features and logits of images of any size.

  Its products are of float32 on all devices.

  Args:
    params: of `convert`, and so are the settings.
    images: `[N, H, W, C]` in [-1, 1], C 1 or 3.
    settings: of the network.
    resizer: of `resizers.RESIZERS`.
    side: that images are brought to.
  """
  x = resizers.resize(images, side, resizer)
  x = resizers.standardised(x, resizers.IMAGENET)
  with jax.default_matmul_precision('highest'):
    seen = ResNet(settings).apply({'params': params}, x)
  assert isinstance(seen, types.Features)
  return seen
