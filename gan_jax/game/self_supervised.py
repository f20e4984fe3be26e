"""What D can learn of samples without labels, beside telling them apart.

Each loss is a scalar `[]`. D minimises it of real samples and G of its own: so
both are to show what D finds, and D is not to forget it while the game moves.
"""

import jax
import jax.numpy as jnp

# What is not to be compared has this product, as in the code of InfoMax-GAN.
_APART = -10.0


def turned(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  """A quarter of the samples turned by each of 0, 90, 180 and 270 degrees.

  Chen et al. 2019, "Self-Supervised GANs via Auxiliary Rotation Loss", sec. 3,
  who have four turns of each of a quarter of the samples; here, as in mimicry
  (Lee & Town 2020), all samples once, the first quarter by 0.

  Args:
    x: square images, `[B, S, S, C]`.

  Returns:
    Images of that shape, and by how many quarters each was turned, `[B]` int32.
  """
  batch = len(x)
  turns = jnp.arange(batch) * 4 // batch
  # Each from all of them, so that no sample leaves its device.
  chosen = x
  for quarters in (1, 2, 3):
    own = (turns == quarters).reshape(batch, 1, 1, 1)
    chosen = jnp.where(own, jnp.rot90(x, quarters, axes=(1, 2)), chosen)
  return chosen, turns


def infomax(local: jax.Array, whole: jax.Array) -> jax.Array:
  """How badly parts of samples are found by what D sees of the whole, `[]`.

  Lee et al. 2021, "InfoMax-GAN: Improved Adversarial Image Generation via
  Information Maximization and Contrastive Learning", eq. 6, a lower bound on
  mutual information but for a constant:

      -E_ij log exp(l_ij g_i) / (exp(l_ij g_i) + sum_kl exp(l_kl g_i))

  with all parts l of all other samples k; in the authors' code the sum has, for
  each part of the sample itself, exp(-10), too.

  Args:
    local: points of parts of samples, `[B, N, R]`.
    whole: points of samples, `[B, R]`.
  """
  batch, parts = local.shape[:2]
  products = jnp.einsum(
    'ir,knr->ikn', whole, local, precision=jax.lax.Precision.HIGHEST
  )
  own = jnp.eye(batch, dtype=bool).reshape(batch, batch, 1)
  found = jnp.where(own, products, 0).sum(axis=1)
  others = jnp.where(own, _APART, products).reshape(batch, batch * parts)
  others = jax.nn.logsumexp(others, axis=1, keepdims=True)
  return (jnp.logaddexp(found, others) - found).mean()
