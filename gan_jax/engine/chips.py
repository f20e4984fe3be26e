"""What accelerators can do at most, as their makers publish it."""

import math
import re
from typing import Any, NamedTuple

from gan_jax.engine import hlo


class Chip(NamedTuple):
  """A chip as JAX's single device.

  Attributes:
    name: as in `--topology=NAME:SHAPE`.
    flops: operations a second of bfloat16 products.
    memory: bytes of HBM.
    bandwidth: bytes a second to HBM.
    links: bytes a second that it sends to its neighbours, over all its links.
    shapes: of its pods, from the smallest to the largest; of pods with three
      dimensions there are larger ones.
    most: chips of the largest pod.
    source: where these figures are.
  """

  name: str
  flops: float
  memory: float
  bandwidth: float
  links: float
  shapes: tuple[str, ...]
  most: int
  source: str


_FLAT = ('1x1', '2x2', '2x4', '4x4', '4x8', '8x8', '8x16', '16x16')
_DEEP = (
  '1x1x1', '2x2x1', '2x2x2', '2x2x4', '2x4x4', '4x4x4', '4x4x8', '4x8x8',
)  # fmt: skip
_PAGE = 'https://cloud.google.com/tpu/docs/'

# Links: of v5e and v6e half of 'bidirectional interconnect bandwidth per chip',
# of v5p the 4,800 Gbit/s of its page, of v4 the all-reduce bandwidth of a pod
# (1.1 PB/s) by its 4,096 chips; 51.2 TB/s by 256 gives that of v5e again.
CHIPS = {
  chip.name: chip
  for chip in (
    Chip('v4', 275e12, 32 * 2**30, 1200e9, 269e9, _DEEP, 4096, _PAGE + 'v4'),
    Chip('v5e', 197e12, 16 * 2**30, 819e9, 200e9, _FLAT, 256, _PAGE + 'v5e'),
    Chip('v5p', 459e12, 95 * 2**30, 2765e9, 600e9, _DEEP, 8960, _PAGE + 'v5p'),
    Chip('v6e', 918e12, 32 * 2**30, 1638e9, 400e9, _FLAT, 256, _PAGE + 'v6e'),
  )
}

# Without hardware: this machine's CPU compiles, for a GPU it is only lowered.
OTHERS = ('cpu', 'cuda')

# Products of bfloat16 that stand for one of float32, by `matmul_precision`.
PASSES = {'default': 1, 'high': 3, 'highest': 6}

# What one step from chip to chip takes at least, however little is sent
# (Austin et al. 2025, "How to scale your model", part 3).
HOP_SECONDS = 1e-6


class Topology(NamedTuple):
  """`v5e:4x4` taken apart; of a CPU or a GPU the chip alone, with no shape."""

  chip: str
  shape: tuple[int, ...] = ()

  @property
  def num_chips(self) -> int:
    """Chips."""
    return math.prod(self.shape)

  def __str__(self) -> str:
    shape = 'x'.join(map(str, self.shape))
    return f'{self.chip}:{shape}' if shape else self.chip


def parse(text: str) -> Topology:
  """A topology by its name.

  Raises:
    ValueError: there is no such chip, or none of its pods has that shape.
  """
  name, _, shape = text.partition(':')
  if text in OTHERS:
    return Topology(text)
  if name not in CHIPS:
    raise ValueError(
      f'--topology={text}: there are {", ".join([*CHIPS, *OTHERS])}, as in '
      'v5e:4x4'
    )
  chip = CHIPS[name]
  # libtpu has these, and can crash at others.
  known = ', '.join(chip.shapes)
  if chip.shapes is _DEEP:
    known += f' and those of sides that 4 divides, up to {chip.most:,} chips'
  sizes = tuple(int(n) for n in re.findall(r'[0-9]+', shape))
  if shape not in chip.shapes and not _is_larger(chip, shape, sizes):
    raise ValueError(f'--topology={text}: there are {name}:{known}')
  return Topology(name, sizes)


def _is_larger(chip: Chip, shape: str, sizes: tuple[int, ...]) -> bool:
  """Whether a shape is none of those listed, and libtpu has it too."""
  if chip.shapes is not _DEEP or shape != 'x'.join(map(str, sizes)):
    return False
  if len(sizes) != 3 or any(n % 4 for n in sizes):
    return False
  return 0 < math.prod(sizes) <= chip.most


def of_count(name: str, count: int) -> Topology:
  """The smallest known pod of a chip with so many of them.

  Raises:
    ValueError: none has that number.
  """
  shapes = [parse(f'{name}:{shape}') for shape in CHIPS[name].shapes]
  for topology in shapes:
    if topology.num_chips == count:
      return topology
  there = ', '.join(str(topology.num_chips) for topology in shapes)
  raise ValueError(f'--chips={count}: of {name} there are pods of {there}')


class Roofline(NamedTuple):
  """The least time of a step, were every peak reached and all overlapped.

  Attributes:
    arithmetic: seconds of its products.
    memory: seconds of its traffic to HBM.
    links: seconds of its collectives.
  """

  arithmetic: float
  memory: float
  links: float

  @property
  def seconds(self) -> float:
    return max(self)

  @property
  def bound(self) -> str:
    """Which of them takes longest."""
    return max(self._fields, key=lambda name: getattr(self, name))

  def to_json(self, samples: int) -> dict[str, Any]:
    """With samples a second, and the share of the peak that it could reach."""
    return {
      'seconds': self._asdict(),
      'step_seconds': self.seconds,
      'bound': self.bound,
      'samples_per_second': samples / self.seconds,
      'share_of_peak': self.arithmetic / self.seconds,
    }


def roofline(
  topology: Topology,
  flops: float,
  num_bytes: float,
  exchanges: list[hlo.Collective],
  passes: int,
) -> Roofline:
  """Of a step on one of the chips of a pod.

  A collective sends each byte once around a ring in each direction, an
  all-reduce twice, over all links at once, and takes a hop for each chip of
  half of each side.

  Args:
    topology: of TPUs.
    flops: operations of a chip.
    num_bytes: that it reads and writes.
    exchanges: its collectives, all of a kind as one.
    passes: products of bfloat16 that stand for one of its products.
  """
  chip = CHIPS[topology.chip]
  count = topology.num_chips
  links = 0.0
  for each in exchanges:
    rounds = 2 if each.kind == 'all-reduce' else 1
    sent = rounds * each.num_bytes * (count - 1) / count / chip.links
    # Around a ring, half of it each way.
    hops = sum(-(-side // 2) for side in topology.shape if side > 1)
    links += max(sent, rounds * each.num * hops * HOP_SECONDS)
  return Roofline(
    flops * passes / chip.flops,
    num_bytes / chip.bandwidth,
    links,
  )
