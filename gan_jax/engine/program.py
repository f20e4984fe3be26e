"""A game as a program: data, functions and keys, and its steps in chunks."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from gan_jax import types
from gan_jax.config import checks, fields as configs, halving, values, words
from gan_jax.data import source as sources
from gan_jax.engine import (
  batching,
  build,
  compiler,
  health,
  hosts,
  kept,
  reach,
  sharding,
)
from gan_jax.game import draws, spec as specs, state as states, steps
from gan_jax.ops import cpu
from gan_jax.study import population


class RootKeys(NamedTuple):
  """One key for each use of the seed."""

  init: jax.Array
  data: jax.Array
  steps: jax.Array
  eval: jax.Array


def root_keys(seed: int) -> RootKeys:
  """The keys of a seed, one for each use."""
  return _split(jax.random.key(seed))


@jax.jit
def _split(key: jax.Array) -> RootKeys:
  return RootKeys(*jax.random.split(key, len(RootKeys._fields)))


class Game(NamedTuple):
  """All that a configuration fixes before there is a state.

  Attributes:
    config: validated.
    mesh: of the devices it runs on.
    keys: of its seed; of a population, `[P]` each.
    source: the data, open.
    spec: what shapes its program.
    hyper: its numbers; of a population, `[P]` each.
    members: of a population; `()` for a single run.
    places: where they stand among all of the population.
  """

  config: configs.Config
  mesh: Mesh
  keys: RootKeys
  source: sources.Source
  spec: specs.Spec
  hyper: types.Hyper
  members: tuple[population.Member, ...] = ()
  places: tuple[int, ...] = ()

  def initial_state(self) -> states.GanState:
    """Before the first step, `[P, ...]` for a population; traceable."""
    make = functools.partial(build.init_state, self.spec)
    if not self.members:
      return make(self.hyper, self.keys.init)
    # One after another: on a CPU, jaxlib 0.10.2 never returns from the
    # decompositions of a batch of orthogonal kernels.
    return jax.lax.map(lambda each: make(*each), (self.hyper, self.keys.init))

  def start(self) -> states.GanState:
    """The state before the first step, on the devices."""
    if self.config.sharding == 'replicated' or self.mesh.is_multi_process:
      # Its bits do not depend on the devices.
      make = self.initial_state
      facts = self.facts('start on the first device')
      return self.place(compiler.run_once(make, facts=facts))
    # No device need hold all of it.
    where = self.shardings(self.shapes())
    facts = self.facts('start')
    return compiler.run_once(self.initial_state, where, facts=facts)

  def shapes(self) -> states.GanState:
    """Shapes, `[P, ...]` for a population, and dtypes of a state.

    They are kept, for a large network takes a second to trace.
    """
    facts = self.facts('shapes')
    return kept.value(facts, lambda: jax.eval_shape(self.initial_state))

  def facts(self, program: str) -> dict[str, Any]:
    """What tells one of its programs from all others, of this game or not."""
    return {
      'program': program,
      'game': values.to_dict(self.config),
      'data': [self.source.info, self.source.marginals],
      'members': self.places,
      'mesh': self.mesh,
      'stock': cpu.is_stock(),
    }

  def local(self) -> 'Game':
    """The same game for a process that evaluates it without the others."""
    mesh = sharding.local_mesh(self.mesh)
    if mesh is self.mesh:
      return self
    if self.members:
      return self._replace(mesh=mesh)
    spec = build.make_spec(
      self.config, self.source.info, marginals=self.source.marginals
    )
    return self._replace(mesh=mesh, spec=spec)

  def only(self, places: Sequence[int]) -> 'Game':
    """The same game of some members, on as many devices as divide them.

    Args:
      places: where they stand among all of the population, in order.
    """
    at = np.array([self.places.index(place) for place in places])
    keys, hyper = jax.tree.map(lambda x: x[at], (self.keys, self.hyper))
    return self._replace(
      mesh=sharding.make_mesh(batching.devices_for(len(at))),
      keys=keys,
      hyper=hyper,
      members=tuple(self.members[i] for i in at),
      places=tuple(places),
    )

  def place(self, tree: types.PyTree) -> types.PyTree:
    """Puts a state, or what goes with it, on the devices."""
    return sharding.put(tree, self.shardings(tree))

  def shardings(self, tree: types.PyTree) -> types.PyTree:
    """Where each array of such a tree, or of its shapes, belongs."""
    if self.members:
      return sharding.member_sharding(tree, self.mesh)
    return sharding.state_sharding(tree, self.mesh, self.config.sharding)

  def abstract_state(self) -> states.GanState:
    """Shapes, dtypes and shardings of a state on the devices."""
    shapes = self.shapes()
    return sharding.abstract(shapes, self.shardings(shapes))


def open_game(config: configs.Config) -> Game:
  """Opens the data and builds the functions; compiles and writes nothing.

  Raises:
    ValueError: one line on what is wrong with the configuration or the data.
  """
  checks.validate(config)

  # To decode a large set takes hours, and the networks may not be for it.
  def accept(info: sources.Info) -> None:
    build.make_spec(population.program_config(config), info)

  source = build.make_source(config, root_keys(config.seed).data, accept)
  return game_of(config, source)


def game_of(
  config: configs.Config, source: sources.Source, mesh: Mesh | None = None
) -> Game:
  """The game of a validated configuration over data that are open.

  Args:
    config: validated.
    source: the data.
    mesh: of the devices of a single run; None is of all that JAX has.
  """
  members = tuple(population.members(config))
  if len(members) == 1:
    mesh = mesh or sharding.make_mesh()
    sharding.check_divides(mesh.size, config)
    spec = build.make_spec(
      config, source.info, mesh=mesh, marginals=source.marginals
    )
    keys, hyper = root_keys(config.seed), build.make_hyper(config)
    return Game(config, mesh, keys, source, spec, hyper)
  spec = build.make_spec(
    population.program_config(config),
    source.info,
    marginals=source.marginals,
  )
  each = [
    (
      root_keys(member.seed),
      build.make_hyper(population.member_config(config, member)),
    )
    for member in members
  ]
  keys, hyper = jax.tree.map(lambda *x: jnp.stack(x), *each)
  mesh = sharding.make_mesh(batching.devices_for(len(members)))
  _check_hosts(config, len(members))
  _check_varied(config, spec, source)
  places = tuple(range(len(members)))
  return Game(config, mesh, keys, source, spec, hyper, members, places)


def _check_varied(
  config: configs.Config, spec: specs.Spec, source: sources.Source
) -> None:
  """Raises ValueError where settings would be the same game all the same."""
  if not config.population.vary:
    return
  step, keys = make_step(spec, source, None), root_keys(config.seed)
  hyper = build.make_hyper(config)
  state = jax.eval_shape(
    functools.partial(build.init_state, spec), hyper, keys.init
  )
  idle = reach.unread(
    lambda hyper, state, arrays: step(state, hyper, arrays, keys),
    hyper,
    state,
    source.chunk(0, 1),
  )
  for name in config.population.vary:
    if name in idle:
      raise ValueError(
        f'population.vary: no step of this game reads {name}, so that all '
        'settings are one'
      )


def _check_hosts(config: configs.Config, count: int) -> None:
  """Raises ValueError where devices of some process would have no members."""
  seeds = config.population.seeds
  later = [rung.settings * seeds for rung in halving.rungs(config)]
  for members in (count, *later):
    if hosts.count() > 1 and members % jax.device_count():
      left = ' that halving leaves' * (members != count)
      raise ValueError(
        f'population: {members} members{left}: must be a multiple of the '
        f'{jax.device_count()} devices of {hosts.count()} processes'
      )


class Drawn(NamedTuple):
  """A step's batch `[rounds, B, ...]`, and what chance gives it besides."""

  batch: types.Batch
  draw: draws.StepDraw


def draw_batch(
  spec: specs.Spec,
  source: sources.Source,
  arrays: types.PyTree,
  keys: RootKeys,
  number: jax.Array,
  mesh: Mesh | None = None,
) -> Drawn:
  """What step `number` is given, a function of the seed and of that alone."""
  with jax.named_scope('data'), sharding.known(mesh):
    batch = source.batch(arrays, keys.data, number)
  key = jax.random.fold_in(keys.steps, number)
  return Drawn(batch, draws.draw_step(spec, key))


# Makes the step of a game.
MakeStep = Callable[[specs.Spec], steps.Step]


def _make_drawn_step(
  spec: specs.Spec,
  mesh: Mesh | None,
  kind: str = 'replicated',
  make: MakeStep = steps.make_step,
) -> Callable[
  [states.GanState, types.Hyper, Drawn], tuple[states.GanState, types.Logs]
]:
  """The batch is split over the mesh, where there is one; the state by kind."""
  step = make(spec)

  def drawn_step(
    state: states.GanState, hyper: types.Hyper, drawn: Drawn
  ) -> tuple[states.GanState, types.Logs]:
    if mesh is None:
      return step(state, hyper, drawn.batch, drawn.draw)
    batch = sharding.split_batch(drawn.batch, mesh, axis=1)
    with sharding.known(mesh):
      state, logs = step(state, hyper, batch, drawn.draw)
    return sharding.keep_split(state, mesh, kind), logs

  return drawn_step


def make_step(
  spec: specs.Spec, source: sources.Source, mesh: Mesh | None
) -> Callable[
  [states.GanState, types.Hyper, types.PyTree, RootKeys],
  tuple[states.GanState, types.Logs],
]:
  """Makes `step(state, hyper, arrays, keys)`, one step that draws its batch.

  The batch is split over the mesh, where there is one.
  """
  step = _make_drawn_step(spec, mesh)
  return lambda state, hyper, arrays, keys: step(
    state, hyper, draw_batch(spec, source, arrays, keys, state.step, mesh)
  )


def largest_divisor(n: int, most: int) -> int:
  """The largest one of n that is at most `most`; 1 where that is below 1."""
  return max((d for d in range(1, min(n, most) + 1) if n % d == 0), default=1)


def make_steps(
  spec: specs.Spec,
  source: sources.Source,
  mesh: Mesh | None,
  length: int,
  kind: str = 'replicated',
  make: MakeStep = steps.make_step,
) -> Callable[..., tuple[states.GanState, types.Logs, types.Logs]]:
  """Makes `run(state, hyper, arrays, keys) -> (state, logs, first)`.

  `length` steps in a `lax.scan`; small ones draw for many of them at once.
  `logs` are means over the steps, and `first` says by name at which of them a
  log was first not finite, as `health.first_nonfinite` does. `kind` is how the
  state is split over the mesh, `config.sharding`; `make` makes the step.
  """
  step = _make_drawn_step(spec, mesh, kind, make)
  mean = health.finite_mean if spec.skip_nonfinite else jnp.mean

  def run(
    state: states.GanState,
    hyper: types.Hyper,
    arrays: types.PyTree,
    keys: RootKeys,
  ) -> tuple[states.GanState, types.Logs, types.Logs]:
    draw = functools.partial(draw_batch, spec, source, arrays, keys, mesh=mesh)
    at_once = 1
    # On several, the compiler splits what a step draws with its batch.
    if (mesh is None or mesh.size == 1) and not cpu.is_stock():
      size = sharding.num_bytes(jax.eval_shape(draw, state.step))
      at_once = largest_divisor(length, cpu.DRAWN_BYTES // size)

    def play(
      state: states.GanState, drawn: Drawn
    ) -> tuple[states.GanState, types.Logs]:
      return step(state, hyper, drawn)

    def block(
      state: states.GanState, _: None
    ) -> tuple[states.GanState, types.Logs]:
      if at_once == 1:
        return play(state, draw(state.step))
      drawn = jax.vmap(draw)(state.step + jnp.arange(at_once))
      return jax.lax.scan(play, state, drawn)

    state, logs = jax.lax.scan(block, state, None, length=length // at_once)
    logs = jax.tree.map(lambda x: x.reshape(length), logs)
    return state, jax.tree.map(mean, logs), health.first_nonfinite(logs)

  return run


def make_chunk(
  game: Game,
  length: int,
  at_once: int | None = None,
  make: MakeStep = steps.make_step,
) -> jax.stages.Wrapped:
  """`make_steps` jitted, of all members; the state is donated.

  Args:
    game: single or of a population.
    length: steps.
    at_once: members side by side on a device, by default `most_at_once`.
    make: makes the step.
  """
  if not game.members:
    kind = game.config.sharding
    run = make_steps(game.spec, game.source, game.mesh, length, kind, make)
    if kind == 'replicated':
      return jax.jit(run, donate_argnums=0)
    # As the next chunk takes it, where the compiler would choose.
    state = game.shapes()
    split = sharding.state_sharding(state, game.mesh, kind)
    return jax.jit(run, donate_argnums=0, out_shardings=(split, None, None))
  one = make_steps(game.spec, game.source, None, length, make=make)
  each = batching.over_members(
    lambda member, arrays: one(member[0], member[1], arrays, member[2]),
    len(game.members),
    at_once or most_at_once(game),
    game.mesh,
  )
  return jax.jit(
    lambda state, hyper, arrays, keys: each((state, hyper, keys), arrays),
    donate_argnums=0,
  )


def most_at_once(game: Game) -> int:
  """Members side by side on a device, as configured or for speed."""
  here = len(game.members) // game.mesh.size
  if game.config.population.at_once:
    return min(game.config.population.at_once, here)
  size = sharding.num_bytes(game.shapes())
  return batching.choose_at_once(here, size // len(game.members))


def chunk_length(config: configs.Config, start: int) -> int:
  """The longest from `start` on that ends at every row and the last step.

  A run that goes on from a checkpoint plays those that it would have played.
  """
  return math.gcd(values.chunk_length(config), start)


def compile_chunk(
  game: Game,
  length: int,
  args: tuple[Any, ...],
  say: Callable[[str], None] = lambda _: None,
) -> jax.stages.Compiled:
  """The chunk for arguments like these, with members as memory allows.

  `say` is told what a population takes of it, and of a long compilation.
  """
  at_once = most_at_once(game) if game.members else 1
  while True:
    chunk = make_chunk(game, length, at_once)
    facts = game.facts(f'{length} steps, {at_once} members at once')
    with compiler.told_if_long(say):
      compiled = compiler.compile(chunk, *args, facts=facts)
    needed, limit = (
      batching.memory_needed(compiled),
      batching.memory_limit(),
    )
    if at_once == 1 or game.config.population.at_once or needed < limit:
      break
    at_once //= 2
  if game.members:
    say(
      f'{len(game.members)} members, {at_once} at once on each of '
      f'{words.counted(game.mesh.size, "device")}, '
      f'{needed / 2**20:,.0f} MiB each'
    )
  return compiled
