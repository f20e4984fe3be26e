"""Games of two numbers, how rules move on them, and the eigenvalues of both.

A game is a pair of losses; see `rules.py`. Near an equilibrium a rule is
linear: it converges there when all eigenvalues of its update lie within the
unit circle (Mescheder et al. 2017, section 3).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from gan_jax import types
from gan_jax.game import rules

# min_x max_y xy, with the equilibrium (0, 0) and the Jacobian [[0, 1], [-1,
# 0]]: nothing but rotation.
BILINEAR = rules.exact(gen=lambda x, y: x * y, disc=lambda x, y: -x * y)


# Data at 0, G's sample at theta, the critic D(x) = psi x; the bilinear game.
WASSERSTEIN = rules.exact(
  gen=lambda theta, psi: -psi * theta, disc=lambda theta, psi: psi * theta
)


def clipped_radius(radius: float, clip: float) -> float:
  """The radius of the cycle on which the clipped Wasserstein flow ends.

  The flow theta' = psi, psi' = -theta turns around (0, 0). Where psi would
  leave [-c, c] it stays at the bound until theta has changed its sign, which
  is on the circle of radius c.

  Args:
    radius: of the start, whose psi is clipped first.
    clip: c; 0 clips nothing.
  """
  return min(radius, clip) if clip else radius


def dirac_gan(r1: float | jax.Array = 0.0) -> rules.Losses:
  """The Dirac-GAN (Mescheder et al. 2018, definition 2.1).

  The data are at 0, G's only sample is at theta and D(x) = psi x. With f(t) =
  -log(1 + exp(-t)), G minimises and D maximises f(psi theta) + f(0); the
  equilibrium is (0, 0), where f' = 1/2.

  Args:
    r1: gamma of the penalty gamma/2 psi^2, which R1 is here.
  """

  def value(theta: jax.Array, psi: jax.Array) -> jax.Array:
    return -jax.nn.softplus(-psi * theta) - jnp.log(2.0)

  return rules.exact(
    gen=value,
    disc=lambda theta, psi: -value(theta, psi) + 0.5 * r1 * psi**2,
  )


def dirac_decay(r1: float) -> float:
  """How fast the flow of the Dirac-GAN with R1 nears its equilibrium.

  Its eigenvalues are -g/2 +- sqrt(g^2/4 - 1/4) (Mescheder et al. 2018, section
  3, with f'(0) = 1/2): a damped oscillator. The slower of both has the rate
  g/2 up to g = 1, where the damping is critical, and g/2 - sqrt(g^2/4 - 1/4)
  beyond, so that no weight is faster than 1. Durr et al. 2022 find the same of
  many generated points and gradient penalties of intermediate strength.

  Args:
    r1: gamma, at least 0.

  Returns:
    The rate a in distance ~ exp(-a t), in [0, 1/2].
  """
  return r1 / 2 - max(r1**2 / 4 - 0.25, 0.0) ** 0.5


def play(
  rule: rules.Rule,
  losses: rules.Losses,
  optimisers: types.Pair,
  params: types.Pair,
  hyper: types.Hyper,
  steps: int,
) -> types.Pair:
  """The parameters before each of `steps` updates and after the last.

  Returns:
    The trees of `params` with leaves `[steps + 1, ...]`.
  """

  def step(
    position: rules.Position, _: None
  ) -> tuple[rules.Position, types.Pair]:
    rule_hyper = rule.hyper(hyper)
    new = rule.update(position, losses, optimisers, **rule_hyper)[0]
    return new, position.params

  begin = rules.start(params, optimisers, rule.memory(params))
  end, before = jax.lax.scan(step, begin, None, length=steps)
  path: types.Pair = jax.tree.map(
    lambda x, last: jnp.concatenate([x, last[None]]), before, end.params
  )
  return path


def _jacobian(fn: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
  """The Jacobian `[P, P]` of fn: [P] -> [P], a few columns at a time."""

  def column(tangent: jax.Array) -> jax.Array:
    return jax.jvp(fn, (x,), (tangent,))[1]

  # Each column holds a whole forward and backward pass.
  return jax.lax.map(column, jnp.eye(x.size), batch_size=32).T


def eigenvalues(matrix: jax.Array | np.ndarray) -> np.ndarray:
  """Of `[P, P]`: `[P]` complex, the largest modulus first."""
  roots = np.linalg.eigvals(np.asarray(matrix, np.float64))
  ordered: np.ndarray = roots[np.argsort(-np.abs(roots))].astype(complex)
  return ordered


def field_jacobian(
  losses: rules.Losses,
  params: types.Pair,
  carried: types.Pair = rules.NOTHING,
) -> jax.Array:
  """The Jacobian of v = (grad_G L_G, grad_D L_D) at a point; traceable.

  The flow along -v is stable at an equilibrium where the real parts of all
  eigenvalues are positive, and turns around it as fast as the imaginary parts
  are large; Mescheder et al. 2017 and 2018 speak of -v and have the signs
  reversed.

  Args:
    losses: without frozen parameters: each player's loss is differentiated
      with respect to both. Keyed once, so that they are functions.
    params: trees of float32 arrays; P numbers in both together, at most a few
      thousand, for the Jacobian is computed whole, a `jvp` for each column.
    carried: of both players, what their losses read beside the parameters.

  Returns:
    `[P, P]`, G's parameters first.
  """
  flat, unravel = ravel_pytree(params)

  def field(x: jax.Array) -> jax.Array:
    grads, _ = rules.vector_field(losses, unravel(x), carried)
    return ravel_pytree(grads)[0]

  return _jacobian(field, flat)


class SpectrumShape(NamedTuple):
  """What the eigenvalues of v say of the flow along -v around a point.

  Attributes:
    rotation: the sum of the squared imaginary parts over that of the squared
      moduli, in [0, 1]: 1 where the flow only turns, 0 where it never does.
    turning: the share of the eigenvalues that are no less than `floor` of the
      largest modulus whose imaginary part is larger than their real part.
    growth: the largest real part of an eigenvalue of -v over the largest
      modulus, in [-1, 1]; above 0 the flow leaves the point in some direction.
    unstable: the share of -v's eigenvalues, of the same ones, with a positive
      real part.
  """

  rotation: float
  turning: float
  growth: float
  unstable: float


def shape(spectrum: np.ndarray, floor: float = 1e-3) -> SpectrumShape:
  """The shape of a spectrum.

  Args:
    spectrum: eigenvalues of v, `[P]`, the largest modulus first.
    floor: those of a smaller share of the largest modulus are taken as 0, as
      float32 and directions along which nothing changes give them.
  """
  kept = spectrum[np.abs(spectrum) >= floor * np.abs(spectrum[0])]
  rotation = (kept.imag**2).sum() / (np.abs(kept) ** 2).sum()
  growth = (-kept.real).max() / np.abs(spectrum[0])
  turning = (np.abs(kept.imag) > np.abs(kept.real)).mean()
  unstable = (kept.real < 0).mean()
  return SpectrumShape(*map(float, (rotation, turning, growth, unstable)))


def rate_of_convergence(
  rule: rules.Rule,
  losses: rules.Losses,
  optimisers: types.Pair,
  params: types.Pair,
  hyper: types.Hyper,
) -> float:
  """What an update multiplies the distance to an equilibrium by, in the end.

  The largest modulus of an eigenvalue of the update of all that a rule carries
  on: parameters, moments and memory. Below 1 it converges.

  Args:
    rule: any.
    losses: of the game.
    optimisers: whose state is of floats, such as SGD's.
    params: the equilibrium.
    hyper: the rule's numbers.

  Returns:
    The factor of one update: where it takes several for the rule to do the
    same again, the root of their product's.
  """
  begin = rules.start(params, optimisers, rule.memory(params))
  flat, unravel = ravel_pytree(begin[1:])

  def update(x: jax.Array) -> jax.Array:
    position = rules.Position(begin.step, *unravel(x))
    for _ in range(rule.period):
      position, _ = rule.update(
        position, losses, optimisers, **rule.hyper(hyper)
      )
    return ravel_pytree(position[1:])[0]

  spectrum = eigenvalues(jax.jit(lambda x: _jacobian(update, x))(flat))
  return float(np.abs(spectrum[0]) ** (1 / rule.period))


def directions(losses: rules.Losses, axis: np.ndarray) -> np.ndarray:
  """Where -v leads over the plane of a game of two numbers.

  Args:
    losses: of the game.
    axis: `[K]` the values of either player's number.

  Returns:
    `[K, K, 2]`, of length 1, or 0 where v is: rows are D's number, columns
    G's, and G's part comes first.
  """

  def at(disc: jax.Array, gen: jax.Array) -> jax.Array:
    field = jnp.stack(rules.vector_field(losses, types.Pair(gen, disc))[0])
    return -field / jnp.maximum(jnp.linalg.norm(field), 1e-12)

  line = jnp.asarray(axis)
  return np.asarray(jax.vmap(jax.vmap(at, (None, 0)), (0, None))(line, line))
