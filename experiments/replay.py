"""Plays a run's beginning and its end again, and says what is identical.

  python -m experiments.replay --workdir=runs/gaussian_1d --steps=1000

From the stored configuration the first steps are run again and compared with
the rows of metrics.jsonl; from the last checkpoint but one the steps to the
last are, and compared with it, tensor by tensor. Exits with 1 where anything
differs.
"""

import pathlib
import sys

from absl import flags

from experiments import launch

launch.define_distributed()
launch.define_deterministic()
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_STEPS = flags.DEFINE_integer(
  'steps', 1000, 'How many of the first steps.', lower_bound=1
)


def main() -> None:
  if _WORKDIR.value is None:
    raise ValueError('--workdir=DIR must be given')
  from gan_jax.engine import hosts, program, threads
  from gan_jax.ops import cpu
  from gan_jax.run import replay
  from gan_jax.storage import workdir as workdirs

  workdir = pathlib.Path(_WORKDIR.value)
  config, stock = replay.read(workdir)
  if stock:
    cpu.set_stock()
  threads.choose(config)
  game = program.open_game(config)
  hosts.agree('data set', {'data.fingerprint': game.source.info.fingerprint})
  hosts.decide(lambda: workdirs.check(workdir, config, game.source.info))
  changed = hosts.decide(lambda: replay.changed_since(workdir))
  for name, (then, now) in changed.items():
    print(f'{name}: {", later ".join(map(str, then))} then, {now} now')
  if not changed:
    print('versions, devices, flags and commit are those of the run')
  exact = True
  for play in (
    lambda: replay.first_steps(game, workdir, _STEPS.value),
    lambda: replay.last_steps(game, workdir),
  ):
    part = play()
    print(f'\n{part.title}')
    for name, largest in part.differences:
      verdict = f'differs by up to {largest:.3g}' if largest else 'identical'
      print(f'  {name:44s} {verdict}')
    exact &= not any(d.largest for d in part.differences)
  print('\nidentical throughout' if exact else '\nnot identical')
  sys.exit(0 if exact else 1)


if __name__ == '__main__':
  launch.run(main)
