"""The two players' losses and the step in which they alternate.

D learns to tell samples from data with G's samples taken as given; G learns
through D with D's parameters frozen (Goodfellow et al. 2014, algorithm 1).
Other rules than taking turns are in games.py; here they get their losses.
Everything here is pure and works under `vmap` over a leading axis of the
state, the hyperparameters and the key.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gan_jax import (
  draws,
  games,
  homogeneous,
  losses,
  penalties,
  state as states,
  types,
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


class Seen(NamedTuple):
  """Samples and what D makes of them.

  Attributes:
    x: `[B, ...]`, as D sees them.
    logits: `[B]`.
    slopes: `slopes()`, the gradient of each logit at its sample, `[B, ...]`.
  """

  x: jax.Array
  logits: jax.Array
  slopes: Callable[[], jax.Array]


class Round(NamedTuple):
  """One D update seen by a penalty.

  Attributes:
    disc: D closed over the parameters being differentiated.
    real: real samples.
    fake: generated samples.
    averages: LeCam's moving averages.
    key: for penalties that draw the points they look at.
  """

  disc: types.DiscFn
  real: Seen
  fake: Seen
  averages: penalties.LogitAverages
  key: jax.Array


class Penalty(NamedTuple):
  """A term of D's loss.

  Attributes:
    value: what `hyper['penalties.NAME.weight']` multiplies.
    every: applied at each k-th step with k times the weight (Karras et al.
      2020, appendix B: lazy regularisation).
    slopes_of: the samples whose slopes it reads, 'real', 'fake' or neither.
  """

  value: Callable[[Round], jax.Array]
  every: int = 1
  slopes_of: str = ''


class Spec(NamedTuple):
  """All of a game that shapes its program; its numbers are in `Hyper`.

  Attributes:
    gen: the generator.
    disc: the discriminator.
    loss: what each player minimises.
    gen_optimiser: from the hyperparameters to G's optimiser.
    disc_optimiser: the same for D.
    latent: `latent(key, n) -> [n, Z]`.
    schedule: `schedule(hyper, step) -> hyper`, the numbers of this step.
    penalties: by name.
    batch_size: samples `[B]` a player draws at once, `packing` included.
    disc_steps: D updates for each G update.
    share_latents: whether G reuses the draws of the last D update.
    packing: samples that D judges at once (PacGAN, Lin et al. 2018).
    skip_nonfinite: leave out and count an update whose loss or gradient is
      not finite.
    to_data: from the networks' units to those of the data.
    from_data: the reverse.
    rule: how the players move.
  """

  gen: types.Network
  disc: types.Network
  loss: losses.GanLoss
  gen_optimiser: states.OptimiserFn
  disc_optimiser: states.OptimiserFn
  latent: Callable[[jax.Array, int], jax.Array]
  schedule: Callable[[types.Hyper, jax.Array], types.Hyper]
  penalties: Mapping[str, Penalty]
  batch_size: int
  disc_steps: int
  share_latents: bool
  packing: int
  skip_nonfinite: bool
  to_data: Callable[[jax.Array], jax.Array]
  from_data: Callable[[jax.Array], jax.Array]
  rule: games.Rule = games.ALTERNATING


def pack(x: jax.Array, m: int) -> jax.Array:
  """Joins m samples on the last axis: `[m * B, ..., C] -> [B, ..., m * C]`."""
  if m == 1:
    return x
  return jnp.concatenate(jnp.split(x, m), axis=-1)


def discriminator_loss(
  disc_params: types.PyTree,
  gen_params: types.PyTree,
  disc_vars: types.PyTree,
  gen_vars: types.PyTree,
  batch: types.Batch,
  z: jax.Array,
  keys: draws.Keys,
  *,
  spec: Spec,
  hyper: types.Hyper,
  step: jax.Array,
  averages: penalties.LogitAverages,
  frozen: bool = True,
) -> tuple[jax.Array, tuple[types.PyTree, types.Logs]]:
  """D as a binary classifier of real against generated samples.

  Args:
    disc_params: differentiated.
    gen_params: frozen; G's samples are data here.
    disc_vars: D's non-trainable collections.
    gen_vars: G's; read, never written.
    batch: real samples, `[B, ...]`.
    z: latents `[B, Z]`.
    keys: this update's keys.
    spec: the game.
    hyper: its numbers at this step.
    step: `[]` int32, for lazily applied penalties.
    averages: LeCam's moving averages.
    frozen: whether `gen_params` are; only a rule that differentiates through
      both players' losses lets them move.

  Returns:
    The loss `[]` and `(new_disc_vars, logs)`.
  """
  if frozen:
    gen_params = jax.lax.stop_gradient(gen_params)
  generated, _ = spec.gen.apply(
    gen_params, gen_vars, z, labels=batch.label, key=keys.gen, train=True
  )
  apply = functools.partial(spec.disc.apply, labels=batch.label, train=True)

  def disc(x: jax.Array) -> jax.Array:
    """As penalties see it."""
    return apply(disc_params, disc_vars, x, key=keys.disc_penalty)[0]

  # Whose slopes every step takes: a homogeneous D's logits come with them.
  every_step = [p.slopes_of for p in spec.penalties.values() if p.every == 1]

  def see(
    name: str, x: jax.Array, vars: types.PyTree, key: jax.Array
  ) -> tuple[Seen, types.PyTree]:
    """Shows D samples, and hands on its `vars`."""
    x = pack(x, spec.packing)
    # Where G is not frozen, it hears of the logits alone here too: slopes do
    # not change with the sample, but for where a rectifier switches.
    if spec.disc.homogeneous and name in every_step:
      logits, slopes = homogeneous.logits_and_slopes(
        lambda params, x: apply(params, vars, x, key=key)[0], disc_params, x
      )
      return Seen(x, logits, lambda: slopes), vars
    logits, vars = apply(disc_params, vars, x, key=key)
    return Seen(x, logits, lambda: penalties.slopes(disc, x)), vars

  real, new_vars = see('real', batch.x, disc_vars, keys.disc_real)
  fake, new_vars = see('fake', generated, new_vars, keys.disc_fake)
  loss = spec.loss.disc(real=real.logits, fake=fake.logits)
  logs = _verdict(real.logits, fake.logits, classifier=spec.loss.classifier)
  for i, (name, penalty) in enumerate(spec.penalties.items()):
    key = jax.random.fold_in(keys.points, i)
    this_round = Round(disc, real, fake, averages, key)
    value = _lazily(penalty, this_round, step)
    loss += hyper[f'penalties.{name}.weight'] * value
    logs[f'penalties/{name}'] = value
  return loss, (new_vars, {'disc/loss': loss, **logs})


def _verdict(
  real: jax.Array, fake: jax.Array, *, classifier: bool
) -> types.Logs:
  """What D's logits on real and on generated samples, `[B]` each, tell."""
  logs = {
    'disc/accuracy': ((real > 0).mean() + (fake < 0).mean()) / 2,
    'disc/real': real.mean(),
    'disc/fake': fake.mean(),
  }
  if classifier:
    logs['disc/d_real'] = jax.nn.sigmoid(real).mean()
    logs['disc/d_fake'] = jax.nn.sigmoid(fake).mean()
  return logs


def _lazily(penalty: Penalty, this_round: Round, step: jax.Array) -> jax.Array:
  """k times the penalty at each k-th step, 0 at the others."""
  if penalty.every == 1:
    return penalty.value(this_round)
  return jax.lax.cond(
    step % penalty.every == 0,
    lambda: penalty.every * penalty.value(this_round),
    lambda: jnp.zeros(()),
  )


def generator_loss(
  gen_params: types.PyTree,
  disc_params: types.PyTree,
  gen_vars: types.PyTree,
  disc_vars: types.PyTree,
  batch: types.Batch,
  z: jax.Array,
  keys: draws.Keys,
  *,
  spec: Spec,
  frozen: bool = True,
) -> tuple[jax.Array, tuple[types.PyTree, types.Logs]]:
  """G through a frozen D, every fake labelled real.

  Args:
    gen_params: differentiated.
    disc_params: frozen. Its gradient is stopped at the parameters and not at
      the logits: G learns from what passes through D.
    gen_vars: G's non-trainable collections.
    disc_vars: D's; read, never written.
    batch: real samples `[B, ...]`, for losses that compare with them; for the
      others the compiler drops D's pass over them.
    z: latents `[B, Z]`.
    keys: this update's keys.
    spec: the game.
    frozen: whether `disc_params` are; as of `discriminator_loss`.

  Returns:
    The loss `[]` and `(new_gen_vars, logs)`.
  """
  if frozen:
    # Redundant while only argument 0 is differentiated, and then free; it
    # holds the contract for whoever differentiates with respect to both trees.
    disc_params = jax.lax.stop_gradient(disc_params)
  fake, new_vars = spec.gen.apply(
    gen_params, gen_vars, z, labels=batch.label, key=keys.gen, train=True
  )

  def disc(x: jax.Array, key: jax.Array) -> jax.Array:
    packed = pack(x, spec.packing)
    logits, _ = spec.disc.apply(
      disc_params, disc_vars, packed, labels=batch.label, key=key, train=True
    )
    return logits

  loss = spec.loss.gen(
    real=disc(batch.x, keys.disc_real), fake=disc(fake, keys.disc_fake)
  )
  return loss, (new_vars, {'gen/loss': loss})


def discriminator_step(
  state: states.GanState,
  hyper: types.Hyper,
  batch: types.Batch,
  z: jax.Array,
  keys: draws.Keys,
  *,
  spec: Spec,
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
  grads, (new_vars, logs) = jax.grad(discriminator_loss, has_aux=True)(
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
  spec: Spec,
) -> tuple[states.GanState, types.Logs]:
  """One update of G and of its average; D's half comes back as it was.

  Arguments as of `discriminator_step`.
  """
  gen, disc = state.gen, state.disc
  grads, (new_vars, logs) = jax.grad(generator_loss, has_aux=True)(
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
  spec: Spec,
) -> types.PyTree:
  """G's moving average after the update of `state` to `gen_params`."""
  log_decay = -jnp.log(2.0) * spec.batch_size / hyper['ema.half_life']
  return states.debiased_ema(
    state.gen_ema, gen_params, log_decay, state.step + 1
  )


def make_train_step(spec: Spec) -> TrainStep:
  """Makes `step(state, hyper, batch, key) -> (state, logs)`.

  It is `make_drawn_step`'s, of what `draw` gives for the key.
  """
  step = make_drawn_step(spec)
  return lambda state, hyper, batch, key: step(
    state, hyper, batch, draw(spec, key)
  )


def draw(spec: Spec, key: jax.Array) -> draws.Draws:
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


def make_drawn_step(spec: Spec) -> DrawnStep:
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


def _make_joint_step(spec: Spec) -> DrawnStep:
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
      return generator_loss(
        gen, disc, gen_vars, disc_vars, gen_real, *gen_drawn,
        spec=spec, frozen=frozen,
      )  # fmt: skip

    def disc_loss(gen: types.PyTree, disc: types.PyTree) -> Any:
      return discriminator_loss(
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
  spec: Spec,
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
