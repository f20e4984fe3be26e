"""Networks whose weights are read from a file that is not ours to bring."""

import contextlib
import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from gan_jax import cache as caches, types
from gan_jax.evaluation import (
  clip,
  dino,
  dinov2,
  features,
  inception as inceptions,
  resizers,
  resnet,
  swin,
)
from gan_jax.storage import torch_files, weights

INCEPTION_FILE = 'pt_inception-2015-12-05-6726825d.pth'
INCEPTION_URL = (
  'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/'
  + INCEPTION_FILE
)

_inception = jax.jit(inceptions.apply, static_argnames='resizer')


def _extractor(
  name: str,
  sha256: str,
  params: types.PyTree,
  apply: Callable[..., Any],
  resizer: str,
) -> features.Extractor:
  return features.Extractor(
    name,
    sha256,
    jax.device_put(params),
    functools.partial(apply, resizer=resizer),
    {'features_resizer': resizer, 'features_of_bits': resizers.BITS},
  )


def inception(path: str = '', resizer: str = '') -> features.Extractor:
  """Inception-v3 in FID's variant: 2,048 features and 1,008 logits.

  A checkpoint of pytorch-fid is converted once, to a safetensors file beside
  it, which will do without it.

  Args:
    path: of the checkpoint or of what it was converted to; '' is
      `INCEPTION_FILE` in `caches.folder()`.
    resizer: of `resizers.RESIZERS`; '' is pytorch-fid's.

  Raises:
    ValueError: it is not there, cannot be read, or is of another network.
  """
  source = pathlib.Path(path or caches.folder() / INCEPTION_FILE)
  source = source.expanduser()
  converted = source.with_suffix('.safetensors')
  if not (source.is_file() or converted.is_file()):
    raise ValueError(
      f'{source}: there are no weights of Inception; download {INCEPTION_FILE} '
      f'from {INCEPTION_URL}'
    )
  digest = weights.sha256(source) if source.is_file() else ''
  params: types.PyTree = None
  notes: dict[str, str] = {}
  if converted.is_file():
    params, notes = weights.load(converted)
    digest = digest if source.suffix != '.safetensors' else ''
  origin = notes.get('sha256', '')
  if params is None or (digest and digest != origin):
    params, origin = (
      inceptions.convert(torch_files.read_state_dict(source)),
      digest,
    )
    # Where nothing can be written, it is converted each time.
    with contextlib.suppress(OSError):
      weights.save(converted, params, {'sha256': origin, 'name': source.name})
  if not origin:
    raise ValueError(
      f'{converted}: it does not say of which checkpoint it was made; remove it'
      f', and download {INCEPTION_FILE} from {INCEPTION_URL}'
    )
  resizer = resizer or inceptions.RESIZER
  # Of the checkpoint, by which others know these weights.
  extractor = _extractor('inception', origin, params, _inception, resizer)
  facts = {**extractor.facts, 'features_centre': inceptions.centre(resizer)}
  return extractor._replace(facts=facts)


class Published(NamedTuple):
  """A checkpoint that others have published.

  Attributes:
    file: its usual name.
    url: where it is.
  """

  file: str
  url: str


class Network(NamedTuple):
  """A network whose checkpoint says how large it is.

  Attributes:
    published: its checkpoint.
    convert: its settings and parameters, of the checkpoint's arrays.
    apply: `apply(params, images, settings=, resizer=)`, to features and logits.
    resizer: the usual one.
  """

  published: Published
  convert: Callable[..., tuple[Any, types.PyTree]]
  apply: Callable[..., Any]
  resizer: str


def _network(
  module: Any,
  url: str,
  file: str = '',
  convert: Callable[..., Any] | None = None,
) -> Network:
  """The network of a module here.

  Args:
    module: with `convert`, `apply` and `RESIZER`.
    url: of the checkpoint.
    file: its usual name; '' is the last part of the address.
    convert: in place of the module's.
  """
  apply = jax.jit(module.apply, static_argnames=('resizer', 'settings'))
  published = Published(file or url.rpartition('/')[2], url)
  return Network(published, convert or module.convert, apply, module.RESIZER)


_META = 'https://dl.fbaipublicfiles.com'

NETWORKS = {
  # ViT-L/14, as Stein et al. 2023 use it; S and B are read, too.
  'dinov2': _network(
    dinov2, f'{_META}/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth'
  ),
  # ViT-L/14 at 336 pixels, as CMMD has it.
  'clip': _network(
    clip,
    'https://huggingface.co/openai/clip-vit-large-patch14-336/resolve/main/'
    'pytorch_model.bin',
    'clip-vit-large-patch14-336.bin',
  ),
  # Those of PyTorch-StudioGAN.
  'resnet50': _network(
    resnet, 'https://download.pytorch.org/models/resnet50-0676ba61.pth'
  ),
  'swav': _network(
    resnet,
    f'{_META}/deepcluster/swav_800ep_pretrain.pth.tar',
    convert=resnet.convert_swav,
  ),
  'dino': _network(
    dino,
    f'{_META}/dino/dino_deitsmall8_pretrain/dino_deitsmall8_pretrain.pth',
  ),
  'swin': _network(
    swin,
    'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
    'swin_base_patch4_window7_224_22kto1k.pth',
  ),
}


def arrays(
  published: Published, path: str = ''
) -> tuple[dict[str, np.ndarray], str]:
  """A checkpoint's arrays by PyTorch's names, and the sha256 of its file.

  Args:
    published: what is looked for, in the cache, if no path is given.
    path: of it, or of a safetensors file of the same names.

  Raises:
    ValueError: it is not there, or cannot be read.
  """
  source = pathlib.Path(path or caches.folder() / published.file).expanduser()
  if not source.is_file():
    raise ValueError(
      f'{source}: there are no weights; download them from {published.url}'
    )
  if source.suffix == '.safetensors':
    tree, _ = weights.load(source)
    found = traverse_util.flatten_dict(tree, sep='/')
  else:
    found = torch_files.read_state_dict(source)
  # Of a network that learned on several GPUs.
  found = {n.removeprefix('module.'): array for n, array in found.items()}
  return found, weights.sha256(source)


def read(name: str, path: str = '', resizer: str = '') -> features.Extractor:
  """A network of `NETWORKS`.

  Args:
    name: of it.
    path: of its authors' checkpoint, or of a safetensors file of the same
      names; '' is the usual one in `caches.folder()`.
    resizer: of `resizers.RESIZERS`; '' is the usual one.

  Raises:
    ValueError: it is not there, cannot be read, or is of another network.
  """
  network = NETWORKS[name]
  found, sha256 = arrays(network.published, path)
  settings, params = network.convert(found)
  extractor = _extractor(
    name,
    sha256,
    params,
    functools.partial(network.apply, settings=settings),
    resizer or network.resizer,
  )
  facts = {**extractor.facts, 'features_network': str(settings)}
  return extractor._replace(facts=facts)


# By name, as functions of the weights' file and the resizer, '' for either
# being the usual one.
PRETRAINED: dict[str, Callable[[str, str], features.Extractor]] = {
  'inception': inception,
  **{name: functools.partial(read, name) for name in NETWORKS},
}
