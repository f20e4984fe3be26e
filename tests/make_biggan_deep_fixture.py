"""Makes what the tests keep of BigGAN-deep's PyTorch code.

  python tests/make_biggan_deep_fixture.py CHECKOUT

biggan_deep_fixture.npz holds what small networks of BigGANdeep.py in
ajbrock/BigGAN-PyTorch, checked out in CHECKOUT, say of a few latents and
images. All else is as in make_biggan_fixture.py, but that one G is asked again
in evaluation, by the running statistics that have moved: `later`. G has `mybn`:
else running variances are PyTorch's, without bias.
"""

import pathlib
import sys
from typing import Any

import make_biggan_fixture as common
import numpy as np

PATH = pathlib.Path(__file__).with_name('biggan_deep_fixture.npz')

CASES = {
  'plain': common.Case(32, 2, 6, 3, step=3),
  'full': common.Case(64, 2, 7, 5, 16, step=5),
  'largest': common.Case(128, 2, 7, 5, 32, step=11),
}


def _answers(name: str, package: Any) -> dict[str, np.ndarray]:
  case = CASES[name]
  both = {
    'resolution': case.size,
    'n_classes': common.CLASSES,
    'skip_init': True,
  }
  gen = package.Generator(
    G_ch=case.width, dim_z=case.latent, G_attn=str(case.attention),
    shared_dim=case.shared, hier=True, mybn=True, no_optim=True, **both,
  )  # fmt: skip
  disc = package.Discriminator(
    D_ch=case.width, D_attn=str(case.attention // 2), **both
  )
  z, x = common.inputs(case.size, case.latent)
  kept = common.judged(common.seeded(disc), x)
  if name != 'full':
    # For the size of the file.
    kept = {'logits': kept['logits']}
  common.seeded(gen)
  for key in ('samples', 'later') if name == 'plain' else ('samples',):
    made = common.samples(gen, z)
    kept[key] = made[:, :: case.step, :: case.step]
    gen.eval()
  return kept


def main(checkout: str) -> None:
  sys.path.insert(0, checkout)
  import BigGANdeep

  kept = {
    f'{name} {key}': value
    for name in CASES
    for key, value in _answers(name, BigGANdeep).items()
  }
  np.savez_compressed(PATH, **kept)
  print(f'{PATH}: {PATH.stat().st_size} bytes')
  for name in kept:
    if 'grad' not in name:
      x = kept[name]
      print(f'  {name}: mean {x.mean():.3g}, std {x.std():.3g}')


if __name__ == '__main__':
  main(sys.argv[1])
