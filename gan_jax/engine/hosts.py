"""Several processes that play one game: they meet, agree, and end together.

Each has devices of its own and runs the same chunks of steps. Process 0 alone
writes, speaks and decides; the others learn of it what they need, so that only
process 0 needs the folder of the run. This is the only place that asks which
process this one is.

What they tell each other goes through the store of JAX's coordination service,
which is in process 0, and not through the devices: so it can be waited for
while a program runs. A thread of each process says every second that it lives
and watches the others. Who ends says so, and with what code; who is not heard
of any more has died, and the others end.

In a program of one process nothing of this happens: `decide` calls, and
`share` gives back.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax._src import clusters, distributed
from jax.experimental import multihost_utils

from gan_jax import types
from gan_jax.engine import meeting

T = TypeVar('T')

# Seconds between two signs of life, and without one until a process is dead:
# always, and once a program of several processes has failed.
_BEAT = 1.0
_SILENT = 30.0
_SILENT_AFTER_FAILURE = 5.0
# Seconds for processes that have met to be connected by JAX.
_CONNECTING = 30
# Seconds that one which ends waits for the others to learn of it, and that
# process 0 gives itself to find the same mistake.
_LEAVING = 5.0
_GRACE = 3.0

# Bytes of a state that are told at once.
_PIECE = 2**28

_ADVICE = 'the same command on all processes goes on from the last checkpoint'


@dataclasses.dataclass
class _World:
  """What this process knows of all of them."""

  index: int
  count: int
  client: Any
  number: int = 0
  silent: float = _SILENT
  finished: bool = False
  # Seconds since the store, which is in process 0, last answered.
  unanswered: int = 0
  leaving: threading.Lock = dataclasses.field(default_factory=threading.Lock)

  def set(self, key: str, value: Any) -> None:
    text = json.dumps(value)
    self.client.key_value_set(f'gan_jax/{key}', text, allow_overwrite=True)

  def get(self, key: str) -> Any:
    """Waits for as long as the process that sets it lives."""
    while True:
      try:
        text = self.client.blocking_key_value_get(f'gan_jax/{key}', 60_000)
        return json.loads(text)
      except jax.errors.JaxRuntimeError as error:
        if 'DEADLINE_EXCEEDED' not in str(error):
          lost(error)

  def all(self, folder: str) -> dict[int, Any]:
    """What processes have set below a name, by their index."""
    entries = self.client.key_value_dir_get(f'gan_jax/{folder}/')
    return {int(k.rpartition('/')[2]): json.loads(v) for k, v in entries}

  def next(self) -> int:
    """The number of a thing that all do in the same order."""
    self.number += 1
    return self.number


_world: _World | None = None


def join(process: meeting.ProcessAddress, wait_s: float) -> None:
  """Meets the other processes; called before JAX opens its devices.

  Args:
    process: where to meet; what of it is None, JAX finds out of the environment
      of a TPU pod, Kubernetes, Slurm or Open MPI.
    wait_s: seconds to wait for the others.

  Raises:
    ValueError: one line: there is nothing to be found, or someone has not come.
  """
  global _world
  devices: Any = None
  if process.coordinator is None:
    process, devices = _found(wait_s)
  if process.num_processes == 1:
    return
  assert process.num_processes is not None
  lost = 'another process'
  if process.process_id:
    lost = f'process 0 at {process.coordinator}'
  _filter_native_output(f'error: {lost}, or the way to it, is lost; {_ADVICE}')
  # Its handler would take SIGTERM away from ours.
  jax.config.update('jax_enable_preemption_service', False)
  # With several devices a process, jax 0.10.2 never returns otherwise.
  jax.config.update('jax_cpu_enable_async_dispatch', False)
  meeting.meet(process, wait_s)
  jax.distributed.initialize(
    process.coordinator,
    process.num_processes,
    process.process_id,
    local_device_ids=devices,
    cluster_detection_method='deactivate',
    initialization_timeout=_CONNECTING,
  )
  if process.process_id:
    sys.stdout = sys.stderr = open(os.devnull, 'w')  # noqa: SIM115
  client = distributed.global_state.client
  _world = _World(process.process_id or 0, process.num_processes, client)
  _world.set(f'beat/{_world.index}', [platform.node(), 0])
  for watch in (_watch, *([_watch_store] if _world.index else [])):
    threading.Thread(target=watch, args=(_world,), daemon=True).start()


def _found(wait_s: float) -> tuple[meeting.ProcessAddress, Any]:
  """Where this process belongs, and its devices, by the environment."""
  try:
    address, count, index, devices = (
      clusters.ClusterEnv.auto_detect_unset_distributed_params(
        None, None, None, None, None, int(wait_s)
      )
    )
  except Exception as error:  # Of whatever library asks there.
    reason = ' '.join(str(error).split())[:300]
    raise ValueError(
      f'--distributed: where the others are cannot be found ({reason}); '
      'give --coordinator=HOST:PORT, --num_processes and --process_id'
    ) from None
  if address is None or count is None or index is None:
    raise ValueError(
      '--distributed: this is no TPU pod, Kubernetes, Slurm or Open MPI job '
      'that JAX knows; give --coordinator=HOST:PORT, --num_processes and '
      '--process_id'
    )
  return meeting.ProcessAddress(address, count, index), devices


def _filter_native_output(ended: str) -> None:
  """What libraries print goes through a filter; what Python does, does not.

  Args:
    ended: said in place of the coordination service's reason to end.
  """
  for name, number in (('stdout', 1), ('stderr', 2)):
    getattr(sys, name).flush()
    again = open(os.dup(number), 'w', buffering=1, encoding='utf-8')  # noqa: SIM115
    setattr(sys, name, again)
    setattr(sys, f'__{name}__', again)
  script = pathlib.Path(__file__).with_name('native_output.py')
  reader = subprocess.Popen(
    [sys.executable, '-I', '-S', str(script), ended],
    stdin=subprocess.PIPE,
    # It reads to the end, whatever signal the group gets.
    start_new_session=True,
  )
  assert reader.stdin is not None
  for number in (1, 2):
    os.dup2(reader.stdin.fileno(), number)
  reader.stdin.close()


def is_first() -> bool:
  """Whether this process writes, speaks and decides."""
  return _world is None or _world.index == 0


def count() -> int:
  """Processes of this run; 1 where it has no others."""
  return 1 if _world is None else _world.count


def decide(make: Callable[[], T]) -> T:
  """What `make()` gives on process 0, on all; plain values.

  Should it raise there, all processes end.
  """
  if _world is None:
    return make()
  key = f'decided/{_world.next()}'
  if _world.index:
    decided: T = _world.get(key)
    return decided
  value = make()
  _world.set(key, value)
  return value


def share(
  tree: types.PyTree, shapes_of: Callable[[], types.PyTree]
) -> types.PyTree:
  """Process 0's arrays on all, as numpy arrays of the same bits.

  Args:
    tree: of arrays that process 0 has whole; not read elsewhere.
    shapes_of: gives their shapes and dtypes; a process alone does not ask it.
  """
  if _world is None:
    return tree
  shapes, form = jax.tree.flatten(shapes_of())
  sizes = [x.size * x.dtype.itemsize for x in shapes]
  if _world.index:
    whole = np.zeros(sum(sizes), np.uint8)
  else:
    leaves = [np.asarray(x).reshape(-1) for x in jax.tree.leaves(tree)]
    whole = np.concatenate([x.view(np.uint8) for x in leaves])
  with together():
    # Bytes: a sum of numbers would lose the sign of a zero. And some at a time,
    # for they go by way of the devices.
    for start in range(0, len(whole), _PIECE):
      piece = whole[start : start + _PIECE]
      piece[:] = multihost_utils.broadcast_one_to_all(piece)
  parts = np.split(whole, np.cumsum(sizes)[:-1])
  return jax.tree.unflatten(
    form,
    [
      part.view(x.dtype).reshape(x.shape)
      for part, x in zip(parts, shapes, strict=True)
    ],
  )


def agree(what: str, facts: Mapping[str, Any]) -> None:
  """Ends all processes, unless they have the same facts.

  Args:
    what: they are of.
    facts: plain values, by name.

  Raises:
    ValueError: on process 0, naming a process and the facts that differ.
  """
  if _world is None:
    return
  folder = f'facts/{_world.next()}'
  here = json.loads(json.dumps(dict(facts)))
  _world.set(f'{folder}/{_world.index}', here)

  def compare() -> None:
    assert _world is not None
    for other in range(1, _world.count):
      there = _world.get(f'{folder}/{other}')
      differing = [
        f'{name}={there.get(name)!r} there, {here.get(name)!r} here'
        for name in dict.fromkeys([*here, *there])
        if there.get(name) != here.get(name)
      ]
      if differing:
        raise ValueError(
          f'process {other} ({_world.all("beat")[other][0]}) has another '
          f'{what} than process 0 ({"; ".join(differing)})'
        )

  decide(compare)


def asked_to_stop(asked: bool) -> bool:
  """Whether any process was asked to; the same answer on all, after a chunk."""
  if _world is None:
    return asked
  number = _world.next()
  if _world.index:
    if asked:
      _world.set(f'asked/{_world.index}', True)
    stops: bool = _world.get(f'stop/{number}')
    if stops:
      _world.client.key_value_delete(f'gan_jax/asked/{_world.index}')
    return stops
  stop = asked or bool(_world.all('asked'))
  _world.set(f'stop/{number}', stop)
  # All have read the one before: they have played the chunk after it.
  _world.client.key_value_delete(f'gan_jax/stop/{number - 1}')
  return stop


def finish(code: int) -> int:
  """The exit code of process 0, once all are at their end."""
  if _world is None:
    return code
  world, code = _world, decide(lambda: code)
  # Here and not in JAX's own barrier, which waits long for one that has died.
  world.set(f'done/{world.index}', True)

  def wait() -> None:
    while len(world.all('done')) < world.count:
      time.sleep(0.05)

  decide(wait)
  world.finished = True
  jax.distributed.shutdown()
  return code


def leave(code: int, line: str = '') -> NoReturn:
  """Ends this process at once, and the others with the same code.

  Args:
    code: 0 ends them as well.
    line: that process 0 says, whichever process it is of.
  """
  if _world is None:
    _end(code, line)
  if not _world.leaving.acquire(blocking=False):
    # The other thread is ending the process.
    time.sleep(2 * _LEAVING)
  _leave(_world, code, line)


def _leave(world: _World, code: int, line: str) -> NoReturn:
  """Ends the process once the others know, or have had the time to."""
  try:
    world.set(f'ended/{world.index}', [code, line])
    if world.index == 0:
      _end_after(lambda: len(world.all('heard')) == world.count - 1, code, line)
    if _waited(lambda: 0 in world.all('ended')):
      world.set(f'heard/{world.index}', True)
      line = ''
  except jax.errors.JaxRuntimeError:
    pass  # Process 0 is not there to say it.
  _end(code, line)


def _end_after(heard: Callable[[], bool], code: int, line: str) -> NoReturn:
  """Says the line, and ends when the others have heard."""
  if line:
    print(line, file=sys.__stderr__, flush=True)
  _waited(heard)
  _end(code, '')


def _waited(ready: Callable[[], bool]) -> bool:
  """Whether it came about in the time there is for leaving."""
  until = time.monotonic() + _LEAVING + _GRACE
  while not (came_about := ready()) and time.monotonic() < until:
    time.sleep(0.05)
  return came_about


def _end(code: int, line: str) -> NoReturn:
  """Without waiting for threads, which may wait for what does not come."""
  if line:
    print(line, file=sys.__stderr__, flush=True)
  os._exit(code)


@contextlib.contextmanager
def together() -> Iterator[None]:
  """Within, a program of all processes runs; ends this one where it fails."""
  try:
    yield
  except (RuntimeError, ValueError) as error:  # JAX raises either.
    if _world is None:
      raise
    lost(error)


def lost(error: Exception) -> NoReturn:
  """Ends the process after a program of several processes has failed.

  Most often because one of them has died, which the watching thread finds.
  """
  assert _world is not None
  _world.silent = _SILENT_AFTER_FAILURE
  time.sleep(2 * _SILENT_AFTER_FAILURE)
  reason = ' '.join(str(error).split())
  leave(1, f'error: process {_world.index}: {reason}; {_ADVICE}')


def _watch(world: _World) -> None:
  """Says that this process lives, and ends it where others have ended."""
  seen: dict[int, tuple[Any, float]] = {}
  beat = 0
  while not world.finished:
    beat += 1
    try:
      world.set(f'beat/{world.index}', [platform.node(), beat])
      beats, ended = world.all('beat'), world.all('ended')
    except jax.errors.JaxRuntimeError:
      if not world.finished:
        leave(1, f'error: process 0 does not answer any more; {_ADVICE}')
      return
    world.unanswered = 0
    now = time.monotonic()
    for other, sign in beats.items():
      if other not in seen or seen[other][0] != sign:
        seen[other] = sign, now
    ended.pop(world.index, None)
    if ended:
      _follow(world, *next(iter(ended.items())))
    for other, (sign, since) in seen.items():
      if now - since > world.silent:
        leave(
          1,
          f'error: process {other} on {sign[0]} has not been heard of for '
          f'{now - since:.0f} s; {_ADVICE}',
        )
    time.sleep(_BEAT)


def _watch_store(world: _World) -> None:
  """Ends this process where the store does not answer: a call of it waits.

  In steps of its own, for this process may have been stopped as well.
  """
  while world.unanswered < _SILENT:
    time.sleep(1)
    world.unanswered += 1
    if world.finished:
      return
  _end(
    1,
    f'error: process 0 has not answered for {world.unanswered} s; {_ADVICE}',
  )


def _follow(world: _World, other: int, end: list[Any]) -> None:
  """Ends this process after another one, unless it is ending by itself."""
  code, line = end
  if world.index == 0:
    # Time to find the same mistake, and say it as its own.
    time.sleep(_GRACE)
    if line.startswith('error: '):
      host = world.all('beat')[other][0]
      line = f'error: process {other} on {host}: {line.removeprefix("error: ")}'
  if world.leaving.acquire(blocking=False):
    _leave(world, code, line)
