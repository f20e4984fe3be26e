"""The switch for all fast paths, and the thresholds measured on CPUs.

A fast path computes the same as plain JAX, to rounding. `stock` turns all of
them off.

A threshold is a size at which one of two ways to compute the same becomes the
faster one; each has the figures it came from. `python -m
experiments.benchmarks.step_time` and `population` show whether they still hold.
"""

import contextlib

import jax

_stock = jax.make_user_context(False)  # Part of the key of jit's cache.
_threads = 0


def stock() -> contextlib.AbstractContextManager[None]:
  """A context in which no fast path is taken, for what this thread traces.

  - `ops/`: convolutions, products, rectifiers and resampling are those of
    `jax.lax` and `jax.nn`, and oneDNN has no part in them.
  - `engine/`: XLA has no options and its own number of threads, each step draws
    its own batch, and all members of a population are trained side by side.
  """
  return _stock(True)


def set_stock() -> None:
  """Takes no fast path from now on, in all threads of this process."""
  _stock.set_global(True)


def is_stock() -> bool:
  """Whether fast paths are off."""
  value: bool = _stock.value
  return value


def set_threads(count: int) -> None:
  """Tells that XLA has so many, and not as many as there are processors."""
  global _threads
  _threads = count


def threads() -> int:
  """XLA's, where they were chosen; else 0."""
  return _threads


# Compiling (engine/compiler.py).

# Operations of a program's largest product above which YNN is the faster
# library: a product of two [256, 256]. Measured on two cores of AVX2, for
# networks of 3 x 128, 3 x 256 and 3 x 512 and batches of 64 to 1024: at about
# this size neither library is clearly the faster.
LARGE_PRODUCT_FLOPS = 2 * 256**3
# Up to which YNN is the faster one too. Of gaussian_1d, [256, 32] by [32, 32],
# whose steps have one thread, it makes them 1.03 times as fast. Twice the
# multiplications of `ONE_THREAD_MULTIPLICATIONS`; such small products on two
# threads were not measured.
TINY_PRODUCT_FLOPS = 3e6

# Threads (engine/threads.py).

# Multiplications of a hidden layer, of all members and packed samples, up to
# which a game has one thread. Measured on two cores of AVX-512: a batch of 256
# is 1.4 times as fast on one thread for layers of 64, 1e6. At 2e6 it depends:
# for layers of 32, eight games of 256 side by side are 1.15 times as fast on
# one, and one of 2048 is 1.2 times as fast on two. For layers of 128, 4e6, one
# thread is as fast as two.
ONE_THREAD_MULTIPLICATIONS = 1.5e6

# Populations (engine/batching.py).

# Bytes of a member's state up to which members are trained side by side. Ten
# members of gaussian_1d with networks 32 wide (60 kB) took .94 of the time that
# they took one after another, 64 wide (240 kB) .88, 96 wide (530 kB) 1.07; of
# ring_2d, 128 wide (930 kB), 1.35; of mnist_2014 (40 MB), 1.22
# (python -m experiments.benchmarks.population, 3 rounds).
SIDE_BY_SIDE_BYTES = 400_000

# Steps (engine/program.py).

# On one device, batches and noise are drawn together for as many steps as these
# bytes hold, and as divide the chunk: few enough that the steps find them in a
# cache.
DRAWN_BYTES = 2**18

# Evaluation (ops/blocks.py).

# Samples that a network is given together: what it computes on the way stays in
# a cache.
BLOCK_SAMPLES = 4096

# Convolutions (ops/conv.py).

# Channels up to which copies cost less than a convolution. Measured on AVX2.
NARROW_CHANNELS = 8
# Channels that groups are joined to, at least, where oneDNN may not convolve
# them. R3GAN's groups are as wide, and in blocks of 32 half of the kernel is
# zeros.
JOINED_CHANNELS = 16
