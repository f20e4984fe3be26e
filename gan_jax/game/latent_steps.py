"""Latents that move before both players judge what is made of them (LOGAN).

Wu et al. 2019, "LOGAN: Latent Optimisation for Generative Adversarial
Networks", arXiv 1912.00953. Both losses are of G(z + dz), where dz goes uphill
in D's logit f(z) = D(G(z)):

    dz = alpha g               (the gradient g = df / dz; their eq. 4)
    dz = alpha g / (beta + |g|^2)      (the natural gradient; their eq. 12)

dz is a function of both players' parameters, and each player's gradient passes
through it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gan_jax import types


class Options(NamedTuple):
  """What shapes the program; the numbers are `latent_step.*` in `types.Hyper`.

  Attributes:
    natural: whether steps are of the natural gradient.
    bound: of each |z|, at which z + dz is clipped; None where z has none.
  """

  natural: bool
  bound: float | None


def moved(
  latent: types.Latent,
  logits: Callable[[types.Latent], jax.Array],
  hyper: types.Hyper,
  key: jax.Array,
  options: Options,
) -> tuple[types.Latent, jax.Array]:
  """The latents after a step, and its mean squared length `[]`.

  Args:
    latent: z `[B, Z]`.
    logits: D's of G's samples of latents.
    hyper: `latent_step.rate` (alpha), `.damping` (beta) and `.share`, the share
      of latents that move.
    key: of which do.
    options: of the game.
  """
  uphill = jax.grad(lambda z: logits(latent._replace(z=z)).sum())(latent.z)
  step = hyper['latent_step.rate'] * uphill
  if options.natural:
    square = jnp.square(uphill).sum(axis=1, keepdims=True)
    step /= hyper['latent_step.damping'] + square
  moves = jax.random.bernoulli(
    key, hyper['latent_step.share'], (latent.z.shape[0], 1)
  )
  step = jnp.where(moves, step, 0.0)
  z = latent.z + step
  if options.bound is not None:
    z = jnp.clip(z, -options.bound, options.bound)
  return latent._replace(z=z), jnp.square(step).sum(axis=1).mean()
