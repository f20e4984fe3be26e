"""How fast a configuration could be on more and more chips: a prediction."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from gan_jax.config import fields as configs
from gan_jax.data import absent
from gan_jax.engine import ahead, chips

# Of the same batch for any number of chips, and of one that grows with them.
KINDS = ('strong', 'weak')


def predict(
  config: configs.Config,
  chip: str,
  counts: Sequence[int],
  form: absent.ImageSpec,
  *,
  say: Callable[[str], None],
) -> list[dict[str, Any]]:
  """A row for each kind and number of chips.

  The first number has the configuration's batch, the others the same ('strong')
  or one that grows with them ('weak'). What does not fit is left out.

  Args:
    config: complete.
    chip: 'v5e' and so on.
    counts: of chips, in order.
    form: as for `ahead.compile_for`.
    say: is told of each row that could not be made.

  Returns:
    Rows with `kind`, `chips`, `batch_size`, `report` of `ahead.compile_for`,
    and `efficiency`: the speed of a chip as a share of that in the first row.

  Raises:
    ValueError: there is no such chip, no pod of so many, or no row at all.
  """
  if chip not in chips.CHIPS:
    raise ValueError(
      f'--topology={chip}: with --chips it is one of {", ".join(chips.CHIPS)}'
    )
  pods = [chips.of_count(chip, count) for count in counts]
  rows: list[dict[str, Any]] = []
  left: list[str] = []
  reports: dict[tuple[int, int], ahead.Report | None] = {}
  for kind in KINDS:
    for pod in pods:
      grown = pod.num_chips // counts[0] if kind == 'weak' else 1
      trial = dataclasses.replace(config, batch_size=config.batch_size * grown)
      asked = pod.num_chips, trial.batch_size
      if asked not in reports:
        reports[asked], why = _compiled(trial, str(pod), form)
        if why:
          left.append(f'{kind}, {pod}: left out: {why}')
      report = reports[asked]
      if report is not None:
        first = rows[0]['report'] if rows else report
        rows.append({
          'kind': kind,
          'chips': pod.num_chips,
          'batch_size': trial.batch_size,
          'efficiency': _speed(report) / _speed(first),
          'report': report,
        })  # fmt: skip
  if not rows:
    raise ValueError(f'--chips: none is left; {left[0]}')
  for line in left:
    say(line)
  return rows


def _compiled(
  config: configs.Config, pod: str, form: absent.ImageSpec
) -> tuple[ahead.Report | None, str]:
  """A report, or why there is none that fits."""
  try:
    report = ahead.compile_apart(config, pod, form)
  except ValueError as error:
    return None, str(error)
  return (report, '') if report['fits'] else (None, 'it does not fit')


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """Rows of `predict` that were written as JSON.

  Raises:
    ValueError: it cannot be read, or holds something else.
  """
  try:
    rows: list[dict[str, Any]] = json.loads(path.read_text())
    if rows and all({'kind', 'chips', 'efficiency'} <= {*row} for row in rows):
      return rows
  except (OSError, ValueError, TypeError):
    pass
  raise ValueError(f'--beside={path}: is not what --chips --json=FILE writes')


def _speed(report: dict[str, Any]) -> float:
  """Samples a second of one chip."""
  speed: float = report['roofline']['samples_per_second']
  return speed / report['chips']
