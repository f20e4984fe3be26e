"""All that is to be measured on a machine with a GPU or a TPU, in one command.

  python -m experiments.benchmarks.accelerator --json=card.json

Runs on JAX's first device, which may be a CPU, each part in processes of its
own:

- tests of the suite, with all products at the highest precision;
- a step of each network with the device's fastest products of float32, in
  bfloat16, and with products of float32 itself, and the same in PyTorch on that
  device, eager and compiled, all in turns;
- the most memory that each of them used;
- a training of --minutes, stopped by SIGTERM, and whether it is the same bit
  for bit when it is played again.

Prints Markdown tables with the device's name. A part that fails is said and
left out, and the exit code is 1, as where a test fails or the replay differs.
"""

import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from experiments import launch
from experiments.benchmarks import medians, processes, results, suites, workers
from gan_jax.config import words

_NETWORKS = flags.DEFINE_list(
  'networks', [*suites.SUITES], 'The games whose steps are timed.'
)
_BATCH = flags.DEFINE_integer(
  'batch_size', None, "In place of each game's own.", lower_bound=1
)
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Turns of each.', lower_bound=1)
_SECONDS = flags.DEFINE_float('seconds', 1.0, 'Least length of a turn.')
_MINUTES = flags.DEFINE_float('minutes', 10.0, 'Of training.', lower_bound=0.05)
_TESTS = flags.DEFINE_bool('tests', True, "Run the suite's tests as well.")

_ROOT = pathlib.Path(__file__).parent.parent.parent

# Tests of one device, whichever it is.
_FILES = (
  'losses', 'penalties', 'state', 'frechet', 'kernel', 'discrepancy',
  'bootstrap',
)  # fmt: skip

# Ours in other ways, by the fields that differ.
_WAYS: dict[str, dict[str, Any]] = {
  'ours': {'matmul_precision': 'default'},
  'bfloat16': {'precision': 'bfloat16'},
  'highest': {'matmul_precision': 'highest'},
}

# Which game is trained, and played again; its data need no files. A stop costs
# at most a chunk, and a replay two checkpoints.
_TRAINED = (
  '--config=experiments/configs/digits.py:small_dcgan',
  '--config.steps=100000000', '--config.log_every=10',
  '--config.eval.every=1000', '--config.eval.num_samples=512',
  '--config.checkpoint.every=100',
)  # fmt: skip
_REPLAYED = 20
# Seconds for the first row of a training, with all that is compiled.
_FIRST = 1800.0

_ABOUT = """
import importlib.metadata, json, platform, jax
device = jax.devices()[0]
print(json.dumps({
  'platform': device.platform, 'device': device.device_kind,
  'devices': jax.device_count(), 'python': platform.python_version(),
  'jax': jax.__version__,
}))
"""


def _said(done: subprocess.CompletedProcess[str]) -> str:
  """The last line of a process that failed."""
  lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
  return lines[-1] if lines else f'exit code {done.returncode}'


def _run(
  arguments: Sequence[str], **environ: str
) -> subprocess.CompletedProcess[str]:
  return subprocess.run(
    [sys.executable, *arguments],
    cwd=_ROOT,
    env=os.environ | environ,
    capture_output=True,
    text=True,
    check=False,
  )


def about() -> dict[str, Any]:
  """The device and the versions.

  Raises:
    ValueError: JAX cannot start.
  """
  done = _run(['-c', _ABOUT])
  if done.returncode:
    raise ValueError(f'JAX cannot start: {_said(done)}')
  figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
  return figures


def run_tests(platform: str) -> dict[str, Any]:
  """How the suite's tests of one device end there.

  Raises:
    ValueError: there is no pytest.
  """
  files = [f'tests/test_{name}.py' for name in _FILES]
  platforms = {'gpu': 'cuda,cpu', 'tpu': 'tpu,cpu'}.get(platform, platform)
  done = _run(
    ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', *files],
    # The suite itself is for CPUs where it is not told otherwise.
    JAX_PLATFORMS=os.environ.get('JAX_PLATFORMS', platforms),
    XLA_FLAGS=os.environ.get('XLA_FLAGS', ''),
    JAX_DEFAULT_MATMUL_PRECISION='highest',
  )
  if 'No module named pytest' in done.stderr:
    raise ValueError("pytest is not installed: pip install -e '.[test]'")
  lines = done.stdout.splitlines()
  return {
    'exit_code': done.returncode,
    'failed': [line for line in lines if line.startswith(('FAILED', 'ERROR'))],
    'passed': sum(line.count('.') for line in lines if line.endswith('%]')),
  }


def _has_torch(platform: str) -> bool:
  """Whether PyTorch can be timed on the same device; says where it cannot."""
  if not workers.has_torch():
    print('PyTorch is not installed: its columns are left out', file=sys.stderr)
    return False
  if platform == 'cpu':
    return True
  code = 'import torch, sys; sys.exit(not torch.cuda.is_available())'
  if platform == 'gpu' and _run(['-c', code]).returncode == 0:
    return True
  print(
    f'PyTorch has no {platform} here: its columns are left out',
    file=sys.stderr,
  )
  return False


def time_steps(name: str, platform: str, *, torch: bool) -> dict[str, Any]:
  """Milliseconds a step of one game in all ways, and MiB, by way."""
  size = {'batch_size': _BATCH.value} if _BATCH.value else {}
  players = {
    way: workers.Worker('ours', name, fields | size)
    for way, fields in _WAYS.items()
  }
  penalties = suites.SUITES[name].config().penalties
  # torch.compile has no double backward.
  twice = any(
    p.weight for p in (penalties.r1, penalties.r2, penalties.path_length)
  )
  device = 'cuda' if platform == 'gpu' else 'cpu'
  torch = torch and suites.SUITES[name].in_torch
  for kind in ['torch', *['compile'] * (not twice)] if torch else []:
    players[kind] = workers.Worker(kind, name, size, device)
  turns = {
    way: functools.partial(player.round, _SECONDS.value)
    for way, player in players.items()
  }
  times = medians.take_turns(turns, _ROUNDS.value)
  gflop = players['ours'].facts['flops'] / 1e9
  record: dict[str, Any] = {'gflop': gflop, 'rounds_ms': times}
  for way, player in players.items():
    record[f'{way}_ms'], record[f'{way}_spread'] = medians.with_spread(
      times[way]
    )
    record[f'{way}_mib'] = player.close()
  record['gflops'] = gflop / record['ours_ms'] * 1e3
  return record


def _said_at_end(
  process: 'subprocess.Popen[bytes]', seconds: float
) -> bytes | None:
  """Its stderr, if it ends within so long; it never waits to be read."""
  try:
    return process.communicate(timeout=seconds)[1]
  except subprocess.TimeoutExpired:
    return None


def train() -> dict[str, Any]:
  """A training of so many minutes after its first row, and its replay.

  Raises:
    ValueError: it ended by itself, or with an error.
  """
  with tempfile.TemporaryDirectory() as folder:
    workdir = pathlib.Path(folder, 'run')
    path = workdir / 'metrics.jsonl'
    process = processes.start([*_TRAINED, '--deterministic'], workdir)
    said, until = None, time.monotonic() + _FIRST
    while said is None and not (path.exists() and path.read_text()):
      if time.monotonic() > until:
        process.kill()
        process.communicate()
        raise ValueError(f'training: no row after {_FIRST:g} s')
      said = _said_at_end(process, 0.1)
    if said is None:
      said = _said_at_end(process, 60 * _MINUTES.value)
    if said is None:
      process.send_signal(signal.SIGTERM)
      _, said = process.communicate()
    if process.returncode:
      lines = said.decode().strip().splitlines()
      raise ValueError(f'training: {lines[-1] if lines else "said nothing"}')
    rows = path.read_text().splitlines()
    last = json.loads(rows[-1])
    replayed = _run([
      '-m', 'experiments.replay', f'--workdir={workdir}',
      f'--steps={_REPLAYED}', '--deterministic',
    ])  # fmt: skip
  lines = replayed.stdout.splitlines()
  exact = bool(lines) and lines[-1] == 'identical throughout'
  return {
    'minutes': _MINUTES.value,
    'steps': last['step'],
    'disc_loss': last['disc/loss'],
    'gen_loss': last['gen/loss'],
    'replay_identical': exact,
    'replay': lines or [_said(replayed)],
  }


_COLUMNS = {
  'ours_ms': 'ours, ms', 'bfloat16_ms': 'bfloat16', 'highest_ms': 'highest',
  'torch_ms': 'PyTorch', 'compile_ms': 'compiled', 'ratio': 'PyTorch / ours',
  'gflops': 'GFLOP/s', 'ours_mib': 'MiB', 'bfloat16_mib': 'bfloat16, MiB',
  'torch_mib': 'PyTorch, MiB',
}  # fmt: skip


def table(figures: dict[str, Any]) -> str:
  """Markdown, '-' where there is no figure."""

  def shown(value: Any) -> str:
    if value is None:
      return '-'
    return f'{value:.3g}' if value < 1000 else f'{value:,.0f}'

  facts = figures['about']
  rows = [['network', *_COLUMNS.values()], ['---'] * (len(_COLUMNS) + 1)]
  for name, record in figures['steps'].items():
    theirs = record.get('torch_ms')
    with_ratio = record | {
      'ratio': theirs / record['ours_ms'] if theirs else None
    }
    rows.append([name, *(shown(with_ratio.get(column)) for column in _COLUMNS)])
  lines = [
    f'{facts["devices"]} {facts["device"]} ({facts["platform"]}), jax '
    f'{facts["jax"]}, Python {facts["python"]}',
    '',
    *words.markdown(rows),
    '',
  ]
  if tests := figures.get('tests'):
    ended = f', exit code {tests["exit_code"]}' * bool(tests['exit_code'])
    lines += [f'tests: {tests["passed"]} passed{ended}', *tests['failed']]
  if trained := figures.get('training'):
    same = 'identical' if trained['replay_identical'] else 'not identical'
    lines.append(
      f'training of {trained["minutes"]:g} minutes: {trained["steps"]:,} '
      f'steps, losses {trained["disc_loss"]:.3f} (D) and '
      f'{trained["gen_loss"]:.3f} (G); played again: {same}'
    )
  lines += [f'{part}: failed: {why}' for part, why in figures['failed'].items()]
  return '\n'.join(lines)


def main() -> None:
  for name in _NETWORKS.value:
    if name not in suites.SUITES:
      raise ValueError(
        f'--networks={name}: there is no such game; there are '
        f'{", ".join(suites.SUITES)}'
      )
  # PyTorch's processes need room on the same GPU.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  figures: dict[str, Any] = {'about': about(), 'steps': {}, 'failed': {}}
  platform = figures['about']['platform']
  torch = _has_torch(platform)

  def part(title: str, work: Callable[[], Any]) -> Any:
    began = time.monotonic()
    try:
      return work()
    except (EOFError, OSError, ValueError) as error:
      # EOFError: of a worker that has died, after its traceback.
      figures['failed'][title] = str(error) or 'its process died'
      return None
    finally:
      took = time.monotonic() - began
      print(f'{title}: {took:.0f} s', file=sys.stderr, flush=True)

  if _TESTS.value:
    figures['tests'] = part('tests', lambda: run_tests(platform))
  for name in _NETWORKS.value:
    work = functools.partial(time_steps, name, platform, torch=torch)
    record = part(name, work)
    if record:
      figures['steps'][name] = record
  figures['training'] = part('training', train)
  print(table(figures))
  results.write(figures)
  tests, trained = figures.get('tests'), figures['training']
  bad = (tests and tests['exit_code']) or (
    trained and not trained['replay_identical']
  )
  sys.exit(1 if figures['failed'] or bad else 0)


if __name__ == '__main__':
  launch.run(main)
