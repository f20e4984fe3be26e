"""Makes a run of networks that their authors' code has trained.

  python -m experiments.convert --snapshot=ffhq.pkl --out=runs/ffhq

The snapshot is a .pkl of StyleGAN2-ADA or StyleGAN3 in PyTorch
(NVlabs/stylegan2-ada-pytorch, NVlabs/stylegan3), or of R3GAN; nothing in it is
run, and PyTorch is not needed. Then whatever takes a run takes this one: it can
be sampled, walked through, projected to, evaluated, exported, and another run
can begin with its weights (--config.init_from=runs/ffhq).

The rest of the configuration is that of images.py for this network, or
--config=FILE.
"""

import pathlib

from absl import flags

from experiments import launch

_CONFIG = launch.define_config()
_SNAPSHOT = flags.DEFINE_string('snapshot', None, 'The .pkl file.')
_OUT = flags.DEFINE_string('out', None, 'Folder to make.')


def main() -> None:
  if not _SNAPSHOT.value or not _OUT.value:
    raise ValueError('--snapshot=FILE.pkl and --out=DIR must be given')
  from experiments.configs import images
  from gan_jax.config import checks
  from gan_jax.run import converted

  path, out = pathlib.Path(_SNAPSHOT.value), pathlib.Path(_OUT.value)
  snapshot = converted.read(path)
  model = snapshot.model
  base = _CONFIG.value or images.get_config(model.network)
  config = converted.configure(base, model)
  checks.validate(config)
  converted.make_run(snapshot, path, config, out)
  classes = f' of {model.classes} classes' if model.classes else ''
  side, _, channels = model.shape
  print(f'{model.network}, {side}x{side}x{channels}{classes}, in {out}')
  for remark in snapshot.remarks:
    print(remark)


if __name__ == '__main__':
  launch.run(main)
