"""Filters between two sampling rates, as alias-free layers need them.

Zeros go between pixels, the filter passes over them, and every so many pixels
of the result are kept: `scipy.signal.upfirdn` in two dimensions. Written out,
along one axis,

    y[j] = sum_t taps[t] x[(j down + t - low) / up],

a sum over the t at which that index is whole, with zeros beyond the images. Its
transpose is such a filter, too: `up` and `down` change places and the taps are
turned. A primitive says so, and derivatives of any order are as fast as it is.

It compiles to a sum of shifted images, without the zeros. On two CPU cores, of
[4, 52, 52, 64] float32 doubled and halved by twelve taps, this took 16 ms,
matrices along each axis 43 ms, and convolutions of `jax.lax`, whose groups are
channels, 1,350 ms. Those are the reference, under `cpu.stock`, and what a TPU
has: as libtpu compiles [8, 38, 38, 512] doubled, rectified and halved, it moves
a tenth of the bytes of the sum, in which each shifted image is a copy.
"""

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from gan_jax.ops import cpu

# Shifted images that are added up at once. XLA took too much memory to compile
# 24 x 24 of them for a CPU; more than these are added up row by row.
_TERMS = 144


class _Axis(NamedTuple):
  """What happens along rows or columns; see the module's formula."""

  up: int
  down: int
  low: int
  x: int  # The input's size.
  y: int  # The output's.

  def transposed(self, taps: int) -> '_Axis':
    return _Axis(self.down, self.up, taps - 1 - self.low, self.y, self.x)


@dataclasses.dataclass(frozen=True)
class _Form:
  taps: tuple[tuple[float, ...], ...]
  rows: _Axis
  columns: _Axis

  def transposed(self) -> '_Form':
    turned = tuple(row[::-1] for row in self.taps[::-1])
    return _Form(
      turned,
      self.rows.transposed(len(turned)),
      self.columns.transposed(len(turned[0])),
    )


def resample(
  x: jax.Array,
  taps: np.ndarray,
  *,
  up: int = 1,
  down: int = 1,
  padding: tuple[int, int] = (0, 0),
) -> jax.Array:
  """`[..., H, W, C]` to `up / down` times the sampling rate.

  Args:
    x: of any float type; sums are float32 at least.
    taps: `[T]`, along rows and then along columns, or `[T, T]`. As in a
      convolution, the last of them meets the first pixel.
    up: pixels of which the first is one of `x` and the others are zeros.
    down: of so many, the first is kept.
    padding: pixels of zeros before and after, at the higher rate; negative ones
      crop.

  Returns:
    `[..., H', W', C]`, where H' is (up H + sum(padding) - T) // down + 1.

  Raises:
    ValueError: nothing would be left of an image.
  """
  taps = np.asarray(taps, np.float32)
  turned = np.flip(taps)
  low, count = padding[0], len(taps)
  sides = [(up * n + sum(padding) - count) // down + 1 for n in x.shape[-3:-1]]
  if min(sides) < 1:
    raise ValueError(
      f'{count} taps over images of shape {x.shape} leave none, up={up} and '
      f'padding={padding}'
    )
  rows, columns = (
    _Axis(up, down, low, n, side)
    for n, side in zip(x.shape[-3:-1], sides, strict=True)
  )
  if taps.ndim == 2:
    return _apply(x, turned, rows, columns)
  as_is = _Axis(1, 1, 0, columns.x, columns.x)
  x = _apply(x, turned[:, None], rows, as_is)
  return _apply(x, turned[None], _Axis(1, 1, 0, rows.y, rows.y), columns)


def _apply(
  x: jax.Array, taps: np.ndarray, rows: _Axis, columns: _Axis
) -> jax.Array:
  form = _Form(tuple(map(tuple, taps.tolist())), rows, columns)
  return _stock(x, form=form) if cpu.is_stock() else _bound(x, form)


def _bound(x: jax.Array, form: _Form) -> jax.Array:
  y: jax.Array = _fir_p.bind(x, form=form)
  return y


def _stock(x: jax.Array, *, form: _Form) -> jax.Array:
  """A convolution of each channel by itself."""
  axes = form.rows, form.columns
  taps = np.array(form.taps)
  channels = x.shape[-1]
  wide = jnp.promote_types(x.dtype, jnp.float32)
  y = jax.lax.conv_general_dilated(
    x.reshape(-1, *x.shape[-3:]).astype(wide),
    jnp.asarray(np.tile(taps[..., None, None], channels), wide),
    window_strides=[axis.down for axis in axes],
    padding=[
      (
        axis.low,
        (axis.y - 1) * axis.down + n - axis.low - axis.up * (axis.x - 1) - 1,
      )
      for axis, n in zip(axes, taps.shape, strict=True)
    ],
    lhs_dilation=[axis.up for axis in axes],
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=channels,
    precision='highest',
  )
  return y.astype(x.dtype).reshape(*x.shape[:-3], *y.shape[1:])


class _Shifts(NamedTuple):
  """The pixels of `x` that each of a period of pixels of `y` is made of.

  Attributes:
    places: pixels of `y` in a period.
    stride: pixels of `x` in it.
    taps: by a pixel's place in `x`, from that of the period: which tap it
      meets for each of the pixels of `y`, or -1.
    periods: in `y`.
  """

  places: int
  stride: int
  taps: dict[int, list[int]]
  periods: int


def _shifts(axis: _Axis, count: int) -> _Shifts:
  common = math.gcd(axis.up, axis.down)
  period = axis.up // common
  taps: dict[int, list[int]] = {}
  for place, tap in itertools.product(range(period), range(count)):
    at, gap = divmod(place * axis.down + tap - axis.low, axis.up)
    if not gap:
      taps.setdefault(at, [-1] * period)[place] = tap
  return _Shifts(period, axis.down // common, taps, -(-axis.y // period))


def _weights(table: np.ndarray, rows: _Shifts, columns: _Shifts) -> np.ndarray:
  """Of each shift, `[rows', columns', pixels of rows, pixels of columns]`."""
  i, j = (np.array([*s.taps.values()]) for s in (rows, columns))
  i, j = i[:, None, :, None], j[None, :, None, :]
  return np.where((i < 0) | (j < 0), 0, table[i, j])


def _sum(x: jax.Array, *, form: _Form) -> jax.Array:
  """Images of `x`, shifted, times what the taps say of a period of pixels."""
  axes = form.rows, form.columns
  table = np.array(form.taps, np.float32)
  both = [_shifts(axis, n) for axis, n in zip(axes, table.shape, strict=True)]
  wide = jnp.promote_types(x.dtype, jnp.float32)
  # Wide before it is padded: a sum of what is cast once.
  padded = x.reshape(-1, *x.shape[-3:]).astype(wide)
  ends = [
    (-min(s.taps), max(s.taps) + (s.periods - 1) * s.stride + 1 - axis.x, 0)
    for s, axis in zip(both, axes, strict=True)
  ]
  padded = jax.lax.pad(
    padded, jnp.zeros((), wide), [(0, 0, 0), *ends, (0, 0, 0)]
  )
  rows, columns = both
  batch, channels = len(padded), padded.shape[-1]
  reach = [(s.periods - 1) * s.stride + 1 for s in both]

  def of_row(total: jax.Array, at: tuple[Any, Any]) -> jax.Array:
    """Adds what the pixels of some rows give, of all their columns."""
    row, weights = at
    here = jax.lax.dynamic_slice_in_dim(padded, row, reach[0], axis=1)
    here = jax.lax.slice_in_dim(here, 0, reach[0], rows.stride, axis=1)
    for k, j in enumerate(columns.taps):
      start = j - min(columns.taps)
      shifted = jax.lax.slice_in_dim(
        here, start, start + reach[1], columns.stride, axis=2
      )
      weight = weights[k][None, None, :, None, :, None]
      total += shifted[:, :, None, :, None] * weight
    return total

  starts = np.array([*rows.taps]) - min(rows.taps)
  weights = _weights(table, rows, columns).astype(wide)
  sides = [x for s in both for x in (s.periods, s.places)]
  total = jnp.zeros((batch, *sides, channels), wide)
  if len(starts) * len(columns.taps) <= _TERMS:
    for at in zip(starts, weights, strict=True):
      total = of_row(total, at)
  else:
    total, _ = jax.lax.scan(
      lambda total, at: (of_row(total, at), None), total, (starts, weights)
    )
  # [N, periods, pixels of each, periods, pixels of each, C].
  sides = [s.periods * s.places for s in both]
  y = total.reshape(batch, *sides, channels)
  y = y[:, : form.rows.y, : form.columns.y]
  return y.astype(x.dtype).reshape(*x.shape[:-3], *y.shape[1:])


def _abstract(x: jax.core.ShapedArray, *, form: _Form) -> jax.core.ShapedArray:
  shape = *x.shape[:-3], form.rows.y, form.columns.y, x.shape[-1]
  return jax.core.ShapedArray(shape, x.dtype)


def _transpose(ct: jax.Array, x: Any, *, form: _Form) -> list[jax.Array]:
  del x
  return [_bound(ct, form.transposed())]


def _batch(
  operands: list[jax.Array], axes: list[int], *, form: _Form
) -> tuple[jax.Array, int]:
  return _bound(jnp.moveaxis(operands[0], axes[0], 0), form), 0


_fir_p = core.Primitive('fir')
_fir_p.def_abstract_eval(_abstract)
_fir_p.def_impl(jax.jit(_fir_p.bind, static_argnames='form'))
ad.deflinear2(_fir_p, _transpose)
batching.primitive_batchers[_fir_p] = _batch
mlir.register_lowering(_fir_p, mlir.lower_fun(_sum, multiple_results=False))
mlir.register_lowering(
  _fir_p, mlir.lower_fun(_stock, multiple_results=False), platform='tpu'
)
