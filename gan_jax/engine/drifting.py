"""A drifting model in the place of a game: its G, without an opponent.

Networks, latents, data, G's optimiser, schedules and average and the members
are those of the game; its loss, its penalties and D are not used.
"""

import functools

import jax
import optax

from gan_jax import types
from gan_jax.engine import program
from gan_jax.game import draws, drift, spec as specs, state as states, steps


def make_step(spec: specs.Spec, temperature: float) -> steps.Step:
  """Makes `step(state, hyper, batch, draw) -> (state, logs)` of G alone.

  Args:
    spec: of a game of points.
    temperature: of `drift.field`, in the data's units.
  """

  def step(
    state: states.GanState,
    hyper: types.Hyper,
    batch: types.Batch,
    draw: draws.StepDraw,
  ) -> tuple[states.GanState, types.Logs]:
    hyper = spec.schedule(hyper, state.step)
    drawn, *_ = draw.gen
    vars = spec.gen.advance(state.gen.params, state.gen.vars)

    def loss(params: types.PyTree) -> tuple[jax.Array, types.PyTree]:
      x, after = spec.gen.apply(
        params, vars, drawn.latent, key=drawn.keys.gen, mode=types.TRAIN
      )
      fake, real = spec.to_data(x), spec.to_data(batch.x[-1])
      return drift.loss(fake, real, temperature), after

    differentiated = jax.value_and_grad(loss, has_aux=True)
    (value, vars), grads = differentiated(state.gen.params)
    moves, opt_state = spec.optimisers.gen(hyper).update(
      grads, state.gen.opt_state, state.gen.params
    )
    params = optax.apply_updates(state.gen.params, moves)
    average, lengths = steps.averages_after(state, params, hyper, spec)
    moved = state._replace(
      step=state.step + 1,
      gen=states.NetState(params, opt_state, vars),
      gen_ema=average,
      memory={**state.memory, **lengths},
    )
    return moved, {'gen/loss': value}

  return step


def make_chunk(
  game: program.Game, length: int, temperature: float
) -> jax.stages.Wrapped:
  """As `program.make_chunk` of a population, by `make_step`.

  Raises:
    ValueError: the data are not points, or there is one member alone.
  """
  if game.source.info.kind != 'points':
    raise ValueError(
      f'data.name={game.config.data.name!r}: a drifting model needs points'
    )
  if not game.members:
    raise ValueError(
      'population.seeds=1: a drifting model needs at least 2 seeds'
    )
  make = functools.partial(make_step, temperature=temperature)
  if game.config.gen_steps > 1:
    raise ValueError(
      f'gen_steps={game.config.gen_steps}: a drifting model takes one in a step'
    )
  return program.make_chunk(game, length, make=make)
