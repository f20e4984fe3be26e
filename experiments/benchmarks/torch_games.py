"""The same games in PyTorch, as one would write them there.

Eager mode, two threads, `torch.optim` with its default (foreach) kernels, the
moving average by `torch._foreach_lerp_`, R1 and R2 by double backward through
the logits of the same pass. On a GPU, products of float32 may be TF32's, as
JAX's are by default. Unlike ours, these steps log nothing.
"""

import math
import time
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from experiments.benchmarks import suites, torch_networks
from gan_jax.config import fields as configs
from gan_jax.engine import threads


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
    pixels = torch.from_numpy(pixels).to(memory_format=memory_format)
    self.pixels = pixels.to(torch.get_default_device())
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

  def __init__(
    self, suite: suites.Suite, compiled: bool = False, device: str = 'cpu'
  ):
    self.on_gpu = device != 'cpu'
    if self.on_gpu:
      torch.set_default_device(device)
      torch.set_float32_matmul_precision('high')
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
    self.classes = suites.CLASSES if config.conditional else 0
    gen, disc = torch_networks.make(config, shape, self.classes)
    if suite.channels_last:
      gen, disc = (net.to(memory_format=memory_format) for net in (gen, disc))
    self.gen = _Player(gen, config, 'gen')
    self.disc = _Player(disc, config, 'disc')
    self.generate, self.judge = gen, disc
    if compiled:
      self.generate, self.judge = torch.compile(gen), torch.compile(disc)
    self.average = [p.detach().clone() for p in gen.parameters()]
    self.mean_length = torch.zeros(())
    self.step = 0

  def wait(self) -> None:
    """Until a GPU has done all that was begun."""
    if self.on_gpu:
      torch.cuda.synchronize()

  def peak_mib(self) -> float | None:
    """The most memory of a GPU in use; None on a CPU."""
    if not self.on_gpu:
      return None
    return float(torch.cuda.max_memory_allocated() / 2**20)

  def _asked(self) -> tuple[Any, Any]:
    """Latents, and the classes beside them."""
    size = self.config.batch_size
    z = torch.empty(size, self.config.gen.latent_dim)
    normal = self.config.gen.latent == 'normal'
    return z.normal_() if normal else z.uniform_(-1), self._labels()

  def _labels(self) -> Any:
    """Of real samples too: pixels do not change the time, nor do labels."""
    if not self.classes:
      return None
    return torch.randint(self.classes, (self.config.batch_size,))

  def _due(self, penalty: Any) -> bool:
    """Whether a penalty is applied at this step."""
    return bool(penalty.weight) and self.step % penalty.every == 0

  def _discriminator_step(self) -> None:
    penalties = self.config.penalties
    z, asked = self._asked()
    with torch.no_grad():
      fake = self.generate(z, asked)
    real, label = self.data.next(), self._labels()
    real.requires_grad_(self._due(penalties.r1))
    fake.requires_grad_(self._due(penalties.r2))
    r, f = self._judged(real, label, fake, asked)
    if self.config.loss == 'relativistic_paired':
      loss = functional.softplus(f - r).mean()
    elif self.config.loss == 'hinge':
      loss = functional.relu(1 - r).mean() + functional.relu(1 + f).mean()
    elif self.config.loss == 'non_saturating':
      loss = functional.softplus(-r).mean() + functional.softplus(f).mean()
    else:
      raise ValueError(f'loss={self.config.loss!r}: there is no such game here')
    for penalty, x, logits in (
      (penalties.r1, real, r),
      (penalties.r2, fake, f),
    ):
      if self._due(penalty):
        (grad,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        norms = grad.square().flatten(1).sum(1)
        loss = loss + 0.5 * penalty.every * penalty.weight * norms.mean()
    self.disc.update(loss, self.step)

  def _judged(self, real: Any, label: Any, fake: Any, asked: Any) -> Any:
    """D on real and on generated samples; at once with spectral normalisation.

    So the vectors of its power iteration move once an update, as ours do.
    """
    if not getattr(self.disc.net, 'spectral', False):
      return self.judge(real, label), self.judge(fake, asked)
    labels = torch.cat([label, asked]) if self.classes else None
    return self.judge(torch.cat([real, fake]), labels).chunk(2)

  def _generator_step(self) -> None:
    z, asked = self._asked()
    f = self.judge(self.generate(z, asked), asked)
    if self.config.loss == 'relativistic_paired':
      with torch.no_grad():
        r = self.judge(self.data.next(), self._labels())
      loss = functional.softplus(r - f).mean()
    elif self.config.loss == 'hinge':
      loss = -f.mean()
    else:  # Any other has been refused in D's step.
      loss = functional.softplus(-f).mean()
    path_length = self.config.penalties.path_length
    if self._due(path_length):
      loss = loss + self._path_length(path_length)
    self.gen.update(loss, self.step)

  def _path_length(self, settings: Any) -> Any:
    """As in the authors' code of StyleGAN2, on a part of the batch."""
    z, _ = self._asked()
    ws = self.gen.net.map(z[: len(z) // settings.shrink])
    image = self.gen.net.synthesise(ws)
    noise = torch.randn_like(image) / math.sqrt(image[0, 0].numel())
    (grad,) = torch.autograd.grad((image * noise).sum(), ws, create_graph=True)
    lengths = grad.square().sum(2).mean(1).sqrt()
    mean = self.mean_length.lerp(lengths.mean(), 0.01)
    self.mean_length = mean.detach()
    penalty = (lengths - mean).square().mean()
    return settings.every * settings.weight * penalty

  def play(self, steps: int) -> None:
    samples, half_life = self.config.batch_size, self.config.ema.half_life
    params = [p.detach() for p in self.gen.net.parameters()]
    for _ in range(steps):
      for _ in range(self.config.disc_steps):
        self._discriminator_step()
      for _ in range(self.config.gen_steps):
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
