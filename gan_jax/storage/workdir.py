"""The folder of a run: whose it is, and what made it."""

import contextlib
import fcntl
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax

from gan_jax.config import fields as configs, values
from gan_jax.data import source as sources
from gan_jax.ops import cpu
from gan_jax.storage import checkpoint, history, lines, whole

# What a run writes into its folder.
_OURS = (
  'averages', 'checkpoints', 'config.json', 'damaged', 'evaluations.jsonl',
  'evolution.gif', 'population.png', 'protocol.json', 'figure.png',
  'frames', 'health.png', 'history.jsonl', 'lock', 'loss_path.png',
  'metrics.jsonl', 'profile', 'report.html', 'samples', 'summary.json',
  'tensorboard', 'wandb',
)  # fmt: skip

# Of these, what may be there before a run: its lock is first, and in the last
# two each run and each trace has a folder of its own.
_BESIDE = 'lock', 'profile', 'wandb'

# With this in XLA_FLAGS a GPU gives the same bits each time: no operation whose
# result depends on which thread is first, and none chosen by its time.
DETERMINISTIC = '--xla_gpu_deterministic_ops=true'

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def provenance() -> dict[str, Any]:
  """Versions, devices and the git commit: what a figure depends on."""
  versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
  if jax.default_backend() == 'tpu':
    # What compiles there.
    versions['libtpu'] = _libtpu_version()
  xla_flags = os.environ.get('XLA_FLAGS', '')
  return {
    'versions': versions,
    'python': platform.python_version(),
    'devices': [device.device_kind for device in jax.devices()],
    'topology': topology(jax.devices()),
    'processes': jax.process_count(),
    'xla_flags': xla_flags,
    'deterministic': is_deterministic(jax.default_backend(), xla_flags),
    'libtpu_flags': os.environ.get('LIBTPU_INIT_ARGS', ''),
    'stock': cpu.is_stock(),
    'commit': _commit(),
  }


def _libtpu_version() -> str:
  """Of the package, or the file that stands in its place."""
  try:
    return importlib.metadata.version('libtpu')
  except importlib.metadata.PackageNotFoundError:
    return os.environ.get('TPU_LIBRARY_PATH', 'unknown')


def topology(devices: Sequence[Any]) -> str | None:
  """How chips are laid out, such as '4x4x1'; None of other devices."""
  places = [getattr(device, 'coords', None) for device in devices]
  if not places or None in places:
    return None
  return 'x'.join(
    str(1 + max(along) - min(along)) for along in zip(*places, strict=True)
  )


def is_deterministic(platform: str, xla_flags: str) -> bool:
  """Whether a compiled program gives the same bits each time.

  Args:
    platform: JAX's name of it; all but 'gpu' are deterministic.
    xla_flags: the last of a name is XLA's.
  """
  if platform != 'gpu':
    return True
  name = DETERMINISTIC.partition('=')[0]
  asked = [flag for flag in xla_flags.split() if flag.startswith(name)]
  return asked[-1:] in ([DETERMINISTIC], [name])


@functools.cache
def _commit() -> str | None:
  """That of this code when it was first asked for; None where git has none."""
  try:
    git = subprocess.run(
      ['git', 'describe', '--always', '--dirty', '--abbrev=40'],
      cwd=pathlib.Path(__file__).parent.parent.parent,
      capture_output=True,
      text=True,
      check=False,
    )
  except OSError:  # No git.
    return None
  return git.stdout.strip() or None


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes whole or not at all."""
  with whole.replacing(path) as part:
    part.write_text(json.dumps(value, indent=2) + '\n')


def append_json(path: pathlib.Path, value: Any) -> None:
  """Adds a line, which is on the disk before this returns.

  A line that a kill cut short stays alone on its own.

  Raises:
    ValueError: the file cannot be written, or is a link.
  """
  if path.is_symlink():
    raise ValueError(
      f'{path}: is a link; what a run writes stays in its folder'
    )
  try:
    _append(path, json.dumps(value) + '\n')
  except OSError as error:
    raise ValueError(f'{path}: cannot be written ({error.strerror})') from None


def _append(path: pathlib.Path, line: str) -> None:
  torn = lines.is_torn(path)
  with path.open('a') as file:
    file.write('\n' * torn + line)
    file.flush()
    os.fsync(file.fileno())


def is_outside(name: str) -> bool:
  """Whether a field of a configuration changes nothing of what a run finds.

  Such fields say where its images and its files are, and which device has what.
  """
  return name.startswith(('checkpoint.', 'log.')) or name in (
    'data.dir', 'data.placement', 'sharding',
  )  # fmt: skip


def check(
  workdir: pathlib.Path,
  config: configs.Config,
  info: sources.Info | None = None,
) -> None:
  """Looks whether this configuration may run here; changes nothing.

  A run may be taken up with more steps, with other checkpoints, with its state
  or its images split differently over devices, shown in other places, on CPUs
  with another `matmul_precision`, and with its images at another place, whose
  fingerprint says that they are the same; any other difference is refused.

  Args:
    workdir: which need not be there.
    config: that wants to run.
    info: of its data, once they are open.

  Raises:
    ValueError: the folder holds a run of another configuration or of other
      data, or something that is no run.
  """
  check_local(workdir)
  path = workdir / 'config.json'
  if workdir.exists() and not workdir.is_dir():
    raise ValueError(f'--workdir={workdir}: is a file, not a folder')
  for name in _OURS:
    if (workdir / name).is_symlink():
      raise ValueError(
        f'--workdir={workdir}: {name} is a link; what a run writes stays in '
        'its folder'
      )
  if not path.exists():
    for name in _OURS:
      if name not in _BESIDE and (workdir / name).exists():
        raise ValueError(
          f'--workdir={workdir}: has {name} but no config.json, and a run '
          f'would write its own {name}; choose another folder'
        )
    return
  stored, known = load(workdir)
  if history.converted_from(history.read(workdir)):
    raise ValueError(
      f'--workdir={workdir}: holds networks that were converted, and stays as '
      f'it is; choose another folder, where --config.init_from={workdir} '
      'begins with them'
    )
  read_summary(workdir)
  differing = {
    name: f'{name}={old!r} there, {new!r} here'
    for name, (old, new) in values.differing(stored, config).items()
    if not is_outside(name)
    and not (name == 'steps' and new > old)
    and not (name == 'matmul_precision' and _multiplies_the_same(workdir))
  }
  if differing:
    advice = f'where --config.branch_from={workdir} goes on from this run'
    if not _is_begun(workdir):
      advice = 'or delete this one, of which no step is written'
    raise ValueError(
      f'--workdir={workdir}: holds a run of another configuration '
      f'({_in_short(differing)}); choose another folder, {advice}'
    )
  if info and info.fingerprint != known.fingerprint:
    raise ValueError(
      f'--workdir={workdir}: the data have changed since this run began '
      f'(fingerprint {known.fingerprint[:12]} there, '
      f'{info.fingerprint[:12]} here); bring them back or choose another '
      'folder'
    )


# Differences that one line tells.
_TOLD = 5


def _in_short(differing: Mapping[str, str]) -> str:
  """The first of the differences; another network has its own settings."""
  others = [p for p in ('gen', 'disc') if f'{p}.name' in differing]
  told = [
    line
    for name, line in differing.items()
    if not name.startswith(tuple(f'{player}.net.' for player in others))
  ]
  more = [f'and {len(told) - _TOLD} more'] * (len(told) > _TOLD)
  return '; '.join(told[:_TOLD] + more)


def _is_begun(workdir: pathlib.Path) -> bool:
  """Whether a row or a checkpoint is of a step, and not of the beginning."""
  rows = lines.read(workdir / 'metrics.jsonl')
  kept = [path.name for path in (workdir / 'checkpoints').glob('*')]
  return any(isinstance(row, dict) and row.get('step') for row in rows) or any(
    name.isdecimal() and int(name) for name in kept
  )


def is_on_cpus(workdir: pathlib.Path) -> bool:
  """Whether all of a run was played on CPUs, which multiply in one way."""
  return all(
    device == 'cpu' for each in sessions(workdir) for device in each['devices']
  )


def _multiplies_the_same(workdir: pathlib.Path) -> bool:
  return jax.default_backend() == 'cpu' and is_on_cpus(workdir)


def check_local(workdir: pathlib.Path) -> None:
  """Raises ValueError for a bucket, of which pathlib makes a local name."""
  kind, _, rest = str(workdir).partition(':/')
  if rest and kind in ('gs', 's3'):
    copy = 'gcloud storage rsync -r' if kind == 'gs' else 'aws s3 sync'
    raise ValueError(
      f'--workdir={kind}://{rest}: a run is written to a local folder; copy '
      f'that one: {copy} FOLDER {kind}://{rest}'
    )


@contextlib.contextmanager
def claim(
  workdir: pathlib.Path, config: configs.Config, info: sources.Info
) -> Iterator[dict[str, Any] | None]:
  """Makes the folder, keeps other processes out, and writes `config.json`.

  The lock is the kernel's and goes with the process, however it ends.

  Yields:
    What the newest part of the run was made with; None if there is none.

  Raises:
    ValueError: another process is at work here, `check` refuses, or the
      folder cannot be written.
  """
  with contextlib.ExitStack() as stack:
    with writing(workdir, lambda: 'nothing has been changed'):
      workdir.mkdir(parents=True, exist_ok=True)
      lock = stack.enter_context((workdir / 'lock').open('a+'))
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      lock.seek(0)
      raise ValueError(
        f'--workdir={workdir}: another process ({lock.read().strip()}) is at '
        'work here; wait for its end or choose another folder'
      ) from None
    check(workdir, config, info)
    with writing(workdir, lambda: 'nothing has been changed'):
      lock.truncate(0)
      print(f'{os.getpid()} on {platform.node()}', file=lock, flush=True)
      before = _write_config(workdir / 'config.json', config, info)
    yield before


def _write_config(
  path: pathlib.Path, config: configs.Config, info: sources.Info
) -> dict[str, Any] | None:
  """The configuration, and with what each part of the run was made.

  Returns:
    The newest part before this one.
  """
  now = provenance()
  past = sessions(path.parent) if path.exists() else []
  before = past[-1] if past else None
  if before != now:
    past.append(now)
  write_json(
    path,
    {
      'format': checkpoint.FORMAT,
      'config': values.to_dict(config),
      'data': info._asdict(),
      'sessions': past,
    },
  )
  return before


@contextlib.contextmanager
def writing(workdir: pathlib.Path, kept: Callable[[], str]) -> Iterator[None]:
  """Says in one line that the disk is full or closed, and what is safe.

  Args:
    workdir: of the run.
    kept: says what is not lost.

  Raises:
    ValueError: for an OSError in the body.
  """
  try:
    yield
  except OSError as error:
    reason = error.strerror or str(error).splitlines()[0]
    own, name = workdir.absolute(), error.filename
    path = pathlib.Path(name or own).absolute()
    if not (path.is_relative_to(own) or own.is_relative_to(path)):
      raise ValueError(f'{name}: {reason}; {kept()}') from None
    raise ValueError(
      f'--workdir={workdir}: cannot be written ({reason}); {kept()}'
    ) from None


def is_at_work(workdir: pathlib.Path) -> bool:
  """Whether a process, which may be this one, holds the folder's lock."""
  try:
    with (workdir / 'lock').open() as lock:
      fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
  except BlockingIOError:
    return True
  except OSError:
    return False
  return False


def read_summary(workdir: pathlib.Path) -> dict[str, Any] | None:
  """The figures of a run that came to its end, or None.

  Raises:
    ValueError: the file is damaged.
  """
  path = workdir / 'summary.json'
  if not path.exists():
    return None
  try:
    summary: dict[str, Any] = json.loads(path.read_text())
  except (OSError, ValueError) as error:
    raise ValueError(f'{path}: cannot be read ({error})') from None
  if not isinstance(summary, dict) or not isinstance(summary.get('step'), int):
    raise ValueError(f'{path}: is not of a run')
  return summary


def sessions(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """What the parts of a run were made with, as `provenance` tells it."""
  stored = json.loads((workdir / 'config.json').read_text())
  past: list[dict[str, Any]] = stored['sessions']
  return past


def _check_format(workdir: pathlib.Path, stored: dict[str, Any]) -> None:
  """Raises ValueError where another version of this code wrote the folder."""
  # Before format 2 there was no number.
  format = stored.get('format', 1)
  if format != checkpoint.FORMAT:
    past = stored.get('sessions') or [stored]
    raise ValueError(
      f'--workdir={workdir}: was written in format {format}, by gan_jax at '
      f'commit {past[-1].get("commit")}; this version reads format '
      f'{checkpoint.FORMAT} alone'
    )


def load(workdir: pathlib.Path) -> tuple[configs.Config, sources.Info]:
  """The configuration of a run and what it knew of its data.

  Raises:
    ValueError: there is no run here, another version wrote it, or its
      `config.json` is damaged.
  """
  check_local(workdir)
  path = workdir / 'config.json'
  try:
    stored: dict[str, Any] = json.loads(path.read_text())
  except FileNotFoundError:
    # As of a table, whose rows are runs.
    inner = sum(1 for _ in workdir.glob('*/config.json'))
    more = f', but its folders hold {inner}: {workdir}/*' if inner else ''
    raise ValueError(f'--workdir={workdir}: holds no run{more}') from None
  except NotADirectoryError:
    raise ValueError(f'--workdir={workdir}: is a file, not a folder') from None
  except (OSError, ValueError) as error:
    raise ValueError(f'{path}: cannot be read ({error})') from None
  if not isinstance(stored, dict) or not isinstance(stored.get('config'), dict):
    raise ValueError(f'{path}: is not of a run')
  _check_format(workdir, stored)
  try:
    config = values.from_dict(stored['config'])
    # As it was written before other figures' names were.
    config.checkpoint.best = config.checkpoint.best.removeprefix('eval/')
    info = sources.Info(**stored['data'])
    info = info._replace(
      shape=tuple(info.shape),
      mean=tuple(info.mean),
      std=tuple(info.std),
      class_names=tuple(info.class_names),
      class_shares=tuple(info.class_shares),
    )
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(f'{path}: cannot be read ({error})') from None
  return config, info
