"""The Parzen window log-likelihood against scipy and a closed form."""

import numpy as np
import pytest
from scipy import special, stats

from gan_jax.metrics import parzen


def normal(n: int, dim: int, seed: int) -> np.ndarray:
  return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def test_log_densities_against_scipy(monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setattr(parzen, '_ROWS', 8)
  x, centres = 300 + normal(19, 3, 0), 300 + normal(40, 3, 1)
  ours = parzen.log_densities(x, centres, [0.1, 0.7])
  for sigma, row in zip((0.1, 0.7), ours, strict=True):
    logs = [stats.multivariate_normal(c, sigma**2).logpdf(x) for c in centres]
    expected = special.logsumexp(logs, axis=0) - np.log(40)
    np.testing.assert_allclose(row, expected, rtol=2e-5, atol=2e-3)


def test_of_one_centre_far_away():
  """Where densities underflow, their logarithms do not: 784 dimensions."""
  x, centre = np.ones((2, 784), np.float32), np.zeros((1, 784), np.float32)
  ours = parzen.log_densities(x, centre, [0.1])[0]
  expected = -784 / (2 * 0.01) - 784 * np.log(0.1 * np.sqrt(2 * np.pi))
  np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_log_likelihood_of_one_centre():
  """Mean, error and the best of three sigmas, worked out by hand."""
  centre = np.zeros((1, 1), np.float32)
  validation = np.array([[0.5], [-0.5]], np.float32)
  test = np.array([[1.0], [0.0], [0.0], [-1.0]], np.float32)
  ours = parzen.log_likelihood(centre, validation, test, sigmas=(0.2, 0.5, 2.0))
  # The best standard deviation of +-1/2 about 0 is 1/2.
  assert ours.sigma == 0.5
  values = stats.norm(0, 0.5).logpdf([1, 0, 0, -1])
  assert ours.mean == pytest.approx(values.mean(), rel=1e-6)
  assert ours.standard_error == pytest.approx(values.std() / 2, rel=1e-6)


def test_sigmas_of_the_paper():
  assert len(parzen.SIGMAS) == 10
  assert parzen.SIGMAS[0] == pytest.approx(0.1)
  assert parzen.SIGMAS[-1] == 1


def test_what_is_refused():
  x = normal(4, 3, 0)
  with pytest.raises(ValueError, match=r'got \[4, 3\] and \[4, 2\]$'):
    parzen.log_densities(x, x[:, :2], [1.0])
  with pytest.raises(ValueError, match=r'^sigmas=\[0.0\]: they must be pos'):
    parzen.log_densities(x, x, [0.0])
  with pytest.raises(ValueError, match=r'^test: 2 samples .* got 1$'):
    parzen.log_likelihood(x, x, x[:1])
  x[1, 1] = np.inf
  with pytest.raises(ValueError, match=r'^samples: some are not finite$'):
    parzen.log_densities(x, x, [1.0])


def test_too_few_samples_are_said():
  line = parzen.shortage(10_000, 2)
  assert line is not None
  assert line.startswith('10,000 samples, measured on 2 images')
  assert parzen.shortage(1000, 1000) is None
