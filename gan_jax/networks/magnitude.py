"""Layers that keep the magnitude of what passes through them.

EDM2 (Karras et al. 2024, section 2.3) as R3GAN's second version has it. The
weights of each output are normalised in the forward pass, so that a layer of
inputs of variance 1 has outputs of variance 1; each player's update ends with
the stored weights normalised, too ("forced weight normalisation"), so that
their size, and with it the effective learning rate, does not drift. The weights
of rectified inputs are also centred, for these inputs have a mean.

The names of parameters say which of them are weights: 'centred', 'kernel' (not
centred) and 'embedding', which has a row for each class and is centred.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from gan_jax import types
from gan_jax.networks import layers, style_layers
from gan_jax.ops import conv, linear

_EPSILON = 1e-4
_SLOPE = 0.2
# Keeps the variance of normal inputs.
_GAIN = 1 / math.sqrt(((1 + _SLOPE**2) - (1 - _SLOPE) ** 2 / math.pi) / 2)

_CENTRED = {'centred': True, 'kernel': False, 'embedding': True}


def unit(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
  """x / (rms + 1e-4), of the root mean square over the axes, in float32."""
  squares = jnp.square(x.astype(jnp.float32)).mean(axes, keepdims=True)
  return x / linear.spread(jnp.sqrt(squares) + _EPSILON, x)


def normalised(name: str, weight: jax.Array) -> jax.Array:
  """A weight with a mean square of 1 for each output.

  Args:
    name: of the parameter.
    weight: `[..., O]`; an embedding is `[K, E]`.
  """
  axes = (1,) if name == 'embedding' else tuple(range(weight.ndim - 1))
  if _CENTRED[name]:
    weight = weight - weight.mean(axes, keepdims=True)
  return unit(weight, axes)


def project(params: types.PyTree) -> types.PyTree:
  """Forced weight normalisation, of all weights of a network."""
  flat = traverse_util.flatten_dict(params)
  made: types.PyTree = traverse_util.unflatten_dict(
    {
      path: normalised(path[-1], leaf) if path[-1] in _CENTRED else leaf
      for path, leaf in flat.items()
    }
  )
  return made


def activate(x: jax.Array) -> jax.Array:
  """leaky_relu(x, .2), scaled."""
  return nn.leaky_relu(x, _SLOPE) * _GAIN


def weight(
  module: nn.Module,
  shape: tuple[int, ...],
  *,
  centred: bool = True,
  fan_in: int | None = None,
) -> jax.Array:
  """A layer's, normalised and over sqrt(fan-in); called inside a module.

  Args:
    module: which has it.
    shape: `[..., O]`.
    centred: it is.
    fan_in: of an output; None for that of all axes but the last.
  """
  name = 'centred' if centred else 'kernel'
  weights = module.param(name, nn.initializers.normal(1.0), shape)
  inputs = fan_in or math.prod(shape[:-1])
  return normalised(name, weights) / math.sqrt(inputs)


class Linear(nn.Module):
  """`[B, C]` to `[B, features]`, without bias, in float32.

  Attributes:
    features: of the result.
  """

  features: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    axes = (((1,), (0,)), ((), ()))
    matrix = weight(self, (x.shape[-1], self.features))
    return linear.product(x, matrix, axes, None)


class Conv(nn.Module):
  """A convolution `[B, H, W, I]` to `[B, H', W', O]` of stride 1, no bias.

  Attributes:
    features: O.
    kernel: its side.
    group_width: input channels that share weights; 0 for all.
    padding: 'SAME' or 'VALID'.
    centred: the weights are.
    dtype: of the activations.
  """

  features: int
  kernel: int = 1
  group_width: int = 0
  padding: str = 'SAME'
  centred: bool = True
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    gain: jax.Array | None = None,
    scale: jax.Array | None = None,
  ) -> jax.Array:
    """Convolves.

    Args:
      x: `[B, H, W, I]`.
      gain: `[I]`, that the inputs are multiplied by; None for 1.
      scale: `[O]`, that the outputs are multiplied by; None for 1.
    """
    width = self.group_width or x.shape[-1]
    shape = (self.kernel, self.kernel, width, self.features)
    kernel = weight(self, shape, centred=self.centred)
    if gain is not None:
      kernel = kernel * gain.reshape(1, 1, -1, 1)
    if scale is not None:
      kernel = kernel * scale.reshape(1, 1, 1, -1)
    return conv.conv(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      padding=self.padding,
      groups=x.shape[-1] // width,
    )


class BiasedConv(nn.Module):
  """A 1x1 convolution with a bias, normalised together with the weights.

  Attributes:
    features: O.
    noise: add some that is of all channels alike, times a learned factor of
      each, which is normalised together with the others.
    dtype: of the activations.
  """

  features: int
  noise: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, gain: jax.Array) -> jax.Array:
    """`[B, H, W, I]` to `[B, H, W, O]`; the inputs times `gain`, `[I]`."""
    inputs = x.shape[-1]
    rows = inputs + 1 + self.noise
    weights = weight(self, (1, 1, rows, self.features))
    kernel = (weights[:, :, :inputs] * gain.reshape(1, 1, -1, 1)).astype(
      self.dtype
    )
    y = conv.conv(x.astype(self.dtype), kernel, padding='SAME')
    y += linear.spread(weights[:, :, -1:], y)
    if self.noise:
      drawn = style_layers.draw_noise(self.make_rng('noise'), y.shape)
      y += linear.spread(drawn * weights[:, :, -2:-1], y)
    return y


class Basis(nn.Module):
  """Images of 4x4, mixed in groups: `[B, C]` to `[B, 4, 4, C]`, in float32.

  The transpose of a convolution with a window of 4x4, where each pixel is an
  output by itself: the fan-in is the width of a group.

  Attributes:
    group_width: channels that share weights.
  """

  group_width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    width, group = x.shape[-1], self.group_width
    weights = weight(self, (4, 4, group, width), fan_in=group)
    mixed = jnp.einsum(
      'bgi,hwigo->bhwgo',
      x.reshape(len(x), -1, group),
      weights.reshape(4, 4, group, -1, group),
    )
    return mixed.reshape(len(x), 4, 4, width)


class Embedding(nn.Module):
  """Labels `[B]` int32 to a row each, `[B, features]` float32.

  The classes start alike.

  Attributes:
    classes: rows.
    features: of each.
  """

  classes: int
  features: int

  @nn.compact
  def __call__(self, label: jax.Array | None) -> jax.Array:
    def alike(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
      row = jax.random.normal(key, (1, shape[1]))
      return jnp.tile(normalised('embedding', row), (shape[0], 1))

    shape = (self.classes, self.features)
    table = self.param('embedding', alike, shape)
    assert label is not None
    return layers.rows(normalised('embedding', table), label)
