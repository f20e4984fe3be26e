"""Successive halving beside the whole grid that it searches.

  python -m experiments.halving --workdir=runs/halving \
    --fill=docs/results.md:halving

Jamieson & Talwalkar 2016 (algorithm 1) give all settings a small budget, and
the better share of them the next. Here the settings are four weights of R1 with
four rates of G, on the ring, with short runs: one search goes on with the
better half after an eighth, a quarter and a half of the steps, one with the
better quarter after an eighth and a half, and the grid keeps all to the end.
Printed for each are the steps of all members together and the settings that are
left at its end, of the grid the best and the worst: their mean distance to the
law and its 95 % interval over the seeds, and that of the difference of each
seed from the grid's best, which is chosen by the same seeds. Runs are in the
workdir; the same command takes them up again.
"""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from absl import flags

from experiments import launch, printed

if TYPE_CHECKING:
  from gan_jax.config import fields as configs
  from gan_jax.study import statistics

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the runs.')
_STEPS = flags.DEFINE_integer('steps', 2000, 'Of each member.', lower_bound=8)
_SEEDS = flags.DEFINE_integer('seeds', 10, 'Of each setting.', lower_bound=2)

_BY = 'sliced_wasserstein_1'
_SHOWN = (_BY, 'high_quality')


class _Search(NamedTuple):
  """Parts of the steps after which a share of the settings goes on."""

  after: tuple[int, ...] = ()
  share: float = 0.5


_SEARCHES = {
  'full grid': _Search(),
  'half goes on': _Search((8, 4, 2)),
  'a quarter goes on': _Search((8, 2), 0.25),
}


def _config(search: _Search, steps: int, seeds: int) -> 'configs.Config':
  from experiments.configs import ring_2d
  from gan_jax.study import tables

  c = ring_2d.get_config()
  tables.set_steps(c, steps)
  c.batch_size, c.ema.half_life = 64, 12_800.0
  c.eval.every = c.log_every = steps // 8
  c.checkpoint.every = steps
  c.population.seeds = seeds
  c.population.vary = {
    'penalties.r1.weight': [0.01, 0.1, 1.0, 10.0],
    'optim.gen.learning_rate': [1e-4, 3e-4, 1e-3, 3e-3],
  }
  if search.after:
    c.population.halving = tuple(steps // part for part in search.after)
    c.population.halving_keep = search.share
    c.population.halving_by = _BY
  return c


def _left(
  config: 'configs.Config', folder: pathlib.Path
) -> 'dict[str, dict[str, statistics.Estimate]]':
  """The figures of each setting that was trained to the end, the best first."""
  from gan_jax.run import train
  from gan_jax.storage import writers
  from gan_jax.study import halving, population, statistics

  summary = train.train(config, folder)
  gone = halving.dropped(config, writers.read_rows(folder))
  left = {
    title: members
    for title, members in population.settings(config).items()
    if title not in gone
  }
  by = halving.Order(_BY, greatest=False)
  values = statistics.of_summary(_BY, summary[_BY]).members
  return {
    title: {
      name: statistics.of_summary(
        name, {'members': summary[name]['members'][left[title]]}
      )
      for name in _SHOWN
    }
    for title in halving.ranked(by, left, values)
  }


def _from_best(own: 'statistics.Estimate', best: 'statistics.Estimate') -> str:
  """What each seed has more than with the grid's best setting, in the mean."""
  from gan_jax.study import statistics

  pairs = zip(own.members, best.members, strict=True)
  return str(statistics.estimate('difference', [a - b for a, b in pairs]))


def _rows(
  played: 'Mapping[str, configs.Config]',
  found: 'Mapping[str, Mapping[str, Mapping[str, statistics.Estimate]]]',
) -> list[list[str]]:
  """The cells of the table, a row for each setting that is shown.

  Args:
    played: of each search its configuration.
    found: of each the figures of the settings left, the best first.
  """
  from gan_jax.config import halving

  best, *_, worst = found['full grid']
  least = found['full grid'][best][_BY]
  rows = []
  for title, settings in found.items():
    config = played[title]
    for setting, own in settings.items():
      if config.population.halving or setting in (best, worst):
        figures = [str(own[name]) for name in _SHOWN]
        gap = '-' if setting == best else _from_best(own[_BY], least)
        head = [title, f'{halving.member_steps(config):,}', setting]
        rows.append([*head, *figures, gap])
  return rows


def main() -> None:
  if _WORKDIR.value is None:
    raise ValueError('--workdir=DIR must be given')
  if _STEPS.value % 8:
    raise ValueError(f'--steps={_STEPS.value}: must be a multiple of 8')
  from gan_jax.run import interrupt
  from gan_jax.storage import workdir as workdirs
  from gan_jax.study import tables

  workdir = pathlib.Path(_WORKDIR.value)
  workdirs.check_local(workdir)
  printed.check_page()
  budget = _STEPS.value, _SEEDS.value
  played = {name: _config(each, *budget) for name, each in _SEARCHES.items()}
  found = {}
  for title, config in played.items():
    try:
      found[title] = _left(config, workdir / tables.folder(title))
    except interrupt.Stopped as error:
      print(f'{title}: {error}; the same command takes {workdir} up again')
      return
    except ValueError as error:
      raise ValueError(f'{title!r}: {error}') from None
  sheet = printed.Sheet({
    '': 20, 'member steps': 14, 'setting': 58, 'sliced W1': 22,
    'high quality': 22, 'more than the best of the grid': 34,
  })  # fmt: skip
  for row in _rows(played, found):
    sheet.add(*row)
  sheet.write()


if __name__ == '__main__':
  launch.run(main)
