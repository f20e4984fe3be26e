"""Games of two numbers, how rules move on them, and the eigenvalues of both.

A game is a pair of losses; see `rules.py`. Near an equilibrium a rule is
linear: it converges there when all eigenvalues of its update lie within the
unit circle (Mescheder et al. 2017, section 3).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from gan_jax import types
from gan_jax.game import rules

# min_x max_y xy, with the equilibrium (0, 0) and the Jacobian [[0, 1], [-1,
# 0]]: nothing but rotation.
BILINEAR = rules.exact(gen=lambda x, y: x * y, disc=lambda x, y: -x * y)


def dirac_gan(r1: float = 0.0) -> rules.Losses:
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
    numbers = rule.numbers(hyper)
    new = rule.update(position, losses, optimisers, **numbers)[0]
    return new, position.params

  begin = rules.start(params, optimisers, rule.memory(params))
  end, before = jax.lax.scan(step, begin, None, length=steps)
  path: types.Pair = jax.tree.map(
    lambda x, last: jnp.concatenate([x, last[None]]), before, end.params
  )
  return path


def _eigenvalues(
  fn: Callable[[jax.Array], jax.Array], x: jax.Array
) -> np.ndarray:
  """Eigenvalues `[P]` of the Jacobian of fn: [P] -> [P], the largest first."""

  def column(tangent: jax.Array) -> jax.Array:
    return jax.jvp(fn, (x,), (tangent,))[1]

  # A few columns at a time: each holds a whole forward and backward pass.
  columns = jax.jit(lambda basis: jax.lax.map(column, basis, batch_size=32))(
    jnp.eye(x.size)
  )
  found = np.linalg.eigvals(np.asarray(columns, np.float64).T)
  ordered: np.ndarray = found[np.argsort(-np.abs(found))].astype(complex)
  return ordered


def jacobian_eigenvalues(
  losses: rules.Losses, gen_params: types.PyTree, disc_params: types.PyTree
) -> np.ndarray:
  """Eigenvalues of the Jacobian of v = (grad_G L_G, grad_D L_D) at a point.

  The flow along -v is stable at an equilibrium where all real parts are
  positive, and turns around it as fast as the imaginary parts are large;
  Mescheder et al. 2017 and 2018 speak of -v and have the signs reversed.

  Args:
    losses: without frozen parameters: each player's loss is differentiated
      with respect to both. Keyed once, so that they are functions.
    gen_params: any tree of float32 arrays.
    disc_params: the same; P numbers in both together, at most a few thousand:
      the Jacobian is computed whole, a `jvp` for each column.

  Returns:
    `[P]` complex, the largest modulus first. Not for use under `jit`.
  """
  flat, unravel = ravel_pytree(types.Pair(gen_params, disc_params))

  def field(x: jax.Array) -> jax.Array:
    return ravel_pytree(rules.vector_field(losses, unravel(x))[0])[0]

  return _eigenvalues(field, flat)


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
        position, losses, optimisers, **rule.numbers(hyper)
      )
    return ravel_pytree(position[1:])[0]

  return float(np.abs(_eigenvalues(update, flat)[0]) ** (1 / rule.period))


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
