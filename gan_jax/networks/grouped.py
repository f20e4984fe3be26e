"""Batch normalisation over parts of a batch."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class BatchNorm(nn.Module):
  """Batch normalisation of each of several equal parts of the batch.

  As if the network were applied to each part by itself; the running averages
  are of the means over the parts of their means and variances.

  Attributes:
    groups: parts, one after the other along the first axis.
    use_running_average: normalise by the running averages, all parts alike.
    momentum: the share of the past in a running average.
    epsilon: is added to the variance.
    dtype: of the activations.
  """

  groups: int
  use_running_average: bool
  momentum: float = 0.9
  epsilon: float = 1e-5
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (x.shape[-1],)
    mean = self.variable('batch_stats', 'mean', jnp.zeros, shape)
    var = self.variable('batch_stats', 'var', jnp.ones, shape)
    scale = self.param('scale', nn.initializers.ones, shape)
    bias = self.param('bias', nn.initializers.zeros, shape)
    if self.use_running_average:
      parts, moments = x[None], (mean.value[None], var.value[None])
    else:
      parts = x.reshape(self.groups, -1, *x.shape[1:])
      moments = _moments(parts)
      if not self.is_initializing():
        for average, now in zip((mean, var), moments, strict=True):
          past = self.momentum * average.value
          average.value = past + (1 - self.momentum) * now.mean(axis=0)
    gain = scale[None] * jax.lax.rsqrt(moments[1] + self.epsilon)
    ends = (*(1,) * (x.ndim - 1), -1)
    shift, gain = (y.reshape(len(y), *ends) for y in (moments[0], gain))
    y = (parts - shift) * gain + bias.reshape(1, *ends)
    return y.astype(self.dtype).reshape(x.shape)


def _moments(parts: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Means and variances of parts `[G, N, ..., C]`, both `[G, C]` float32."""
  x = parts.astype(jnp.float32)
  axes = tuple(range(1, x.ndim - 1))
  mean = x.mean(axis=axes)
  var = jnp.square(x).mean(axis=axes) - jnp.square(mean)
  return mean, jnp.maximum(var, 0.0)
