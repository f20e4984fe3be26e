"""Makes what the tests keep of the library mimicry's code.

  python tests/make_mimicry_fixture.py CHECKOUT

mimicry_fixture.npz holds what its small networks of SNGAN and WGAN-GP at 32x32,
of kwotsin/mimicry checked out in CHECKOUT, say of a few latents and images.
Needs PyTorch, which no test does. Arrays are drawn by the names that
make_sngan_fixture.py has for them.
"""

import importlib
import pathlib
import sys
import types
from typing import Any

import make_biggan_fixture as common
import make_sngan_fixture
import numpy as np

PATH = pathlib.Path(__file__).with_name('mimicry_fixture.npz')

# Our unit of channels.
WIDTH = 2

CASES = {'sngan': 'SNGAN', 'wgan_gp': 'WGANGP'}


def name_of(name: str) -> str:
  """SNGAN's own for one of PyTorch's, or '' for what is not drawn."""
  *layers, leaf = name.split('.')
  norm = layers[-1][0] == 'b' and not layers[-1].startswith('block')
  ends = {
    'weight': 'gamma' if norm else 'W',
    'bias': 'beta' if norm else 'b',
    'weight_orig': 'W',
    'weight_u': 'u',
  }
  return '/'.join(['', *layers, ends[leaf]]) if leaf in ends else ''


def _seeded(network: Any) -> Any:
  import torch

  state = network.state_dict()
  for name, x in state.items():
    own = name_of(name)
    if own:
      state[name] = torch.from_numpy(common.weights({own: x.shape})[own])
  network.load_state_dict(state)
  return network.train()


class _Unlabelled:
  """A discriminator that is called with labels too."""

  def __init__(self, disc: Any):
    self._disc = disc
    self.named_parameters = disc.named_parameters

  def __call__(self, x: Any, _: Any) -> Any:
    return self._disc(x)


def _answers(case: str) -> dict[str, np.ndarray]:
  import torch

  module = importlib.import_module(f'torch_mimicry.nets.{case}.{case}_32')
  gen = getattr(module, f'{CASES[case]}Generator32')
  disc = getattr(module, f'{CASES[case]}Discriminator32')
  gen = _seeded(gen(nz=make_sngan_fixture.LATENT, ngf=4 * WIDTH))
  disc = _seeded(disc(ndf=2 * WIDTH))
  z, images = common.inputs(32, make_sngan_fixture.LATENT)
  with torch.no_grad():
    samples = gen(torch.from_numpy(z)).permute(0, 2, 3, 1).numpy()
  found = common.judged(_Unlabelled(disc), images)
  return {
    'samples': samples,
    **{
      f'grad {name_of(key.removeprefix("grad "))}'
      if key.startswith('grad ')
      else key: value
      for key, value in found.items()
    },
  }


def main(checkout: str) -> None:
  # Past the package's own, which loads what it trains and measures with.
  for name in ('', '.nets', *(f'.nets.{case}' for case in CASES)):
    package = types.ModuleType(f'torch_mimicry{name}')
    folder = pathlib.Path(checkout, 'torch_mimicry', *name.split('.')[1:])
    package.__path__ = [str(folder)]
    sys.modules[package.__name__] = package
  common.keep(PATH, {case: _answers(case) for case in CASES})


if __name__ == '__main__':
  main(sys.argv[1])
