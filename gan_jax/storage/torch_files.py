"""PyTorch's files, read without PyTorch and without running what they hold.

They are pickles, which can run any program when they are read. Of a state_dict
only dictionaries and tensors of numbers are admitted. A snapshot (NVIDIA's
StyleGANs, R3GAN) is a pickle of whole networks, with the source code of their
classes; here they become records of what they hold.
"""

import collections
import io
import math
import pathlib
import pickle
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from gan_jax.networks import authors

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


# What a damaged or foreign file can raise while it is read.
_UNREADABLE = (
  pickle.UnpicklingError, zipfile.BadZipFile, AttributeError, EOFError,
  IndexError, KeyError, MemoryError, NotImplementedError, OSError,
  OverflowError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


def _reason(error: Exception) -> str:
  return ' '.join(str(error).split()) or type(error).__name__


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
    # Nor more of them than it holds, which strides of 0 could ask for.
    if last >= data.size or math.prod(self.shape) > data.size:
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


def _read_legacy(file: IO[bytes]) -> Any:
  storages: dict[str, _Storage] = {}

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


def _read_path(path: pathlib.Path) -> Any:
  if zipfile.is_zipfile(path):
    return _read_zip(path)
  with path.open('rb') as file:
    return _read_legacy(file)


def read_state_dict(path: pathlib.Path) -> dict[str, np.ndarray]:
  """The tensors of a state_dict that `torch.save` has written, by name.

  Both of its formats are read; nothing in the file is run. Entries that are no
  tensors are left out. It may be an entry 'state_dict' or 'model' of what was
  written.

  Raises:
    ValueError: it is no such file, is damaged, or asks for anything but
      dictionaries and tensors of numbers.
  """
  try:
    content = _read_path(path)
    for name in ('state_dict', 'model'):
      if isinstance(content.get(name), dict):
        content = content[name]
    return {
      str(name): _Tensor.array(value)
      for name, value in content.items()
      if isinstance(value, _Tensor)
    }
  except _UNREADABLE as error:
    reason = _reason(error)
    raise ValueError(f'{path}: not a readable state_dict: {reason}') from None


class _Inert:
  """In place of an object of any class: it holds what it is given."""

  def __new__(cls, *args: Any, **kwargs: Any) -> '_Inert':
    del args, kwargs
    return super().__new__(cls)

  def __init__(self, *args: Any, **kwargs: Any) -> None:
    self.held: Any = args

  def __setstate__(self, state: Any) -> None:
    self.held = state


def _is_module(value: Any) -> bool:
  held = getattr(value, 'held', None)
  return isinstance(value, _Inert) and isinstance(held, dict)


def _modules(
  module: _Inert, prefix: str, seen: set[int]
) -> Iterator[tuple[str, dict[str, Any]]]:
  """What it and its parts hold, each after the beginning of its names."""
  if id(module) in seen:
    raise ValueError('a module is in a network twice')
  seen.add(id(module))
  yield prefix, module.held
  for name, child in module.held['_modules'].items():
    if child is not None:
      yield from _modules(child, f'{prefix}{name}.', seen)


def _saved(module: _Inert) -> authors.Saved:
  parts = list(_modules(module, '', set()))
  arrays = {
    f'{prefix}{name}': _Tensor.array(value)
    for prefix, held in parts
    for kind in ('_parameters', '_buffers')
    for name, value in held[kind].items()
    if value is not None
  }
  return authors.Saved(module.held, arrays, tuple(held for _, held in parts))


def _persistent(meta: Any) -> _Inert:
  """What the file's own function makes of an object and its source code."""
  made = _Inert()
  made.held = meta['state']
  return made


class _SnapshotUnpickler(pickle.Unpickler):
  """Admits everything, as records; calls nothing but what is written here."""

  def find_class(self, module: str, name: str) -> Any:
    """A function or a class of its own for each name."""
    found = {
      ('collections', 'OrderedDict'): collections.OrderedDict,
      ('dnnlib.util', 'EasyDict'): type('_Dict', (dict,), {}),
      # Of their own, as in `_Unpickler`, as the class above is.
      ('torch._utils', '_rebuild_tensor_v2'): lambda *args: _Tensor(*args),
      ('torch._utils', '_rebuild_parameter'): lambda data, *_: data,
      ('torch.storage', '_load_from_bytes'): lambda data: _read_legacy(
        io.BytesIO(data)
      ),
      ('torch_utils.persistence', '_reconstruct_persistent_obj'): (
        lambda meta: _persistent(meta)
      ),
    }.get((module, name))
    return found or type(name, (_Inert,), {})

  def persistent_load(self, pid: Any) -> Any:
    del pid
    raise pickle.UnpicklingError('it is a state_dict, and has no networks')


def read_snapshot(path: pathlib.Path) -> dict[str, authors.Saved]:
  """The networks in a snapshot of NVIDIA's or R3GAN's code, by name.

  Nothing in the file is run. What is no network is left out.

  Raises:
    ValueError: it is no such file, or is damaged.
  """
  try:
    if zipfile.is_zipfile(path):
      raise ValueError('it is a state_dict, and has no networks')
    with path.open('rb') as file:
      content = _SnapshotUnpickler(file).load()
    if isinstance(content, tuple):
      raise ValueError(
        "it is of TensorFlow's code; stylegan3's legacy.py converts it"
      )
    return {
      str(name): _saved(value)
      for name, value in content.items()
      if _is_module(value)
    }
  except _UNREADABLE as error:
    reason = _reason(error)
    raise ValueError(f'{path}: not a readable snapshot: {reason}') from None
