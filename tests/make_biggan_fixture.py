"""Makes what the tests keep of BigGAN's PyTorch code.

  python tests/make_biggan_fixture.py CHECKOUT

biggan_fixture.npz holds what small networks of ajbrock/BigGAN-PyTorch, checked
out in CHECKOUT, say of a few latents and images. Needs torch, which no test
does. Weights, inputs and first vectors of the power method are drawn from
generators that are seeded by their names, so that the test draws the same and
only the answers are kept.
"""

import pathlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import make_inception_fixture
import numpy as np

PATH = pathlib.Path(__file__).with_name('biggan_fixture.npz')

CLASSES = 3
LABELS = np.array([0, 2, 1], np.int32)


class Case(NamedTuple):
  """A pair of networks.

  Attributes:
    size: of the images.
    width: `G_ch` and `D_ch`.
    latent: the size of z.
    shared: the size of the shared embedding, with z for each block; or 0.
    attention: in G, at this side; in D, at half of it.
    step: of every so many rows and columns of samples, one is kept.
  """

  size: int
  width: int
  latent: int
  shared: int = 0
  attention: int = 0
  step: int = 1


CASES = {
  'plain': Case(32, 2, 6),
  'full': Case(64, 2, 10, 5, 16),
  'largest': Case(128, 1, 12, 5, 16, step=5),
}


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
  """Of a size at which activations neither vanish nor explode, float32."""
  arrays = {}
  for name, shape in shapes.items():
    draw = make_inception_fixture.rng(name).standard_normal(shape)
    if len(shape) > 1:
      draw *= np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith(('/u', '.u0')):
      draw /= np.linalg.norm(draw)
    else:
      # Of biases and, about 1, of gains.
      draw = 0.2 * draw + name.endswith(('.gain', '/gamma', '.gamma'))
    arrays[name] = np.asarray(draw, np.float32)
  return arrays


def inputs(size: int, latent: int) -> tuple[np.ndarray, np.ndarray]:
  """Latents `[3, latent]` and images `[3, size, size, 3]`, float32."""
  rng = make_inception_fixture.rng(f'inputs {size}')
  z = rng.standard_normal((len(LABELS), latent))
  x = rng.uniform(-1, 1, (len(LABELS), size, size, 3))
  return z.astype(np.float32), x.astype(np.float32)


def seeded(network: Any) -> Any:
  """A network in training mode with the weights of its names."""
  import torch

  state = network.state_dict()
  known = {
    name: tuple(x.shape)
    for name, x in state.items()
    if not name.rpartition('.')[2].startswith(('stored', 'sv', 'accumulat'))
  }
  # `u` are rows there.
  rows = {name for name in known if name.endswith('.u0')}
  flat = {n: shape[1:] if n in rows else shape for n, shape in known.items()}
  drawn = weights(flat)
  for name, x in drawn.items():
    state[name] = torch.from_numpy(x.reshape(known[name]))
  network.load_state_dict(state)
  return network.train()


def _answers(case: Case, package: Any) -> dict[str, np.ndarray]:
  common = {
    'resolution': case.size, 'n_classes': CLASSES, 'skip_init': True,
  }  # fmt: skip
  gen = package.Generator(
    G_ch=case.width, dim_z=case.latent, G_attn=str(case.attention),
    G_shared=bool(case.shared), shared_dim=case.shared,
    hier=bool(case.shared), no_optim=True, **common,
  )  # fmt: skip
  disc = package.Discriminator(
    D_ch=case.width, D_attn=str(case.attention // 2), **common
  )
  z, x = inputs(case.size, case.latent)
  return {
    'samples': samples(seeded(gen), z)[:, :: case.step, :: case.step],
    **judged(seeded(disc), x),
  }


def samples(gen: Any, z: np.ndarray) -> np.ndarray:
  """Of latents and `LABELS`, `[3, size, size, 3]`."""
  import torch

  y = torch.from_numpy(LABELS).long()
  with torch.no_grad():
    made = gen(torch.from_numpy(z), gen.shared(y))
  return made.permute(0, 2, 3, 1).numpy()


def judged(disc: Any, images: np.ndarray) -> dict[str, np.ndarray]:
  """Logits, half the squared norm of input gradients, its gradients."""
  import torch

  x = torch.from_numpy(images).permute(0, 3, 1, 2).requires_grad_()
  logits = disc(x, torch.from_numpy(LABELS).long())[:, 0]
  (grads,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
  penalty = 0.5 * grads.square().sum((1, 2, 3)).mean()
  penalty.backward()
  return {
    'logits': logits.detach().numpy(),
    'penalty': penalty.detach().numpy(),
    **{
      f'grad {name}': p.grad.numpy()
      for name, p in disc.named_parameters()
      if p.grad is not None
    },
  }


def keep(path: pathlib.Path, cases: Mapping[str, Mapping[str, Any]]) -> None:
  """Writes the answers of each case, and says how large some are."""
  kept = {
    f'{name} {key}': value
    for name, answers in cases.items()
    for key, value in answers.items()
  }
  np.savez_compressed(path, **kept)
  print(f'{path}: {path.stat().st_size} bytes')
  for name in cases:
    for key in ('samples', 'logits', 'penalty'):
      x = kept[f'{name} {key}']
      print(f'  {name} {key}: mean {x.mean():.3g}, std {x.std():.3g}')


def main(checkout: str) -> None:
  sys.path.insert(0, checkout)
  import BigGAN

  keep(PATH, {name: _answers(case, BigGAN) for name, case in CASES.items()})


if __name__ == '__main__':
  main(sys.argv[1])
