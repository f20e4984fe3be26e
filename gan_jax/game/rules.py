"""Update rules of a two-player game, as functions of its two losses.

G moves its parameters theta to lower L_G(theta, phi) and D moves its own, phi,
to lower L_D(theta, phi). Together they follow the vector field

    v(theta, phi) = (grad_theta L_G, grad_phi L_D)

which is not the gradient of any function: moving along -v can circle around an
equilibrium or away from it (Mescheder et al. 2017). The rules below
differ in the field they follow and in where they evaluate it.

Each takes a position, the losses and an optimiser for each player, and returns
the next position with what was followed. The optimiser turns a field into a
move; with `optax.sgd(rate)` a rule is the one in its paper's equation. A loss
is called several times within one rule and must be one function there: whoever
estimates it from samples draws them, and the keys of dropout, once for the
whole update and closes the loss over them. All rules work under `jit`, `scan`
and `vmap`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gan_jax import types

# (gen_params, disc_params) -> the loss [], or (the loss, anything else).
Loss = Callable[[types.PyTree, types.PyTree], Any]


class Pair(NamedTuple):
  """One thing of each player: parameters, gradients, optimisers, ..."""

  gen: Any
  disc: Any


class Losses(NamedTuple):
  """What each player minimises, as functions of both players' parameters.

  Attributes:
    gen: L_G.
    disc: L_D.
    has_aux: whether they return `(loss, aux)`, as of `jax.grad`.
  """

  gen: Loss
  disc: Loss
  has_aux: bool = False


class Position(NamedTuple):
  """Where a game is.

  Attributes:
    step: `[]` int32, updates done.
    params: of both players.
    opt_state: of both optimisers.
    memory: what the rule remembers of earlier updates; `()` if nothing.
  """

  step: jax.Array
  params: Pair
  opt_state: Pair
  memory: types.PyTree = ()


class Outcome(NamedTuple):
  """What an update followed.

  Attributes:
    grads: what the optimisers were last given, with the trees of the
      parameters.
    aux: of both losses, where these gradients were taken; None without
      `has_aux`.
  """

  grads: Pair
  aux: Pair


class Rule(NamedTuple):
  """An update rule and what the loop around it must know of it.

  Attributes:
    update: `update(position, losses, optimisers, **numbers)`.
    numbers: from the hyperparameters to `update`'s keyword arguments.
    memory: from the initial parameters to the initial `Position.memory`.
    takes_turns: D moves first and G answers D's new parameters, so that each
      can draw samples of its own and D can move more than once.
    look_back: for rules that take turns, `look_back(position, **numbers)`
      after each round of them, or None.
    second_order: it differentiates a player's loss with respect to the other's
      parameters, which must then not be frozen.
    through_optimiser: it differentiates through D's optimiser, too.
    period: updates after which it does the same again.
  """

  update: Callable[..., tuple[Position, Outcome]]
  numbers: Callable[[types.Hyper], types.Hyper] = lambda hyper: {}
  memory: Callable[[Pair], types.PyTree] = lambda params: ()
  takes_turns: bool = False
  look_back: Callable[..., Position] | None = None
  second_order: bool = False
  through_optimiser: bool = False
  period: int = 1


def start(
  params: Pair, optimisers: Pair, memory: types.PyTree = ()
) -> Position:
  """The position before the first update."""
  opt_state = Pair(
    optimisers.gen.init(params.gen), optimisers.disc.init(params.disc)
  )
  return Position(jnp.zeros((), jnp.int32), params, opt_state, memory)


def vector_field(losses: Losses, params: Pair) -> tuple[Pair, Pair]:
  """`(v, aux)` with v = (grad_theta L_G, grad_phi L_D) at one point."""
  gen_grads, gen_aux = _gradient(losses.gen, 0, losses.has_aux, params)
  disc_grads, disc_aux = _gradient(losses.disc, 1, losses.has_aux, params)
  return Pair(gen_grads, disc_grads), Pair(gen_aux, disc_aux)


def _gradient(
  loss: Loss, player: int, has_aux: bool, params: Pair
) -> tuple[types.PyTree, Any]:
  """A loss's gradient in argument 0 (G) or 1 (D), and its aux or None."""
  out = jax.grad(loss, player, has_aux=has_aux)(*params)
  return out if has_aux else (out, None)


def _updates(
  optimisers: Pair, grads: Pair, position: Position
) -> tuple[Pair, Pair]:
  """`(updates, opt_state)` of both optimisers."""
  params, opt_state = position.params, position.opt_state
  gen, gen_state = optimisers.gen.update(grads.gen, opt_state.gen, params.gen)
  disc, disc_state = optimisers.disc.update(
    grads.disc, opt_state.disc, params.disc
  )
  return Pair(gen, disc), Pair(gen_state, disc_state)


def _follow(optimisers: Pair, grads: Pair, position: Position) -> Position:
  """Both players moved along their own part of `grads`."""
  updates, opt_state = _updates(optimisers, grads, position)
  return position._replace(
    step=position.step + 1,
    params=optax.apply_updates(position.params, updates),
    opt_state=opt_state,
  )


def simultaneous(
  position: Position, losses: Losses, optimisers: Pair
) -> tuple[Position, Outcome]:
  """Both players move along v(w) from the same point: w' = w - eta v(w).

  Simultaneous gradient descent (Mescheder et al. 2017, algorithm 1). On the
  game xy each update multiplies the distance to the equilibrium by
  sqrt(1 + eta^2).
  """
  grads, aux = vector_field(losses, position.params)
  return _follow(optimisers, grads, position), Outcome(grads, aux)


def alternating(
  position: Position, losses: Losses, optimisers: Pair
) -> tuple[Position, Outcome]:
  """D moves first and G follows its gradient at D's new parameters.

  Goodfellow et al. 2014, algorithm 1, with one D step:

      phi' = phi - eta grad_phi L_D(theta, phi)
      theta' = theta - eta grad_theta L_G(theta, phi')

  On the game xy with G at x it stays on x^2 + y^2 + eta xy = const.
  """
  params, opt_state = position.params, position.opt_state
  disc_grads, disc_aux = _gradient(losses.disc, 1, losses.has_aux, params)
  updates, disc_state = optimisers.disc.update(
    disc_grads, opt_state.disc, params.disc
  )
  params = params._replace(disc=optax.apply_updates(params.disc, updates))
  gen_grads, gen_aux = _gradient(losses.gen, 0, losses.has_aux, params)
  updates, gen_state = optimisers.gen.update(
    gen_grads, opt_state.gen, params.gen
  )
  params = params._replace(gen=optax.apply_updates(params.gen, updates))
  position = position._replace(
    step=position.step + 1,
    params=params,
    opt_state=Pair(gen_state, disc_state),
  )
  outcome = Outcome(Pair(gen_grads, disc_grads), Pair(gen_aux, disc_aux))
  return position, outcome


def extragradient(
  position: Position, losses: Losses, optimisers: Pair
) -> tuple[Position, Outcome]:
  """Both players follow the field of the point to which it leads.

  Korpelevich 1976; Gidel et al. 2019, section 3.2:

      w~ = w - eta v(w),    w' = w - eta v(w~)

  With Adam this is ExtraAdam (Gidel et al. 2019, algorithm 4): the moments of
  the extrapolation are those that the update goes on from, so that an
  optimiser counts two updates for each of the rule. Both fields are of the
  same samples, where that algorithm draws anew: with independent draws the
  rule need not converge even on a bilinear game (Chavdarova et al. 2019;
  Mishchenko et al. 2020 take the same samples).
  """
  grads, _ = vector_field(losses, position.params)
  ahead = _follow(optimisers, grads, position)
  grads, aux = vector_field(losses, ahead.params)
  # From where it was, with the optimisers that have seen the way ahead.
  position = position._replace(opt_state=ahead.opt_state)
  return _follow(optimisers, grads, position), Outcome(grads, aux)


def optimistic(
  position: Position, losses: Losses, optimisers: Pair
) -> tuple[Position, Outcome]:
  """Both players expect the field to change as it last did.

  Optimistic mirror descent (Daskalakis et al. 2018), which is extrapolation
  from the past (Gidel et al. 2019, section 3.3) told of the extrapolated
  points:

      w' = w - 2 eta v(w) + eta v(w before)

  The memory is the last update u, and any optimiser's update takes the place
  of -eta v: w' = w + 2 u(w) - u(w before). With Adam that is Optimistic Adam
  (Daskalakis et al. 2018, algorithm 1). Nothing came before the first update,
  which is therefore of twice the size.
  """
  grads, aux = vector_field(losses, position.params)
  updates, opt_state = _updates(optimisers, grads, position)
  expected = jax.tree.map(
    lambda u, last: 2 * u - last, updates, position.memory
  )
  position = position._replace(
    step=position.step + 1,
    params=optax.apply_updates(position.params, expected),
    opt_state=opt_state,
    memory=updates,
  )
  return position, Outcome(grads, aux)


def no_updates(params: Pair) -> Pair:
  """The memory of `optimistic` at the start: updates of zero."""
  zeros: Pair = jax.tree.map(jnp.zeros_like, params)
  return zeros


def consensus(
  position: Position, losses: Losses, optimisers: Pair, *, weight: jax.Array
) -> tuple[Position, Outcome]:
  """Both players also make the field they follow smaller.

  Consensus optimisation (Mescheder et al. 2017, algorithm 2), with J the
  Jacobian of v and g the weight:

      w' = w - eta (v + g grad 1/2 |v|^2) = w - eta (v + g J^T v)

  Each player's part of the penalty reaches through the other's loss, so
  neither may freeze the other. One Jacobian wants one v: it is of the same
  samples as the v it regularises.
  """

  def field(params: Pair) -> tuple[Pair, Pair]:
    return vector_field(losses, params)

  grads, pull_back, aux = jax.vjp(field, position.params, has_aux=True)
  (uphill,) = pull_back(grads)
  grads = jax.tree.map(lambda v, u: v + weight * u, grads, uphill)
  return _follow(optimisers, grads, position), Outcome(grads, aux)


def sga(
  position: Position,
  losses: Losses,
  optimisers: Pair,
  *,
  weight: jax.Array,
  align: bool = True,
) -> tuple[Position, Outcome]:
  """Both players also follow the field's rotation inwards.

  Symplectic gradient adjustment (Balduzzi et al. 2018, algorithm 1): with A
  the antisymmetric part of the Jacobian J of v, and l the weight,

      w' = w - eta (v + l A^T v),    A^T v = 1/2 (J^T v - J v)

  Aligned, l has the sign of <v, J^T v> <A^T v, J^T v> / d + 1/10, with d the
  number of parameters: towards stable equilibria and away from unstable ones.
  As with `consensus`, neither player may freeze the other, and v and J are of
  the same samples.
  """

  def field(params: Pair) -> tuple[Pair, Pair]:
    return vector_field(losses, params)

  params = position.params
  grads, pull_back, aux = jax.vjp(field, params, has_aux=True)
  (uphill,) = pull_back(grads)  # J^T v
  _, along, _ = jax.jvp(field, (params,), (grads,), has_aux=True)  # J v
  inwards = jax.tree.map(lambda u, a: 0.5 * (u - a), uphill, along)
  if align:
    size = sum(x.size for x in jax.tree.leaves(params))
    stable = optax.tree.vdot(grads, uphill) * optax.tree.vdot(inwards, uphill)
    weight = weight * jnp.sign(stable / size + 0.1)
  grads = jax.tree.map(lambda v, a: v + weight * a, grads, inwards)
  return _follow(optimisers, grads, position), Outcome(grads, aux)


def lookahead(
  position: Position,
  losses: Losses,
  optimisers: Pair,
  *,
  steps: int,
  alpha: jax.Array,
) -> tuple[Position, Outcome]:
  """Alternating updates, of which `look_back` keeps a part.

  Lookahead-minmax (Chavdarova et al. 2021, algorithm 1).
  """
  position, outcome = alternating(position, losses, optimisers)
  return look_back(position, steps=steps, alpha=alpha), outcome


def look_back(position: Position, *, steps: int, alpha: jax.Array) -> Position:
  """At each k-th update, puts both players between where they were and are.

  Chavdarova et al. 2021, algorithm 1, lines 10 and 11: k fast updates have led
  from the slow weights s to w; then s' = s + alpha (w - s), from where the
  next one starts. The memory is s. Optimisers keep their moments.

  Args:
    position: after an update, which its step already counts.
    steps: k.
    alpha: `[]` in (0, 1]; 1 goes back by nothing.
  """
  due = position.step % steps == 0

  def between(slow: jax.Array, fast: jax.Array) -> jax.Array:
    return jnp.where(due, slow + alpha * (fast - slow), fast)

  params = jax.tree.map(between, position.memory, position.params)
  memory = jax.tree.map(
    lambda slow, now: jnp.where(due, now, slow), position.memory, params
  )
  return position._replace(params=params, memory=memory)


def copy(params: Pair) -> Pair:
  """The memory of `lookahead` at the start: slow weights of its own."""
  # One buffer cannot be donated twice.
  slow: Pair = jax.tree.map(jnp.copy, params)
  return slow


def unrolled(
  position: Position, losses: Losses, optimisers: Pair, *, steps: int
) -> tuple[Position, Outcome]:
  """G minimises its loss against D's answer to it, k updates ahead.

  Unrolled GANs (Metz et al. 2017, sections 2.2 and 2.3):

      phi_0 = phi,    phi_(i+1) = phi_i - eta grad_phi L_D(theta, phi_i)
      theta' = theta - eta d/dtheta L_G(theta, phi_k(theta)),    phi' = phi_1

  The derivative goes through D's k updates by its own optimiser from its
  present moments, so that G's loss may not freeze D's parameters, nor D's loss
  G's. D itself makes the first of the k and no more: they are all of one
  batch. An optimiser that takes square roots must be smooth at 0: give Adam an
  `eps_root`.
  """
  params, opt_state = position.params, position.opt_state

  def gen_loss(gen_params: types.PyTree) -> tuple[jax.Array, Any]:
    def move(
      disc_params: types.PyTree, disc_state: types.PyTree
    ) -> tuple[types.PyTree, types.PyTree, Any]:
      """D's parameters and moments after an update, and what it followed."""
      here = Pair(gen_params, disc_params)
      grads, aux = _gradient(losses.disc, 1, losses.has_aux, here)
      updates, disc_state = optimisers.disc.update(
        grads, disc_state, disc_params
      )
      disc_params = optax.apply_updates(disc_params, updates)
      return disc_params, disc_state, (grads, aux)

    *first, followed = move(params.disc, opt_state.disc)
    (disc_params, _), _ = jax.lax.scan(
      lambda disc, _: (move(*disc)[:2], None),
      tuple(first),
      None,
      length=steps - 1,
    )
    loss = losses.gen(gen_params, disc_params)
    loss, aux = loss if losses.has_aux else (loss, None)
    return loss, (aux, first, followed)

  gen_grads, (gen_aux, disc, (disc_grads, disc_aux)) = jax.grad(
    gen_loss, has_aux=True
  )(params.gen)
  updates, gen_state = optimisers.gen.update(
    gen_grads, opt_state.gen, params.gen
  )
  position = position._replace(
    step=position.step + 1,
    params=Pair(optax.apply_updates(params.gen, updates), disc[0]),
    opt_state=Pair(gen_state, disc[1]),
  )
  outcome = Outcome(Pair(gen_grads, disc_grads), Pair(gen_aux, disc_aux))
  return position, outcome


# Goodfellow et al. 2014: what the players do unless told otherwise.
ALTERNATING = Rule(alternating, takes_turns=True)
