"""Makes what the tests keep of the pipeline of ADA's authors.

  python -m tests.make_augment_fixture CHECKOUT

CHECKOUT is one of https://github.com/NVlabs/stylegan2-ada-pytorch. Needs torch
and scipy, which no test does. Their pipeline draws its numbers by `torch.rand`
and `torch.randn`; here these give back, in the order of its code, what makes it
draw the numbers of `CASES`. Images are of NumPy's generator and are not kept.
"""

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

PATH = pathlib.Path(__file__).with_name('augment_fixture.npz')

Numbers = dict[str, np.ndarray]

# The height, width and channels of each case's images, and its transforms.
CASES: dict[str, tuple[tuple[int, int, int], tuple[str, ...]]] = {
  'blit': ((16, 16, 3), ('flip', 'turns', 'shift')),
  'geometry': ((16, 16, 3), ('scale', 'before', 'stretch', 'after', 'move')),
  'oblong': (
    (12, 18, 1),
    ('flip', 'turns', 'shift', 'scale', 'before', 'stretch', 'after', 'move'),
  ),
  'tint': (
    (4, 4, 3), ('brightness', 'contrast', 'luma_flip', 'hue', 'saturation')
  ),
  'grey': ((4, 4, 1), ('brightness', 'contrast', 'luma_flip')),
  'filter': ((24, 24, 3), ('gains',)),
  'noise': ((4, 4, 3), ('sigma', 'noise')),
  'hole': ((16, 16, 3), ('size', 'middle')),
}  # fmt: skip

SAMPLES = 6


def images(name: str) -> np.ndarray:
  """`[SAMPLES, H, W, C]` in [-1, 1]."""
  shape, _ = CASES[name]
  rng = np.random.default_rng(sorted(CASES).index(name))
  return rng.uniform(-1, 1, (SAMPLES, *shape)).astype(np.float32)


def numbers(name: str) -> Numbers:
  """What each sample undergoes; the last sample is left as it is."""
  (height, width, channels), transforms = CASES[name]
  rng = np.random.default_rng(100 + sorted(CASES).index(name))
  n = SAMPLES
  most = np.floor(0.125 * np.array([width, height]))
  every: dict[str, Any] = {
    'flip': lambda: np.arange(n) % 2,
    'turns': lambda: np.arange(n) % 4,
    'shift': lambda: rng.integers(-most, most + 1, (n, 2)),
    'scale': lambda: 2 ** (0.2 * rng.normal(size=n)),
    'before': lambda: rng.uniform(-np.pi, np.pi, n),
    'stretch': lambda: 2 ** (0.2 * rng.normal(size=n)),
    'after': lambda: rng.uniform(-np.pi, np.pi, n),
    'move': lambda: 0.125 * rng.normal(size=(n, 2)),
    'brightness': lambda: 0.2 * rng.normal(size=n),
    'contrast': lambda: 2 ** (0.5 * rng.normal(size=n)),
    'luma_flip': lambda: np.arange(n) % 2,
    'hue': lambda: rng.uniform(-np.pi, np.pi, n),
    'saturation': lambda: 2 ** rng.normal(size=n),
    'gains': lambda: 2 ** rng.normal(size=(n, 4)),
    'sigma': lambda: 0.1 * np.abs(rng.normal(size=n)),
    'noise': lambda: rng.normal(size=(n, channels, height, width)),
    'size': lambda: np.full(n, 0.5),
    'middle': lambda: rng.uniform(size=(n, 2)),
  }
  ones = 'scale', 'stretch', 'contrast', 'saturation', 'gains'
  made = {}
  for transform in transforms:
    own = np.asarray(every[transform](), np.float32)
    if transform not in ('noise', 'middle'):
      own[-1] = 1.0 if transform in ones else 0.0
    made[transform] = own
  return made


def _drawn(name: str) -> Iterator[np.ndarray]:
  """What the pipeline's calls give, one after another."""
  (height, width, _), _ = CASES[name]
  own = numbers(name)
  yes = np.zeros(SAMPLES)

  def log(x: np.ndarray, deviation: float) -> np.ndarray:
    return np.log2(x) / deviation

  of: dict[str, Any] = {
    'flip': lambda x: (x + 0.5) / 2,
    'turns': lambda x: (x + 0.5) / 4,
    'shift': lambda x: (x / (0.125 * np.array([width, height])) + 1) / 2,
    'scale': lambda x: log(x, 0.2),
    'before': lambda x: (x / np.pi + 1) / 2,
    'stretch': lambda x: log(x, 0.2),
    'after': lambda x: (x / np.pi + 1) / 2,
    'move': lambda x: x / 0.125,
    'brightness': lambda x: x / 0.2,
    'contrast': lambda x: log(x, 0.5),
    'luma_flip': lambda x: (x + 0.5) / 2,
    'hue': lambda x: (x / np.pi + 1) / 2,
    'saturation': lambda x: log(x, 1.0),
  }
  for transform, x in own.items():
    if transform == 'gains':
      for band in x.T:
        yield log(band, 1.0)
        yield yes
    elif transform == 'sigma':
      yield x / 0.1
      yield yes
    elif transform == 'noise':
      yield x
    elif transform == 'size':
      yield np.where(x > 0, 0.0, 2.0)
    elif transform == 'middle':
      yield x
    else:
      yield of[transform](x)
      yield yes


def _answer(name: str, module: Any, torch: Any) -> np.ndarray:
  """Of their pipeline, `[SAMPLES, H, W, C]`."""
  theirs = {
    'flip': 'xflip', 'turns': 'rotate90', 'shift': 'xint', 'before': 'rotate',
    'stretch': 'aniso', 'move': 'xfrac', 'luma_flip': 'lumaflip',
    'gains': 'imgfilter', 'sigma': 'noise', 'size': 'cutout',
  }  # fmt: skip
  skipped = 'after', 'noise', 'middle'
  transforms = [x for x in CASES[name][1] if x not in skipped]
  calls = _drawn(name)

  def give(size: list[int], **_: Any) -> Any:
    value = np.asarray(next(calls), np.float32).reshape(size[0], -1)
    shaped = value if np.prod(size) == value.size else value[:, :1]
    return torch.as_tensor(shaped).reshape(size).contiguous()

  pipe = module.AugmentPipe(**{theirs.get(x, x): 1 for x in transforms})
  own = torch.rand, torch.randn
  torch.rand = torch.randn = give
  try:
    x = torch.as_tensor(images(name)).permute(0, 3, 1, 2).contiguous()
    out = pipe(x).permute(0, 2, 3, 1).numpy()
  finally:
    torch.rand, torch.randn = own
  if next(calls, None) is not None:
    raise RuntimeError(f'{name}: it drew less than it was given')
  return np.ascontiguousarray(out, np.float32)


def main(checkout: str) -> None:
  import torch

  sys.path.insert(0, checkout)
  from training import augment

  answers = {name: _answer(name, augment, torch) for name in CASES}
  np.savez_compressed(PATH, **answers)


if __name__ == '__main__':
  main(sys.argv[1])
