"""Regularisers of the two players.

Each is a function of exactly what it needs, D closed over its parameters
where it chooses the samples itself, and returns a scalar `[]` without its
weight, which the training step applies. A squared norm is taken per sample,
over every axis but the first, and then averaged over the batch: for
D(x) = <w, x> it is |w|^2 at any batch size.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.game import state as states


def input_grads(disc: types.DiscFn, batch: types.Batch) -> jax.Array:
  """dD(x_i) / dx_i for each sample.

  Args:
    disc: a `Batch` to logits `[B]`. Where it couples samples (batch
      normalisation), the gradient is that of the sum of the logits.
    batch: `[B, ...]`; data here: no gradient reaches what generated them.

  Returns:
    `[B, ...]`.
  """
  return jax.grad(lambda x: disc(batch._replace(x=x)).sum())(
    jax.lax.stop_gradient(batch.x)
  )


def _squared_norms(grads: jax.Array) -> jax.Array:
  """`[B, ...]` to `[B]`."""
  return jnp.square(grads).reshape(len(grads), -1).sum(axis=1)


def zero_centred(grads: jax.Array) -> jax.Array:
  """1/2 E |grad D(x)|^2 (Mescheder et al. 2018, eq. 9 and 10).

  Args:
    grads: input gradients `[B, ...]`, of real samples for R1 and of generated
      ones for R2.
  """
  return 0.5 * _squared_norms(grads).mean()


def _root(squared: jax.Array) -> jax.Array:
  """The square root, constant below 1e-12: at 0 its slope is infinite.

  Chosen by what is small, and not by what equals the maximum: see
  `layers.largest`.
  """
  return jnp.sqrt(jnp.where(squared < 1e-12, 1e-12, squared))


def _distance_from_unit_norm(
  disc: types.DiscFn, batch: types.Batch
) -> jax.Array:
  """E (|grad D(x)| - 1)^2."""
  # An untrained D can be exactly flat.
  norm = _root(_squared_norms(input_grads(disc, batch)))
  return jnp.square(norm - 1).mean()


def wgan_gp(
  disc: types.DiscFn, real: types.Batch, fake: types.Batch, key: jax.Array
) -> jax.Array:
  """E (|grad D(x^)| - 1)^2 between real and fake (Gulrajani 2017, eq. 3).

  x^ = e x + (1 - e) G(z) with one e ~ U(0, 1) for each pair of samples, and
  the label of the real one.
  """
  e = jax.random.uniform(key, (len(real.x),) + (1,) * (real.x.ndim - 1))
  between = real._replace(x=e * real.x + (1 - e) * fake.x)
  return _distance_from_unit_norm(disc, between)


def dragan(disc: types.DiscFn, real: types.Batch, key: jax.Array) -> jax.Array:
  """E (|grad D(x~)| - 1)^2 around the data (Kodali et al. 2017, section 2.3).

  As in the authors' code, x~ = x + a/2 std(x) u, with std over the whole batch,
  u ~ U(0, 1) and one a ~ U(0, 1) for each sample.
  """
  of_noise, of_share = jax.random.split(key)
  noise = jax.random.uniform(of_noise, real.x.shape)
  share = jax.random.uniform(of_share, (len(noise),) + (1,) * (noise.ndim - 1))
  near = real._replace(x=real.x + share * 0.5 * real.x.std() * noise)
  return _distance_from_unit_norm(disc, near)


class LogitAverages(NamedTuple):
  """Moving averages `[]` of D's mean logit on real and on fake samples.

  Attributes:
    updates: `[]` int32, how many they are of.
  """

  real: jax.Array
  fake: jax.Array
  updates: jax.Array


def no_logits() -> LogitAverages:
  """LeCam's memory before the first update."""
  return LogitAverages(jnp.zeros(()), jnp.zeros(()), jnp.int32(0))


def follow_logits(
  averages: LogitAverages,
  real: jax.Array,
  fake: jax.Array,
  decay: jax.Array,
) -> LogitAverages:
  """LeCam's memory after an update with logits `[B]`, without bias."""
  updates = averages.updates + 1
  new_real, new_fake = states.debiased_ema(
    (averages.real, averages.fake),
    (real.mean(), fake.mean()),
    jnp.log(decay),
    updates,
  )
  return LogitAverages(new_real, new_fake, updates)


def lecam(
  real: jax.Array, fake: jax.Array, averages: LogitAverages
) -> jax.Array:
  """Keeps each logit from passing the other side's average (Tseng 2021, eq. 6).

  E [relu(D(x) - ema_fake)^2 + relu(ema_real - D(G(z)))^2], in the one-sided
  form of the authors' code.

  Args:
    real: D's logits on real samples, `[B]`.
    fake: D's logits on generated samples, `[B]`.
    averages: constants here, with these logits in them by `follow_logits`, so
      that the first update does not pull towards 0.

  Returns:
    `[]`.
  """
  averages = jax.lax.stop_gradient(averages)
  above = jnp.square(jax.nn.relu(real - averages.fake)).mean()
  below = jnp.square(jax.nn.relu(averages.real - fake)).mean()
  return above + below


def path_length(
  map: Callable[[types.Latent], jax.Array],
  synthesise: Callable[[jax.Array], jax.Array],
  latent: types.Latent,
  average: jax.Array,
  key: jax.Array,
  decay: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """E (|J^T y| - a)^2 (Karras et al. 2020, eq. 4), J = dG(w) / dw.

  y is noise of variance 1 / (H W), and |.|^2 the mean over the copies of w of
  their squared norms. As in the authors' code, a has moved with this batch
  already, and the gradient passes through that.

  Args:
    map: latents to copies of w, `[B, layers, W]`.
    synthesise: those to images `[B, H, W, C]`.
    latent: of B samples.
    average: a, `[]`; a constant here.
    key: of y.
    decay: `[]`, the share of this batch's mean length in the next a.

  Returns:
    The penalty `[]`, and the next a `[]`.
  """
  images, pull = jax.vjp(synthesise, map(latent))
  pixels = images.shape[1] * images.shape[2]
  y = jax.random.normal(key, images.shape) / math.sqrt(pixels)
  squared = jnp.square(pull(y)[0]).sum(axis=2).mean(axis=1)
  lengths = _root(squared)
  average = jax.lax.stop_gradient(average)
  average += decay * (lengths.mean() - average)
  return jnp.square(lengths - average).mean(), average


def consistency(one: jax.Array, other: jax.Array) -> jax.Array:
  """The mean squared distance of what should be alike, `[]`.

  Of D's logits on two views of the same samples (Zhang et al. 2020, eq. 3; Zhao
  et al. 2021, "Improved consistency regularization for GANs", eqs. 2 and 3), or
  of G's samples of two near latents (the latter paper, section 3.2).

  Args:
    one: `[B, ...]`.
    other: of the same shape.
  """
  return jnp.square(one - other).mean()


def feature_matching(
  real: jax.Array, fake: jax.Array, distance: str = 'squared'
) -> jax.Array:
  """|E f(x) - E f(G(z))|^2 of a layer f of D (Salimans et al. 2016, sec. 3.1).

  Args:
    real: of real samples, `[B, C]`; constants here.
    fake: of generated ones, `[B, C]`.
    distance: between the means: 'squared', as above, or 'mean_absolute', the
      mean of the sizes of their C differences, as in the code of MHGAN.

  Returns:
    `[]`.
  """
  real = jax.lax.stop_gradient(real)
  gap = real.mean(axis=0) - fake.mean(axis=0)
  if distance == 'mean_absolute':
    return jnp.abs(gap).mean()
  return jnp.square(gap).sum()


def label_smoothing(real: jax.Array) -> jax.Array:
  """What labels of 1 - a on real samples add to a classifier's loss, over a.

  One-sided label smoothing (Salimans et al. 2016, section 3.4; there a is .1):

      -(1 - a) log D(x) - a log(1 - D(x)) = -log D(x) + a logit(x)

  Args:
    real: D's logits on real samples, `[B]`.

  Returns:
    `[]`.
  """
  return real.mean()


def orthogonal(params: types.PyTree) -> jax.Array:
  """Keeps the filters of each layer apart (Brock et al. 2019, eq. 3).

  The sum over layers of |W W^T o (1 - I)|_F^2, W with a row for each output.
  The authors' code applies half of this formula's gradient.

  Args:
    params: of a network; a leaf counts if it is called `kernel`.

  Returns:
    `[]`.
  """
  total = jnp.zeros(())
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    if getattr(path[-1], 'key', None) != 'kernel':
      continue
    w = leaf.reshape(-1, leaf.shape[-1])
    gram = jnp.matmul(w.T, w, precision=jax.lax.Precision.HIGHEST)
    total += jnp.square(gram - jnp.diag(jnp.diag(gram))).sum()
  return total
