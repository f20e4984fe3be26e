"""Trains small runs one after another, as one of several processes.

Each `--run=WORKDIR:CONFIG.json`; `--die=PROCESS:CHUNK` gets that process a
signal after that many chunks of all.
"""

import json
import os
import pathlib
import time

from absl import flags

from experiments import launch

launch.define_distributed()
_RUNS = flags.DEFINE_multi_string('run', [], 'WORKDIR:CONFIG.json')
_REPLAY = flags.DEFINE_string('replay', None, 'WORKDIR to play again.')
_DIE = flags.DEFINE_string('die', '', 'PROCESS:CHUNK, after so many chunks.')
_SIGNAL = flags.DEFINE_integer('signal', 9, 'By this signal.')
_SEED = flags.DEFINE_string('seed', '', 'PROCESS:SEED of the runs.')


def own(text: str) -> int | None:
  """The number in PROCESS:NUMBER, if that is of this process."""
  process, _, number = text.partition(':')
  here = str(flags.FLAGS['process_id'].value)
  return int(number) if process == here else None


def main() -> None:
  from gan_jax.config import values
  from gan_jax.engine import build, hosts, program
  from gan_jax.run import interrupt, replay, train

  ask, asked = hosts.asked_to_stop, []

  def dying(stop: bool) -> bool:
    asked.append(stop)
    if len(asked) == own(_DIE.value):
      os.kill(os.getpid(), _SIGNAL.value)
      time.sleep(0.2)  # The thread that reads signals.
    return ask(stop)

  hosts.asked_to_stop = dying
  for run in _RUNS.value:
    workdir, _, path = run.partition(':')
    fields = json.loads(pathlib.Path(path).read_text())
    fields['seed'] = own(_SEED.value) or fields['seed']
    config = build.complete(values.from_dict(fields))
    # Drawing takes longer than these runs.
    config.log.pictures = False
    try:
      train.train(config, pathlib.Path(workdir))
    except interrupt.Stopped as stopped:
      print(stopped)
  if _REPLAY.value:
    workdir = pathlib.Path(_REPLAY.value)
    game = program.open_game(replay.read(workdir)[0])
    for part in (
      replay.first_steps(game, workdir, 8),
      replay.last_steps(game, workdir),
    ):
      print(part.title, len(part.differences))
      print('differ', [d.name for d in part.differences if d.largest])


if __name__ == '__main__':
  launch.run(main)
