"""Makes the weights that the tests convert, by the authors' own code.

  python tests/make_weights_fixture.py CHECKOUT

weights_NAME.zip holds what the training of ajbrock/BigGAN-PyTorch, checked out
in CHECKOUT, saves of small networks, and answers.npz: what these say. Needs
torch, which no test does.

'biggan' has PyTorch's batch normalisation; 'biggan_deep' has --mybn, and its
average standing statistics, saved as PyTorch did until 1.6; 'sagan' has
neither an embedding that blocks share nor z in parts, and no average.
"""

import copy
import io
import pathlib
import sys
import zipfile
from typing import Any

import make_biggan_fixture as common
import numpy as np

FOLDER = pathlib.Path(__file__).parent
SIDE, WIDTH = 32, 2
# Of every so many rows and columns of samples, one is kept.
STEP = 3
LATENT_DIM = {'biggan': 8, 'biggan_deep': 5, 'sagan': 5}
SHARED, ATTENTION = 3, 16


def path(name: str) -> pathlib.Path:
  return FOLDER / f'weights_{name}.zip'


def _networks(name: str) -> tuple[Any, Any]:
  import BigGAN
  import BigGANdeep

  package = BigGANdeep if name == 'biggan_deep' else BigGAN
  both = {'resolution': SIDE, 'n_classes': common.CLASSES}
  shared = name != 'sagan'
  gen = package.Generator(
    G_ch=WIDTH, dim_z=LATENT_DIM[name], G_attn=str(ATTENTION), hier=shared,
    G_shared=shared, shared_dim=SHARED, mybn=name == 'biggan_deep', **both,
  )  # fmt: skip
  # At 32x32 it has no attention, or attention in all of its stages.
  return gen, package.Discriminator(D_ch=WIDTH, D_attn='0', **both)


def _rounded(net: Any) -> Any:
  """With weights of 8 bits of mantissa, for the size of the file."""
  import torch

  with torch.no_grad():
    for x in net.parameters():
      x.copy_(x.bfloat16().float())
  return net


def _trained(net: Any, passes: Any) -> Any:
  """With weights of their names, statistics and vectors that have moved."""
  import torch

  _rounded(common.seeded(net))
  with torch.no_grad():
    for given in passes:
      net(*given)
  return net


def _averaged(gen: Any, passes: Any) -> Any:
  """The mean of two generators, of all arrays, as that code averages."""
  import torch

  other = copy.deepcopy(gen)
  with torch.no_grad():
    for i, x in enumerate(other.parameters()):
      generator = torch.Generator().manual_seed(i)
      x += 0.2 * torch.randn(x.shape, generator=generator) * x.abs().mean()
    for given in passes:
      other(*given)
  state = gen.state_dict()
  average = copy.deepcopy(gen)
  average.load_state_dict(
    {name: 0.5 * (x + state[name]) for name, x in other.state_dict().items()}
  )
  return _rounded(average)


def _standing(gen: Any, passes: Any) -> None:
  """As before samples are drawn with --accumulate_stats."""
  import layers

  for module in gen.modules():
    if isinstance(module, layers.myBN):
      module.reset_stats()
      module.accumulate_standing = True
  for given in passes:
    gen(*given)


def _make(name: str) -> None:
  import torch

  torch.manual_seed(0)
  gen, disc = _networks(name)
  y = torch.from_numpy(common.LABELS).long()
  drawn, images = common.inputs(SIDE, LATENT_DIM[name])
  z = torch.from_numpy(drawn)
  x = torch.from_numpy(images).permute(0, 3, 1, 2)

  def latents(number: int) -> Any:
    for _ in range(number):
      yield torch.randn(z.shape), gen.shared(y)

  _trained(gen, latents(3))
  nets = {'G': gen, 'D': _trained(disc, [(x, y)] * 2)}
  if name != 'sagan':
    nets['G_ema'] = _averaged(gen, latents(3))
  if name == 'biggan_deep':
    with torch.no_grad():
      _standing(nets['G_ema'], latents(4))
  answers = {}
  with zipfile.ZipFile(path(name), 'w', zipfile.ZIP_DEFLATED) as archive:

    def write(entry: str, file: io.BytesIO) -> None:
      archive.writestr(
        zipfile.ZipInfo(entry), file.getvalue(), zipfile.ZIP_DEFLATED
      )

    for key, net in nets.items():
      net.eval()
      with torch.no_grad():
        made = net(x, y) if key == 'D' else net(z, net.shared(y))
      kept = made[:, 0] if key == 'D' else made[..., ::STEP, ::STEP]
      answers[key] = kept.numpy()
      saved = io.BytesIO()
      torch.save(
        net.state_dict(),
        saved,
        _use_new_zipfile_serialization=name != 'biggan_deep',
      )
      write(f'{key}.pth', saved)
    file = io.BytesIO()
    np.savez(file, **answers)
    write('answers.npz', file)
  print(f'{path(name).name}: {path(name).stat().st_size} bytes')
  for key, value in answers.items():
    print(f'  {key}: mean {value.mean():.3g}, std {value.std():.3g}')


if __name__ == '__main__':
  sys.path.insert(0, sys.argv[1])
  for case in LATENT_DIM:
    _make(case)
