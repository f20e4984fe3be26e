"""Regularisers of the discriminator.

Each is a function of exactly what it looks at, D closed over its parameters
where it chooses the samples itself, and returns a scalar `[]` without its
weight, which the training step applies. A squared norm is taken per sample,
over every axis but the first, and then averaged over the batch: for
D(x) = <w, x> it is |w|^2 at any batch size.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gan_jax import types


def slopes(disc: types.DiscFn, x: jax.Array) -> jax.Array:
  """dD(x_i) / dx_i for each sample.

  Args:
    disc: `[B, ...] -> [B]`. Where it couples samples (batch normalisation),
      the gradient is that of the sum of the logits.
    x: `[B, ...]`; data here: no gradient reaches what generated them.

  Returns:
    `[B, ...]`.
  """
  return jax.grad(lambda x: disc(x).sum())(jax.lax.stop_gradient(x))


def _squared_norms(slopes: jax.Array) -> jax.Array:
  """`[B, ...]` to `[B]`."""
  return jnp.square(slopes).reshape(slopes.shape[0], -1).sum(axis=1)


def zero_centred(slopes: jax.Array) -> jax.Array:
  """1/2 E |grad D(x)|^2 (Mescheder et al. 2018, eq. 9 and 10).

  Args:
    slopes: `[B, ...]`, of real samples for R1 and of generated ones for R2.
  """
  return 0.5 * _squared_norms(slopes).mean()


def _distance_from_unit_norm(disc: types.DiscFn, x: jax.Array) -> jax.Array:
  """E (|grad D(x)| - 1)^2."""
  squared = _squared_norms(slopes(disc, x))
  # d sqrt(s)/ds is infinite at 0, where an untrained D can be exactly flat.
  norm = jnp.sqrt(jnp.maximum(squared, 1e-12))
  return jnp.square(norm - 1).mean()


def wgan_gp(
  disc: types.DiscFn, real: jax.Array, fake: jax.Array, key: jax.Array
) -> jax.Array:
  """E (|grad D(x^)| - 1)^2 between real and fake (Gulrajani 2017, eq. 3).

  x^ = e x + (1 - e) G(z) with one e ~ U(0, 1) for each pair of samples.
  """
  e = jax.random.uniform(key, (len(real),) + (1,) * (real.ndim - 1))
  return _distance_from_unit_norm(disc, e * real + (1 - e) * fake)


def dragan(disc: types.DiscFn, real: jax.Array, key: jax.Array) -> jax.Array:
  """E (|grad D(x~)| - 1)^2 around the data (Kodali et al. 2017, section 2.3).

  x~ = x + 1/2 std(x) u with u ~ U(0, 1), std over the whole batch.
  """
  noise = jax.random.uniform(key, real.shape)
  return _distance_from_unit_norm(disc, real + 0.5 * real.std() * noise)


class LogitAverages(NamedTuple):
  """Moving averages `[]` of D's mean logit on real and on fake samples."""

  real: jax.Array
  fake: jax.Array


def lecam(
  real: jax.Array, fake: jax.Array, averages: LogitAverages
) -> jax.Array:
  """Keeps each logit from passing the other side's average (Tseng 2021, eq. 6).

  E [relu(D(x) - ema_fake)^2 + relu(ema_real - D(G(z)))^2], in the one-sided
  form of the authors' code.

  Args:
    real: D's logits on real samples, `[B]`.
    fake: D's logits on generated samples, `[B]`.
    averages: constants here; the step moves them on.

  Returns:
    `[]`.
  """
  averages = jax.lax.stop_gradient(averages)
  above = jnp.square(jax.nn.relu(real - averages.fake)).mean()
  below = jnp.square(jax.nn.relu(averages.real - fake)).mean()
  return above + below
