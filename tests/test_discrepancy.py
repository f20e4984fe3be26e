"""CMMD's distance against its formula in float64."""

import numpy as np
import pytest

from gan_jax.metrics import discrepancy


def embeddings(num: int, seed: int, mean: float = 0.0) -> np.ndarray:
  x = np.random.default_rng(seed).normal(size=(num, 12))
  x[:, 0] += mean
  return np.float32(x / np.linalg.norm(x, axis=1, keepdims=True))


def kernel(a: np.ndarray, b: np.ndarray, sigma: float) -> np.ndarray:
  gaps = np.float64(a)[:, None] - np.float64(b)[None]
  return np.exp(-(gaps**2).sum(-1) / (2 * sigma**2))


@pytest.mark.parametrize('sigma', [10.0, 0.5])
def test_discrepancy_against_float64(
  sigma: float, monkeypatch: pytest.MonkeyPatch
):
  monkeypatch.setattr(discrepancy, '_ROWS', 32)
  a, b = embeddings(70, 0), embeddings(90, 1, 1.0)
  expected = 1000 * (
    kernel(a, a, sigma).mean()
    + kernel(b, b, sigma).mean()
    - 2 * kernel(a, b, sigma).mean()
  )
  found = discrepancy.discrepancy(a, b, sigma=sigma)
  assert expected > 0.5
  assert found == pytest.approx(expected, rel=1e-5)
  assert discrepancy.discrepancy(a, a, sigma=sigma) == pytest.approx(0)


def test_two_points_by_hand():
  """Opposite ends of the sphere: 2000 (1 - exp(-4 / 200))."""
  a = np.array([[1.0, 0]], np.float32)
  found = discrepancy.discrepancy(a, -a)
  assert found == pytest.approx(2000 * (1 - np.exp(-0.02)), rel=1e-6)


def test_what_is_refused():
  x = embeddings(3, 0)
  with pytest.raises(ValueError, match=r'got \[3, 12\] and \[3, 11\]$'):
    discrepancy.discrepancy(x, x[:, 1:])
  with pytest.raises(ValueError, match=r'1 samples are needed at least, got 0'):
    discrepancy.discrepancy(x, x[:0])
  with pytest.raises(ValueError, match=r'some are not finite$'):
    discrepancy.discrepancy(x, np.full((2, 12), np.inf, np.float32))
