"""Makes what the tests keep of SNGAN's own code, which is of Chainer.

  python tests/make_sngan_fixture.py CHECKOUT

sngan_fixture.npz holds what small networks of pfnet-research/sngan_projection,
checked out in CHECKOUT, say of a few latents and images. Needs chainer 7.8
with numpy below 1.24, which no test does. Arrays are drawn by their names, as
in make_biggan_fixture.py. PyTorch ports were passed over: torch-mimicry
upsamples bilinearly and its shortcuts see a rectified x, for it activates in
place.
"""

import importlib
import pathlib
import sys
from typing import Any, NamedTuple

import make_biggan_fixture as common
import numpy as np

PATH = pathlib.Path(__file__).with_name('sngan_fixture.npz')

LATENT = 6


class Case(NamedTuple):
  """A pair of networks.

  Attributes:
    size: of the images.
    gen: `ch` of the generator.
    disc: `ch` of the discriminator.
    classes: of both; 0 for none.
  """

  size: int
  gen: int
  disc: int
  classes: int = 0


# Of our width 2 each.
CASES = {
  'plain': Case(32, 8, 4),
  'classes': Case(32, 8, 4, common.CLASSES),
  'larger': Case(64, 2, 2, common.CLASSES),
}


def _seeded(network: Any) -> Any:
  """A network with the weights of its names."""
  params = dict(network.namedparams())
  vectors = {
    f'{name}/u': link
    for name, link in network.namedlinks()
    if hasattr(link, 'u')
  }
  shapes = {name: p.shape for name, p in params.items()}
  shapes |= {name: link.u.shape[1:] for name, link in vectors.items()}
  drawn = common.weights(shapes)
  for name, p in params.items():
    # Of gains by class, what is added to 1.
    p.data[:] = drawn[name] + name.endswith('/gammas/W')
  for name, link in vectors.items():
    link.u[:] = drawn[name]
  return network


def _answers(case: Case) -> dict[str, np.ndarray]:
  import chainer

  f = chainer.functions
  ending = {32: '_32', 64: '_64'}[case.size]
  gen_file = importlib.import_module(f'gen_models.resnet{ending}')
  disc_file = importlib.import_module(f'dis_models.snresnet{ending}')
  gen = _seeded(
    gen_file.ResNetGenerator(ch=case.gen, dim_z=LATENT, n_classes=case.classes)
  )
  disc = _seeded(
    disc_file.SNResNetProjectionDiscriminator(
      ch=case.disc, n_classes=case.classes
    )
  )
  z, x = common.inputs(case.size, LATENT)
  y = common.LABELS if case.classes else None
  samples = gen(len(z), z=z, y=y)
  images = chainer.Variable(x.transpose(0, 3, 1, 2))
  logits = disc(images, y)
  (grads,) = chainer.grad(
    [f.sum(logits)], [images], enable_double_backprop=True
  )
  penalty = 0.5 * f.mean(f.sum(grads**2, axis=(1, 2, 3)))
  disc.cleargrads()
  penalty.backward()
  return {
    'samples': samples.data.transpose(0, 2, 3, 1),
    'logits': logits.data[:, 0],
    'penalty': penalty.data,
    **{
      f'grad {name}': p.grad
      for name, p in disc.namedparams()
      if p.grad is not None
    },
  }


def main(checkout: str) -> None:
  sys.path.insert(0, checkout)
  functions = importlib.import_module('source.functions.max_sv')
  # Theirs is a kernel for a GPU.
  functions._l2normalize = lambda v, eps=1e-12: v / (np.linalg.norm(v) + eps)
  kept = {
    f'{name} {key}': value
    for name, case in CASES.items()
    for key, value in _answers(case).items()
  }
  np.savez_compressed(PATH, **kept)
  print(f'{PATH}: {PATH.stat().st_size} bytes')
  for name in CASES:
    for key in ('samples', 'logits', 'penalty'):
      x = kept[f'{name} {key}']
      print(f'  {name} {key}: mean {x.mean():.3g}, std {x.std():.3g}')


if __name__ == '__main__':
  main(sys.argv[1])
