"""The curve of precision and recall, against closed forms and plain loops."""

import math
from collections.abc import Iterator

import jax
import numpy as np
import pytest

from gan_jax.config import fields as configs
from gan_jax.evaluation import catalogue, metric as metrics
from gan_jax.metrics import kept, prd

ANGLES = 1001


def loops(real: np.ndarray, generated: np.ndarray) -> np.ndarray:
  """Precision and recall at each inner angle, `[2, ANGLES - 2]`."""
  found = []
  for i in range(1, ANGLES - 1):
    slope = math.tan(i / (ANGLES - 1) * math.pi / 2)
    alpha = beta = 0.0
    for p, q in zip(real.tolist(), generated.tolist(), strict=True):
      alpha += min(slope * p, q)
      beta += min(p, q / slope)
    found.append((alpha, beta))
  return np.transpose(found)


def max_f(curve: np.ndarray, beta: float) -> float:
  """As van Rijsbergen wrote it: a weighted harmonic mean."""
  weight = 1 / (1 + beta**2)
  return max(
    1 / (weight / precision + (1 - weight) / recall)
    for precision, recall in curve.T.tolist()
  )


def rng(seed: int = 0) -> np.random.Generator:
  return np.random.default_rng(seed)


def masses(
  counts: list[int], *, spacing: float = 50.0, mean: float = 0.0
) -> np.ndarray:
  """Points of a line in three dimensions, each so many times; in any order."""
  state = np.repeat(np.arange(len(counts)), counts)
  x = mean + spacing * state[:, None] * np.array([[1.0, -1, 0]])
  return rng(9).permutation(x).astype(np.float32)


def islands(num: int, groups: int, seed: int) -> np.ndarray:
  """Equal ones, far apart, with a spread of 1."""
  middle = 40 * rng(5).standard_normal((10, 6))
  x = middle[np.arange(num) % groups] + rng(seed).standard_normal((num, 6))
  return x.astype(np.float32)


def scores(
  real: np.ndarray, generated: np.ndarray, seed: int = 0
) -> tuple[float, float]:
  found = prd.prd(real, generated, rng(seed))
  return prd.max_f(found, 8), prd.max_f(found, 1 / 8)


@pytest.mark.parametrize('beta', [8, 1 / 8])
@pytest.mark.parametrize('shares', [[1.0], [0.3, 0.7], [0.1] * 10, [0, 1.0]])
def test_of_equal_histograms_all_is_1(shares: list[float], beta: float):
  found = prd.curve(np.array(shares), np.array(shares))
  assert prd.max_f(found, beta) == pytest.approx(1, abs=1e-12)
  assert np.max(found) <= 1


@pytest.mark.parametrize('beta', [8, 1 / 8])
def test_of_disjoint_histograms_all_is_0(beta: float):
  found = prd.curve(np.array([0.5, 0.5, 0]), np.array([0, 0, 1.0]))
  assert not np.any(found)
  assert prd.max_f(found, beta) == 0


def test_half_in_common():
  """alpha = min(l, 1) / 2 and beta = min(1, 1 / l) / 2, of F_beta 1/2 at 1."""
  found = prd.curve(np.array([0.5, 0.5, 0]), np.array([0.5, 0, 0.5]))
  slopes = np.tan(np.linspace(0, np.pi / 2, ANGLES))[1:-1]
  inner = [x[1:-1] for x in found]
  np.testing.assert_allclose(inner[0], np.minimum(slopes, 1) / 2, rtol=1e-6)
  np.testing.assert_allclose(inner[1], np.minimum(1, 1 / slopes) / 2, rtol=1e-6)
  for beta in (8, 1, 1 / 8):
    assert prd.max_f(found, beta) == pytest.approx(0.5, rel=1e-9)


def test_one_mode_of_two():
  """alpha = min(l / 2, 1), beta = min(1/2, 1 / l): 1 and 1/2 where l is 2."""
  both, one = np.array([0.5, 0.5]), np.array([1.0, 0])
  high = (1 + 64) / 2 / (64 + 1 / 2)
  low = (1 + 1 / 64) / 2 / (1 / 64 + 1 / 2)
  # No angle of the grid has the slope 2 itself.
  near = {'abs': 2e-3}
  lost, invented = prd.curve(both, one), prd.curve(one, both)
  assert prd.max_f(lost, 8) == pytest.approx(high, **near)
  assert prd.max_f(lost, 1 / 8) == pytest.approx(low, **near)
  assert prd.max_f(invented, 8) == pytest.approx(low, **near)
  assert prd.max_f(invented, 1 / 8) == pytest.approx(high, **near)
  # The ends: all of what is generated is real, and half of the other way.
  np.testing.assert_allclose(
    [lost.precision[-1], lost.recall[0], lost.precision[0], lost.recall[-1]],
    [1, 0.5, 0, 0],
    atol=1e-9,
  )


def test_the_curve_against_loops():
  real, generated = rng().dirichlet(np.ones(6), size=2)
  real[2], generated[4] = 0, 0
  real, generated = real / real.sum(), generated / generated.sum()
  found = prd.curve(real, generated)
  assert [x.shape for x in found] == [(ANGLES,), (ANGLES,)]
  expected = loops(real, generated)
  np.testing.assert_allclose(np.array(found)[:, 1:-1], expected, rtol=1e-6)
  for beta in (8, 1 / 8):
    value = max_f(expected, beta)
    assert 0.1 < value < 0.9
    assert prd.max_f(found, beta) == pytest.approx(value, rel=1e-6)
  # States have no order, and the other way round precision is recall.
  order = rng(1).permutation(6)
  np.testing.assert_allclose(prd.curve(real[order], generated[order]), found)
  swapped = np.array(prd.curve(generated, real))
  np.testing.assert_allclose(swapped[::-1, ::-1], found, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize('mean', [0.0, 4096.0])
def test_features_against_the_histograms_that_they_have(mean: float):
  """Of few distinct points each is a cluster, even far from 0."""
  counts = [40, 20, 30, 10, 0], [10, 25, 0, 35, 30]
  spacing = 0.5 if mean else 50.0
  real, generated = (masses(c, spacing=spacing, mean=mean) for c in counts)
  expected = loops(*(np.array(c) / 100 for c in counts))
  found = prd.prd(real, generated, rng())
  np.testing.assert_allclose(np.array(found)[:, 1:-1], expected, rtol=1e-6)
  for value, beta in zip(scores(real, generated), (8, 1 / 8), strict=True):
    assert value == pytest.approx(max_f(expected, beta), rel=1e-6)


def test_a_set_that_collapsed_to_a_point():
  same = np.ones((30, 4), np.float32)
  assert scores(same, same.copy()) == pytest.approx((1, 1), abs=1e-9)
  assert scores(same, 2 * same) == (0, 0)


def test_curves_of_ten_clusterings_are_averaged(
  monkeypatch: pytest.MonkeyPatch,
):
  """And F is that of their mean, not the mean of each curve's own."""
  histograms = rng().dirichlet(0.5 * np.ones(20), size=(10, 2))
  left = iter(histograms)
  seeds = []

  def shares(both: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    np.testing.assert_array_equal(both, np.concatenate([real, generated]))
    seeds.append(seed)
    return iter(next(left))

  monkeypatch.setattr(prd, '_shares', shares)
  real, generated = islands(40, 10, 1), islands(40, 10, 2)
  found = prd.prd(real, generated, rng())
  assert len({*seeds}) == 10
  assert next(left, None) is None
  expected = np.mean([loops(*pair) for pair in histograms], axis=0)
  np.testing.assert_allclose(np.array(found)[:, 1:-1], expected, rtol=1e-6)
  value = prd.max_f(found, 8)
  assert value == pytest.approx(max_f(expected, 8), rel=1e-6)
  assert abs(value - np.mean([max_f(loops(*p), 8) for p in histograms])) > 0.01


def test_modes_that_are_dropped_or_invented():
  """Of half of the modes recall is 1/2, and of twice as many precision."""
  few, many = islands(1000, 5, 1), islands(1000, 10, 2)
  dropped, invented = scores(many, few), scores(few, many)
  # As of one mode of two; within the modes the histograms differ by chance.
  for f8, f1_8 in (dropped, invented[::-1]):
    assert f8 == pytest.approx(65 / 129, abs=0.03)
    assert f1_8 == pytest.approx(65 / 66, abs=0.03)
  assert min(scores(many, islands(1000, 10, 3))) > 0.98


def test_figures_have_their_names():
  metric = catalogue.METRICS['prd']
  few, many = islands(400, 5, 1), islands(400, 10, 2)
  facts = metrics.Facts({}, (1, 1, 1), configs.Eval())
  key = jax.random.key(3)

  def figures(real: np.ndarray, generated: np.ndarray) -> metrics.Figures:
    states = {
      name: kept.update(kept.update(kept.init(), x[:150]), x[150:])
      for name, x in (('real', real), ('generated', generated))
    }
    inputs = metrics.Inputs(facts, states, lambda: iter([]), key)
    return metric.result(inputs)

  dropped, invented = figures(many, few), figures(few, many)
  assert {*dropped} == {*metric.figures}
  assert dropped['prd_f8'] < 0.6 < 0.9 < dropped['prd_f1_8']
  assert invented['prd_f1_8'] < 0.6 < 0.9 < invented['prd_f8']
  assert figures(many, few) == dropped


def test_a_seed_determines_the_figures():
  real, generated = rng(1).standard_normal((2, 200, 5))
  found = scores(real, generated)
  assert scores(real, generated) == found
  other = scores(real, generated, seed=1)
  assert other != found
  assert other == pytest.approx(found, abs=0.05)


def test_what_is_refused():
  x = islands(40, 10, 0)
  with pytest.raises(ValueError, match=r'one shape .* \[40, 6\] and \[39, 6\]'):
    prd.prd(x, x[1:], rng())
  with pytest.raises(ValueError, match=r'one shape .* \[40\] and \[40\]$'):
    prd.prd(x[:, 0], x[:, 0], rng())
  with pytest.raises(ValueError, match=r'^features: 20 samples .* got 19$'):
    prd.prd(x[:19], x[:19], rng())
  bad = x.copy()
  bad[7, 2] = np.nan
  for pair in ((bad, x), (x, bad)):
    with pytest.raises(ValueError, match=r'^features: some are not finite$'):
      prd.prd(*pair, rng())


def test_too_few_samples_are_said():
  line = prd.shortage(999)
  assert line is not None
  assert '999 samples' in line
  assert prd.shortage(1000) is None


def test_how_far_chance_lowers_the_figures():
  """What the warning says of 100 samples in 20 equal clusters."""
  shares = rng().multinomial(100, [1 / 20] * 20, size=(200, 2)) / 100
  values = [
    prd.max_f(prd.curve(*pair), beta) for pair in shares for beta in (8, 1 / 8)
  ]
  assert 1 - np.mean(values) == pytest.approx(0.05, abs=0.005)
  line = prd.shortage(100)
  assert line is not None
  assert 'by 0.05 with 100 samples' in line
