"""SNGAN's and BigGAN's networks at 32x32 in PyTorch, of the timed games."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

_SIDE, _BLOCKS = 4, 3


def _normed(layer: Any, spectral: bool) -> Any:
  return parametrizations.spectral_norm(layer) if spectral else layer


class _Norm(nn.Module):
  """Batch normalisation, with a gain and a bias of each class."""

  def __init__(self, width: int, classes: int):
    super().__init__()
    self.norm = nn.BatchNorm2d(width, affine=not classes)
    self.classes = classes
    if classes:
      self.gain = nn.Embedding(classes, width)
      self.bias = nn.Embedding(classes, width)

  def forward(self, x: Any, label: Any) -> Any:
    x = self.norm(x)
    if not self.classes:
      return x
    gain, bias = self.gain(label), self.bias(label)
    return x * (1 + gain[:, :, None, None]) + bias[:, :, None, None]


class Attention(nn.Module):
  """Of SAGAN, as in its authors' code."""

  def __init__(self, width: int):
    super().__init__()
    sizes = {'q': width // 8, 'k': width // 8, 'v': width // 2}
    self.convs = nn.ModuleDict(
      {n: _normed(nn.Conv2d(width, c, 1, bias=False), True)
       for n, c in sizes.items()}
    )  # fmt: skip
    self.out = _normed(nn.Conv2d(width // 2, width, 1, bias=False), True)
    self.gamma = nn.Parameter(torch.zeros(()))

  def forward(self, x: Any) -> Any:
    q = self.convs['q'](x).flatten(2)
    k = functional.max_pool2d(self.convs['k'](x), 2).flatten(2)
    v = functional.max_pool2d(self.convs['v'](x), 2).flatten(2)
    weights = torch.softmax(torch.bmm(q.transpose(1, 2), k), -1)
    seen = torch.bmm(v, weights.transpose(1, 2))
    seen = self.out(seen.view(len(x), -1, *x.shape[2:]))
    return x + self.gamma * seen


class UpBlock(nn.Module):
  def __init__(self, width: int, classes: int, spectral: bool):
    super().__init__()
    self.norms = nn.ModuleList([_Norm(width, classes) for _ in range(2)])
    self.convs = nn.ModuleList(
      [_normed(nn.Conv2d(width, width, 3, padding=1), spectral)
       for _ in range(2)]
    )  # fmt: skip
    self.shortcut = _normed(nn.Conv2d(width, width, 1), spectral)

  def forward(self, x: Any, label: Any) -> Any:
    h = functional.relu(self.norms[0](x, label))
    h = self.convs[0](functional.interpolate(h, scale_factor=2))
    h = self.convs[1](functional.relu(self.norms[1](h, label)))
    # A 1x1 convolution commutes with nearest neighbours.
    return h + functional.interpolate(self.shortcut(x), scale_factor=2)


class Generator(nn.Module):
  def __init__(
    self, latent_dim: int, width: int, classes: int, spectral: bool,
    attention: bool,
  ):  # fmt: skip
    super().__init__()
    self.width = width
    self.linear = _normed(nn.Linear(latent_dim, _SIDE**2 * width), spectral)
    self.blocks = nn.ModuleList(
      [UpBlock(width, classes, spectral) for _ in range(_BLOCKS)]
    )
    self.attention = Attention(width) if attention else None
    self.norm = _Norm(width, 0)
    self.out = _normed(nn.Conv2d(width, 3, 3, padding=1), spectral)

  def forward(self, z: Any, label: Any) -> Any:
    h = self.linear(z).view(-1, self.width, _SIDE, _SIDE)
    for i, block in enumerate(self.blocks):
      h = block(h, label)
      if self.attention is not None and i == 1:
        h = self.attention(h)
    return torch.tanh(self.out(functional.relu(self.norm(h, None))))


class DownBlock(nn.Module):
  def __init__(self, inputs: int, width: int, first: bool, halve: bool):
    super().__init__()
    self.convs = nn.ModuleList(
      [_normed(nn.Conv2d(c, width, 3, padding=1), True)
       for c in (inputs, width)]
    )  # fmt: skip
    self.first, self.halve = first, halve
    self.shortcut = None
    if halve or inputs != width:
      self.shortcut = _normed(nn.Conv2d(inputs, width, 1), True)

  def forward(self, x: Any) -> Any:
    h = self.convs[0](x if self.first else functional.relu(x))
    h = self.convs[1](functional.relu(h))
    if self.halve:
      # A 1x1 convolution commutes with means, too.
      h, x = functional.avg_pool2d(h, 2), functional.avg_pool2d(x, 2)
    return h + (x if self.shortcut is None else self.shortcut(x))


class Discriminator(nn.Module):
  """Spectrally normalised; `spectral` tells the game."""

  spectral = True

  def __init__(self, width: int, classes: int, attention: bool):
    super().__init__()
    self.blocks = nn.ModuleList(
      [DownBlock(3 if i == 0 else width, width, i == 0, i < 2)
       for i in range(4)]
    )  # fmt: skip
    self.attention = Attention(width) if attention else None
    self.linear = _normed(nn.Linear(width, 1), True)
    self.embed = None
    if classes:
      self.embed = _normed(nn.Embedding(classes, width), True)

  def forward(self, x: Any, label: Any) -> Any:
    h = x
    for i, block in enumerate(self.blocks):
      h = block(h)
      if self.attention is not None and i == 0:
        h = self.attention(h)
    h = functional.relu(h).sum((2, 3))
    logit = self.linear(h)[:, 0]
    if self.embed is None:
      return logit
    return logit + (self.embed(label) * h).sum(1)


def make(
  name: str, gen: Any, disc: Any, latent_dim: int, classes: int
) -> tuple[Any, Any]:
  """G and D of settings as `gan_jax` has them, for 32x32."""
  is_biggan = name == 'biggan'
  narrow = 4 if is_biggan else 2
  return (
    Generator(
      latent_dim, 4 * gen.width, classes, gen.spectral_norm,
      is_biggan and gen.attention > 0,
    ),
    Discriminator(
      narrow * disc.width, classes, is_biggan and disc.attention > 0
    ),
  )  # fmt: skip
