"""The Parzen window log-likelihood of Goodfellow et al. 2014, table 1.

Its variance is high and it does poorly in high dimensions (section 5 there;
Theis et al. 2016, "A Note on the Evaluation of Generative Models"): it is here
for comparison with that table.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.metrics import products

_ROWS = 512

# Those of the paper's code, for pixels in [0, 1].
SIGMAS = tuple(float(sigma) for sigma in np.logspace(-1, 0, 10))


class LogLikelihood(NamedTuple):
  """Of test samples under a kernel density estimate.

  Attributes:
    mean: nats a sample.
    standard_error: of the mean, the test samples' std over sqrt(N).
    sigma: the kernel's standard deviation, chosen on validation samples.
  """

  mean: float
  standard_error: float
  sigma: float


@jax.jit
def _of_block(
  rows: jax.Array, centres: jax.Array, norms: jax.Array, sigmas: jax.Array
) -> jax.Array:
  dots = products.inner(rows, centres)
  squared = products.squared_norms(rows)[:, None] + norms[None] - 2 * dots
  squared = jnp.maximum(squared, 0.0)

  def one(sigma: jax.Array) -> jax.Array:
    return jax.nn.logsumexp(-squared / (2 * sigma**2), axis=1)

  return jax.lax.map(one, sigmas)


def log_densities(
  x: jax.Array, centres: jax.Array, sigmas: Sequence[float]
) -> np.ndarray:
  """log p(x) of an equal mixture of isotropic normal laws, in nats.

  Args:
    x: `[N, D]`.
    centres: `[M, D]`.
    sigmas: standard deviations, S; a mixture for each.

  Returns:
    `[S, N]` float64.

  Raises:
    ValueError: a set is empty, their D differ, a value is not finite, or a
      sigma is not positive.
  """
  shapes = [np.shape(x), np.shape(centres)]
  if any(len(s) != 2 or s[0] == 0 or s[1] != shapes[0][1] for s in shapes):
    raise ValueError(
      'samples must have shapes [N, D] with one D, got '
      f'{" and ".join(str(list(shape)) for shape in shapes)}'
    )
  if not sigmas or not all(0 < sigma < np.inf for sigma in sigmas):
    raise ValueError(f'sigmas={list(sigmas)}: they must be positive')
  # The middle leaves squared distances more of float32's digits.
  middle = jnp.asarray(centres, jnp.float32).mean(axis=0, keepdims=True)
  rows = jnp.asarray(x, jnp.float32) - middle
  points = jnp.asarray(centres, jnp.float32) - middle
  if not (jnp.isfinite(rows).all() and jnp.isfinite(points).all()):
    raise ValueError('samples: some are not finite')
  norms = products.squared_norms(points)
  widths = jnp.asarray(sigmas, jnp.float32)
  blocks = [
    np.asarray(_of_block(rows[start : start + _ROWS], points, norms, widths))
    for start in range(0, len(rows), _ROWS)
  ]
  sums = np.concatenate(blocks, axis=1).astype(np.float64)
  scale = np.log(np.asarray(sigmas) * np.sqrt(2 * np.pi))
  return sums - np.log(len(points)) - points.shape[1] * scale[:, None]


def log_likelihood(
  generated: jax.Array,
  validation: jax.Array,
  test: jax.Array,
  *,
  sigmas: Sequence[float] = SIGMAS,
) -> LogLikelihood:
  """The mean log density of test samples, at validation's best sigma.

  The paper's own setting for MNIST is 10,000 generated images, the first 1,000
  of train[50000:] for validation, and the 10,000 test images, as vectors with
  pixels in [0, 1]. Images of ours are in [-1, 1]: give (x + 1) / 2. A density
  is in units of the data, so another scale is another figure.

  Args:
    generated: the kernels' centres, `[M, D]`.
    validation: `[V, D]`.
    test: `[N, D]`, N at least 2.
    sigmas: what to choose from.

  Raises:
    ValueError: as in `log_densities`.
  """
  choices = log_densities(validation, generated, sigmas).mean(axis=1)
  sigma = float(sigmas[int(choices.argmax())])
  if len(test) < 2:
    raise ValueError(f'test: 2 samples are needed at least, got {len(test)}')
  values = log_densities(test, generated, [sigma])[0]
  error = values.std() / np.sqrt(len(values))
  return LogLikelihood(float(values.mean()), float(error), sigma)


def shortage(centres: int, test: int) -> str | None:
  """A line of warning where a density estimate has few samples, or None.

  Args:
    centres: generated samples.
    test: those whose likelihood is measured.
  """
  if min(centres, test) >= 1000:
    return None
  return (
    f'{centres:,} samples, measured on {test:,} images, make a poor density '
    'estimate (1,000 of either are sensible at least; 10,000 are usual)'
  )
