"""The networks of the timed games in PyTorch, as one would write them there."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from experiments.benchmarks import torch_residual, torch_style
from gan_jax.config import fields as configs
from gan_jax.engine import players


def _mlp(
  inputs: int, outputs: int, width: int, depth: int, slope: float
) -> Any:
  layers: list[Any] = []
  for i in range(depth):
    layers.append(nn.Linear(inputs if i == 0 else width, width))
    layers.append(nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(True))
  return nn.Sequential(*layers, nn.Linear(width, outputs))


class MaxoutGenerator(nn.Module):
  """Rectifiers 1200-1200 and a sigmoid, scaled to [-1, 1]."""

  def __init__(self, latent_dim: int, shape: tuple[int, ...]):
    super().__init__()
    self.shape = shape
    self.layers = _mlp(latent_dim, math.prod(shape), 1200, 2, 0.0)

  def forward(self, z: Any) -> Any:
    x = 2 * torch.sigmoid(self.layers(z)) - 1
    return x.view(-1, self.shape[2], *self.shape[:2])


class MaxoutDiscriminator(nn.Module):
  """240 units of 5 pieces, twice, with dropout."""

  def __init__(self, shape: tuple[int, ...]):
    super().__init__()
    self.hidden = nn.ModuleList(
      [nn.Linear(math.prod(shape), 1200), nn.Linear(240, 1200)]
    )
    self.out = nn.Linear(240, 1)

  def forward(self, x: Any) -> Any:
    h = functional.dropout(x.flatten(1), 0.2)
    for layer in self.hidden:
      h = functional.dropout(layer(h).view(-1, 240, 5).amax(2), 0.5)
    return self.out(h)


class DcganGenerator(nn.Module):
  """Linear, then transposed convolutions with batch normalisation."""

  def __init__(self, latent_dim: int, shape: tuple[int, ...], width: int):
    super().__init__()
    self.base = shape[0]
    depth = 0
    while self.base > 7:
      self.base, depth = self.base // 2, depth + 1
    self.width = width
    self.linear = nn.Linear(latent_dim, self.base**2 * width)
    layers: list[Any] = []
    for stage in range(depth):
      inputs = width // 2**stage
      last = stage == depth - 1
      outputs = shape[2] if last else inputs // 2
      layers += [nn.BatchNorm2d(inputs), nn.ReLU(True)]
      layers.append(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1))
    self.layers = nn.Sequential(*layers, nn.Tanh())

  def forward(self, z: Any) -> Any:
    h = self.linear(z).view(-1, self.width, self.base, self.base)
    return self.layers(h)


class DcganDiscriminator(nn.Module):
  """Convolutions of stride two; no normalisation on the first."""

  def __init__(self, shape: tuple[int, ...], width: int, batch_norm: bool):
    super().__init__()
    base, depth = shape[0], 0
    while base > 7:
      base, depth = base // 2, depth + 1
    inputs, layers = shape[2], []
    for stage in range(1, depth + 1):
      outputs = width // 2 ** (depth - stage)
      layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1))
      if batch_norm and stage > 1:
        layers.append(nn.BatchNorm2d(outputs))
      layers.append(nn.LeakyReLU(0.2, inplace=True))
      inputs = outputs
    linear = nn.Linear(base**2 * width, 1)
    self.layers = nn.Sequential(*layers, nn.Flatten(), linear)

  def forward(self, x: Any) -> Any:
    return self.layers(x)


class BiasedActivation(nn.Module):
  def __init__(self, width: int):
    super().__init__()
    self.bias = nn.Parameter(torch.zeros(width, 1, 1))

  def forward(self, x: Any) -> Any:
    return functional.leaky_relu(x + self.bias, 0.2)


def _conv(
  inputs: int, outputs: int, size: int, gain: float, groups: int = 1
) -> Any:
  conv = nn.Conv2d(
    inputs, outputs, size, padding=size // 2, groups=groups, bias=False
  )
  fan_in = inputs // groups * size**2
  nn.init.normal_(conv.weight, 0.0, gain / math.sqrt(fan_in))
  return conv


class Block(nn.Module):
  def __init__(self, width: int, groups: int, gain: float):
    super().__init__()
    self.layers = nn.Sequential(
      _conv(width, 2 * width, 1, gain),
      BiasedActivation(2 * width),
      _conv(2 * width, 2 * width, 3, gain, groups),
      BiasedActivation(2 * width),
      _conv(2 * width, width, 1, 0.0),
    )

  def forward(self, x: Any) -> Any:
    return x + self.layers(x)


class Resample(nn.Module):
  """[1, 3, 3, 1] by [1, 3, 3, 1], a channel at a time."""

  def __init__(self, width: int, up: bool):
    super().__init__()
    filter = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4 if up else 8)
    kernel = torch.outer(filter, filter).expand(width, 1, 4, 4).contiguous()
    self.register_buffer('kernel', kernel)
    self.width, self.up = width, up

  def forward(self, x: Any) -> Any:
    fn = functional.conv_transpose2d if self.up else functional.conv2d
    return fn(x, self.kernel, stride=2, padding=1, groups=self.width)


def _r3gan_body(
  size: int, width: int, depth: int, groups: int, up: bool
) -> Any:
  resolutions = int(math.log2(size // 4)) + 1
  gain = math.sqrt(2 / 1.04) * (depth * resolutions) ** -0.25
  layers: list[Any] = []
  for stage in range(resolutions):
    layers += [Resample(width, up)] if stage else []
    layers += [Block(width, groups, gain) for _ in range(depth)]
  return nn.Sequential(*layers)


class R3ganGenerator(nn.Module):
  def __init__(
    self,
    latent_dim: int,
    shape: tuple[int, ...],
    width: int,
    depth: int,
    groups: int,
  ):
    super().__init__()
    self.basis = nn.Parameter(torch.randn(width, 4, 4))
    self.linear = nn.Linear(latent_dim, width, bias=False)
    nn.init.normal_(self.linear.weight, 0.0, latent_dim**-0.5)
    self.body = _r3gan_body(shape[0], width, depth, groups, up=True)
    self.out = _conv(width, shape[2], 1, 1.0)

  def forward(self, z: Any) -> Any:
    return self.out(self.body(self.basis * self.linear(z)[:, :, None, None]))


class R3ganDiscriminator(nn.Module):
  def __init__(
    self, shape: tuple[int, ...], width: int, depth: int, groups: int
  ):
    super().__init__()
    self.first = _conv(shape[2], width, 1, 1.0)
    self.body = _r3gan_body(shape[0], width, depth, groups, up=False)
    self.basis = nn.Conv2d(width, width, 4, groups=width, bias=False)
    nn.init.normal_(self.basis.weight, 0.0, 1 / 4)
    self.linear = nn.Linear(width, 1, bias=False)
    nn.init.normal_(self.linear.weight, 0.0, width**-0.5)

  def forward(self, x: Any) -> Any:
    return self.linear(self.basis(self.body(self.first(x))).flatten(1))


class _Unlabelled(nn.Module):
  """A network that takes no class."""

  def __init__(self, net: Any):
    super().__init__()
    self.net = net

  def forward(self, x: Any, label: Any) -> Any:
    return self.net(x)


def make(
  config: configs.Config, shape: tuple[int, ...], classes: int
) -> tuple[Any, Any]:
  """G and D of a configuration.

  Both are called with the class beside their input, which is None in a game
  without.

  Args:
    config: of the game.
    shape: of images, or points.
    classes: that there are; 0 for none.
  """
  gen, gen_net = config.gen, players.make_settings(config, 'gen')
  disc = players.make_settings(config, 'disc')
  if gen.name in ('sngan', 'biggan'):
    return torch_residual.make(gen.name, gen_net, disc, gen.latent_dim, classes)
  if gen.name == 'stylegan2':
    return torch_style.make(gen_net, disc, shape, gen.latent_dim)
  first, second = _unlabelled(gen, gen_net, disc, shape)
  return _Unlabelled(first), _Unlabelled(second)


def _unlabelled(
  gen: configs.Gen, gen_net: Any, disc: Any, shape: tuple[int, ...]
) -> tuple[Any, Any]:
  if gen.name == 'mlp':
    size = shape[0]
    return (
      _mlp(gen.latent_dim, size, gen_net.width, gen_net.depth, 0.0),
      _mlp(size, 1, disc.width, disc.depth, 0.2),
    )
  if gen.name == 'maxout':
    return MaxoutGenerator(gen.latent_dim, shape), MaxoutDiscriminator(shape)
  if gen.name == 'dcgan':
    return (
      DcganGenerator(gen.latent_dim, shape, gen_net.width),
      DcganDiscriminator(shape, disc.width, disc.batch_norm),
    )
  sizes = gen_net.width, gen_net.depth, gen_net.groups
  return (
    R3ganGenerator(gen.latent_dim, shape, *sizes),
    R3ganDiscriminator(shape, *sizes),
  )
