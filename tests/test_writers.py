"""What the terminal and TensorBoard are told."""

import importlib.util
import io
import pathlib
import shutil
import sys
import types

import event_files
import numpy as np
import PIL.Image
import pytest
from tensorboardX.proto import plugin_hparams_pb2

from gan_jax.config import fields as configs
from gan_jax.engine import build
from gan_jax.report import plots
from gan_jax.storage import sinks, writers
from gan_jax.study import statistics


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
  """The seconds that `writers` reads, to be set."""
  now = [0.0]
  monkeypatch.setattr(writers.time, 'monotonic', lambda: now[0])
  return now


@pytest.mark.parametrize(
  ('start', 'rows', 'left'),
  [
    # A start: after 60 s of compiling, 10 steps in 20 s.
    (0, [(60.0, 0), (80.0, 10)], '3 min left'),
    # A resumed run writes no row of the step that it goes on from.
    (50, [(60.0, 60), (70.0, 80)], '10 s left'),
  ],
)
def test_the_time_left_leaves_compiling_out(
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
  clock: list[float],
  start: int,
  rows: list[tuple[float, int]],
  left: str,
):
  with writers.Writers(
    tmp_path, step=start, rows=None, steps=100, step_samples=8
  ) as writing:
    for clock[0], step in rows:
      writing.write(step, {}, steps_per_second=1.0)
  said = capsys.readouterr().err
  assert left in said
  assert said.count(' left') == 1


def test_a_run_that_begins_again_says_so(
  tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
  """It was killed before its second checkpoint."""
  told = []
  for _ in range(2):
    with writers.Writers(
      tmp_path, step=0, rows=None, steps=100, step_samples=8
    ) as writing:
      writing.write(10, {}, steps_per_second=1.0)
    told.append(
      'going on from the checkpoint of step 0' in capsys.readouterr().err
    )
  assert told == [False, True]


def test_tensorboard_has_a_row_in_one_event(
  tmp_path: pathlib.Path, clock: list[float]
):
  """Read while the file is open, as TensorBoard does."""
  grid = np.random.default_rng(0).integers(0, 255, (6, 5, 1), np.uint8)
  with writers.Writers(
    tmp_path, step=0, rows=None, steps=8, step_samples=1
  ) as writing:
    writing.image(4, 'samples', plots.png(grid))
    clock[0] = 6.0
    row = {'gen/loss': 0.5, 'disc/loss': float('nan')}
    writing.write(4, row, steps_per_second=2.0)
    version, image, scalars = event_files.events(tmp_path / 'tensorboard')
  assert version.file_version == 'brain.Event:2'
  told = {value.tag: value.simple_value for value in scalars.summary.value}
  assert scalars.step == 4
  assert told['gen/loss'] == 0.5
  assert np.isnan(told['disc/loss'])
  assert told['speed/steps'] == 2
  (shown,) = image.summary.value
  assert (image.step, shown.tag) == (4, 'samples')
  assert (shown.image.height, shown.image.width) == (6, 5)
  assert shown.image.colorspace == 1
  picture = PIL.Image.open(io.BytesIO(shown.image.encoded_image_string))
  np.testing.assert_array_equal(picture, grid[..., 0])


def test_tensorboard_is_made_anew_from_the_rows(tmp_path: pathlib.Path):
  """Those of a population too; a file of before leaves nothing behind."""
  nan = float('nan')
  ks = statistics.Estimate(0.5, nan, nan, nan, (0.5, nan))
  with writers.Writers(
    tmp_path, step=0, rows=None, steps=8, step_samples=1
  ) as writing:
    for step in (4, 8):
      row = {'gen/loss': step / 8, 'eval/ks': ks, 'disc/loss': ks}
      writing.write(step, row, steps_per_second=2.0)
  folder = tmp_path / 'tensorboard'
  (path,) = folder.iterdir()
  torn = path.rename(folder / 'events.out.tfevents.0000000001.host')
  torn.write_bytes(torn.read_bytes()[:-7])
  with writers.Writers(tmp_path, step=4, rows=1, steps=8, step_samples=1):
    pass
  _, event = event_files.events(folder)
  told = {value.tag: value.simple_value for value in event.summary.value}
  assert event.step == 4
  missing = {name for name, value in told.items() if np.isnan(value)}
  assert missing == {
    'eval/ks/low', 'eval/ks/high', 'eval/ks/members/1', 'disc/loss/low',
    'disc/loss/high',
  }  # fmt: skip
  assert {name: told[name] for name in told.keys() - missing} == {
    'gen/loss': 0.5, 'eval/ks/mean': 0.5, 'eval/ks/members/0': 0.5,
    'disc/loss/mean': 0.5,
  }  # fmt: skip


def test_hparams_have_settings_and_final_figures(tmp_path: pathlib.Path):
  with writers.Writers(
    tmp_path,
    step=0,
    rows=None,
    steps=8,
    step_samples=1,
    hparams=sinks.settings(build.complete(configs.Config())),
  ) as writing:
    writing.finish({'step': 8, 'ks': 0.25, 'value': None})
  _, _, start, _, final = event_files.events(tmp_path / 'tensorboard')
  (value,) = start.summary.value
  told = plugin_hparams_pb2.HParamsPluginData.FromString(
    value.metadata.plugin_data.content
  ).session_start_info.hparams
  assert told['optim.gen.learning_rate'].number_value == 1e-3
  assert told['loss'].string_value == 'non_saturating'
  assert told['conditional'].bool_value is False
  shown = {value.tag: value.simple_value for value in final.summary.value}
  assert shown == {'final/ks': 0.25}


class FakeWandb(types.ModuleType):
  """Notes what it is told."""

  def __init__(self) -> None:
    super().__init__('wandb')
    self.told: list[object] = []
    self.Settings = dict
    self.Image = lambda picture: picture.size
    self.summary = self

  def init(self, **arguments: object) -> 'FakeWandb':
    self.told.append(arguments)
    return self

  def log(self, row: dict[str, object], step: int) -> None:
    self.told.append((step, row))

  def update(self, figures: dict[str, float]) -> None:
    self.told.append(figures)

  def finish(self) -> None:
    self.told.append('finished')


def test_wandb_gets_what_is_written(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  fake = FakeWandb()
  monkeypatch.setitem(sys.modules, 'wandb', fake)
  monkeypatch.delenv('WANDB_API_KEY', raising=False)
  monkeypatch.delenv('WANDB_MODE', raising=False)
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.setenv('NETRC', str(tmp_path / 'netrc'))
  config = build.complete(configs.Config())
  config.log.wandb = 'gans'
  with writers.Writers(
    tmp_path,
    step=0,
    rows=None,
    steps=8,
    step_samples=1,
    more=sinks.open_sinks(tmp_path, config),
  ) as writing:
    writing.image(4, 'samples', plots.png(np.zeros((6, 5, 1), np.uint8)))
    writing.write(4, {'gen/loss': 0.5}, steps_per_second=2.0)
    writing.finish({'ks': 0.25})
  begun, image, row, summary, end = fake.told
  assert isinstance(begun, dict)
  assert (begun['project'], begun['mode']) == ('gans', 'offline')
  assert begun['config']['loss'] == 'non_saturating'
  assert image == (4, {'samples': (5, 6)})
  assert row == (4, {'gen/loss': 0.5, 'speed/steps': 2.0})
  assert summary == {'final/ks': 0.25}
  assert end == 'finished'
  monkeypatch.setenv('WANDB_API_KEY', 'a key')
  sinks.open_sinks(tmp_path, config)
  again = fake.told[-1]
  assert isinstance(again, dict)
  assert (again['mode'], again['id']) == ('online', begun['id'])
  # Another run at the same place.
  shutil.rmtree(tmp_path / 'wandb')
  sinks.open_sinks(tmp_path, config)
  another = fake.told[-1]
  assert isinstance(another, dict)
  assert another['id'] != begun['id']


def test_a_sink_that_is_not_installed_is_one_line(
  monkeypatch: pytest.MonkeyPatch,
):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ValueError, match=r"log\.wandb='gans': wandb is not inst"):
    sinks.check(configs.Log(wandb='gans'))
  sinks.check(configs.Log())
