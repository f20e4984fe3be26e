"""Trains one configuration, or takes up its run where it stopped.

  python -m experiments.train --config=experiments/configs/gaussian_1d.py \
    --workdir=runs/gaussian_1d --config.data.name=exponential

--describe in place of --workdir prints every field and trains nothing.
"""

import json
import pathlib
import sys
from typing import Any

from absl import flags

from experiments import launch
from gan_jax.config import fields as configs

_CONFIG = launch.define_config()
launch.define_distributed()
launch.define_deterministic()
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')

_DEBUG_NANS = flags.DEFINE_bool(
  'debug_nans', False, 'Should the run diverge, find the operation that did.'
)

_STOCK = flags.DEFINE_bool(
  'stock', False, 'Take no fast path on a CPU: slower, and the same to '
  'rounding. Shows whether a fast path is to blame for a result.'
)  # fmt: skip
_DESCRIBE = flags.DEFINE_bool(
  'describe',
  False,
  'Print every field of the configuration with its value, what it accepts, '
  'what differs from the default (*) and what it means; train nothing.',
)

_INIT_FROM = flags.DEFINE_string(
  'init_from', None, 'WORKDIR or WORKDIR:STEP of a run whose weights this one '
  'starts from, or a folder of experiments.export; --config.init_player=gen or '
  'disc takes those of one player.'
)  # fmt: skip
_BRANCH_FROM = flags.DEFINE_string(
  'branch_from', None, 'WORKDIR or WORKDIR:STEP of a run that this one goes on '
  'from in a folder of its own, with another batch, rate or schedule.'
)  # fmt: skip

_PROFILE = flags.DEFINE_string(
  'profile', None, 'FIRST:COUNT: a trace of these steps, in the folder of the '
  'run, for TensorBoard or xprof.'
)  # fmt: skip

_NOTES = {
  'support_low': '   standard deviations from the mean: the least sample',
  'support_high': '   the same: the greatest',
  'd_real': '   1/2 at the equilibrium',
  'd_fake': '   1/2 at the equilibrium',
  'value': '   -log 4 = -1.3863 at the equilibrium',
  'max_d_gap': '   largest |D - D*| where the data have mass',
}


# What only a D that tells real from fake has.
_OF_CLASSIFIERS = 'd_real', 'd_fake', 'value', 'max_d_gap'


def main() -> None:
  if _DESCRIBE.value and _CONFIG.value is not None:
    _describe(_CONFIG.value)
    return
  if _CONFIG.value is None or _WORKDIR.value is None:
    raise ValueError('--config=FILE and --workdir=DIR must be given')
  from gan_jax.data import opening
  from gan_jax.engine import health, hosts, threads
  from gan_jax.ops import cpu
  from gan_jax.run import interrupt, profile, replay, train

  if _DEBUG_NANS.value and hosts.count() > 1:
    raise ValueError(
      '--debug_nans: looks for the operation in one process; cannot be '
      'combined with --distributed'
    )
  if _STOCK.value:
    cpu.set_stock()
  for flag in (_INIT_FROM, _BRANCH_FROM):
    if flag.value:
      setattr(_CONFIG.value, flag.name, flag.value)
  workdir = pathlib.Path(_WORKDIR.value)
  threads.choose(_CONFIG.value)
  try:
    traced = profile.parse(_PROFILE.value)
    summary = train.train(_CONFIG.value, workdir, traced)
  except interrupt.Stopped as stopped:
    print(f'{stopped}; the same command takes {workdir} up again')
    return
  except health.DivergedError as error:
    if not _DEBUG_NANS.value:
      raise
    where = replay.find_nonfinite(workdir, error.step, error.member)
    raise ValueError(f'{error}; {where}') from None
  if not hosts.is_first():
    return
  notes = _NOTES | _of_cells(workdir)
  for name, value in summary.items():
    if value is None and name in _OF_CLASSIFIERS:
      continue
    print(f'{name:22s} {_shown(value)}{notes.get(name, "")}')
    settings = value.get('settings', {}) if isinstance(value, dict) else {}
    for title, part in settings.items():
      print(f'  {title:40s} {_shown(part)}')
  config = _CONFIG.value
  if config.data.name not in opening.DRAWN and not config.eval.metrics:
    print('no metric of images was asked for (config.eval.metrics)')
  print(f'files in {workdir}')
  page = workdir / 'report.html'
  if page.exists():
    print(f'its page is {page}: open it in a browser')


def _of_cells(workdir: pathlib.Path) -> dict[str, str]:
  """A note on the total variation, by the run's protocol, if it has one."""
  path = workdir / 'protocol.json'
  stamp = json.loads(path.read_text()) if path.exists() else {}
  if 'total_variation_bins' not in stamp:
    return {}
  low, high = stamp['total_variation_interval']
  return {
    'total_variation': f'   {stamp["total_variation_bins"]} cells on '
    f'[{low:g}, {high:g}], {stamp["num_generated"]:,} samples'
  }


def _describe(config: configs.Config) -> None:
  """Prints a configuration beside the default of its networks."""
  from gan_jax.config import checks, describe
  from gan_jax.engine import build, choices

  checks.validate(config)
  choices.check(config)
  for line in checks.warnings(build.complete(config)):
    print(f'warning: {line}', file=sys.stderr)
  usual = configs.Config()
  players = (usual.gen, config.gen), (usual.disc, config.disc)
  names = [player.name for player, _ in players]
  for player, chosen in players:
    player.name = chosen.name
  usual = build.complete(usual)
  usual.gen.name, usual.disc.name = names
  print(*describe.describe(config, usual), sep='\n')


def _shown(value: Any) -> str:
  """A figure, or a population's with its 95 % interval."""
  if isinstance(value, dict):
    low, high = value['ci95']
    interval = f'  [{low:.4f}, {high:.4f}]' if None not in (low, high) else ''
    failed = f'  {value["failed"]} failed' if value['failed'] else ''
    step = value.get('dropped_after')
    dropped = f'  dropped after step {step:,}' if step else ''
    return f'{_shown(value["mean"])}{interval}{failed}{dropped}'
  if value is None:
    return f'{"-":>10s}'
  return f'{value:10.4f}' if isinstance(value, float) else f'{value:>10}'


if __name__ == '__main__':
  launch.run(main)
