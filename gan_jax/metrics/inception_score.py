"""The Inception score (Salimans et al. 2016, "Improved Techniques", section 4).

With another classifier than Inception's it is another figure: say which.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy


class InceptionScore(NamedTuple):
  """exp E KL(p(y|x) || p(y)), in [1, K].

  Attributes:
    mean: over the splits.
    std: over the splits.
  """

  mean: float
  std: float


def inception_score(
  logits: npt.ArrayLike, *, splits: int = 10
) -> InceptionScore:
  """The score of each split on its own, p(y) being that split's.

  Args:
    logits: `[N, K]`, of a classifier; log probabilities are as good, -inf
      included. Samples must come in random order: splits are contiguous.
    splits: parts, equal but for one sample. With fewer samples a split the
      score is lower.

  Raises:
    ValueError: there are fewer samples than splits, or a row is no logits.
  """
  scores = np.asarray(logits, np.float64)
  if scores.ndim != 2 or not 1 <= splits <= len(scores):
    raise ValueError(
      f'logits must have shape [N, K] with N >= splits={splits}, got '
      f'{list(scores.shape)}'
    )
  # NaN, inf, or nothing but -inf; that has probability 0 elsewhere.
  if not np.isfinite(scores.max(axis=1)).all():
    raise ValueError('logits: some are not finite')
  probabilities = scipy.special.softmax(scores, axis=1)
  values = []
  for part in np.array_split(probabilities, splits):
    # x log x is 0 at 0, and so is x log(x / y) where x is.
    divergence = scipy.special.rel_entr(part, part.mean(axis=0)).sum(axis=1)
    values.append(np.exp(divergence.mean()))
  return InceptionScore(float(np.mean(values)), float(np.std(values)))
