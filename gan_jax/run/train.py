"""The loop: chunks of steps on the device, and what happens beside them."""

import functools
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gan_jax.config import checks, fields as configs, values
from gan_jax.engine import batching, build, health, program
from gan_jax.evaluation import evaluator as evaluations, laws
from gan_jax.game import state as states
from gan_jax.report import (
  plots,
  population as population_report,
  single as reports,
)
from gan_jax.run import beginning, interrupt, profile, recorder
from gan_jax.storage import checkpoint, workdir as workdirs, writers
from gan_jax.study import population, statistics


def train(
  config: configs.Config,
  workdir: pathlib.Path,
  traced: profile.Steps | None = None,
) -> dict[str, Any]:
  """Runs an experiment to its end, from where its last checkpoint left it.

  Args:
    config: what to run.
    workdir: the run's folder; made if it is not there.
    traced: steps of which the profiler writes a trace.

  Returns:
    The figures of `summary.json`.

  Raises:
    ValueError: one line on what the user got wrong, in which case nothing has
      been written, or on what stopped the run.
    health.DivergedError: a ValueError too; the run is on the disk as it stood.
    interrupt.Stopped: the process was asked to stop; the run is on the disk.
  """
  config = build.complete(config)
  checks.validate(config)
  config = beginning.pin(config, workdir)
  workdirs.check(workdir, config)
  profiler = profile.Profile(workdir, traced, config.steps)
  game = program.open_game(config)
  print(game.source.about, devices(), sep='\n', file=sys.stderr)
  evaluator = _make_evaluator(game)
  state = None
  if config.init_from or config.branch_from:
    # Before anything is written, for the other run may not do.
    with checkpoint.Checkpoints(workdir) as saved:
      state = None if saved.steps else beginning.start(game)
  advice = f'stopped; the same command takes {workdir} up again'
  with (
    workdirs.claim(workdir, config, game.source.info),
    interrupt.Interrupt(advice) as stop,
    checkpoint.Checkpoints(workdir, config.checkpoint) as saved,
    workdirs.writing(workdir, saved.safe),
    profiler,
  ):
    return _run(game, evaluator, workdir, saved, stop, state, profiler)


def devices() -> str:
  """Those that JAX found, by name: what a run would use."""
  found = jax.devices()
  kinds = ', '.join(dict.fromkeys(d.device_kind for d in found))
  names = ', '.join(map(str, found[:8])) + ', ...' * (len(found) > 8)
  return f'devices: {len(found)} {kinds} ({names})'


def _make_evaluator(game: program.Game) -> evaluations.Evaluator | None:
  """What `eval.metrics` asks for; also checks `checkpoint.best`.

  Raises:
    ValueError: there is no such figure, or something it needs is not there.
  """
  config, evaluator = game.config, None
  if config.eval.metrics:
    evaluator = evaluations.Evaluator(
      population.program_config(config), game.spec, game.source.info
    )
  best = config.checkpoint.best.removeprefix('eval/')
  if best:
    names = [*_measured(game), *(evaluator.names if evaluator else ())]
    if best not in names:
      there = ', '.join(f'eval/{name}' for name in names) or 'none'
      raise ValueError(
        f'checkpoint.best={config.checkpoint.best!r}: this game has no such '
        f'figure; it has {there}'
      )
  return evaluator


def _measured(game: program.Game) -> list[str]:
  """The names of the reports' figures of one run, without running it."""
  measure = laws.make_measure(game.config, game.spec, game.source)
  init = functools.partial(build.init_state, game.spec)
  key = jax.random.key(0)
  state = jax.eval_shape(init, build.make_hyper(game.config), key)
  return list(jax.eval_shape(measure, state, key)[0])


def _run(
  game: program.Game,
  evaluator: evaluations.Evaluator | None,
  workdir: pathlib.Path,
  saved: checkpoint.Checkpoints,
  stop: interrupt.Interrupt,
  state: states.GanState | None,
  profiler: profile.Profile,
) -> dict[str, Any]:
  """From the newest sound checkpoint, or the first state, to the summary."""
  config = game.config
  state, rows = first_state(game, workdir, saved, state)
  step = states.step_of(state)
  finished = workdirs.read_summary(workdir)
  if finished and finished['step'] == step == config.steps:
    return finished
  with writers.Writers(
    workdir,
    step=step,
    rows=rows,
    steps=config.steps,
    step_samples=build.samples_per_step(config) * max(len(game.members), 1),
  ) as sinks:
    report = _make_report(game, evaluator, workdir, sinks)
    try:
      state, speed = _play(game, state, report, saved, sinks, stop, profiler)
    finally:
      reports.save_health(workdir)
    summary = {
      'step': states.step_of(state),
      **_figures(game, report.finish(state)),
      'steps_per_second': speed,
    }
  workdirs.write_json(workdir / 'summary.json', summary)
  return summary


def _make_report(
  game: program.Game,
  evaluator: evaluations.Evaluator | None,
  workdir: pathlib.Path,
  sinks: writers.Writers,
) -> reports.Report:
  config, info = game.config, game.source.info
  measure = laws.make_measure(config, game.spec, game.source)
  names = laws.figure_names(config, info)
  evaluate, stamp = None, None
  if info.kind != 'images':
    stamp = evaluations.law_stamp(population.program_config(config), game.spec)
  unsure = [*checks.warnings(config)]
  if evaluator:
    evaluate = evaluator.figures_or_nan
    unsure += evaluator.warnings
    stamp = evaluator.stamp()
  if stamp:
    workdirs.write_json(workdir / 'protocol.json', stamp)
  for line in unsure:
    sinks.say(f'warning: {line}')
  if not game.members:
    album = reports.make_album(info, workdir, sinks)
    key = game.keys.eval
    return reports.SingleReport(measure, key, names, album, evaluate)
  keys = game.place(game.keys.eval)
  return population_report.PopulationReport(
    measure, keys, names, game.mesh, config, workdir, evaluate
  )


def _figures(game: program.Game, finals: Mapping[str, Any]) -> dict[str, Any]:
  """The last figures as `summary.json` has them.

  Those of a population stand for each combination of what varies as well.
  """
  if not game.members:
    return {
      name: None if value is None else writers.to_json(value)
      for name, value in finals.items()
    }
  summary: dict[str, Any] = {}
  settings = population.settings(game.config)
  for name, each in finals.items():
    summary[name] = statistics.estimate(name, each).to_json()
    if len(settings) > 1:
      summary[name]['settings'] = {
        title: statistics.estimate(name, each[part]).to_json()
        for title, part in settings.items()
      }
  if 'modes' in finals:
    # No failure of arithmetic, and so not among those of the figures.
    summary['collapsed'] = sum(count <= 1 for count in finals['modes'])
  return summary


def first_state(
  game: program.Game,
  workdir: pathlib.Path,
  saved: checkpoint.Checkpoints,
  first: states.GanState | None,
) -> tuple[states.GanState, int | None]:
  """The state to start from, and how many rows its checkpoint counts.

  A damaged checkpoint is put aside with a word, and the one before it taken.

  Args:
    game: that is played.
    workdir: of the run.
    saved: its checkpoints.
    first: where there are none, what to start from in place of random weights.

  Raises:
    ValueError: there was a run, and none of it can be read.
  """
  template = jax.eval_shape(game.initial_state)
  damaged: dict[int, checkpoint.DamagedError] = {}
  for step in reversed(saved.steps):
    try:
      state = saved.restore(template, game.mesh, step)
      rows = saved.manifest(step).get('rows')
    except checkpoint.DamagedError as error:
      damaged[step] = error
      continue
    # Nothing is moved before there is one to go on from.
    for number, why in damaged.items():
      print(
        f'the checkpoint of step {number:,} is damaged ({why}) and now in '
        f'{saved.put_aside(number)}',
        file=sys.stderr,
      )
    return game.place(state), rows
  metrics = workdir / 'metrics.jsonl'
  if damaged or (metrics.exists() and metrics.stat().st_size):
    reason = f' ({next(iter(damaged.values()))})' if damaged else ''
    raise ValueError(
      f'--workdir={workdir}: holds a run without a sound checkpoint{reason}; '
      'choose another folder to begin anew'
    )
  return (game.start() if first is None else first), None


def facts(game: program.Game, rows: int) -> dict[str, Any]:
  """What stands in a checkpoint's manifest."""
  return {
    'rows': rows,
    'config': values.to_dict(game.config),
    'fingerprint': game.source.info.fingerprint,
    **workdirs.provenance(),
  }


def _play(
  game: program.Game,
  state: states.GanState,
  report: reports.Report,
  saved: checkpoint.Checkpoints,
  sinks: writers.Writers,
  stop: interrupt.Interrupt,
  profiler: profile.Profile,
) -> tuple[states.GanState, float | None]:
  """Runs the chunks that are left; returns the last state and steps a second.

  While the device runs chunks, a `Recorder` looks at what came before them. The
  speed is of the chunks, with what ran beside them, but for the first; None
  where there was but one.

  Raises:
    health.DivergedError: a loss or a gradient was not finite.
    interrupt.Stopped: by a signal, after the chunk and a checkpoint.
  """
  config = game.config
  step, times = states.step_of(state), []
  if step == config.steps:
    return state, None
  length = program.chunk_length(config, step)
  hyper, keys = game.place((game.hyper, game.keys))
  batches = program.make_batches(game, length)
  arrays = batches(step)
  begins = sinks.rows == 0
  if begins:
    saved.save(state, facts(game, rows=0), {})
  # While that is written; no row is, before there is something to go back to.
  compiled = program.compile_chunk(
    game, length, (state, hyper, arrays, keys), sinks.say
  )
  saved.wait()
  with (
    stop.deferred(),
    recorder.Recorder(
      lambda moment: _record(moment, game, report, saved, sinks),
      in_turn=game.mesh.size > 1,
    ) as beside,
  ):
    if begins:
      start = recorder.Moment(step, state, logs={}, looked=True, written=True)
      beside.record(start)
    going = True
    while going:
      began = time.monotonic()
      with profiler.chunk(step, length):
        state, *told = compiled(state, hyper, arrays, keys)
        logs, first = jax.device_get(told)
      times.append(time.monotonic() - began)
      if config.nonfinite == 'stop':
        _check_finite(game, step, first, length, saved, beside)
      step += length
      # Looked at once a chunk: what is stopped has been saved.
      going = step < config.steps and not stop.asked
      speed = length / times[-1]
      beside.record(_moment(config, step, state, logs, speed, kept=not going))
      if going:
        arrays = batches(step)
    beside.wait()
    saved.wait()
  if step < config.steps:
    raise interrupt.Stopped(step)
  steady = times[1:]
  return state, length * len(steady) / sum(steady) if steady else None


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
    looked=last or step % config.eval.every == 0,
    written=last or step % config.log_every == 0,
    kept=kept or step % config.checkpoint.every == 0,
    speed=speed,
  )


def _record(
  moment: recorder.Moment,
  game: program.Game,
  report: reports.Report,
  saved: checkpoint.Checkpoints,
  sinks: writers.Writers,
) -> None:
  """Looks at a moment, writes its row and saves it, as far as is due."""
  plots.pyplot()  # Its import is slow, and this thread is not the steps' own.
  row = _row(game, moment.logs)
  if moment.looked:
    row |= _row(game, report.frame(moment.state))
  if moment.written:
    sinks.write(moment.step, row, steps_per_second=moment.speed)
  if moment.kept:
    sinks.sync()
    means = {name: writers.central(value) for name, value in row.items()}
    saved.save(moment.state, facts(game, sinks.rows), means)


def _row(
  game: program.Game, logs: Mapping[str, Any]
) -> dict[str, writers.Value]:
  """Logs of a chunk or figures of a report as they are written."""
  if not game.members:
    return {name: float(value) for name, value in logs.items()}
  return {
    name: statistics.estimate(name, np.asarray(value).tolist())
    for name, value in logs.items()
  }


def _check_finite(
  game: program.Game,
  step: int,
  first: dict[str, Any],
  length: int,
  saved: checkpoint.Checkpoints,
  beside: recorder.Recorder,
) -> None:
  """Raises `health.DivergedError` where a log of the chunk is not finite.

  A population goes on while a member of it is sound.
  """
  each = [first]
  if game.members:
    each = [batching.take(first, i) for i in range(len(game.members))]
  broken = [health.first_broken(member, length) for member in each]
  found = [(*what, i) for i, what in enumerate(broken) if what]
  if len(found) < len(broken):
    return
  beside.wait()
  saved.wait()
  # What the others did came of an earlier step, and may be in checkpoints.
  where, what, member = max(found)
  raise health.DivergedError(
    step + where + 1,
    member if game.members else None,
    f'step {step + where + 1:,}: not finite in {what}; the last good '
    f'checkpoint is of step {saved.latest:,} (--debug_nans finds the '
    'operation, --config.nonfinite=skip goes on without such updates)',
  )
