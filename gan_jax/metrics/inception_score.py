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


class Sums(NamedTuple):
  """Of the samples so far, a split at a time.

  Attributes:
    edges: `[splits + 1]` int, the samples at which splits begin and end.
    samples: how many were seen.
    negentropy: `[splits]` float64, the sum of p(y|x) log p(y|x).
    probability: `[splits, K]` float64, the sum of p(y|x); None at first.
  """

  edges: np.ndarray
  samples: int
  negentropy: np.ndarray
  probability: np.ndarray | None


def init(total: int, splits: int = 10) -> Sums:
  """Of no samples.

  Args:
    total: samples that there will be, N.
    splits: parts of them, equal but for one sample. With fewer samples a split
      the score is lower.

  Raises:
    ValueError: there are fewer samples than splits.
  """
  if not 1 <= splits <= total:
    raise ValueError(
      f'splits={splits}: as many samples are needed at least, got {total}'
    )
  size, longer = divmod(total, splits)
  sizes = [size + 1] * longer + [size] * (splits - longer)
  edges = np.concatenate([[0], np.cumsum(sizes)])
  return Sums(edges, 0, np.zeros(splits), None)


def update(sums: Sums, logits: npt.ArrayLike) -> Sums:
  """With more samples.

  Args:
    sums: so far.
    logits: `[n, K]`, of a classifier; log probabilities are as good, -inf
      included. Samples must come in random order: splits are contiguous.

  Raises:
    ValueError: a row is no logits, or there are more than was said.
  """
  scores = np.asarray(logits, np.float64)
  left = int(sums.edges[-1]) - sums.samples
  if scores.ndim != 2 or len(scores) > left:
    raise ValueError(
      f'logits must have shape [n, K] with n <= {left}, got '
      f'{list(scores.shape)}'
    )
  # NaN, inf, or nothing but -inf; that has probability 0 elsewhere.
  if not np.isfinite(scores.max(axis=1)).all():
    raise ValueError('logits: some are not finite')
  parts = scipy.special.softmax(scores, axis=1)
  negentropy, probability = sums.negentropy.copy(), sums.probability
  if probability is None:
    probability = np.zeros((len(negentropy), scores.shape[1]))
  probability = probability.copy()
  numbers = np.arange(sums.samples, sums.samples + len(parts))
  split = np.searchsorted(sums.edges, numbers, side='right') - 1
  # x log x is 0 at 0.
  np.add.at(negentropy, split, scipy.special.xlogy(parts, parts).sum(axis=1))
  np.add.at(probability, split, parts)
  return Sums(sums.edges, sums.samples + len(parts), negentropy, probability)


def result(sums: Sums) -> InceptionScore:
  """The score of each split on its own, p(y) being that split's.

  Raises:
    ValueError: there were fewer samples than was said.
  """
  if sums.samples < sums.edges[-1] or sums.probability is None:
    raise ValueError(
      f'logits: {sums.edges[-1]} samples were to come, got {sums.samples}'
    )
  sizes = np.diff(sums.edges)
  marginal = sums.probability / sizes[:, None]
  # E KL(p(y|x) || p(y)) is a mean of negative entropies minus one.
  own = scipy.special.xlogy(marginal, marginal).sum(axis=1)
  values = np.exp(sums.negentropy / sizes - own)
  return InceptionScore(float(np.mean(values)), float(np.std(values)))


def shortage(samples: int, splits: int, classes: int) -> str | None:
  """A line of warning where splits are too small for the score, or None.

  The entropy of p(y), estimated from n samples, is too low by about
  (K - 1) / 2n nats (Miller 1955): with 4 a class, by an eighth.

  Args:
    samples: N.
    splits: parts of them.
    classes: K.
  """
  least = 4 * classes * splits
  if samples >= least:
    return None
  return (
    f'{samples:,} samples in {splits} splits are too few for {classes:,} '
    f'classes: the score of n samples is n at most, and biased downwards '
    f'({least:,} are sensible at least; 50,000 are usual)'
  )
