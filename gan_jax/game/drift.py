"""Drifting models: a generator that regresses on its own moved samples.

Deng et al. 2026 (arXiv 2602.04770). There is no discriminator: a field V moves
each generated sample towards real ones and away from other generated ones, and
G minimises E ||G(z) - sg(G(z) + V)||^2 (sg stops the gradient), whose gradient
is -2 V through G. V vanishes where both laws are one.
"""

import jax
import jax.numpy as jnp


def field(fake: jax.Array, real: jax.Array, temperature: float) -> jax.Array:
  """V of each generated sample, `[N, D]`, in the samples' units.

  The paper's algorithm 2. With kernels exp(-||x - y|| / temperature), of a row
  (x fixed) and a column (y fixed) both normalised over all y, real and
  generated, and over all x, A is the geometric mean; then

      V(x) = sum over pairs of A(x, y+) A(x, y-) (y+ - y-),

  y+ real and y- generated. No sample repels itself.

  Args:
    fake: generated, `[N, D]`, N at least 2.
    real: `[M, D]`.
    temperature: of the kernel, in the samples' units.
  """
  other = jnp.concatenate([real, fake])
  distance = jnp.linalg.norm(fake[:, None] - other[None], axis=-1)
  is_self = jnp.eye(len(fake), dtype=bool)
  is_self = jnp.pad(is_self, ((0, 0), (len(real), 0)))
  logits = jnp.where(is_self, -jnp.inf, -distance / temperature)
  rows = jax.nn.log_softmax(logits, axis=1)
  columns = jax.nn.log_softmax(logits, axis=0)
  # Of logarithms: the kernels of far samples vanish in float32.
  weights = jnp.exp((rows + columns) / 2)
  towards, away = weights[:, : len(real)], weights[:, len(real) :]
  pulled = _product(towards, real) * away.sum(1, keepdims=True)
  return pulled - _product(away, fake) * towards.sum(1, keepdims=True)


def _product(weights: jax.Array, points: jax.Array) -> jax.Array:
  """Of float32 on all devices: V is the small difference of two of them."""
  return jnp.matmul(weights, points, precision='highest')


def loss(fake: jax.Array, real: jax.Array, temperature: float) -> jax.Array:
  """G's loss `[]`: the mean over samples and coordinates.

  Args:
    fake: `[N, D]`, which are differentiated.
    real: `[M, D]`.
    temperature: as of `field`.
  """
  still = jax.lax.stop_gradient(fake)
  goal = still + field(still, real, temperature)
  return jnp.square(fake - goal).mean()
