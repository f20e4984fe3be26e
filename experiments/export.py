"""A run's sampler as a folder that needs only jax, numpy and flatbuffers.

  python -m experiments.export --workdir=runs/digits --out=digits_sampler

The folder has two programs (StableHLO by jax.export, for any number of samples,
on CPU, CUDA and TPU): from a seed to latents, and from latents to samples. The
weights are beside them as safetensors, with all settings, the stamp, and a
model card that says how to load them. --config.init_from=FOLDER trains on.
"""

import pathlib

from absl import flags

from experiments import chosen, launch

_RUN = chosen.define()
_OUT = flags.DEFINE_string('out', None, 'Folder to write, new or empty.')


def main() -> None:
  if _RUN.workdir.value is None or _OUT.value is None:
    raise ValueError('--workdir=DIR and --out=DIR must be given')
  from gan_jax.run import exported
  from gan_jax.storage import whole

  workdir, out = pathlib.Path(_RUN.workdir.value), pathlib.Path(_OUT.value)
  run = _RUN.load()
  with whole.folder(out) as part:
    exported.export(run, workdir, part, _RUN.member.value)
  for path in sorted(out.iterdir()):
    print(f'{path.stat().st_size:12,}  {path}')
  print(
    f'for {", ".join(exported.PLATFORMS)}, without the fast paths for CPUs, '
    'which only this package can call'
  )


if __name__ == '__main__':
  launch.run(main)
