"""Affine warps of images as ADA's authors resample them.

An image is reflected at its borders, doubled by the sym6 wavelet's low-pass
filter, sampled bilinearly where the warp leads, and halved by the same filter
backwards (Karras et al. 2020, "Training Generative Adversarial Networks with
Limited Data", appendix B). All of it is linear in the image. The authors
reflect as far as the batch at hand needs and never beyond one image; here it is
always one image, which is the same wherever they reach.

Where rows depend on rows alone, or on columns alone, a warp is two small
products for each image (`separable`). Any other (`affine`) has a point for
each pixel of the doubled image, and there are two ways to sample it:

- On a CPU and a GPU the doubled image is made and its points are gathered; the
  transpose scatters them back.
- On a TPU, which gathers one row after another, and under `cpu.stock`, a point
  is a product with what its row and its column see of the image. It takes H / 2
  times the multiplications.

They are two ways of one primitive, whose transpose is the other primitive, so
that both derivatives of a penalty go through them.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from gan_jax.ops import cpu

# Daubechies' symlet of 12 taps, with sum 1.
_SYM6 = np.array([
  0.015404109327027373, 0.0034907120842174702, -0.11799011114819057,
  -0.048311742585633, 0.4910559419267466, 0.787641141030194,
  0.3379294217276218, -0.07263752278646252, -0.021060292512300564,
  0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
])  # fmt: skip
_SYM6 /= _SYM6.sum()
# Rows beyond each border of the doubled result that its halving reaches.
_REACH = 6
# Of doubled images in memory at once.
_BYTES = 2**28

_dot = functools.partial(jnp.einsum, precision=lax.Precision.HIGHEST)


def affine(images: jax.Array, inverse: jax.Array) -> jax.Array:
  """Images `[N, H, W, C]` warped, each by its own affine map.

  Args:
    images: float32.
    inverse: `[N, 3, 3]`, from places (x, y, 1) in the result to those in the
      image, in pixels from the centre; a constant.

  Returns:
    `[N, H, W, C]`.
  """
  n, h, w, c = images.shape
  inverse = lax.stop_gradient(inverse)
  u, v = (2 * size + 2 * _REACH - 2 for size in (h, w))
  x, y = (
    _positions(inverse, axis, _places(h)[:, None], _places(w)[None])
    for axis in (0, 1)
  )
  y, x = (_index(t, size).reshape(n, u * v) for t, size in ((y, h), (x, w)))
  return products(
    _halving(h), _halving(w), _bind(images, y, x).reshape(n, u, v, c)
  )


def separable(images: jax.Array, inverse: jax.Array) -> jax.Array:
  """The same of square images, where no angle is but multiples of 90 degrees.

  Arguments as of `affine`; H = W.
  """
  size = images.shape[1]
  inverse = lax.stop_gradient(inverse)
  turned = jnp.abs(inverse[:, 0, 1]) > jnp.abs(inverse[:, 0, 0])
  here, zero = _places(size), jnp.zeros((1,))
  # Of a turned image the rows of the result are columns of it.
  x = jnp.where(
    turned[:, None],
    _positions(inverse, 0, here, zero),
    _positions(inverse, 0, zero, here),
  )
  y = jnp.where(
    turned[:, None],
    _positions(inverse, 1, zero, here),
    _positions(inverse, 1, here, zero),
  )
  x, y = (
    _dot('pq,nqi->npi', _halving(size), _seen(_index(t, size), size))
    for t in (x, y)
  )
  swap = turned[:, None, None]
  rows, columns = jnp.where(swap, x, y), jnp.where(swap, y, x)
  images = jnp.where(swap[..., None], images.swapaxes(1, 2), images)
  return products(rows, columns, images)


def products(rows: Any, columns: Any, images: jax.Array) -> jax.Array:
  """R X C^T of each image and channel.

  Args:
    rows: `[P, H]`, or `[N, P, H]` for one of each image.
    columns: `[Q, W]`, or `[N, Q, W]`.
    images: `[N, H, W, C]`.

  Returns:
    `[N, P, Q, C]`.
  """

  def along(matrix: Any, x: jax.Array) -> jax.Array:
    n, length, *rest = x.shape
    of = 'pi' if matrix.ndim == 2 else 'npi'
    y = _dot(f'{of},nik->npk', matrix, x.reshape(n, length, -1))
    return y.reshape(n, -1, *rest)

  return along(columns, along(rows, images).swapaxes(1, 2)).swapaxes(1, 2)


def reflected(size: int, margin: int) -> np.ndarray:
  """Which pixel each of a reflected row is, `[margin + size + margin, size]`.

  One in each row is 1; it may be reflected more than once.
  """
  index = np.pad(np.arange(size), margin, mode='reflect')
  return np.eye(size, dtype=np.float32)[index]


def _places(size: int) -> jax.Array:
  """Places of the doubled result that are halved, in pixels from its centre."""
  index = np.arange(1, 2 * size + 2 * _REACH - 1)
  return jnp.asarray((index - (2 * size + 2 * _REACH - 1) / 2 + 0.5) / 2)


def _positions(
  inverse: jax.Array, axis: int, y: jax.Array, x: jax.Array
) -> jax.Array:
  """Where places lead, `[N, *broadcast]`, on axis 0 (x) or 1 (y)."""
  shape = (-1,) + (1,) * y.ndim
  a, b, c = (inverse[:, axis, i].reshape(shape) for i in range(3))
  return a * x[None] + b * y[None] + c


def _index(place: jax.Array, size: int) -> jax.Array:
  """Which row of the doubled image, of `_table`, a place in the image is."""
  doubled = 2 * (3 * size - 2)
  middle = (doubled - 1) / 2
  # 0 and the last are the zeros beyond.
  return jnp.clip(2 * place - 0.5 + middle + 1, 0, doubled + 1)


@functools.lru_cache
def _table(size: int) -> np.ndarray:
  """Reflection and doubling of a row, `[2 * (3 * size - 2) + 2, size]`."""
  padded = 3 * size - 2
  row, tap = np.meshgrid(
    np.arange(2 * padded), np.arange(padded), indexing='ij'
  )
  which = 5 + row - 2 * tap
  inside = (which >= 0) & (which < len(_SYM6))
  double = np.where(inside, 2 * _SYM6[np.clip(which, 0, len(_SYM6) - 1)], 0.0)
  return np.pad(double @ reflected(size, size - 1), ((1, 1), (0, 0))).astype(
    np.float32
  )


@functools.lru_cache
def _distinct(size: int) -> tuple[np.ndarray, np.ndarray]:
  """The rows of `_table` that differ, and which of them each row is.

  What is beyond one border is beyond the other, too: a quarter of the rows, so
  that a doubled image without them is about half as large.
  """
  table = _table(size)
  _, first, which = np.unique(
    np.round(table, 5), axis=0, return_index=True, return_inverse=True
  )
  order = np.argsort(first)
  rank = np.empty_like(order)
  rank[order] = np.arange(len(order))
  return table[first[order]], rank[which.reshape(-1)].astype(np.int32)


@functools.lru_cache
def _halving(size: int) -> np.ndarray:
  """From the doubled result to the result, `[size, 2 * size + 10]`."""
  out = np.zeros((size, 2 * size + 2 * _REACH - 2), np.float32)
  for i in range(size):
    out[i, 2 * i : 2 * i + len(_SYM6)] = _SYM6
  return out


def _seen(index: jax.Array, size: int) -> jax.Array:
  """How much of each pixel of a row a place sees, `[..., size]`."""
  places = jnp.arange(len(_table(size)))
  places = places.reshape((1,) * index.ndim + (-1,))
  near = jax.nn.relu(1 - jnp.abs(index[..., None] - places))
  return _dot('...s,si->...i', near, _table(size))


def _bind(images: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
  """On several devices each samples its own part of the images.

  A compiler does not split a loop over all of them: every device would be sent
  the images of the others, one after another.
  """
  run = _by_products if cpu.is_stock() else _sample_p.bind
  mesh = jax.sharding.get_abstract_mesh()
  if not mesh.empty and len(images) % mesh.size == 0:
    part = jax.P(mesh.axis_names)
    run = jax.shard_map(run, in_specs=part, out_specs=part, check_vma=False)
  out: jax.Array = run(images, y, x)
  return out


def _by_products(images: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
  """`[N, H, W, C]` at points `[N, Q]`, to `[N, Q, C]`."""
  h, w = images.shape[1:3]

  def one(of: tuple[jax.Array, ...]) -> jax.Array:
    image, y, x = of
    rows = _dot('qi,ijc->qjc', _seen(y, h), image)
    return _dot('qj,qjc->qc', _seen(x, w), rows)

  return lax.map(one, (images, y, x))


def _spread_by_products(
  points: jax.Array, y: jax.Array, x: jax.Array, *, size: tuple[int, int]
) -> jax.Array:
  """The transpose of `_by_products`: `[N, Q, C]` to `[N, H, W, C]`."""

  def one(of: tuple[jax.Array, ...]) -> jax.Array:
    points, y, x = of
    columns = _seen(x, size[1])[:, :, None] * points[:, None]
    return _dot('qi,qjc->ijc', _seen(y, size[0]), columns)

  return lax.map(one, (points, y, x))


def _ends(
  index: jax.Array, size: int
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
  """The rows of `_distinct` on both sides of places, and their weights."""
  _, which = _distinct(size)
  low = jnp.clip(jnp.floor(index).astype(jnp.int32), 0, len(which) - 2)
  part = index - low
  find = functools.partial(jnp.take, jnp.asarray(which), mode='clip')
  return (find(low), 1 - part), (find(low + 1), part)


def _corners(
  y: jax.Array, x: jax.Array, size: tuple[int, int]
) -> list[tuple[jax.Array, jax.Array, jax.Array]]:
  """The four rows and columns about each point, and their weights."""
  return [
    (i, j, down * right)
    for (i, down), (j, right) in itertools.product(
      _ends(y, size[0]), _ends(x, size[1])
    )
  ]


def _gather(images: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
  n, h, w, c = images.shape
  (rows, _), (columns, _) = _distinct(h), _distinct(w)
  # Not channels last before the end: so the products are of large matrices.
  doubled = _dot('pi,nik->npk', rows, images.reshape(n, h, w * c))
  doubled = doubled.reshape(n, -1, w, c).swapaxes(2, 3)
  doubled = _dot('npcj,kj->npck', doubled, columns)
  # All channels of a corner together, by one index into all images: XLA's CPU
  # backend takes twice as long for one channel after another.
  flat = doubled.swapaxes(2, 3).reshape(-1, c)
  start = np.arange(n)[:, None] * len(rows) * len(columns)
  out = jnp.zeros(())
  for i, j, weight in _corners(y, x, (h, w)):
    at = start + i * len(columns) + j
    out += weight[..., None] * flat.at[at].get(mode='promise_in_bounds')
  return out


def _scatter(
  points: jax.Array, y: jax.Array, x: jax.Array, *, size: tuple[int, int]
) -> jax.Array:
  n, _, c = points.shape
  h, (rows, _), (columns, _) = size[0], _distinct(size[0]), _distinct(size[1])
  # One corner at a time, all channels together: so XLA's CPU backend takes half
  # of the time that it takes for the transpose of the gather above.
  flat = jnp.zeros((n * len(rows) * len(columns), c), points.dtype)
  start = np.arange(n)[:, None] * len(rows) * len(columns)
  dims = lax.ScatterDimensionNumbers((1,), (0,), (0,))
  for i, j, weight in _corners(y, x, size):
    at = start + i * len(columns) + j
    flat = lax.scatter_add(
      flat, at.reshape(-1, 1), (weight[..., None] * points).reshape(-1, c),
      dims, mode='promise_in_bounds',
    )  # fmt: skip
  flat = flat.reshape(n, len(rows), -1)
  flat = _dot('pi,npk->nik', rows, flat).reshape(n, h, len(columns), c)
  return _dot('nhck,kw->nhwc', flat.swapaxes(2, 3), columns)


def _in_blocks(run: Any, per_sample: int, *operands: jax.Array) -> jax.Array:
  """`run` for as many samples together as memory is meant for."""
  most = max(_BYTES // (4 * per_sample), 1)
  if len(operands[0]) <= most:
    out: jax.Array = run(*operands)
  else:
    out = lax.map(
      lambda each: run(*(x[None] for x in each))[0], operands, batch_size=most
    )
  return out


def _doubled(size: tuple[int, int]) -> int:
  """Pixels of a doubled image."""
  return len(_distinct(size[0])[0]) * len(_distinct(size[1])[0])


def _fast_sample(images: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
  _, h, w, c = images.shape
  return _in_blocks(_gather, _doubled((h, w)) * c, images, y, x)


def _fast_spread(
  points: jax.Array, y: jax.Array, x: jax.Array, *, size: tuple[int, int]
) -> jax.Array:
  each = _doubled(size) * points.shape[2]
  run = functools.partial(_scatter, size=size)
  return _in_blocks(run, each, points, y, x)


def _abstract_sample(
  images: jax.core.ShapedArray, y: jax.core.ShapedArray, x: Any
) -> jax.core.ShapedArray:
  return jax.core.ShapedArray((*y.shape, images.shape[3]), images.dtype)


def _abstract_spread(
  points: jax.core.ShapedArray, y: Any, x: Any, *, size: tuple[int, int]
) -> jax.core.ShapedArray:
  n, _, c = points.shape
  return jax.core.ShapedArray((n, *size, c), points.dtype)


def _jvp(
  primitive: core.Primitive, primals: Any, tangents: Any, **params: Any
) -> tuple[jax.Array, Any]:
  """Linear in the first operand; points are constants."""
  out = primitive.bind(*primals, **params)
  tangent = tangents[0]
  if type(tangent) is ad.Zero:
    return out, ad.Zero(jax.typeof(out).to_tangent_aval())
  return out, primitive.bind(tangent, *primals[1:], **params)


def _transpose_sample(
  ct: Any, images: Any, y: jax.Array, x: jax.Array
) -> list[Any]:
  if type(ct) is ad.Zero:
    return [ad.Zero(images.aval), None, None]
  size = images.aval.shape[1:3]
  return [_spread_p.bind(ct, y, x, size=tuple(size)), None, None]


def _transpose_spread(
  ct: Any, points: Any, y: jax.Array, x: jax.Array, *, size: tuple[int, int]
) -> list[Any]:
  del size
  if type(ct) is ad.Zero:
    return [ad.Zero(points.aval), None, None]
  return [_sample_p.bind(ct, y, x), None, None]


def _batch(
  primitive: core.Primitive, operands: Any, axes: Any, **params: Any
) -> tuple[jax.Array, int]:
  """Members are more samples."""
  (count,) = {
    x.shape[axis]
    for x, axis in zip(operands, axes, strict=True)
    if axis is not None
  }
  every = [
    jnp.broadcast_to(x, (count, *x.shape))
    if axis is None
    else jnp.moveaxis(x, axis, 0)
    for x, axis in zip(operands, axes, strict=True)
  ]
  n = every[0].shape[1]
  out = primitive.bind(
    *(x.reshape(count * n, *x.shape[2:]) for x in every), **params
  )
  return out.reshape(count, n, *out.shape[1:]), 0


_sample_p, _spread_p = core.Primitive('warp'), core.Primitive('warp_back')
_sample_p.def_abstract_eval(_abstract_sample)
_spread_p.def_abstract_eval(_abstract_spread)
_sample_p.def_impl(jax.jit(_sample_p.bind))
_spread_p.def_impl(jax.jit(_spread_p.bind, static_argnames='size'))
ad.primitive_transposes[_sample_p] = _transpose_sample
ad.primitive_transposes[_spread_p] = _transpose_spread
for _p, _fast, _slow in (
  (_sample_p, _fast_sample, _by_products),
  (_spread_p, _fast_spread, _spread_by_products),
):
  ad.primitive_jvps[_p] = functools.partial(_jvp, _p)
  batching.primitive_batchers[_p] = functools.partial(_batch, _p)
  mlir.register_lowering(_p, mlir.lower_fun(_fast, multiple_results=False))
  mlir.register_lowering(
    _p, mlir.lower_fun(_slow, multiple_results=False), platform='tpu'
  )
