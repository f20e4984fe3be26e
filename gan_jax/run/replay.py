"""Plays parts of a run again: to compare them, or to look more closely."""

import itertools
import math
import pathlib
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import fields as configs, values
from gan_jax.engine import (
  build,
  chunks,
  health,
  hosts,
  placing,
  program,
  sharding,
)
from gan_jax.game import state as states
from gan_jax.run import beginning, halving, trained as runs
from gan_jax.storage import checkpoint, workdir as workdirs, writers
from gan_jax.study import halving as halvings


class Difference(NamedTuple):
  """One tensor of a run beside the same one of its replay.

  Attributes:
    name: its path in the state, or the metric's.
    largest: the largest absolute difference; 0 only where every bit agrees,
      NaN where its size is not known.
  """

  name: str
  largest: float


class Part(NamedTuple):
  """A stretch of a run and what came of playing it again.

  Attributes:
    title: which stretch.
    differences: of everything compared.
  """

  title: str
  differences: list[Difference]


class _Moment(NamedTuple):
  """What came of a chunk, and the game that played it."""

  game: program.Game
  step: int
  state: states.GanState
  logs: dict[str, Any]


def _play(
  game: program.Game,
  state: states.GanState,
  until: int,
  workdir: pathlib.Path,
) -> Iterator[_Moment]:
  """Plays the run's own chunks, with the members that its rows say."""
  step = states.step_of(sharding.whole(state, game.mesh))
  while step < until:
    game, state = halving.go_on(game, state, workdir, step)
    end = min(until, halvings.until(game.config, step))
    # The run's own, but where it was since given more steps.
    length = math.gcd(program.chunk_length(game.config, step), end - step)
    play = chunks.Chunks(game, length, state, step)
    while step < end:
      state, logs, _ = play(state, step)
      step += length
      # A copy: the next chunk is given the state's own buffers.
      copy = jax.tree.map(jnp.copy, state)
      yield _Moment(game, step, copy, logs | health.balance(logs))


def _apart(a: states.GanState, b: states.GanState) -> list[Difference]:
  """Tensor by tensor."""

  def largest(x: np.ndarray, y: np.ndarray) -> float:
    if x.tobytes() == y.tobytes():
      return 0.0
    gap = np.abs(x.astype(np.float64) - y.astype(np.float64)).max()
    # Signs of zero and the bits of a NaN differ by no amount.
    return float(gap) or float(np.finfo(np.float64).tiny)

  here, there = (states.named(jax.device_get(x)) for x in (a, b))
  return [
    Difference(name, largest(np.asarray(x), np.asarray(there[name])))
    for name, x in here.items()
  ]


# A value that no row has.
_MISSING = 'missing'


def _gap(known: Any, value: np.ndarray) -> float:
  """The largest difference; NaN where one is missing or no number alone."""
  if isinstance(known, str):
    return math.nan
  there = np.array(known, np.float64)  # A null becomes a NaN.
  value = np.where(np.isfinite(value), value, math.nan)
  same = (there == value) | (np.isnan(there) & np.isnan(value))
  return float(np.where(same, 0.0, np.abs(there - value)).max())


def first_steps(
  game: program.Game, workdir: pathlib.Path, num_steps: int
) -> Part:
  """Plays the beginning again and compares the rows of its steps.

  The figures of the reports, which are functions of the state, are left out.

  Args:
    game: of the run's own configuration.
    workdir: of the run.
    num_steps: at least so many, up to the next row.
  """
  every = game.config.log_every
  own = game.local()
  first = beginning.start(own) if hosts.is_first() else None
  state = game.place(hosts.share(first, game.shapes))
  begin = hosts.decide(lambda: states.step_of(first) if first else 0)
  until = min(-(-(begin + num_steps) // every) * every, game.config.steps)
  rows = {row['step']: row for row in writers.read_rows(workdir)}
  largest: dict[str, float] = {}
  for now, step, _, logs in _play(game, state, until, workdir):
    if step % every and step != game.config.steps:
      continue
    for name, value in logs.items():
      known = rows.get(step, {}).get(name, _MISSING)
      if isinstance(known, dict):
        known = [known['members'][place] for place in now.places]
      gap = _gap(known, np.asarray(value, np.float64))
      # A NaN stays one.
      largest[name] = float(np.maximum(largest.get(name, 0.0), gap))
  return Part(
    f'steps {begin + 1:,} to {until:,}, row by row',
    [Difference(*item) for item in largest.items()],
  )


def last_steps(game: program.Game, workdir: pathlib.Path) -> Part:
  """Plays from the last checkpoint but one to the last one, and compares.

  Raises:
    ValueError: the run has not two sound checkpoints.
  """
  stored: dict[int, states.GanState] = {}
  if hosts.is_first():
    stored = _last_two(game, workdir)
  before, last = hosts.decide(lambda: list(stored))
  game = halving.playing(game, workdir, before)
  state = game.place(hosts.share(stored.get(before), game.shapes))
  *_, end = _play(game, state, last, workdir)
  again: states.GanState = sharding.whole(end.state, end.game.mesh)
  return Part(
    f'steps {before + 1:,} to {last:,}, tensor by tensor',
    _apart(stored.get(last, again), again),
  )


def _last_two(
  game: program.Game, workdir: pathlib.Path
) -> dict[int, states.GanState]:
  """The last two checkpoints, by step; the errors of `last_steps`."""
  with checkpoint.Checkpoints(workdir) as saved:
    *_, before, last = [-1, -1, *saved.steps]
    if before < 0:
      raise ValueError(
        f'--workdir={workdir}: has fewer than two checkpoints to compare'
      )
    try:
      each = {s: halving.stored(game, workdir, s) for s in (before, last)}
      return {
        step: saved.restore(own.local().abstract_state(), step)
        for step, own in each.items()
      }
    except checkpoint.DamagedError as error:
      raise ValueError(
        f'--workdir={workdir}: a checkpoint is damaged ({error})'
      ) from None


def read(workdir: pathlib.Path) -> tuple[configs.Config, bool]:
  """What a run was made of, and whether without fast paths.

  Raises:
    ValueError: there is no run.
  """

  def stored() -> tuple[dict[str, Any], bool]:
    config, _ = workdirs.load(workdir)
    stock = bool(workdirs.sessions(workdir)[-1].get('stock'))
    return values.to_dict(config), stock

  config, stock = hosts.decide(stored)
  return build.complete(values.from_dict(config)), stock


def changed_since(workdir: pathlib.Path) -> dict[str, tuple[list[Any], Any]]:
  """What of versions, devices and flags differs: in parts of it, and here."""

  def flat(session: dict[str, Any]) -> dict[str, Any]:
    rest = {k: v for k, v in session.items() if k != 'versions'}
    return rest | session['versions']

  parts = [flat(session) for session in workdirs.sessions(workdir)]
  changed = {}
  for name, here in flat(workdirs.provenance()).items():
    there = [part.get(name) for part in parts]
    if any(value != here for value in there):
      # As they followed each other.
      changed[name] = [x for x, _ in itertools.groupby(there)], here
  return changed


def find_nonfinite(workdir: pathlib.Path, step: int, member: int | None) -> str:
  """Which operation first gave a number that is not finite, in words.

  Plays up to the step and then through it one operation at a time, first
  looking for NaN alone: some infinities are meant.

  Args:
    workdir: of a run that diverged.
    step: at which, counted from 1.
    member: of a population, which of its runs; None where it is one run.

  Raises:
    ValueError: the checkpoint before is damaged.
  """
  with checkpoint.Checkpoints(workdir) as saved:
    before = max(there for there in saved.steps if there < step)
  run = runs.load(workdir, str(before), member)
  game = program.open_game(run.config)
  state = runs.fitted(run.state, game.shapes())
  batches = placing.make_batches(game, 1)
  one = program.make_step(game.spec, game.source, game.mesh)
  compiled = jax.jit(one)
  for done in range(before, step - 1):
    state, _ = compiled(state, game.hyper, batches(done), game.keys)
  arrays = batches(step - 1)
  for looking_for in (jax.debug_nans, jax.debug_infs):
    with looking_for(True), jax.disable_jit():
      try:
        one(state, game.hyper, arrays, game.keys)
      except FloatingPointError as error:
        return _where(error)
  return (
    'played one operation at a time, the step is finite: the overflow is of '
    'the compiled program alone'
  )


def _where(error: FloatingPointError) -> str:
  """The operation, and the last line of ours that led to it."""
  root = str(pathlib.Path(__file__).parent.parent)
  frames = traceback.extract_tb(error.__traceback__)
  ours = [
    frame
    for frame in frames
    if frame.filename.startswith(root) and frame.filename != __file__
  ]
  what = str(error).strip().splitlines()[0].rstrip('.')
  if not ours:
    return what
  place = pathlib.Path(ours[-1].filename).relative_to(root)
  return f'{what} at gan_jax/{place}:{ours[-1].lineno}: {ours[-1].line}'
