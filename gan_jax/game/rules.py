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
may be called several times within one rule and must be one function there:
who estimates it from samples draws them, and the keys of dropout, once and
closes the loss over them. All rules work under `jit`, `scan` and `vmap`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gan_jax import types

# `loss(params, carried) -> (value, (carried_on, logs))`, of both players'
# parameters and of what each has carried so far. The value is `[]`;
# `carried_on` is what this player carries from here, such as batch statistics.
Loss = Callable[[types.Pair, types.Pair], tuple[jax.Array, tuple[Any, Any]]]


NOTHING = types.Pair((), ())


@dataclasses.dataclass(frozen=True)
class Parts:
  """A loss that is the mean of those of equal parts of its batch.

  Its gradient is taken of one part after another, so that one alone is in
  memory (gradient accumulation).

  Attributes:
    of: the loss of the part of this number, `[]` int32.
    parts: how many.
    player: whose loss it is; each part goes on with what the one before it
      carried on.
  """

  of: Callable[[jax.Array], Loss]
  parts: int
  player: str

  def __call__(
    self, params: types.Pair, carried: types.Pair
  ) -> tuple[jax.Array, tuple[Any, Any]]:
    """The whole loss."""
    zero = jnp.zeros(())
    return self.in_turn(lambda loss, now: loss(params, now), carried, zero)

  def in_turn(
    self,
    evaluate: Callable[[Loss, types.Pair], tuple[Any, tuple[Any, Any]]],
    carried: types.Pair,
    zero: types.PyTree,
  ) -> tuple[Any, tuple[Any, Any]]:
    """The means, over parts, of what `evaluate(loss, carried)` gives and logs.

    Args:
      evaluate: gives a tree such as `zero`, and `(carried_on, logs)`.
      carried: before the first part.
      zero: of such a tree.

    Returns:
      The mean tree, and what the last part carried on with the mean logs.
    """

    def one(before: tuple[Any, Any], number: jax.Array) -> tuple[Any, Any]:
      total, own = before
      now = carried._replace(**{self.player: own})
      result, (own, logs) = evaluate(self.of(number), now)
      return (optax.tree.add(total, result), own), logs

    start = zero, getattr(carried, self.player)
    (total, own), logs = jax.lax.scan(one, start, jnp.arange(self.parts))
    logs = jax.tree.map(lambda x: x.mean(axis=0), logs)
    return optax.tree.scale(1 / self.parts, total), (own, logs)


class Losses(NamedTuple):
  """What each player minimises.

  Attributes:
    gen: L_G of each of G's updates in one step. A rule that moves both players
      at once plays the first.
    disc: the same of D's, of samples of their own.
    disc_in_loop: L_D of the number `[]` of the update, for a loop over
      them that is compiled once; None compiles one after another.
  """

  gen: tuple[Loss, ...]
  disc: tuple[Loss, ...]
  disc_in_loop: Callable[[jax.Array], Loss] | None = None


def exact(
  gen: Callable[[Any, Any], jax.Array], disc: Callable[[Any, Any], jax.Array]
) -> Losses:
  """Losses that are functions of both players' parameters alone."""

  def carries_nothing(loss: Callable[[Any, Any], jax.Array]) -> Loss:
    return lambda params, carried: (loss(*params), ((), {}))

  return Losses((carries_nothing(gen),), (carries_nothing(disc),))


class Position(NamedTuple):
  """Where a game is.

  Attributes:
    step: `[]` int32, steps done.
    params: of both players.
    opt_state: of both optimisers.
    carried: what the losses hand on, of each player its own.
    memory: what the rule remembers of earlier steps; `()` if nothing.
  """

  step: jax.Array
  params: types.Pair
  opt_state: types.Pair
  carried: types.Pair = NOTHING
  memory: types.PyTree = ()


class Outcome(NamedTuple):
  """What a step followed.

  Attributes:
    grads: what the optimisers were last given, with the trees of the
      parameters.
    logs: of both losses, where these gradients were taken.
  """

  grads: types.Pair
  logs: types.Pair


# `guard(before, after, player, grads, logs)` says which of two positions
# stands after one player's update.
Guard = Callable[[Position, Position, str, Any, Any], Position]


def accept(
  before: Position, after: Position, player: str, grads: Any, logs: Any
) -> Position:
  """Every update stands."""
  del before, player, grads, logs
  return after


class Rule(NamedTuple):
  """An update rule and what the step around it must know of it.

  Attributes:
    update: `update(position, losses, optimisers, **hyper)`; one that takes
      turns also has a `guard`.
    hyper: from the game's hyperparameters to `update`'s keyword arguments.
    memory: from the initial parameters to the initial `Position.memory`.
    takes_turns: D moves first and G answers D's new parameters, so that each
      can draw samples of its own and move more than once.
    second_order: it differentiates a player's loss with respect to the other's
      parameters, which must then not be frozen.
    through_optimiser: it differentiates through D's optimiser, too.
    period: steps after which it does the same again.
  """

  update: Callable[..., tuple[Position, Outcome]]
  hyper: Callable[[types.Hyper], types.Hyper] = lambda hyper: {}
  memory: Callable[[types.Pair], types.PyTree] = lambda params: ()
  takes_turns: bool = False
  second_order: bool = False
  through_optimiser: bool = False
  period: int = 1


def start(
  params: types.Pair, optimisers: types.Pair, memory: types.PyTree = ()
) -> Position:
  """The position before the first step of a game that carries nothing."""
  opt_state = types.Pair(
    optimisers.gen.init(params.gen), optimisers.disc.init(params.disc)
  )
  return Position(jnp.zeros((), jnp.int32), params, opt_state, memory=memory)


# `(v, (carried, logs))`, each of both players.
_Field = tuple[types.Pair, tuple[types.Pair, types.Pair]]
# A player's gradient, what it carries on, and its logs.
_Followed = tuple[types.PyTree, Any, Any]


def _gradient(
  loss: Loss, player: str, params: types.Pair, carried: types.Pair
) -> _Followed:
  """The gradient of a loss in its own player's parameters."""

  own_params = getattr(params, player)

  def of(loss: Loss, carried: types.Pair) -> tuple[Any, tuple[Any, Any]]:
    def of_own(own_params: types.PyTree) -> tuple[jax.Array, tuple[Any, Any]]:
      return loss(params._replace(**{player: own_params}), carried)

    found: tuple[Any, tuple[Any, Any]]
    found = jax.grad(of_own, has_aux=True)(own_params)
    return found

  with jax.named_scope(f'{player}_update'):
    if isinstance(loss, Parts):
      zeros = optax.tree.zeros_like(own_params)
      grads, (carried_on, logs) = loss.in_turn(of, carried, zeros)
    else:
      grads, (carried_on, logs) = of(loss, carried)
  return grads, carried_on, logs


def vector_field(
  losses: Losses, params: types.Pair, carried: types.Pair = NOTHING
) -> _Field:
  """`(v, (carried, logs))` with v = (grad_theta L_G, grad_phi L_D)."""
  gen = _gradient(losses.gen[0], 'gen', params, carried)
  disc = _gradient(losses.disc[0], 'disc', params, carried)
  grads, carried, logs = map(types.Pair, gen, disc)
  return grads, (carried, logs)


def _updates(
  optimisers: types.Pair, grads: types.Pair, position: Position
) -> tuple[types.Pair, types.Pair]:
  """`(updates, opt_state)` of both optimisers."""
  params, opt_state = position.params, position.opt_state
  gen, gen_state = optimisers.gen.update(grads.gen, opt_state.gen, params.gen)
  disc, disc_state = optimisers.disc.update(
    grads.disc, opt_state.disc, params.disc
  )
  return types.Pair(gen, disc), types.Pair(gen_state, disc_state)


def _follow(
  optimisers: types.Pair,
  grads: types.Pair,
  carried: types.Pair,
  position: Position,
) -> Position:
  """Both players moved along their own part of `grads`."""
  updates, opt_state = _updates(optimisers, grads, position)
  return position._replace(
    step=position.step + 1,
    params=optax.apply_updates(position.params, updates),
    opt_state=opt_state,
    carried=carried,
  )


def _turn(
  player: str,
  position: Position,
  loss: Loss,
  optimisers: types.Pair,
  guard: Guard,
) -> tuple[Position, tuple[types.PyTree, Any]]:
  """One player moved along its own gradient, with what it followed."""
  params, opt_state = position.params, position.opt_state
  grads, carried_on, logs = _gradient(loss, player, params, position.carried)
  own_params = getattr(params, player)
  with jax.named_scope(f'{player}_update'):
    updates, own_state = getattr(optimisers, player).update(
      grads, getattr(opt_state, player), own_params
    )
    moved = optax.apply_updates(own_params, updates)
  after = position._replace(
    params=params._replace(**{player: moved}),
    opt_state=opt_state._replace(**{player: own_state}),
    carried=position.carried._replace(**{player: carried_on}),
  )
  return guard(position, after, player, grads, logs), (grads, logs)


def _turns(
  player: str,
  position: Position,
  losses: tuple[Loss, ...],
  optimisers: types.Pair,
  guard: Guard,
) -> tuple[Position, tuple[types.PyTree, Any]]:
  """A player moved along each of its losses, with what it followed last."""
  for loss in losses:
    position, last = _turn(player, position, loss, optimisers, guard)
  return position, last


def _disc_turns(
  position: Position, losses: Losses, optimisers: types.Pair, guard: Guard
) -> tuple[Position, tuple[types.PyTree, Any]]:
  """`_turns` of D, which may be in a loop."""
  in_loop = losses.disc_in_loop
  if in_loop is None:
    return _turns('disc', position, losses.disc, optimisers, guard)

  def turn(
    i: jax.Array, position: Position
  ) -> tuple[Position, tuple[types.PyTree, Any]]:
    return _turn('disc', position, in_loop(i), optimisers, guard)

  _, followed = jax.eval_shape(turn, jnp.int32(0), position)
  last = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), followed)
  moved: tuple[Position, tuple[types.PyTree, Any]] = jax.lax.fori_loop(
    0, len(losses.disc), lambda i, before: turn(i, before[0]), (position, last)
  )
  return moved


def simultaneous(
  position: Position, losses: Losses, optimisers: types.Pair
) -> tuple[Position, Outcome]:
  """Both players move along v(w) from the same point: w' = w - eta v(w).

  Simultaneous gradient descent (Mescheder et al. 2017, algorithm 1). On the
  game xy each update multiplies the distance to the equilibrium by
  sqrt(1 + eta^2).
  """
  grads, (carried, logs) = vector_field(
    losses, position.params, position.carried
  )
  position = _follow(optimisers, grads, carried, position)
  return position, Outcome(grads, logs)


def alternating(
  position: Position,
  losses: Losses,
  optimisers: types.Pair,
  *,
  guard: Guard = accept,
) -> tuple[Position, Outcome]:
  """D moves first and G follows its gradient at D's new parameters.

  Goodfellow et al. 2014, algorithm 1: k updates of D, each of samples of its
  own, then one of G (or several). With one of each

      phi' = phi - eta grad_phi L_D(theta, phi)
      theta' = theta - eta grad_theta L_G(theta, phi')

  On the game xy with G at x it stays on x^2 + y^2 + eta xy = const.

  Args:
    position: before the step.
    losses: of each update of either.
    optimisers: of both.
    guard: which updates stand.

  Returns:
    The position after the step, and what the last update of either followed.
  """
  position, disc = _disc_turns(position, losses, optimisers, guard)
  position, gen = _turns('gen', position, losses.gen, optimisers, guard)
  grads, logs = map(types.Pair, gen, disc)
  position = position._replace(step=position.step + 1)
  return position, Outcome(grads, logs)


def extragradient(
  position: Position, losses: Losses, optimisers: types.Pair
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
  here = position.carried
  grads, _ = vector_field(losses, position.params, here)
  ahead = _follow(optimisers, grads, here, position)
  grads, (carried, logs) = vector_field(losses, ahead.params, here)
  # From where it was, with the optimisers that have seen the way ahead.
  position = position._replace(opt_state=ahead.opt_state)
  position = _follow(optimisers, grads, carried, position)
  return position, Outcome(grads, logs)


def optimistic(
  position: Position, losses: Losses, optimisers: types.Pair
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
  grads, (carried, logs) = vector_field(
    losses, position.params, position.carried
  )
  updates, opt_state = _updates(optimisers, grads, position)
  expected = jax.tree.map(
    lambda u, last: 2 * u - last, updates, position.memory
  )
  position = position._replace(
    step=position.step + 1,
    params=optax.apply_updates(position.params, expected),
    opt_state=opt_state,
    carried=carried,
    memory=updates,
  )
  return position, Outcome(grads, logs)


def no_updates(params: types.Pair) -> types.Pair:
  """The memory of `optimistic` at the start: updates of zero."""
  zeros: types.Pair = jax.tree.map(jnp.zeros_like, params)
  return zeros


def consensus(
  position: Position,
  losses: Losses,
  optimisers: types.Pair,
  *,
  weight: jax.Array,
) -> tuple[Position, Outcome]:
  """Both players also make the field they follow smaller.

  Consensus optimisation (Mescheder et al. 2017, algorithm 2), with J the
  Jacobian of v and g the weight:

      w' = w - eta (v + g grad 1/2 |v|^2) = w - eta (v + g J^T v)

  Each player's part of the penalty reaches through the other's loss, so
  neither may freeze the other. One Jacobian wants one v: it is of the same
  samples as the v it regularises.
  """
  field = functools.partial(vector_field, losses, carried=position.carried)
  grads, pull_back, (carried, logs) = jax.vjp(
    field, position.params, has_aux=True
  )
  (uphill,) = pull_back(grads)
  grads = jax.tree.map(lambda v, u: v + weight * u, grads, uphill)
  position = _follow(optimisers, grads, carried, position)
  return position, Outcome(grads, logs)


def sga(
  position: Position,
  losses: Losses,
  optimisers: types.Pair,
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
  field = functools.partial(vector_field, losses, carried=position.carried)
  params = position.params
  grads, pull_back, (carried, logs) = jax.vjp(field, params, has_aux=True)
  (uphill,) = pull_back(grads)  # J^T v
  _, along, _ = jax.jvp(field, (params,), (grads,), has_aux=True)  # J v
  inwards = jax.tree.map(lambda u, a: 0.5 * (u - a), uphill, along)
  if align:
    size = sum(x.size for x in jax.tree.leaves(params))
    stable = optax.tree.vdot(grads, uphill) * optax.tree.vdot(inwards, uphill)
    weight = weight * jnp.sign(stable / size + 0.1)
  grads = jax.tree.map(lambda v, a: v + weight * a, grads, inwards)
  position = _follow(optimisers, grads, carried, position)
  return position, Outcome(grads, logs)


def lookahead(
  position: Position,
  losses: Losses,
  optimisers: types.Pair,
  *,
  steps: int,
  alpha: jax.Array,
  guard: Guard = accept,
) -> tuple[Position, Outcome]:
  """Alternating steps, of which `_look_back` keeps a part.

  Lookahead-minmax (Chavdarova et al. 2021, algorithm 1).
  """
  position, outcome = alternating(position, losses, optimisers, guard=guard)
  return _look_back(position, steps=steps, alpha=alpha), outcome


def _look_back(position: Position, *, steps: int, alpha: jax.Array) -> Position:
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


def slow_weights(params: types.Pair) -> types.Pair:
  """The memory of `lookahead` at the start: slow weights of its own."""
  # One buffer cannot be donated twice.
  slow: types.Pair = jax.tree.map(jnp.copy, params)
  return slow


def unrolled(
  position: Position, losses: Losses, optimisers: types.Pair, *, steps: int
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
  here, loss = position.carried, losses.disc[0]

  def gen_loss(gen_params: types.PyTree) -> tuple[jax.Array, Any]:
    def move(
      disc_params: types.PyTree, disc_state: types.PyTree
    ) -> tuple[types.PyTree, types.PyTree, _Followed]:
      """D's parameters and moments after an update, and what it followed."""
      both = types.Pair(gen_params, disc_params)
      followed = _gradient(loss, 'disc', both, here)
      updates, disc_state = optimisers.disc.update(
        followed[0], disc_state, disc_params
      )
      return optax.apply_updates(disc_params, updates), disc_state, followed

    *first, followed = move(params.disc, opt_state.disc)
    (disc_params, _), _ = jax.lax.scan(
      lambda disc, _: (move(*disc)[:2], None),
      tuple(first),
      None,
      length=steps - 1,
    )
    value, (gen_carried, logs) = losses.gen[0](
      types.Pair(gen_params, disc_params), here
    )
    return value, (gen_carried, logs, first, followed)

  gen_grads, (gen_carried, logs, first, followed) = jax.grad(
    gen_loss, has_aux=True
  )(params.gen)
  updates, gen_state = optimisers.gen.update(
    gen_grads, opt_state.gen, params.gen
  )
  disc_grads, disc_carried, disc_logs = followed
  position = position._replace(
    step=position.step + 1,
    params=types.Pair(optax.apply_updates(params.gen, updates), first[0]),
    opt_state=types.Pair(gen_state, first[1]),
    carried=types.Pair(gen_carried, disc_carried),
  )
  outcome = Outcome(
    types.Pair(gen_grads, disc_grads), types.Pair(logs, disc_logs)
  )
  return position, outcome


# Goodfellow et al. 2014: what the players do unless told otherwise.
ALTERNATING = Rule(alternating, takes_turns=True)
