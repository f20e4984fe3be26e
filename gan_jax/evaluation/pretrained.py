"""Networks whose weights are read from a file that is not ours to bring."""

import contextlib
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax

from gan_jax import cache as caches, types
from gan_jax.evaluation import features, inception as inceptions, weights

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
    {'features_resizer': resizer},
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
    params, origin = inceptions.convert(weights.read_torch(source)), digest
    # Where nothing can be written, it is converted each time.
    with contextlib.suppress(OSError):
      weights.save(converted, params, {'sha256': origin, 'name': source.name})
  if not origin:
    raise ValueError(
      f'{converted}: it does not say of which checkpoint it was made; remove it'
      f', and download {INCEPTION_FILE} from {INCEPTION_URL}'
    )
  # Of the checkpoint, by which others know these weights.
  return _extractor(
    'inception', origin, params, _inception, resizer or inceptions.RESIZER
  )


# By name, as functions of the weights' file and the resizer, '' for either
# being the usual one.
PRETRAINED: dict[str, Callable[[str, str], features.Extractor]] = {
  'inception': inception,
}
