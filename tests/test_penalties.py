"""Penalties against closed forms, and against a finite-difference gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import types
from gan_jax.game import losses, penalties

KEY = jax.random.key(0)
W = jnp.array([[0.6, -0.8, 2.0], [0.1, 0.3, -0.5]])  # |w|^2 = 5.35
X = jax.random.normal(jax.random.key(1), (7, 2, 3))
Y = jax.random.normal(jax.random.key(2), (7, 2, 3))

REAL, FAKE = types.Batch(X), types.Batch(Y)


def linear(batch: types.Batch) -> jax.Array:
  """D(x) = <w, x>, whose gradient is w everywhere."""
  return jnp.einsum('bij,ij->b', batch.x, W)


def quadratic(batch: types.Batch) -> jax.Array:
  """D(x) = |x|^2 / 2, whose gradient is x."""
  return 0.5 * jnp.square(batch.x).sum(axis=(1, 2))


def test_linear_discriminator():
  norm = np.sqrt(5.35)
  grads = penalties.input_grads(linear, REAL)
  assert penalties.zero_centred(grads) == pytest.approx(5.35 / 2, rel=1e-6)
  expected = pytest.approx((norm - 1) ** 2, rel=1e-6)
  assert penalties.wgan_gp(linear, REAL, FAKE, KEY) == expected
  assert penalties.dragan(linear, REAL, KEY) == expected


def test_quadratic_discriminator_is_per_sample():
  squared = np.square(np.asarray(X)).sum(axis=(1, 2))
  grads = penalties.input_grads(quadratic, REAL)
  np.testing.assert_allclose(grads, X, rtol=1e-6)
  expected = pytest.approx(squared.mean() / 2, rel=1e-6)
  assert penalties.zero_centred(grads) == expected
  # A norm over the whole batch would grow with the batch; this does not.
  assert penalties.zero_centred(jnp.concatenate([grads, grads])) == expected


def test_wgan_gp_interpolates_each_pair():
  """grad is x^ itself, which must lie between the pair: e x + (1 - e) y."""
  e = np.asarray(jax.random.uniform(KEY, (7, 1, 1)))
  between = e * np.asarray(X) + (1 - e) * np.asarray(Y)
  norms = np.sqrt(np.square(between).sum(axis=(1, 2)))
  assert penalties.wgan_gp(quadratic, REAL, FAKE, KEY) == pytest.approx(
    np.square(norms - 1).mean(), rel=1e-5
  )
  assert len(np.unique(e)) == 7


def test_dragan_stays_near_the_data():
  of_noise, of_share = jax.random.split(KEY)
  noise = np.asarray(jax.random.uniform(of_noise, X.shape))
  share = np.asarray(jax.random.uniform(of_share, (len(X), 1, 1)))
  moved = np.asarray(X) + share * np.asarray(X).std() / 2 * noise
  norms = np.sqrt(np.square(moved).sum(axis=(1, 2)))
  assert penalties.dragan(quadratic, REAL, KEY) == pytest.approx(
    np.square(norms - 1).mean(), rel=1e-5
  )


def test_second_implementation_by_differences():
  """Central differences in float64 numpy of a small two-layer D."""
  a = np.asarray(jax.random.normal(jax.random.key(3), (6, 5)), np.float64)
  b = np.asarray(jax.random.normal(jax.random.key(4), (5,)), np.float64)

  def numpy_disc(x: np.ndarray) -> np.ndarray:
    return np.tanh(x.reshape(len(x), -1) @ a) @ b

  def disc(batch: types.Batch) -> jax.Array:
    hidden = jnp.tanh(batch.x.reshape(len(batch.x), -1) @ jnp.float32(a))
    return hidden @ jnp.float32(b)

  x, h = np.asarray(X, np.float64), 1e-5
  total = 0.0
  for i in np.ndindex(2, 3):
    step = np.zeros((1, 2, 3))
    step[0][i] = h
    total += ((numpy_disc(x + step) - numpy_disc(x - step)) / (2 * h)) ** 2
  value = penalties.zero_centred(penalties.input_grads(disc, REAL))
  assert value == pytest.approx(total.mean() / 2, rel=1e-4)


def test_gradient_is_finite_where_disc_is_flat():
  def loss(scale: jax.Array) -> jax.Array:
    return penalties.wgan_gp(
      lambda batch: scale * linear(batch), REAL, FAKE, KEY
    )

  value, grad = jax.value_and_grad(loss)(jnp.zeros(()))
  assert value == pytest.approx(1.0, rel=1e-5)
  assert jnp.isfinite(grad)


def test_r2_sends_no_gradient_to_the_generator():
  def r2(scale: jax.Array) -> jax.Array:
    return penalties.zero_centred(
      penalties.input_grads(quadratic, types.Batch(scale * Y))
    )

  assert jax.grad(r2)(1.0) == 0


def test_lecam_by_hand():
  averages = penalties.LogitAverages(
    jnp.float32(1.0), jnp.float32(-1.0), jnp.int32(1)
  )
  # relu(r + 1)^2: 4, 0; relu(1 - f)^2: 0, 9; means 2 and 4.5.
  value = penalties.lecam(
    jnp.array([1.0, -2.0]), jnp.array([1.5, -2.0]), averages
  )
  assert value == pytest.approx(6.5)


def test_logit_averages_have_no_bias():
  """sum_i d^(n-i) x_i / sum_i d^(n-i), whatever the memory was at first."""
  memory, decay = penalties.no_logits(), 0.9
  real = np.array([[1.0, 3.0], [5.0, 5.0], [-2.0, 0.0]])
  for row in real:
    memory = penalties.follow_logits(
      memory, jnp.float32(row), jnp.float32(2 * row), jnp.float32(decay)
    )
  weights = decay ** np.array([2, 1, 0])
  expected = (weights * real.mean(axis=1)).sum() / weights.sum()
  assert memory.real == pytest.approx(expected, rel=1e-5)
  assert memory.fake == pytest.approx(2 * expected, rel=1e-5)


def test_orthogonal_by_hand():
  """Columns (1, 0), (1, 1): <a, b> = 1, counted twice; biases do not count."""
  params = {
    'Dense_0': {'kernel': jnp.array([[1.0, 1.0], [0.0, 1.0]])},
    'Conv_0': {'kernel': jnp.ones((1, 2, 1, 3)), 'bias': jnp.full(3, 9.0)},
  }
  # Three columns (1, 1): six products of 2.
  assert penalties.orthogonal(params) == pytest.approx(2 * 1 + 6 * 4)
  assert penalties.orthogonal({'Dense_0': {'kernel': jnp.eye(4)}}) == 0


def test_smoothed_labels_are_those_of_the_cross_entropy():
  real = jnp.array([-3.0, 0.5, 2.0])
  expected = optax.sigmoid_binary_cross_entropy(real, 0.9).mean()
  plain = losses.NON_SATURATING.disc(real=real, fake=jnp.full(3, -100.0))
  smoothed = plain + 0.1 * penalties.label_smoothing(real)
  assert smoothed == pytest.approx(float(expected), rel=1e-6)


def test_feature_matching_is_of_the_means():
  real = jnp.array([[1.0, 0.0], [3.0, 2.0]])
  fake = jnp.array([[0.0, 0.0], [0.0, 4.0], [0.0, 5.0]])
  # (2, 1) and (0, 3).
  value, grad = jax.value_and_grad(penalties.feature_matching, argnums=1)(
    real, fake
  )
  assert value == 8
  np.testing.assert_allclose(grad, [[-4 / 3, 4 / 3]] * 3, rtol=1e-6)
  value, grad = jax.value_and_grad(penalties.feature_matching, argnums=1)(
    real, fake, 'mean_absolute'
  )
  assert value == 2
  np.testing.assert_allclose(grad, [[-1 / 6, 1 / 6]] * 3, rtol=1e-6)
