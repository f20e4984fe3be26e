"""What the architectures share: initialisers, activations, layers."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import grouped
from gan_jax.ops import conv, linear

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  'relu': linear.relu,
  'leaky_relu': functools.partial(nn.leaky_relu, negative_slope=0.2),
  'tanh': nn.tanh,
  'elu': nn.elu,
  'silu': nn.silu,
}


def _uniform(scale: float) -> nn.initializers.Initializer:
  """U(-scale, scale); flax's own `uniform` is U(0, scale)."""

  def init(key: jax.Array, shape: Any, dtype: Any = jnp.float32) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, -scale, scale)

  return init


# Those that any positive factor passes through.
RECTIFIERS = ('relu', 'leaky_relu')

# By name; each takes the config's `kernel_scale`: the half-width, the standard
# deviation, or the gain.
INITIALISERS: dict[str, Callable[[float], nn.initializers.Initializer]] = {
  'uniform': _uniform,
  'normal': nn.initializers.normal,
  'orthogonal': nn.initializers.orthogonal,
  'lecun': lambda gain: nn.initializers.variance_scaling(
    gain**2, 'fan_in', 'truncated_normal'
  ),
  'fan_in_normal': lambda gain: nn.initializers.variance_scaling(
    gain**2, 'fan_in', 'normal'
  ),
  # U(-s, s) with s = gain / sqrt(fan_in): where PyTorch's layers begin.
  'fan_in_uniform': lambda gain: nn.initializers.variance_scaling(
    gain**2 / 3, 'fan_in', 'uniform'
  ),
  # U(-s, s) with s = gain sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010).
  'glorot_uniform': lambda gain: nn.initializers.variance_scaling(
    gain**2, 'fan_avg', 'uniform'
  ),
}


class Dense(nn.Module):
  """A linear layer [..., C] -> [..., features] with float32 parameters.

  Attributes:
    features: of the result.
    kernel_init: of the initial matrix.
    bias_init: of the initial bias.
    use_bias: add one.
    dtype: of the activations.
  """

  features: int
  kernel_init: nn.initializers.Initializer
  bias_init: nn.initializers.Initializer = nn.initializers.zeros
  use_bias: bool = True
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape).astype(self.dtype)
    axes = (((x.ndim - 1,), (0,)), ((), ()))
    y = linear.product(x.astype(self.dtype), kernel, axes, None)
    if self.use_bias:
      bias = self.param('bias', self.bias_init, (self.features,))
      y += linear.spread(bias, y)
    return y


def fan_in_biases(params: types.PyTree, key: jax.Array) -> types.PyTree:
  """Biases of all layers drawn from U(-b, b), b = 1 / sqrt(fan-in).

  Where PyTorch's layers begin, whose fan-in is that of the kernel beside.
  """
  flat = traverse_util.flatten_dict(params)
  for i, path in enumerate(sorted(flat)):
    kernel = flat.get((*path[:-1], 'kernel'))
    if path[-1] != 'bias' or kernel is None:
      continue
    bound = math.prod(kernel.shape[:-1]) ** -0.5
    draw = _uniform(bound)
    flat[path] = draw(jax.random.fold_in(key, i), flat[path].shape)
  return traverse_util.unflatten_dict(flat)


# What `net.bias_init` names: draws the biases of an initial network anew, or
# leaves them.
BIASES: dict[str, Callable[[types.PyTree, jax.Array], types.PyTree] | None] = {
  'zeros': None,
  'fan_in_uniform': fan_in_biases,
}


def dense(
  features: int, init: str, kernel_scale: float, dtype: Any, **kwargs: Any
) -> Dense:
  """A `Dense` whose initial matrix is one of `INITIALISERS`."""
  kernel_init = INITIALISERS[init](kernel_scale)
  return Dense(features, kernel_init, dtype=dtype, **kwargs)


# A generator's first `dense`, as `types.Network.entries` has it.
FIRST_DENSE = (('Dense_0', 'kernel'),)


class Conv(nn.Module):
  """A convolution [N, H, W, I] -> [N, H / stride, W / stride, O], 'SAME'.

  Attributes:
    features: O.
    kernel: its side.
    stride: rows and columns from one window to the next.
    transpose: convolve upwards instead, to [N, H * stride, W * stride, O].
    box: with a kernel of 3 and a stride of 2, a convolution of stride 1 and
      the means of 2x2 after it; transposed, nearest neighbours and a
      convolution of stride 1 after them. See `boxed`.
    kernel_init: a name in `INITIALISERS`, with its `kernel_scale`.
    groups: blocks of channels with their own weights; not when transposed.
    use_bias: add a bias for each channel.
    dtype: of the activations.
  """

  features: int
  kernel: int
  stride: int = 1
  transpose: bool = False
  kernel_init: str = 'lecun'
  kernel_scale: float = 1.0
  groups: int = 1
  use_bias: bool = True
  dtype: Any = jnp.float32
  box: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    init = INITIALISERS[self.kernel_init](self.kernel_scale)
    size = (self.kernel, self.kernel)
    shape = (*size, x.shape[-1] // self.groups, self.features)
    kernel = self.param('kernel', init, shape)
    if self.box:
      kernel = boxed(kernel) * (1.0 if self.transpose else 0.25)
    kernel = kernel.astype(self.dtype)
    strides = (self.stride, self.stride)
    x = x.astype(self.dtype)
    if self.transpose:
      y = conv.conv_transpose(x, kernel, strides=strides, padding='SAME')
    else:
      y = conv.conv(
        x, kernel, strides=strides, padding='SAME', groups=self.groups
      )
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,))
      y += linear.spread(bias, y)
    return y


def boxed(kernel: jax.Array) -> jax.Array:
  """[3, 3, I, O] convolved with a 2x2 box of ones, [4, 4, I, O].

  A mean of 2x2 pixels after a convolution, or nearest neighbours before it,
  are such a box, and convolutions commute: one of stride 2 with 16 taps takes
  the place of one of stride 1 with 9 at four times the pixels.
  """
  for axis in (0, 1):
    before, after = (
      jnp.pad(kernel, [ends if i == axis else (0, 0) for i in range(4)])
      for ends in ((0, 1), (1, 0))
    )
    kernel = before + after
  return kernel


def batch_norm(
  mode: types.Mode,
  dtype: Any,
  *,
  epsilon: float = 1e-5,
  affine: bool = True,
  momentum: float = 0.9,
  groups: int = 1,
) -> nn.BatchNorm | grouped.BatchNorm:
  """Over every axis but the last; statistics in float32.

  Args:
    mode: of the batch statistics.
    dtype: of the activations.
    epsilon: is added to the variance.
    affine: multiply by a learned gain and add a learned bias; with one group.
    momentum: the share of the past in a running average; none where the mode
      collects.
    groups: equal parts of the batch that are normalised apart.
  """
  momentum = 0.0 if mode.collect else momentum
  if groups > 1:
    return grouped.BatchNorm(
      groups, not mode.batch_stats, momentum, epsilon, dtype
    )
  return nn.BatchNorm(
    use_running_average=not mode.batch_stats,
    momentum=momentum,
    epsilon=epsilon,
    dtype=dtype,
    use_scale=affine,
    use_bias=affine,
  )


def shares(label: jax.Array, classes: int, dtype: Any) -> jax.Array:
  """How much of each class is asked for, `[B, K]`.

  Args:
    label: `[B]` int32, or those shares themselves, `[B, 1, K]`.
    classes: K.
    dtype: of the result.
  """
  if label.ndim == 3:
    return label[:, 0].astype(dtype)
  chosen: jax.Array = jax.nn.one_hot(label, classes, dtype=dtype)
  return chosen


def rows(table: jax.Array, index: jax.Array) -> jax.Array:
  """`table[index]`, `[K, C]` and `[B]` to `[B, C]`, as a product.

  A gather's gradient is a scatter, which a TPU runs badly; under second
  derivatives and `vmap` both are slow on a CPU, too. Shares in place of an
  index (see `shares`) give sums of rows.
  """
  chosen = shares(index, len(table), table.dtype)
  axes = (((1,), (0,)), ((), ()))
  # Exact, also where products are of bfloat16 by default.
  return linear.product(chosen, table, axes, jax.lax.Precision.HIGHEST)


def largest(x: jax.Array, axis: int) -> jax.Array:
  """The largest along a short axis, of which alone there is a gradient.

  On its way back `x.max` looks for what equals the largest. A compiler that
  computes x twice, with other rounding, finds none, and 0 / 0 is NaN: XLA does
  so with tiny products on CPU.
  """
  top, *others = (
    jax.lax.index_in_dim(x, i, axis, keepdims=False)
    for i in range(x.shape[axis])
  )
  for other in others:
    # NaN is not lost.
    top = jnp.where((other > top) | jnp.isnan(other), other, top)
  return top


def windows(x: jax.Array) -> jax.Array:
  """Those of 2x2 pixels, `[B, 2H, 2W, C]` to `[B, H, 2, W, 2, C]`."""
  batch, height, width, channels = x.shape
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels)


# Draws a layer's initial weights: a name in `INITIALISERS`, and its scale.
Init = tuple[str, float]


def check_square(name: str, shape: tuple[int, ...]) -> None:
  """Raises ValueError unless samples of a shape are square images `(H, H, C)`.

  Args:
    name: of the network.
    shape: of one sample.
  """
  if len(shape) != 3 or shape[0] != shape[1]:
    raise ValueError(
      f'{name} makes square images; the data have shape {shape} (data.size '
      'crops them to squares)'
    )


def doublings(
  name: str, shape: tuple[int, ...], base: int, least: int = 0
) -> int:
  """How many doublings of a side make the images.

  Args:
    name: of the network.
    shape: of one image, `(H, W, C)`.
    base: the side that is doubled.
    least: how many there are at least.

  Raises:
    ValueError: it is not a square image, or no number of doublings makes it.
  """
  check_square(name, shape)
  count = max(int(math.log2(max(shape[0], base) / base)), least)
  if shape[0] != base * 2**count:
    near = f'{base * 2**count}, {base * 2 ** (count + 1)}'
    raise ValueError(
      f'data.size={shape[0]}: {name} makes images whose side is '
      f'{base * 2**least} times a power of two, such as {near}'
    )
  return count


def at_each(
  field: str, value: declare.Stages, resolutions: int, base: int
) -> tuple[int, ...]:
  """A setting at each resolution, from the lowest on.

  Args:
    field: its name in the network's settings.
    value: one for all, or one for each.
    resolutions: how many there are.
    base: the side of the lowest.

  Raises:
    ValueError: it has a number for each of other resolutions.
  """
  each = value if isinstance(value, tuple) else (value,) * resolutions
  if len(each) != resolutions:
    raise ValueError(
      f'net.{field}={",".join(map(str, each))}: there are {resolutions} '
      f'resolutions, from {base} to {base * 2 ** (resolutions - 1)}; give one '
      'number, or one for each of them'
    )
  return each


def crop(x: jax.Array, side: int, kernel: int) -> jax.Array:
  """`[B, 2H, 2H, C]` to an odd side, as TensorFlow grows to it.

  There a transposed convolution is the gradient of a 'SAME' one, which pads a
  side of 2H - 1 by one pixel more than one of 2H: with an odd kernel before it,
  with an even one after it.

  Args:
    x: what a transposed convolution gives.
    side: 2H - 1, or 2H to leave it as it is.
    kernel: the side of the convolution's.
  """
  first = (x.shape[1] - side) * (kernel % 2)
  return x[:, first : first + side, first : first + side]


def grow(
  z: jax.Array,
  base: int,
  width: int,
  features: Sequence[int],
  norm: Callable[[jax.Array], jax.Array],
  *,
  kernel: int,
  init: Init,
  dtype: Any,
  sides: Sequence[int],
) -> jax.Array:
  """DCGAN's way up (Radford et al. 2016, section 3); called inside a module.

  A linear layer gives the lowest resolution. Each stage is a normalisation,
  ReLU and a transposed convolution that doubles the sides.

  Args:
    z: `[B, Z]`.
    base: the side of the lowest resolution.
    width: its channels.
    features: channels after each stage.
    norm: makes a layer and applies it.
    kernel: its side.
    init: of the initial weights.
    dtype: of the activations.
    sides: after each stage, which is cropped to them.
  """
  h = dense(base * base * width, *init, dtype)(z).reshape(-1, base, base, width)
  for stage, channels in enumerate(features):
    h = nn.relu(norm(h))
    h = Conv(channels, kernel, 2, True, *init, dtype=dtype)(h)
    h = crop(h, sides[stage], kernel)
  return h


def shrink(
  h: jax.Array,
  features: Sequence[int],
  mode: types.Mode,
  *,
  kernel: int,
  init: Init,
  dtype: Any,
  normalised: int | None,
  slope: float,
  outputs: int = 1,
) -> tuple[jax.Array, jax.Array]:
  """DCGAN's way down, `[B, H, W, C]` to `[B, outputs]` and the last stage.

  The outputs are float32, whatever the activations are.

  Each stage is a convolution that halves the sides, batch normalisation where
  it is `normalised`, and a leaky ReLU. Arguments as of `grow`, and

  Args:
    mode: of the batch statistics.
    normalised: the first stage, from 0, with batch normalisation; None is no
      stage.
    slope: of the leaky ReLU.
    outputs: of the last layer.
  """
  for stage, channels in enumerate(features):
    h = Conv(channels, kernel, 2, False, *init, dtype=dtype)(h)
    if normalised is not None and stage >= normalised:
      h = batch_norm(mode, dtype)(h)
    h = nn.leaky_relu(h, slope)
  return dense(outputs, *init, jnp.float32)(h.reshape(len(h), -1)), h
