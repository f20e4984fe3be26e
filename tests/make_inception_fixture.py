"""Makes what the tests keep of PyTorch.

  python tests/make_inception_fixture.py

inception_fixture.npz holds what pytorch-fid says of two images; checkpoint.pth
and checkpoint_legacy.pth hold small tensors in both formats of `torch.save`,
checkpoint_within.pth the same beside other things.

Needs torch, torchvision and pytorch-fid, which no test does. The weights are
drawn from generators that are seeded by their names, and so are the images, so
that the test draws the same and only the answers are kept.
"""

import hashlib
import pathlib
from collections.abc import Mapping

import numpy as np

PATH = pathlib.Path(__file__).with_name('inception_fixture.npz')


def rng(name: str) -> np.random.Generator:
  digest = hashlib.sha256(name.encode()).digest()
  return np.random.default_rng(int.from_bytes(digest[:8], 'little'))


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
  """Of a size at which activations neither vanish nor explode, float32."""
  arrays = {}
  for name, shape in shapes.items():
    draw = rng(name)
    if name.endswith('num_batches_tracked'):
      array = np.zeros(shape, np.int64)
    elif name.endswith(('bn.weight', 'running_var')):
      array = draw.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
      fan_in = np.prod(shape[1:])
      array = draw.standard_normal(shape) * np.sqrt(2 / fan_in)
    else:
      array = draw.standard_normal(shape) * 0.1
    arrays[name] = array if array.dtype == np.int64 else array.astype('float32')
  return arrays


def images() -> np.ndarray:
  """`[2, 40, 52, 3]` in [0, 1], of 8 bits: noise, of which half is smooth."""
  noise = rng('images').uniform(size=(2, 40, 52, 3)).astype(np.float32)
  noise[:, 20:] = np.cumsum(noise[:, 20:], axis=2) / 52
  return np.round(255 * noise) / np.float32(255)


def tensors() -> dict[str, np.ndarray]:
  """What the checkpoints hold."""
  table = np.arange(12, dtype=np.float32).reshape(3, 4)
  return {
    'table': table,
    'turned': table.T,  # Of the same storage,
    'corner': table[1:, 2:],  # like this.
    'float64': np.array([1e-300, np.pi]),
    'float16': np.array([0.5, -2], np.float16),
    'count': np.array(2**40),
    'flags': np.array([True, False]),
    'empty': np.zeros((0, 3), np.float32),
  }


def save_checkpoints() -> None:
  import torch

  module = torch.nn.Module()
  table = torch.from_numpy(tensors()['table'])
  views = {'table': table, 'turned': table.T, 'corner': table[1:, 2:]}
  for name, array in tensors().items():
    tensor = views.get(name)
    if tensor is None:
      tensor = torch.from_numpy(array)
    module.register_buffer(name, tensor)
  for name, is_zip in (('checkpoint', True), ('checkpoint_legacy', False)):
    torch.save(
      module.state_dict(),
      PATH.with_name(f'{name}.pth'),
      _use_new_zipfile_serialization=is_zip,
    )
  within = {'epoch': 3, 'model': module.state_dict()}
  torch.save(within, PATH.with_name('checkpoint_within.pth'))


def save_answers() -> None:
  import torch
  from pytorch_fid import inception

  def seeded(network: torch.nn.Module) -> torch.nn.Module:
    state = network.state_dict()
    arrays = weights({name: tuple(x.shape) for name, x in state.items()})
    network.load_state_dict(
      {name: torch.from_numpy(x) for name, x in arrays.items()}
    )
    return network

  # The constructor would fetch the trained weights.
  original = torch.nn.Module.load_state_dict
  torch.nn.Module.load_state_dict = lambda *_, **__: None
  inception.load_state_dict_from_url = lambda *_, **__: None
  whole = inception.fid_inception_v3()
  torch.nn.Module.load_state_dict = original
  seeded(whole).eval()
  inception.fid_inception_v3 = lambda: whole
  blocks = inception.InceptionV3().eval()
  with torch.no_grad():
    x = torch.from_numpy(images().transpose(0, 3, 1, 2))
    features = blocks(x)[0][:, :, 0, 0]
    logits = whole.fc(features)
  shapes = [
    f'{name} {" ".join(map(str, x.shape))}'
    for name, x in whole.state_dict().items()
  ]
  np.savez_compressed(
    PATH,
    features=features.numpy(),
    logits=logits.numpy(),
    shapes=np.array('\n'.join(shapes)),
  )
  print(f'{PATH}: {PATH.stat().st_size} bytes; features of mean '
        f'{features.mean():.3g}, std {features.std():.3g}')  # fmt: skip


if __name__ == '__main__':
  save_checkpoints()
  save_answers()
