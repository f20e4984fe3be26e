"""Makes what the tests keep of R3GAN's own code.

  python tests/make_r3gan_fixture.py CHECKOUT

CHECKOUT is one of https://github.com/brownvc/R3GAN. Needs torch, which no test
does. Weights, latents and images are drawn from generators that are seeded by
their names, so that the test draws the same and only the answers are kept:
samples, logits, and the gradient of R1 with respect to each of D's parameters.
"""

import pathlib
import sys

import make_inception_fixture
import numpy as np

PATH = pathlib.Path(__file__).with_name('r3gan_fixture.npz')

# Channels, groups and blocks of 4x4, 8x8 and 16x16.
WIDTH, GROUPS, DEPTH = (16, 16, 8), (4, 4, 2), (1, 2, 1)
CLASSES, EMBEDDING, LATENT, SAMPLES = 5, 16, 12, 3


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
  """Of a size at which activations neither vanish nor explode, float32."""
  rng = make_inception_fixture.rng(name)
  fan_in = np.prod(shape[1:]) if len(shape) > 1 else 100
  scale = 1.0 if name in ('z', 'x') else fan_in**-0.5
  return (rng.standard_normal(shape) * scale).astype(np.float32)


def labels() -> np.ndarray:
  return np.array([4, 0, 2], np.int32)


def _seeded(module: 'torch.nn.Module', prefix: str) -> 'torch.nn.Module':
  state = module.state_dict()
  for name, tensor in state.items():
    # Filters of the resampling stay as they are.
    if name.endswith('Kernel'):
      continue
    state[name] = torch.from_numpy(draw(prefix + name, tuple(tensor.shape)))
  module.load_state_dict(state)
  return module


def _answers(classes: int) -> dict[str, np.ndarray]:
  prefix = f'{classes}/'
  given = {'ConditionDimension': classes or None}
  gen = _seeded(
    R3GAN.Networks.Generator(
      LATENT, WIDTH, GROUPS, DEPTH, 2,
      ConditionEmbeddingDimension=EMBEDDING if classes else 0, **given,
    ),
    prefix + 'gen.',
  )  # fmt: skip
  disc = _seeded(
    R3GAN.Networks.Discriminator(
      WIDTH[::-1], GROUPS[::-1], DEPTH[::-1], 2,
      ConditionEmbeddingDimension=EMBEDDING if classes else 0, **given,
    ),
    prefix + 'disc.',
  )  # fmt: skip
  y = None
  if classes:
    y = torch.nn.functional.one_hot(
      torch.from_numpy(labels()).long(), classes
    ).float()
  z = torch.from_numpy(draw('z', (SAMPLES, LATENT)))
  x = torch.from_numpy(draw('x', (SAMPLES, 3, 16, 16))).requires_grad_()
  logits = disc(x, y)
  (grads,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
  penalty = 0.5 * grads.square().sum(dim=(1, 2, 3)).mean()
  parameters = dict(disc.named_parameters())
  of_parameters = torch.autograd.grad(
    penalty, list(parameters.values()), allow_unused=True
  )
  found = {
    'samples': gen(z, y).detach().numpy(),
    'logits': logits.detach().numpy(),
    'penalty': penalty.detach().numpy(),
  }
  for name, grad in zip(parameters, of_parameters, strict=True):
    found['grad/' + name] = (
      np.zeros(tuple(parameters[name].shape), np.float32)
      if grad is None
      else grad.numpy()
    )
  return {prefix + name: value for name, value in found.items()}


if __name__ == '__main__':
  sys.path.insert(0, sys.argv[1])
  import R3GAN.Networks
  import torch

  np.savez_compressed(PATH, **_answers(0), **_answers(CLASSES))
  print(PATH, PATH.stat().st_size)
