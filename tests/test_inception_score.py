"""The Inception score where it is known, and against a loop."""

import numpy as np
import pytest
from scipy import special, stats

from gan_jax.metrics import inception_score


def score(
  logits: np.ndarray, splits: int = 10
) -> inception_score.InceptionScore:
  """Of samples that are all at hand."""
  sums = inception_score.init(len(logits), splits)
  return inception_score.result(inception_score.update(sums, logits))


@pytest.mark.parametrize('value', [0.0, -700.0, 1e5])
def test_uniform_is_one(value: float):
  ours = score(np.full((100, 7), value))
  assert ours.mean == pytest.approx(1, rel=1e-12)
  assert ours.std == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize('off', [-np.inf, -1e5])
def test_sure_and_balanced_is_the_number_of_classes(off: float):
  logits = np.tile(np.where(np.eye(5, dtype=bool), 0.0, off), (20, 1))
  ours = score(logits)
  assert ours.mean == pytest.approx(5, rel=1e-12)
  assert ours.std == pytest.approx(0, abs=1e-12)


def test_sure_of_one_class_is_one():
  logits = np.tile([9999.0, 0, 0], (30, 1))
  assert score(logits).mean == pytest.approx(1)


def test_against_scipy_a_split_at_a_time():
  """25 samples in splits of 9, 8 and 8."""
  logits = np.random.default_rng(0).normal(size=(25, 4)).astype(np.float32) * 2
  p = special.softmax(logits.astype(np.float64), axis=1)
  values = []
  for part in (p[:9], p[9:17], p[17:]):
    kl = [stats.entropy(row, part.mean(0)) for row in part]
    values.append(np.exp(np.mean(kl)))
  ours = score(logits, splits=3)
  assert ours.mean == pytest.approx(np.mean(values), rel=1e-12)
  assert ours.std == pytest.approx(np.std(values), rel=1e-9)
  # Log probabilities are logits too.
  again = score(np.log(p), splits=3)
  assert again.mean == pytest.approx(ours.mean, rel=1e-12)


def test_what_is_refused():
  with pytest.raises(ValueError, match=r'^splits=10: as many .* got 9$'):
    score(np.zeros((9, 3)))
  for bad in (np.nan, np.inf):
    logits = np.zeros((20, 3))
    logits[3, 1] = bad
    with pytest.raises(ValueError, match=r'^logits: some are not finite$'):
      score(logits)
  sums = inception_score.update(inception_score.init(20), np.zeros((15, 3)))
  with pytest.raises(ValueError, match=r'20 samples were to come, got 15$'):
    inception_score.result(sums)
  with pytest.raises(ValueError, match=r'with n <= 5, got \[6, 3\]$'):
    inception_score.update(sums, np.zeros((6, 3)))


def test_blocks_give_what_the_whole_gives():
  """Whatever their lengths, over the borders of splits and within them."""
  logits = np.random.default_rng(1).normal(size=(47, 5)) * 3
  sums = inception_score.init(47, 4)
  for start, stop in ((0, 1), (1, 30), (30, 47)):
    sums = inception_score.update(sums, logits[start:stop])
  ours = inception_score.result(sums)
  whole = score(logits, splits=4)
  np.testing.assert_allclose(ours, whole, rtol=1e-12)


def test_too_few_samples_are_said():
  """Ten samples in ten splits have a score of 1, whatever they are."""
  one = score(np.eye(10) * 50)
  assert one.mean == pytest.approx(1, abs=1e-12)
  line = inception_score.shortage(10, 10, 10)
  assert line is not None
  assert '10 samples in 10 splits' in line
  assert '400 are sensible at least' in line
  assert inception_score.shortage(400, 10, 10) is None
  assert inception_score.shortage(399, 10, 10) is not None
