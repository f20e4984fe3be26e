"""Moments of a game, drawn one by one and as an animation."""

import pathlib
from typing import Any

import numpy as np
import PIL.Image
import pytest

from gan_jax import frames, plots

pytestmark = pytest.mark.pictures


def curves(step: int) -> frames.Curves:
  x = np.linspace(0.0, 1.0, 50)
  wave = np.sin(3 * x + step)
  return frames.Curves(
    step, x, 1 + 0 * x, 1 + wave, 0.5 + 0.3 * wave, 1 / (2 + wave),
    np.linspace(-1.0, 1.0, 9), np.linspace(0.1, 0.2 + 0.2 * step, 9), 0.1,
  )  # fmt: skip


def cloud(step: int) -> frames.Cloud:
  rng = np.random.default_rng(step)
  x = np.linspace(-1.0, 1.0, 21)
  # Of one range: its labels are as wide each time.
  plane = 0.5 + 0.3 * np.roll(x[:, None] * x, 5 * step, axis=0)
  return frames.Cloud(
    step, rng.uniform(-1, 1, (40, 2)), rng.uniform(-1, 1, (40, 2)), x, x, plane
  )


@pytest.mark.parametrize(
  ('make', 'panel'),
  [(curves, frames.CurvesPanel), (cloud, frames.CloudPanel)],
)
def test_an_animation_shows_each_moment_as_it_is_drawn_alone(
  make: Any,
  panel: type[frames.Panel],
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):
  shown: list[PIL.Image.Image] = []
  monkeypatch.setattr(plots, 'save_gif', lambda _, found: shown.extend(found))
  moments = [make(step) for step in range(3)]
  frames.save_animation(tmp_path / 'a.gif', moments, panel)
  monkeypatch.undo()
  assert len(shown) == 3
  for moment, picture in zip(moments, shown, strict=True):
    figure, (alone,) = frames._make_figure([moment], panel, dpi=80)
    alone.show(moment)
    plots.save_figure(tmp_path / 'alone.png', figure)
    with PIL.Image.open(tmp_path / 'alone.png') as expected:
      a, b = (np.asarray(x, np.float64) for x in (picture, expected))
    # But for lines that cover the edge of their axes.
    assert np.abs(a - b).mean() < 1
    others = [x for x in shown if x is not picture]
    assert min(np.abs(a - np.asarray(x, float)).mean() for x in others) > 3


def test_a_run_is_summed_up_by_four_moments(tmp_path: pathlib.Path):
  kept = frames.Frames(tmp_path, frames.Curves, frames.CurvesPanel)
  for step in range(0, 60, 10):
    moment = curves(step)._asdict()
    kept.add(moment.pop('step'), moment)
  assert kept.has(50)
  assert not kept.has(55)
  kept.draw()
  with PIL.Image.open(tmp_path / 'figure.png') as figure:
    assert figure.size == (4 * 442, 416)
  with PIL.Image.open(tmp_path / 'evolution.gif') as animation:
    assert animation.n_frames == 6
