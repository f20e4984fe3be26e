"""Langevin dynamics of latents, driven by D: DDLS.

Che et al. 2020, "Your GAN is Secretly an Energy-based Model and You Should use
Discriminator Driven Latent Sampling" (arXiv 2003.06060). Where D's logit d is
log p_data / p_g, the data follow p_g(x) e^d(x), and so does G(z) where z has
the energy

    E(z) = -log p_0(z) - d(G(z))

with p_0 the law of the latents. Such z are made by their algorithm 1,

    z <- z - eps / 2 grad E(z) + sqrt(eps) n,    n ~ N(0, I)

which follows E exactly for eps -> 0 and many steps alone. No step is rejected,
which would remove the bias (the Metropolis-adjusted form).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Settings(NamedTuple):
  """How long latents are moved, and how far at once.

  Attributes:
    steps: of a chain.
    rate: eps of its first step, above 0, in squared units of z.
    noise: factor on the noise; 1 is the paper's, 0 follows the gradient alone.
    decay: what eps is multiplied by after each `decay_steps`, in (0, 1].
    decay_steps: steps of the same eps.
    bound: p_0 is uniform on the cube [-bound, bound]^Z; None for the standard
      normal law.
  """

  steps: int
  rate: float
  noise: float = 1.0
  decay: float = 1.0
  decay_steps: int = 1
  bound: float | None = None


def move(
  logit: Callable[[jax.Array], jax.Array],
  z: jax.Array,
  keys: jax.Array,
  settings: Settings,
) -> jax.Array:
  """Each latent after its own chain; traceable.

  Within a cube the gradient of log p_0 is 0, and a step that would leave it is
  reflected at its faces: with D the same everywhere, the law stays uniform
  exactly. The reflection is ours.

  Args:
    logit: `[N, Z]` to `[N]`, d(G(z)) of each z by itself.
    z: `[N, Z]`, where the chains begin.
    keys: `[N]`, of each chain's noise, which is the same in any company.
    settings: of all chains.

  Returns:
    `[N, Z]`; not finite where `rate` is too large for the energy.
  """
  slope = jax.grad(lambda z: logit(z).sum())

  def step(i: jax.Array, z: jax.Array) -> jax.Array:
    rate = settings.rate * settings.decay ** (i // settings.decay_steps)
    n = jax.vmap(
      lambda key: jax.random.normal(jax.random.fold_in(key, i), z.shape[1:])
    )(keys)
    climb = slope(z)
    if settings.bound is None:
      climb = climb - z
    z = z + rate / 2 * climb + settings.noise * jnp.sqrt(rate) * n
    return z if settings.bound is None else reflected(z, settings.bound)

  return jax.lax.fori_loop(0, settings.steps, step, z)


def reflected(z: jax.Array, bound: float) -> jax.Array:
  """Of any shape, as often as it takes to be in [-bound, bound]."""
  folded = bound - jnp.abs(jnp.mod(z + bound, 4 * bound) - 2 * bound)
  # What is inside stays as it is, to the last bit.
  return jnp.where(jnp.abs(z) <= bound, z, folded)
