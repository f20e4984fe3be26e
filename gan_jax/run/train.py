"""A run, from its configuration to its summary."""

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from gan_jax.config import checks, fields as configs, values, words
from gan_jax.engine import (
  additions,
  build,
  hosts,
  program,
)
from gan_jax.evaluation import evaluator as evaluations, laws
from gan_jax.game import state as states
from gan_jax.report import (
  pages,
  population as population_report,
  single as reports,
)
from gan_jax.run import (
  beginning,
  figures,
  halving,
  interrupt,
  loop,
  profile,
  session,
)
from gan_jax.storage import (
  checkpoint,
  sinks as sinks_beside,
  workdir as workdirs,
  writers,
)
from gan_jax.study import halving as halvings, population


def train(
  config: configs.Config,
  workdir: pathlib.Path,
  traced: profile.Steps | None = None,
  columns: Sequence[str] = (),
) -> dict[str, Any]:
  """Runs an experiment to its end, from where its last checkpoint left it.

  Args:
    config: what to run.
    workdir: the run's folder; made if it is not there.
    traced: steps of which the profiler writes a trace.
    columns: figures that the summary must have.

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
  config = _agreed(config, workdir)
  profiler = profile.Profile(workdir, traced, config.steps)
  game = program.open_game(config)
  hosts.agree('data set', {'data.fingerprint': game.source.info.fingerprint})
  if not hosts.is_first():
    return _follow(game)
  print(game.source.about, devices(), sep='\n', file=sys.stderr)
  # Before anything is written, for what they need may not be there.
  own = game.local()
  measure = laws.make_measure(config, own.spec, own.source)
  evaluator = _make_evaluator(own, measure, columns)
  state = None
  if config.init_from or config.branch_from:
    # Before anything is written, for the other run may not do.
    beginning.check_held_out(config)
    with checkpoint.Checkpoints(workdir) as saved:
      state = None if saved.steps else beginning.start(own)
  advice = f'stopped; the same command takes {workdir} up again'
  with (
    workdirs.claim(workdir, config, game.source.info) as before,
    interrupt.Interrupt(advice) as stop,
    halving.checkpoints(workdir, config) as saved,
    workdirs.writing(workdir, saved.safe),
    profiler,
  ):
    profiler.check(saved.latest or 0)
    prepared = _Prepared(game, measure, evaluator)
    return _run(prepared, workdir, saved, stop, state, profiler, before)


def _agreed(config: configs.Config, workdir: pathlib.Path) -> configs.Config:
  """What all processes run, once it is known that it may run here."""
  # The images may be at another place on each host.
  hosts.agree('configuration', values.flatten(config) | {'data.dir': ''})
  # Versions, devices, flags and commit.
  hosts.agree('environment', workdirs.provenance())

  def pinned() -> dict[str, Any]:
    sinks_beside.check(config.log)
    found = beginning.pin(config, workdir)
    workdirs.check(workdir, found)
    return {name: getattr(found, name) for name in beginning.FIELDS}

  return dataclasses.replace(config, **hosts.decide(pinned))


def _follow(game: program.Game) -> dict[str, Any]:
  """The same run, for a process that neither writes nor speaks."""
  with interrupt.Interrupt('stopped on another process') as stop:
    if not hosts.decide(lambda: False):
      game = halving.playing(game, None, 0)
      state = hosts.share(None, game.shapes)
      loop.play(game, game.place(state), None, stop)
    summary: dict[str, Any] = hosts.decide(dict)
    return summary


def devices() -> str:
  """Those that JAX found, by name: what a run would use."""
  found = jax.devices()
  kinds = ', '.join(dict.fromkeys(d.device_kind for d in found))
  names = ', '.join(map(str, found[:8])) + ', ...' * (len(found) > 8)
  return f'devices: {len(found)} {kinds} ({names})'


class _Prepared(NamedTuple):
  """A game, and how it is evaluated.

  Attributes:
    game: of all members.
    measure: the figures and the picture of its reports.
    evaluator: those of `eval.metrics`, if there are any.
  """

  game: program.Game
  measure: laws.Measure
  evaluator: evaluations.Evaluator | None


def _make_evaluator(
  game: program.Game, measure: laws.Measure, columns: Sequence[str]
) -> evaluations.Evaluator | None:
  """What `eval.metrics` asks for; also checks what names a figure.

  Args:
    game: that is played.
    measure: the figures of its reports.
    columns: figures that the summary must have.

  Raises:
    ValueError: there is no such figure, or something it needs is not there.
  """
  config, evaluator = game.config, None
  if config.eval.metrics:
    evaluator = evaluations.Evaluator(
      population.program_config(config), game.spec, game.source.info
    )
  best = config.checkpoint.best
  if not (best or config.population.halving or columns):
    return evaluator
  looked, counted = _measured(game, measure)
  more = evaluator.names if evaluator else ()
  summary = [*looked, *more, *counted]
  for name in columns:
    if name not in summary:
      raise ValueError(
        f'column {name!r}: the summary has no such figure; it has '
        f'{", ".join(summary)}'
      )
  # A group of figures is of its own.
  names = [*(name for name in looked if '/' not in name), *more]
  halvings.check(config, names)
  if best and best not in names:
    there = ', '.join(names) or 'none'
    raise ValueError(
      f'checkpoint.best={config.checkpoint.best!r}: this game has no such '
      f'figure; it has {there}'
    )
  return evaluator


def _measured(
  game: program.Game, measure: laws.Measure
) -> tuple[list[str], list[str]]:
  """The names of the reports' figures, without running the game.

  And of what the summary counts beside them.
  """
  init = functools.partial(build.init_state, game.spec)
  key = jax.random.key(0)
  state = jax.eval_shape(init, build.make_hyper(game.config), key)
  figures = jax.eval_shape(measure, state, key)[0]
  counted = [f'{name}_skipped' for name in state.memory.get('skipped', {})]
  if game.members and 'modes' in figures:
    counted.append('collapsed')
  return [*figures], ['step', *counted, 'steps_per_second']


def _run(
  prepared: _Prepared,
  workdir: pathlib.Path,
  saved: checkpoint.Checkpoints,
  stop: interrupt.Interrupt,
  state: states.GanState | None,
  profiler: profile.Profile,
  before: dict[str, Any] | None,
) -> dict[str, Any]:
  """From the newest sound checkpoint, or the first state, to the summary."""
  game, config = prepared.game, prepared.game.config
  state, rows = beginning.first_state(game.local(), workdir, saved, state)
  step = states.step_of(state)
  summary = workdirs.read_summary(workdir)
  finished = bool(summary and summary['step'] == step == config.steps)
  if hosts.decide(lambda: finished):
    if hosts.is_first():
      print(f'{workdir} is at its last step, {step:,}: done', file=sys.stderr)
    return hosts.decide(lambda: summary or {})
  game = halving.playing(game, workdir, step)
  state = game.place(hosts.share(state, game.shapes))
  write = functools.partial(pages.write_run, workdir)
  with (
    session.Pages(write if config.log.page else None) as page,
    session.told(workdir, step, config.steps),
  ):
    with writers.Writers(
      workdir,
      step=step,
      rows=rows,
      steps=config.steps,
      step_samples=loop.step_samples(game),
      hparams=sinks_beside.settings(config) if config.log.hparams else None,
      more=sinks_beside.open_sinks(workdir, config),
    ) as sinks:
      _say_changes(before, step, sinks)
      report_of = _reporting(prepared, workdir, sinks)
      outputs = loop.Outputs(
        report_of(game), report_of, saved, sinks, page, profiler, workdir
      )
      try:
        end = loop.play(game, state, outputs, stop)
      finally:
        if config.log.pictures:
          reports.save_health(workdir)
      assert end.outputs is not None
      finals = end.outputs.report.finish(end.state)
      rows_now = halving.rows(config, workdir)
      summary = {
        'step': states.step_of(end.state),
        **figures.of_summary(end.game, finals, rows_now),
        'steps_per_second': end.speed,
      }
      sinks.finish(summary)
    workdirs.write_json(workdir / 'summary.json', summary)
  return hosts.decide(lambda: summary)


def _say_changes(
  before: dict[str, Any] | None, step: int, sinks: writers.Writers
) -> None:
  """Says where a run goes on with other processes or devices than before."""
  if step == 0 or before is None:
    return
  then, now = (
    f'{words.counted(x.get("processes", 1), "process")} with '
    f'{words.counted(len(x["devices"]), "device")}'
    for x in (before, workdirs.provenance())
  )
  if then != now:
    sinks.say(
      f'{then} before, {now} now: the same to rounding, not bit for bit'
    )


def _reporting(
  prepared: _Prepared, workdir: pathlib.Path, sinks: writers.Writers
) -> Callable[[program.Game], reports.Report]:
  """Makes `report_of(game)`, of all members or of some."""
  measure, evaluator = prepared.measure, prepared.evaluator
  game = prepared.game.local()
  config, info = game.config, game.source.info
  names = laws.figure_names(config, info)
  evaluate, stamp = None, None
  of_law: list[str] = []
  if info.kind != 'images':
    stamp = evaluations.law_stamp(population.program_config(config), game.spec)
    of_law = build.langevin_warnings(config, game.spec)
  unsure = [
    *checks.warnings(config),
    *of_law,
    *additions.left_out(config, game.spec.augment, info),
  ]
  if evaluator:
    evaluate = evaluator.figures_or_nan
    unsure += evaluator.warnings
    stamp = evaluator.stamp()
  if stamp:
    workdirs.write_json(workdir / 'protocol.json', stamp)
  for line in unsure:
    sinks.say(f'warning: {line}')

  def report_of(game: program.Game) -> reports.Report:
    game = game.local()
    if not game.members:
      album = reports.make_album(info, workdir, sinks)
      key = game.keys.eval
      return reports.SingleReport(
        measure, key, names, album, evaluate, draws=config.log.pictures
      )
    keys = game.place(game.keys.eval)
    return population_report.PopulationReport(
      measure, keys, names, game.mesh, config, workdir, evaluate
    )

  return report_of
