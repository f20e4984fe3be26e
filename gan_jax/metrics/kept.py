"""Arrays that are kept block by block, for metrics of pairs of samples."""

import numpy as np
import numpy.typing as npt

# Bytes of one set's pixels that a metric keeps at most.
BYTES = 2**26

Kept = list[np.ndarray]


def init() -> Kept:
  """Nothing yet."""
  return []


def update(kept: Kept, rows: npt.ArrayLike) -> Kept:
  """With more samples, `[n, ...]`; `kept` itself grows."""
  kept.append(np.asarray(rows))
  return kept


def result(kept: Kept) -> np.ndarray:
  """All of them, `[N, ...]`."""
  if len(kept) > 1:
    kept[:] = [np.concatenate(kept)]
  return kept[0]
