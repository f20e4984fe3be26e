"""StyleGAN2 in PyTorch, of the timed games: as its authors' code computes it.

A modulated convolution scales the image before and after one of all samples,
which is the form that the authors train with; the filters are convolutions of
a channel at a time.
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional


def _activate(x: Any, gain: float = 1.0) -> Any:
  return functional.leaky_relu(x, 0.2) * (math.sqrt(2) * gain)


def _filter(x: Any, gain: float, pad: int, stride: int = 1) -> Any:
  """[1, 3, 3, 1] by [1, 3, 3, 1]."""
  row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
  channels = x.shape[1]
  kernel = (gain * torch.outer(row, row)).expand(channels, 1, 4, 4)
  return functional.conv2d(
    x, kernel, stride=stride, padding=pad, groups=channels
  )


def _upsample(x: Any) -> Any:
  row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
  channels = x.shape[1]
  kernel = torch.outer(row, row).expand(channels, 1, 4, 4)
  return functional.conv_transpose2d(
    x, kernel, stride=2, padding=1, groups=channels
  )


class Dense(nn.Module):
  def __init__(
    self, inputs: int, outputs: int, *, rate: float = 1.0, active: bool = False,
    bias: float = 0.0,
  ):  # fmt: skip
    super().__init__()
    self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
    self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
    self.rate, self.gain, self.active = rate, rate / math.sqrt(inputs), active

  def forward(self, x: Any) -> Any:
    x = functional.linear(x, self.weight * self.gain, self.bias * self.rate)
    return _activate(x) if self.active else x


class Conv(nn.Module):
  def __init__(self, inputs: int, outputs: int, size: int, down: bool = False):
    super().__init__()
    self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
    self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))
    self.gain, self.down = 1 / math.sqrt(inputs * size**2), down
    self.pad = size // 2

  def forward(self, x: Any) -> Any:
    weight = self.weight * self.gain
    if self.down:
      x = functional.conv2d(_filter(x, 1.0, 2), weight, stride=2)
    else:
      x = functional.conv2d(x, weight, padding=self.pad)
    return _activate(x + self.bias)


class Modulated(nn.Module):
  def __init__(
    self, inputs: int, outputs: int, size: int, w_dim: int, *, up: bool = False,
    demodulate: bool = True,
  ):  # fmt: skip
    super().__init__()
    self.affine = Dense(w_dim, inputs, bias=1.0)
    self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
    self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))
    self.noise = nn.Parameter(torch.zeros(()))
    self.up, self.demodulate, self.pad = up, demodulate, size // 2

  def forward(self, x: Any, w: Any) -> Any:
    style = self.affine(w)
    if not self.demodulate:
      style = style / math.sqrt(style.shape[1])
    x = x * style[:, :, None, None]
    if self.up:
      weight = self.weight.transpose(0, 1)
      x = functional.conv_transpose2d(x, weight, stride=2)
      x = _filter(x, 4.0, 1)
    else:
      x = functional.conv2d(x, self.weight, padding=self.pad)
    if not self.demodulate:
      return x + self.bias
    squares = style.square() @ self.weight.square().sum((2, 3)).T
    x = x * (squares + 1e-8).rsqrt()[:, :, None, None]
    noise = torch.randn(len(x), 1, *x.shape[2:])
    return _activate(x + noise * self.noise + self.bias)


class Generator(nn.Module):
  """Skip architecture; `map` and `synthesise` as in ours."""

  def __init__(self, settings: Any, sides: list[int], latent_dim: int):
    super().__init__()
    self.mapping = nn.Sequential(
      *(
        Dense(
          settings.w_dim if i else latent_dim, settings.w_dim,
          rate=settings.mapping_rate, active=True,
        )
        for i in range(settings.depth)
      )
    )  # fmt: skip
    widths = _widths(settings, sides)
    self.const = nn.Parameter(torch.randn(widths[0], 4, 4))
    self.convs, self.images = nn.ModuleList(), nn.ModuleList()
    for i, width in enumerate(widths):
      if i:
        up = Modulated(widths[i - 1], width, 3, settings.w_dim, up=True)
        self.convs.append(up)
      self.convs.append(Modulated(width, width, 3, settings.w_dim))
      self.images.append(
        Modulated(width, 3, 1, settings.w_dim, demodulate=False)
      )
    self.mixing, self.layers = settings.mixing, 2 * len(widths)
    self.register_buffer('average', torch.zeros(settings.w_dim))

  def _w(self, z: Any) -> Any:
    return self.mapping(z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt())

  def map(self, z: Any) -> Any:
    w = self._w(z)
    self.average.copy_(w.detach().mean(0).lerp(self.average, 0.995))
    ws = w[:, None].repeat(1, self.layers, 1)
    if self.mixing and torch.rand(()) < self.mixing:
      start = int(torch.randint(1, self.layers, ()))
      other = self._w(torch.randn_like(z))
      ws[:, start:] = other[:, None]
    return ws

  def synthesise(self, ws: Any) -> Any:
    each = ws.unbind(1)
    x = self.const.expand(len(ws), *self.const.shape)
    image, at, convs = None, 0, iter(self.convs)
    for i, to_image in enumerate(self.images):
      for _ in range(2 if i else 1):
        x = next(convs)(x, each[at])
        at += 1
      y = to_image(x, each[at])
      image = y if image is None else _upsample(image) + y
    return image

  def forward(self, z: Any, label: Any) -> Any:
    return self.synthesise(self.map(z))


class Block(nn.Module):
  """Residual, or without a shortcut ('orig')."""

  def __init__(self, inputs: int, outputs: int, residual: bool):
    super().__init__()
    self.convs = nn.Sequential(
      Conv(inputs, inputs, 3), Conv(inputs, outputs, 3, down=True)
    )
    self.skip = None
    if residual:
      self.skip = nn.Parameter(torch.randn(outputs, inputs, 1, 1))

  def forward(self, x: Any) -> Any:
    h = self.convs(x)
    if self.skip is None:
      return h
    small = _filter(x, 1.0, 1, stride=2)
    weight = self.skip / math.sqrt(x.shape[1])
    return (h + functional.conv2d(small, weight)) * math.sqrt(0.5)


class Discriminator(nn.Module):
  def __init__(self, settings: Any, sides: list[int]):
    super().__init__()
    widths = _widths(settings, sides)
    self.first = Conv(3, widths[-1], 1)
    residual = settings.architecture == 'resnet'
    self.blocks = nn.Sequential(
      *(
        Block(widths[i], widths[i - 1], residual)
        for i in reversed(range(1, len(widths)))
      )
    )
    low = widths[0]
    self.group = settings.mbstd_group
    self.conv = Conv(low + 1, low, 3)
    self.dense = Dense(16 * low, low, active=True)
    self.out = Dense(low, 1)

  def forward(self, x: Any, label: Any) -> Any:
    x = self.blocks(self.first(x))
    group = min(self.group, len(x))
    parts = x.view(group, -1, *x.shape[1:])
    std = (parts.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    channel = std.repeat(group)[:, None, None, None].expand(-1, 1, 4, 4)
    x = self.conv(torch.cat([x, channel], 1))
    return self.out(self.dense(x.flatten(1)))[:, 0]


def _widths(settings: Any, sides: list[int]) -> list[int]:
  return [min(settings.channel_base // side, settings.width) for side in sides]


def make(
  gen: Any, disc: Any, shape: tuple[int, ...], latent_dim: int
) -> tuple[Any, Any]:
  """G and D of settings as `gan_jax` has them, without classes."""
  sides = [4]
  while sides[-1] < shape[0]:
    sides.append(2 * sides[-1])
  return Generator(gen, sides, latent_dim), Discriminator(disc, sides)
