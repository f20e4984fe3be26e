"""Kills a run again and again, and holds its end against an undisturbed one.

  python -m experiments.benchmarks.kill --kills=50 \
    --config=experiments/configs/ring_2d.py --config.checkpoint.every=1000

One process trains undisturbed. Others train in a second folder, each taking
up what the one before left, and are killed with SIGKILL at random moments
between their start and a little after their first steps; the last one is let
to its end. Then every array of the final state must have the
same checksum, and metrics.jsonl the same bytes.

With --processes=2 two train together, and a kill is of one of them by chance:
the other must end within a minute, with a code that is not 0.
"""

import math
import pathlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent import futures
from typing import Any

from absl import flags

from experiments import launch
from experiments.benchmarks import processes, results

_CONFIG = launch.define_config()
_KILLS = flags.DEFINE_integer('kills', 50, 'How many.', lower_bound=1)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the moments.')
_PROCESSES = flags.DEFINE_integer(
  'processes', 1, 'That train together; each kill is of one of them.',
  lower_bound=1,
)  # fmt: skip


def _has_stepped(workdir: pathlib.Path) -> bool:
  """Whether there is a row of a run's first steps."""
  rows = workdir / 'metrics.jsonl'
  return rows.exists() and rows.read_text().count('\n') > 1


def run(
  arguments: Sequence[str],
  workdir: pathlib.Path,
  kill_after: float | None,
  count: int,
  victim: int = 0,
) -> tuple[bool, float, float]:
  """One life of a run, which may be ended by a kill.

  Args:
    arguments: of the training program.
    workdir: of the run.
    kill_after: seconds; None lets it come to its end, and 0 kills it at the
      row of its first steps.
    count: of processes.
    victim: which of them is killed; the others have a minute to end, of which
      they wait for each other 45 s at the start.

  Returns:
    Whether it was killed, and the seconds to that row (0 if it never came) and
    to its last one.

  Raises:
    ValueError: a process failed, with its own words, or outlived the killed
      one.
  """
  began, start, first = time.monotonic(), time.time(), 0.0
  together = processes.start_together(arguments, workdir, count)
  chosen = together[victim]
  # What they say is read all the time: a full pipe would stop them.
  pool = futures.ThreadPoolExecutor(count)
  ends = [pool.submit(process.communicate) for process in together]
  while chosen.poll() is None:
    lived = time.monotonic() - began
    if not first and _has_stepped(workdir):
      first = lived
    limit = first or math.inf if kill_after == 0 else kill_after
    if limit is not None and lived >= limit:
      chosen.send_signal(signal.SIGKILL)
      break
    time.sleep(0.01)
  said = []
  for end in ends:
    try:
      said.append(end.result(timeout=60)[1].decode().strip())
    except futures.TimeoutError:
      for other in together:
        other.kill()
      raise ValueError(f'process {victim} was killed, another stays') from None
  killed = chosen.returncode == -signal.SIGKILL
  for process, words in zip(together, said, strict=True):
    if process.returncode and not killed:
      raise ValueError(words)
    alone = killed and process is not chosen and not process.returncode
    # In its last moments a process waits for the others alone.
    if alone and not (workdir / 'summary.json').exists():
      raise ValueError(f'process {victim} was killed, and another ends with 0')
  rows = workdir / 'metrics.jsonl'
  last = rows.stat().st_mtime - start if rows.exists() else 0.0
  return killed, first, last


def kill_and_compare(
  arguments: Sequence[str],
  kills: int,
  seed: int,
  folder: pathlib.Path,
  count: int = 1,
) -> dict[str, Any]:
  """The figures of one experiment; see the module's docstring."""
  whole, parts = folder / 'whole', folder / 'parts'
  # The first start compiles; those that count do not.
  run(arguments, folder / 'warm', 0, count)
  _, first, last = run(arguments, whole, None, count)
  # On average all lives together do less than the whole run, whose last row is
  # not its end: pictures come after it.
  horizon = first + 2 * max(last - first, 0.0) / kills
  rng, hit = random.Random(seed), 0
  for _ in range(kills):
    moment = rng.uniform(0.0, horizon)
    victim = rng.randrange(count) if count > 1 else 0
    killed, _, _ = run(arguments, parts, moment, count, victim)
    hit += killed
  run(arguments, parts, None, count)
  from gan_jax.storage import checkpoint

  ends = []
  for workdir in (whole, parts):
    with checkpoint.Checkpoints(workdir) as saved:
      assert saved.latest is not None
      ends.append((saved.latest, saved.manifest(saved.latest)['checksums']))
  rows = [(path / 'metrics.jsonl').read_bytes() for path in (whole, parts)]
  return {
    'kills': hit,
    'step': ends[0][0],
    'tensors': len(ends[0][1]),
    'state_identical': ends[0] == ends[1],
    'rows_identical': rows[0] == rows[1],
  }


def main() -> None:
  if _CONFIG.value is None:
    raise ValueError('--config=FILE must be given')
  arguments = launch.config_arguments()
  with tempfile.TemporaryDirectory() as folder:
    figures = kill_and_compare(
      arguments,
      _KILLS.value,
      _SEED.value,
      pathlib.Path(folder),
      _PROCESSES.value,
    )
  for name, value in figures.items():
    print(f'{name:16s} {value}')
  results.write(figures)
  if not (figures['state_identical'] and figures['rows_identical']):
    sys.exit(1)


if __name__ == '__main__':
  launch.run(main)
