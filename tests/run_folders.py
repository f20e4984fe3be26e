"""Folders of runs that were never played, for tests of what reads them."""

import json
import math
import pathlib

import numpy as np

from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.report import frames, plots
from gan_jax.storage import history, workdir as workdirs
from gan_jax.study import population, statistics

IMAGES = sources.Info('images', (4, 4, 1), num_examples=10)
DENSITY = sources.Info('density', (1,), (4.0,), (0.5,))
POINTS = sources.Info('points', (2,), (0.0, 0.0), (1.0, 1.0))

_NAMES = (
  'disc/loss', 'gen/loss', 'disc/accuracy', 'disc/grad_norm', 'gen/grad_norm',
  'health/loss_ratio', 'disc/d_real', 'disc/d_fake', 'penalties/r1',
)  # fmt: skip


def make(
  workdir: pathlib.Path,
  config: configs.Config,
  info: sources.Info = DENSITY,
  *,
  rows: int = 20,
  end: str = 'finish',
) -> pathlib.Path:
  """A folder with rows, a summary, a history and, of single runs, moments.

  The figure `ks` of a row is 1 / (1 + row) and 0.01 for each seed more.
  """
  with workdirs.claim(workdir, config, info):
    pass
  members = population.members(config)

  def value(name: str, row: int) -> object:
    each = [
      1 / (1 + row) + 0.01 * m.seed + sum(m.setting.values()) for m in members
    ]
    if len(members) == 1:
      return each[0]
    return statistics.estimate(name, each).to_json()

  every = max(1, rows // 10)
  with history.Clock(workdir) as clock:
    clock.write({'time': 100.0, 'event': 'start', 'step': 0})
    lines = []
    for i in range(rows):
      row = {'step': 10 * i, **{name: value(name, i) for name in _NAMES}}
      if i % every == 0 or i == rows - 1:
        row |= {'eval/ks': value('ks', i), 'eval/modes': value('modes', i)}
      lines.append(json.dumps(row) + '\n')
      clock.write({'time': 101.0 + i, 'step': 10 * i})
    if end:
      why = {'why': 'not finite'} if end == 'diverge' else {}
      step = 10 * (rows - 1)
      clock.write({'time': 999.0, 'event': end, 'step': step, **why})
  (workdir / 'metrics.jsonl').write_text(''.join(lines))
  if end == 'finish':
    last = {'step': config.steps, 'ks': value('ks', rows - 1)}
    workdirs.write_json(workdir / 'summary.json', last)
  if len(members) == 1:
    _moments(workdir, info, [10 * i for i in range(0, rows, every)])
  return workdir


def _moments(
  workdir: pathlib.Path, info: sources.Info, steps: list[int]
) -> None:
  x = np.linspace(-1, 1, 9)
  for step in steps:
    if info.kind == 'images':
      images = np.full((4, 4, 4, 1), -math.cos(step))
      (workdir / 'samples').mkdir(exist_ok=True)
      grid = plots.png(plots.image_grid(images, 2))
      (workdir / 'samples' / f'step_{step:08d}.png').write_bytes(grid)
    elif info.kind == 'density':
      arrays = dict.fromkeys(frames.Curves._fields[1:], np.exp(-(x**2)))
      arrays |= {'x': x, 'ks': np.array(0.5 / (1 + step))}
      arrays |= {'disc': np.full(9, np.nan), 'total_variation': np.array(0.1)}
      arrays |= {'gen_loss_even': np.array(0.7)}
      frames.Frames(workdir, frames.Curves, frames.CurvesPanel).add(
        step, arrays
      )
    else:
      points = np.stack([x, x * math.cos(step)], axis=1)
      arrays = {'real': points, 'generated': points, 'x': x, 'y': x}
      arrays['disc'] = np.outer(x, x)
      frames.Frames(workdir, frames.Cloud, frames.CloudPanel).add(step, arrays)
