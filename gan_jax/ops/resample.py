"""Doubling and halving images by the filter of StyleGAN2 and R3GAN.

Both are convolutions with the outer product of [1, 3, 3, 1] / 8 with itself,
zeros beyond the border (Karras et al. 2020, appendix B; Zhang 2019). They are
each other's transposes up to a factor of 4, and a primitive says so: the
derivatives that JAX makes of slices and paddings take several times as long on
a CPU, and penalties differentiate twice. Those are the reference, under
`cpu.stock`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from gan_jax.ops import cpu


def upsample(x: jax.Array) -> jax.Array:
  """`[..., H, W, C]` to `[..., 2H, 2W, C]`, the filter times 4: keeps means."""
  return _bind(x, up=True)


def downsample(x: jax.Array) -> jax.Array:
  """`[..., 2H, 2W, C]` to `[..., H, W, C]`.

  Raises:
    ValueError: a side is odd.
  """
  if x.shape[-3] % 2 or x.shape[-2] % 2:
    raise ValueError(f'downsample halves even sides, got {x.shape}')
  return _bind(x, up=False)


def _bind(x: jax.Array, *, up: bool) -> jax.Array:
  return _resample(x, up=up) if cpu.is_stock() else _resample_p.bind(x, up=up)


def _taps(x: jax.Array, axis: int, count: int, stride: int) -> list[jax.Array]:
  """What each tap of a filter meets along an axis, zeros beyond both ends."""
  ends = [(0, 0, 0)] * x.ndim
  ends[axis] = (1, 1, 0)
  padded = jax.lax.pad(x, jnp.zeros((), x.dtype), ends)
  reach = padded.shape[axis] - count + 1
  return [
    jax.lax.slice_in_dim(padded, i, i + reach, stride, axis)
    for i in range(count)
  ]


def _doubled(x: jax.Array, axis: int) -> jax.Array:
  """By [1, 3, 3, 1] / 4 after zeros between: twice each, then [1, 2, 1] / 4."""
  before, here, after = _taps(x.repeat(2, axis), axis, 3, 1)
  return (before + 2 * here + after) / 4


def _halved(x: jax.Array, axis: int) -> jax.Array:
  """By [1, 3, 3, 1] / 8."""
  a, b, c, d = _taps(x, axis, 4, 2)
  return (a + 3 * (b + c) + d) / 8


def _resample(x: jax.Array, *, up: bool) -> jax.Array:
  rows = x.ndim - 3
  along = _doubled if up else _halved
  return along(along(x, rows), rows + 1)


def _abstract(x: jax.core.ShapedArray, *, up: bool) -> jax.core.ShapedArray:
  *batch, h, w, c = x.shape
  size = (2 * h, 2 * w) if up else (h // 2, w // 2)
  return jax.core.ShapedArray((*batch, *size, c), x.dtype)


def _transpose(ct: jax.Array, x: Any, *, up: bool) -> list[jax.Array]:
  del x
  back = _resample_p.bind(ct, up=not up)
  return [4 * back if up else back / 4]


def _batch(
  operands: list[jax.Array], axes: list[int], *, up: bool
) -> tuple[jax.Array, int]:
  x = jnp.moveaxis(operands[0], axes[0], 0)
  return _resample_p.bind(x, up=up), 0


_resample_p = core.Primitive('resample')
_resample_p.def_abstract_eval(_abstract)
_resample_p.def_impl(jax.jit(_resample_p.bind, static_argnames='up'))
ad.deflinear2(_resample_p, _transpose)
batching.primitive_batchers[_resample_p] = _batch
mlir.register_lowering(
  _resample_p, mlir.lower_fun(_resample, multiple_results=False)
)
