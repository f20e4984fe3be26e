"""Makes a run of its own out of a population's member.

  python -m experiments.member --workdir=runs/ten --member=3 --out=runs/third

Then whatever takes a run takes this one: it can be sampled, evaluated, and by
the training command of the population, with the member's own seed and numbers,
gone on with.
"""

import pathlib

from absl import flags

from experiments import launch

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the population.')
_MEMBER = flags.DEFINE_integer('member', None, 'Which, from 0.')
_OUT = flags.DEFINE_string('out', None, 'Folder to make.')


def main() -> None:
  if not _WORKDIR.value or _MEMBER.value is None or not _OUT.value:
    raise ValueError('--workdir, --member and --out must be given')
  from gan_jax.run import members
  from gan_jax.storage import workdir as workdirs

  out = pathlib.Path(_OUT.value)
  workdir = pathlib.Path(_WORKDIR.value)
  step = members.export_member(workdir, _MEMBER.value, out)
  config, _ = workdirs.load(out)
  print(
    f'member {_MEMBER.value}, seed {config.seed}, as of step {step:,}, in {out}'
  )


if __name__ == '__main__':
  launch.run(main)
