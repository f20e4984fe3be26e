"""How XLA compiles a step on CPU.

XLA has two libraries there, Eigen and YNN, and lets YNN have all that it can
do. YNN is the faster one for products of large matrices; but it leaves one such
as [256, 128] by [128, 128] to a single thread, where Eigen takes all there are
(a program of such products takes a quarter less time without YNN), and Eigen is
the faster one for convolutions (a DCGAN's step takes an eighth less time).
`python -m experiments.benchmarks.step_time --suite=ring_2d` and `dcgan_28` show
whether that still holds: they time stock XLA's choice beside ours.
"""

import jax

_YNN = 'xla_cpu_experimental_ynn_fusion_type'
_PREFIX = 'LIBRARY_FUSION_TYPE_'
# What YNN does: nothing, or products and sums but no convolutions.
_FOR_SMALL_STEPS: dict[str, str | bool] = {_YNN: ''}
_FOR_LARGE_STEPS: dict[str, str | bool] = {
  _YNN: f'{_PREFIX}INDIVIDUAL_DOT,{_PREFIX}REDUCE'
}
# Measured on two cores of AVX2, for networks of 3 x 128, 3 x 256 and 3 x 512
# and batches of 64 to 1024: at about this size neither is clearly the faster.
_LARGE_STEP_FLOPS = 1e9


def compile(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
  """Compiles a chunk of steps, by the library that suits the size of a step.

  Args:
    lowered: a `lax.scan` of steps, whose operations XLA counts once however
      long it is; so it does those of a grouped convolution, which loops over
      its blocks.
  """
  if jax.default_backend() != 'cpu':
    return lowered.compile()
  flops = (lowered.cost_analysis() or {}).get('flops', 0.0)
  is_small = flops < _LARGE_STEP_FLOPS
  try:
    return lowered.compile(_FOR_SMALL_STEPS if is_small else _FOR_LARGE_STEPS)
  except jax.errors.JaxRuntimeError:  # An XLA that does not know the option.
    return lowered.compile()
