"""Our games, as the training program plays them: compiled chunks of steps."""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import suites
from gan_jax.config import checks, fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build, compiler, flops, program


def source(config: configs.Config, shape: tuple[int, ...]) -> sources.Source:
  """A density of its own, or noise for images."""
  if not shape:
    return build.make_source(config, jax.random.key(0))
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (suites.NUM_IMAGES, *shape), np.uint8)
  info = sources.Info('images', shape, num_examples=len(pixels))
  labels = None
  if config.conditional:
    labels = rng.integers(0, suites.CLASSES, len(pixels), np.int32)
    shares = (1 / suites.CLASSES,) * suites.CLASSES
    info = info._replace(class_shares=shares)
  rounds = build.step_shape(config)
  treatment = sources.Treatment()
  marginals = sources.from_means(pixels.mean(axis=0))
  return sources.images_on_device(
    pixels, labels, info, rounds, treatment, marginals=marginals
  )


class Game:
  """A compiled chunk and its state: `play()` runs `length` steps."""

  def __init__(self, suite: suites.Suite):
    config = suite.config()
    checks.validate(config)
    data = source(config, suite.shape)
    game = program.game_of(config, data)
    self._rest = game.place(game.hyper), data.chunk(0, suite.length)
    self._keys = game.place(game.keys)
    self._state = game.start()
    chunk = program.make_chunk(game, suite.length)
    self.length = suite.length
    args = self._state, *self._rest, self._keys
    began = time.monotonic()
    facts = game.facts(f'{suite.length} steps')
    self._chunk = compiler.compile(chunk, *args, facts=facts)
    compiled = time.monotonic()
    self.compile_seconds = compiled - began
    # All of a chunk but the step has no linear layers.
    self.step_flops = flops.count(chunk, *args) / suite.length
    self.count_seconds = time.monotonic() - compiled

  def play(self) -> None:
    self._state, logs, _ = self._chunk(self._state, *self._rest, self._keys)
    jax.device_get(logs)


def peak_mib() -> float | None:
  """The most memory of the first device in use; None where it has no own."""
  stats = jax.local_devices()[0].memory_stats() or {}
  peak = stats.get('peak_bytes_in_use')
  return peak / 2**20 if peak else None


def matmul_gflops(size: int, seconds: float) -> float:
  """The rate of a square float32 matrix product."""
  a, best = jax.random.normal(jax.random.key(0), (size, size)), math.inf
  product = jax.jit(jnp.matmul)
  product(a, a).block_until_ready()
  end = time.monotonic() + seconds
  while time.monotonic() < end:
    began = time.monotonic()
    product(a, a).block_until_ready()
    best = min(best, time.monotonic() - began)
  return 2 * size**3 / best / 1e9
