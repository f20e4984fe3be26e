"""Exact distributions in one and two dimensions, in JAX.

The one-dimensional ones have a distribution function, so that a generator is
measured against the law itself and not against more samples.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.stats as jstats
import numpy as np

from gan_jax import types

Fn = Callable[[jax.Array], jax.Array]


class Density(NamedTuple):
  """A one-dimensional law.

  Attributes:
    draw: `draw(key, n)`, `[n, 1]`.
    cdf: elementwise distribution function.
    interval: holds all but 1e-6 of the mass.
    mean: of the law, `[1]`.
    std: of the law, `[1]`.
  """

  draw: Callable[[jax.Array, int], types.Batch]
  cdf: Fn
  interval: tuple[float, float]
  mean: np.ndarray
  std: np.ndarray

  def sample(self, key: jax.Array, n: int) -> jax.Array:
    """`[n, 1]`."""
    return self.draw(key, n).x


class Points(NamedTuple):
  """A two-dimensional law.

  Attributes:
    draw: `draw(key, n)`, `[n, 2]` with the number of the part of the law that
      each comes from, where it has parts.
    mean: of the law, `[2]`.
    std: of each coordinate, `[2]`.
    parts: how many there are, all equally likely; 0 where there are none.
    modes: centres of a mixture's components, `[K, 2]`, or None.
    mode_std: the standard deviation of each component.
  """

  draw: Callable[[jax.Array, int], types.Batch]
  mean: np.ndarray
  std: np.ndarray
  parts: int = 0
  modes: np.ndarray | None = None
  mode_std: float = 0.0

  def sample(self, key: jax.Array, n: int) -> jax.Array:
    """`[n, 2]`, without their labels."""
    return self.draw(key, n).x


def _density(
  draw: Callable[[jax.Array, tuple[int, int]], jax.Array],
  cdf: Fn,
  interval: tuple[float, float],
  mean: float,
  std: float,
) -> Density:
  return Density(
    draw=lambda key, n: types.Batch(draw(key, (n, 1))),
    cdf=cdf,
    interval=interval,
    mean=np.array([mean], np.float32),
    std=np.array([std], np.float32),
  )


def _mixture_draw(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
  sign_key, noise_key = jax.random.split(key)
  centre = 2 * jax.random.rademacher(sign_key, shape, jnp.float32)
  return centre + 0.5 * jax.random.normal(noise_key, shape)


def _mixture_cdf(x: jax.Array) -> jax.Array:
  """The equal mixture of N(-2, 1/2) and N(2, 1/2), standard deviations."""
  cdf = jstats.norm.cdf
  return 0.5 * (cdf(x, -2.0, 0.5) + cdf(x, 2.0, 0.5))


DENSITIES: dict[str, Density] = {
  # N(4, 1/2), far from where the generator starts.
  'normal': _density(
    lambda key, shape: 4 + 0.5 * jax.random.normal(key, shape),
    lambda x: jstats.norm.cdf(x, 4.0, 0.5),
    interval=(1.55, 6.45),
    mean=4.0,
    std=0.5,
  ),
  # U(0, 1).
  'uniform': _density(
    jax.random.uniform,
    lambda x: jnp.clip(x, 0.0, 1.0),
    interval=(0.0, 1.0),
    mean=0.5,
    std=12**-0.5,
  ),
  # Rate 1.
  'exponential': _density(
    jax.random.exponential,
    lambda x: -jnp.expm1(-jnp.maximum(x, 0.0)),
    interval=(0.0, 13.9),
    mean=1.0,
    std=1.0,
  ),
  # Location 0, scale 1.
  'laplace': _density(
    jax.random.laplace,
    jstats.laplace.cdf,
    interval=(-13.9, 13.9),
    mean=0.0,
    std=2**0.5,
  ),
  'mixture': _density(
    _mixture_draw,
    _mixture_cdf,
    interval=(-4.5, 4.5),
    mean=0.0,
    std=(4 + 0.25) ** 0.5,
  ),
  # Beta(2, 5): mean 2/7, variance 10 / (49 * 8).
  'beta': _density(
    lambda key, shape: jax.random.beta(key, 2.0, 5.0, shape),
    lambda x: jstats.beta.cdf(jnp.clip(x, 0.0, 1.0), 2.0, 5.0),
    interval=(0.0, 1.0),
    mean=2 / 7,
    std=(10 / (49 * 8)) ** 0.5,
  ),
}


def _modes(centres: np.ndarray, std: float) -> Points:
  """The equal mixture of isotropic normals at `centres`, `[K, 2]`."""
  centres = centres.astype(np.float32)

  def draw(key: jax.Array, n: int) -> types.Batch:
    mode_key, noise_key = jax.random.split(key)
    which = jax.random.randint(mode_key, (n,), 0, len(centres))
    x = jnp.asarray(centres)[which] + std * jax.random.normal(noise_key, (n, 2))
    return types.Batch(x, which)

  spread = np.sqrt(centres.var(axis=0) + std**2)
  mean, parts = centres.mean(axis=0), len(centres)
  return Points(draw, mean, spread, parts, centres, std)


def _ring() -> Points:
  """PacGAN's 2D-ring: 8 modes on the unit circle, standard deviation .01."""
  angle = 2 * np.pi * np.arange(8) / 8
  return _modes(np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.01)


def _grid() -> Points:
  """PacGAN's 2D-grid: 25 modes in [-4, 4]^2, standard deviation .05."""
  axis = np.linspace(-4, 4, 5)
  return _modes(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), 0.05)


def _spiral_draw(key: jax.Array, n: int) -> types.Batch:
  """Radius t and angle 3 pi t for t = sqrt(U): even along its length."""
  t_key, noise_key = jax.random.split(key)
  t = jnp.sqrt(jax.random.uniform(t_key, (n,)))
  angle = 3 * jnp.pi * t
  arm = t[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
  return types.Batch(arm + 0.02 * jax.random.normal(noise_key, (n, 2)))


# The roll's turns, and what scales its end to 1.
_ROLL = np.pi / 2, 9 * np.pi / 2
_ROLL_NOISE = 0.03


def _swiss_roll_draw(key: jax.Array, n: int) -> types.Batch:
  """Radius and angle t, uniform on (pi/2, 9 pi/2), over 9 pi/2.

  Within [-1, 1]^2 but for the noise, and denser in the middle.
  """
  t_key, noise_key = jax.random.split(key)
  low, high = _ROLL
  t = jax.random.uniform(t_key, (n,), minval=low, maxval=high)
  arm = jnp.stack([t * jnp.cos(t), t * jnp.sin(t)], axis=1) / high
  noise = _ROLL_NOISE * jax.random.normal(noise_key, (n, 2))
  return types.Batch(arm + noise)


def _swiss_roll_moments() -> tuple[np.ndarray, np.ndarray]:
  """E t (cos t, sin t) = (1, 0); E t^2 cos^2 t = E t^2 / 2 - 1/4."""
  low, high = _ROLL
  half = (high**3 - low**3) / (3 * (high - low)) / 2
  square = np.array([half - 0.25, half + 0.25])
  mean = np.array([1.0, 0.0])
  std = np.sqrt((square - mean**2) / high**2 + _ROLL_NOISE**2)
  return (mean / high).astype(np.float32), std.astype(np.float32)


def _two_moons_draw(key: jax.Array, n: int) -> types.Batch:
  """Two interleaved half circles, as scikit-learn's `make_moons`, noise .05.

  The lower one is number 1, as there.
  """
  which_key, angle_key, noise_key = jax.random.split(key, 3)
  lower = jax.random.bernoulli(which_key, shape=(n,))
  angle = jnp.pi * jax.random.uniform(angle_key, (n,))
  x = jnp.where(lower, 1 - jnp.cos(angle), jnp.cos(angle))
  y = jnp.where(lower, 0.5 - jnp.sin(angle), jnp.sin(angle))
  moons = jnp.stack([x, y], axis=1)
  x = moons + 0.05 * jax.random.normal(noise_key, (n, 2))
  return types.Batch(x, lower.astype(jnp.int32))


def _spiral_moments() -> tuple[np.ndarray, np.ndarray]:
  """Mean and standard deviation, with t^2 uniform on a fine grid."""
  t = np.sqrt((np.arange(100_000) + 0.5) / 100_000)
  arm = t[:, None] * np.stack([np.cos(3 * np.pi * t), np.sin(3 * np.pi * t)], 1)
  std = np.sqrt(arm.var(axis=0) + 0.02**2)
  return arm.mean(axis=0).astype(np.float32), std.astype(np.float32)


# With a uniform on (0, pi), a moon is (cos a, sin a) or (1 - cos a, 1/2 - sin
# a): E x^2 = (1/2 + 3/2) / 2 and E y^2 = (1/2 + 3/4 - 2/pi) / 2, plus noise.
_MOONS_MEAN = np.array([0.5, 0.25], np.float32)
_MOONS_STD = np.array(
  [
    np.sqrt(0.75 + 0.05**2),
    np.sqrt(0.5 * (0.5 + 0.75 - 2 / np.pi) - 0.25**2 + 0.05**2),
  ],
  np.float32,
)

POINTS: dict[str, Points] = {
  'ring': _ring(),
  'grid': _grid(),
  'spiral': Points(_spiral_draw, *_spiral_moments()),
  'swiss_roll': Points(_swiss_roll_draw, *_swiss_roll_moments()),
  'two_moons': Points(_two_moons_draw, _MOONS_MEAN, _MOONS_STD, parts=2),
}
