"""The scripts that start a program on several hosts."""

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest

FOLDER = pathlib.Path(__file__).parent.parent / 'experiments' / 'pods'
PROGRAM = ['experiments.train', '--config=a.py:b', '--workdir=runs/x y']

GKE = (
  '--cluster=c', '--workload=w', '--tpu_type=v5litepod-16', '--image=i',
)  # fmt: skip


def start(script: str, *options: str) -> subprocess.CompletedProcess[str]:
  return subprocess.run(
    ['bash', FOLDER / script, *options, '--dry_run', '--', *PROGRAM],
    capture_output=True,
    text=True,
    check=False,
  )


def command(script: str, *options: str) -> list[list[str]]:
  """The words of what would be started, line by line."""
  done = start(script, *options)
  assert (done.returncode, done.stderr) == (0, '')
  return [shlex.split(line) for line in done.stdout.splitlines()]


def program(line: str) -> list[str]:
  """The words after `python -m` of what a host is given."""
  words = shlex.split(line)
  return words[words.index('-m') + 1 :]


def test_tpu_vm():
  (words,) = command('tpu_vm.sh', '--name=a', '--zone=b-1', '--folder=x y')
  assert words[:-1] == [
    *('gcloud', 'compute', 'tpus', 'tpu-vm', 'ssh'),
    *('a', '--zone=b-1', '--worker=all'),
  ]
  there = words[-1].removeprefix('--command=')
  assert shlex.split(there)[:3] == ['cd', 'x y', '&&']
  assert program(there) == [*PROGRAM, '--distributed']


def test_gke():
  (words,) = command('gke.sh', *GKE)
  assert words[:3] == ['xpk', 'workload', 'create']
  assert {'--cluster=c', '--tpu-type=v5litepod-16', '--max-restarts=10'} <= {
    *words
  }
  assert program(words[-1]) == [*PROGRAM, '--distributed']


def test_slurm():
  (words,) = command('slurm.sh', '--nodes=2', '--gpus=8', '--time=1:00:00')
  assert words[0] == 'sbatch'
  assert {'--nodes=2', '--ntasks-per-node=8', '--gpus-per-node=8'} <= {*words}
  assert '--time=1:00:00' in words
  assert program(words[-1]) == [*PROGRAM, '--distributed']


def test_local():
  lines = command('local.sh', '--processes=2', '--port=7777')
  for i, words in enumerate(lines):
    assert words[words.index('-m') + 1 :] == [
      *PROGRAM, '--distributed', '--coordinator=localhost:7777',
      '--num_processes=2', f'--process_id={i}',
    ]  # fmt: skip
  assert len(lines) == 2


STUB = """#!{python}
# Notes each signal, and ends well some time after a first SIGTERM.
import os, signal, sys, time

def note(text):
  with open({log!r}, 'a') as file:
    file.write(text + '\\n')

def hear(number, _):
  note(signal.Signals(number).name)
  if number == signal.SIGTERM:
    time.sleep(0.3)
    sys.exit()

for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
  signal.signal(each, hear)
note('began')
time.sleep(30)
"""


@pytest.mark.parametrize('by', ['SIGINT', 'SIGHUP', 'SIGTERM'])
def test_a_signal_to_local_is_one_to_each(by: str, tmp_path: pathlib.Path):
  log, stub = tmp_path / 'log', tmp_path / 'stub'
  log.touch()
  stub.write_text(STUB.format(python=sys.executable, log=str(log)))
  stub.chmod(0o755)
  # SIGINT is ignored where these tests run in the background of a script, and
  # what is ignored from the start cannot be trapped.
  begin = (
    'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); '
    'os.execvp("bash", ["bash", *sys.argv[1:]])'
  )
  script = subprocess.Popen(
    [sys.executable, '-c', begin, str(FOLDER / 'local.sh'), '--processes=2',
     '--', 'program'],
    env={**os.environ, 'PYTHON': str(stub)},
    start_new_session=True,
  )  # fmt: skip
  while log.read_text().count('began') < 2:
    assert script.poll() is None
    time.sleep(0.02)
  # As a terminal does to its group, and as a scheduler does to the script.
  number = signal.Signals[by]
  if by == 'SIGHUP':
    os.killpg(script.pid, number)
  if by == 'SIGTERM':
    script.send_signal(number)
  else:
    os.killpg(script.pid, number)
  assert script.wait(timeout=20) == 0
  assert log.read_text().split() == ['began'] * 2 + ['SIGTERM'] * 2


@pytest.mark.parametrize(
  ('script', 'options', 'line'),
  [
    ('tpu_vm.sh', ['--zone=b'], '--name=VALUE must be given'),
    (
      'tpu_vm.sh',
      ['--cluster=b'],
      '--cluster=b: there are --name, --zone, --folder, --dry_run',
    ),
    (
      'slurm.sh',
      ['nodes=2'],
      'nodes=2: options are --NAME=VALUE, and -- begins the program',
    ),
    (
      'local.sh',
      ['--processes=two'],
      '--processes=two: must be a whole number from 1 to 99999',
    ),
    (
      'local.sh',
      ['--processes=2', '--port=abc'],
      '--port=abc: must be a whole number from 1 to 65535',
    ),
    (
      'local.sh',
      ['--processes=2', '--port=65536'],
      '--port=65536: must be a whole number from 1 to 65535',
    ),
    (
      'slurm.sh',
      ['--nodes=two', '--gpus=8'],
      '--nodes=two: must be a whole number from 1 to 99999',
    ),
    (
      'slurm.sh',
      ['--nodes=2', '--gpus=-1'],
      '--gpus=-1: must be a whole number from 1 to 99999',
    ),
    (
      'slurm.sh',
      ['--nodes=2', '--gpus=8', '--time=soon'],
      '--time=soon: must be as 24:00:00 or 2-00:00:00, or UNLIMITED',
    ),
    (
      'gke.sh',
      [*GKE, '--restarts=some'],
      '--restarts=some: must be a whole number from 0 to 99999',
    ),
  ],
)
def test_mistakes(script: str, options: list[str], line: str):
  done = start(script, *options)
  assert (done.returncode, done.stdout) == (2, '')
  assert done.stderr == f'error: {line}\n'
