"""The loop: chunks of steps on the device, and what happens beside them."""

import contextlib
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.config import fields as configs, values
from gan_jax.data import decoding
from gan_jax.engine import (
  batching,
  build,
  chunks,
  health,
  hosts,
  program,
  sharding,
)
from gan_jax.game import state as states
from gan_jax.report import plots, single as reports
from gan_jax.run import (
  figures,
  halving,
  interrupt,
  profile,
  recorder,
  session,
)
from gan_jax.storage import (
  averages,
  checkpoint,
  workdir as workdirs,
  writers,
)
from gan_jax.study import halving as halvings, population


def step_samples(game: program.Game) -> int:
  """Samples that one step of the whole game counts for."""
  return build.samples_per_step(game.config) * max(len(game.members), 1)


def facts(game: program.Game, rows: int) -> dict[str, Any]:
  """What stands in a checkpoint's manifest."""
  return {
    'rows': rows,
    'config': values.to_dict(game.config),
    'fingerprint': game.source.info.fingerprint,
    **workdirs.provenance(),
  }


class Outputs(NamedTuple):
  """What a run's moments are handed to.

  Attributes:
    report: evaluates them.
    report_of: makes it, for a game of all members or some.
    saved: keeps them.
    sinks: of their rows.
    page: shows them.
    profiler: traces the steps before them.
    workdir: of the run.
  """

  report: reports.Report
  report_of: Callable[[program.Game], reports.Report]
  saved: checkpoint.Checkpoints
  sinks: writers.Writers
  page: session.Pages
  profiler: profile.Profile
  workdir: pathlib.Path


class End(NamedTuple):
  """What has been played: of a population, by those who were left.

  Attributes:
    game: as it ended.
    state: of it, for this process alone.
    outputs: which its moments went to.
    speed: steps a second, of the chunks, with what ran beside them, but for the
      first of each program; None where there were no others.
  """

  game: program.Game
  state: states.GanState
  outputs: Outputs | None
  speed: float | None


def play(
  game: program.Game,
  state: states.GanState,
  outputs: Outputs | None,
  stop: interrupt.Interrupt,
) -> End:
  """Plays to the last step; in several stretches where members are dropped.

  Raises:
    health.DivergedError: a loss or a gradient was not finite.
    interrupt.Stopped: by a signal, after the chunk and a checkpoint.
  """
  config, played, seconds = game.config, 0, 0.0
  own = sharding.whole(state, game.mesh)
  named: set[int] = set()
  while (step := states.step_of(own)) < config.steps:
    before = game
    game, state = halving.go_on(game, state, outputs and outputs.workdir, step)
    if outputs and game is not before:
      halving.tell(before, game, outputs.workdir, step, outputs.sinks.say)
      outputs = outputs._replace(report=outputs.report_of(game))
      outputs.sinks.step_samples = step_samples(game)
    state, steady, took = _stretch(game, state, step, outputs, stop, named)
    own = sharding.whole(state, game.mesh)
    played, seconds = played + steady, seconds + took
  return End(game, own, outputs, played / seconds if played else None)


def _stretch(
  game: program.Game,
  state: states.GanState,
  step: int,
  outputs: Outputs | None,
  stop: interrupt.Interrupt,
  named: set[int],
) -> tuple[states.GanState, int, float]:
  """Runs the chunks up to where members are dropped, or the last one.

  While the device runs chunks, a `Recorder` records what came before them.

  Returns:
    The state; the steps of all chunks but the first, and their seconds.
  """
  config, until = game.config, halvings.until(game.config, step)
  own, times = sharding.whole(state, game.mesh), []
  length = program.chunk_length(config, step)
  traced = outputs.profiler.chunk if outputs else _untraced
  begins = outputs is not None and outputs.sinks.rows == 0
  if outputs and begins:
    outputs.saved.save(own, facts(game, rows=0), {})
  # While that is written; no row is, before there is something to go back to.
  run = chunks.Chunks(
    game, length, state, step, outputs.sinks.say if outputs else lambda _: None
  )
  if outputs:
    outputs.saved.wait()
  with (
    stop.deferred(),
    recorder.Recorder(
      lambda moment: _record(moment, game, outputs), in_turn=_in_turn(game)
    ) as beside,
  ):
    if begins:
      start = recorder.Moment(step, own, logs={}, evaluated=True, written=True)
      beside.record(start)
    asked = False
    while step < until and not asked:
      began = time.monotonic()
      with traced(step, length):
        state, logs, first = run(state, step)
      times.append(time.monotonic() - began)
      if config.nonfinite == 'stop':
        _check_finite(game, step, first, length, outputs, beside, named)
      step += length
      # Looked at once a chunk: what is stopped has been saved.
      asked = hosts.asked_to_stop(stop.asked)
      if asked:  # Also where another process was.
        stop.asked = True
      speed, ends = length / times[-1], asked or step == until
      moment = _moment(config, step, state, logs, speed, kept=ends)
      if moment.of_state:
        own = sharding.whole(state, game.mesh)
        moment = moment._replace(state=own)
      beside.record(moment)
    beside.wait()
    if outputs:
      outputs.saved.wait()
    # A signal to another process ends it, and so all, before that is saved.
    hosts.decide(lambda: True)
  if asked and step < config.steps:
    raise interrupt.Stopped(step)
  return state, length * len(times[1:]), sum(times[1:])


def _in_turn(game: program.Game) -> bool:
  """Whether no step may run while a moment is recorded.

  On one core XLA has one thread, and of all calls of an evaluation it takes one
  between two chunks: figures would come hundreds of chunks late.
  """
  return game.mesh.size > 1 or (
    jax.default_backend() == 'cpu' and decoding.available() == 1
  )


def _untraced(
  step: int, length: int
) -> contextlib.AbstractContextManager[None]:
  """In the place of `Profile.chunk`, where there is nothing to trace."""
  del step, length
  return contextlib.nullcontext()


def _moment(
  config: configs.Config,
  step: int,
  state: states.GanState,
  logs: dict[str, np.ndarray],
  speed: float,
  *,
  kept: bool,
) -> recorder.Moment:
  """A moment after a chunk, with what is due: all of it at the last step."""
  last = step == config.steps
  return recorder.Moment(
    step,
    state,
    logs | health.balance(logs),
    evaluated=last or step % config.eval.every == 0,
    written=last or step % config.log_every == 0,
    kept=kept or step % config.checkpoint.every == 0,
    averaged=bool(config.ema.posthoc)
    and (last or step % config.ema.posthoc_every == 0),
    speed=speed,
  )


def _record(
  moment: recorder.Moment, game: program.Game, outputs: Outputs | None
) -> None:
  """Evaluates a moment, writes its row and saves it, as far as is due."""
  if outputs is None:
    return
  if game.config.log.pictures:
    plots.pyplot()  # Its import is slow, and this thread is not the steps' own.
  logs = moment.logs | figures.scheduled(game, moment.step)
  row = figures.of_row(game, logs)
  if moment.evaluated:
    told = game.config.eval
    if told.metrics and outputs.sinks.rows == 0:
      outputs.sinks.say(
        f'step {moment.step:,}: {told.metrics} of {told.num_samples:,} '
        'samples; rows come after them'
      )
    row |= figures.of_row(game, outputs.report.frame(moment.state))
  if moment.written:
    outputs.sinks.write(moment.step, row, steps_per_second=moment.speed)
  if moment.averaged:
    # Before its checkpoint, from which a run goes on.
    averages.save(outputs.workdir, moment.state)
  if moment.kept:
    outputs.sinks.sync()
    means = {name: writers.central(value) for name, value in row.items()}
    outputs.saved.save(moment.state, facts(game, outputs.sinks.rows), means)
  if moment.evaluated:
    outputs.page.offer()


def _member(game: program.Game, i: int) -> str:
  """What tells a member that plays from the others, in words."""
  seed, setting = game.members[i]
  varied = population.setting_name(setting)
  return f'member {game.places[i]} (seed {seed}{varied and f", {varied}"})'


def _check_finite(
  game: program.Game,
  step: int,
  first: dict[str, Any],
  length: int,
  outputs: Outputs | None,
  beside: recorder.Recorder,
  named: set[int],
) -> None:
  """Raises `health.DivergedError` where a log of the chunk is not finite.

  A population goes on while a member of it is sound, and says once which are
  not: those in `named` it has said.
  """
  each = [first]
  if game.members:
    each = [batching.take(first, i) for i in range(len(game.members))]
  broken = [health.first_broken(member, length) for member in each]
  found = [(*what, i) for i, what in enumerate(broken) if what]
  if len(found) < len(broken):
    for where, what, i in found:
      if outputs and game.places[i] not in named:
        at = f'step {step + where + 1:,}: {_member(game, i)}'
        outputs.sinks.say(
          f'{at}: not finite in {what}; it has no figures from here, and the '
          'others go on'
        )
        named.add(game.places[i])
    return
  beside.wait()
  latest = 0
  if outputs:
    outputs.saved.wait()
    latest = outputs.saved.latest or 0
  # What the others did came of an earlier step, and may be in checkpoints.
  where, what, member = max(found)
  raise health.DivergedError(
    step + where + 1,
    game.places[member] if game.members else None,
    f'step {step + where + 1:,}: not finite in {what}; the last good '
    f'checkpoint is of step {latest:,} (--debug_nans finds the '
    'operation, --config.nonfinite=skip goes on without such updates)',
  )
