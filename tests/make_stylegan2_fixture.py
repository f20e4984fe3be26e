"""Makes what the tests keep of StyleGAN2-ADA.

  python tests/make_stylegan2_fixture.py CHECKOUT

CHECKOUT is one of NVlabs/stylegan2-ada-pytorch; it runs on the CPU, by the
reference implementations of its operations. stylegan2_fixture.npz holds what
small networks answer, and the gradients of the authors' R1 and path length
regularisation.

Needs torch, which no test does. Weights, inputs and noise are drawn from
generators that are seeded by their names, so that the test draws the same and
only the answers are kept.
"""

import pathlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import make_inception_fixture as seeds
import numpy as np

PATH = pathlib.Path(__file__).with_name('stylegan2_fixture.npz')

BATCH, LATENT_DIM, W_DIM = 4, 6, 8
# Of the mapping network's learning rates, the weight of R1 and the average that
# path lengths are compared with.
RATE, GAMMA, AVERAGE = 0.01, 3.0, 0.25


class Case(NamedTuple):
  """Two small networks.

  Attributes:
    side: of images.
    classes: 0 for none.
    gen: the generator's architecture.
    disc: the discriminator's.
    group: of the minibatch standard deviation.
    width: the most channels.
    base: the most channels times side.
    penalties: whether their gradients are kept, too.
  """

  side: int
  classes: int
  gen: str
  disc: str
  group: int
  width: int
  base: int
  penalties: bool


CASES = {
  'large': Case(32, 0, 'skip', 'resnet', 2, 12, 256, False),
  'conditional': Case(8, 3, 'skip', 'resnet', 4, 12, 64, True),
  'resnet_orig': Case(8, 0, 'resnet', 'orig', 4, 12, 64, True),
  'orig_skip': Case(8, 3, 'orig', 'skip', 2, 12, 64, False),
}


def draw(name: str, *shape: int) -> np.ndarray:
  """N(0, 1), float32."""
  return seeds.rng(name).standard_normal(shape).astype(np.float32)


def labels(case: Case) -> np.ndarray | None:
  """`[B]` int32, or None."""
  return (
    np.arange(BATCH, dtype=np.int32) % case.classes if case.classes else None
  )


def noise(side: int) -> np.ndarray:
  """Of all layers at a resolution and of all samples, `[side, side]`."""
  return draw(f'noise {side}', side, side)


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
  """By the authors' names; all that is learned, and the running average."""
  arrays = {}
  for name, shape in shapes.items():
    array = draw(name, *shape)
    rate = RATE if 'mapping.fc' in name else 1.0
    if name.endswith('.affine.bias'):
      array = 1 + 0.1 * array
    elif name.endswith(('.bias', 'noise_strength', 'w_avg')):
      array = 0.2 * array / rate
    else:
      array = array / rate
    arrays[name] = np.asarray(array, np.float32)
  return arrays


def make_pair(case: Case) -> tuple[Any, Any]:
  """The authors' networks with seeded weights."""
  import torch
  from training import networks

  channels = {'channel_base': case.base, 'channel_max': case.width}
  gen = networks.Generator(
    z_dim=LATENT_DIM, c_dim=case.classes, w_dim=W_DIM, img_resolution=case.side,
    img_channels=3, mapping_kwargs={'num_layers': 2},
    synthesis_kwargs={'architecture': case.gen, **channels},
  )  # fmt: skip
  disc = networks.Discriminator(
    c_dim=case.classes, img_resolution=case.side, img_channels=3,
    architecture=case.disc, mapping_kwargs={'num_layers': 2},
    epilogue_kwargs={'mbstd_group_size': case.group}, **channels,
  )  # fmt: skip
  for network in (gen, disc):
    shapes = {name: tuple(x.shape) for name, x in network.named_parameters()}
    if network is gen:
      shapes['mapping.w_avg'] = (W_DIM,)
    state = network.state_dict() | {
      name: torch.from_numpy(x) for name, x in weights(shapes).items()
    }
    for name in state:
      if name.endswith('noise_const'):
        state[name] = torch.from_numpy(noise(state[name].shape[0]))
    network.load_state_dict(state)
  return gen, disc


def answers(case: Case) -> dict[str, np.ndarray]:
  import torch

  gen, disc = make_pair(case)
  z = torch.from_numpy(draw('z', BATCH, LATENT_DIM))
  x = torch.from_numpy(draw('images', BATCH, 3, case.side, case.side))
  label = labels(case)
  c = torch.zeros(BATCH, 0)
  if label is not None:
    c = torch.eye(case.classes)[torch.from_numpy(label).long()]
  found = {}
  with torch.no_grad():
    gen.eval()
    ws = gen.mapping(z, c)
    found['w'] = ws[:, 0]
    found['truncated'] = gen.mapping(z, c, truncation_psi=0.7)[:, 0]
    for mode in ('none', 'const'):
      images = gen.synthesis(ws, noise_mode=mode, fused_modconv=False)
      found[f'images_{mode}'] = images
    found['logits'] = disc(x, c)[:, 0]
    gen.train()
    gen.mapping(z, c)
    found['average'] = gen.mapping.w_avg.clone()
  if case.penalties:
    found |= gradients(gen, disc, x, c, z)
  return {name: value.detach().numpy() for name, value in found.items()}


def gradients(gen: Any, disc: Any, x: Any, c: Any, z: Any) -> dict[str, Any]:
  """Of both penalties by parameters, and the average path length after."""
  import torch
  from training import loss as losses

  made = losses.StyleGAN2Loss(
    torch.device('cpu'), gen.mapping, gen.synthesis, disc,
    style_mixing_prob=0, r1_gamma=GAMMA, pl_batch_shrink=2,
  )  # fmt: skip
  made.pl_mean.fill_(AVERAGE)

  # Of a layer's noise, and of that which path lengths are of.
  def randn(shape: list[int], **_: Any) -> torch.Tensor:
    return torch.from_numpy(noise(shape[-1])).expand(shape)

  def randn_like(x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(draw('y', *x.shape))

  torch.randn, torch.randn_like = randn, randn_like
  for phase in ('Greg', 'Dreg'):
    made.accumulate_gradients(phase, x, c, z, c, True, 1.0)
  found = {'length': made.pl_mean}
  for kind, network in (('path', gen), ('r1', disc)):
    for name, p in network.named_parameters():
      if p.grad is not None:
        found[f'{kind}/{name}'] = p.grad
  return found


def save(checkout: str) -> None:
  import torch

  sys.path.insert(0, checkout)
  originals = torch.randn, torch.randn_like
  kept = {}
  for name, case in CASES.items():
    kept |= {f'{name}/{key}': value for key, value in answers(case).items()}
    torch.randn, torch.randn_like = originals
  np.savez_compressed(PATH, **kept)
  print(f'{PATH}: {PATH.stat().st_size} bytes, {len(kept)} arrays')


if __name__ == '__main__':
  save(sys.argv[1])
