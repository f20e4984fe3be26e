"""The two players' losses and the step in which they alternate.

D learns to tell samples from data with G's samples taken as given; G learns
through D with D's parameters frozen (Goodfellow et al. 2014, algorithm 1).
Other rules than taking turns are in games.py; here they get their losses.
Everything here is pure and works under `vmap` over a leading axis of the
state, the hyperparameters and the key.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gan_jax import types
from gan_jax.game import (
  draws,
  objectives,
  penalties,
  rules as games,
  spec as specs,
  state as states,
)

TrainStep = Callable[
  [states.GanState, types.Hyper, types.Batch, jax.Array],
  tuple[states.GanState, types.Logs],
]
# The same, with what the key gives in its place.
DrawnStep = Callable[
  [states.GanState, types.Hyper, types.Batch, draws.Draws],
  tuple[states.GanState, types.Logs],
]


def discriminator_step(
  state: states.GanState,
  hyper: types.Hyper,
  batch: types.Batch,
  z: jax.Array,
  keys: draws.Keys,
  *,
  spec: specs.Spec,
  count: jax.Array,
) -> tuple[states.GanState, types.Logs]:
  """One update of D; G's half of the state comes back as it was.

  Args:
    state: of the game.
    hyper: its numbers at this step.
    batch: real samples `[B, ...]`.
    z: latents `[B, Z]`.
    keys: this update's keys.
    spec: the game.
    count: `[]` updates of D including this one, from 1.
  """
  gen, disc, averages = state.gen, state.disc, state.extra['lecam']
  grad = jax.grad(objectives.discriminator_loss, has_aux=True)
  grads, (new_vars, logs) = grad(
    disc.params, gen.params, disc.vars, gen.vars, batch, z, keys,
    spec=spec, hyper=hyper, step=state.step, averages=averages,
  )  # fmt: skip
  disc, logs['disc/grad_norm'] = _update(
    disc, grads, new_vars, spec.disc_optimiser(hyper)
  )
  averages = _follow_logits(averages, logs, hyper, count)
  extra = {**state.extra, 'lecam': averages}
  return state._replace(disc=disc, extra=extra), logs


def _follow_logits(
  averages: penalties.LogitAverages,
  logs: types.Logs,
  hyper: types.Hyper,
  count: jax.Array,
) -> penalties.LogitAverages:
  """LeCam's averages after the D update that left `logs`."""
  new: penalties.LogitAverages = states.debiased_ema(
    averages,
    penalties.LogitAverages(logs['disc/real'], logs['disc/fake']),
    jnp.log(hyper['penalties.lecam.decay']),
    count,
  )
  return new


def generator_step(
  state: states.GanState,
  hyper: types.Hyper,
  batch: types.Batch,
  z: jax.Array,
  keys: draws.Keys,
  *,
  spec: specs.Spec,
) -> tuple[states.GanState, types.Logs]:
  """One update of G and of its average; D's half comes back as it was.

  Arguments as of `discriminator_step`.
  """
  gen, disc = state.gen, state.disc
  grads, (new_vars, logs) = jax.grad(objectives.generator_loss, has_aux=True)(
    gen.params, disc.params, gen.vars, disc.vars, batch, z, keys, spec=spec
  )
  gen, logs['gen/grad_norm'] = _update(
    gen, grads, new_vars, spec.gen_optimiser(hyper)
  )
  ema = _average(state, gen.params, hyper, spec)
  return state._replace(gen=gen, gen_ema=ema), logs


def _average(
  state: states.GanState,
  gen_params: types.PyTree,
  hyper: types.Hyper,
  spec: specs.Spec,
) -> types.PyTree:
  """G's moving average after the update of `state` to `gen_params`."""
  log_decay = -jnp.log(2.0) * spec.batch_size / hyper['ema.half_life']
  return states.debiased_ema(
    state.gen_ema, gen_params, log_decay, state.step + 1
  )


def make_train_step(spec: specs.Spec) -> TrainStep:
  """Makes `step(state, hyper, batch, key) -> (state, logs)`.

  It is `make_drawn_step`'s, of what `draw` gives for the key.
  """
  step = make_drawn_step(spec)
  return lambda state, hyper, batch, key: step(
    state, hyper, batch, draw(spec, key)
  )


def draw(spec: specs.Spec, key: jax.Array) -> draws.Draws:
  """Latents and keys for all updates of one step."""

  def latents(keys: draws.Keys) -> jax.Array:
    return spec.latent(keys.latents, spec.batch_size)

  gen_keys, *disc_keys = map(
    draws.split_keys, jax.random.split(key, spec.disc_steps + 1)
  )
  return draws.Draws(
    disc=tuple(draws.Draw(latents(keys), keys) for keys in disc_keys),
    gen_keys=gen_keys,
    gen_z=None if spec.share_latents else latents(gen_keys),
  )


def make_drawn_step(spec: specs.Spec) -> DrawnStep:
  """Makes `step(state, hyper, batch, drawn) -> (state, logs)`.

  D is updated `disc_steps` times, then G once, then G's moving average. The
  step is not jitted. `batch` has leading axes `[rounds, B]`: a round for each
  D update and, where the generator's loss compares with real samples of its
  own, one more for it. A rule that does not take turns moves both at once.
  """
  if not spec.rule.takes_turns:
    return _make_joint_step(spec)

  def step(
    state: states.GanState,
    hyper: types.Hyper,
    batch: types.Batch,
    drawn: draws.Draws,
  ) -> tuple[states.GanState, types.Logs]:
    hyper = spec.schedule(hyper, state.step)
    logs: types.Logs = {}
    for i, own in enumerate(drawn.disc):
      real = jax.tree.map(lambda x, i=i: x[i], batch)
      count = state.step * spec.disc_steps + i + 1
      new_state, logs = discriminator_step(
        state, hyper, real, *own, spec=spec, count=count
      )
      if spec.skip_nonfinite:
        new_state, logs = _skip_nonfinite(('disc',), state, new_state, logs)
      state = new_state
    real = jax.tree.map(lambda x: x[-1], batch)
    new_state, gen_logs = generator_step(
      state, hyper, real, *drawn.gen, spec=spec
    )
    if spec.skip_nonfinite:
      new_state, gen_logs = _skip_nonfinite(
        ('gen',), state, new_state, gen_logs
      )
    before, state = state, new_state._replace(step=state.step + 1)
    if spec.rule.look_back:
      position = spec.rule.look_back(
        _position(state), **spec.rule.numbers(hyper)
      )
      vars = state.gen.vars, state.disc.vars
      state = _moved(before, position, *vars, hyper, spec)
    return state, {**logs, **gen_logs}

  return step


def _make_joint_step(spec: specs.Spec) -> DrawnStep:
  """The step of a rule that moves both players from one point.

  Each loss keeps its batch, latents and keys for the whole step, however often
  the rule evaluates it: the rule sees two functions of the parameters alone.
  G has draws of its own unless the latents are shared. Statistics of batches
  and logs are of the evaluation whose gradients moved the players.
  """
  frozen = not spec.rule.second_order

  def step(
    state: states.GanState,
    hyper: types.Hyper,
    batch: types.Batch,
    drawn: draws.Draws,
  ) -> tuple[states.GanState, types.Logs]:
    hyper = spec.schedule(hyper, state.step)
    (disc_drawn,), gen_drawn = drawn.disc, drawn.gen
    gen_real = jax.tree.map(lambda x: x[-1], batch)
    disc_real = jax.tree.map(lambda x: x[0], batch)
    gen_vars, disc_vars = state.gen.vars, state.disc.vars
    averages = state.extra['lecam']

    def gen_loss(gen: types.PyTree, disc: types.PyTree) -> Any:
      return objectives.generator_loss(
        gen, disc, gen_vars, disc_vars, gen_real, *gen_drawn,
        spec=spec, frozen=frozen,
      )  # fmt: skip

    def disc_loss(gen: types.PyTree, disc: types.PyTree) -> Any:
      return objectives.discriminator_loss(
        disc, gen, disc_vars, gen_vars, disc_real, *disc_drawn,
        spec=spec, hyper=hyper, step=state.step, averages=averages,
        frozen=frozen,
      )  # fmt: skip

    position, outcome = spec.rule.update(
      _position(state),
      games.Losses(gen_loss, disc_loss, has_aux=True),
      games.Pair(spec.gen_optimiser(hyper), spec.disc_optimiser(hyper)),
      **spec.rule.numbers(hyper),
    )
    (gen_vars, gen_logs), (disc_vars, disc_logs) = outcome.aux
    logs = {
      **disc_logs,
      'disc/grad_norm': optax.tree.norm(outcome.grads.disc),
      **gen_logs,
      'gen/grad_norm': optax.tree.norm(outcome.grads.gen),
    }
    averages = _follow_logits(averages, logs, hyper, state.step + 1)
    before = state
    state = state._replace(extra={**state.extra, 'lecam': averages})
    state = _moved(state, position, gen_vars, disc_vars, hyper, spec)
    if spec.skip_nonfinite:
      state, logs = _skip_nonfinite(('disc', 'gen'), before, state, logs)
    return state, logs

  return step


def _position(state: states.GanState) -> games.Position:
  """The part of the state that a rule moves."""
  gen, disc = state.gen, state.disc
  return games.Position(
    state.step,
    games.Pair(gen.params, disc.params),
    games.Pair(gen.opt_state, disc.opt_state),
    state.extra.get('game', ()),
  )


def _moved(
  state: states.GanState,
  position: games.Position,
  gen_vars: types.PyTree,
  disc_vars: types.PyTree,
  hyper: types.Hyper,
  spec: specs.Spec,
) -> states.GanState:
  """The state after a rule moved it to `position`, and G's average after it."""
  params, opt_state = position.params, position.opt_state
  extra = dict(state.extra)
  if 'game' in extra:
    extra['game'] = position.memory
  return states.GanState(
    step=position.step,
    gen=states.NetState(params.gen, opt_state.gen, gen_vars),
    disc=states.NetState(params.disc, opt_state.disc, disc_vars),
    gen_ema=_average(state, params.gen, hyper, spec),
    extra=extra,
  )


def _skip_nonfinite(
  players: Sequence[str],
  old: states.GanState,
  new: states.GanState,
  logs: types.Logs,
) -> tuple[states.GanState, types.Logs]:
  """The old state again where a loss or gradient of theirs is not finite."""
  fine = {
    name: jnp.isfinite(logs[f'{name}/loss'] + logs[f'{name}/grad_norm'])
    for name in players
  }
  sound = jnp.stack(list(fine.values())).all()
  kept = jax.tree.map(lambda a, b: jnp.where(sound, b, a), old, new)
  count, logs = dict(kept.extra['skipped']), dict(logs)
  for name, own in fine.items():
    count[name] += 1 - own.astype(jnp.int32)
    logs[f'{name}/skipped'] = 1.0 - own
  extra = {**kept.extra, 'skipped': count}
  return kept._replace(step=new.step, extra=extra), logs


def _update(
  player: states.NetState,
  grads: types.PyTree,
  new_vars: types.PyTree,
  optimiser: optax.GradientTransformation,
) -> tuple[states.NetState, jax.Array]:
  """One optimiser step: the player, and the norm `[]` of its gradient."""
  updates, opt_state = optimiser.update(grads, player.opt_state, player.params)
  params = optax.apply_updates(player.params, updates)
  norm = optax.tree.norm(grads)
  return states.NetState(params, opt_state, new_vars), norm
