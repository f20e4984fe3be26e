"""The n-point game: n real points, n generated ones, and a D that can do all.

Sun et al. 2020: what D's loss is at its optimum, as a function of
where the generated points are. G raises it, up to log 2 in each game here.
"""

from collections.abc import Sequence

import numpy as np


def separable_loss(nearest: Sequence[int | None]) -> float:
  """D's least cross-entropy, halved: of the original (JS-) GAN.

  At a real point that c of the n generated ones lie on, D* = 1 / (1 + c), so
  that the point adds log(1 + c) + c log((1 + c) / c), over 2n; elsewhere D
  tells real from generated and nothing is added. It is the mean over 2n
  samples, half of `losses.NON_SATURATING`'s.

  Args:
    nearest: of each generated point, the number of the real point that it lies
      on, or None.

  Returns:
    In [0, log 2]; log 2 where each real point has one generated point.
  """
  n = len(nearest)
  counts = np.bincount([i for i in nearest if i is not None], minlength=n)
  counts = counts[counts > 0]
  each = np.log1p(counts) + counts * np.log1p(1 / counts)
  return float(each.sum() / (2 * n))


def paired_loss(nearest: Sequence[int | None]) -> float:
  """D's least loss in the relativistic paired GAN.

  Pair i is real point i and generated point i, an edge from i to where that
  lies. Around a cycle of edges D's differences sum to 0, so that by convexity
  each edge costs log 2 at best; an edge on no cycle costs 0 in the limit. Of
  `losses.RELATIVISTIC_PAIRED`, without its factor.

  Args:
    nearest: as of `separable_loss`.

  Returns:
    In [0, log 2]; log 2 where the generated points are a permutation.
  """
  on_cycles = 0
  for start in range(len(nearest)):
    at: int | None = start
    for _ in range(len(nearest)):
      at = nearest[at] if at is not None else None
      if at == start:
        on_cycles += 1
        break
  return on_cycles * float(np.log(2)) / len(nearest)
