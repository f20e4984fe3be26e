"""Makes what the tests keep of the code of R3GAN's second version.

  python tests/make_r3gan2_fixture.py CHECKOUT

CHECKOUT is one of https://github.com/IFeelBloated/R3GAN2. Needs torch, which no
test does. Weights, noise, latents and images are drawn from generators that are
seeded by their names, so that the test draws the same and only the answers are
kept: every other row and column of samples, logits, and, with classes, of the
gradient of R1 with respect to each of D's parameters the norm and every
STRIDE-th number. All is in float32 here.
"""

import pathlib
import sys

import make_inception_fixture
import numpy as np

PATH = pathlib.Path(__file__).with_name('r3gan2_fixture.npz')

# Channels of 8x8, 16x16 and 32x32, and their blocks: a for attention.
WIDTH, BLOCKS, HEAD = (32, 32, 16), ('af', 'ff', 'f'), 16
CLASSES, EMBEDDING, LATENT, SAMPLES, SIDE = 5, 24, 12, 3, 32
STRIDE = 7


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
  """Normal, float32."""
  rng = make_inception_fixture.rng(name)
  return rng.standard_normal(shape).astype(np.float32)


def labels() -> np.ndarray:
  return np.array([4, 0, 2], np.int32)


def kept(gradient: np.ndarray) -> np.ndarray:
  """The norm, and every STRIDE-th number in the order of torch."""
  flat = gradient.reshape(-1)
  return np.append(flat[::STRIDE], np.linalg.norm(flat)).astype(np.float32)


def _seeded(module: 'torch.nn.Module', prefix: str) -> 'torch.nn.Module':
  for name, parameter in module.named_parameters():
    drawn = draw(prefix + name, tuple(parameter.shape))
    parameter.data = torch.from_numpy(np.asarray(drawn))
  return module


def _networks(classes: int) -> tuple['torch.nn.Module', 'torch.nn.Module']:
  kinds = {'a': 'Attention', 'f': 'FFN'}
  blocks = [[kinds[kind] for kind in stage] for stage in BLOCKS]
  common = {
    'ModulationDimension': None, 'MLPWidthRatio': 2, 'FFNWidthRatio': 2,
    'ChannelsPerConvolutionGroup': 32, 'AttentionWidthRatio': 1,
    'ChannelsPerAttentionHead': HEAD, 'NumberOfClasses': classes or None,
    'ClassEmbeddingDimension': EMBEDDING if classes else 0,
  }  # fmt: skip
  gen = R3GAN.Networks.Generator(
    NoiseDimension=LATENT, OutputChannels=3, WidthPerStage=WIDTH,
    BlocksPerStage=blocks, **common,
  )  # fmt: skip
  disc = R3GAN.Networks.Discriminator(
    InputChannels=3, WidthPerStage=WIDTH[::-1], BlocksPerStage=blocks[::-1],
    **common,
  )  # fmt: skip
  return gen, disc


def noise(side: int, place: int) -> np.ndarray:
  """Of the place-th feed-forward block of G, `[SAMPLES, side, side]`."""
  return draw(f'noise {place}', (SAMPLES, side, side))


def _answers(classes: int) -> dict[str, np.ndarray]:
  prefix = f'{classes}/'
  gen, disc = _networks(classes)
  _seeded(gen, prefix + 'gen.')
  _seeded(disc, prefix + 'disc.')
  y = None
  if classes:
    y = torch.nn.functional.one_hot(
      torch.from_numpy(labels()).long(), classes
    ).float()
  z = torch.from_numpy(draw('z', (SAMPLES, LATENT)))
  x = torch.from_numpy(draw('x', (SAMPLES, 3, SIDE, SIDE))).requires_grad_()
  places = iter(range(100))
  torch.randn = lambda shape, device: torch.from_numpy(
    noise(shape[2], next(places))
  )[:, None]
  samples = gen(z, y).detach().numpy()
  logits = disc(x, y)
  found = {
    'samples': samples[..., ::2, ::2],
    'logits': logits.detach().numpy(),
  }
  if classes:
    found |= _of_penalty(disc, x, logits)
  return {prefix + name: value for name, value in found.items()}


def _of_penalty(
  disc: 'torch.nn.Module', x: 'torch.Tensor', logits: 'torch.Tensor'
) -> dict[str, np.ndarray]:
  (grads,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
  penalty = 0.5 * grads.square().sum(dim=(1, 2, 3)).mean()
  parameters = dict(disc.named_parameters())
  of_parameters = torch.autograd.grad(penalty, list(parameters.values()))
  found = {'penalty': penalty.detach().numpy()}
  for name, grad in zip(parameters, of_parameters, strict=True):
    found['grad/' + name] = kept(grad.numpy())
  return found


if __name__ == '__main__':
  sys.path.insert(0, sys.argv[1])
  import R3GAN.Networks
  import torch

  randn = torch.randn
  torch.bfloat16 = torch.float32
  answers = {}
  for classes in (0, CLASSES):
    torch.randn = randn
    answers |= _answers(classes)
  np.savez_compressed(PATH, **answers)
  print(PATH, PATH.stat().st_size)
