"""Compiled programs, kept on the disk for the next process that asks for them.

And plain values that take as long, such as the shapes of large networks.

JAX's own cache is asked with the text of a program, for which it must be traced
and lowered first: most of a start. Here the question is all that the text
depends on: the configuration, what is known of the data, the shapes of the
arguments, the versions, devices and flags, and the sources of this package and
of every other that is imported from outside of Python's libraries. A change in
any of them is another question, which may lead to the same text, and so to the
same compiled program.

Only programs of experiments/ (`python -m experiments...`) keep any: another
process, such as a notebook or a test, may have replaced parts of this package
in its memory. Several processes that play together keep none, and none is kept
of accelerators, because none was at hand to try it.
"""

import contextlib
import functools
import hashlib
import json
import math
import os
import pathlib
import pickle
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import serialize_executable

from gan_jax import cache, types
from gan_jax.ops import cpu

T = TypeVar('T')

_VARIABLES = ('XLA_', 'JAX_', 'TF_', 'NPROC', 'OMP_')
_ROOT = pathlib.Path(__file__).parents[1]
# XLA's default, said aloud: JAX's cache then takes it for another program. What
# XLA (of jaxlib 0.10) on a CPU has read from a cache it cannot write rightly.
_ANEW = {'xla_embed_ir_in_executable': False}
# Seconds after which what nobody asked for is removed.
_UNUSED = 30 * 24 * 3600


def _started() -> float:
  """When this process began; where that is not told, some seconds ago."""
  try:
    fields = pathlib.Path('/proc/self/stat').read_text().rpartition(')')[2]
    uptime = float(pathlib.Path('/proc/uptime').read_text().split()[0])
    ticks = int(fields.split()[19])
  except (OSError, ValueError):
    return time.time() - 10
  return time.time() - uptime + ticks / os.sysconf('SC_CLK_TCK')


# Sources that changed after this may not be those that were imported. Python
# takes longer than that to begin, and a tick is a hundredth of a second.
_IMPORTED = _started() + 0.02


def question(
  facts: Mapping[str, Any], args: types.PyTree
) -> pathlib.Path | None:
  """The file that says which program it leads to, or None where none is kept.

  Args:
    facts: all that it depends on, besides the sources and the machine; plain
      values, or what has a telling `repr`.
    args: arrays or shapes like those that it takes.
  """
  settings = jax.config.values
  folder = settings['jax_compilation_cache_dir']
  if not folder or '://' in folder or jax.default_backend() != 'cpu':
    return None
  if not settings['jax_enable_compilation_cache'] or jax.process_count() > 1:
    return None
  main = getattr(sys.modules['__main__'], '__spec__', None)
  if main is None or not main.name.startswith('experiments.'):
    return None
  sources = _sources()
  if sources is None:
    return None
  leaves, tree = jax.tree.flatten(args)
  arrays = [
    (str(jax.typeof(x)), str(getattr(x, 'sharding', ''))) for x in leaves
  ]
  asked = [main.name, facts, str(tree), arrays, _machine(), settings, sources]
  return pathlib.Path(folder, f'question-{_hash(asked)}')


def _hash(values: Any) -> str:
  text = json.dumps(values, sort_keys=True, default=_plain)
  return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: Any) -> str:
  if isinstance(value, np.ndarray):
    of_bytes = hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()
    return f'{value.dtype}{value.shape} {of_bytes}'
  return repr(value)


@functools.cache
def _machine() -> list[Any]:
  """The devices and what compiles for them."""
  cores = getattr(os, 'sched_getaffinity', lambda _: ())(0)
  processor: list[str] = []
  with contextlib.suppress(OSError):
    lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
    parts = ('model name', 'flags', 'Features')
    processor = sorted({line for line in lines if line.startswith(parts)})
  return [
    [str(device) for device in jax.devices()],
    jax.devices()[0].client.platform_version,
    sorted(path.name for x in _libraries() for path in x.glob('*.dist-info')),
    sys.version,
    [len(cores), cpu.threads()],
    processor,
    {k: v for k, v in os.environ.items() if k.startswith(_VARIABLES)},
  ]


def _libraries() -> set[pathlib.Path]:
  """The folders of Python's own libraries and of what is installed."""
  names = 'stdlib', 'platstdlib', 'purelib', 'platlib'
  return {pathlib.Path(sysconfig.get_path(name)) for name in names}


def _files() -> Iterator[pathlib.Path]:
  """Of this package, and of what is imported from outside of the libraries."""
  yield from sorted(_ROOT.rglob('*.py'))
  libraries = tuple(f'{folder}{os.sep}' for folder in _libraries())
  for name in sorted(sys.modules):
    file = getattr(sys.modules[name], '__file__', None)
    if file and not file.startswith(libraries):
      yield pathlib.Path(file)


def _sources() -> str | None:
  """A hash of their text, or None where one has changed since the start.

  What is imported only when a function is traced may not be among them.
  """
  found = hashlib.sha256()
  for path in dict.fromkeys(_files()):
    found.update(f'{path}\n'.encode())
    try:
      told = path.stat()
      if told.st_mtime > _IMPORTED:
        return None
      found.update(_text_hash(path, told.st_mtime_ns, told.st_size))
    except OSError:  # It names no file, and so cannot be changed.
      continue
  return found.hexdigest()


@functools.cache
def _text_hash(path: pathlib.Path, time_ns: int, size: int) -> bytes:
  """Of a file that was changed at that time; several questions ask for it."""
  return hashlib.sha256(path.read_bytes()).digest()


def value(facts: Mapping[str, Any], make: Callable[[], T]) -> T:
  """What a function gives, or gave to another process that knew the same.

  Args:
    facts: all that it depends on, as of `question`.
    make: takes nothing; what it gives is kept if it can be pickled.
  """
  asked = question(facts, ())
  if asked is None:
    return make()
  path = asked.with_name(asked.name.replace('question', 'value'))
  with contextlib.suppress(Exception):  # It is not there, or not whole.
    found: T = pickle.loads(path.read_bytes())
    with contextlib.suppress(OSError):
      os.utime(path)
    return found
  made = make()
  with contextlib.suppress(Exception):  # It is no plain value.
    _write(path, pickle.dumps(made))
  return made


def answer(
  question: pathlib.Path | None, devices: Sequence[jax.Device]
) -> jax.stages.Compiled | None:
  """The program to which a question has led before, if it has.

  Args:
    question: or None.
    devices: that run it.
  """
  if question is None:
    return None
  try:
    program = question.with_name(question.read_text())
    os.utime(question)
  except (OSError, ValueError):
    return None
  return _read(program, devices)


def compiled(
  question: pathlib.Path | None,
  lowered: jax.stages.Lowered,
  options: dict[str, Any],
  make: Callable[[jax.stages.Lowered, dict[str, Any]], jax.stages.Compiled],
  devices: Sequence[jax.Device],
) -> jax.stages.Compiled:
  """A program, from now on the answer to a question if there is one.

  Args:
    question: that led to it, or None.
    lowered: its text.
    options: of the compiler.
    make: compiles it.
    devices: that run it.
  """
  if question is None:
    return make(lowered, options)
  asked = [
    lowered.as_text(), str(lowered.in_tree), str(lowered.out_tree),
    repr(lowered.args_info), [device.id for device in devices], options,
    _machine(), jax.config.values,
  ]  # fmt: skip
  program = question.with_name(f'program-{_hash(asked)}')
  if found := _read(program, devices):
    _write(question, program.name.encode())
    return found
  if program.exists():  # It cannot be kept.
    return make(lowered, options)
  with storing_nothing():
    made = make(lowered, {**options, **_ANEW})
  try:
    packed = pickle.dumps(serialize_executable.serialize(made))
  except Exception:  # Of a program with large constants, for one.
    packed = b''
  _write(program, packed)
  _write(question, program.name.encode())
  return made


@contextlib.contextmanager
def storing_nothing() -> Iterator[None]:
  """Within, JAX's cache is given no program."""
  name = 'jax_persistent_cache_min_compile_time_secs'
  before = getattr(jax.config, name)
  jax.config.update(name, math.inf)
  try:
    yield
  finally:
    jax.config.update(name, before)


def _read(
  program: pathlib.Path, devices: Sequence[jax.Device]
) -> jax.stages.Compiled | None:
  try:
    packed = program.read_bytes()
  except OSError:
    return None
  if not packed:
    return None
  try:
    serialised, in_tree, out_tree = pickle.loads(packed)
    found: jax.stages.Compiled = serialize_executable.deserialize_and_load(
      serialised, in_tree, out_tree, execution_devices=devices
    )
  except Exception as error:  # Whatever a reader trips over.
    print(f'{program}: cannot be used ({error}); compiling', file=sys.stderr)
    with contextlib.suppress(OSError):
      program.unlink()
    return None
  with contextlib.suppress(OSError):
    os.utime(program)
  return found


def _write(path: pathlib.Path, content: bytes) -> None:
  """Whole or not at all; a full disk is no reason to stop."""
  with (
    contextlib.suppress(OSError),
    cache.writing(path.name, path.parent) as new,
  ):
    new.write_bytes(content)
  for old in path.parent.glob(f'{path.name.partition("-")[0]}-*'):
    with contextlib.suppress(OSError):
      if time.time() - old.stat().st_mtime > _UNUSED:
        old.unlink()
