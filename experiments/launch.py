"""Starts a program so that a user's mistake is one line and an exit code."""

import difflib
import gc
import logging as std_logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from gan_jax import cache
from gan_jax.config import fields as configs, values

# The module of JAX that opens devices.
_BACKENDS = 'jax._src.xla_bridge'


def define_config() -> flags.FlagHolder[configs.Config]:
  """`--config=FILE` with a `get_config()`, and `--config.field=value`."""
  # No default here: it would be read at import, where nothing catches errors.
  return config_flags.DEFINE_config_file(
    'config', None, 'Configuration file; --config.x.y=value overrides a field.'
  )


def _check_fields(argv: Sequence[str]) -> None:
  """Raises ValueError for an override of a field that does not exist."""
  leaves = values.flatten(configs.Config())
  for argument in argv:
    flag = argument.partition('=')[0].lstrip('-')
    field = flag.removeprefix('config.')
    if flag.startswith('config.') and field not in leaves:
      near = difflib.get_close_matches(field, leaves, n=1)
      hint = f' (did you mean {near[0]}?)' if near else ''
      group = field.rpartition('.')[0]
      prefix = (
        f'{group}.' if any(x.startswith(f'{group}.') for x in leaves) else ''
      )
      beside = dict.fromkeys(
        name.removeprefix(prefix).split('.')[0]
        for name in leaves
        if name.startswith(prefix)
      )
      raise ValueError(
        f'--{flag}: there is no such field{hint}; config.{prefix}* has '
        f'{", ".join(beside)}'
      )


def config_arguments() -> list[str]:
  """What of the command line makes the configuration, for another process."""
  found = []
  for i, argument in enumerate(sys.orig_argv):
    if argument.startswith('--config'):
      following = [] if '=' in argument else sys.orig_argv[i + 1 : i + 2]
      found += [argument, *(a for a in following if not a.startswith('--'))]
  return found


_VARY = '--config.population.vary='


def _parse_vary(text: str) -> dict[str, list[float]]:
  """'a.b=1,2;c.d=3,4' as a mapping; '' as an empty one.

  Raises:
    ValueError: it has another form.
  """
  try:
    items = [item.split('=') for item in text.split(';') if item]
    return {name: [float(x) for x in xs.split(',')] for name, xs in items}
  except ValueError:
    raise ValueError(
      f'{_VARY}{text}: must be FIELD=NUMBER,NUMBER,... with ; between fields'
    ) from None


def _check_config(value: Any) -> None:
  """Raises where `--config` named no usable file.

  A file that cannot be read shows only when a field is looked at.
  """
  if value is not None and not isinstance(value, configs.Config):
    value.steps  # noqa: B018
    raise TypeError('get_config() must return a gan_jax.config.fields.Config')


def _one_line(error: Exception) -> str:
  """What is wrong with the command line, in one line."""
  return ' '.join(str(error.args[0] if error.args else error).split())


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


class _Warnings(std_logging.Handler):
  """A line for each warning."""

  def emit(self, record: std_logging.LogRecord) -> None:
    print(f'warning: {" ".join(record.getMessage().split())}', file=sys.stderr)


def _prepare_process() -> None:
  """What holds for all that a program does."""
  _cache_compilations()
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


def _parse(argv: Sequence[str]) -> list[str]:
  """Reads the flags, and what absl cannot; exits with 2 where it cannot."""
  try:
    _check_fields(argv)
    # The flags library, which reads sys.argv too, knows no mappings.
    vary = [a.removeprefix(_VARY) for a in argv if a.startswith(_VARY)]
    sys.argv = [a for a in argv if not a.startswith(_VARY)]
    rest = list(flags.FLAGS(sys.argv))
    config = flags.FLAGS['config'].value if 'config' in flags.FLAGS else None
    _check_config(config)
    if vary and config is not None:
      config.population.vary = _parse_vary(vary[-1])
    if len(rest) > 1:
      raise ValueError(f'unknown argument {rest[1]!r}')
    return rest
  except (
    flags.Error, AttributeError, KeyError, OSError, TypeError, ValueError
  ) as error:  # fmt: skip
    print(f'error: {_one_line(error)}', file=sys.stderr)
    sys.exit(2)


def _is_of_backends(error: Exception) -> bool:
  """Whether JAX cannot have the devices that were asked for.

  It says so in two ways: of a GPU that is not there by a failed assertion.
  """
  *_, (frame, _) = traceback.walk_tb(error.__traceback__)
  return frame.f_globals['__name__'] == _BACKENDS


def run(main: Callable[[], Any]) -> None:
  """Parses the flags and runs `main()`.

  A mistake in the flags exits with 2, and a ValueError of the library, which
  says what the user got wrong, with 1; both print one line. Other exceptions
  are bugs and keep their traceback.
  """
  # Rounds of the garbage collector, each through all of JAX's modules, took a
  # tenth of a start.
  gc.set_threshold(100_000)

  def guarded(argv: list[str]) -> None:
    del argv
    _prepare_process()
    try:
      main()
    except KeyboardInterrupt:
      # Where nothing was under way that listens for it.
      sys.exit(128 + signal.SIGINT)
    except ValueError as error:
      print(f'error: {_one_line(error)}', file=sys.stderr)
      _leave(1)
    except (RuntimeError, AssertionError) as error:
      if not _is_of_backends(error):
        raise
      asked = os.environ.get('JAX_PLATFORMS', '')
      reason = _one_line(error) or 'JAX has no such backend on this machine'
      print(f'error: JAX_PLATFORMS={asked}: {reason}', file=sys.stderr)
      _leave(1)

  app.run(guarded, flags_parser=_parse)
