"""Rungs of a run: after each, the members that are left go on by themselves.

A `Game` of some members (`Game.only`) is a game like any other, with a program
compiled for that many. Who plays is told by the rows that there are by then
(`study/halving.py`); process 0 reads them, and the others learn of it.
"""

import pathlib
from collections.abc import Callable

import jax
import numpy as np

from gan_jax.config import fields as configs, halving as rungs
from gan_jax.engine import hosts, program, sharding
from gan_jax.game import state as states
from gan_jax.storage import checkpoint, history, writers
from gan_jax.study import halving, population


def checkpoints(
  workdir: pathlib.Path, config: configs.Config
) -> checkpoint.Checkpoints:
  """Those of a run that writes: at a rung the last of some members stay."""
  stay = [rung.step for rung in rungs.rungs(config)]
  return checkpoint.Checkpoints(workdir, config.checkpoint, stay)


def rows(config: configs.Config, workdir: pathlib.Path) -> halving.Rows:
  """Of a run, where they say who plays; none where nothing is dropped."""
  return writers.read_rows(workdir) if config.population.halving else []


def stored(
  game: program.Game, workdir: pathlib.Path, step: int
) -> program.Game:
  """The game of those members whose states the checkpoint of a step holds.

  For process 0, which looks at it alone.

  Args:
    game: of all members, or single.
    workdir: of the run.
    step: of the checkpoint.

  Raises:
    ValueError: a row that says so is missing.
  """
  if not game.config.population.halving:
    return game
  return game.only(_places(game, workdir, step)).local()


def playing(
  game: program.Game, workdir: pathlib.Path | None, step: int
) -> program.Game:
  """The game of those members that play a step, counted from 1.

  For all processes together.

  Args:
    game: of all members or some, or single.
    workdir: of the run, whose rows reach up to the step before; looked at by
      process 0 alone.
    step: likewise.

  Raises:
    ValueError: a row that says who plays is missing.
  """
  if not game.config.population.halving:
    return game

  def find() -> list[int]:
    assert workdir is not None
    return _places(game, workdir, step)

  places = hosts.decide(find)
  return game if tuple(places) == game.places else game.only(places)


def go_on(
  game: program.Game,
  state: states.GanState,
  workdir: pathlib.Path | None,
  step: int,
) -> tuple[program.Game, states.GanState]:
  """The game of those who play the next step, and their state.

  After a rung these are fewer, gathered on the devices; else nothing changes.

  Args:
    game: that was played up to here.
    state: of its members, on the devices.
    workdir: of the run, whose rows reach up to here; looked at by process 0
      alone.
    step: of the state.
  """
  fewer = playing(game, workdir, step + 1)
  if fewer.places == game.places:
    return game, state
  at = np.array([game.places.index(place) for place in fewer.places])
  gather = jax.jit(lambda tree: jax.tree.map(lambda x: x[at], tree))
  own = gather(sharding.whole(state, game.mesh))
  return fewer, fewer.place(own)


def tell(
  before: program.Game,
  after: program.Game,
  workdir: pathlib.Path,
  step: int,
  say: Callable[[str], None],
) -> None:
  """Says how many go on, and notes in the history who does not."""
  config = after.config
  left = [
    title
    for title, part in population.settings(config).items()
    if part.start in before.places and part.start not in after.places
  ]
  seeds = config.population.seeds
  every, fewer = (len(game.members) // seeds for game in (before, after))
  by = f'{halving.order(config)}, mean of {seeds} seeds'
  say(
    f'after step {step:,}: {fewer} of {every} settings go on, by {by}; now '
    f'the program of {len(after.members)} members is compiled'
  )
  history.add(workdir, 'drop', step, settings=left, by=by)


def _places(game: program.Game, workdir: pathlib.Path, step: int) -> list[int]:
  return halving.playing(game.config, rows(game.config, workdir), step)
