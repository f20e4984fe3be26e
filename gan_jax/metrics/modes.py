"""Which modes of a mixture a generator finds (PacGAN, Lin et al. 2018)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class ModeCoverage(NamedTuple):
  """PacGAN's three figures for two-dimensional mixtures.

  Attributes:
    modes: `[]` modes with at least one high-quality sample nearest to them.
    high_quality: `[]` the share of samples within three standard deviations
      of their nearest mode, in [0, 1].
    reverse_kl: `[]` KL(histogram of the high-quality samples over the modes
      || uniform), in nats; NaN where there are none.
  """

  modes: jax.Array
  high_quality: jax.Array
  reverse_kl: jax.Array


def mode_coverage(
  samples: jax.Array, modes: jax.Array, std: float
) -> ModeCoverage:
  """Assigns each sample to its nearest mode.

  Args:
    samples: `[N, D]`.
    modes: `[K, D]`, the centres of a mixture of equal weights.
    std: of each component.
  """
  distance = jnp.linalg.norm(samples[:, None] - modes[None], axis=-1)
  nearest = distance.argmin(axis=1)
  good = distance.min(axis=1) <= 3 * std
  counts = jnp.zeros(len(modes)).at[nearest].add(good)
  share = counts / counts.sum()
  kl = jnp.where(share > 0, share * jnp.log(share * len(modes)), 0.0).sum()
  return ModeCoverage(
    modes=(counts > 0).sum(),
    high_quality=good.mean(),
    reverse_kl=jnp.where(counts.sum() > 0, kl, jnp.nan),
  )
