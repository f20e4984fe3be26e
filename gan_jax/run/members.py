"""Makes a run of its own out of a population's member."""

import json
import pathlib

from gan_jax.engine import program
from gan_jax.game import state as states
from gan_jax.run import loop, trained as runs
from gan_jax.storage import averages, checkpoint, workdir as workdirs, writers


def export_member(workdir: pathlib.Path, index: int, out: pathlib.Path) -> int:
  """Makes a single run of a population's member, as if it had run alone.

  Args:
    workdir: of the population.
    index: of the member, from 0.
    out: a new folder, with the member's configuration, checkpoint and rows.

  Returns:
    The step of that checkpoint: the newest one that the member is in.

  Raises:
    ValueError: there is no such member, or `out` is there already.
  """
  if out.exists():
    raise ValueError(f'--out={out}: is there already')
  # Whole or not at all.
  final, out = out, out.with_name(out.name + '.tmp')
  run = runs.load(workdir, member=index)
  step = states.step_of(run.state)
  rows = [
    {
      name: value['members'][index] if isinstance(value, dict) else value
      for name, value in row.items()
    }
    for row in writers.read_rows(workdir)
    if row['step'] <= step
  ]
  game = program.open_game(run.config)
  with (
    workdirs.claim(out, run.config, run.info),
    checkpoint.Checkpoints(out, run.config.checkpoint) as saved,
    workdirs.writing(out, lambda: f'{workdir} is untouched'),
  ):
    lines = ''.join(json.dumps(row) + '\n' for row in rows)
    (out / 'metrics.jsonl').write_text(lines)
    averages.export(workdir, out, index)
    form = game.shapes()
    own = runs.fitted(run.state, form)
    saved.save(own, loop.facts(game, len(rows)), {})
  out.rename(final)
  return step
