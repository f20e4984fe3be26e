"""What a population costs beside as many runs one after another.

  python -m experiments.benchmarks.population --suite=gaussian_1d --members=10

Four contestants train the same members for the same steps, in turns: one
program that takes them side by side (`vmap`), one that takes them one after
another (`map`), the single run's program as often as there are members, and
PyTorch, where it is installed. Compiling and starting, which a population does
once and runs do each, is left out; figures are medians over the rounds of
milliseconds a step of all members.
"""

import functools
import math
import time
from collections.abc import Callable
from typing import Any

from absl import flags

from experiments import launch
from experiments.benchmarks import medians, results, suites

_SUITE = flags.DEFINE_enum(
  'suite', 'gaussian_1d', list(suites.SUITES), 'Which game.'
)
_MEMBERS = flags.DEFINE_integer('members', 10, 'How many.', lower_bound=2)
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Turns of each.', lower_bound=1)
_SECONDS = flags.DEFINE_float('seconds', 1.0, 'Least length of a turn.')


def _population(
  suite: suites.Suite, members: int, at_once: int
) -> Callable[[], None]:
  """Plays a chunk of all members."""
  import jax

  from experiments.benchmarks import jax_games
  from gan_jax.engine import program

  config = suite.config()
  config.population.seeds, config.population.at_once = members, at_once
  source = jax_games.source(config, suite.shape)
  game = program.game_of(config, source)
  state = game.start()
  arrays = source.chunk(0, suite.length)
  args = state, game.hyper, arrays, game.keys
  chunk = program.compile_chunk(game, suite.length, args)

  def play() -> None:
    nonlocal state
    state, logs, _ = chunk(state, game.hyper, arrays, game.keys)
    jax.device_get(logs)

  return play


def contestants(
  suite: suites.Suite, members: int
) -> dict[str, tuple[Callable[[], Any], float]]:
  """`play()` of each, and how many steps of all members that is."""
  from experiments.benchmarks import jax_games, workers

  single = jax_games.Game(suite)
  players: dict[str, tuple[Callable[[], Any], float]] = {
    'vmap': (_population(suite, members, members), suite.length),
    'map': (_population(suite, members, 1), suite.length),
    'runs': (single.play, suite.length / members),
  }
  if suite.in_torch and workers.has_torch():
    from experiments.benchmarks import torch_games

    theirs = torch_games.Game(suite)
    players['torch'] = (lambda: theirs.play(1), 1 / members)
  return players


def _milliseconds(
  play: Callable[[], Any], steps: float, seconds: float
) -> float:
  """A step's, of one turn."""
  count, began = 0, time.monotonic()
  while not count or time.monotonic() - began < seconds:
    play()
    count += 1
  return 1e3 * (time.monotonic() - began) / (count * steps)


def measure(
  name: str, members: int, rounds: int, seconds: float
) -> dict[str, Any]:
  """Plays in turns; see the module's docstring."""
  players = contestants(suites.SUITES[name], members)
  turns = {
    kind: functools.partial(_milliseconds, play, steps, seconds)
    for kind, (play, steps) in players.items()
  }
  times = medians.take_turns(turns, rounds)
  record: dict[str, Any] = {'suite': name, 'members': members}
  for kind, taken in times.items():
    record[f'{kind}_ms'], record[f'{kind}_spread'] = medians.with_spread(taken)
  best = min(record['vmap_ms'], record['map_ms'])
  for other in ('runs', 'torch'):
    record[f'ratio_{other}'] = record.get(f'{other}_ms', math.nan) / best
  return record


def main() -> None:
  record = measure(_SUITE.value, _MEMBERS.value, _ROUNDS.value, _SECONDS.value)
  for name, value in record.items():
    shown = f'{value:.3f}' if isinstance(value, float) else value
    print(f'{name:14s} {shown}')
  results.write(record)


if __name__ == '__main__':
  launch.run(main)
