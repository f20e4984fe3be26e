"""How XLA compiles a step on CPU.

XLA has two libraries there, Eigen and YNN, and lets YNN have all that it can
do. YNN is the faster one for products of large matrices; but it leaves one such
as [256, 128] by [128, 128] to a single thread, where Eigen takes all there are
(a program of such products takes a quarter less time without YNN), and Eigen is
the faster one for convolutions (a DCGAN's step takes an eighth less time).
Products so small that one thread does them anyway are YNN's again.
`python -m experiments.benchmarks.step_time --suite=ring_2d` and `dcgan_28` show
whether that still holds: they time stock XLA's choice beside ours. Small steps
are also compiled with less of LLVM's optimising, which they are none the slower
for, and all of them with vectors as wide as the processor has.
"""

import contextlib
import functools
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jaxlib.version

from gan_jax import types
from gan_jax.engine import flops
from gan_jax.ops import onednn

_Options = dict[str, Any]

_YNN = 'xla_cpu_experimental_ynn_fusion_type'
_PREFIX = 'LIBRARY_FUSION_TYPE_'
# LLVM's level, by default 3.
_QUICKLY: _Options = {'xla_backend_optimization_level': 1}
# LLVM keeps to 256 bits where it is not told to use all 512 of a processor that
# has them. On an EPYC that does, steps run .99 to 1.06 times as fast, the small
# ones most so; another processor was not tried.
_WIDELY: _Options = {'xla_cpu_prefer_vector_width': 512}
# What YNN does: products, nothing, or products and sums, but no convolutions.
# Steps of small products take three fourths of the time to compile quickly, and
# run .98 to 1.09 times as fast; of large ones, dcgan_32 and r3gan_32 run .95 to
# 1.01 times as fast.
_FOR_TINY_PRODUCTS: _Options = {_YNN: f'{_PREFIX}INDIVIDUAL_DOT', **_QUICKLY}
_FOR_SMALL_PRODUCTS: _Options = {_YNN: '', **_QUICKLY}
_FOR_LARGE_PRODUCTS: _Options = {
  _YNN: f'{_PREFIX}INDIVIDUAL_DOT,{_PREFIX}REDUCE'
}
# Not the newer way to compile loops, which takes half as much memory again, and
# makes other steps faster (a DCGAN's by a tenth), but none with oneDNN's
# convolutions (r3gan_32: .95 to 1.01 of its time without).
_FOR_ONEDNN: _Options = {'xla_cpu_use_fusion_emitters': False}
# A product of two [256, 256]. Measured on two cores of AVX2, for networks of
# 3 x 128, 3 x 256 and 3 x 512 and batches of 64 to 1024: at about this size
# neither is clearly the faster.
_LARGE_FLOPS = 2 * 256**3
# Of gaussian_1d, [256, 32] by [32, 32], whose steps have one thread, YNN makes
# them 1.03 times as fast. Twice the multiplications that `threads._MOST` allows
# a game on one thread; what as small products do on two was not measured.
_TINY_FLOPS = 3e6


def compile(chunk: jax.stages.Wrapped, *args: Any) -> jax.stages.Compiled:
  """Compiles a chunk of steps as suits its products.

  A program that `onednn.py` has a part in, one with grouped convolutions for a
  single device, is compiled anew by every process: XLA cannot store it.

  Args:
    chunk: jitted. The largest product or convolution in it chooses.
    args: arrays, on one device or several, or shapes for one.
  """
  if jax.default_backend() != 'cpu':
    return chunk.lower(*args).compile()
  devices = {
    device
    for x in jax.tree.leaves(args)
    if isinstance(x, jax.Array)
    for device in x.devices()
  }
  split = len(devices) > 1
  with contextlib.nullcontext() if split else onednn.allowed():
    traced = chunk.trace(*args)
    lowered = traced.lower()
  options = _WIDELY | _options(flops.largest(traced.jaxpr))
  has_onednn = onednn.TARGET in lowered.as_text()
  if has_onednn:
    options = options | _FOR_ONEDNN
  with _storing_nothing() if has_onednn else contextlib.nullcontext():
    return _compile(lowered, options)


def _compile(
  lowered: jax.stages.Lowered, options: _Options
) -> jax.stages.Compiled:
  """With those options that this XLA takes."""
  try:
    return lowered.compile(options)
  except jax.errors.JaxRuntimeError:
    # XLA refuses a program for one option that it does not know.
    taken = {k: v for k, v in options.items() if _is_taken(k, v)}
    if taken == options:
      raise
  return lowered.compile(taken)


@functools.cache
def _is_taken(name: str, value: Any) -> bool:
  """Whether this XLA takes an option; says once if it does not."""
  try:
    jax.jit(lambda: 0).lower().compile({name: value})
  except jax.errors.JaxRuntimeError:
    print(
      f'jaxlib {jaxlib.version.__version__} does not take the option '
      f'{name}={value!r}: compiling without it',
      file=sys.stderr,
    )
    return False
  return True


def _options(largest: float) -> _Options:
  """For a program whose largest product takes so many operations."""
  if largest > _LARGE_FLOPS:
    return _FOR_LARGE_PRODUCTS
  return _FOR_SMALL_PRODUCTS if largest > _TINY_FLOPS else _FOR_TINY_PRODUCTS


def run_once(make: Callable[[], types.PyTree]) -> types.PyTree:
  """The result of a traceable function that is not called again.

  Compiled with less care on CPU: the first states of stacked_mnist and
  faces_folder in a fourth of the time, and with the same bits.
  """
  options = _QUICKLY if jax.default_backend() == 'cpu' else {}
  return _compile(jax.jit(make).lower(), options)()


@contextlib.contextmanager
def _storing_nothing() -> Iterator[None]:
  """Within, what is compiled is not written to the disk."""
  name = 'jax_persistent_cache_min_compile_time_secs'
  before = getattr(jax.config, name)
  jax.config.update(name, math.inf)
  try:
    yield
  finally:
    jax.config.update(name, before)
