"""The arrays of a checkpoint, each taken by its name and in its shape."""

from collections.abc import Mapping, Sequence

import numpy as np

from gan_jax import types


class Reader:
  """Takes a checkpoint's arrays by name, each in the shape it must have.

  Attributes:
    left: names that nobody has taken.
  """

  def __init__(self, arrays: Mapping[str, np.ndarray], network: str):
    """Keeps the arrays; checks happen in `take`.

    Args:
      arrays: by name, as PyTorch has them.
      network: what they should be of, for messages.
    """
    self._arrays, self._network = arrays, network
    self.left = set(arrays)

  def take(self, name: str, shape: Sequence[int | None]) -> np.ndarray:
    """One array, float32; None stands for any length.

    Raises:
      ValueError: there is none, or it has another shape.
    """
    if name not in self._arrays:
      raise ValueError(
        f'weights: there is no {name}; they are not of {self._network}'
      )
    array = self._arrays[name]
    fits = array.ndim == len(shape) and all(
      wanted in (None, found)
      for wanted, found in zip(shape, array.shape, strict=True)
    )
    if not fits:
      words = ['any' if n is None else str(n) for n in shape]
      raise ValueError(
        f'weights: {name} has shape {list(array.shape)} instead of '
        f'[{", ".join(words)}]'
      )
    self.left.discard(name)
    return np.asarray(array, np.float32)

  def norm(self, name: str, width: int) -> types.PyTree:
    """Layer normalisation."""
    scale, bias = (
      self.take(f'{name}.{part}', [width]) for part in ('weight', 'bias')
    )
    return {'scale': scale, 'bias': bias}

  def dense(self, name: str, old: int, new: int) -> types.PyTree:
    """A linear layer."""
    kernel = self.take(f'{name}.weight', [new, old]).T
    return {'kernel': kernel, 'bias': self.take(f'{name}.bias', [new])}

  def transformer(self, name: str, width: int) -> dict[str, types.PyTree]:
    """A block's norms, attention and perceptron, by the names of timm."""
    return {
      'norm1': self.norm(f'{name}.norm1', width),
      'qkv': self.dense(f'{name}.attn.qkv', width, 3 * width),
      'proj': self.dense(f'{name}.attn.proj', width, width),
      'norm2': self.norm(f'{name}.norm2', width),
      'fc1': self.dense(f'{name}.mlp.fc1', width, 4 * width),
      'fc2': self.dense(f'{name}.mlp.fc2', 4 * width, width),
    }

  def patches(self, name: str, width: int) -> np.ndarray:
    """The convolution that makes tokens, as a product: `[P * P * 3, width]`."""
    kernel = self.take(f'{name}.weight', [width, 3, None, None])
    return kernel.transpose(2, 3, 1, 0).reshape(-1, width)

  def depth(self, prefix: str) -> int:
    """How many blocks there are, of names such as 'blocks.3.norm1.bias'."""
    names = [n for n in self._arrays if n.startswith(prefix)]
    found = {n.removeprefix(prefix).partition('.')[0] for n in names}
    return max(1, len(found))

  def convolution(
    self, name: str, norm: str, shape: Sequence[int | None], epsilon: float
  ) -> types.PyTree:
    """A convolution and the batch normalisation after it, as one.

    Args:
      name: of the convolution, which has no bias.
      norm: of the normalisation.
      shape: `[O, I, H, W]` of the kernel.
      epsilon: of the normalisation.

    Returns:
      A kernel `[H, W, I, O]` and a bias `[O]`.
    """
    weight = self.take(f'{name}.weight', shape)
    gamma, beta, mean, variance = (
      np.asarray(self.take(f'{norm}.{part}', weight.shape[:1]), np.float64)
      for part in ('weight', 'bias', 'running_mean', 'running_var')
    )
    scale = gamma / np.sqrt(variance + epsilon)
    kernel = (weight * scale[:, None, None, None]).transpose(2, 3, 1, 0)
    return {
      'kernel': kernel.astype(np.float32),
      'bias': (beta - mean * scale).astype(np.float32),
    }

  def check_left(self, *without: str) -> None:
    """Refuses arrays that nobody has taken.

    Args:
      *without: how names begin that need not be taken.

    Raises:
      ValueError: there is another.
    """
    strange = {name for name in self.left if not name.startswith(without)}
    if strange:
      raise ValueError(
        f'weights: {min(strange)} is of another network than {self._network}'
      )
