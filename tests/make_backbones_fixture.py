"""Makes what the tests keep of the networks by which StudioGAN evaluates.

  PYTHONPATH=STUDIOGAN/src python tests/make_backbones_fixture.py

backbones_fixture.npz holds what small networks of ResNet, DINO and Swin
Transformer say of two images, and the names and shapes of their arrays.

Needs torch, torchvision, timm and, at STUDIOGAN, the repository
POSTECH-CVLab/PyTorch-StudioGAN, which no test does. Weights and images are
drawn from generators that are seeded by their names, so that only the answers
are kept. Images are resized by StudioGAN's "friendly" way.
"""

import pathlib
from collections.abc import Mapping

import make_inception_fixture as seeds
import make_vit_fixture as vits
import numpy as np

PATH = pathlib.Path(__file__).with_name('backbones_fixture.npz')

NAMES = 'resnet', 'dino', 'swin'
# Of the images as each network sees them; all are resized from 40.
SIDES = {'resnet': 64, 'dino': 24, 'swin': 48}
# DINO's features are of the last four of its blocks.
BLOCKS = {'resnet': (1, 2, 1, 1), 'dino': 5, 'swin': (2, 2, 2)}
HEADS = {'dino': 3, 'swin': (2, 2, 4)}
WIDTHS = {'dino': 24, 'swin': 8}
PATCHES = {'dino': 8, 'swin': 4}
WINDOW = 3  # Of 12, 6 and 3 tokens a side.
CLASSES = 10
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def weights(
  name: str, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
  """Of a size at which every part matters, float32."""
  if name != 'resnet':
    return vits.weights(shapes)
  arrays = seeds.weights(shapes)
  for key, array in arrays.items():
    # Of batch normalisation, which is named in more ways than there.
    if key.endswith('weight') and array.ndim == 1:
      arrays[key] = np.float32(seeds.rng(key).uniform(0.5, 1.5, array.shape))
  return arrays


def save_answers() -> None:
  import torch
  from metrics import swin_transformer, vit
  from torchvision.models import resnet
  from utils import resize

  networks = {
    'resnet': resnet.ResNet(
      resnet.Bottleneck, BLOCKS['resnet'], num_classes=CLASSES
    ),
    'dino': vit.VisionTransformer(
      [SIDES['dino']], PATCHES['dino'], embed_dim=WIDTHS['dino'],
      depth=BLOCKS['dino'], num_heads=HEADS['dino'], qkv_bias=True,
      num_classes=CLASSES,
      norm_layer=lambda width: torch.nn.LayerNorm(width, eps=1e-6),
    ),
    'swin': swin_transformer.SwinTransformer(
      SIDES['swin'], PATCHES['swin'], num_classes=CLASSES,
      embed_dim=WIDTHS['swin'], depths=BLOCKS['swin'], num_heads=HEADS['swin'],
      window_size=WINDOW,
    ),
  }  # fmt: skip
  backbones = {'resnet': 'SwAV_torch', 'dino': 'DINO_torch',
               'swin': 'Swin-T_torch'}  # fmt: skip
  kept = {}
  for name, network in networks.items():
    state = {
      key: x
      for key, x in network.state_dict().items()
      if not key.endswith(('relative_position_index', 'attn_mask'))
    }
    shapes = {key: tuple(x.shape) for key, x in state.items()}
    arrays = weights(name, shapes)
    network.load_state_dict(
      {key: torch.from_numpy(x) for key, x in arrays.items()}, strict=False
    )
    network.eval()
    resizer = resize.build_resizer('friendly', backbones[name], SIDES[name])
    pixels = np.stack([resizer(image) for image in vits.images()])
    # As clean-fid does, and StudioGAN does not where a bicubic one overshoots.
    pixels = pixels.clip(0, 255)
    x = (pixels / 255 - np.array(MEAN)) / np.array(STD)
    x = torch.from_numpy(np.float32(x.transpose(0, 3, 1, 2)))
    with torch.no_grad():
      if name == 'resnet':
        *parts, _ = network.children()
        features = torch.nn.Sequential(*parts)(x).flatten(1)
        logits = network(x)
      else:
        features, logits = network(x)
    kept[name] = features.numpy()
    kept[f'{name}_logits'] = logits.numpy()
    lines = (f'{k} {" ".join(map(str, v))}' for k, v in shapes.items())
    kept[f'{name}_shapes'] = np.array('\n'.join(lines))
    apart = (features[0] - features[1]).std()
    print(f'{name}: std {features.std():.3g}, of the difference {apart:.3g}')
  np.savez_compressed(PATH, **kept)
  print(f'{PATH}: {PATH.stat().st_size} bytes')


if __name__ == '__main__':
  save_answers()
