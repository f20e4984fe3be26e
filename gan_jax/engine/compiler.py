"""How XLA compiles a step on CPU.

XLA has two libraries there, Eigen and YNN, and gives YNN all that it can do.

- Large products: YNN is faster.
- Small products: YNN leaves one such as [256, 128] by [128, 128] to a single
  thread, and Eigen uses all of them: without YNN, a program of such products
  takes a quarter less time.
- Tiny products, which either library computes on one thread: YNN is faster.
- Convolutions: Eigen is faster. A DCGAN's step takes an eighth less time.

Steps of small products are also compiled with fewer of LLVM's optimisations,
which does not make them slower, and all steps with vectors as wide as the
processor has; what XLA_FLAGS says goes before all of it. `python -m
experiments.benchmarks.step_time --suite=ring_2d` and `dcgan_28` show whether
that still holds: they time it without fast paths too.
"""

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jaxlib.version

from gan_jax import types
from gan_jax.engine import flops, kept
from gan_jax.ops import cpu, onednn

_Options = dict[str, Any]

_YNN = 'xla_cpu_experimental_ynn_fusion_type'
_PREFIX = 'LIBRARY_FUSION_TYPE_'
# LLVM's level, by default 3.
_QUICKLY: _Options = {'xla_backend_optimization_level': 1}
# LLVM uses 256 bits of a processor that has 512, unless it is told otherwise.
# With 512, an EPYC's steps run .99 to 1.06 times as fast, the small ones gain
# most; no other processor was tried.
_WIDELY: _Options = {'xla_cpu_prefer_vector_width': 512}
# What YNN does: products; nothing; products and sums; never convolutions.
# With LLVM's lower level, small steps compile in three fourths of the time and
# run .98 to 1.09 times as fast; the large ones of dcgan_32 and r3gan_32 run .95
# to 1.01 times as fast, so they keep the higher level.
_FOR_TINY_PRODUCTS: _Options = {_YNN: f'{_PREFIX}INDIVIDUAL_DOT', **_QUICKLY}
_FOR_SMALL_PRODUCTS: _Options = {_YNN: '', **_QUICKLY}
_FOR_LARGE_PRODUCTS: _Options = {
  _YNN: f'{_PREFIX}INDIVIDUAL_DOT,{_PREFIX}REDUCE'
}
# The older way to compile loops: the newer one takes half as much memory again.
# It makes other steps faster (a DCGAN's by a tenth), but not those with oneDNN
# (r3gan_32: .95 to 1.01 of the time). jaxlib 0.12 has the newer one only.
_FOR_ONEDNN: _Options = {'xla_cpu_use_fusion_emitters': False}


def is_tuned() -> bool:
  """Whether what was measured on CPUs holds: on one, with its fast paths."""
  return jax.default_backend() == 'cpu' and not cpu.is_stock()


def compile(
  chunk: jax.stages.Wrapped, *args: Any, facts: Mapping[str, Any] | None = None
) -> jax.stages.Compiled:
  """Compiles a chunk of steps as suits its products.

  A program with oneDNN's convolutions (grouped ones, on a single device) is
  compiled anew by every process: no cache can serialise oneDNN calls.

  Args:
    chunk: jitted. Its largest product or convolution decides.
    args: arrays, on one device or several, or shapes for one.
    facts: all that the chunk depends on (`kept.question`), where it may be
      taken from another process and kept for the next.
  """
  if not is_tuned():
    return chunk.lower(*args).compile()
  devices = _devices(args)
  question = None if facts is None else kept.question(facts, args)
  if found := kept.answer(question, devices):
    return found
  split = len(devices) > 1
  with contextlib.nullcontext() if split else onednn.allowed():
    traced = chunk.trace(*args)
    lowered = traced.lower()
  options = _WIDELY | _options(flops.largest(traced.jaxpr))
  if onednn.TARGET in lowered.as_text():
    with kept.storing_nothing():
      return _compile(lowered, options | _FOR_ONEDNN)
  return kept.compiled(question, lowered, options, _compile, devices)


@contextlib.contextmanager
def told_if_long(
  say: Callable[[str], None], seconds: float = 10.0
) -> Iterator[None]:
  """Around a compilation: one of more than so many seconds is told of."""
  line = f'compiling the steps, for {seconds:.0f} s so far'
  timer = threading.Timer(seconds, say, [line])
  timer.daemon = True  # An interrupted program does not wait for it.
  timer.start()
  try:
    yield
  finally:
    timer.cancel()


def _devices(tree: types.PyTree) -> list[jax.Device]:
  """Of arrays or shardings, in order; the first, where there are none."""
  found = {
    device
    for x in jax.tree.leaves(tree)
    if isinstance(x, jax.Array | jax.sharding.Sharding)
    for device in (x.sharding if isinstance(x, jax.Array) else x).device_set
  }
  return sorted(found, key=lambda device: device.id) or jax.devices()[:1]


def _compile(
  lowered: jax.stages.Lowered, options: _Options
) -> jax.stages.Compiled:
  """With those options that this XLA takes, and XLA_FLAGS leaves open."""
  said = {
    flag.lstrip('-').partition('=')[0]
    for flag in os.environ.get('XLA_FLAGS', '').split()
  }
  options = {k: v for k, v in options.items() if k not in said}
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
  if largest > cpu.LARGE_PRODUCT_FLOPS:
    return _FOR_LARGE_PRODUCTS
  return (
    _FOR_SMALL_PRODUCTS
    if largest > cpu.TINY_PRODUCT_FLOPS
    else _FOR_TINY_PRODUCTS
  )


def run_once(
  make: Callable[[], types.PyTree],
  where: types.PyTree = None,
  *,
  facts: Mapping[str, Any],
) -> types.PyTree:
  """The result of a traceable function that is not called again.

  Compiled with fewer optimisations on CPU: the first states of stacked_mnist
  and images.py take a fourth of the time and have the same bits.

  Args:
    make: takes nothing.
    where: the shardings of what it gives; on the first device if not given.
    facts: all that it depends on, as of `compile`.
  """
  devices = _devices(where)
  facts = {**facts, 'where': where}
  question = kept.question(facts, ()) if is_tuned() else None
  compiled = kept.answer(question, devices)
  if compiled is None:
    lowered = jax.jit(make, out_shardings=where).lower()
    options = _QUICKLY if is_tuned() else {}
    compiled = kept.compiled(question, lowered, options, _compile, devices)
  return compiled()
