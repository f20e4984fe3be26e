"""The Frechet distance against scipy and closed forms."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg
from sklearn import linear_model

from gan_jax.metrics import frechet


def features(
  n: int, dim: int, seed: int = 0, mean: float = 0.0, std: float = 1.0
) -> np.ndarray:
  """Correlated, `[n, dim]` float32."""
  rng = np.random.default_rng(seed)
  mixing = rng.normal(size=(dim, dim)) / np.sqrt(dim) + np.eye(dim)
  x = rng.normal(size=(n, dim)) @ mixing * std + mean
  return x.astype(np.float32)


@pytest.mark.parametrize('mean', [0.0, 300.0])
def test_statistics_against_float64(mean: float):
  """Even where float32 would lose most digits to a large mean."""
  x = features(40_000, 24, mean=mean)
  ours = frechet.statistics(x)
  exact = x.astype(np.float64)
  assert ours.samples == 40_000
  np.testing.assert_allclose(ours.mean, exact.mean(0), rtol=0, atol=1e-6)
  cov = np.cov(exact, rowvar=False)
  np.testing.assert_allclose(ours.cov, cov, rtol=0, atol=1e-6 * cov.max())
  assert ours.cov.dtype == ours.mean.dtype == np.float64


def test_statistics_of_data_that_drift():
  """The first rows are far from the rest, in place and in scale."""
  x = np.concatenate([features(700, 8, std=0.01), features(5000, 8, 1, 4.0)])
  ours = frechet.statistics(x)
  exact = np.cov(x.astype(np.float64), rowvar=False)
  np.testing.assert_allclose(ours.cov, exact, rtol=0, atol=1e-6 * exact.max())


def test_statistics_of_blocks_are_those_of_the_array():
  x = features(3000, 6, mean=2.0)

  def blocks() -> Iterator[np.ndarray]:
    """The last ones in a buffer that is used again."""
    yield from (x[:1], x[1:1500], x[1500:1500])
    buffer = np.empty((50, 6), np.float32)
    for start in range(1500, 3000, 50):
      buffer[:] = x[start : start + 50]
      yield buffer

  whole = frechet.statistics(jnp.asarray(x))
  parts = frechet.statistics(blocks())
  assert parts.samples == 3000
  np.testing.assert_allclose(parts.mean, whole.mean, atol=1e-7)
  np.testing.assert_allclose(parts.cov, whole.cov, atol=1e-6)


def test_distance_against_a_matrix_square_root():
  a = frechet.statistics(features(4000, 32, 0))
  b = frechet.statistics(features(4000, 32, 1, mean=0.3))
  root = linalg.sqrtm(a.cov @ b.cov)
  gap = a.mean - b.mean
  expected = gap @ gap + np.trace(a.cov + b.cov - 2 * np.real(root))
  ours = frechet.frechet_distance(a, b)
  assert ours == pytest.approx(expected, rel=1e-9)
  assert frechet.frechet_distance(b, a) == pytest.approx(ours, rel=1e-12)


def test_distance_of_normal_laws_that_commute():
  """Diagonal: the sum of (m_a - m_b)^2 + (s_a - s_b)^2."""
  a = frechet.Statistics(9, np.array([1.0, 2, 3]), np.diag([1.0, 4, 9]))
  b = frechet.Statistics(9, np.array([0.0, 0, 0]), np.diag([16.0, 4, 1]))
  ours = frechet.frechet_distance(a, b)
  assert ours == pytest.approx(1 + 4 + 9 + 9 + 0 + 4, rel=1e-12)


@pytest.mark.parametrize('n', [20, 3000])
def test_distance_of_a_set_to_itself_is_zero(n: int):
  """With fewer samples than features too, where the rank is not full."""
  a = frechet.statistics(100 * features(n, 64))
  assert frechet.frechet_distance(a, a) < 1e-10 * np.trace(a.cov)


def test_distance_of_rank_deficient_sets():
  """On two lines at an angle: s_a^2 + s_b^2 - 2 s_a s_b |cos|."""
  u, v = np.array([1.0, 0, 0]), np.array([0.6, 0.8, 0])
  a = frechet.Statistics(9, np.zeros(3), 4 * np.outer(u, u))
  b = frechet.Statistics(9, np.zeros(3), 9 * np.outer(v, v))
  ours = frechet.frechet_distance(a, b)
  assert ours == pytest.approx(4 + 9 - 2 * 2 * 3 * 0.6, rel=1e-12)


def test_distance_of_constant_sets():
  a = frechet.statistics(np.full((5, 3), 2.0, np.float32))
  b = frechet.statistics(np.full((5, 3), 4.0, np.float32))
  assert frechet.frechet_distance(a, b) == 12.0


@pytest.mark.parametrize('row', [3, 1700])
@pytest.mark.parametrize('bad', [np.nan, np.inf, 1e30])
def test_features_that_are_not_finite(bad: float, row: int):
  x = features(2000, 4)
  x[row, 2] = bad
  with pytest.raises(ValueError, match=r'^features: some are not finite'):
    frechet.statistics(x)


def test_features_that_are_too_few_or_do_not_fit():
  with pytest.raises(ValueError, match=r'2 samples are needed .*, got 1$'):
    frechet.statistics(features(1, 4))
  with pytest.raises(ValueError, match=r'2 samples are needed .*, got 0$'):
    frechet.statistics(iter([]))
  with pytest.raises(ValueError, match=r'with one D, got \[2, 5\]$'):
    frechet.statistics([features(2, 4), features(2, 5)])
  a, b = (frechet.statistics(features(9, dim)) for dim in (2, 3))
  with pytest.raises(ValueError, match=r'has 2 of them, the other 3$'):
    frechet.frechet_distance(a, b)


def test_shortage_of_samples():
  assert frechet.shortage(5, 4) is None
  line = frechet.shortage(4, 4)
  assert line is not None
  assert line.startswith('4 samples cannot give a covariance of 4 features')
  assert '\n' not in line


def test_moments_may_be_looked_at_on_the_way():
  """A result changes nothing: what follows is added to the same sums."""
  x = features(2500, 5, mean=1.0)
  moments = frechet.update(frechet.init(), x[:1300])
  first = frechet.result(moments)
  np.testing.assert_allclose(first.mean, x[:1300].mean(0), atol=1e-5)
  moments = frechet.update(moments, x[1300:])
  whole, again = frechet.result(moments), frechet.result(moments)
  exact = np.cov(x.astype(np.float64), rowvar=False)
  np.testing.assert_allclose(whole.cov, exact, rtol=0, atol=1e-6)
  np.testing.assert_array_equal(whole.cov, again.cov)


def test_the_distance_of_infinitely_many_samples():
  """Of a law to itself it is 0; the line is the one of scikit-learn."""
  real = frechet.Statistics(10**9, np.zeros(8), np.eye(8))
  x = np.random.default_rng(0).standard_normal((6000, 8)).astype(np.float32)
  ours = frechet.extrapolated(real, x, np.random.default_rng(1))
  counts = frechet.sizes(6000)
  assert counts[0] == 600
  assert counts[-1] == 6000
  assert frechet.sizes(80_000)[0] == 5000
  assert len(counts) == 15
  rng = np.random.default_rng(1)
  found = []
  for count in counts:
    rows = x[rng.permutation(6000)[:count]].astype(np.float64)
    cov = np.cov(rows, rowvar=False)
    mean = rows.mean(0)
    root = linalg.sqrtm(cov).real
    found.append(mean @ mean + np.trace(cov + np.eye(8) - 2 * root))
  line = linear_model.LinearRegression()
  line.fit(1 / np.array(counts)[:, None], np.array(found))
  assert ours == pytest.approx(line.intercept_, abs=1e-7)
  # To first order the distance of n samples is D / n + D (D + 1) / (4 n).
  expected = 8 + 8 * 9 / 4
  assert line.coef_[0] == pytest.approx(expected, rel=0.35)
  assert abs(ours) < found[-1] < found[0]
  with pytest.raises(ValueError, match=r'30 samples .* at least, got 29$'):
    frechet.extrapolated(real, x[:29], rng)
