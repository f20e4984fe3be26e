"""The kernel distance against loops."""

import jax
import numpy as np
import pytest

from gan_jax.metrics import kernel

KEY = jax.random.key(3)


def loops(x: np.ndarray, y: np.ndarray) -> float:
  """The unbiased estimate as the paper writes it."""

  def k(u: np.ndarray, v: np.ndarray) -> float:
    return float(u @ v / len(u) + 1) ** 3

  m, n = len(x), len(y)
  xx = sum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j)
  yy = sum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j)
  xy = sum(k(u, v) for u in x for v in y)
  return xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n)


def normal(n: int, dim: int, seed: int) -> np.ndarray:
  rng = np.random.default_rng(seed)
  return rng.normal(0.3 * seed, 1, (n, dim)).astype(np.float32)


def test_whole_sets_against_loops():
  """A subset of all samples is the set, in whatever order."""
  a, b = normal(30, 7, 0), normal(30, 7, 1)
  ours = kernel.kernel_distance(a, b, KEY, subsets=4, subset_size=30)
  expected = loops(a.astype(np.float64), b.astype(np.float64))
  assert ours.mean == pytest.approx(expected, rel=1e-5)
  assert ours.std < 1e-5


def test_unbiased_on_samples_of_one_law():
  """Around 0, on both sides of it; a shift is told apart."""
  a, b, c = normal(600, 5, 0), normal(600, 5, 0)[::-1], normal(600, 5, 2)
  same = kernel.kernel_distance(a, b, KEY, subsets=50, subset_size=60)
  assert abs(same.mean) < 4 * same.std / np.sqrt(50)
  other = kernel.kernel_distance(a, c, KEY, subsets=50, subset_size=60)
  assert other.mean > 20 * same.std


def test_mean_over_subsets_is_that_of_the_whole():
  """And the spread is that of estimates from so many samples."""
  a, b = normal(400, 4, 0), normal(300, 4, 1)
  whole = loops(a[:300].astype(np.float64), b.astype(np.float64))
  ours = kernel.kernel_distance(a, b, KEY, subsets=300, subset_size=50)
  assert ours.mean == pytest.approx(whole, rel=0.15)
  one = kernel.kernel_distance(a, b, KEY, subsets=1, subset_size=50)
  assert one.std == 0
  rng = np.random.default_rng(5)
  draws = [
    loops(a[rng.permutation(400)[:50]], b[rng.permutation(300)[:50]])
    for _ in range(40)
  ]
  assert ours.std == pytest.approx(np.std(draws), rel=0.35)


def test_the_key_decides():
  a, b = normal(50, 3, 0), normal(50, 3, 1)

  def run(key: jax.Array) -> kernel.KernelDistance:
    return kernel.kernel_distance(a, b, key, subsets=3, subset_size=10)

  assert run(KEY) == run(KEY)
  assert run(KEY) != run(jax.random.key(4))


def test_what_is_refused():
  a = normal(20, 3, 0)
  with pytest.raises(ValueError, match=r'^subset_size=1000: .* got 20 and 20$'):
    kernel.kernel_distance(a, a, KEY)
  with pytest.raises(ValueError, match='at least 1 of 2 samples is needed'):
    kernel.kernel_distance(a, a, KEY, subset_size=1)
  with pytest.raises(ValueError, match=r'got \[20, 3\] and \[20, 2\]$'):
    kernel.kernel_distance(a, a[:, :2], KEY, subset_size=10)
  a[4] = np.nan
  with pytest.raises(ValueError, match=r'^features: some are not finite'):
    kernel.kernel_distance(a, a, KEY, subset_size=20)


def test_subsets_that_are_nearly_the_whole_are_said():
  """Of 30 samples all subsets of 30 are one: there is no spread at all."""
  a = normal(30, 3, 0)
  found = kernel.kernel_distance(a, a + 1, KEY, subsets=3, subset_size=30)
  assert found.std < 1e-6
  line = kernel.shortage(30, 30)
  assert line is not None
  assert '60 samples are sensible at least' in line
  assert kernel.shortage(60, 30) is None
