"""Intervals by resampling against those that are known."""

import numpy as np
import pytest

from gan_jax.metrics import bootstrap


def test_the_interval_of_a_mean():
  """1.96 standard errors to either side, around the mean itself."""
  x = np.random.default_rng(0).normal(5, 2, (400, 1))
  low, high = bootstrap.interval(
    lambda rows: float(x[rows].mean()),
    len(x),
    np.random.default_rng(1),
    resamples=2000,
  )
  half = 1.96 * x.std() / 20
  assert low == pytest.approx(x.mean() - half, abs=0.03)
  assert high == pytest.approx(x.mean() + half, abs=0.03)


def test_an_upward_bias_is_not_added_twice():
  """A squared mean of nothing is biased, and more so when resampled."""
  x = np.random.default_rng(0).normal(0, 1, (100, 50))

  def distance(rows: np.ndarray) -> float:
    return float((x[rows].mean(0) ** 2).sum())

  value = distance(np.arange(100))
  low, high = bootstrap.interval(
    distance, 100, np.random.default_rng(1), resamples=500
  )
  assert value == pytest.approx(0.5, rel=0.3)
  assert low < value < high < 2 * value


def test_what_cannot_be_resampled_has_no_interval():
  ends = bootstrap.interval(
    lambda rows: float('nan'),
    3,
    np.random.default_rng(0),
    resamples=2,
  )
  assert np.isnan(ends).all()
