"""Moments of a game, drawn one by one and as an animation."""

import pathlib
from typing import Any

import numpy as np
import PIL.Image
import pytest

from gan_jax.report import frames, moments, plots

pytestmark = pytest.mark.pictures


def curves(step: int) -> frames.Curves:
  x = np.linspace(0.0, 1.0, 50)
  wave = np.sin(3 * x + step)
  return frames.Curves(
    step, x, 1 + 0 * x, 1 + wave, 0.5 + 0.3 * wave, 1 / (2 + wave), wave, 0.0,
    np.linspace(-1.0, 1.0, 9), np.linspace(0.1, 0.2 + 0.2 * step, 9), 0.1, 0.2,
  )  # fmt: skip


def cloud(step: int) -> frames.Cloud:
  rng = np.random.default_rng(step)
  x = np.linspace(-1.0, 1.0, 21)
  plane = 0.5 + 10.0 ** (-3 * step) * x[:, None] * x
  points = rng.uniform(-1, 1, (2, 40, 2))
  return frames.Cloud(step, *points, x, x, plane)


def path(step: int) -> frames.LogitPath:
  t = np.linspace(0.0, 1.0, 7)
  return frames.LogitPath(step, t, np.stack([step - t, step * t]))


def without(frame: Any, *names: str) -> Any:
  """With an empty array for latents, or NaN for what D says."""
  gone = {'z': np.zeros(0), 'mapped': np.zeros(0)}
  for name in {'disc', 'gen_loss'}.intersection(frame._fields):
    gone[name] = np.full_like(frame.disc, np.nan)
  return frame._replace(**{name: gone[name] for name in names})


CURVES = [curves(step) for step in range(3)]
CLOUDS = [cloud(step) for step in range(3)]
PATHS = [path(step) for step in range(3)]


@pytest.mark.parametrize(
  ('moments', 'panel'),
  [
    (CURVES, frames.CurvesPanel),
    ([without(x, 'disc') for x in CURVES], frames.CurvesPanel),
    ([without(x, 'disc', 'gen_loss') for x in CURVES], frames.CurvesPanel),
    ([without(x, 'gen_loss') for x in CURVES], frames.CurvesPanel),
    ([without(x, 'z', 'mapped') for x in CURVES], frames.CurvesPanel),
    ([*CURVES[:2], without(CURVES[2], 'disc')], frames.CurvesPanel),
    (CLOUDS, frames.CloudPanel),
    ([without(x, 'disc') for x in CLOUDS], frames.CloudPanel),
    ([without(CLOUDS[0], 'disc'), *CLOUDS[1:]], frames.CloudPanel),
    ([*CLOUDS[:2], without(CLOUDS[2], 'disc')], frames.CloudPanel),
    (CLOUDS[:1], frames.CloudPanel),
    (PATHS, frames.PathPanel),
  ],
)
def test_an_animation_shows_each_moment_as_it_is_drawn_alone(
  moments: list[Any],
  panel: type[frames.Panel],
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):
  shown: list[PIL.Image.Image] = []
  monkeypatch.setattr(plots, 'save_gif', lambda _, found: shown.extend(found))
  frames._save_animation(tmp_path / 'a.gif', moments, panel)
  assert len(shown) == len(moments)
  for moment, picture in zip(moments, shown, strict=True):
    # A figure that has shown no other moment.
    figure, (place,) = frames._make_figure(1, 80, panel)
    panel(place, moments).show(moment)
    plots.save_figure(tmp_path / 'alone.png', figure)
    with PIL.Image.open(tmp_path / 'alone.png') as expected:
      a, b = (np.asarray(x, np.float64) for x in (picture, expected))
    # But for lines that cover the edge of their axes.
    assert np.abs(a - b).mean() < 1
    others = [np.asarray(x, float) for x in shown if x is not picture]
    assert all(np.abs(a - other).mean() > 0.5 for other in others)


def test_a_run_is_summed_up_by_four_moments(tmp_path: pathlib.Path):
  kept = frames.Frames(tmp_path, frames.Curves, frames.CurvesPanel)
  for step in range(0, 60, 10):
    moment = curves(step)._asdict()
    kept.add(moment.pop('step'), moment)
  assert kept.has(50)
  assert not kept.has(55)
  kept.save()
  with PIL.Image.open(tmp_path / 'figure.png') as figure:
    assert figure.size == (4 * 442, 546)
  with PIL.Image.open(tmp_path / 'evolution.gif') as animation:
    assert animation.n_frames == 6


def test_damaged_moments_are_left_out(tmp_path: pathlib.Path):
  """An empty file, one cut short and one whose bytes were changed."""
  kept = frames.Frames(tmp_path, frames.Curves, frames.CurvesPanel)
  for step in range(0, 60, 10):
    moment = curves(step)._asdict()
    kept.add(moment.pop('step'), moment)
  paths = sorted((tmp_path / 'frames').glob('*.npz'))
  paths[1].write_bytes(b'')
  paths[2].write_bytes(paths[2].read_bytes()[:100])
  whole = bytearray(paths[3].read_bytes())
  middle = len(whole) // 2
  whole[middle : middle + 40] = bytes(40)
  paths[3].write_bytes(whole)
  kept.save()
  with PIL.Image.open(tmp_path / 'evolution.gif') as animation:
    assert animation.n_frames == 3
  found = moments.read(tmp_path, 'density', moments.Limits())
  steps = [moment['step'] for moment in found['curves']['moments']]
  assert steps == [0, 40, 50]


def test_paths_of_images_have_a_still_alone(tmp_path: pathlib.Path):
  kept = frames.Frames(
    tmp_path, frames.LogitPath, frames.PathPanel, 'loss_path.png', None
  )
  moment = path(3)._asdict()
  kept.add(moment.pop('step'), moment | {'images': np.zeros(2)})
  kept.save()
  left = {file.name for file in tmp_path.iterdir()}
  assert left == {'frames', 'loss_path.png'}
  assert set(np.load(tmp_path / 'frames' / 'step_00000003.npz')) == {
    'step', 't', 'logits'
  }  # fmt: skip
