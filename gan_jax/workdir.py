"""The folder of a run: whose it is, and what made it."""

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax

from gan_jax import config as configs
from gan_jax.data import source as sources

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def provenance() -> dict[str, Any]:
  """Versions, devices and the git commit: what a figure depends on."""
  root = pathlib.Path(__file__).parent.parent
  git = subprocess.run(
    ['git', 'describe', '--always', '--dirty', '--abbrev=40'],
    cwd=root,
    capture_output=True,
    text=True,
    check=False,
  )
  return {
    'versions': {name: importlib.metadata.version(name) for name in _PACKAGES},
    'python': platform.python_version(),
    'devices': [device.device_kind for device in jax.devices()],
    'xla_flags': os.environ.get('XLA_FLAGS', ''),
    'commit': git.stdout.strip() or None,
  }


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes whole or not at all: a temporary file, then a rename."""
  temporary = path.with_suffix(path.suffix + '.tmp')
  temporary.write_text(json.dumps(value, indent=2) + '\n')
  temporary.rename(path)


def check(workdir: pathlib.Path, config: configs.Config) -> None:
  """Looks whether this configuration may run here; changes nothing.

  A run may be taken up with more steps; any other difference is refused.

  Raises:
    ValueError: the folder holds a run of another configuration, or something
      that is no run.
  """
  path = workdir / 'config.json'
  if not path.exists():
    if workdir.exists() and not workdir.is_dir():
      raise ValueError(f'--workdir={workdir}: is a file, not a folder')
    if (workdir / 'checkpoints').exists():
      raise ValueError(
        f'--workdir={workdir}: has checkpoints but no config.json; choose '
        'another folder'
      )
    return
  stored, _ = load(workdir)
  old, new = configs.flatten(stored), configs.flatten(config)
  differing = [
    f'{name}={old[name]!r} there, {value!r} here'
    for name, value in new.items()
    if value != old[name] and not (name == 'steps' and value > old[name])
  ]
  if differing:
    raise ValueError(
      f'--workdir={workdir}: holds a run of another configuration '
      f'({"; ".join(differing)}); choose another folder'
    )


def claim(
  workdir: pathlib.Path, config: configs.Config, info: sources.Info
) -> None:
  """Makes the folder and writes `config.json`; call after `check`.

  Raises:
    ValueError: the folder cannot be written.
  """
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    write_json(
      workdir / 'config.json',
      {
        'config': configs.to_dict(config),
        'data': info._asdict(),
        **provenance(),
      },
    )
  except OSError as error:
    raise ValueError(
      f'--workdir={workdir}: cannot be written ({error.strerror})'
    ) from None


def read_summary(workdir: pathlib.Path) -> dict[str, Any] | None:
  """The figures of a run that came to its end, or None."""
  path = workdir / 'summary.json'
  if not path.exists():
    return None
  summary: dict[str, Any] = json.loads(path.read_text())
  return summary


def load(workdir: pathlib.Path) -> tuple[configs.Config, sources.Info]:
  """The configuration of a run and what it knew of its data.

  Raises:
    ValueError: there is no run here, or its `config.json` is damaged.
  """
  path = workdir / 'config.json'
  try:
    stored = json.loads(path.read_text())
    config = configs.from_dict(stored['config'])
    info = sources.Info(**stored['data'])
    info = info._replace(
      shape=tuple(info.shape),
      mean=tuple(info.mean),
      std=tuple(info.std),
      class_names=tuple(info.class_names),
    )
  except FileNotFoundError:
    raise ValueError(f'--workdir={workdir}: holds no run') from None
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise ValueError(f'{path}: cannot be read ({error})') from None
  return config, info
