"""Which modes of a mixture a generator finds (PacGAN, Lin et al. 2018)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import scipy

from gan_jax import types


class ModeCoverage(NamedTuple):
  """PacGAN's three figures for mixtures of few dimensions.

  All are NaN where a sample is not finite.

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
    samples: `[N, D]`, or `[N]` on a line.
    modes: `[K, D]` or `[K]`, the centres of a mixture of equal weights.
    std: of each component.
  """
  samples, modes = (x.reshape(len(x), -1) for x in (samples, modes))
  distance = jnp.linalg.norm(samples[:, None] - modes[None], axis=-1)
  nearest = distance.argmin(axis=1)
  good = distance.min(axis=1) <= 3 * std
  counts = jnp.zeros(len(modes)).at[nearest].add(good)
  share = counts / counts.sum()
  kl = jnp.where(share > 0, share * jnp.log(share * len(modes)), 0.0).sum()
  found = ModeCoverage(
    modes=(counts > 0).sum(),
    high_quality=good.mean(),
    reverse_kl=jnp.where(counts.sum() > 0, kl, jnp.nan),
  )
  finite = jnp.isfinite(samples).all()
  return ModeCoverage(*(jnp.where(finite, x, jnp.nan) for x in found))


def asked_mode(samples: types.Batch, modes: jax.Array) -> jax.Array:
  """The share of samples whose nearest mode is the one that was asked for.

  Args:
    samples: `[N, D]`, with the numbers of the modes as labels.
    modes: `[K, D]`, their centres.

  Returns:
    `[]` in [0, 1], NaN where a sample is not finite.
  """
  distance = jnp.linalg.norm(samples.x[:, None] - modes[None], axis=-1)
  share = (distance.argmin(axis=1) == samples.label).mean()
  return jnp.where(jnp.isfinite(samples.x).all(), share, jnp.nan)


class ClassCoverage(NamedTuple):
  """Which of a number of equally likely classes a generator finds.

  Attributes:
    modes: classes with at least one sample.
    reverse_kl: KL(histogram of the samples over the classes || uniform), in
      nats. Of N samples of the uniform law itself it is about (K - 1) / (2 N).
  """

  modes: int
  reverse_kl: float


def coverage_of(counts: np.ndarray) -> ClassCoverage:
  """PacGAN's figures for StackedMNIST, where a classifier names the mode.

  Args:
    counts: `[K]` samples of each class; see `stacked_label`. Of StackedMNIST K
      is 1000.
  """
  share = counts / counts.sum()
  kl = scipy.special.rel_entr(share, 1 / len(counts)).sum()
  return ClassCoverage(int((counts > 0).sum()), float(kl))


def shortage(samples: int, num_classes: int) -> str | None:
  """A line of warning where samples are too few to find the classes, or None.

  Args:
    samples: N.
    num_classes: K.
  """
  least = 10 * num_classes
  if samples >= least:
    return None
  floor = (num_classes - 1) / (2 * samples)
  return (
    f'{samples:,} samples are too few for {num_classes:,} classes: even the '
    f'data would have a reverse KL of about {floor:.2g} ({least:,} are '
    'sensible at least)'
  )


def stacked_label(labels: npt.ArrayLike, base: int = 10) -> np.ndarray:
  """The classes of an image's channels as one number.

  Args:
    labels: `[N, C]` integers in [0, base), as of StackedMNIST's three channels.
    base: classes of a channel.

  Returns:
    `[N]` int64 in [0, base^C); the first channel counts most.
  """
  index = np.asarray(labels, np.int64)
  return index @ base ** np.arange(index.shape[1])[::-1]
