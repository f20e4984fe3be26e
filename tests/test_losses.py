"""Losses against constants worked out by hand from the papers' formulas."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special

from gan_jax.engine import names
from gan_jax.game import losses, objectives

REAL = jnp.array([0.5, 2.0])
FAKE = jnp.array([-1.0, 1.5])


def softplus(x: float) -> float:
  return float(special.log1p(math.exp(x)))


def mean(*values: float) -> float:
  return sum(values) / len(values)


# For r = (.5, 2) and f = (-1, 1.5); means 1.25 and .25.
CROSS_ENTROPY = mean(softplus(-0.5), softplus(-2)) + mean(
  softplus(-1), softplus(1.5)
)
EXPECTED = {
  'saturating': (CROSS_ENTROPY, -mean(softplus(-1), softplus(1.5))),
  'minimax': (CROSS_ENTROPY, -CROSS_ENTROPY),
  'non_saturating': (CROSS_ENTROPY, mean(softplus(1), softplus(-1.5))),
  # 1/2 (.25 + 1)/2 + 1/2 (1 + 2.25)/2 and 1/2 (4 + .25)/2.
  'least_squares': (1.125, 1.0625),
  'wasserstein': (-1.0, -0.25),
  # (.5 + 0)/2 + (0 + 2.5)/2.
  'hinge': (1.5, -0.25),
  'relativistic_average': (
    mean(softplus(-0.25), softplus(-1.75))
    + mean(softplus(-2.25), softplus(0.25)),
    mean(softplus(0.25), softplus(1.75))
    + mean(softplus(2.25), softplus(-0.25)),
  ),
  'relativistic_paired': (
    mean(softplus(-1.5), softplus(-0.5)),
    mean(softplus(1.5), softplus(0.5)),
  ),
  'none': (0.0, 0.0),
}


def test_all_losses_have_a_constant():
  assert EXPECTED.keys() == names.LOSSES.keys()


@pytest.mark.parametrize('name', EXPECTED)
def test_hand_computed(name: str):
  loss = names.LOSSES[name]
  disc, gen = EXPECTED[name]
  assert loss.disc(real=REAL, fake=FAKE) == pytest.approx(disc, rel=1e-6)
  assert loss.gen(real=REAL, fake=FAKE) == pytest.approx(gen, rel=1e-6)


@pytest.mark.parametrize('name', EXPECTED)
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_finite_at_extreme_logits(name: str, dtype: jnp.dtype):
  loss = names.LOSSES[name]
  for real in (-1e4, 1e4):
    for fake in (-1e4, 1e4):
      r, f = jnp.full((4,), real, dtype), jnp.full((4,), fake, dtype)
      for player in (loss.disc, loss.gen):
        value, grads = jax.value_and_grad(
          lambda r, f, player=player: player(real=r, fake=f), argnums=(0, 1)
        )(r, f)
        assert jnp.isfinite(value)
        assert all(jnp.isfinite(g).all() for g in grads)


@pytest.mark.parametrize('name', EXPECTED)
def test_which_generators_see_real(name: str):
  loss = names.LOSSES[name]
  grad = jax.grad(lambda r: loss.gen(real=r, fake=FAKE))(REAL)
  assert bool(jnp.any(grad != 0)) == loss.gen_sees_real


def test_equilibrium_value_is_minus_log_4():
  half = jnp.zeros(8)  # Logit 0 is D = 1/2.
  value = -losses.SATURATING.disc(real=half, fake=half)
  assert value == pytest.approx(-math.log(4), rel=1e-6)


def test_saturating_gradient_vanishes_where_the_other_does_not():
  """Section 3 of the 2014 paper: D rejects a fake with great confidence."""
  confident = jnp.array([-20.0])
  slopes = {
    name: jax.grad(lambda f, n=name: names.LOSSES[n].gen(real=f, fake=f))(
      confident
    )
    for name in ('saturating', 'non_saturating')
  }
  assert abs(slopes['saturating'][0]) < 1e-8
  assert slopes['non_saturating'][0] == pytest.approx(-1.0, rel=1e-6)


@pytest.mark.parametrize(
  'name', ['saturating', 'non_saturating', 'least_squares', 'hinge']
)
def test_of_the_best_alone(name: str):
  """Both derivatives are those of the mean over the three highest logits."""
  gen = names.LOSSES[name].gen
  fake = jnp.array([0.3, -2.0, 1.5, 0.2, -0.4])
  places = jnp.array([0, 2, 3])

  def ours(fake: jax.Array) -> jax.Array:
    return losses.of_best(gen, REAL, fake, jnp.float32(0.55))

  def theirs(fake: jax.Array) -> jax.Array:
    return gen(real=REAL, fake=fake[places])

  assert ours(fake) == pytest.approx(float(gen(real=REAL, fake=fake)))
  for derivative in (jax.grad, jax.hessian):
    found, expected = derivative(ours)(fake), derivative(theirs)(fake)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_real_samples_are_all_of_them_beside_the_best():
  """E log D(x) of minimax, which G sees in unrolled games."""
  gen, fake = names.LOSSES['minimax'].gen, jnp.array([0.3, -2.0, 1.5, 0.2])

  def slopes(share: float) -> jax.Array:
    return jax.grad(
      lambda real: losses.of_best(gen, real, fake, jnp.float32(share))
    )(jnp.asarray(REAL))

  expected = jax.grad(lambda real: gen(real=real, fake=fake))(jnp.asarray(REAL))
  for share in (0.5, 1.0):
    np.testing.assert_allclose(slopes(share), expected, rtol=1e-6)


def test_how_many_are_the_best():
  """At least one, never more than the share says, ties or not."""
  gen, fake = names.LOSSES['relativistic_paired'].gen, jnp.zeros(4)

  def kept(share: float) -> int:
    grads = jax.grad(
      lambda x: losses.of_best(gen, jnp.zeros(4), x, jnp.float32(share))
    )(fake)
    # -1/2 of the mean over those that count.
    assert grads.sum() == pytest.approx(-0.5)
    return int((grads != 0).sum())

  shares = 0.01, 0.3, 0.5, 0.7, 1.0
  assert [kept(share) for share in shares] == [1, 1, 2, 3, 4]


def test_how_often_d_is_right():
  """By the sign of its logits, or by pairs where that says nothing."""
  real, fake = jnp.array([7.0, 8.0, -1.0]), jnp.array([2.0, -3.0, -1.0])

  def accuracy(name: str) -> float:
    return float(objectives.accuracy(real, fake, names.LOSSES[name]))

  assert accuracy('non_saturating') == pytest.approx((2 / 3 + 2 / 3) / 2)
  for name in ('relativistic_paired', 'least_squares', 'wasserstein'):
    assert accuracy(name) == pytest.approx((1 + 1 + 0.5) / 3)


@pytest.mark.parametrize('name', names.LOSSES)
def test_whose_optimum_is_a_log_ratio(name: str):
  """On four points with p and q, by a minimiser of D's own loss.

  Hinge and Wasserstein have no such optimum: it is a sign, or has no bound; and
  without a loss there is none.
  """
  p, q = np.array([4, 3, 2, 1]), np.array([1, 2, 2, 5])
  real, fake = np.repeat(np.arange(4), p), np.repeat(np.arange(4), q)
  if name == 'relativistic_paired':
    # Each real sample beside each fake.
    real, fake = (np.ravel(x) for x in np.meshgrid(real, fake))
  loss = names.LOSSES[name]
  if name in ('hinge', 'wasserstein', 'none'):
    assert not loss.log_ratio
    return

  def disc(logits: jax.Array) -> jax.Array:
    return loss.disc(real=logits[real], fake=logits[fake])

  found = optimize.minimize(
    jax.jit(jax.value_and_grad(disc)), np.zeros(4), jac=True, tol=1e-7
  ).x
  gap = found - np.log(p / q)
  assert loss.log_ratio == (np.ptp(gap) < 1e-2)
