"""Makes what the tests keep of PyTorch's spectral normalisation.

  PYTHONPATH=. python tests/make_spectral_fixture.py

spectral_fixture.npz holds ten steps of `torch.nn.utils.spectral_norm` on each
kind of layer: the weights and the left vector after them, and sigma at each.
It holds ten steps of a small SAGAN, too, that has it in both players: D's and
G's loss at each, and the weights and sigmas after them. Needs torch, which no
test does. Arrays are drawn by their names, as in make_biggan_fixture.py.
"""

import pathlib
from typing import Any, NamedTuple

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

# Of the game: classes as in make_biggan_fixture.py, attention at 16x16.
WIDTH, LATENT, BATCH, SIDE = 2, 5, 4, 32
# Without so large an eps, the sign of a gradient near 0 is a step, and rounding
# decides it.
ADAM = {'lr': 1e-3, 'betas': (0.0, 0.9), 'eps': 1e-2}


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


def vectors(name: str, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The first u and v of a weight `[rows, columns]` of the game."""
  u = make_inception_fixture.rng(f'{name} u').standard_normal(len(matrix))
  matrix = matrix.astype(np.float64)
  for _ in range(15):
    v = matrix.T @ u
    v /= np.linalg.norm(v)
    u = matrix @ v
    u /= np.linalg.norm(u)
  return u.astype(np.float32), v.astype(np.float32)


class Round(NamedTuple):
  """What a step takes: latents of either update, and real images."""

  disc_z: np.ndarray
  disc_label: np.ndarray
  gen_z: np.ndarray
  gen_label: np.ndarray
  x: np.ndarray
  label: np.ndarray


def round_of(step: int) -> Round:
  """Latents `[B, Z]`, images `[B, 32, 32, 3]`, labels `[B]`."""
  rng = make_inception_fixture.rng(f'game {step}')
  z = rng.standard_normal((2, BATCH, LATENT)).astype(np.float32)
  label = rng.integers(common.CLASSES, size=(3, BATCH)).astype(np.int32)
  x = rng.uniform(-1, 1, (BATCH, SIDE, SIDE, 3)).astype(np.float32)
  return Round(z[0], label[0], z[1], label[1], x, label[2])


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
  """A first weight of the game; 'norm.norm.weight' is a gain."""
  name = name.replace('norm.norm.weight', 'norm.gain')
  return common.weights({name: shape})[name]


def _players() -> tuple[Any, Any]:
  import torch
  from torch.nn import utils

  from experiments.benchmarks import torch_residual

  torch_residual._normed = lambda layer, spectral: (
    utils.spectral_norm(layer) if spectral else layer
  )
  gen = torch_residual.Generator(LATENT, 4 * WIDTH, common.CLASSES, True, True)
  disc = torch_residual.Discriminator(4 * WIDTH, common.CLASSES, True)
  for player, network in (('gen', gen), ('disc', disc)):
    with torch.no_grad():
      for name, parameter in network.named_parameters():
        own = f'{player}.{name.removesuffix("_orig")}'
        drawn = weight(own, tuple(parameter.shape))
        parameter.copy_(torch.from_numpy(drawn))
      for name, layer in _normalised(network).items():
        own = f'{player}.{name}.weight'
        matrix = layer.weight_orig.numpy()
        u, v = vectors(own, matrix.reshape(len(matrix), -1))
        layer.weight_u.copy_(torch.from_numpy(u))
        layer.weight_v.copy_(torch.from_numpy(v))
  return gen, disc


def _normalised(network: Any) -> dict[str, Any]:
  return {
    name: layer
    for name, layer in network.named_modules()
    if hasattr(layer, 'weight_orig')
  }


def _iterate(network: Any, on: bool) -> None:
  """Whether a pass moves the vectors; other layers stay as in training."""
  for layer in _normalised(network).values():
    layer.train(on)


def _game() -> dict[str, np.ndarray]:
  import torch

  gen, disc = _players()
  optimisers = [torch.optim.Adam(n.parameters(), **ADAM) for n in (gen, disc)]
  losses = []
  for step in range(STEPS):
    own = Round(*map(torch.from_numpy, round_of(step)))
    real = own.x.permute(0, 3, 1, 2)
    _iterate(gen, False)
    _iterate(disc, True)
    with torch.no_grad():
      fake = gen(own.disc_z, own.disc_label)
    of_real = disc(real, own.label)
    _iterate(disc, False)
    of_fake = disc(fake, own.disc_label)
    disc_loss = (1 - of_real).relu().mean() + (1 + of_fake).relu().mean()
    optimisers[1].zero_grad()
    disc_loss.backward()
    optimisers[1].step()
    _iterate(gen, True)
    gen_loss = -disc(gen(own.gen_z, own.gen_label), own.gen_label).mean()
    optimisers[0].zero_grad()
    gen_loss.backward()
    optimisers[0].step()
    losses.append([disc_loss.item(), gen_loss.item()])
  kept = {'game losses': np.array(losses, np.float32)}
  for player, network in (('gen', gen), ('disc', disc)):
    for name, parameter in network.named_parameters():
      own = f'{player}.{name.removesuffix("_orig")}'
      kept[f'game {own}'] = parameter.detach().numpy()
    for name, layer in _normalised(network).items():
      matrix = layer.weight_orig.detach().flatten(1)
      sigma = layer.weight_u @ matrix @ layer.weight_v
      kept[f'game sigma {player}.{name}.weight'] = sigma.numpy()
  return kept


def main() -> None:
  kept = {
    f'{name} {key}': value
    for name in SHAPES
    for key, value in _played(name).items()
  }
  kept |= _game()
  np.savez_compressed(PATH, **kept)
  print(f'{PATH}: {PATH.stat().st_size} bytes')
  for name in SHAPES:
    moved = np.abs(kept[f'{name} weight'] - start(name)['weight']).max()
    print(f'  {name}: moved by {moved:.3g}, sigmas {kept[f"{name} sigmas"]}')
  print(f'  game: losses {kept["game losses"]}')


if __name__ == '__main__':
  main()
