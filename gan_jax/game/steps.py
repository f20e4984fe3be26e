"""One step of a game: what the rule of play makes of the two losses.

D learns to tell samples from data with G's samples taken as given; G learns
through D with D's parameters frozen (Goodfellow et al. 2014, algorithm 1).
Everything here is pure and works under `vmap` over a leading axis of the
state, the hyperparameters and the key.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from gan_jax import types
from gan_jax.game import (
  augment,
  draws,
  frozen,
  objectives,
  posthoc,
  rules,
  spec as specs,
  state as states,
)

# `step(state, hyper, batch, draw) -> (state, logs)`.
Step = Callable[
  [states.GanState, types.Hyper, types.Batch, draws.StepDraw],
  tuple[states.GanState, types.Logs],
]

_PLAYERS = ('disc', 'gen')
# Beside what terms keep: updates left out.
_SKIPPED = 'skipped'


def make_step(spec: specs.Spec) -> Step:
  """Makes `step(state, hyper, batch, draw) -> (state, logs)`, not jitted.

  `batch` has leading axes `[rounds, B]`: a round for each D update and, where
  the generator's loss compares with real samples of its own, one more for each
  G update.
  Each loss keeps its batch, latents and keys for the whole step, however often
  the rule evaluates it. Batch statistics and logs are of the evaluation whose
  gradients moved the players; of several updates, the logs of the last.
  """

  def step(
    state: states.GanState,
    hyper: types.Hyper,
    batch: types.Batch,
    draw: draws.StepDraw,
  ) -> tuple[states.GanState, types.Logs]:
    hyper = hyper_at(spec, state, hyper)
    before = position_of(state, spec)
    guard = _unless_nonfinite if spec.skip_nonfinite else rules.accept
    turns = {'guard': guard} if spec.rule.takes_turns else {}
    after, outcome = spec.rule.update(
      before,
      make_losses(spec, hyper, state.step, batch, draw),
      types.Pair(*(make(hyper) for make in spec.optimisers)),
      **spec.rule.hyper(hyper),
      **turns,
    )
    logs = {**outcome.logs.disc, **outcome.logs.gen}
    for player in _PLAYERS:
      logs[f'{player}/grad_norm'] = optax.tree.norm(
        getattr(outcome.grads, player)
      )
    with jax.named_scope('average'):
      averages = averages_after(state, after.params.gen, hyper, spec)
    if spec.skip_nonfinite:
      after, logs, moved = _left_out(before, after, logs, spec)
      averages = _choose(moved, averages, _averages_of(state))
    return _state(after, *averages), logs

  return step


def hyper_at(
  spec: specs.Spec, state: states.GanState, hyper: types.Hyper
) -> types.Hyper:
  """The `hyper` of the step after `state`: scheduled, and p where it adapts."""
  hyper = spec.schedule(hyper, state.step)
  if spec.adaptive is None:
    return hyper
  p = augment.strength(state.memory['augment'], hyper)
  return {**hyper, 'augment.p': p}


def make_losses(
  spec: specs.Spec,
  hyper: types.Hyper,
  step: jax.Array,
  batch: types.Batch,
  draw: draws.StepDraw,
) -> rules.Losses:
  """The losses of one step, as functions that the rule of play takes."""

  def closed(
    loss: Callable[..., objectives.Result],
    player: str,
    other: str,
    round: int | jax.Array,
    drawn: draws.UpdateDraw,
  ) -> rules.Loss:
    """A loss of its real samples, its draws and the numbers of this step."""
    if not spec.rule.second_order:
      loss = objectives.frozen(loss)
    real = jax.tree.map(lambda x: x[round], batch)
    if spec.paired_labels:
      drawn = drawn._replace(latent=drawn.latent._replace(label=real.label))

    def of(real: types.Batch, drawn: draws.UpdateDraw) -> rules.Loss:
      def of_players(
        params: types.Pair, carried: types.Pair
      ) -> tuple[jax.Array, tuple[states.Carried, types.Logs]]:
        now = states.StepContext(hyper, step, getattr(carried, player).memory)
        vars = types.Pair(carried.gen.vars, carried.disc.vars)
        params = types.Pair(*map(frozen.hold, params, spec.frozen))
        both = getattr(params, player), getattr(params, other)
        return loss(*both, vars, real, drawn, now, spec)

      return of_players

    count = spec.microbatches
    if count == 1:
      return of(real, drawn)
    return rules.Parts(
      lambda number: of(
        draws.part_of_batch(real, number, count),
        draws.part(drawn, number, count),
      ),
      count,
      player,
    )

  def of_disc(round: int | jax.Array, drawn: draws.UpdateDraw) -> rules.Loss:
    return closed(objectives.discriminator_loss, 'disc', 'gen', round, drawn)

  in_loop: Callable[[jax.Array], rules.Loss] | None = None
  if spec.loop_disc:
    each = jax.tree.map(lambda *draws: jnp.stack(draws), *draw.disc)

    def in_loop(round: jax.Array) -> rules.Loss:
      return of_disc(round, jax.tree.map(lambda x: x[round], each))

  def of_gen(number: int, drawn: draws.UpdateDraw) -> rules.Loss:
    has_own = len(batch.x) > spec.disc_steps
    round = spec.disc_steps + number if has_own else spec.disc_steps - 1
    return closed(objectives.generator_loss, 'gen', 'disc', round, drawn)

  return rules.Losses(
    gen=tuple(of_gen(i, drawn) for i, drawn in enumerate(draw.gen)),
    disc=tuple(of_disc(i, drawn) for i, drawn in enumerate(draw.disc)),
    disc_in_loop=in_loop,
  )


def position_of(state: states.GanState, spec: specs.Spec) -> rules.Position:
  """The part of the state that a rule moves."""
  gen, disc, memory = state.gen, state.disc, state.memory

  def carried(player: str, vars: types.PyTree) -> states.Carried:
    player_memory = {name: memory[name] for name in getattr(spec.terms, player)}
    if spec.skip_nonfinite:
      player_memory[_SKIPPED] = memory[_SKIPPED][player]
    return states.Carried(vars, player_memory)

  return rules.Position(
    step=state.step,
    params=types.Pair(gen.params, disc.params),
    opt_state=types.Pair(gen.opt_state, disc.opt_state),
    carried=types.Pair(carried('gen', gen.vars), carried('disc', disc.vars)),
    memory=memory.get('rule', ()),
  )


def _state(
  position: rules.Position, gen_ema: types.PyTree, lengths: states.Memory
) -> states.GanState:
  """The whole state at a position, with averages; the inverse of `position_of`.

  Args:
    position: of the players.
    gen_ema: the average of `ema.half_life`.
    lengths: under 'posthoc' those of other lengths, if any.
  """
  params, opt_state = position.params, position.opt_state
  carried = position.carried
  memory = {**carried.gen.memory, **carried.disc.memory, **lengths}
  if _SKIPPED in memory:
    memory[_SKIPPED] = {
      player: getattr(carried, player).memory[_SKIPPED] for player in _PLAYERS
    }
  if jax.tree.leaves(position.memory):
    memory['rule'] = position.memory
  return states.GanState(
    step=position.step,
    gen=states.NetState(params.gen, opt_state.gen, carried.gen.vars),
    disc=states.NetState(params.disc, opt_state.disc, carried.disc.vars),
    gen_ema=gen_ema,
    memory=memory,
  )


def _averages_of(
  state: states.GanState,
) -> tuple[types.PyTree, states.Memory]:
  """`gen_ema` and, by the name of their memory, those of other lengths."""
  key = posthoc.MEMORY
  lengths = {key: state.memory[key]} if key in state.memory else {}
  return state.gen_ema, lengths


def averages_after(
  state: states.GanState,
  gen_params: types.PyTree,
  hyper: types.Hyper,
  spec: specs.Spec,
) -> tuple[types.PyTree, states.Memory]:
  """G's moving averages after the step from `state` to `gen_params`."""
  log_decay = -jnp.log(2.0) * spec.batch_samples / hyper['ema.half_life']
  ema, lengths = _averages_of(state)
  step = state.step + 1
  return states.debiased_ema(ema, gen_params, log_decay, step), {
    key: posthoc.follow(average, gen_params, step)
    for key, average in lengths.items()
  }


def _choose(
  which: jax.Array, new: types.PyTree, old: types.PyTree
) -> types.PyTree:
  return jax.tree.map(lambda a, b: jnp.where(which, a, b), new, old)


def _num_left_out(position: rules.Position, player: str) -> jax.Array:
  count: jax.Array = getattr(position.carried, player).memory[_SKIPPED]
  return count


def _counted(
  position: rules.Position, player: str, fine: jax.Array
) -> rules.Position:
  """The position with one update more left out, unless it was fine."""
  player_carried = getattr(position.carried, player)
  count = player_carried.memory[_SKIPPED] + 1 - fine.astype(jnp.int32)
  player_carried = player_carried._replace(
    memory={**player_carried.memory, _SKIPPED: count}
  )
  carried = position.carried._replace(**{player: player_carried})
  return position._replace(carried=carried)


def _unless_nonfinite(
  before: rules.Position,
  after: rules.Position,
  player: str,
  grads: types.PyTree,
  logs: types.Logs,
) -> rules.Position:
  """The guard that leaves out an update of a loss or gradient not finite."""
  fine = jnp.isfinite(logs[f'{player}/loss'] + optax.tree.norm(grads))
  kept: rules.Position = _choose(fine, after, before)
  return _counted(kept, player, fine)


def _left_out(
  before: rules.Position,
  after: rules.Position,
  logs: types.Logs,
  spec: specs.Spec,
) -> tuple[rules.Position, types.Logs, jax.Array]:
  """What stands of a step, its logs, and whether G moved.

  Where players take turns, a guard has left out each update by itself; where
  both move at once, neither moves unless both are fine.
  """
  fine = {
    player: jnp.isfinite(logs[f'{player}/loss'] + logs[f'{player}/grad_norm'])
    for player in _PLAYERS
  }
  if spec.rule.takes_turns:
    # Of all updates of a player, of which the logs are the last one's.
    skipped = {
      f'{player}/skipped': (
        _num_left_out(after, player) - _num_left_out(before, player)
      ).astype(jnp.float32)
      for player in _PLAYERS
    }
    return after, logs | skipped, skipped['gen/skipped'] < spec.gen_steps
  logs = logs | {f'{player}/skipped': 1.0 - x for player, x in fine.items()}
  both = fine['gen'] & fine['disc']
  kept: rules.Position = _choose(both, after, before)
  for player, is_fine in fine.items():
    kept = _counted(kept, player, is_fine)
  return kept._replace(step=after.step), logs, both
