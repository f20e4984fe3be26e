"""Perceptual path lengths of many short ways, as one number."""

import numpy as np

# Per cent of the ways that are left out at either end.
_OUTSIDE = 1


def trimmed_mean(lengths: np.ndarray) -> float:
  """The mean of all but the shortest and the longest hundredth.

  As in the code of StyleGAN (Karras et al. 2019 and later): the lengths that
  are the ends of what stays are themselves part of it.

  Args:
    lengths: `[N]`, 0 or more.
  """
  least = np.percentile(lengths, _OUTSIDE, method='lower')
  most = np.percentile(lengths, 100 - _OUTSIDE, method='higher')
  inside = (lengths >= least) & (lengths <= most)
  return float(lengths[inside].mean(dtype=np.float64))
