"""Convolutions that are fast on CPU too, to any order of derivative.

XLA's CPU backend runs forward convolutions near the speed of its matrix
products, but gradients of kernels, transposed convolutions (whose dilated
input is mostly zeros) and grouped convolutions many times slower: see
openxla/xla#34273, jax-ml/jax#23783 and jax-ml/jax#13800. GANs consist of these,
and penalties such as R1 differentiate them twice.

All derivatives of a convolution come from one trilinear form,
`<y, conv(x, kernel)>`. Leaving out `y` gives the convolution, `x` the gradient
of its input, `kernel` that of its kernel. A primitive that is told which of the
three to leave out is thus closed under differentiation. On accelerators it
compiles to what `jax.lax` would give, on CPU to matrix products and to
convolutions without dilation; grouped ones are oneDNN's where it is allowed.
The reference is `jax.lax`, under `cpu.stock`.

`python -m experiments.benchmarks.step_time --suite=dcgan_32` prints the ratio
to stock XLA. When that is near one, two calls of `jax.lax` can replace this
module.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from gan_jax.ops import cpu, onednn

Padding = str | Sequence[tuple[int, int]]

_ROLES = ('x', 'y', 'kernel')


def conv(
  x: jax.Array,
  kernel: jax.Array,
  *,
  strides: Sequence[int] = (1, 1),
  padding: Padding,
  groups: int = 1,
) -> jax.Array:
  """Convolves images with a kernel.

  Args:
    x: images, [N, H, W, I].
    kernel: [KH, KW, I / groups, O], of the same dtype.
    strides: rows and columns from one window to the next.
    padding: 'SAME', 'VALID' or ((top, bottom), (left, right)).
    groups: how many blocks of channels there are, each with its own weights.

  Returns:
    [N, OH, OW, O].

  Raises:
    ValueError: the channels of `x` and `kernel` do not fit.
  """
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(
      x.shape[1:3], kernel.shape[:2], strides, padding
    )
  return _bind(x, kernel, padding, strides, (1, 1), groups)


def conv_transpose(
  x: jax.Array,
  kernel: jax.Array,
  *,
  strides: Sequence[int] = (2, 2),
  padding: Padding,
) -> jax.Array:
  """Convolves upwards, as `jax.lax.conv_transpose` does.

  Args:
    x: images, [N, H, W, I].
    kernel: [KH, KW, I, O], of the same dtype.
    strides: how many rows and columns each of `x` becomes.
    padding: 'SAME' (OH = H * stride), 'VALID', or ((top, bottom), (left,
      right)) around `x` with its rows and columns spread out.

  Returns:
    [N, OH, OW, O].

  Raises:
    ValueError: the channels of `x` and `kernel` do not fit, or an unknown
      padding.
  """
  if isinstance(padding, str):
    name = padding
    padding = [_pads_upwards(kernel.shape[i], strides[i], name) for i in (0, 1)]
  return _bind(x, kernel, padding, (1, 1), strides, 1)


def _pads_upwards(window: int, stride: int, name: str) -> tuple[int, int]:
  if name == 'VALID':
    return window - 1, window - 1 + max(stride - window, 0)
  if name != 'SAME':
    raise ValueError(f"padding must be 'SAME' or 'VALID', got {name!r}")
  total = window + stride - 2
  low = window - 1 if stride >= window else -(-total // 2)
  return low, total - low


class _Axis(NamedTuple):
  """What a convolution does along rows or columns."""

  x: int  # The input's size.
  window: int
  low: int
  high: int
  stride: int
  stretch: int  # The dilation of `x`: a transposed convolution's stride.

  @property
  def span(self) -> int:
    """From the first tap to the last."""
    return self.window - 1

  @property
  def y(self) -> int:
    """The output's size."""
    padded = self.stretch * (self.x - 1) + 1 + self.low + self.high
    return (padded - self.span - 1) // self.stride + 1

  def mirrored(self) -> '_Axis':
    """The same with `x` and `y` exchanged, for which the kernel is turned."""
    low, high = self.span - self.low, self.span - self.high
    return _Axis(self.y, self.window, low, high, self.stretch, self.stride)


@dataclasses.dataclass(frozen=True)
class _Form:
  """`<y, conv(x, kernel)>` as a function of two of `x`, `y` and `kernel`."""

  out: str  # The one left out, which is what this function returns.
  rows: _Axis
  columns: _Axis
  groups: int
  onednn: bool  # Whether that may convolve groups.
  flipped: bool = False  # Whether the kernel is stored as by `_flip`.
  # That of `jax.default_matmul_precision` where it was called, for a primitive
  # is lowered outside of it; a CPU has one precision.
  precision: str | None = None

  @property
  def roles(self) -> list[str]:
    """What the two operands are."""
    return [role for role in _ROLES if role != self.out]

  @property
  def window(self) -> tuple[int, int]:
    return self.rows.window, self.columns.window

  @property
  def x(self) -> tuple[int, int]:
    return self.rows.x, self.columns.x

  @property
  def y(self) -> tuple[int, int]:
    return self.rows.y, self.columns.y

  def name(self, a: Any, b: Any) -> dict[str, Any]:
    return dict(zip(self.roles, (a, b), strict=True))

  def shape(self, a: Any, b: Any) -> tuple[int, ...]:
    """That of the result, for operands without a population's axis."""
    shapes = self.name(a.shape[-4:], b.shape[-4:])
    if self.out == 'kernel':
      return *self.window, shapes['x'][3] // self.groups, shapes['y'][3]
    if self.out == 'y':
      return shapes['x'][0], *self.y, shapes['kernel'][3]
    return shapes['y'][0], *self.x, shapes['kernel'][2] * self.groups

  def mirrored(self) -> '_Form':
    return dataclasses.replace(
      self,
      out={'x': 'y', 'y': 'x', 'kernel': 'kernel'}[self.out],
      rows=self.rows.mirrored(),
      columns=self.columns.mirrored(),
      flipped=not self.flipped,
    )


def _bind(
  x: jax.Array,
  kernel: jax.Array,
  padding: Sequence[tuple[int, int]],
  strides: Sequence[int],
  stretch: Sequence[int],
  groups: int,
) -> jax.Array:
  if x.shape[3] != kernel.shape[2] * groups or kernel.shape[3] % groups:
    raise ValueError(
      f'x {x.shape}, kernel {kernel.shape} and groups {groups} do not fit'
    )
  rows, columns = (
    _Axis(
      x.shape[1 + i],
      kernel.shape[i],
      *padding[i],
      strides[i],
      stretch[i],
    )
    for i in (0, 1)
  )
  form = _Form(
    'y',
    rows,
    columns,
    groups,
    onednn.is_allowed(),
    precision=jax.config.jax_default_matmul_precision,  # type: ignore[attr-defined]
  )
  if cpu.is_stock():
    return _stock(x, kernel, form=form)
  return _conv_p.bind(x, kernel, form=form)


# The rules of the primitive. Both operands may have a leading axis more: that
# of a population of kernels.


def _abstract(a: Any, b: Any, *, form: _Form) -> jax.core.ShapedArray:
  if a.dtype != b.dtype:
    raise TypeError(f'convolution of {a.dtype} with {b.dtype}')
  return jax.core.ShapedArray((*a.shape[:-4], *form.shape(a, b)), a.dtype)


def _transpose(which: int, ct: Any, a: Any, b: Any, *, form: _Form) -> Any:
  """Leaves out operand `which`; the cotangent takes the result's role."""
  if type(ct) is ad.Zero:
    return ct
  known = form.name(a, b) | {form.out: ct}
  form = dataclasses.replace(form, out=form.roles[which])
  return _conv_p.bind(*(known[role] for role in form.roles), form=form)


def _batch(
  operands: Sequence[Any], axes: Sequence[int | None], *, form: _Form
) -> tuple[jax.Array, int]:
  a, b = operands
  size = b.shape[axes[1]] if axes[0] is None else a.shape[axes[0]]
  if axes[0] is not None and axes[1] is None and form.out != 'kernel':
    # The kernel is one for all: images of all members make one batch.
    a = jnp.moveaxis(a, axes[0], b.ndim - 4)
    a = lax.collapse(a, b.ndim - 4, b.ndim - 2)
    out = _conv_p.bind(a, b, form=form)
    shape = (*out.shape[:-4], size, -1, *out.shape[-3:])
    return out.reshape(shape), out.ndim - 4
  a, b = (
    jnp.broadcast_to(o, (size, *o.shape))
    if i is None
    else jnp.moveaxis(o, i, 0)
    for o, i in zip(operands, axes, strict=True)
  )
  if a.ndim == 5:
    return _conv_p.bind(a, b, form=form), 0
  out = _conv_p.bind(lax.collapse(a, 0, 2), lax.collapse(b, 0, 2), form=form)
  return out.reshape(size, -1, *out.shape[1:]), 0


# What it compiles to.


def _stock(a: jax.Array, b: jax.Array, *, form: _Form) -> jax.Array:
  """What `jax.lax` gives."""
  if a.ndim == 5:
    return jax.vmap(functools.partial(_stock, form=form))(a, b)
  axes = form.rows, form.columns

  def apply(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
      x,
      kernel,
      window_strides=[axis.stride for axis in axes],
      padding=[(axis.low, axis.high) for axis in axes],
      lhs_dilation=[axis.stretch for axis in axes],
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      feature_group_count=form.groups,
      precision=form.precision,
    )

  missing = jax.ShapeDtypeStruct(form.shape(a, b), a.dtype)
  if form.out == 'x':
    return jax.linear_transpose(lambda x: apply(x, b), missing)(a)[0]
  if form.out == 'kernel':
    return jax.linear_transpose(lambda k: apply(a, k), missing)(b)[0]
  return apply(a, b)


def _fast(a: jax.Array, b: jax.Array, *, form: _Form) -> jax.Array:
  """What is fast on CPU."""
  if a.ndim == 5:
    return lax.map(lambda ab: _fast(*ab, form=form), (a, b))
  if form.groups > 1:
    mirrored = form.mirrored() if form.out == 'x' else form
    if _suits_onednn(a, mirrored):
      return _gather(a, b, mirrored)
    return _grouped(a, b, form)
  if _is_better_mirrored(a, b, form):
    form = form.mirrored()
    a, b = (b, a) if form.out == 'kernel' else (a, b)
  # Where windows neither overlap nor leave gaps, they are one matrix.
  whole = form.window == form.x and form.y == (1, 1)
  if all(axis.low == axis.high == 0 for axis in (form.rows, form.columns)) and (
    whole or form.window == (1, 1) == (form.rows.stride, form.columns.stride)
  ):
    out = _product(a, b, form)
  elif form.out == 'kernel':
    out = _kernel_gradient(a, b, form)
  else:
    out = (_gather if form.out == 'y' else _scatter)(a, b, form)
  return out.astype(a.dtype)


def _suits_onednn(a: jax.Array, form: _Form) -> bool:
  """Whether it may and can: a convolution whose `x` is not stretched."""
  stretched = form.rows.stretch > 1 or form.columns.stretch > 1
  can = form.out == 'y' and not stretched and a.dtype == jnp.float32
  return form.onednn and can


def _is_better_mirrored(a: jax.Array, b: jax.Array, form: _Form) -> bool:
  """Whether to exchange `x` and `y`: a must where `x` is stretched."""
  if form.rows.stretch > 1 or form.columns.stretch > 1:
    return True
  if form.rows.stride > 1 or form.columns.stride > 1:
    return False
  x, y = form.x[0] * form.x[1], form.y[0] * form.y[1]
  if form.out == 'x':
    return 2 * y > x and not b.shape[2] <= cpu.NARROW_CHANNELS < b.shape[3]
  if form.out == 'kernel':  # The fewer channels are copied, for each tap.
    return 2 * x <= y or (
      b.shape[3] <= cpu.NARROW_CHANNELS and b.shape[3] < a.shape[3]
    )
  return 2 * x <= y or b.shape[3] <= cpu.NARROW_CHANNELS < b.shape[2]


def _dot(a: jax.Array, b: jax.Array, axis_a: int, axis_b: int) -> jax.Array:
  """Contracts the axes, to float32 at least: there is more to add up."""
  dims = (((axis_a,), (axis_b,)), ((), ()))
  dtype = jnp.promote_types(a.dtype, jnp.float32)
  return lax.dot_general(a, b, dims, preferred_element_type=dtype)


def _flat(x: jax.Array) -> jax.Array:
  """[..., C] to [N, C]."""
  return x.reshape(-1, x.shape[-1])


def _flip(kernel: jax.Array, groups: int = 1) -> jax.Array:
  """Turns a kernel by 180 degrees and exchanges each group's channels."""
  *window, i, o = kernel.shape
  turned = lax.rev(kernel, (0, 1)).reshape(*window, i, groups, o // groups)
  return turned.swapaxes(2, 4).reshape(*window, o // groups, groups * i)


def _pad(
  x: jax.Array, rows: tuple[int, int], columns: tuple[int, int]
) -> jax.Array:
  """Pads images, or crops them by what is negative."""
  zero = jnp.zeros((), x.dtype)
  return lax.pad(x, zero, ((0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0)))


def _patches(x: jax.Array, form: _Form) -> Iterator[jax.Array]:
  """What each tap of the kernel meets: KH * KW times [N, OH, OW, I]."""
  (_, kh, *rows, s, _), (_, kw, *columns, t, _) = form.rows, form.columns
  x = _pad(x, (rows[0], rows[1]), (columns[0], columns[1]))
  h, w = s * form.rows.y, t * form.columns.y
  for i, j in itertools.product(range(kh), range(kw)):
    yield x[:, i : i + h : s, j : j + w : t]


def _product(a: jax.Array, b: jax.Array, form: _Form) -> jax.Array:
  if form.out == 'kernel':
    width = form.window[0] * form.window[1] * a.shape[3]
    out = _dot(a.reshape(-1, width), _flat(b), 0, 0)
    out = out.reshape(*form.window, a.shape[3], b.shape[3])
    return _flip(out) if form.flipped else out
  kernel = _flip(b) if form.flipped else b
  if form.out == 'y':
    width = kernel.size // kernel.shape[3]
    out = _dot(a.reshape(-1, width), _flat(kernel), 1, 0)
  else:
    out = _dot(_flat(a), _flat(kernel), 1, 1)
  return out.reshape(form.shape(a, kernel))


def _gather(x: jax.Array, kernel: jax.Array, form: _Form) -> jax.Array:
  """A convolution by a library; XLA's is wrong where padding is negative."""
  rows, columns = form.rows, form.columns
  crops = ((min(axis.low, 0), min(axis.high, 0)) for axis in (rows, columns))
  x = _pad(x, *crops)
  rows, columns = axes = [
    axis._replace(x=x.shape[i], low=max(axis.low, 0), high=max(axis.high, 0))
    for i, axis in ((1, rows), (2, columns))
  ]
  kernel = _flip(kernel, form.groups) if form.flipped else kernel
  form = dataclasses.replace(form, rows=rows, columns=columns, flipped=False)
  if form.groups == 1:
    return _stock(x, kernel, form=form)
  return onednn.convolution(
    x,
    kernel,
    shape=form.shape(x, kernel),
    strides=[axis.stride for axis in axes],
    padding=[(axis.low, axis.high) for axis in axes],
    groups=form.groups,
  )


def _scatter(y: jax.Array, kernel: jax.Array, form: _Form) -> jax.Array:
  """One product for all taps; each phase of `x` then adds up those it meets."""
  channels = kernel.shape[3 if form.flipped else 2]
  taps = kernel.reshape(-1, *kernel.shape[2:])
  z = _dot(_flat(y), taps, 1, 1 if form.flipped else 2)
  z = z.reshape(len(y), *form.y, *form.window, channels)
  z = z[..., ::-1, ::-1, :] if form.flipped else z
  s, t = form.rows.stride, form.columns.stride
  size = -(-form.rows.x // s), -(-form.columns.x // t)
  phases = []
  for phase in itertools.product(range(s), range(t)):
    x = jnp.zeros((len(y), *size, channels), z.dtype)
    for i, rows in _shifts(form.rows, phase[0]):
      for j, columns in _shifts(form.columns, phase[1]):
        x += _pad(z[..., i, j, :], rows, columns)
    phases.append(x)
  x = jnp.stack(phases).reshape(s, t, len(y), *size, channels)
  x = x.transpose(2, 3, 0, 4, 1, 5)  # [N, H / s, s, W / t, t, C]
  x = x.reshape(len(y), s * size[0], t * size[1], channels)
  return x[:, : form.rows.x, : form.columns.x]


def _shifts(axis: _Axis, phase: int) -> Iterator[tuple[int, tuple[int, int]]]:
  """Taps that rows `stride * q + phase` of `x` meet, and padding of `y`."""
  for tap in range(axis.window):
    shift, gap = divmod(phase + axis.low - tap, axis.stride)
    if not gap:
      yield tap, (-shift, -(-axis.x // axis.stride) + shift - axis.y)


def _kernel_gradient(x: jax.Array, y: jax.Array, form: _Form) -> jax.Array:
  """A product for each tap, unless copying less is worth more."""
  (kh, kw), c, o = form.window, x.shape[3], y.shape[3]
  if c <= cpu.NARROW_CHANNELS:  # One for all taps.
    patches = jnp.concatenate([*_patches(x, form)], -1)
    kernel = _dot(_flat(patches), _flat(y), 0, 0)
  elif form.rows.stride == form.columns.stride == 1 and form.rows.y >= 16:
    # One for each column: `y` moves along the rows, `x` along the columns.
    y = jnp.concatenate(
      [_pad(y, (i, kh - 1 - i), (0, 0)) for i in range(kh)], -1
    )
    column = dataclasses.replace(form, rows=form.rows._replace(window=1))
    out = [_dot(_flat(patch), _flat(y), 0, 0) for patch in _patches(x, column)]
    kernel = jnp.stack(out).reshape(kw, c, kh, o).transpose(2, 0, 1, 3)
  elif form.flipped:
    out = [_dot(_flat(y), _flat(patch), 0, 0) for patch in _patches(x, form)]
    return jnp.stack(out[::-1]).reshape(kh, kw, o, c)
  else:
    out = [_dot(_flat(patch), _flat(y), 0, 0) for patch in _patches(x, form)]
    kernel = jnp.stack(out)
  kernel = kernel.reshape(kh, kw, c, o)
  return _flip(kernel) if form.flipped else kernel


def _grouped(a: jax.Array, b: jax.Array, form: _Form) -> jax.Array:
  """A convolution for each block of groups, its kernel block-diagonal."""
  known, shape = form.name(a, b), form.shape(a, b)
  *_, i, o = known['kernel'].shape if 'kernel' in known else shape
  o //= form.groups
  sizes = (n for n in range(1, form.groups + 1) if form.groups % n == 0)
  size = next(
    (n for n in sizes if n * min(i, o) >= cpu.JOINED_CHANNELS), form.groups
  )
  blocks = form.groups // size
  if 'kernel' in known:
    kernel = known['kernel'].reshape(*form.window, i, blocks, size, o)
    eye = jnp.eye(size, dtype=kernel.dtype)
    kernel = jnp.einsum('hwibgo,fg->hwfibgo', kernel, eye)
    known['kernel'] = kernel.reshape(*form.window, size * i, -1)
  splits = (
    jnp.moveaxis(x.reshape(*x.shape[:3], blocks, x.shape[3] // blocks), 3, 0)
    for x in known.values()
  )
  one = functools.partial(_fast, form=dataclasses.replace(form, groups=1))
  if form.out != 'kernel':
    return jnp.moveaxis(one(*splits), 0, 3).reshape(shape)
  # Products of all blocks at once; a convolution would be for groups again.
  out = jax.vmap(one)(*splits)
  out = out.reshape(blocks, *form.window, size, i, size, o)
  return jnp.einsum('bhwgigo->hwibgo', out).reshape(shape)


_conv_p = core.Primitive('conv')
_conv_p.def_abstract_eval(_abstract)
_conv_p.def_impl(jax.jit(_conv_p.bind, static_argnames='form'))
_transposes = (functools.partial(_transpose, which) for which in (0, 1))
ad.defbilinear(_conv_p, *_transposes)
batching.primitive_batchers[_conv_p] = _batch
_lower = functools.partial(mlir.register_lowering, _conv_p)
_lower(mlir.lower_fun(_stock, multiple_results=False))
_lower(mlir.lower_fun(_fast, multiple_results=False), platform='cpu')
