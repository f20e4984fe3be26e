"""BigGAN and BigGAN-deep as ajbrock/BigGAN-PyTorch saves them, and its SAGAN.

Its training saves the state_dict of each network in a file of its own. That
does not say how the network was made, so our settings have to; what the arrays
do say is compared with them.
"""

from collections.abc import Callable, Collection, Iterable

import numpy as np

from gan_jax import types
from gan_jax.networks import (
  authors,
  biggan,
  biggan_deep,
  conditional,
  residual,
)

NETWORKS = 'biggan', 'biggan_deep'

Settings = biggan.Settings

# The side of what G's first layer makes.
_LOWEST = 4
_CONVS = {
  'biggan': ('conv1', 'conv2', 'conv_sc'),
  'biggan_deep': ('conv1', 'conv2', 'conv3', 'conv4', 'conv_sc'),
}
_ATTENTION = {'query': 'theta', 'key': 'phi', 'value': 'g', 'out': 'o'}
# Of which every G has one.
_LAST, _BY_CLASS = 'output_layer.2.weight', 'blocks.0.0.bn1.gain.weight'
# Of --cross_replica, of --mybn and of neither: what is before the names of
# running statistics.
_SYNCHRONISED = 'bn.running_'
_STATISTICS = 'stored_', 'bn.stored_', _SYNCHRONISED
# Of --mybn: of how many batches its statistics are sums; 0 for averages.
_COUNTER = 'accumulation_counter'
# The last singular values, which nothing there reads, and counters.
_SPARE = '.sv0', f'.{_COUNTER}', '.num_batches_tracked'


def layout(
  settings: Settings, size: int, names: Iterable[str] = ()
) -> authors.Layout:
  """Of one network; spectral normalisation's u is a leaf below its weight.

  Args:
    settings: by whose class the network and the player are known.
    size: the side of the images.
    names: of its arrays, by which G's kind of batch normalisation is known;
      without any it is PyTorch's.

  Raises:
    ValueError: there are no images of that side, or no block makes the
      resolution of attention.
  """
  network, of_disc = _network(settings), _is_disc(settings)
  place, attention = _places(settings, size)
  statistics = _statistics(set(names))
  layers = {
    'Dense_0': 'linear',
    'Conv_0': 'input_conv' if of_disc else 'output_layer.2',
    'Projection_0': 'embed',
  }

  def in_block(path: authors.Path) -> str:
    part, _, index = path[0].rpartition('_')
    if part == 'Conv':
      conv = _CONVS[network][int(index)]
      return f'{conv}.{"bias" if path[-1] == "bias" else "weight"}'
    norm = f'bn{int(index) + 1}'
    if path[-1] in ('mean', 'var'):
      return f'{norm}.{statistics}{path[-1]}'
    return f'{norm}.{path[1]}.weight'

  def name(path: authors.Path) -> str:
    first, *inner, leaf = path
    kind, _, number = first.rpartition('_')
    if leaf == 'u':
      return name(path[:-1]).removesuffix('weight') + 'u0'
    if kind == 'Block':
      return f'{place(int(number))}.{in_block(path[1:])}'
    if kind == 'SelfAttention':
      own = [f'{_ATTENTION[part]}.weight' for part in inner] or [leaf]
      return f'{attention}.{own[0]}'
    if kind == 'BatchNorm':
      affine = {'scale': 'gain', 'bias': 'bias'}
      return f'output_layer.0.{affine.get(leaf, statistics + leaf)}'
    end = 'bias' if leaf == 'bias' else 'weight'
    return f'{layers.get(first, first)}.{end}'

  def array(path: authors.Path, x: np.ndarray) -> np.ndarray:
    if x.ndim == 4:
      return x.transpose(2, 3, 1, 0)
    if path[-1] == 'u':
      x = x.reshape(-1)
    pixels = _LOWEST**2
    first = path[0] == 'Dense_0' and not of_disc
    if first and x.ndim and len(x) % pixels == 0:
      # Rows are of [C, 4, 4] there.
      rows = x.reshape(-1, pixels, *x.shape[1:])
      x = np.moveaxis(rows, 0, 1).reshape(x.shape)
    return x.T if path[-1] == 'kernel' else x

  return authors.Layout(name, array, _SPARE)


def _network(settings: Settings) -> str:
  deep = isinstance(settings, biggan_deep.Settings)
  return 'biggan_deep' if deep else 'biggan'


def _is_disc(settings: Settings) -> bool:
  return isinstance(settings, conditional.DiscSettings)


def _depth(settings: Settings) -> int:
  return settings.depth if isinstance(settings, biggan_deep.Settings) else 1


def _places(settings: Settings, size: int) -> tuple[Callable[[int], str], str]:
  """The name of each block, by its number, and that of attention.

  It is the last of its stage. G's list is of blocks, D's of stages.
  """
  network, depth = _network(settings), _depth(settings)
  plan = residual.choose(network, biggan.PLANS, (size, size, 3))
  side = settings.attention
  if _is_disc(settings):
    sides = plan.sides_down(size)
    residual.check_attention('disc.net.attention', side, sides)
    stage = sides.index(side) if side else 0
    return (
      lambda i: 'blocks.{}.{}'.format(*divmod(i, depth)),
      f'blocks.{stage}.{depth}',
    )
  sides = plan.sides_up(size)
  residual.check_attention('gen.net.attention', side, sides)
  stage = sides.index(side) if side else 0
  return 'blocks.{}.0'.format, f'blocks.{(stage + 1) * depth - 1}.1'


def _statistics(names: Collection[str]) -> str:
  found = [x for x in _STATISTICS if f'output_layer.0.{x}mean' in names]
  return found[0] if found else _STATISTICS[0]


def shape_of(gen: Settings, arrays: authors.Arrays) -> tuple[int, int, int]:
  """Of one image of a G, `(H, W, C)`.

  Args:
    gen: its settings.
    arrays: its state_dict.

  Raises:
    ValueError: the arrays are of another kind of network, or of no G.
  """
  for name in (_LAST, _BY_CLASS):
    if name not in arrays:
      raise ValueError(f'it has no {name}, which every G of that code has')
  network, depth = _network(gen), _depth(gen)
  other = 'biggan_deep' if 'blocks.0.0.conv4.weight' in arrays else 'biggan'
  if other != network:
    raise ValueError(
      f'gen.name={network}: its arrays are those of {other}; set '
      f'gen.name={other}'
    )
  blocks = {name.split('.')[1] for name in arrays if name.startswith('blocks.')}
  if len(blocks) % depth:
    raise ValueError(
      f'gen.net.depth={depth}: it has {len(blocks)} blocks, of which this is '
      'no divisor'
    )
  # Each stage doubles the sides.
  size = _LOWEST << len(blocks) // depth
  return size, size, len(arrays[_LAST])


def recognise(
  gen: Settings,
  arrays: authors.Arrays,
  disc: Settings | None,
  latent_dim: int,
) -> authors.Model:
  """The networks of settings, with what G's arrays say of images and classes.

  Args:
    gen: settings of G, of BigGAN or BigGAN-deep.
    arrays: of G.
    disc: settings of a D of the same kind; None where there is none.
    latent_dim: of z.

  Raises:
    ValueError: as `shape_of` and `layout` do.
  """
  shape, names = shape_of(gen, arrays), tuple(arrays)
  size = shape[0]
  return authors.Model(
    _network(gen),
    latent_dim,
    # Without an embedding that blocks share, each has rows of its own.
    classes=len(arrays.get('shared.weight', arrays[_BY_CLASS])),
    shape=shape,
    gen=gen,
    disc=disc,
    layouts=types.Pair(
      layout(gen, size, names), layout(disc, size) if disc else None
    ),
    ignored={},
  )


def settled(arrays: authors.Arrays) -> authors.Arrays:
  """With standing statistics (Brock et al. 2019) as averages.

  --mybn keeps them as sums over batches, and how many these were.
  """
  found = dict(arrays)
  for name, count in arrays.items():
    if name.endswith(_COUNTER) and np.any(count):
      for statistic in ('stored_mean', 'stored_var'):
        own = name.removesuffix(_COUNTER) + statistic
        if own in found:
          found[own] = found[own] / count
  return found


def remarks(arrays: authors.Arrays) -> list[str]:
  """What of G is not as it is there, a line for each."""
  told = []
  if any(name.endswith('.sv0') for name in arrays):
    told.append('left out: sv0; sigma is computed of u0 and the weights')
  counts = [x for name, x in arrays.items() if name.endswith(_COUNTER)]
  if any(map(np.any, counts)):
    told.append('standing statistics, sums there, are averages here')
  if _statistics(arrays.keys()) == _SYNCHRONISED:
    told.append(
      'made with --cross_replica, where that code adds gains in evaluation; '
      'here they multiply, as there in training'
    )
  return told
