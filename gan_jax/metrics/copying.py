"""Whether a generator copies, by a test of three samples.

Meehan et al. 2020, "A Non-Parametric Test to Detect Data-Copying in Generative
Models", with the settings of Stein et al. 2023.
"""

import numpy as np
import scipy  # Loads a module of it when one is used.
import threadpoolctl

# Principal components, cells, and the samples that a cell must hold.
COMPONENTS = 64
CELLS = 3
_LEAST = 20
_SENSIBLE = 1000


def _z(near: np.ndarray, far: np.ndarray) -> float:
  """Mann and Whitney's U of two sets of distances, standardised."""
  m, n = len(near), len(far)
  u = scipy.stats.mannwhitneyu(near, far, method='asymptotic').statistic
  # With the correction for continuity that Meehan et al. apply.
  centre = n * m / 2 - 0.5
  return float((u - centre) / np.sqrt(n * m * (n + m + 1) / 12))


def copying(
  generated: np.ndarray, held_out: np.ndarray, train: np.ndarray
) -> float:
  """C_T (Meehan et al. 2020, equation 6): well below 0 where it copies.

  Near 0 samples are as far from the training set as unseen data are; above 0
  they are farther away. It is the mean of standardised U over three cells of
  the training set (k-means), weighted by the held-out samples in them; cells
  with 20 generated samples or fewer are left out. More than 64 features are
  projected on their first 64 principal components.

  Args:
    generated: features, `[G, D]`.
    held_out: `[H, D]`, from the law of the data and not trained on.
    train: `[T, D]`, T at least `CELLS`.

  Returns:
    It, or NaN where no cell has samples of all three.
  """
  # Imported here: slow, and rarely needed.
  import sklearn.cluster
  import sklearn.decomposition
  import sklearn.metrics

  # Distances come of products, which leave few digits of float32.
  sets = [x.astype(np.float64) for x in (generated, held_out, train)]
  if train.shape[1] > COMPONENTS and len(train) > COMPONENTS:
    fitted = sklearn.decomposition.PCA(COMPONENTS, random_state=0).fit(sets[2])
    sets = [fitted.transform(x) for x in sets]
  means = sklearn.cluster.KMeans(CELLS, n_init=10, random_state=0)
  # Its threads busy-wait for each other.
  with threadpoolctl.threadpool_limits(1):
    means.fit(sets[2])
  cells = [means.predict(x) for x in sets]
  scores, weights = [], []
  for cell in range(CELLS):
    parts = [x[of == cell] for x, of in zip(sets, cells, strict=True)]
    if len(parts[0]) > _LEAST and len(parts[1]) and len(parts[2]):
      distances = (
        sklearn.metrics.pairwise_distances_argmin_min(x, parts[2])[1]
        for x in parts[:2]
      )
      scores.append(_z(*distances))
      weights.append(len(parts[1]))
  return float(np.average(scores, weights=weights)) if scores else float('nan')


def shortage(generated: int, held_out: int) -> str | None:
  """A line of warning where cells hold few images, or None."""
  if min(generated, held_out) >= _SENSIBLE:
    return None
  return (
    f'{generated:,} samples and {held_out:,} held-out images are few for '
    f'{CELLS} cells, of which those with {_LEAST} samples or fewer are left '
    f'out ({_SENSIBLE:,} of either are sensible at least)'
  )
