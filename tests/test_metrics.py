"""Metrics against scipy, closed forms and loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gan_jax.data import densities
from gan_jax.metrics import modes, one_dimensional, sliced

KEY = jax.random.key(0)


@pytest.mark.parametrize('name', densities.DENSITIES)
def test_ks_against_scipy(name: str):
  law = densities.DENSITIES[name]
  x = law.sample(KEY, 3000)[:, 0] * 1.1 + 0.05
  expected = stats.kstest(
    np.asarray(x), lambda v: np.asarray(law.cdf(jnp.asarray(v, jnp.float32)))
  )
  assert one_dimensional.ks_statistic(x, law.cdf) == pytest.approx(
    expected.statistic, abs=1e-6
  )


def test_wasserstein_against_scipy():
  """Against a million even quantiles of the law."""
  law = densities.DENSITIES['normal']
  quantiles = stats.norm(4, 0.5).ppf((np.arange(10**6) + 0.5) / 10**6)
  for shift, scale in ((0.0, 1.0), (0.3, 1.0), (-1.0, 0.3), (30.0, 2.0)):
    x = (law.sample(KEY, 2000)[:, 0] - 4) * scale + 4 + shift
    ours = one_dimensional.wasserstein_1(x, law.cdf, law.interval)
    expected = stats.wasserstein_distance(np.asarray(x), quantiles)
    assert ours == pytest.approx(expected, rel=1e-3, abs=2e-5)


def test_wasserstein_sees_a_missing_mode():
  """All mass on one of the mixture's modes: |2 - (-2)| for half of it."""
  law = densities.DENSITIES['mixture']
  x = 2 + 0.5 * jax.random.normal(KEY, (50_000,))
  ours = one_dimensional.wasserstein_1(x, law.cdf, law.interval)
  assert ours == pytest.approx(2.0, abs=0.01)


def test_quantiles_against_scipy():
  law = densities.DENSITIES['beta']
  levels = jnp.array([0.02, 0.3, 0.5, 0.98])
  np.testing.assert_allclose(
    one_dimensional.quantiles(levels, law.cdf, law.interval),
    stats.beta(2, 5).ppf(levels),
    atol=1e-5,
  )


def test_disc_gap_of_the_optimal_and_of_a_blind_discriminator():
  """Data N(4, 1/2) against a generator at N(4.2, 1/2)."""
  law = densities.DENSITIES['normal']
  x = 4.2 + 0.5 * jax.random.normal(KEY, (400_000,))

  def optimal(x: jax.Array) -> jax.Array:
    other = jax.scipy.stats.norm.pdf(x, 4.2, 0.5)
    return law.pdf(x) / (law.pdf(x) + other)

  gap = one_dimensional.max_disc_gap(x, optimal, law.cdf, law.interval)
  assert gap < 0.02
  blind = one_dimensional.max_disc_gap(
    x, lambda x: jnp.full_like(x, 0.5), law.cdf, law.interval
  )
  # The outermost cells lie about two standard deviations out.
  edge = float(optimal(jnp.float32(4 - 2 * 0.5)))
  assert blind == pytest.approx(edge - 0.5, abs=0.05)


def test_mode_coverage_by_hand():
  centres = jnp.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
  samples = jnp.array(
    # Two on the first mode, one on the second; one 4 std off the third.
    [[0.1, 0.0], [0.0, 0.29], [10.0, 0.0], [0.0, 10.4]]
  )
  result = modes.mode_coverage(samples, centres, 0.1)
  assert result.modes == 2
  assert result.high_quality == 0.75
  kl = 2 / 3 * np.log(2 / 3 * 4) + 1 / 3 * np.log(1 / 3 * 4)
  assert result.reverse_kl == pytest.approx(kl, rel=1e-6)


def test_mode_coverage_of_the_data_and_of_nothing():
  law = densities.POINTS['grid']
  centres = jnp.asarray(law.modes)
  real = modes.mode_coverage(law.sample(KEY, 20_000), centres, law.mode_std)
  assert real.modes == 25
  # P(Rayleigh < 3) = 1 - exp(-9/2).
  assert real.high_quality == pytest.approx(1 - np.exp(-4.5), abs=0.003)
  assert real.reverse_kl < 0.003
  lost = modes.mode_coverage(jnp.full((5, 2), 99.0), centres, law.mode_std)
  assert (lost.modes, lost.high_quality) == (0, 0)
  assert jnp.isnan(lost.reverse_kl)


def test_sliced_wasserstein_of_a_shift():
  """A shift by v moves each projection by <v, u>: the mean of |cos| is 2/pi."""
  x = jax.random.normal(KEY, (500, 2))
  shift = jnp.array([[3.0, 4.0]])
  value = sliced.sliced_wasserstein_1(x, x + shift, KEY, projections=4000)
  assert value == pytest.approx(5 * 2 / np.pi, rel=0.03)
  assert sliced.sliced_wasserstein_1(x, x, KEY) == 0
