"""How XLA compiles a step on CPU.

XLA multiplies matrices there by one of two libraries. YNN is the faster one for
large products and convolutions, and the default; but it leaves a product such
as [256, 128] by [128, 128] to a single thread, where Eigen takes all there are:
a program of such products takes a quarter less time without YNN. Whether that
still holds, `python -m experiments.benchmarks.step_time --suite=ring_2d` shows,
which has stock XLA's choice beside ours.
"""

import functools

import jax

_NO_YNN: dict[str, str | bool] = {'xla_cpu_experimental_ynn_fusion_type': ''}
# Measured on two cores of AVX2, for networks of 3 x 128, 3 x 256 and 3 x 512
# and batches of 64 to 1024: at about this size neither is clearly the faster.
_LARGE_STEP_FLOPS = 1e9


def compile(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
  """Compiles a chunk of steps, by the library that suits the size of a step.

  Args:
    lowered: a `lax.scan` of steps, whose operations XLA counts once however
      long it is.
  """
  if not _may_leave_out_ynn():
    return lowered.compile()
  flops = (lowered.cost_analysis() or {}).get('flops', 0.0)
  is_small = flops < _LARGE_STEP_FLOPS
  return lowered.compile(_NO_YNN if is_small else None)


@functools.cache
def _may_leave_out_ynn() -> bool:
  """Whether this is a CPU, and its XLA knows the option."""
  if jax.default_backend() != 'cpu':
    return False
  try:
    jax.jit(lambda: 0).lower().compile(_NO_YNN)
  except jax.errors.JaxRuntimeError:
    return False
  return True
