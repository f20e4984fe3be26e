"""Makes what the tests keep of LPIPS.

  python tests/make_lpips_fixture.py

lpips_fixture.npz holds the distances of two pairs of images by the package
lpips, version 0.1 with VGG-16.

Needs torch, torchvision and lpips, which no test does. Weights and images are
drawn from generators that are seeded by their names, so that only the answers
are kept.
"""

import pathlib

import make_inception_fixture as seeds
import numpy as np

PATH = pathlib.Path(__file__).with_name('lpips_fixture.npz')

# Places of VGG-16's convolutions in torchvision, and their channels.
CONVOLUTIONS = {
  0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512,
  21: 512, 24: 512, 26: 512, 28: 512,
}  # fmt: skip
STAGES = 64, 128, 256, 512, 512


def vgg() -> dict[str, np.ndarray]:
  """Of torchvision's names, and of a size that keeps that of activations."""
  shapes, old = {}, 3
  for place, width in CONVOLUTIONS.items():
    shapes[f'features.{place}.weight'] = (width, old, 3, 3)
    shapes[f'features.{place}.bias'] = (width,)
    old = width
  return seeds.weights(shapes)


def linear() -> dict[str, np.ndarray]:
  """Not below 0, as the fitted ones."""
  names = {f'lin{i}.model.1.weight': width for i, width in enumerate(STAGES)}
  return {
    name: np.float32(seeds.rng(name).uniform(0, 1, (1, width, 1, 1)))
    for name, width in names.items()
  }


def images() -> tuple[np.ndarray, np.ndarray]:
  """Two pairs `[2, 40, 36, 3]` in [-1, 1]: unlike ones, and near ones."""
  x, y = (
    seeds.rng(name).uniform(-1, 1, (2, 40, 36, 3)).astype(np.float32)
    for name in ('x', 'y')
  )
  y[1] = 0.9 * x[1] + 0.1 * y[1]
  return x, y


def save_answers() -> None:
  import lpips
  import torch

  network = lpips.LPIPS(net='vgg', pretrained=False, pnet_rand=True).eval()
  tensors = {n: torch.from_numpy(x) for n, x in linear().items()}
  for name, array in vgg().items():
    _, place, part = name.split('.')
    for i in range(1, 6):
      layers = dict(getattr(network.net, f'slice{i}').named_children())
      if place in layers:
        tensors[f'net.slice{i}.{place}.{part}'] = torch.from_numpy(array)
  missing = network.load_state_dict(tensors, strict=False).missing_keys
  # The second is the same layer by another name.
  assert {m.split('.')[0] for m in missing} <= {'scaling_layer', 'lins'}
  with torch.no_grad():
    x, y = (torch.from_numpy(a.transpose(0, 3, 1, 2)) for a in images())
    distances = network(x, y).flatten().numpy()
  np.savez_compressed(PATH, distances=distances)
  print(f'{PATH}: {PATH.stat().st_size} bytes; {distances}')


if __name__ == '__main__':
  save_answers()
