"""A run's sampler as a folder that needs jax alone; the data need not be there.

  python -m experiments.export --workdir=runs/digits --out=digits_sampler

The folder has two programs (StableHLO by jax.export, for any number of samples,
on CPU, CUDA and TPU): from a seed to latents, and from latents to samples. The
weights are beside them as safetensors, with all settings, the stamp, and a
model card that says how to load them. --config.init_from=FOLDER trains on.
"""

import pathlib

from absl import flags

from experiments import launch

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_OUT = flags.DEFINE_string('out', None, 'Folder to write, new or empty.')
_EMA = flags.DEFINE_bool(
  'ema', None, 'The averaged generator, or the live one; if not given, as in '
  'training.'
)  # fmt: skip
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best (by checkpoint.best), or a step.'
)
_MEMBER = flags.DEFINE_integer(
  'member', None, 'Which run of a population, from 0.'
)


def main() -> None:
  if _WORKDIR.value is None or _OUT.value is None:
    raise ValueError('--workdir=DIR and --out=DIR must be given')
  from gan_jax.run import exported, trained as runs
  from gan_jax.storage import whole

  workdir, out = pathlib.Path(_WORKDIR.value), pathlib.Path(_OUT.value)
  run = runs.load(workdir, _CHECKPOINT.value, _MEMBER.value)
  if _EMA.value is not None:
    run.config.eval.ema = _EMA.value
  with whole.folder(out) as part:
    exported.export(run, workdir, part)
  for path in sorted(out.iterdir()):
    print(f'{path.stat().st_size:12,}  {path}')
  print(
    f'for {", ".join(exported.PLATFORMS)}, without the fast paths for CPUs, '
    'which only this package can call'
  )


if __name__ == '__main__':
  launch.run(main)
