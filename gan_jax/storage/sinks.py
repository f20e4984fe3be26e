"""Places beside the folder of a run where it can show itself, if asked to."""

import importlib
import importlib.util
import io
import netrc
import os
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

import PIL.Image

from gan_jax.config import command, fields as configs, values
from gan_jax.storage import whole

_HOST = 'api.wandb.ai'


class Sink(Protocol):
  """Takes what a run writes, in its order."""

  def scalars(self, step: int, row: Mapping[str, float]) -> None: ...

  def image(self, step: int, name: str, png: bytes) -> None: ...

  def finish(self, figures: Mapping[str, float]) -> None:
    """Takes the figures of the run's end."""

  def close(self) -> None: ...


def check(log: configs.Log) -> None:
  """Raises ValueError where what is asked for is not installed."""
  if log.wandb and importlib.util.find_spec('wandb') is None:
    raise ValueError(
      f'log.wandb={log.wandb!r}: wandb is not installed; pip install '
      "'gan_jax[wandb]' brings it"
    )


def settings(config: configs.Config) -> dict[str, Any]:
  """A complete configuration as numbers, texts and booleans by name."""
  return {
    name: value
    if isinstance(value, bool | int | float)
    else command.text(value)
    for name, value in values.flatten(config).items()
  }


def open_sinks(workdir: pathlib.Path, config: configs.Config) -> list[Sink]:
  """Those that a complete configuration asks for, beside TensorBoard."""
  if not config.log.wandb:
    return []
  return [Wandb(workdir, config.log.wandb, settings(config))]


class Wandb:
  """Weights & Biases, which keeps what it has in a folder of the run.

  Without a key there is no account to send to: the run is kept offline, and
  `wandb sync` sends it later. A run that is taken up has the same id. The steps
  that it plays again are equal to those that wandb has, which leaves them out.
  """

  def __init__(
    self, workdir: pathlib.Path, project: str, settings: Mapping[str, Any]
  ):
    wandb = importlib.import_module('wandb')
    path = workdir.absolute()
    self._wandb = wandb
    self._run = wandb.init(
      project=project,
      dir=str(path),
      name=path.name,
      id=_identity(path / 'wandb' / 'id'),
      resume='allow',
      mode=os.environ.get('WANDB_MODE') or _mode(),
      config=dict(settings),
      settings=wandb.Settings(console='off', silent=True),
    )

  def scalars(self, step: int, row: Mapping[str, float]) -> None:
    self._run.log(dict(row), step=step)

  def image(self, step: int, name: str, png: bytes) -> None:
    with PIL.Image.open(io.BytesIO(png)) as picture:
      self._run.log({name: self._wandb.Image(picture)}, step=step)

  def finish(self, figures: Mapping[str, float]) -> None:
    self._run.summary.update({f'final/{k}': x for k, x in figures.items()})

  def close(self) -> None:
    self._run.finish()


def _identity(path: pathlib.Path) -> str:
  """One that a new run draws, and that a run that is taken up has already."""
  if not path.exists():
    path.parent.mkdir(exist_ok=True)
    with whole.replacing(path) as part:
      part.write_text(uuid.uuid4().hex[:16])
  return path.read_text()


def _mode() -> str:
  """Online where there is a key; nobody is asked for one."""
  if os.environ.get('WANDB_API_KEY'):
    return 'online'
  try:
    known = netrc.netrc().authenticators(_HOST)
  except (OSError, netrc.NetrcParseError):
    known = None
  return 'online' if known else 'offline'
