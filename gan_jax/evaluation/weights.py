"""Weights of fixed networks on disk: safetensors, and PyTorch's checkpoints.

PyTorch's are pickles, which can run any program when they are read. Here only
dictionaries and tensors of numbers are admitted, and PyTorch is not needed.
"""

import collections
import hashlib
import math
import pathlib
import pickle
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np
import safetensors
from flax import traverse_util
from safetensors import numpy as safetensors_numpy

from gan_jax.storage import whole

_DTYPES = {
  'FloatStorage': np.dtype('<f4'),
  'DoubleStorage': np.dtype('<f8'),
  'HalfStorage': np.dtype('<f2'),
  'LongStorage': np.dtype('<i8'),
  'IntStorage': np.dtype('<i4'),
  'ShortStorage': np.dtype('<i2'),
  'CharStorage': np.dtype('<i1'),
  'ByteStorage': np.dtype('<u1'),
  'BoolStorage': np.dtype('?'),
}

# How a checkpoint from before PyTorch 1.6 begins; later ones are zip files.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


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


class _Storage:
  """A tensor's numbers, which old checkpoints bring after what names them."""

  def __init__(self, dtype: np.dtype[Any], size: int) -> None:
    self.dtype = dtype
    self.size = size
    self.data: np.ndarray | None = None

  def read(self, file: IO[bytes]) -> None:
    data = file.read(self.size * self.dtype.itemsize)
    # Shorter than it should be, it is refused by its size.
    self.data = np.frombuffer(data, self.dtype, self.size)


class _Tensor:
  """A view of a storage."""

  def __init__(
    self, storage: _Storage, start: int, shape: Any, strides: Any, *_: Any
  ) -> None:
    self.storage = storage
    self.start = start
    self.shape = tuple(shape)
    self.strides = tuple(strides)

  def array(self) -> np.ndarray:
    """The numbers, after what the file says of them has been checked."""
    data = self.storage.data
    numbers = (self.start, *self.shape, *self.strides)
    if (
      not isinstance(data, np.ndarray)
      or not all(isinstance(n, int) and n >= 0 for n in numbers)
      or len(self.shape) != len(self.strides)
    ):
      raise ValueError('a tensor with an invalid shape or stride')
    if math.prod(self.shape) == 0:
      return np.zeros(self.shape, data.dtype)
    spans = zip(self.shape, self.strides, strict=True)
    last = self.start + sum((n - 1) * stride for n, stride in spans)
    if last >= data.size:
      raise ValueError('a tensor that goes beyond its storage')
    view = np.lib.stride_tricks.as_strided(
      data[self.start :],
      self.shape,
      [stride * data.itemsize for stride in self.strides],
      writeable=False,
    )
    return view.copy()


class _Unpickler(pickle.Unpickler):
  """Admits dictionaries and tensors, and calls nothing else."""

  def __init__(
    self, file: IO[bytes], storage: Callable[[str, _Storage], _Storage]
  ) -> None:
    # Strings of Python 2 are names here.
    super().__init__(file, encoding='utf-8')
    self._storage = storage

  def find_class(self, module: str, name: str) -> Any:
    """What a name in the pickle stands for; others raise UnpicklingError."""
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
      # A function of its own: a pickle may set attributes of what it is given.
      return lambda *args: _Tensor(*args)
    if module == 'torch' and name in _DTYPES:
      return _DTYPES[name]
    raise pickle.UnpicklingError(f'it asks for {module}.{name}')

  def persistent_load(self, pid: Any) -> _Storage:
    kind, dtype, key, _, size, *view = pid
    if kind != 'storage' or not isinstance(dtype, np.dtype) or any(view):
      raise pickle.UnpicklingError('it has storages of an unknown kind')
    return self._storage(str(key), _Storage(dtype, int(size)))


def _read_zip(path: pathlib.Path) -> Any:
  with zipfile.ZipFile(path) as archive:
    names = archive.namelist()
    (pickled,) = (n for n in names if n.split('/')[1:] == ['data.pkl'])
    folder = pickled.removesuffix('data.pkl')
    order = f'{folder}byteorder'
    if order in names and archive.read(order) != b'little':
      raise ValueError('its numbers are big-endian')
    storages: dict[str, _Storage] = {}

    def storage(key: str, new: _Storage) -> _Storage:
      if key not in storages:
        with archive.open(f'{folder}data/{key}') as file:
          new.read(file)
        storages[key] = new
      return storages[key]

    with archive.open(pickled) as file:
      return _Unpickler(file, storage).load()


def _read_legacy(path: pathlib.Path) -> Any:
  storages: dict[str, _Storage] = {}
  with path.open('rb') as file:

    def load() -> Any:
      return _Unpickler(file, storages.setdefault).load()

    if load() != _LEGACY_MAGIC or load() != _LEGACY_PROTOCOL:
      raise ValueError('it is no checkpoint of PyTorch')
    if load().get('little_endian') is not True:
      raise ValueError('its numbers are big-endian')
    content = load()
    for key in load():
      if int.from_bytes(file.read(8), 'little') != storages[key].size:
        raise ValueError('a storage has another size than its tensors say')
      storages[key].read(file)
  return content


def read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
  """The tensors of a state_dict that `torch.save` has written, by name.

  Both of its formats are read; nothing in the file is run. Entries that are no
  tensors are left out.

  Raises:
    ValueError: it is no such file, is damaged, or asks for anything but
      dictionaries and tensors of numbers.
  """
  try:
    is_zip = zipfile.is_zipfile(path)
    content = _read_zip(path) if is_zip else _read_legacy(path)
    return {
      str(name): _Tensor.array(value)
      for name, value in content.items()
      if isinstance(value, _Tensor)
    }
  except (
    pickle.UnpicklingError, zipfile.BadZipFile, AttributeError, EOFError,
    IndexError, KeyError, MemoryError, NotImplementedError, OSError,
    OverflowError, RuntimeError, TypeError, ValueError,
  ) as error:  # fmt: skip
    reason = ' '.join(str(error).split())
    raise ValueError(f'{path}: not a readable state_dict: {reason}') from None
