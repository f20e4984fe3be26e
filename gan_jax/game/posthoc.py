"""Moving averages of several lengths, and of any length after training.

EDM2 (Karras et al. 2024, section 3 and appendix C). An average of length sigma
weighs what the parameters were at time t as t^gamma, up to now: it forgets its
start, and its length grows with the run. Sigma is the standard deviation of the
weights' times, as a share of the run. A few such averages, stored now and then,
make one of any other length by least squares: see `coefficients`.

Time is counted in steps from 0; after n steps step i has the weight
(i^(gamma + 1) - (i - 1)^(gamma + 1)) / n^(gamma + 1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types

# Where they are in a state's memory, each by the name of its length.
MEMORY = 'posthoc'


def name(length: float) -> str:
  """The key of an average in the memory."""
  return repr(length)


def exponent(length: float) -> float:
  """gamma of a length: the largest root of appendix C's cubic (eq. 126).

  sigma^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3))
  """
  t = float(length) ** -2
  return float(np.roots([1.0, 7.0, 16 - t, 12 - t]).real.max())


def init(lengths: Sequence[float], params: types.PyTree) -> types.PyTree:
  """The memory before the first step, whose update forgets it."""
  return {name(x): jax.tree.map(jnp.copy, params) for x in lengths}


def follow(
  averages: types.PyTree, params: types.PyTree, step: jax.Array
) -> types.PyTree:
  """The memory after a step (Karras et al. 2024, eq. 127).

  Args:
    averages: by the names of their lengths.
    params: after the step.
    step: `[]` int32, which it is, from 1 on.
  """

  def moved(length: float, average: types.PyTree) -> types.PyTree:
    # 1 - (1 - 1 / n)^(gamma + 1), which is 1 at the first step.
    power = exponent(length) + 1
    rate = -jnp.expm1(power * jnp.log1p(-1 / step.astype(jnp.float32)))
    return jax.tree.map(lambda a, x: a + rate * (x - a), average, params)

  return {key: moved(float(key), average) for key, average in averages.items()}


def _products(
  times: np.ndarray, gammas: np.ndarray, ends: np.ndarray, others: np.ndarray
) -> np.ndarray:
  """The integrals over time of products of profiles, `[N, M]` (eq. 151)."""
  a, b = gammas[:, None], others[None]
  s, t = times[:, None], ends[None]
  power = np.where(s < t, b, -a)
  products: np.ndarray = (a + 1) * (b + 1) * (s / t) ** power
  return products / ((a + b + 1) * np.maximum(s, t))


class Fit(NamedTuple):
  """How stored averages make another.

  Attributes:
    coefficients: `[N]` float64, of each.
    misfit: the distance of their profile to the one that is wanted, as a share
      of that one's norm.
  """

  coefficients: np.ndarray
  misfit: float


def coefficients(
  stored: Sequence[tuple[int, float]], step: int, length: float
) -> Fit:
  """Of stored averages, whose sum is nearest to one that was not stored.

  In the sense of least squares, of the profiles as functions of time, in
  float64 (Karras et al. 2024, algorithm 3); they sum to 1.

  Args:
    stored: the step, from 1 on, and the length of each.
    step: of the average that is wanted.
    length: of it.

  Returns:
    The coefficients, and how far their sum is from the one that is wanted.
  """
  times = np.array([time for time, _ in stored], np.float64)
  gammas = np.array([exponent(x) for _, x in stored])
  end, gamma = np.array([float(step)]), np.array([exponent(length)])
  # Of profiles of norm 1, so that the early ones, which are high and narrow,
  # do not decide how well it is conditioned.
  norms = np.sqrt((gammas + 1) ** 2 / ((2 * gammas + 1) * times))
  gram = _products(times, gammas, times, gammas) / np.outer(norms, norms)
  wanted = _products(times, gammas, end, gamma)[:, 0] / norms
  wanted_norm = (gamma[0] + 1) / np.sqrt((2 * gamma[0] + 1) * step)
  solution = np.linalg.lstsq(gram, wanted)[0]
  solution /= (solution / norms).sum()
  squares = solution @ gram @ solution - 2 * solution @ wanted + wanted_norm**2
  return Fit(solution / norms, float(np.sqrt(max(squares, 0.0)) / wanted_norm))
