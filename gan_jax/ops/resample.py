"""Doubling, halving and smoothing images by StyleGAN2's and R3GAN's filter.

All but one are convolutions with the outer product of [1, 3, 3, 1] / 8 with
itself, zeros beyond the border (Karras et al. 2020, appendix B; Zhang 2019);
`smooth` has [1, 2, 1] / 4. They are each other's transposes up to a factor of
4, and a primitive says so: the derivatives that JAX makes of slices and
paddings take several times as long on a CPU, and penalties differentiate twice.
Those are the reference, under `cpu.stock`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from gan_jax.ops import cpu


def upsample(x: jax.Array) -> jax.Array:
  """`[..., H, W, C]` to `[..., 2H, 2W, C]`, the filter times 4: keeps means."""
  return _bind(x, 'up')


def downsample(x: jax.Array) -> jax.Array:
  """`[..., 2H, 2W, C]` to `[..., H, W, C]`.

  Raises:
    ValueError: a side is odd.
  """
  if x.shape[-3] % 2 or x.shape[-2] % 2:
    raise ValueError(f'downsample halves even sides, got {x.shape}')
  return _bind(x, 'down')


def narrow(x: jax.Array) -> jax.Array:
  """`[..., H + 1, W + 1, C]` to `[..., H, W, C]`, one row of zeros beyond.

  What follows a transposed convolution of an odd kernel.
  """
  return _bind(x, 'narrow')


def widen(x: jax.Array) -> jax.Array:
  """`[..., H, W, C]` to `[..., H + 1, W + 1, C]`, two rows of zeros beyond.

  What precedes a strided convolution of an odd kernel.
  """
  return _bind(x, 'widen')


def smooth(x: jax.Array) -> jax.Array:
  """`[..., H, W, C]` to the same, by [1, 2, 1] / 4, zeros beyond the border.

  What follows a doubling, or precedes a halving, that moves pixels into
  channels.
  """
  return _bind(x, 'smooth')


# The transpose of each, and the factor between them.
_TRANSPOSES = {
  'up': ('down', 4.0),
  'down': ('up', 0.25),
  'narrow': ('widen', 1.0),
  'widen': ('narrow', 1.0),
  'smooth': ('smooth', 1.0),
}


def _bind(x: jax.Array, kind: str) -> jax.Array:
  return _resample(x, kind=kind) if cpu.is_stock() else _bound(x, kind)


def _bound(x: jax.Array, kind: str) -> jax.Array:
  y: jax.Array = _resample_p.bind(x, kind=kind)
  return y


def _taps(
  x: jax.Array, axis: int, count: int, stride: int, pad: int = 1
) -> list[jax.Array]:
  """What each tap of a filter meets along an axis, zeros beyond both ends."""
  ends = [(0, 0, 0)] * x.ndim
  ends[axis] = (pad, pad, 0)
  padded = jax.lax.pad(x, jnp.zeros((), x.dtype), ends)
  reach = padded.shape[axis] - count + 1
  return [
    jax.lax.slice_in_dim(padded, i, i + reach, stride, axis)
    for i in range(count)
  ]


def _smoothed(x: jax.Array, axis: int) -> jax.Array:
  """By [1, 2, 1] / 4."""
  before, here, after = _taps(x, axis, 3, 1)
  return (before + 2 * here + after) / 4


def _filtered(x: jax.Array, axis: int, stride: int, pad: int) -> jax.Array:
  """By [1, 3, 3, 1] / 8."""
  a, b, c, d = _taps(x, axis, 4, stride, pad)
  return (a + 3 * (b + c) + d) / 8


def _along(x: jax.Array, axis: int, kind: str) -> jax.Array:
  if kind == 'up':
    # [1, 3, 3, 1] / 4 after zeros between: twice each, then [1, 2, 1] / 4.
    return _smoothed(x.repeat(2, axis), axis)
  if kind == 'smooth':
    return _smoothed(x, axis)
  stride = 2 if kind == 'down' else 1
  return _filtered(x, axis, stride, 2 if kind == 'widen' else 1)


def _resample(x: jax.Array, *, kind: str) -> jax.Array:
  rows = x.ndim - 3
  return _along(_along(x, rows, kind), rows + 1, kind)


def _side(n: int, kind: str) -> int:
  return {
    'up': 2 * n,
    'down': n // 2,
    'narrow': n - 1,
    'widen': n + 1,
    'smooth': n,
  }[kind]


def _abstract(x: jax.core.ShapedArray, *, kind: str) -> jax.core.ShapedArray:
  *batch, h, w, c = x.shape
  shape = *batch, _side(h, kind), _side(w, kind), c
  return jax.core.ShapedArray(shape, x.dtype)


def _transpose(ct: jax.Array, x: Any, *, kind: str) -> list[jax.Array]:
  del x
  other, factor = _TRANSPOSES[kind]
  back = _bound(ct, other)
  return [back if factor == 1 else factor * back]


def _batch(
  operands: list[jax.Array], axes: list[int], *, kind: str
) -> tuple[jax.Array, int]:
  return _bound(jnp.moveaxis(operands[0], axes[0], 0), kind), 0


_resample_p = core.Primitive('resample')
_resample_p.def_abstract_eval(_abstract)
_resample_p.def_impl(jax.jit(_resample_p.bind, static_argnames='kind'))
ad.deflinear2(_resample_p, _transpose)
batching.primitive_batchers[_resample_p] = _batch
mlir.register_lowering(
  _resample_p, mlir.lower_fun(_resample, multiple_results=False)
)
