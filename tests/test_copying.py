"""The test of three samples, against ranks that are counted one by one."""

import numpy as np
import pytest
from scipy import spatial

from gan_jax.metrics import copying


def islands(num: int, seed: int, dim: int = 4) -> np.ndarray:
  """Three, far apart, of a half, a third and a sixth of the samples."""
  rng = np.random.default_rng(seed)
  of = rng.permutation(num) % 6
  middle = np.array([0, 0, 0, 1, 1, 2])[of] * 50.0
  x = rng.standard_normal((num, dim))
  x[:, 0] += middle
  return x.astype(np.float32)


def z(x: np.ndarray, held_out: np.ndarray, train: np.ndarray) -> float:
  """Of one cell: every pair of distances is compared."""
  near, far = (spatial.distance.cdist(y, train).min(1) for y in (x, held_out))
  m, n = len(near), len(far)
  gaps = near[:, None] - far[None]
  u = (gaps > 0).sum() + 0.5 * (gaps == 0).sum()
  return (u - (m * n / 2 - 0.5)) / np.sqrt(m * n * (m + n + 1) / 12)


def by_hand(x: np.ndarray, held_out: np.ndarray, train: np.ndarray) -> float:
  total = weights = 0.0
  for cell in range(3):
    parts = [y[(y[:, 0] / 50).round() == cell] for y in (x, held_out, train)]
    total += len(parts[1]) * z(*parts)
    weights += len(parts[1])
  return total / weights


def test_copies_are_found():
  train, held_out = islands(180, 0), islands(150, 1)
  fresh = islands(150, 2)
  noise = np.random.default_rng(3).normal(0, 0.1, (150, 4))
  copies = train[:150] + noise.astype(np.float32)
  for x in (fresh, copies):
    found = copying.copying(x, held_out, train)
    assert found == pytest.approx(by_hand(x, held_out, train), abs=1e-6)
  assert abs(copying.copying(fresh, held_out, train)) < 2
  assert copying.copying(copies, held_out, train) < -4
  assert copying.copying(fresh * 1.1 + 0.4, held_out, train) > 2


def test_many_features_are_projected_and_empty_cells_left_out():
  train, held_out = islands(200, 0, 70), islands(200, 1, 70)
  x = islands(200, 2, 70)
  assert abs(copying.copying(x, held_out, train)) < 3
  # Of the largest island alone.
  x = islands(400, 2)
  x = x[x[:, 0] < 25]
  train, held_out = islands(300, 0), islands(300, 1)
  cell = [y[y[:, 0] < 25] for y in (held_out, train)]
  expected = z(x, *cell)
  assert copying.copying(x, held_out, train) == pytest.approx(expected)
  # Twenty samples are too few for a cell.
  assert np.isnan(copying.copying(x[:20], held_out, train))
