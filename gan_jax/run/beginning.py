"""Where a run begins: at random weights, in another run, or where it was."""

import dataclasses
import json
import pathlib
import sys

import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import fields as configs, halving as rungs, values
from gan_jax.data import opening
from gan_jax.engine import build, program
from gan_jax.game import posthoc, state as states
from gan_jax.run import exported, halving, trained
from gan_jax.storage import checkpoint, history, workdir as workdirs
from gan_jax.study import population

FIELDS = ('init_from', 'branch_from')


def pin(config: configs.Config, workdir: pathlib.Path) -> configs.Config:
  """The same configuration, with the step in each name of another run.

  A run that is taken up keeps the step that it began from.

  Raises:
    ValueError: there is no checkpoint to begin from.
  """
  path, known = workdir / 'config.json', {}
  if path.exists():
    try:
      known = json.loads(path.read_text())['config']
    except (OSError, KeyError, TypeError, ValueError):
      known = {}  # What is wrong with it is told where it is read.
  changes = {}
  for field in FIELDS:
    text = getattr(config, field)
    if not text or values.other_run(text)[1]:
      continue
    if field == 'init_from' and exported.is_export(pathlib.Path(text)):
      continue
    stored = known.get(field, '')
    if values.other_run(stored)[0] == text:
      changes[field] = stored
      continue
    with checkpoint.Checkpoints(pathlib.Path(text)) as saved:
      if saved.latest is None:
        raise ValueError(f'{field}={text}: has no checkpoint')
      changes[field] = f'{text}:{saved.latest}'
  return dataclasses.replace(config, **changes)


def first_state(
  game: program.Game,
  workdir: pathlib.Path,
  saved: checkpoint.Checkpoints,
  first: states.GanState | None,
) -> tuple[states.GanState, int | None]:
  """The state to start from, and how many rows its checkpoint counts.

  A damaged checkpoint is moved aside with a message; the one before it is used.

  Args:
    game: that is played.
    workdir: of the run.
    saved: its checkpoints.
    first: where there are none, what to start from in place of random weights.

  Raises:
    ValueError: there was a run, and none of it can be read.
  """
  damaged: dict[int, checkpoint.DamagedError] = {}
  for step in reversed(saved.steps):
    own = halving.stored(game, workdir, step)
    try:
      state = saved.restore(own.abstract_state(), step)
      rows = saved.manifest(step).get('rows')
    except checkpoint.DamagedError as error:
      damaged[step] = error
      continue
    # Nothing is moved before there is one to go on from.
    for number, why in damaged.items():
      aside = saved.put_aside(number)
      history.add(workdir, 'damaged', number, why=str(why), now=aside.name)
      print(
        f'the checkpoint of step {number:,} is damaged ({why}) and now in '
        f'{aside}',
        file=sys.stderr,
      )
    return own.place(state), rows
  metrics = workdir / 'metrics.jsonl'
  if damaged or (metrics.exists() and metrics.stat().st_size):
    reason = f' ({next(iter(damaged.values()))})' if damaged else ''
    raise ValueError(
      f'--workdir={workdir}: holds a run without a sound checkpoint{reason}; '
      'choose another folder to start again'
    )
  return (game.start() if first is None else first), None


def start(game: program.Game) -> states.GanState:
  """The state before the first step, on the devices.

  Raises:
    ValueError: the other run, should there be one, cannot be read, or what is
      taken from it has other shapes.
  """
  config, fresh = game.config, game.start()
  if config.branch_from:
    return _branched(game, fresh)
  return _initialised(game, fresh) if config.init_from else fresh


def check_held_out(config: configs.Config) -> None:
  """Raises ValueError where an earlier run was trained on held-out images.

  Of all runs before this one that are still there; the same images at another
  place are not known.
  """
  if not config.eval.held_out:
    return
  before, known = config, set[pathlib.Path]()
  while field := next((f for f in FIELDS if getattr(before, f)), ''):
    text = getattr(before, field)
    folder = pathlib.Path(values.other_run(text)[0]).resolve()
    earlier = _config_of(folder)
    if earlier is None or folder in known:
      return
    known.add(folder)
    same = ('name', 'dir') if config.data.name == 'folder' else ('name',)
    alike = all(
      getattr(earlier.data, n) == getattr(config.data, n) for n in same
    )
    split = dataclasses.replace(config.data, split=earlier.data.split)
    if alike and opening.overlap(split, config.eval.held_out):
      raise ValueError(
        f'eval.held_out={config.eval.held_out!r}: {field}={text} was trained '
        f'on some of them (data.split={earlier.data.split!r})'
      )
    before = earlier


def _config_of(folder: pathlib.Path) -> configs.Config | None:
  """Of another run or an export; None where it is not there any more."""
  try:
    if exported.is_export(folder):
      stored = json.loads((folder / exported.MODEL).read_text())
      return values.from_dict(stored['config'])
    return workdirs.load(folder)[0]
  except (OSError, KeyError, ValueError):
    return None


def _initialised(game: program.Game, fresh: states.GanState) -> states.GanState:
  """With the weights of another run or an export; all else is new."""
  config = game.config
  export = pathlib.Path(config.init_from)
  if exported.is_export(export):
    other = _read_export(export)
  else:
    other = _load('init_from', config.init_from).state
  take = _Taking(game, f'init_from={config.init_from}')
  players = (
    ('gen', 'disc') if config.init_player == 'both' else (config.init_player,)
  )
  for player in players:
    new, old = getattr(fresh, player), getattr(other, player)
    moved = new._replace(
      params=take(f'{player}/params', new.params, old.params),
      vars=take(f'{player}/vars', new.vars, old.vars),
    )
    fresh = fresh._replace(**{player: moved})
  if 'gen' in players:
    average = take('gen_ema', fresh.gen_ema, other.gen_ema)
    fresh = fresh._replace(gen_ema=average)
  fresh = fresh._replace(
    memory=fresh.memory | build.rule_memory(game.spec, fresh)
  )
  state: states.GanState = game.place(fresh)
  return state


def _branched(game: program.Game, fresh: states.GanState) -> states.GanState:
  """Another run's state; what only this game remembers is new."""
  text = game.config.branch_from
  run = _load('branch_from', text)
  other = run.state
  step = states.step_of(other)
  if step >= game.config.steps:
    raise ValueError(
      f'branch_from={text}: is at step {step:,}, and steps='
      f'{game.config.steps:,} is the last one'
    )
  first = next(iter(rungs.rungs(game.config)), None)
  if first and first.step <= step:
    raise ValueError(
      f'branch_from={text}: is at step {step:,}, and population.halving drops '
      f'settings after step {first.step:,} already'
    )
  take = _Taking(game, f'branch_from={text}')
  other = other._replace(
    gen=take.refitted(fresh.gen, other.gen),
    disc=take.refitted(fresh.disc, other.disc),
  )
  if game.spec.posthoc and posthoc.MEMORY not in other.memory:
    raise ValueError(
      f'ema.posthoc={game.config.ema.posthoc!r}: is of all steps, and the run '
      f'of branch_from={text} has none; leave it out'
    )
  memory = {
    name: take(f'memory/{name}', new, other.memory[name])
    if name in other.memory
    else new
    for name, new in fresh.memory.items()
  }
  parts = {
    name: take(name, getattr(fresh, name), getattr(other, name))
    for name in ('step', 'gen', 'disc', 'gen_ema')
  }
  begun = states.GanState(**parts, memory=memory)
  if run.config.rule.name != game.config.rule.name:
    rule = build.rule_memory(game.spec, begun)
    begun = begun._replace(memory=memory | rule)
  state: states.GanState = game.place(begun)
  return state


def _read_export(folder: pathlib.Path) -> states.GanState:
  try:
    return exported.read(folder)
  except ValueError as error:
    raise ValueError(f'init_from={folder}: {error}') from None


def _load(field: str, text: str) -> trained.Run:
  folder, step = values.other_run(text)
  workdir = pathlib.Path(folder)
  try:
    config, _ = workdirs.load(workdir)
    if len(population.members(config)) > 1:
      advice = (
        '; experiments.export makes of a member what init_from takes'
        if field == 'init_from'
        else ''
      )
      raise ValueError(f'is a population, and only a single run can be{advice}')
    with checkpoint.Checkpoints(workdir) as saved:
      if int(step) not in saved.steps:
        there = ', '.join(map(str, saved.steps))
        raise ValueError(f'there are checkpoints of steps {there}')
    return trained.load(workdir, step)
  except ValueError as error:
    raise ValueError(f'{field}={text}: {error}') from None


class _Taking:
  """Takes trees of another run, for each member of a population the same."""

  def __init__(self, game: program.Game, source: str):
    self._lead = (len(game.members),) if game.members else ()
    self._source = source

  def refitted(
    self, new: states.NetState, old: states.NetState
  ) -> states.NetState:
    """`old` with its optimiser's state in the form of `new`, if it can be.

    What bounds parameters after an update (`optim.disc.clip`) has no arrays,
    but a place in the tree.
    """
    skipped = len(self._lead)
    shapes = [x.shape[skipped:] for x in jax.tree.leaves(new.opt_state)]
    leaves = jax.tree.leaves(old.opt_state)
    if shapes != [x.shape for x in leaves]:
      return old  # It is refused by name.
    form = jax.tree.structure(new.opt_state)
    return old._replace(opt_state=jax.tree.unflatten(form, leaves))

  def __call__(
    self, name: str, new: types.PyTree, old: types.PyTree
  ) -> types.PyTree:
    """`old` in place of `new`.

    Raises:
      ValueError: an array has another shape, or is in one of them alone.
    """
    here, there = states.named(new), states.named(old)
    for path in dict.fromkeys([*here, *there]):
      new_shape, old_shape = (
        f'{list(leaves[path].shape[skipped:])}' if path in leaves else 'missing'
        for leaves, skipped in ((here, len(self._lead)), (there, 0))
      )
      if new_shape != old_shape:
        full = f'{name}/{path}' if path else name
        raise ValueError(
          f'{self._source}: {full} is {old_shape} there and {new_shape} here'
        )
    leaves = [
      jnp.broadcast_to(there[path], (*self._lead, *there[path].shape))
      for path in here
    ]
    return jax.tree.unflatten(jax.tree.structure(new), leaves)
