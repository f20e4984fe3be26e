"""Makes what the tests keep of StyleGAN3.

  python tests/make_stylegan3_fixture.py CHECKOUT

CHECKOUT is one of NVlabs/stylegan3; it runs on the CPU, by the reference
implementations of its operations. stylegan3_fixture.npz holds what small
generators answer, the gradients of a loss, their running averages after a pass
of training, and images as the figures of equivariance transform them.

Needs torch, requests and a setuptools with pkg_resources, which no test does.
Weights and inputs are drawn from generators that are seeded by their names, so
that the test draws the same and only the answers are kept.
"""

import pathlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import make_inception_fixture as seeds
import numpy as np

PATH = pathlib.Path(__file__).with_name('stylegan3_fixture.npz')

BATCH, LATENT_DIM, W_DIM, SIDE, LAYERS = 2, 5, 6, 16, 3
# Of the mapping network's learning rates, and, in samples, of the averages of
# magnitudes.
RATE, HALF_LIFE = 0.01, 7.0


class Case(NamedTuple):
  """A small generator.

  Attributes:
    classes: 0 for none.
    kernel: of its convolutions.
    radial: whether filters are.
    width: the most channels.
    clamp: of activations.
  """

  classes: int
  kernel: int
  radial: bool
  width: int
  clamp: float | None


CASES = {
  't': Case(3, 3, False, 8, 256.0),
  'r': Case(0, 1, True, 12, None),
  'clamped': Case(0, 3, False, 6, 0.5),
}


def draw(name: str, *shape: int) -> np.ndarray:
  """N(0, 1), float32."""
  return seeds.rng(name).standard_normal(shape).astype(np.float32)


def labels(case: Case) -> np.ndarray | None:
  """`[B]` int32, or None."""
  return (
    np.arange(BATCH, dtype=np.int32) % case.classes if case.classes else None
  )


def transform() -> np.ndarray:
  """An image turned by a fifth of a radian and moved, `[3, 3]`."""
  c, s = np.cos(0.2), np.sin(0.2)
  return np.array([[c, s, 0.13], [-s, c, -0.21], [0, 0, 1]], np.float32)


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
  """By the authors' names: what is learned, averages, and constants."""
  arrays = {}
  for name, shape in shapes.items():
    array = draw(name, *shape)
    rate = RATE if 'mapping.fc' in name else 1.0
    if name == 'synthesis.input.affine.bias':
      array = np.array([1.0, 0.2, 0.1, -0.3]) + 0.1 * array
    elif name == 'synthesis.input.affine.weight':
      array = 0.3 * array
    elif name.endswith('.affine.bias'):
      array = 1 + 0.1 * array
    elif name.endswith('magnitude_ema'):
      array = np.exp(0.3 * array)
    elif name.endswith('.freqs'):
      array = np.clip(array, -1.4, 1.4)
    elif name.endswith(('.bias', 'w_avg', '.phases')):
      array = 0.2 * array / rate
    else:
      array = array / rate
    arrays[name] = np.asarray(array, np.float32)
  return arrays


def plain(name: str) -> str:
  """A parameter's name, with layer 3 in place of L3_36_512."""
  return '.'.join(
    part.partition('_')[0].lower() if part[0] == 'L' else part
    for part in name.split('.')
  )


def make_generator(case: Case) -> Any:
  """The authors' generator with seeded weights."""
  import torch
  from training import networks_stylegan3 as networks

  gen = networks.Generator(
    z_dim=LATENT_DIM, c_dim=case.classes, w_dim=W_DIM, img_resolution=SIDE,
    img_channels=3, mapping_kwargs={'num_layers': 2}, channel_base=64,
    channel_max=case.width, num_layers=LAYERS, num_critical=1,
    margin_size=4, conv_kernel=case.kernel, use_radial_filters=case.radial,
    conv_clamp=case.clamp, magnitude_ema_beta=0.5 ** (BATCH / HALF_LIFE),
  )  # fmt: skip
  state = gen.state_dict()
  kept = ('_filter', '.transform')
  shapes = {
    plain(name): tuple(x.shape)
    for name, x in state.items() if not name.endswith(kept)
  }  # fmt: skip
  drawn = weights(shapes)
  gen.load_state_dict({
    name: x if name.endswith(kept) else torch.from_numpy(drawn[plain(name)])
    for name, x in state.items()
  })  # fmt: skip
  return gen


def answers(case: Case) -> dict[str, np.ndarray]:
  import torch

  gen = make_generator(case)
  z = torch.from_numpy(draw('z', BATCH, LATENT_DIM))
  label = labels(case)
  c = torch.zeros(BATCH, 0)
  if label is not None:
    c = torch.eye(case.classes)[torch.from_numpy(label).long()]
  found = {}
  ws = gen.mapping(z, c).detach()
  found['w'] = ws[:, 0]
  found['truncated'] = gen.mapping(z, c, truncation_psi=0.7)[:, 0]
  ws.requires_grad_(True)
  found['images'] = images = gen.synthesis(ws)
  loss = (images * torch.from_numpy(draw('y', *images.shape))).sum()
  loss.backward()
  found['grad/ws'] = ws.grad
  for name, p in gen.synthesis.named_parameters():
    found['grad/synthesis.' + plain(name)] = p.grad
  if case.radial:
    gen.synthesis.input.transform.copy_(torch.from_numpy(transform()))
    found['moved'] = gen.synthesis(ws)
    gen.synthesis.input.transform.copy_(torch.eye(3))
  found['trained'] = gen(z, c, update_emas=True)
  for name, x in gen.named_buffers():
    if name.endswith(('magnitude_ema', 'w_avg')):
      found['after/' + plain(name)] = x
  for name, x in gen.synthesis.named_buffers():
    if name.endswith('_filter'):
      found['filter/' + plain(name)] = x
  return {name: value.detach().numpy() for name, value in found.items()}


# Of the figures of equivariance: shifts in pixels, to the right and down, and
# angles.
EQ_SIDE, WHOLE, PART, ANGLES = 24, (3.0, -2.0), (2.3, -1.6), (0.7, -2.9)


def transformed() -> dict[str, np.ndarray]:
  """Images `[1, H, W]` and their masks, by the operator's name."""
  import torch
  from metrics import equivariance

  x = torch.from_numpy(draw('eq', 1, 1, EQ_SIDE, EQ_SIDE))
  whole, part = (torch.tensor(t) / EQ_SIDE for t in (WHOLE, PART))
  found = {
    'whole': equivariance.apply_integer_translation(x, *whole),
    'part': equivariance.apply_fractional_translation(x, *part),
  }
  for i, angle in enumerate(map(torch.tensor, ANGLES)):
    found[f'turned{i}'] = equivariance.apply_fractional_rotation(x, angle)
    pseudo = equivariance.apply_fractional_pseudo_rotation(x, angle)
    found[f'pseudo{i}'] = pseudo
  return {
    f'eq/{name}/{key}': array[0, 0].numpy()
    for name, pair in found.items()
    for key, array in zip(('x', 'mask'), pair, strict=True)
  }


def save(checkout: str) -> None:
  sys.path.insert(0, checkout)
  kept = transformed()
  for name, case in CASES.items():
    kept |= {f'{name}/{key}': value for key, value in answers(case).items()}
  np.savez_compressed(PATH, **kept)
  print(f'{PATH}: {PATH.stat().st_size} bytes, {len(kept)} arrays')


if __name__ == '__main__':
  save(sys.argv[1])
