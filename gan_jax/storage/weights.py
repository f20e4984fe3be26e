"""Weights on disk, as safetensors."""

import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
from flax import traverse_util
from safetensors import numpy as safetensors_numpy

from gan_jax.storage import whole


def sha256(path: pathlib.Path) -> str:
  """Of a file, 64 hexadecimal digits."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def save(
  path: pathlib.Path, tree: Mapping[str, Any], notes: Mapping[str, str]
) -> None:
  """Writes nested dictionaries of arrays, whole or not at all.

  Args:
    path: of the safetensors file; its folder is made.
    tree: names hold no '/'.
    notes: what is to be known of them.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  # Safetensors would write a transposed array's memory as it lies.
  flat = {
    name: np.asarray(array, order='C')
    for name, array in traverse_util.flatten_dict(tree, sep='/').items()
  }
  with whole.replacing(path) as part:
    # Its save_file keeps others from reading the file.
    part.write_bytes(safetensors_numpy.save(flat, dict(notes)))


def load(path: pathlib.Path) -> tuple[dict[str, Any], dict[str, str]]:
  """What `save` has written: the tree and the notes.

  Raises:
    ValueError: it is no readable safetensors file.
  """
  try:
    with safetensors.safe_open(path, 'numpy') as file:
      names = file.keys()
      flat = {name: file.get_tensor(name) for name in names}
      tree = traverse_util.unflatten_dict(flat, sep='/')
      return tree, dict(file.metadata() or {})
  except (OSError, safetensors.SafetensorError) as error:
    reason = ' '.join(str(error).split())
    raise ValueError(f'{path}: not readable weights: {reason}') from None
