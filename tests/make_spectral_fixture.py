"""Makes what the tests keep of PyTorch's spectral normalisation.

  python tests/make_spectral_fixture.py

spectral_fixture.npz holds ten steps of `torch.nn.utils.spectral_norm` on each
kind of layer: the weights and the left vector after them, and sigma at each.
Needs torch, which no test does. Arrays are drawn by their names, as in
make_biggan_fixture.py.
"""

import pathlib
from typing import Any

import make_biggan_fixture as common
import make_inception_fixture
import numpy as np

PATH = pathlib.Path(__file__).with_name('spectral_fixture.npz')

STEPS, RATE = 10, 0.1

# Shapes of weights as PyTorch has them.
SHAPES = {
  'conv': (4, 3, 3, 3),
  'transposed': (4, 3, 4, 4),
  'grouped': (6, 2, 3, 3),
  'dense': (7, 5),
  'embedding': (5, 6),
}


def start(name: str) -> dict[str, np.ndarray]:
  """A layer's first weight, bias, and vectors `u` and `v`."""
  shape = SHAPES[name]
  axis = 1 if name == 'transposed' else 0
  rows = shape[axis]
  columns = np.prod(shape) // rows
  return {
    key.removeprefix(f'{name}/'): value
    for key, value in common.weights(
      {
        f'{name}/weight': shape,
        f'{name}/bias': (rows,),
        f'{name}/u': (rows,),
        f'{name}/right/u': (int(columns),),
      }
    ).items()
  }


def inputs(name: str) -> np.ndarray:
  """`[4, 6, 6, C]` or `[4, C]` float32, or labels `[4]` int32."""
  rng = make_inception_fixture.rng(f'{name} inputs')
  if name == 'embedding':
    return np.array([0, 3, 3, 1], np.int32)
  shape = {
    'conv': (4, 6, 6, 3), 'transposed': (4, 6, 6, 4), 'grouped': (4, 6, 6, 4),
    'dense': (4, 5),
  }[name]  # fmt: skip
  return rng.standard_normal(shape).astype(np.float32)


def target(shape: tuple[int, ...]) -> np.ndarray:
  """What the layer is to give, `[B, C]` or `[B, H, W, C]`."""
  rng = make_inception_fixture.rng(f'target {shape}')
  return rng.standard_normal(shape).astype(np.float32)


def _layer(name: str) -> Any:
  from torch import nn

  return {
    'conv': lambda: nn.Conv2d(3, 4, 3, padding=1),
    'transposed': lambda: nn.ConvTranspose2d(4, 3, 4, 2, 1),
    'grouped': lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2),
    'dense': lambda: nn.Linear(5, 7),
    'embedding': lambda: nn.Embedding(5, 6),
  }[name]()


def _played(name: str) -> dict[str, np.ndarray]:
  import torch

  layer = torch.nn.utils.spectral_norm(_layer(name))
  own = {k: torch.from_numpy(v) for k, v in start(name).items()}
  with torch.no_grad():
    layer.weight_orig.copy_(own['weight'])
    layer.weight_u.copy_(own['u'])
    layer.weight_v.copy_(own['right/u'])
    if name != 'embedding':
      layer.bias.copy_(own['bias'])
  x = torch.from_numpy(inputs(name))
  x = x.permute(0, 3, 1, 2) if x.ndim == 4 else x
  optimiser = torch.optim.SGD(layer.parameters(), RATE)
  sigmas = []
  for _ in range(STEPS):
    y = layer(x)
    sigmas.append((layer.weight_orig.norm() / layer.weight.norm()).item())
    y = y.permute(0, 2, 3, 1) if y.ndim == 4 else y
    loss = (y - torch.from_numpy(target(tuple(y.shape)))).square().mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
  return {
    'weight': layer.weight_orig.detach().numpy(),
    'u': layer.weight_u.numpy(),
    'sigmas': np.array(sigmas, np.float32),
  }


def main() -> None:
  kept = {
    f'{name} {key}': value
    for name in SHAPES
    for key, value in _played(name).items()
  }
  np.savez_compressed(PATH, **kept)
  print(f'{PATH}: {PATH.stat().st_size} bytes')
  for name in SHAPES:
    moved = np.abs(kept[f'{name} weight'] - start(name)['weight']).max()
    print(f'  {name}: moved by {moved:.3g}, sigmas {kept[f"{name} sigmas"]}')


if __name__ == '__main__':
  main()
