"""Metrics against scipy, closed forms and loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from gan_jax import types
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


def test_sorting_by_bits_against_numpy():
  tiny = np.finfo(np.float32).smallest_subnormal
  x = np.float32(np.random.default_rng(0).normal(size=999) * 1e3)
  x = np.concatenate([x, np.float32([0, tiny, -tiny, np.inf, -np.inf, 1, 1])])
  sort = jax.jit(one_dimensional.sort)
  assert np.array_equal(sort(x), np.sort(x))
  for nan in (np.float32(np.nan), -np.float32(np.nan)):
    ends = np.asarray(sort(np.append(x, nan)))[[0, -1]]
    assert np.isnan(ends).sum() == 1


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


def test_total_variation_of_shifted_laws():
  """Against closed forms, at even quantiles in place of random samples."""
  levels = (np.arange(10**6) + 0.5) / 10**6
  law = densities.DENSITIES['normal']
  for shift in (0.0, 0.25, 1.0):
    x = jnp.asarray(stats.norm(4 + shift, 0.5).ppf(levels), jnp.float32)
    ours = one_dimensional.total_variation(x, law.cdf, (1.0, 7.0), 120)
    # 2 Phi(d / 2) - 1 for two normals d standard deviations apart; the
    # densities cross in the middle, where a cell's edge is.
    expected = 2 * stats.norm.cdf(shift / 2 / 0.5) - 1
    assert ours == pytest.approx(expected, abs=1e-3)
  uniform = densities.DENSITIES['uniform']
  x = jnp.asarray(levels + 0.3, jnp.float32)
  ours = one_dimensional.total_variation(x, uniform.cdf, (-1.0, 2.0), 30)
  assert ours == pytest.approx(0.3, abs=1e-4)


def test_total_variation_counts_what_lies_beyond_its_cells():
  law = densities.DENSITIES['normal']

  def distance(x: float) -> jax.Array:
    line = jnp.full(1000, x)
    return one_dimensional.total_variation(line, law.cdf, (3.0, 5.0), 4)

  outer, inner = stats.norm(4, 0.5).cdf([3.5, 4.0]) @ [[1, -1], [0, 1]]
  assert distance(-99.0) == pytest.approx(1 - outer, abs=1e-6)
  assert distance(99.0) == pytest.approx(1 - outer, abs=1e-6)
  assert distance(3.8) == pytest.approx(1 - inner, abs=1e-6)


def test_total_variation_of_the_law_itself_is_noise():
  """E |p_n - p| is sqrt(2 p (1 - p) / (pi n)) in each cell."""
  law, n, edges = densities.DENSITIES['normal'], 20_000, np.linspace(1, 7, 121)
  p = np.diff(stats.norm(4, 0.5).cdf(edges))
  expected = np.sqrt(p * (1 - p) / (2 * np.pi * n)).sum()
  found = [
    one_dimensional.total_variation(
      law.sample(key, n)[:, 0], law.cdf, (1.0, 7.0), 120
    )
    for key in jax.random.split(KEY, 100)
  ]
  assert np.mean(found) == pytest.approx(expected, rel=0.03)


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
    data = jax.scipy.stats.norm.pdf(x, 4.0, 0.5)
    return data / (data + other)

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


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_a_sample_that_is_no_number_has_no_figures(bad: float):
  law = densities.POINTS['ring']
  centres = jnp.asarray(law.modes)
  x = law.sample(KEY, 100).at[7, 1].set(bad)
  assert np.isnan(modes.mode_coverage(x, centres, law.mode_std)).all()
  batch = types.Batch(x, jnp.zeros(100, int))
  assert np.isnan(modes.asked_mode(batch, centres))
  line = densities.DENSITIES['normal']
  variation = one_dimensional.total_variation(
    line.sample(KEY, 100).ravel().at[7].set(np.nan), line.cdf, (1.0, 7.0), 12
  )
  assert np.isnan(variation)


def test_sliced_wasserstein_of_a_shift():
  """A shift by v moves each projection by <v, u>: the mean of |cos| is 2/pi."""
  x = jax.random.normal(KEY, (500, 2))
  shift = jnp.array([[3.0, 4.0]])
  value = sliced.sliced_wasserstein_1(x, x + shift, KEY, projections=4000)
  assert value == pytest.approx(5 * 2 / np.pi, rel=0.03)
  assert sliced.sliced_wasserstein_1(x, x, KEY) == 0


def test_mode_coverage_on_a_line():
  line, centres = jnp.array([0.0, 0.1, 5.0, 9.0]), jnp.array([0.0, 5.0])
  ours = modes.mode_coverage(line, centres, 0.1)
  assert (ours.modes, ours.high_quality) == (2, 0.75)
  kl = stats.entropy([2 / 3, 1 / 3], [1 / 2, 1 / 2])
  assert ours.reverse_kl == pytest.approx(kl, rel=1e-6)


def test_class_coverage_against_scipy():
  labels = np.array([0, 0, 0, 2, 7])
  counts = np.bincount(labels, minlength=10)
  ours = modes.coverage_of(counts)
  assert ours.modes == 3
  kl = stats.entropy(counts, np.ones(10))
  assert ours.reverse_kl == pytest.approx(kl, rel=1e-12)


def test_class_coverage_of_one_class_and_of_all():
  assert modes.coverage_of(np.bincount([999])) == (1, np.log(1000))
  every = modes.coverage_of(np.full(1000, 3))
  assert every.modes == 1000
  assert every.reverse_kl == pytest.approx(0, abs=1e-12)
  # The floor that so many samples of the uniform law itself have.
  labels = np.random.default_rng(0).integers(0, 1000, 26_000)
  floor = modes.coverage_of(np.bincount(labels, minlength=1000)).reverse_kl
  assert floor == pytest.approx(999 / (2 * 26_000), rel=0.1)


def test_stacked_label():
  digits = np.array([[0, 0, 7], [1, 2, 3], [9, 9, 9]])
  np.testing.assert_array_equal(modes.stacked_label(digits), [7, 123, 999])
  np.testing.assert_array_equal(modes.stacked_label([[1, 2, 0]], 3), [15])


def test_samples_too_few_for_the_modes_are_said():
  """The floor of the reverse KL is (K - 1) / 2N: Miller 1955."""
  line = modes.shortage(1000, 1000)
  assert line is not None
  assert 'a reverse KL of about 0.5 ' in line
  assert '10,000 are sensible at least' in line
  assert modes.shortage(10_000, 1000) is None


def images(seed: int, n: int = 40, size: int = 32, scale: float = 1.0):
  """Noise with some correlation between neighbours, `[n, size, size, 2]`."""
  noise = np.random.default_rng(seed).normal(size=(n, size, size, 2))
  smooth = ndimage.gaussian_filter(noise, (0, scale, scale, 0))
  return jnp.asarray(smooth, jnp.float32)


def test_laplacian_pyramid_against_scipy():
  x = images(0)
  ours = sliced.laplacian_pyramid(x, smallest=8)
  assert [level.shape[1] for level in ours] == [32, 16, 8]
  row = np.array([1, 4, 6, 4, 1]) / 16
  kernel = np.outer(row, row)[None, :, :, None]
  current = np.asarray(x, np.float64)
  for level in ours[:-1]:
    small = ndimage.convolve(current, kernel, mode='mirror')[:, ::2, ::2]
    spread = np.zeros_like(current)
    spread[:, ::2, ::2] = small
    up = ndimage.convolve(spread, 4 * kernel, mode='mirror')
    np.testing.assert_allclose(level, current - up, atol=1e-6)
    current = small
  np.testing.assert_allclose(ours[-1], current, atol=1e-6)


def test_image_sliced_wasserstein_against_a_loop():
  """One patch a level covers an image of its size: no place to choose."""
  a, b = images(0, size=7), images(1, size=7, scale=0.7)

  def patches(x: jax.Array) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return ((x - x.mean((0, 1, 2))) / x.std((0, 1, 2))).reshape(len(x), -1)

  ours = sliced.image_sliced_wasserstein_1(
    a, b, KEY, patches=1, projections=3000
  )
  u = np.random.default_rng(0).normal(size=(98, 3000))
  u /= np.linalg.norm(u, axis=0)
  x, y = (np.sort(patches(z) @ u, axis=0) for z in (a, b))
  assert ours.shape == (1,)
  assert ours[0] == pytest.approx(np.abs(x - y).mean(), rel=0.02)


def test_image_sliced_wasserstein_tells_apart():
  """Coarser noise, and a set from itself; patches are normalised."""
  a, b, c = images(0), images(1), images(2, scale=3.0)

  def distance(x: jax.Array, y: jax.Array) -> jax.Array:
    return sliced.image_sliced_wasserstein_1(
      x, y, KEY, patches=16, projections=64
    )

  assert distance(a, b).shape == (2,)
  np.testing.assert_array_equal(distance(a, a), [0, 0])
  assert (distance(a, c) > 1.5 * distance(a, b)).all()
  np.testing.assert_allclose(distance(a, 3 * b + 2), distance(a, b), rtol=1e-3)


def test_image_sliced_wasserstein_refuses():
  x = images(0)
  with pytest.raises(ValueError, match=r'one shape .* and \[39, 32, 32, 2\]$'):
    sliced.image_sliced_wasserstein_1(x, x[1:], KEY)
  with pytest.raises(ValueError, match=r'^size=17: .* last level, 16 x 16$'):
    sliced.image_sliced_wasserstein_1(x, x, KEY, size=17)


def test_images_of_the_sliced_distance_are_bounded():
  """By the paper's 16,384, by bytes of pixels, or by bytes of patches."""
  assert sliced.most_images((8, 8, 1), 2**40) == 16_384
  assert sliced.most_images((28, 28, 1), 4 * 128 * 49 * 10) == 10
  assert sliced.most_images((128, 128, 3), 128 * 128 * 3 * 4 * 7) == 7
  with pytest.raises(ValueError, match=r'swd is of patches of 7 x 7, .* 6 x 9'):
    sliced.most_images((6, 9, 1), 2**40)
  assert sliced.shortage(1000) is None
  line = sliced.shortage(999)
  assert line is not None
  assert '1,000 images are sensible at least' in line
