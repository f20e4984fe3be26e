"""The spectrum of a game while it is trained: of the Jacobian of its field."""

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.engine import batching, placing, program
from gan_jax.game import dynamics, spec as specs, state as states, steps

# A Jacobian and its eigenvalues take minutes and gigabytes beyond.
_MOST = 4000


class Snapshot(NamedTuple):
  """A population at one step.

  Attributes:
    step: steps done.
    state: of all members, `[N, ...]`; gone once training goes on.
    spectra: `[N, P]` complex, of v, the largest modulus of each first.
  """

  step: int
  state: states.GanState
  spectra: np.ndarray


def make_jacobian(
  spec: specs.Spec,
) -> Callable[[states.GanState, types.Hyper, program.Drawn], jax.Array]:
  """Makes `jacobian(state, hyper, drawn) -> [P, P]` of v; traceable.

  Of the losses as they are before each optimiser, of what was drawn, with
  neither player frozen. As in rules of second order, the points that R2 and
  WGAN-GP are taken at stay constants.
  """
  spec = spec._replace(rule=spec.rule._replace(second_order=True))

  def jacobian(
    state: states.GanState, hyper: types.Hyper, drawn: program.Drawn
  ) -> jax.Array:
    now = steps.hyper_at(spec, state, hyper)
    losses = steps.make_losses(spec, now, state.step, *drawn)
    at = steps.position_of(state, spec)
    return dynamics.field_jacobian(losses, at.params, at.carried)

  return jacobian


def _with_batches(config: configs.Config, size: int) -> configs.Config:
  changed = copy.deepcopy(config)
  changed.batch_size, changed.microbatches = size, 1
  return changed


def train(
  config: configs.Config, every: int, samples: int
) -> Iterator[Snapshot]:
  """Trains a population, with snapshots before the first step and every so far.

  Nothing is written.

  Args:
    config: of a population.
    every: steps between two snapshots.
    samples: real and generated ones that a Jacobian is of, each drawn anew.

  Raises:
    ValueError: the game is too large, or not of several members, or `every`
      does not divide its steps, or it diverges.
  """
  if config.steps % every:
    raise ValueError(
      f'--every={every}: does not divide the {config.steps} steps'
    )
  game = program.open_game(config)
  if not game.members:
    raise ValueError('population.seeds=1: a spectrum needs at least 2 seeds')
  large = program.open_game(_with_batches(config, samples))
  state = game.start()
  size = sum(
    x.size // len(game.members)
    for x in jax.tree.leaves((state.gen.params, state.disc.params))
  )
  if size > _MOST:
    raise ValueError(
      f'the networks have {size} parameters; the whole Jacobian is computed '
      f'of no more than {_MOST}'
    )
  jacobian = make_jacobian(large.spec)

  @jax.jit
  def of_member(
    state: states.GanState, hyper: types.Hyper, keys: program.RootKeys
  ) -> jax.Array:
    arrays = large.source.chunk(0, 1)
    keys = keys._replace(steps=keys.eval)
    drawn = program.draw_batch(
      large.spec, large.source, arrays, keys, state.step
    )
    return jacobian(state, hyper, drawn)

  def snapshot(state: states.GanState) -> Snapshot:
    spectra = []
    for i in range(len(game.members)):
      member = batching.take((state, game.hyper, game.keys), i)
      matrix = np.asarray(of_member(*member))
      if not np.isfinite(matrix).all():
        raise ValueError(
          f'step {state.step[0]}: the Jacobian of member {i} is not finite; '
          'the game has diverged'
        )
      spectra.append(dynamics.eigenvalues(matrix))
    return Snapshot(int(state.step[0]), state, np.stack(spectra))

  yield snapshot(state)
  chunk = program.make_chunk(game, every)
  batches = placing.make_batches(game, every)
  for first in range(0, config.steps, every):
    state, _, _ = chunk(state, game.hyper, batches(first), game.keys)
    yield snapshot(state)
