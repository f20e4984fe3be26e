"""Precision, recall, density, coverage and memorisation against loops."""

import numpy as np
import pytest

from gan_jax.metrics import authenticity, neighbours, prdc


def normal(n: int, dim: int, mean: float = 0.0, seed: int = 0) -> np.ndarray:
  rng = np.random.default_rng(seed)
  return rng.normal(mean, 1, (n, dim)).astype(np.float32)


def loops(
  real: np.ndarray, fake: np.ndarray, k: int, density_k: int
) -> prdc.Manifolds:
  """The definitions, sample by sample, in float64."""
  real, fake = real.astype(np.float64), fake.astype(np.float64)

  def radii(x: np.ndarray, k: int) -> list[float]:
    return [
      sorted(np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i)[
        k - 1
      ]
      for i in range(len(x))
    ]

  def holds(
    centres: np.ndarray, radii: list[float], x: np.ndarray
  ) -> np.ndarray:
    """[len(x), len(centres)] whether a sample is in a neighbourhood."""
    return np.array(
      [
        [
          np.linalg.norm(v - c) <= r
          for c, r in zip(centres, radii, strict=True)
        ]
        for v in x
      ]
    )

  dense = holds(real, radii(real, density_k), fake)
  return prdc.Manifolds(
    precision=holds(real, radii(real, k), fake).any(1).mean(),
    recall=holds(fake, radii(fake, k), real).any(1).mean(),
    density=dense.sum() / (density_k * len(fake)),
    coverage=dense.any(0).mean(),
  )


@pytest.mark.parametrize(('k', 'density_k'), [(3, 5), (4, 1)])
def test_manifolds_against_loops(
  k: int, density_k: int, monkeypatch: pytest.MonkeyPatch
):
  """In blocks whose number of rows does not divide the sets'."""
  monkeypatch.setattr(neighbours, 'ROWS', 32)
  real, fake = normal(90, 3, seed=1), normal(70, 3, 0.8, seed=2)
  ours = prdc.manifolds(real, fake, k=k, density_k=density_k)
  expected = loops(real, fake, k, density_k)
  assert 0.1 < expected.coverage < 0.9
  np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_manifolds_of_disjoint_sets_are_empty():
  ours = prdc.manifolds(normal(40, 5), normal(40, 5, 100.0))
  assert ours == (0, 0, 0, 0)


def test_manifolds_of_a_set_with_itself():
  """Each neighbourhood holds its centre and its k nearest: k + 1 over k."""
  x = normal(200, 6, mean=30.0)
  ours = prdc.manifolds(x, x.copy())
  np.testing.assert_allclose(ours, (1, 1, 6 / 5, 1), rtol=1e-6)


@pytest.mark.parametrize(('unique', 'size'), [(50, 512), (100, 64)])
def test_manifolds_of_copies(unique: int, size: int):
  """Balls of radius 0 hold their centre, whatever rounds in which product."""
  x = normal(unique, size, mean=20.0)
  ours = prdc.manifolds(np.repeat(x, 6, axis=0), x)
  np.testing.assert_allclose(ours, (1, 1, 6 / 5, 1), rtol=1e-6)


def test_manifolds_of_a_lost_mode():
  """Two far modes, of which one is generated, and nothing else."""
  a, b = normal(60, 4, seed=1), normal(60, 4, 50.0, seed=2)
  ours = prdc.manifolds(np.concatenate([a, b]), a)
  assert ours.precision == 1
  assert ours.recall == ours.coverage == 0.5
  assert prdc.manifolds(a, np.concatenate([a, b])).precision == 0.5


@pytest.mark.parametrize('mean', [0.0, 3000.0])
def test_nearest_against_loops(mean: float, monkeypatch: pytest.MonkeyPatch):
  """Even where a large mean would leave products no digits."""
  monkeypatch.setattr(neighbours, 'ROWS', 7)
  train, x = normal(40, 6, mean), normal(25, 6, mean, seed=1)
  table = np.linalg.norm(x[:, None] - train[None], axis=-1)
  ours = neighbours.nearest(x, train)
  np.testing.assert_array_equal(ours.row, table.argmin(1))
  np.testing.assert_allclose(ours.distance, table.min(1), rtol=1e-3)


def test_copies_are_at_distance_zero():
  """Though products would leave them at rounding error."""
  train = 100 * normal(300, 50)
  ours = neighbours.nearest(train[[7, 250]], train)
  np.testing.assert_array_equal(ours.row, [7, 250])
  np.testing.assert_array_equal(ours.distance, [0, 0])


def test_memorisation():
  train, held_out = normal(400, 10), normal(300, 10, seed=1)
  fresh = neighbours.nearest(normal(300, 10, seed=2), train)
  unseen = neighbours.nearest(held_out, train)
  assert neighbours.memorised(fresh, unseen) == pytest.approx(1, abs=0.1)
  noisy = train[:200] + 0.05 * normal(200, 10, seed=3)
  copied = neighbours.nearest(noisy, train)
  # The noise's length: 0.05 sqrt(10).
  median = np.median(copied.distance)
  assert median == pytest.approx(0.158, rel=0.1)
  ratio = neighbours.memorised(copied, unseen)
  assert ratio == float(median) / float(np.median(unseen.distance)) < 0.1
  np.testing.assert_array_equal(copied.row, np.arange(200))
  known = neighbours.nearest(train, train)
  assert np.isnan(neighbours.memorised(copied, known))


def test_what_is_refused():
  x = normal(5, 3)
  with pytest.raises(ValueError, match=r'^features: 6 samples .* 5 and 9$'):
    prdc.manifolds(x, normal(9, 3))
  with pytest.raises(ValueError, match=r'got \[9, 2\], \[9, 3\]$'):
    prdc.manifolds(normal(9, 2), normal(9, 3))
  with pytest.raises(ValueError, match=r'^k=0, density_k=5: both must be pos'):
    prdc.manifolds(x, x, k=0)
  with pytest.raises(ValueError, match=r'^features: 1 samples .* got 0$'):
    neighbours.nearest(x[:0], x)
  bad = normal(9, 3)
  bad[8, 0] = np.nan
  for pair in ((bad, normal(9, 3)), (normal(9, 3), bad)):
    with pytest.raises(ValueError, match=r'^features: some are not finite$'):
      prdc.manifolds(*pair)


def test_manifolds_by_hand():
  """Neighbourhoods are closed: 8 is on the edge of that of 6, 9 is not."""
  real = np.array([[0.0], [2], [4], [6]], np.float32)
  fake = np.array([[8.0], [9]], np.float32)
  ours = prdc.manifolds(real, fake, k=1, density_k=1)
  assert ours == (0.5, 0, 0.5, 0.25)


def test_the_nearest_of_blocks_are_those_of_the_whole():
  """In a training set that passes by; rows are counted from its first."""
  train, x = normal(70, 4), normal(23, 4, seed=1)
  found = neighbours.init(x)
  for start in range(0, 70, 9):
    found = neighbours.update(found, train[start : start + 9])
  table = np.linalg.norm(x[:, None] - train[None], axis=-1)
  np.testing.assert_array_equal(found.nearest.row, table.argmin(1))
  np.testing.assert_allclose(found.nearest.distance, table.min(1), rtol=1e-4)
  with pytest.raises(ValueError, match=r'got \[23, 4\], \[5, 3\]$'):
    neighbours.update(found, normal(5, 3))


def test_too_few_samples_are_said():
  line = prdc.shortage(999)
  assert line is not None
  assert '999 samples' in line
  assert prdc.shortage(1000) is None


def test_authenticity_against_loops(monkeypatch: pytest.MonkeyPatch):
  """Half of the samples are copies of training images, with some noise."""
  monkeypatch.setattr(neighbours, 'ROWS', 32)
  train = normal(90, 4)
  copies = train[:40] + 0.1 * normal(40, 4, seed=1)
  x = np.concatenate([copies, normal(40, 4, seed=2)])
  authentic = []
  for row in x.astype(np.float64):
    gaps = np.linalg.norm(train - row, axis=1)
    i = gaps.argmin()
    others = np.linalg.norm(np.delete(train, i, axis=0) - train[i], axis=1)
    authentic.append(others.min() < gaps[i])
  assert not any(authentic[:40])
  assert authenticity.authenticity(x, train) == np.mean(authentic) > 0.15
  # A copy is none, and what equals two of them is no nearer than they are.
  twice = np.concatenate([train, train])
  assert authenticity.authenticity(train, train) == 0
  assert authenticity.authenticity(train, twice) == 0
  with pytest.raises(ValueError, match=r'^features: 2 samples .* got 1$'):
    authenticity.authenticity(x, train[:1])
