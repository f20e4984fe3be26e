r"""Makes a run of networks that their authors' code has trained.

  python -m experiments.convert --snapshot=ffhq.pkl --out=runs/ffhq
  python -m experiments.convert --gen=G.pth --gen_ema=G_ema.pth --disc=D.pth \
    --config=experiments/configs/imagenet.py:128 --out=runs/imagenet

The snapshot is a .pkl of StyleGAN2-ADA or StyleGAN3 in PyTorch
(NVlabs/stylegan2-ada-pytorch, NVlabs/stylegan3), or of R3GAN. The .pth files
are of BigGAN, BigGAN-deep or SAGAN in PyTorch (ajbrock/BigGAN-PyTorch); one of
both generators is enough. Nothing in a file is run, and PyTorch is not needed.
Then whatever takes a run takes this one: it can be sampled, walked through,
projected to, evaluated, exported, and another run can begin with its weights
(--config.init_from=runs/ffhq).

A snapshot says how its networks were made, and the rest of the configuration is
that of images.py for this network, or --config=FILE. .pth files do not say it:
--config=FILE must, and their arrays are compared with it.
"""

import pathlib
from typing import TYPE_CHECKING

from absl import flags

from experiments import launch

if TYPE_CHECKING:
  from gan_jax.config import fields as configs

_CONFIG = launch.define_config()
_SNAPSHOT = flags.DEFINE_string('snapshot', None, 'The .pkl file.')
_GEN = flags.DEFINE_string('gen', None, 'G_*.pth: the generator.')
_GEN_EMA = flags.DEFINE_string('gen_ema', None, 'G_ema_*.pth: its average.')
_DISC = flags.DEFINE_string('disc', None, 'D_*.pth: the discriminator.')
_OUT = flags.DEFINE_string('out', None, 'Folder to make.')


def main() -> None:
  weights = [flag.value for flag in (_GEN, _GEN_EMA, _DISC)]
  if not _OUT.value or bool(_SNAPSHOT.value) == any(weights):
    raise ValueError(
      '--out=DIR must be given, and either --snapshot=FILE.pkl or --gen, '
      '--gen_ema and --disc=FILE.pth'
    )
  if any(weights) and not any(weights[:2]):
    raise ValueError(
      f'--disc={_DISC.value}: needs a generator, --gen=FILE.pth or '
      '--gen_ema=FILE.pth'
    )
  if any(weights) and not _CONFIG.value:
    raise ValueError(
      '--config=FILE must say how the networks of .pth files were made, such '
      'as --config=experiments/configs/imagenet.py:128'
    )
  from gan_jax.config import checks
  from gan_jax.run import converted

  out = pathlib.Path(_OUT.value)
  if _SNAPSHOT.value:
    snapshot = converted.read(pathlib.Path(_SNAPSHOT.value))
  else:
    files = converted.Files(*(pathlib.Path(x) if x else None for x in weights))
    snapshot = converted.read_weights(files, _CONFIG.value)
  model = snapshot.model
  side, _, channels = model.shape
  base, remarks = _CONFIG.value, list(snapshot.remarks)
  if not base:
    base, about = _usual(model.network, side)
    remarks += about
  config = converted.configure(base, model)
  checks.validate(config)
  converted.make_run(snapshot, config, out)
  classes = f' of {model.classes} classes' if model.classes else ''
  print(f'{model.network}, {side}x{side}x{channels}{classes}, in {out}')
  for remark in remarks:
    print(remark)


def _usual(network: str, side: int) -> tuple['configs.Config', list[str]]:
  """A network's configuration in images.py, and what is to be said of it."""
  from experiments.configs import images

  sized = f'{network}_{side}'
  name = sized if sized in images.ARGUMENTS else network
  base = images.get_config(name)
  if base.data.size == side:
    return base, []
  own = base.data.size
  return base, [
    f'batch, rates and penalties are those of images.py:{name} at {own}x{own}; '
    'set them before you train on'
  ]


if __name__ == '__main__':
  launch.run(main)
