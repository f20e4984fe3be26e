"""Convolutions by oneDNN, the library that PyTorch convolves with on CPU.

jaxlib's wheels for x86-64 Linux contain it, and XLA does not use it on its own;
a custom call by the right name reaches it. It is three times as fast as Eigen
for grouped convolutions, and no faster for others. The call is not documented,
so:

- it is used only with those versions of jaxlib that it was tried with: a
  description that oneDNN does not accept ends the process;
- a program with such a call must not be stored: XLA's cache cannot serialise
  oneDNN calls (see `engine/compiler.py`);
- XLA cannot split it over devices.
"""

import contextlib
import json
import platform
import sys
from collections.abc import Sequence

import jax
import jaxlib.version

# That of XLA's `OneDnnOpThunk`.
TARGET = '__onednn$convolution'

_TRIED = '0.10.2', '0.12.0.1'

_allowed = jax.make_user_context(False)  # Part of the key of jit's cache.


def allowed() -> contextlib.AbstractContextManager[None]:
  """A context in which traced code may call it, where it is there.

  For a program on one device that is not stored.
  """
  there = sys.platform == 'linux' and platform.machine() == 'x86_64'
  return _allowed(there and jaxlib.version.__version__ in _TRIED)


def is_allowed() -> bool:
  """Whether within `allowed()`, and it is there."""
  value: bool = _allowed.value
  return value


def convolution(
  x: jax.Array,
  kernel: jax.Array,
  *,
  shape: Sequence[int],
  strides: Sequence[int],
  padding: Sequence[tuple[int, int]],
  groups: int,
) -> jax.Array:
  """As `lax.conv_general_dilated`, on CPU alone and without derivatives.

  Args:
    x: images, [N, H, W, I], float32.
    kernel: [KH, KW, I / groups, O], float32.
    shape: of the result, [N, OH, OW, O].
    strides: rows and columns from one window to the next.
    padding: ((top, bottom), (left, right)), none negative.
    groups: blocks of channels with their own weights.
  """
  images = {
    'dims': 4,
    'data': {'batch_dim': 0, 'feature_dim': 3, 'spatial_dims': [1, 2]},
  }
  filter = {
    'input_feature_dim': 2,
    'output_feature_dim': 3,
    'spatial_dims': [0, 1],
  }
  # XLA's `OneDnnConvolutionConfig`.
  config = {
    'dims': 4,
    'input': images,
    'kernel': {'dims': 4, 'filter': filter},
    'output': images,
    'window': {
      'size': kernel.shape[:2],
      'pad_left': [low for low, _ in padding],
      'pad_right': [high for _, high in padding],
      'strides': strides,
      'window_dilations': [1, 1],
    },
    'feature_groups': groups,
  }
  call = jax.ffi.ffi_call(
    TARGET,
    jax.ShapeDtypeStruct(shape, x.dtype),
    custom_call_api_version=2,  # Its description is a text of any kind.
    legacy_backend_config=json.dumps({'onednn_conv_config': config}),
  )
  y: jax.Array = call(x, kernel)
  return y
