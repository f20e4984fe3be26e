"""The same games in PyTorch, as one would write them there.

Eager mode, two threads, `torch.optim` with its default (foreach) kernels, the
moving average by `torch._foreach_lerp_`, R1 and R2 by double backward through
the logits of the same pass. Unlike ours, these steps log nothing.
"""

import math
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.benchmarks import suites
from gan_jax.config import fields as configs
from gan_jax.engine import build, threads


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


def _networks(
  config: configs.Config, shape: tuple[int, ...]
) -> tuple[Any, Any]:
  """G and D of a configuration; images of `shape`, or points."""
  gen, net = config.gen, build.make_settings(config, 'gen')
  if gen.name == 'mlp':
    size = shape[0]
    return (
      _mlp(gen.latent_dim, size, net.width, net.depth, 0.0),
      _mlp(size, 1, net.width, net.depth, 0.2),
    )
  if gen.name == 'maxout':
    return MaxoutGenerator(gen.latent_dim, shape), MaxoutDiscriminator(shape)
  if gen.name == 'dcgan':
    disc = build.make_settings(config, 'disc')
    return (
      DcganGenerator(gen.latent_dim, shape, net.width),
      DcganDiscriminator(shape, net.width, disc.batch_norm),
    )
  own = net.width, net.depth, net.groups
  return (
    R3ganGenerator(gen.latent_dim, shape, *own),
    R3ganDiscriminator(shape, *own),
  )


class Points:
  """Fresh draws from a standardised normal law or the ring of eight modes."""

  def __init__(self, name: str, size: int):
    angle = 2 * math.pi * torch.arange(8) / 8
    self.modes = torch.stack([angle.cos(), angle.sin()], 1)
    self.name, self.size = name, size
    self.shape = (1,) if name == 'normal' else (2,)

  def next(self) -> Any:
    if self.name == 'normal':
      return torch.randn(self.size, 1)
    centres = self.modes[torch.randint(8, (self.size,))]
    return (centres + 0.01 * torch.randn(self.size, 2)) / 2**-0.5


class Images:
  """Epochs in random order over images in memory, from uint8 to [-1, 1]."""

  def __init__(self, shape: tuple[int, ...], size: int, memory_format: Any):
    h, w, c = shape
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (suites.NUM_IMAGES, c, h, w), np.uint8)
    self.pixels = torch.from_numpy(pixels).to(memory_format=memory_format)
    self.size, self.place = size, suites.NUM_IMAGES

  def next(self) -> Any:
    if self.place + self.size > len(self.pixels):
      self.order, self.place = torch.randperm(len(self.pixels)), 0
    rows = self.order[self.place : self.place + self.size]
    self.place += self.size
    return self.pixels[rows].float().div_(127.5).sub_(1)


def _moved(base: float, schedule: configs.Schedule | None, step: int) -> float:
  if schedule is None:
    return base
  if schedule.kind == 'exponential':
    return max(base * math.exp(-schedule.rate * step), schedule.final)
  span = schedule.end - schedule.begin
  way = min(max((step - schedule.begin) / span, 0.0), 1.0)
  if schedule.kind == 'cosine':
    way = (1 - math.cos(math.pi * way)) / 2
  return base + (schedule.final - base) * way


class _Player:
  """A network and its optimiser, whose numbers move as the config says."""

  def __init__(self, net: Any, config: configs.Config, player: str):
    settings = getattr(config.optim, player)
    self.net, self.settings = net, settings
    self.schedules = {
      name: config.schedules.get(f'optim.{player}.{name}')
      for name in ('learning_rate', 'b1')
    }
    params = list(net.parameters())
    self.optimiser: Any
    if settings.name == 'adam':
      betas = (settings.b1, settings.b2)
      self.optimiser = torch.optim.Adam(
        params, lr=settings.learning_rate, betas=betas, eps=settings.eps
      )
    else:
      self.optimiser = torch.optim.SGD(
        params, lr=settings.learning_rate, momentum=settings.b1
      )

  def update(self, loss: Any, step: int) -> None:
    settings = self.settings
    group = self.optimiser.param_groups[0]
    group['lr'] = _moved(
      settings.learning_rate, self.schedules['learning_rate'], step
    )
    if settings.name == 'sgd':
      group['momentum'] = _moved(settings.b1, self.schedules['b1'], step)
    self.optimiser.zero_grad(set_to_none=True)
    params = group['params']
    # The gradients of these parameters and of no others.
    loss.backward(inputs=params)
    self.optimiser.step()


class Game:
  """D, then G, then G's moving average: `play(steps)`."""

  def __init__(self, suite: suites.Suite, compiled: bool = False):
    config = self.config = suite.config()
    # PyTorch too is faster on one where ours is.
    torch.set_num_threads(1 if threads.suit_one(config) else 2)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    memory_format = (
      torch.channels_last if suite.channels_last else torch.contiguous_format
    )
    size = config.batch_size
    self.data: Points | Images
    if suite.shape:
      self.data, shape = Images(suite.shape, size, memory_format), suite.shape
    else:
      self.data = Points(config.data.name, size)
      shape = self.data.shape
    gen, disc = _networks(config, shape)
    if suite.channels_last:
      gen, disc = (net.to(memory_format=memory_format) for net in (gen, disc))
    self.gen = _Player(gen, config, 'gen')
    self.disc = _Player(disc, config, 'disc')
    self.generate, self.judge = gen, disc
    if compiled:
      self.generate, self.judge = torch.compile(gen), torch.compile(disc)
    self.average = [p.detach().clone() for p in gen.parameters()]
    self.step = 0

  def _latents(self) -> Any:
    z = torch.empty(self.config.batch_size, self.config.gen.latent_dim)
    return z.normal_() if self.config.gen.latent == 'normal' else z.uniform_(-1)

  def _discriminator_step(self) -> None:
    penalties = self.config.penalties
    with torch.no_grad():
      fake = self.generate(self._latents())
    real = self.data.next()
    real.requires_grad_(penalties.r1.weight > 0)
    fake.requires_grad_(penalties.r2.weight > 0)
    r, f = self.judge(real), self.judge(fake)
    if self.config.loss == 'relativistic_paired':
      loss = functional.softplus(f - r).mean()
    else:
      loss = functional.softplus(-r).mean() + functional.softplus(f).mean()
    for penalty, x, logits in (
      (penalties.r1, real, r),
      (penalties.r2, fake, f),
    ):
      if penalty.weight:
        (grad,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        norms = grad.square().flatten(1).sum(1)
        loss = loss + 0.5 * penalty.weight * norms.mean()
    self.disc.update(loss, self.step)

  def _generator_step(self) -> None:
    f = self.judge(self.generate(self._latents()))
    if self.config.loss == 'relativistic_paired':
      with torch.no_grad():
        r = self.judge(self.data.next())
      loss = functional.softplus(r - f).mean()
    else:
      loss = functional.softplus(-f).mean()
    self.gen.update(loss, self.step)

  def play(self, steps: int) -> None:
    samples, half_life = self.config.batch_size, self.config.ema.half_life
    params = [p.detach() for p in self.gen.net.parameters()]
    for _ in range(steps):
      self._discriminator_step()
      self._generator_step()
      if half_life:
        rate = 1 - 0.5 ** (samples / half_life)
        torch._foreach_lerp_(self.average, params, rate)
      self.step += 1


def matmul_gflops(size: int, seconds: float) -> float:
  """The rate of a square float32 matrix product."""
  torch.set_num_threads(2)
  a, best = torch.randn(size, size), math.inf
  end = time.monotonic() + seconds
  while time.monotonic() < end:
    began = time.monotonic()
    torch.mm(a, a)
    best = min(best, time.monotonic() - began)
  return 2 * size**3 / best / 1e9
