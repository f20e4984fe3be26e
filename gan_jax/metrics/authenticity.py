"""The share of samples that are no near copies of training data (AuthPct)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.metrics import neighbours, products

_SENSIBLE = 1000


@functools.partial(jax.jit, static_argnames='ways')
def _nearest_other_of_block(
  rows: jax.Array, index: jax.Array, x: jax.Array, norms: jax.Array, ways: int
) -> jax.Array:
  close = neighbours.closeness(products.inner(rows, x), norms[None])
  same = index[:, None] // ways == jnp.arange(len(x))[None] // ways
  others = jnp.where(same, -jnp.inf, close)
  return jnp.linalg.norm(rows - x[others.argmax(axis=1)], axis=1)


def authenticity(generated: jax.Array, train: jax.Array) -> float:
  """The share of samples that are no near copies, in [0, 1].

  Alaa et al. 2022, "How Faithful is your Synthetic Data?", section 4, in the
  form of AuthPct (Stein et al. 2023): a sample is authentic if the training
  sample nearest to it has another training sample nearer than the sample.

  Args:
    generated: features, `[G, D]`.
    train: features of what the generator was trained on, `[T, D]`; or of W
      ways in which it saw each sample, `[T, W, D]`, of which a sample's own are
      no others.

  Raises:
    ValueError: there are fewer than two training samples or no others, the
      numbers of features differ, or a feature is not finite.
  """
  ways = train.shape[1] if train.ndim == 3 else 1
  flat = train.reshape(-1, train.shape[-1])
  found = neighbours.nearest(generated, flat)
  # Only those that are nearest to a sample need their own neighbour.
  rows, where = np.unique(found.row, return_inverse=True)
  (x,) = neighbours.centred(flat, least=2 * ways)
  norms = products.squared_norms(x)
  parts = []
  for start in range(0, len(rows), neighbours.ROWS):
    index = jnp.asarray(rows[start : start + neighbours.ROWS], jnp.int32)
    parts.append(_nearest_other_of_block(x[index], index, x, norms, ways))
  between = np.concatenate(parts)[where]
  return float((between < found.distance).mean())


def shortage(generated: int) -> str | None:
  """A line of warning where a share is of few samples, or None."""
  if generated >= _SENSIBLE:
    return None
  return (
    f'a share of {generated:,} samples is rough ({_SENSIBLE:,} are sensible at '
    'least)'
  )
