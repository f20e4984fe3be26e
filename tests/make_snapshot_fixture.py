"""Makes the snapshots that the tests convert, by the authors' own code.

  python tests/make_snapshot_fixture.py NAME CHECKOUT

NAME is stylegan2 with a checkout of NVlabs/stylegan2-ada-pytorch, stylegan3
with one of NVlabs/stylegan3, or r3gan with one of brownvc/R3GAN; they run on
the CPU. snapshot_NAME.pkl.gz is what their training loops pickle, of small
networks without their source code, and snapshot_NAME.npz what these answer.

Needs torch, requests and a setuptools with pkg_resources, which no test does.
"""

import copy
import gzip
import pathlib
import pickle
import sys
from typing import Any

import numpy as np

FOLDER = pathlib.Path(__file__).parent
SIDE, CLASSES, BATCH, LATENT_DIM = 16, 3, 4, 5
# Of the images that are kept beside those of psi = 1.
PSI = 0.7


def path(name: str, end: str) -> pathlib.Path:
  return FOLDER / f'snapshot_{name}.{end}'


def labels() -> np.ndarray:
  return np.array([2, 0, 1, 2], np.int32)


def _stylegan2() -> tuple[Any, Any]:
  import dnnlib
  from training import networks

  channels = {'channel_base': 64, 'channel_max': 8}
  gen = networks.Generator(
    z_dim=LATENT_DIM, c_dim=CLASSES, w_dim=6, img_resolution=SIDE,
    img_channels=3, mapping_kwargs=dnnlib.EasyDict(num_layers=2),
    synthesis_kwargs=dnnlib.EasyDict(
      **channels, num_fp16_res=0, conv_clamp=0.5
    ),
  )  # fmt: skip
  disc = networks.Discriminator(
    c_dim=CLASSES, img_resolution=SIDE, img_channels=3, **channels,
    num_fp16_res=0, conv_clamp=0.4, block_kwargs=dnnlib.EasyDict(),
    mapping_kwargs=dnnlib.EasyDict(num_layers=2),
    epilogue_kwargs=dnnlib.EasyDict(mbstd_group_size=2),
  )  # fmt: skip
  return gen, disc


def _stylegan3() -> tuple[Any, Any]:
  import dnnlib
  from training import networks_stylegan2, networks_stylegan3

  gen = networks_stylegan3.Generator(
    z_dim=LATENT_DIM, c_dim=0, w_dim=6, img_resolution=SIDE, img_channels=3,
    mapping_kwargs=dnnlib.EasyDict(num_layers=2), channel_base=64,
    channel_max=8, num_layers=3, num_critical=1, margin_size=4, conv_kernel=1,
    use_radial_filters=True, magnitude_ema_beta=0.9995,
  )  # fmt: skip
  disc = networks_stylegan2.Discriminator(
    c_dim=0, img_resolution=SIDE, img_channels=3, channel_base=64,
    channel_max=8,
  )  # fmt: skip
  return gen, disc


def _r3gan() -> tuple[Any, Any]:
  from training import networks

  width, groups, depth = [8, 8, 4], [4, 4, 2], [1, 2, 1]
  common = {
    'ExpansionFactor': 2, 'ConditionEmbeddingDimension': 16, 'c_dim': CLASSES,
    'img_resolution': SIDE, 'FP16Stages': [],
  }  # fmt: skip
  gen = networks.Generator(
    NoiseDimension=LATENT_DIM, WidthPerStage=width, CardinalityPerStage=groups,
    BlocksPerStage=depth, **common,
  )  # fmt: skip
  disc = networks.Discriminator(
    WidthPerStage=width[::-1], CardinalityPerStage=groups[::-1],
    BlocksPerStage=depth[::-1], **common,
  )  # fmt: skip
  return gen, disc


def _moved(net: Any, seed: int) -> Any:
  """With none of its arrays as they were, but the fixed ones."""
  import torch

  generator = torch.Generator().manual_seed(seed)
  fixed = 'filter', 'noise_const', 'noise_strength', 'transform', 'Kernel'
  state = net.state_dict()
  for name, x in state.items():
    if not name.endswith(fixed):
      noise = torch.randn(x.shape, generator=generator)
      state[name] = x + 0.1 * noise * (x.abs().mean() + 0.1)
  net.load_state_dict(state)
  return net


def _make(name: str) -> None:
  import torch

  torch.manual_seed(0)
  gen, disc = {
    'stylegan2': _stylegan2, 'stylegan3': _stylegan3, 'r3gan': _r3gan
  }[name]()  # fmt: skip
  nets = {
    'G': _moved(gen, 1), 'D': _moved(disc, 2),
    'G_ema': _moved(copy.deepcopy(gen), 3),
  }  # fmt: skip
  # As at every step of their training.
  for b, b_ema in zip(
    nets['G'].buffers(), nets['G_ema'].buffers(), strict=True
  ):
    b.copy_(b_ema)
  nets = {
    key: copy.deepcopy(net).eval().requires_grad_(False)
    for key, net in nets.items()
  }
  z = torch.randn(BATCH, LATENT_DIM)
  x = torch.randn(BATCH, 3, SIDE, SIDE)
  c = torch.zeros(BATCH, 0)
  if nets['G'].c_dim:
    c = torch.eye(CLASSES)[torch.from_numpy(labels()).long()]
  kept = {'z': z, 'x': x, 'D': nets['D'](x, c)}
  styled = name != 'r3gan'
  options = {'noise_mode': 'none'} if name == 'stylegan2' else {}
  for key in ('G', 'G_ema'):
    kept[key] = nets[key](z, c, **options)
    if styled:
      kept[f'{key} at psi'] = nets[key](z, c, truncation_psi=PSI, **options)
  if styled:
    from torch_utils import persistence

    for kind in persistence._decorators:
      kind._orig_module_src = ''
  content = {
    **nets, 'augment_pipe': None, 'training_set_kwargs': {'use_labels': True},
    'cur_nimg': 1,
  }  # fmt: skip
  if not styled:
    optimiser = torch.optim.Adam(gen.parameters())
    content['G_opt_state'] = optimiser.state_dict()
  with gzip.GzipFile(path(name, 'pkl.gz'), 'wb', mtime=0) as file:
    pickle.dump(content, file)
  arrays = {key: value.numpy() for key, value in kept.items()}
  np.savez_compressed(path(name, 'npz'), **arrays)
  for end in ('pkl.gz', 'npz'):
    print(path(name, end).name, path(name, end).stat().st_size)


if __name__ == '__main__':
  sys.path.insert(0, sys.argv[2])
  _make(sys.argv[1])
