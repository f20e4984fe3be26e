"""Times training steps: ours, the same in PyTorch, and ours with no fast path.

  python -m experiments.benchmarks.step_time --suite=dcgan_32 --json=out.json

Each contestant has a process of its own and sleeps while another runs. After a
round that does not count they take turns, so that a slow spell of the machine
meets all of them: turns of `--seconds`, or of one call of ours if that is
longer. Figures are medians over the rounds, and spreads are the widest distance
of a round from the median. `peak` is the better of both libraries' 2048 x 2048
matrix products, before and after the suite; operations are counted as told in
`gan_jax/engine/flops.py`. Memory is a process's peak: of one that compiles, of
one that finds its program compiled (`again`), and of PyTorch's. `again s` is
from the start of that process to the end of its first step, imports included,
without the counting of operations.

PyTorch is the extra `benchmark`; without it, its columns are '-'.
"""

import functools
import os
import sys
import tempfile
import time
from typing import Any

from absl import flags

from experiments import launch
from experiments.benchmarks import medians, results, suites, workers
from gan_jax.config import words

_SUITE = flags.DEFINE_enum(
  'suite', 'all', [*suites.SUITES, 'all'], 'Which game.'
)
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Turns of each.', lower_bound=1)
_SECONDS = flags.DEFINE_float('seconds', 1.0, 'Least length of a turn.')
_COMPILE = flags.DEFINE_bool('compile', False, 'Time torch.compile as well.')
_STOCK = flags.DEFINE_bool(
  'stock', True, 'Time ours with no fast path as well.'
)

Record = dict[str, Any]

_COLUMNS = {
  'suite': 'suite', 'ours_ms': 'ours ms', 'ours_spread': '±',
  'torch_ms': 'torch ms', 'torch_spread': '±', 'compile_ms': 'compiled ms',
  'stock_ms': 'stock ms', 'ratio_torch': 'torch/ours',
  'ratio_stock': 'stock/ours', 'gflop': 'GFLOP', 'gflops': 'GFLOP/s',
  'peak_gflops': 'peak', 'fraction_of_peak': 'of peak',
  'ours_compile_s': 'compile s', 'again_s': 'again s', 'ours_mib': 'ours MiB',
  'again_mib': 'again MiB', 'torch_mib': 'torch MiB',
}  # fmt: skip


def _kinds(suite: suites.Suite) -> list[str]:
  """The contestants of a suite, in the order of their turns."""
  kinds = ['ours'] + ['stock'] * _STOCK.value
  if suite.in_torch and workers.has_torch():
    kinds.append('torch')
    penalties = suite.config().penalties
    # torch.compile has no double backward.
    twice = penalties.r1.weight or penalties.r2.weight
    kinds += ['compile'] * (_COMPILE.value and not twice)
  return kinds


def time_suite(name: str, rounds: int, seconds: float) -> Record:
  """Plays one game in turns; see the module's docstring."""
  peak = workers.matmul_gflops()
  suite = suites.SUITES[name]
  kinds = _kinds(suite)
  players = {kind: workers.Worker(kind, name) for kind in kinds}
  first = {kind: player.round(seconds) for kind, player in players.items()}
  seconds = max(seconds, suite.length * first['ours'] / 1e3)
  turns = {
    kind: functools.partial(player.round, seconds)
    for kind, player in players.items()
  }
  times = medians.take_turns(turns, rounds, warm_up=0)
  memory = {kind: player.close() for kind, player in players.items()}
  began = time.monotonic()
  again = workers.Worker('ours', name)
  again.round(0.0)
  called = time.monotonic() - began
  again_mib = again.close()
  peak = max(peak, workers.matmul_gflops())
  record: Record = {
    'suite': name,
    'rounds': rounds,
    'peak_gflops': peak,
    'again_mib': again_mib,
  }
  for kind in workers.KINDS:
    taken = times.get(kind)
    record[f'{kind}_ms'], record[f'{kind}_spread'] = (
      medians.with_spread(taken) if taken else (None, None)
    )
    record[f'{kind}_rounds_ms'] = taken
    record[f'{kind}_mib'] = memory.get(kind)
    facts = players[kind].facts if kind in players else {}
    record[f'{kind}_compile_s'] = facts.get('compile_s')
  ours, gflop = record['ours_ms'], players['ours'].facts['flops'] / 1e9
  for other in ('torch', 'stock', 'compile'):
    theirs = record[f'{other}_ms']
    record[f'ratio_{other}'] = theirs / ours if theirs else None
  # A call is several steps; what is wanted is the end of its first.
  more = again.facts['count_s'] + (suite.length - 1) * ours / 1e3
  record['again_s'] = called - more
  record['gflop'] = gflop
  record['gflops'] = gflop / ours * 1e3
  record['fraction_of_peak'] = record['gflops'] / peak
  return record


def _table(records: list[Record]) -> str:
  """Markdown, '-' where there is no figure."""

  def show(value: Any) -> str:
    return f'{value:.3g}' if isinstance(value, float) else str(value or '-')

  rows = [[*_COLUMNS.values()], ['---'] * len(_COLUMNS)]
  rows += [[show(record[name]) for name in _COLUMNS] for record in records]
  return '\n'.join(words.markdown(rows))


def main() -> None:
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  if _COMPILE.value and not workers.has_torch():
    print('--compile: PyTorch is not installed', file=sys.stderr)
  names = [*suites.SUITES] if _SUITE.value == 'all' else [_SUITE.value]
  records = []
  for name in names:
    # Compile times are those of a first start.
    with tempfile.TemporaryDirectory() as compiled:
      os.environ['JAX_COMPILATION_CACHE_DIR'] = compiled
      records.append(time_suite(name, _ROUNDS.value, _SECONDS.value))
    print(f'{name}: {records[-1]["ours_ms"]:.3g} ms', file=sys.stderr)
  print(_table(records))
  results.write(records)


if __name__ == '__main__':
  launch.run(main)
