"""Starts a program so that a user's mistake is one line and an exit code."""

# ruff: noqa: E402
import os
import signal
import sys

# Ctrl-C while modules are imported, in a program of this folder.
_main = getattr(sys.modules['__main__'], '__spec__', None)
_ours = _main is not None and _main.name.startswith('experiments.')
_ours = _ours and signal.getsignal(signal.SIGINT) != signal.SIG_IGN
if _ours:
  signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))

import contextlib
import gc
import importlib.metadata
import logging as std_logging
import re
import select
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import app, flags, logging

from experiments import files
from gan_jax import cache
from gan_jax.config import fields as configs, overrides

# The module of JAX that opens devices.
_BACKENDS = 'jax._src.xla_bridge'


def define_config() -> flags.FlagHolder[configs.Config]:
  """`--config=FILE[:ARGUMENT]`, and `--config.field=value`."""
  # Read in `_parse`, where errors are caught and the overrides are known.
  return flags.DEFINE_string(  # type: ignore[return-value]
    'config',
    None,
    'Configuration file, with :ARGUMENT where its get_config() takes one, or '
    'the config.json of a run; --config.x.y=value overrides a field, and '
    '=none sets it back to none.',
  )


def define_distributed() -> None:
  """`--distributed`, for programs that several processes can run together."""
  flags.DEFINE_bool(
    'distributed', False, 'One of several processes that run this program '
    'together: started alike on every host of a TPU pod, a Kubernetes or a '
    'Slurm job, which JAX finds by itself.'
  )  # fmt: skip
  flags.DEFINE_string(
    'coordinator', None, 'HOST:PORT of process 0, where nothing is found.'
  )
  flags.DEFINE_integer(
    'num_processes', None, 'How many there are.', lower_bound=1
  )
  flags.DEFINE_integer(
    'process_id', None, 'Which of them this is, from 0.', lower_bound=0
  )
  flags.DEFINE_float(
    'wait_s', 300.0, 'Seconds to wait for the others to come.', lower_bound=1
  )


def define_deterministic() -> None:
  """`--deterministic`, for programs that train."""
  flags.DEFINE_bool(
    'deterministic', False, 'Have the same bits from the same program each '
    'time: on a GPU no operation whose result depends on which thread is '
    'first, and none chosen by its time. CPUs and TPUs need nothing.'
  )  # fmt: skip


def _set_deterministic() -> str:
  """Sets what `--deterministic` needs, before XLA reads it; says what."""
  if 'deterministic' not in flags.FLAGS:
    return ''
  if not flags.FLAGS['deterministic'].value:
    return ''
  plugins = importlib.metadata.entry_points(group='jax_plugins').names
  if not _can_have_gpu(os.environ.get('JAX_PLATFORMS', ''), plugins):
    return '--deterministic: nothing to set, for JAX has no GPU here'
  from gan_jax.storage import workdir

  given = os.environ.get('XLA_FLAGS', '')
  # XLA takes the last of the same name.
  os.environ['XLA_FLAGS'] = f'{given} {workdir.DETERMINISTIC}'.strip()
  return f'--deterministic: XLA_FLAGS={os.environ["XLA_FLAGS"]}'


def _can_have_gpu(platforms: str, plugins: Iterable[str]) -> bool:
  """Before JAX looks for one. libtpu ends at a flag of XLA's for GPUs.

  Args:
    platforms: JAX_PLATFORMS.
    plugins: of JAX, as 'xla_cuda12'.
  """
  asked = not platforms or {'gpu', 'cuda', 'rocm'} & {*platforms.split(',')}
  known = any(kind in name for name in plugins for kind in ('cuda', 'rocm'))
  return bool(asked) and known


def _join() -> bool:
  """Meets the other processes; False where there are none to meet."""
  if 'distributed' not in flags.FLAGS:
    return False
  names = 'coordinator', 'num_processes', 'process_id'
  given = [flags.FLAGS[name].value for name in names]
  if not flags.FLAGS['distributed'].value:
    for name, value in zip(names, given, strict=True):
      if value is not None:
        raise ValueError(f'--{name}={value}: needs --distributed')
    if flags.FLAGS['wait_s'].present:
      raise ValueError('--wait_s: needs --distributed')
    return False
  from gan_jax.engine import hosts, meeting

  place = meeting.ProcessAddress(*given)
  if any(value is not None for value in given):
    meeting.checked(place)
  hosts.join(place, flags.FLAGS['wait_s'].value or 0.0)
  return True


# Flags that each process may have of its own: where it is, and where things
# are. Configurations are compared by their values.
_OWN = (
  'coordinator', 'num_processes', 'process_id', 'wait_s', 'config', 'workdir',
  'data_dir', 'table', 'fill',
)  # fmt: skip


def _shared_flags() -> dict[str, Any]:
  """Those that must be alike on all processes, by their names."""
  by_module = flags.FLAGS.flags_by_module_dict()
  return {
    flag.name: flag.value
    for module, defined in by_module.items()
    if module == sys.argv[0] or module.startswith('experiments.')
    for flag in defined
    if flag.name not in _OWN
  }


def config_arguments() -> list[str]:
  """What of the command line makes the configuration, for another process."""
  kept = []
  for i, argument in enumerate(sys.orig_argv):
    if argument.startswith('--config'):
      following = [] if '=' in argument else sys.orig_argv[i + 1 : i + 2]
      kept += [argument, *(a for a in following if not a.startswith('--'))]
  return kept


def _one_line(error: Exception) -> str:
  """What is wrong with the command line, in one line."""
  of_system = isinstance(error, OSError) or not error.args
  return ' '.join(str(error if of_system else error.args[0]).split())


def _cache_compilations() -> None:
  """Keeps compiled programs, so that a second start need not compile."""
  os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(cache.folder()))
  os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.1')


def _unraisable(unraisable: 'sys.UnraisableHookArgs') -> None:
  """Leaves out what Orbax's threads say after one of them has failed.

  They outlive the event loop that they answer to; the failure is raised.
  """
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)


def _leave(code: int) -> None:
  """Ends the process without waiting for threads, when all is closed.

  Those of Orbax wait ten minutes for the rest of a save that failed.
  """
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


def _leave_pipe() -> None:
  """Ends the process as others end whose reader has gone, as of `| head`.

  Where standard output has a reader, another pipe broke, and this returns.
  """
  output = select.poll()
  output.register(sys.stdout.fileno(), 0)
  if output.poll(0):
    os._exit(128 + signal.SIGPIPE)


class _Warnings(std_logging.Handler):
  """A line for each warning."""

  def emit(self, record: std_logging.LogRecord) -> None:
    print(f'warning: {" ".join(record.getMessage().split())}', file=sys.stderr)


def _prepare_process() -> None:
  """What holds for all that a program does."""
  sys.unraisablehook = _unraisable
  if not flags.FLAGS['verbosity'].present:
    # The libraries tell a lot at absl's default level, INFO, and log with
    # a traceback what they also raise.
    logging.set_verbosity(logging.FATAL)
    # But not what JAX says of a GPU that is there and cannot be used.
    backends = std_logging.getLogger(_BACKENDS)
    backends.setLevel(std_logging.WARNING)
    backends.propagate = False
    backends.addHandler(_Warnings())


_PREFIX = '--config.'
# Flags whose empty value would be the current folder.
_PLACES = 'workdir', 'out', 'config', 'table', 'generated', 'real'


def _split(argv: Sequence[str]) -> tuple[list[str], list[overrides.Override]]:
  """The command line without `--config.x=value` or `--config.x value`.

  Raises:
    ValueError: an override has no value.
  """
  rest, pairs, given = [], [], iter(argv)
  for argument in given:
    if not argument.startswith(_PREFIX):
      rest.append(argument)
      continue
    name, equals, text = argument.removeprefix(_PREFIX).partition('=')
    if not equals:
      text = next(given, '--')
      if text.startswith('--'):
        raise ValueError(f'{argument}: needs a value, as {argument}=VALUE')
    pairs.append((name, text))
  return rest, pairs


def _adopt_shared() -> None:
  """Lets `--helpshort` list what modules beside the program's define."""
  for module, shared in flags.FLAGS.flags_by_module_dict().items():
    if module.startswith('experiments.'):
      for flag in shared:
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)


def _parse(argv: Sequence[str]) -> list[str]:
  """Reads the flags, and what absl cannot; exits with 2 where it cannot."""
  _adopt_shared()
  try:
    argv = flags.FLAGS.read_flags_from_files(argv, force_gnu=False)
    argv, pairs = _split(argv)
    rest = list(flags.FLAGS(argv))
    if len(rest) > 1:
      raise ValueError(f'unknown argument {rest[1]!r}')
    known = flags.FLAGS.flag_values_dict()
    for name in _PLACES:
      if known.get(name) == '':
        raise ValueError(f'--{name}=: is empty')
    if known.get('config') is not None:
      from gan_jax.engine import build

      flag = flags.FLAGS['config']
      config = files.load_config(str(flag.value))
      flag.value = overrides.apply(config, pairs, build.complete)
    elif pairs:
      raise ValueError(f'{_PREFIX}{pairs[0][0]}: needs --config=FILE')
    return rest
  except BrokenPipeError:
    _leave_pipe()
    raise
  except (
    flags.Error, AttributeError, KeyError, OSError, TypeError, ValueError
  ) as error:  # fmt: skip
    _tell(argv, _one_line(error))
    sys.exit(2)


def _hear_interrupts() -> None:
  """Ctrl-C is an exception again, now that modules are imported."""
  if _ours:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _tell(argv: Sequence[str], reason: str) -> None:
  """Says what is wrong with the flags, by process 0 where that can be reached.

  The others learn that this process does not come.
  """
  from gan_jax.engine import meeting

  _hear_interrupts()
  given = dict(re.findall(r'^--(\w+)=(.*)$', '\n'.join(argv), re.M))
  place = None
  if '--distributed' in argv:
    with contextlib.suppress(KeyError, ValueError):
      count, index = int(given['num_processes']), int(given['process_id'])
      place = meeting.checked(
        meeting.ProcessAddress(given['coordinator'], count, index)
      )
  with contextlib.suppress(KeyboardInterrupt):
    if place and place.process_id and meeting.excuse(place, reason):
      return
  print(f'error: {reason}', file=sys.stderr, flush=True)
  with contextlib.suppress(KeyboardInterrupt):
    if place and place.process_id == 0:
      meeting.call_off(place)


def _of_backends(error: Exception) -> str:
  asked = os.environ.get('JAX_PLATFORMS', '')
  reason = _one_line(error) or 'JAX has no such backend on this machine'
  return f'JAX_PLATFORMS={asked}: {reason}'


def _is_of_memory(error: Exception) -> bool:
  """Whether a device or the host has not as much as was asked for."""
  return isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in str(error)


def _of_memory(error: Exception) -> str:
  reason = str(error).strip().split('\n')[0].strip()
  return (
    f'out of memory ({reason}); less is needed with more microbatches, '
    'a smaller batch_size, population.at_once or network, or with its '
    'net.remat=True'
  )


def _is_of_backends(error: Exception) -> bool:
  """Whether JAX cannot have the devices that were asked for.

  It says so in two ways: of a GPU that is not there by a failed assertion.
  """
  *_, (frame, _) = traceback.walk_tb(error.__traceback__)
  return frame.f_globals['__name__'] == _BACKENDS


def _is_first() -> bool:
  from gan_jax.engine import hosts

  return hosts.is_first()


def _end_at_signals() -> None:
  """Ctrl-C and SIGTERM end the program; what is half written is removed.

  Not by an exception: one that arises while JAX's own code runs can be lost, or
  end it by a segmentation fault. Programs that train listen for themselves.
  """
  from gan_jax.storage import whole

  def end(number: int, frame: Any) -> None:
    del frame
    whole.discard()
    os._exit(128 + number)

  for number in (signal.SIGINT, signal.SIGTERM):
    # A job in the background of a script is started without Ctrl-C.
    if signal.getsignal(number) != signal.SIG_IGN:
      signal.signal(number, end)


def _run_alone(main: Callable[[], Any]) -> None:
  _end_at_signals()
  try:
    main()
    sys.stdout.flush()
  except BrokenPipeError:
    _leave_pipe()
    raise
  except ValueError as error:
    print(f'error: {_one_line(error)}', file=sys.stderr)
    _leave(1)
  except (RuntimeError, AssertionError, MemoryError) as error:
    if _is_of_memory(error):
      print(f'error: {_of_memory(error)}', file=sys.stderr)
    elif _is_of_backends(error):
      print(f'error: {_of_backends(error)}', file=sys.stderr)
    else:
      raise
    _leave(1)


def _run_joined(main: Callable[[], Any], *, by_first: bool) -> None:
  """Ends with the code of process 0, or of the first that fails."""
  import jax

  from gan_jax.engine import hosts
  from gan_jax.run import interrupt

  code = 0
  try:
    with interrupt.Interrupt(None):
      if by_first:
        jax.devices()  # Those of several processes are opened together.
      else:
        hosts.agree('command line', _shared_flags())
      try:
        if hosts.is_first() or not by_first:
          main()
      except SystemExit as error:
        code = int(error.code or 0)
      code = hosts.finish(code)
  except KeyboardInterrupt:  # Before that listens.
    hosts.leave(128 + signal.SIGINT)
  except ValueError as error:
    hosts.leave(1, f'error: {_one_line(error)}')
  except (jax.errors.JaxRuntimeError, MemoryError) as error:
    if _is_of_memory(error):
      hosts.leave(1, f'error: {_of_memory(error)}')
    hosts.lost(error)
  except Exception as error:
    if _is_of_backends(error):
      hosts.leave(1, f'error: {_of_backends(error)}')
    traceback.print_exc(file=sys.__stderr__)
    hosts.leave(1, 'error: ended by the exception above, which is a bug')
  sys.exit(code)


def run(main: Callable[[], Any], *, by_first: bool = False) -> None:
  """Parses the flags and runs `main()`.

  Where several processes run it together, with `by_first` process 0 does it and
  the others wait.

  A mistake in the flags exits with 2, and a ValueError of the library, which
  says what the user got wrong, with 1; both print one line. Other exceptions
  are bugs and keep their traceback.
  """
  # Rounds of the garbage collector, each through all of JAX's modules, took a
  # tenth of a start.
  gc.set_threshold(100_000)
  # Before the flags: what they name imports JAX, which then reads it.
  _cache_compilations()

  def guarded(argv: list[str]) -> None:
    del argv
    _prepare_process()
    _hear_interrupts()
    told = _set_deterministic()
    try:
      joined = _join()
    except ValueError as error:
      # Where process 0 says what is wrong, the reason here is empty.
      if reason := _one_line(error):
        print(f'error: {reason}', file=sys.stderr)
      _leave(1)
    except KeyboardInterrupt:
      _leave(128 + signal.SIGINT)
    if told and (not joined or _is_first()):
      print(told, file=sys.stderr)
    if joined:
      _run_joined(main, by_first=by_first)
    else:
      _run_alone(main)

  app.run(guarded, flags_parser=_parse)
