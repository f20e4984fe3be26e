"""Networks whose weights are read from a file that is not ours to bring."""

import contextlib
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
from flax import traverse_util

from gan_jax import cache as caches, types
from gan_jax.evaluation import (
  clip as clips,
  dinov2 as dinos,
  features,
  inception as inceptions,
  resizers,
  vit,
)
from gan_jax.storage import torch_files, weights

INCEPTION_FILE = 'pt_inception-2015-12-05-6726825d.pth'
INCEPTION_URL = (
  'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/'
  + INCEPTION_FILE
)

DINOV2_FILE = 'dinov2_vitl14_pretrain.pth'
DINOV2_URL = (
  'https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/' + DINOV2_FILE
)

CLIP_FILE = 'clip-vit-large-patch14-336.bin'
CLIP_URL = (
  'https://huggingface.co/openai/clip-vit-large-patch14-336/resolve/main/'
  'pytorch_model.bin'
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


def _arrays(path: str, file: str, url: str) -> tuple[Any, str]:
  """A checkpoint's arrays by PyTorch's names, and its sha256."""
  source = pathlib.Path(path or caches.folder() / file).expanduser()
  if not source.is_file():
    raise ValueError(
      f'{source}: there are no weights; download them from {url}'
    )
  if source.suffix == '.safetensors':
    tree, _ = weights.load(source)
    arrays = traverse_util.flatten_dict(tree, sep='/')
  else:
    arrays = torch_files.read_state_dict(source)
  return arrays, weights.sha256(source)


_SETTINGS = 'resizer', 'settings'
_dinov2 = jax.jit(dinos.apply, static_argnames=_SETTINGS)
_clip = jax.jit(clips.apply, static_argnames=_SETTINGS)


def dinov2(path: str = '', resizer: str = '') -> features.Extractor:
  """DINOv2: Stein et al. 2023 use ViT-L/14, and its 1,024 features.

  Args:
    path: of its authors' checkpoint, of S, B or L, or of a safetensors file of
      the same names; '' is `DINOV2_FILE` in `caches.folder()`.
    resizer: of `resizers.RESIZERS`; '' is Stein et al.'s.

  Raises:
    ValueError: it is not there, cannot be read, or is of another network.
  """
  arrays, sha256 = _arrays(path, DINOV2_FILE, DINOV2_URL)
  return _transformer(
    'dinov2', sha256, dinos.convert(arrays), _dinov2, resizer or dinos.RESIZER
  )


def clip(path: str = '', resizer: str = '') -> features.Extractor:
  """CLIP's image encoder: CMMD uses ViT-L/14 at 336 pixels.

  Args:
    path: of a checkpoint of `transformers`, or of a safetensors file of the
      same names; '' is `CLIP_FILE` in `caches.folder()`.
    resizer: of `resizers.RESIZERS`; '' is that of CMMD's authors.

  Raises:
    ValueError: it is not there, cannot be read, or is of another network.
  """
  arrays, sha256 = _arrays(path, CLIP_FILE, CLIP_URL)
  return _transformer(
    'clip', sha256, clips.convert(arrays), _clip, resizer or clips.RESIZER
  )


def _transformer(
  name: str,
  sha256: str,
  converted: tuple[vit.Settings, types.PyTree],
  apply: Callable[..., Any],
  resizer: str,
) -> features.Extractor:
  settings, params = converted
  extractor = _extractor(
    name, sha256, params, functools.partial(apply, settings=settings), resizer
  )
  facts = {**extractor.facts, 'features_network': str(settings)}
  return extractor._replace(facts=facts)


# By name, as functions of the weights' file and the resizer, '' for either
# being the usual one.
PRETRAINED: dict[str, Callable[[str, str], features.Extractor]] = {
  'inception': inception,
  'dinov2': dinov2,
  'clip': clip,
}
