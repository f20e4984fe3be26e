"""Several processes: how they meet, agree, and end together."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import jax
import numpy as np
import pytest

from gan_jax.config import fields as configs, values
from gan_jax.engine import build, hosts, meeting, native_output
from gan_jax.evaluation import evaluator
from gan_jax.networks import mlp
from gan_jax.run import interrupt, train, trained
from gan_jax.storage import checkpoint, workdir as workdirs, writers

ROOT = pathlib.Path(__file__).parent.parent


def free_port() -> int:
  with socket.socket() as found:
    found.bind(('', 0))
    port: int = found.getsockname()[1]
    return port


def met(*places: tuple[int, int], wait_s: float = 5.0) -> list[str | None]:
  """What each of those processes (number, count) is told; None is let go."""
  address = f'localhost:{free_port()}'
  told: list[str | None] = [None] * len(places)

  def one(i: int) -> None:
    number, count = places[i]
    try:
      meeting.meet(meeting.ProcessAddress(address, count, number), wait_s)
    except ValueError as error:
      told[i] = str(error).replace(address, 'ADDRESS')

  threads = [
    threading.Thread(target=one, args=(i,)) for i in range(len(places))
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  return told


def test_processes_meet():
  assert met((2, 3), (0, 3), (1, 3)) == [None] * 3


def test_who_comes_after_a_mistake_is_sent_away():
  address, told = f'localhost:{free_port()}', {}

  def meet(number: int) -> None:
    place = meeting.ProcessAddress(address, 3, number)
    try:
      meeting.meet(place, 60.0)
    except ValueError as error:
      told[number] = str(error)

  threads = [threading.Thread(target=meet, args=(i,)) for i in (0, 2)]
  threads[0].start()
  assert meeting.excuse(meeting.ProcessAddress(address, 3, 1), 'x' * 400)
  began = time.monotonic()
  threads[1].start()
  for thread in threads:
    thread.join()
  assert time.monotonic() - began < 10
  assert told[0].startswith('process 1 on ')
  assert told[0].endswith(': ' + 'x' * 300 + '...')
  assert told[2] == ''


def test_who_does_not_come_is_named():
  first, other = met((0, 4), (2, 4), wait_s=0.5)
  assert first == '--wait_s=0.5: processes 1, 3 of 4 did not come to ADDRESS'
  assert other == ''  # Process 0 says why.


def test_a_coordinator_that_does_not_answer():
  (told,) = met((1, 2), wait_s=0.3)
  assert told is not None
  assert told.startswith('--coordinator=ADDRESS: does not answer after 0.3 s')


@pytest.mark.parametrize(
  ('second', 'words'),
  [
    ((1, 3), '--num_processes=2: a process on'),
    ((0, 2), '--coordinator=ADDRESS: its port cannot be opened here'),
  ],
)
def test_processes_that_do_not_fit(second: tuple[int, int], words: str):
  told = met((0, 2), second, wait_s=0.5)
  assert any(line is not None and line.startswith(words) for line in told)


def test_a_process_that_comes_again_takes_its_place():
  """As where it was started anew; but not one of the same number."""
  port = free_port()
  place = meeting.ProcessAddress(f'localhost:{port}', 3, 0)
  told: list[str] = []

  def first() -> None:
    try:
      meeting.meet(place, 10.0)
    except ValueError as error:
      told.append(str(error))

  thread = threading.Thread(target=first)
  thread.start()
  hello = {'number': 1, 'of': 3, 'host': 'h', 'why': ''}

  def come() -> socket.socket:
    while True:
      try:
        guest = socket.create_connection(('localhost', port))
      except OSError:
        continue
      guest.sendall(json.dumps(hello).encode() + b'\n')
      return guest

  come().close()
  with come():
    # Time to be seen before the next one of that number.
    time.sleep(0.2)
    assert not told
    with come():
      thread.join()
  assert told == ['--process_id=1: is that of two processes, on h and h']


def test_strangers_are_let_pass():
  """Whatever else opens the port, such as a scan."""
  port = free_port()
  place = meeting.ProcessAddress(f'localhost:{port}', 2, 0)
  first = threading.Thread(target=meeting.meet, args=(place, 10.0))
  first.start()
  while True:
    try:
      with socket.create_connection(('localhost', port)) as stranger:
        stranger.sendall(b'GET / HTTP/1.1\r\n\r\n')
      break
    except OSError:
      pass
  meeting.meet(place._replace(process_id=1), 10.0)
  first.join()


@pytest.mark.parametrize(
  ('place', 'words'),
  [
    (('a:1', 2, None), 'give all of them or none'),
    (('a', 2, 0), '--coordinator=a: must be HOST:PORT'),
    (('a:70000', 2, 0), '--coordinator=a:70000: must be HOST:PORT'),
    (('a:1', 2, 2), '--process_id=2: must be from 0 to num_processes - 1 = 1'),
  ],
)
def test_places_that_make_no_sense(place: tuple[Any, ...], words: str):
  with pytest.raises(ValueError, match=words):
    meeting.checked(meeting.ProcessAddress(*place))


def test_pages_of_the_coordination_service_become_a_line():
  lines = [
    '[Gloo] Rank 0 is connected to 1 peer ranks.\n',
    'W1128 12:00:00.000001   12 other.cc:1] a word of another library\n',
    'E1128 12:00:00.000001   12 coordination_service_agent.cc:289] Polled\n',
    'and more of it\n',
    'plain\n',
    'F1128 12:00:00.000001   12 client.h:80] Terminating process\n',
    '*** Check failure stack trace: ***\n',
  ]
  assert [*native_output.kept(lines, 'lost\n')] == [lines[1], 'lost\n']


@pytest.mark.parametrize('look', [workdirs.load, train.train])
def test_a_bucket_is_refused(
  look: Any, tiny: configs.Config, tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
  monkeypatch.chdir(tmp_path)
  arguments = [pathlib.Path('gs://b/r')]
  with pytest.raises(ValueError, match='rsync -r FOLDER gs://b/r') as caught:
    look(*([tiny] if look is train.train else []), *arguments)
  assert str(caught.value).startswith('--workdir=gs://b/r: a run is written to')
  assert not [*tmp_path.iterdir()]


def test_alone_a_process_decides_for_itself():
  assert hosts.is_first()
  assert hosts.decide(lambda: 3) == 3
  assert hosts.asked_to_stop(True)
  assert hosts.share('state', dict) == 'state'


WAITS = """
import os, signal, sys, threading, time
from experiments import launch

launch.define_distributed()

def main():
  print('begun', flush=True)
  open('begun', 'w').close()
  time.sleep(60)

if '--process_id=1' in sys.argv:
  def end():
    from gan_jax.engine import hosts
    while hosts._world is None:
      time.sleep(0.1)
    while not os.path.exists('begun'):
      time.sleep(0.1)
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
  threading.Thread(target=end, daemon=True).start()
launch.run(main, by_first=True)
"""
WORKER = str(ROOT / 'tests' / 'hosts_worker.py')


def pair(
  folder: pathlib.Path, *arguments: str, of: str = '', program: str = WORKER
) -> list[Any]:
  """Two processes of a program; `of`, as in '1:--steps=3', is of one alone.

  Returns:
    Of each its exit code, stdout and stderr.
  """
  environ = os.environ | {
    'JAX_NUM_CPU_DEVICES': '1',
    'XLA_FLAGS': '--xla_backend_optimization_level=0',
    'PYTHONPATH': str(ROOT),
  }
  address = f'--coordinator=localhost:{free_port()}'
  started = [
    subprocess.Popen(
      [
        sys.executable, *program.split(),
        *arguments, *([of[2:]] if of[:1] == str(i) else []),
        '--distributed', address, '--num_processes=2', f'--process_id={i}',
        '--wait_s=60',
      ],
      cwd=folder, env=environ, text=True,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    for i in range(2)
  ]  # fmt: skip
  said = [process.communicate(timeout=300) for process in started]
  return [
    (process.returncode, *lines)
    for process, lines in zip(started, said, strict=True)
  ]


def errors(text: str) -> list[str]:
  return [line for line in text.splitlines() if line.startswith('error')]


def test_processes_of_other_configurations_say_which(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  (tmp_path / 'config.json').write_text(json.dumps(values.to_dict(tiny)))
  run = '--run=never:config.json'
  first, second = pair(tmp_path, run, '--seed=1:3')
  assert first[0] == second[0] == 1
  (line,) = first[2].splitlines()
  assert line.startswith('error: process 1 (')
  assert line.endswith(
    'has another configuration than process 0 (seed=3 there, 0 here)'
  )
  assert second[1:] == ('', '')
  assert not (tmp_path / 'never').exists()


def test_processes_of_other_command_lines_say_which(tmp_path: pathlib.Path):
  """They would wait for each other, as where one plays more steps."""
  first, second = pair(
    tmp_path, '--workdir=x', of='1:--steps=3', program='-m experiments.replay'
  )
  assert first[0] == second[0] == 1
  (line,) = first[2].splitlines()
  assert line.endswith(
    'another command line than process 0 (steps=3 there, 1000 here)'
  )
  assert second[1:] == ('', '')


TABLE = """
from gan_jax.config import fields
from gan_jax.networks import mlp
from gan_jax.study import tables

def get_table():
  c = fields.Config(steps=8, batch_size=8, log_every=4)
  c.gen.net = mlp.GenSettings(width=8, depth=1)
  c.disc.net = mlp.DiscSettings(width=8, depth=1)
  c.eval.every = c.checkpoint.every = 8
  c.eval.num_samples = 256
  c.population.seeds = 2
  return tables.Table(rows={'a row': c}, columns=[tables.Column('ks')])
"""


def test_a_mistake_in_flags_is_told_once(tmp_path: pathlib.Path):
  first, second = pair(tmp_path, '--bogus=1')
  assert first[0] == second[0] == 2
  (line,) = first[2].splitlines()
  assert line.startswith("error: Unknown command line flag 'bogus'")
  assert second[1:] == ('', '')
  # Of one alone: the other does not wait for it.
  first, second = pair(tmp_path, of='1:--bogus=1')
  assert (first[0], second[0]) == (1, 2)
  (line,) = first[2].splitlines()
  assert line.startswith('error: process 1 on ')
  assert "Unknown command line flag 'bogus'" in line
  assert second[1:] == ('', '')
  first, second = pair(tmp_path, of='0:--bogus=1')
  assert (first[0], second[0]) == (2, 1)
  assert second[1:] == ('', '')


def test_a_signal_to_one_that_waits_ends_all(tmp_path: pathlib.Path):
  """Process 0 works for long, and process 1 waits for its end."""
  (tmp_path / 'waits.py').write_text(WAITS)
  first, second = pair(tmp_path, program=str(tmp_path / 'waits.py'))
  assert first[0] == second[0] == 128 + signal.SIGTERM
  assert first[1].splitlines() == ['begun']
  assert errors(first[2]) == []


def test_tables_of_other_rows_say_which(tmp_path: pathlib.Path):
  (tmp_path / 'x.py').write_text(TABLE)
  (tmp_path / 'y.py').write_text(TABLE.replace('a row', 'another'))
  first, second = pair(
    tmp_path,
    *('--table=x.py', '--workdir=runs'),
    of='1:--table=y.py',
    program='-m experiments.table',
  )
  assert first[0] == second[0] == 1, (first, second)
  (line,) = errors(first[2])
  assert line.endswith("(rows=['another'] there, ['a row'] here)")
  assert second[1:] == ('', '')


def test_what_cannot_be_found_is_a_line(monkeypatch: pytest.MonkeyPatch):
  def fail(*_: Any) -> None:
    raise RuntimeError('no\nname server')

  monkeypatch.setattr(
    hosts.clusters.ClusterEnv, 'auto_detect_unset_distributed_params', fail
  )
  with pytest.raises(ValueError, match=r'cannot be found \(no name server\);'):
    hosts.join(meeting.ProcessAddress(), 1.0)


def test_a_signal_ends_a_program_of_several(monkeypatch: pytest.MonkeyPatch):
  """One that has nothing to take up again."""
  told: list[int] = []
  monkeypatch.setattr(hosts, 'leave', lambda code, line='': told.append(code))
  with interrupt.Interrupt(None):
    os.kill(os.getpid(), signal.SIGTERM)
  assert told[0] == 128 + signal.SIGTERM


def test_a_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch):
  """The process that has it hangs: calls of it would wait, and not fail."""
  world, told = hosts._World(1, 2, None), []
  ticks = iter(range(100))

  def tick(seconds: float) -> None:
    if next(ticks) == 20:
      world.unanswered = 0

  monkeypatch.setattr(time, 'sleep', tick)
  monkeypatch.setattr(hosts, '_end', lambda *end: told.append(end))
  hosts._watch_store(world)
  assert next(ticks) == 50
  ((code, line),) = told
  assert code == 1
  assert line.startswith('error: process 0 has not answered for 30 s; ')


def test_two_processes_train_die_and_go_on(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  tiny.steps = 32
  (tmp_path / 'config.json').write_text(json.dumps(values.to_dict(tiny)))
  run = '--run={}:config.json'.format
  # Process 1 dies, twice.
  for chunks in (2, 1):
    first, second = pair(tmp_path, run('parts'), f'--die=1:{chunks}')
    assert second[0] == -9
    assert first[0] == 1
    (line,) = errors(first[2])
    assert line.startswith('error: process 1 on ')
    assert 'has not been heard of for' in line
  # Process 0 dies, and with it the coordination service.
  first, second = pair(tmp_path, run('parts'), '--die=0:2')
  assert first[0] == -9
  assert second[0] not in (0, -9)
  assert second[2].splitlines() == errors(second[2])
  (line,) = errors(second[2])
  assert line.startswith('error: process 0 ')
  # Process 1 is asked to stop: both do, with a checkpoint, and go on from it.
  # A run of one process with four devices goes on on two.
  tiny.steps = 8
  train.train(tiny, tmp_path / 'moved')
  # And a state and images of which each process holds half, against one that
  # has all, over more than 50 steps.
  tiny.data.name, tiny.gen.latent_dim = 'digits', 4
  tiny.gen.net = mlp.GenSettings(width=128, depth=2)
  tiny.disc.net = mlp.DiscSettings(width=128, depth=2)
  tiny.data.placement, tiny.sharding, tiny.steps = 'split', 'fsdp', 52
  (tmp_path / 'split.json').write_text(json.dumps(values.to_dict(tiny)))
  tiny.data.placement, tiny.sharding = 'copy', 'replicated'
  train.train(tiny, tmp_path / 'copied')
  # And of which each reads its own rows.
  tiny.data.device_limit_gb = 0.0
  (tmp_path / 'streamed.json').write_text(json.dumps(values.to_dict(tiny)))
  train.train(tiny, tmp_path / 'alone')
  runs = [run(name) for name in ('parts', 'parts', 'whole', 'moved')]
  runs += ['--run=split:split.json', '--run=streamed:streamed.json']
  first, second = pair(
    tmp_path, *runs, '--replay=whole', '--signal=15', '--die=1:1'
  )
  assert first[0] == second[0] == 0, (first, second)
  stopped = int(first[1].split()[3])
  assert 12 < stopped < 32
  assert f'going on from the checkpoint of step {stopped}' in first[2]
  assert (
    '1 process with 4 devices before, 2 processes with 2 devices now'
    in first[2]
  )
  assert first[1].splitlines()[-4:] == [
    'steps 1 to 8, row by row 10', 'differ []',
    'steps 29 to 32, tensor by tensor 31', 'differ []',
  ]  # fmt: skip
  assert second[1:] == ('', '')
  # However often it died, bit for bit.
  parts, whole = (
    (tmp_path / x / 'metrics.jsonl').read_bytes() for x in ('parts', 'whole')
  )
  assert parts == whole
  sums = []
  for name in ('parts', 'whole'):
    with checkpoint.Checkpoints(tmp_path / name) as saved:
      sums.append(saved.manifest(32)['checksums'])
  assert sums[0] == sums[1]
  # And as one process with four devices, whose first rows these are.
  for one, other in (
    ('whole', 'moved'), ('split', 'copied'), ('streamed', 'alone'),
  ):  # fmt: skip
    rows = (writers.read_rows(tmp_path / name) for name in (one, other))
    for a, b in zip(*rows, strict=True):
      np.testing.assert_allclose([*a.values()], [*b.values()], 1e-3, 1e-4)
  state = trained.load(tmp_path / 'whole').state
  assert len(jax.tree.leaves(state)[0].devices()) == 4


def test_programs_of_two_processes(tmp_path: pathlib.Path):
  """A table, and a member's samples and figures, as of one process."""
  (tmp_path / 'x.py').write_text(TABLE)
  first, second = pair(
    tmp_path, '--table=x.py', '--workdir=runs', program='-m experiments.table'
  )
  assert first[0] == second[0] == 0, (first, second)
  workdir = tmp_path / 'runs' / 'a_row'
  summary = json.loads((workdir / 'summary.json').read_text())
  assert len(summary['ks']['members']) == 2
  assert (tmp_path / 'runs' / 'table.txt').read_text() in first[1]
  assert second[1:] == ('', '')
  of_one = '--workdir=runs/a_row', '--member=1'
  first, second = pair(
    tmp_path,
    *of_one,
    '--num=16',
    '--out=x.npz',
    program='-m experiments.sample',
  )
  assert (first[0], second) == (0, (0, '', '')), (first, second)
  run = trained.load(workdir, member=1)
  expected = np.concatenate([b.x for b in trained.samples(run, 16, seed=0)])
  with np.load(tmp_path / 'x.npz') as found:
    np.testing.assert_allclose(found['samples'], expected, rtol=1e-5)
  first, second = pair(tmp_path, *of_one, program='-m experiments.evaluate')
  assert (first[0], second) == (0, (0, '', '')), (first, second)
  (line,) = (workdir / 'evaluations.jsonl').read_text().splitlines()
  source = build.make_source(run.config, jax.random.key(0))
  expected = evaluator.law_figures(
    run.config, run.spec, source, run.state, jax.random.key(0)
  )
  assert json.loads(line)['figures'] == pytest.approx(expected, rel=1e-5)
