"""Precision and recall as a curve, of histograms over clusters of features.

Sajjadi et al. 2018, "Assessing Generative Models via Precision and Recall",
with the settings of the authors' code, google/compare_gan.
"""

from typing import NamedTuple

import numpy as np
import threadpoolctl

# Clusters of both sets together, clusterings, points of the curve, and beta.
CLUSTERS = 20
RUNS = 10
ANGLES = 1001
BETA = 8
# Samples of a step of k-means: scikit-learn's default of that time.
BATCH = 100
# How near the first and the last angle are to 0 and a right one.
_MARGIN = 1e-10
_SENSIBLE = 1000


class Curve(NamedTuple):
  """Pairs of precision and recall, from those of high recall to high precision.

  Attributes:
    precision: `[ANGLES]` float64 in [0, 1], which rises.
    recall: the same, which falls.
  """

  precision: np.ndarray
  recall: np.ndarray


def curve(real: np.ndarray, generated: np.ndarray) -> Curve:
  """alpha(l) = sum_i min(l p_i, q_i) and beta(l) = alpha(l) / l (theorem 2).

  alpha is the precision and beta the recall. The slopes l are the tangents of
  evenly spaced angles.

  Args:
    real: p, the shares of the real samples in K states, `[K]`.
    generated: q, those of the generated ones.
  """
  slopes = np.tan(np.linspace(_MARGIN, np.pi / 2 - _MARGIN, ANGLES))
  precision = np.minimum(slopes[:, None] * real, generated).sum(axis=1)
  # Shares add up to 1 but for rounding.
  return Curve(np.minimum(precision, 1), np.minimum(precision / slopes, 1))


def max_f(found: Curve, beta: float) -> float:
  """The largest F_beta on a curve, in [0, 1].

  F_beta = (1 + beta^2) precision recall / (beta^2 precision + recall): of a
  large beta it is near the highest recall, of a small one near the highest
  precision.
  """
  precision, recall = found
  weighted = beta**2 * precision + recall
  product = (1 + beta**2) * precision * recall
  # Where both are 0, F_beta is.
  return float((product / np.where(weighted, weighted, 1)).max())


def _shares(both: np.ndarray, seed: int) -> list[np.ndarray]:
  """Those of either half, `[N, D]` each, in each cluster, `[CLUSTERS]`."""
  # Imported here: slow, and rarely needed.
  import sklearn.cluster

  means = sklearn.cluster.MiniBatchKMeans(
    CLUSTERS, batch_size=BATCH, n_init=10, random_state=seed
  )
  # Its threads busy-wait for each other.
  with threadpoolctl.threadpool_limits(1):
    clusters = means.fit(both).labels_
  return [
    np.bincount(half, minlength=CLUSTERS) / len(half)
    for half in np.split(clusters, 2)
  ]


def prd(
  real: np.ndarray, generated: np.ndarray, rng: np.random.Generator
) -> Curve:
  """The mean curve of several clusterings of both sets.

  Args:
    real: features, `[N, D]`, N at least `CLUSTERS`.
    generated: `[N, D]`, as many: a larger set would draw the clusters to it.
    rng: seeds the clusterings.

  Raises:
    ValueError: there are fewer samples, the shapes differ, or a feature is not
      finite.
  """
  if real.ndim != 2 or real.shape != generated.shape:
    raise ValueError(
      f'features must have one shape [N, D], got {list(real.shape)} and '
      f'{list(generated.shape)}'
    )
  if len(real) < CLUSTERS:
    raise ValueError(
      f'features: {CLUSTERS} samples are needed at least, got {len(real)}'
    )
  if not (np.isfinite(real).all() and np.isfinite(generated).all()):
    raise ValueError('features: some are not finite')
  # Distances come of products, which leave few digits of float32.
  both = np.concatenate([real, generated], dtype=np.float64)
  curves = [
    curve(*_shares(both, int(seed))) for seed in rng.integers(2**32, size=RUNS)
  ]
  return Curve(*np.mean(curves, axis=0))


def shortage(samples: int) -> str | None:
  """A line of warning where histograms are too coarse, or None."""
  if samples >= _SENSIBLE:
    return None
  return (
    f'histograms of {samples:,} samples in {CLUSTERS} clusters differ by '
    'chance, so that figures are too low, by 0.05 with 100 samples '
    f'({_SENSIBLE:,} samples are sensible at least; 10,000 are usual)'
  )
