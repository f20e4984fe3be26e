"""Instance noise of a forward diffusion whose length adapts: Diffusion-GAN.

Wang et al. 2023 (arXiv 2206.02262): D sees every sample, real or generated, as

    x_t = sqrt(abar_t) x + sqrt(1 - abar_t) sigma eps,

with t of a mixture over 0 ... T. T grows with p from `least` to `most`, so that
the memory of ADA's strength (`augment.py`) is also that of the length. The
betas are spread over 1 ... T again whenever T changes, as in the authors' code.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gan_jax.game import augment


class Chain(NamedTuple):
  """A forward diffusion and the mixture over its steps.

  Attributes:
    least: T at p = 0, at least 1.
    most: T at p = 1, at least `least`.
    beta_first: the noise's share of the variance in step 1, in (0, 1).
    beta_last: the same in step T; linear between.
    noise: sigma, in the networks' units.
    untouched: the probability of t = 0.
    priority: whether t of 1 ... T is drawn in proportion to t, and not
      uniformly.
  """

  least: int
  most: int
  beta_first: float
  beta_last: float
  noise: float
  untouched: float
  priority: bool


class Diffused(NamedTuple):
  """Of each sample: the factor `[B]`, and what is added `[B, ...]`."""

  signal: jax.Array
  noise: jax.Array


def policy(chain: Chain) -> augment.Policy:
  """Diffusion of samples of any shape; its strength p sets T."""
  return augment.Policy(functools.partial(_draw, chain), _apply)


def length(chain: Chain, p: jax.Array) -> jax.Array:
  """T `[]` int32 at strength p; beyond 1 it stays at the most."""
  more = jnp.round(jnp.clip(p, 0, 1) * (chain.most - chain.least))
  return chain.least + more.astype(jnp.int32)


def log_signals(chain: Chain, steps: jax.Array) -> jax.Array:
  """log abar_t of t = 0 ... `most`, `[most + 1]`; constant beyond T.

  Args:
    chain: the diffusion.
    steps: T, `[]` int32.
  """
  s = jnp.arange(chain.most)
  slope = (chain.beta_last - chain.beta_first) / jnp.maximum(steps - 1, 1)
  betas = jnp.where(s < steps, chain.beta_first + slope * s, 0.0)
  return jnp.pad(jnp.cumsum(jnp.log1p(-betas)), (1, 0))


def draw_steps(
  chain: Chain, key: jax.Array, n: int, steps: jax.Array
) -> jax.Array:
  """t of n samples, `[n]` int32 in 0 ... T.

  The authors keep a list of which half is 0 and half are 32 draws of t, renewed
  at each move of p, and draw of that; here every sample draws of the law. Their
  code has t - 1 where the paper, and this, has t.

  Args:
    chain: the mixture.
    key: of the draws.
    n: how many.
    steps: T, `[]` int32.
  """
  use, u = jax.random.uniform(key, (2, n))
  if chain.priority:
    # The least t with t (t + 1) > u T (T + 1).
    t = (jnp.sqrt(1 + 4 * u * steps * (steps + 1)) - 1) / 2
  else:
    t = u * steps
  t = jnp.clip(jnp.floor(t).astype(jnp.int32) + 1, 1, steps)
  return jnp.where(use < chain.untouched, 0, t)


def _draw(
  chain: Chain, key: jax.Array, shape: tuple[int, ...], p: jax.Array
) -> Diffused:
  step_key, noise_key = jax.random.split(key)
  steps = length(chain, p)
  t = draw_steps(chain, step_key, shape[0], steps)
  log_signal = log_signals(chain, steps)[t]
  signal, share = jnp.exp(log_signal / 2), jnp.sqrt(-jnp.expm1(log_signal))
  noise = chain.noise * jax.random.normal(noise_key, shape)
  return Diffused(signal, augment.each(share, noise) * noise)


def _apply(x: jax.Array, numbers: Diffused) -> jax.Array:
  # At t = 0 the factor is 1 and nothing is added, to the last bit.
  return augment.each(numbers.signal, x) * x + numbers.noise
