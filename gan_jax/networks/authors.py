"""Networks as their authors' code has them, and their arrays in our trees.

For each architecture: what the arguments of the authors' classes are in our
settings, and under which name and in which order of axes an array of ours is in
their state_dict. The parity tests of a network fill it by this module.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from gan_jax import types
from gan_jax.networks import alias_free, r3gan, stylegan2, stylegan3

# A leaf of ours, by its names in the tree.
Path = tuple[str, ...]
Arrays = Mapping[str, np.ndarray]


class Layout(NamedTuple):
  """Where the arrays of a network of ours are in its authors' state_dict.

  Attributes:
    name: of a leaf there.
    array: that array, in our order of axes.
    spare: ends of names that nothing here takes: buffers that never change.
    constant: what such a buffer must be, by its name; None can be anything.
  """

  name: Callable[[Path], str]
  array: Callable[[Path, np.ndarray], np.ndarray]
  spare: tuple[str, ...] = ()
  constant: Callable[[str], np.ndarray | None] = lambda name: None


class Saved(NamedTuple):
  """A network of a snapshot.

  Attributes:
    attributes: of its authors' class, by their names.
    arrays: its state_dict.
    parts: attributes of all modules in it, itself included.
  """

  attributes: Mapping[str, Any]
  arrays: Arrays
  parts: tuple[Mapping[str, Any], ...] = ()


class Model(NamedTuple):
  """A generator and its discriminator.

  Attributes:
    network: its file in networks/.
    latent_dim: of z.
    classes: 0 for none.
    shape: of one image, `(H, W, C)`.
    gen: settings of the network.
    disc: settings; None where there is none.
    layouts: of both players.
    ignored: arguments that have no counterpart here, as they were given.
  """

  network: str
  latent_dim: int
  classes: int
  shape: tuple[int, int, int]
  gen: Any
  disc: Any
  layouts: types.Pair
  ignored: Mapping[str, Any]


def fill(tree: types.PyTree, layout: Layout, arrays: Arrays) -> types.PyTree:
  """The authors' arrays in a tree of ours.

  Args:
    tree: nested dictionaries of arrays or their shapes.
    layout: of the network.
    arrays: by the names of `layout`.

  Returns:
    The tree with numpy arrays of its own types.

  Raises:
    ValueError: an array is missing or has another shape.
  """
  filled = {}
  for path, leaf in traverse_util.flatten_dict(tree).items():
    name = layout.name(path)
    if name not in arrays:
      raise ValueError(f'it has no {name}, for {"/".join(path)} here')
    array = layout.array(path, arrays[name])
    if array.shape != leaf.shape:
      raise ValueError(
        f'{name} is {list(array.shape)} there, and {"/".join(path)} '
        f'{list(leaf.shape)} here'
      )
    filled[path] = np.asarray(array, leaf.dtype)
  found: types.PyTree = traverse_util.unflatten_dict(filled)
  return found


def unused(
  trees: Iterable[types.PyTree], layout: Layout, arrays: Arrays
) -> list[str]:
  """Names of arrays that none of the trees takes and that are not spare."""
  taken = {
    layout.name(path)
    for tree in trees
    for path in traverse_util.flatten_dict(tree)
  }
  return [
    name
    for name in arrays
    if name not in taken and not name.endswith(layout.spare)
  ]


def check_constants(layout: Layout, arrays: Arrays) -> None:
  """Raises ValueError where a buffer is not what our code has in its place."""
  for name, found in arrays.items():
    wanted = layout.constant(name) if name.endswith(layout.spare) else None
    if wanted is None:
      continue
    if found.shape != wanted.shape or not np.allclose(found, wanted, atol=1e-6):
      raise ValueError(f'{name} is not what the network has here')


class _Arguments:
  """What a class was made with; each is asked for once."""

  def __init__(self, owner: str, given: Mapping[str, Any]) -> None:
    self._owner = owner
    self._left = dict(given)
    self.ignored: dict[str, Any] = {}

  @classmethod
  def of(cls, owner: str, saved: Saved) -> '_Arguments':
    """Those that NVIDIA's classes note of themselves.

    Raises:
      ValueError: it notes none, or has some without names.
    """
    if '_init_kwargs' not in saved.attributes:
      raise ValueError(
        f'{owner} does not say how it was made, as the other does'
      )
    if saved.attributes.get('_init_args'):
      raise ValueError(f'{owner} was made with arguments that have no names')
    return cls(owner, saved.attributes['_init_kwargs'])

  def take(self, name: str, default: Any = None) -> Any:
    """An argument, or its default where it was not given."""
    return self._left.pop(name, default)

  def count(self, name: str, least: int, most: int) -> int:
    """A whole number; raises ValueError for anything else."""
    value: int = self.take(name)
    _check_count(f'{self._owner} was made with {name}', value, least, most)
    return value

  def nested(self, name: str) -> '_Arguments':
    """Arguments that are handed on to a part."""
    return _Arguments(f'{self._owner}.{name}', self.take(name, {}))

  def join(self, name: str) -> None:
    """The same, of a part whose arguments have names of their own."""
    self._left |= self.take(name, {})

  def expect(self, **expected: Any) -> None:
    """Raises ValueError for an argument that has another value.

    None is none of them: the authors' code then takes the usual value.
    """
    for name, value in expected.items():
      given = self.take(name)
      given = list(given) if isinstance(given, tuple) else given
      if given is not None and given != value:
        raise ValueError(
          f'{self._owner} was made with {name}={given!r}; the network here is '
          f'that of {value!r}'
        )

  def drop(self, *names: str) -> None:
    """Of arguments that say nothing, or nothing more."""
    for name in names:
      self.take(name)

  def ignore(self, *names: str) -> None:
    """Of arguments that change later training alone."""
    for name in names:
      if value := self.take(name):
        self.ignored[f'{self._owner}.{name}'] = value

  def end(self) -> dict[str, Any]:
    """What was ignored; raises ValueError for what nothing has asked for."""
    if self._left:
      raise ValueError(
        f'{self._owner} was made with {", ".join(sorted(self._left))}, which '
        'is not known here'
      )
    return self.ignored


def _check_count(what: str, value: Any, least: int, most: int) -> None:
  if not isinstance(value, int) or not least <= value <= most:
    raise ValueError(f'{what}={value!r}: must be {least} to {most:,}')


def _precision(owner: str, saved: Saved) -> dict[str, Any]:
  """Of its modules, what nothing does here."""
  found: dict[str, Any] = {}
  for part in saved.parts:
    if part.get('use_fp16'):
      found[f'{owner}.use_fp16'] = True
    kind = getattr(part.get('DataType'), '__name__', 'float32')
    if kind != 'float32':
      found[f'{owner}.DataType'] = kind
  return found


def _clamp(saved: Saved) -> float | None:
  """Of its convolutions, as they are and not as they were asked for."""
  found = (part.get('conv_clamp') for part in saved.parts)
  return next((clamp for clamp in found if clamp is not None), None)


def recognise(gen: Saved, disc: Saved | None) -> Model:
  """Which architecture a snapshot is of, and how it was made.

  Args:
    gen: the generator.
    disc: the discriminator; None where there is none.

  Raises:
    ValueError: it is of no architecture that is known, or was made in a way
      that ours cannot be.
  """
  for first, make in (
    ('synthesis.input.freqs', _stylegan3),
    ('synthesis.b4.const', _stylegan2),
    ('Model.MainLayers.0.Layers.0.Basis', _r3gan),
  ):
    if first in gen.arrays:
      return make(gen, disc)
  raise ValueError(
    'G is no StyleGAN2, StyleGAN3 or R3GAN: its arrays are '
    f'{", ".join(list(gen.arrays)[:3]) or "none"}, and so on'
  )


# StyleGAN2 (NVlabs/stylegan2-ada-pytorch and NVlabs/stylegan3).

_ORDINARY = {'activation': 'lrelu', 'resample_filter': [1, 3, 3, 1]}
# What is read off the modules themselves (`_precision`), and what is of speed.
_IGNORED = (
  'num_fp16_res', 'conv_clamp', 'fp16_channels_last', 'fused_modconv_default',
)  # fmt: skip
# A group of the minibatch standard deviation that no batch fills.
_WHOLE_BATCH = 2**16


def _stylegan2_name(path: Path) -> str:
  if path == ('w',):
    return 'mapping.w_avg'
  return '.'.join(path).replace('kernel', 'weight')


def _stylegan2_array(path: Path, x: np.ndarray) -> np.ndarray:
  if path[-1] == 'const':
    return x.transpose(1, 2, 0)
  if path == ('b4', 'fc', 'kernel'):  # Of [C, 4, 4], flattened.
    pixels = x.reshape(len(x), -1, 4, 4).transpose(2, 3, 1, 0)
    return pixels.reshape(-1, len(x))
  if x.ndim < 4:
    return x.T
  # What convolves upwards is turned.
  turned = path[0] == 'synthesis' and path[-2] == 'conv0'
  kernel = x.transpose(2, 3, 1, 0)
  return kernel[::-1, ::-1] if turned else kernel


# The filter of ops/resample.py in the plane.
_RESAMPLING = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def _stylegan2_constant(name: str) -> np.ndarray | None:
  """Noise that is the same in all images is not of this code."""
  return _RESAMPLING if name.endswith('resample_filter') else None


STYLEGAN2 = Layout(
  _stylegan2_name,
  _stylegan2_array,
  ('resample_filter', 'noise_const'),
  _stylegan2_constant,
)


def _stylegan2(gen: Saved, disc: Saved | None) -> Model:
  given = _Arguments.of('G', gen)
  given.join('synthesis_kwargs')
  mapping = given.nested('mapping_kwargs')
  settings = stylegan2.GenSettings(
    width=given.take('channel_max', 512),
    channel_base=given.take('channel_base', 32768),
    w_dim=given.take('w_dim'),
    depth=mapping.take('num_layers', 8),
    mapping_rate=mapping.take('lr_multiplier', 0.01),
    architecture=given.take('architecture', 'skip'),
    clamp=_clamp(gen),
  )
  latent_dim, classes, shape = _sizes(given)
  given.expect(**_ORDINARY, use_noise=True)
  given.drop(*_IGNORED)
  mapping.expect(**_of_mapping(settings.w_dim))
  mapping.ignore('w_avg_beta')
  settings_of_disc, ignored = _style_disc(disc, classes, shape)
  ignored |= _precision('G', gen)
  return Model(
    'stylegan2', latent_dim, classes, shape, settings, settings_of_disc,
    types.Pair(STYLEGAN2, STYLEGAN2),
    given.end() | mapping.end() | ignored,
  )  # fmt: skip


def _of_mapping(width: int) -> dict[str, Any]:
  """What all its layers have; older files name their widths."""
  return {'embed_features': width, 'layer_features': width,
          'activation': 'lrelu'}  # fmt: skip


def _sizes(given: _Arguments) -> tuple[int, int, tuple[int, int, int]]:
  side = given.count('img_resolution', 4, 2**14)
  channels = given.count('img_channels', 1, 2**8)
  latent_dim = given.count('z_dim', 1, 2**20)
  return latent_dim, given.count('c_dim', 0, 2**20), (side, side, channels)


def _style_disc(
  disc: Saved | None, classes: int, shape: tuple[int, int, int]
) -> tuple[stylegan2.DiscSettings | None, dict[str, Any]]:
  """StyleGAN2's, which StyleGAN3 has, too, and what was ignored.

  Args:
    disc: the network, if there is one.
    classes: of the generator.
    shape: of its images.

  Raises:
    ValueError: it is of others, or ours cannot be made so.
  """
  if disc is None:
    return None, {}
  given = _Arguments.of('D', disc)
  for name, own in (
    ('c_dim', classes),
    ('img_resolution', shape[0]),
    ('img_channels', shape[2]),
  ):
    if (value := given.take(name)) != own:
      raise ValueError(f'D was made with {name}={value!r}, and G with {own!r}')
  given.join('block_kwargs')
  mapping = given.nested('mapping_kwargs')
  epilogue = given.nested('epilogue_kwargs')
  group = epilogue.take('mbstd_group_size', 4)
  channels = epilogue.take('mbstd_num_channels', 1)
  if channels not in (0, 1):
    raise ValueError(
      f'D.epilogue_kwargs was made with mbstd_num_channels={channels}; the '
      'network here has 1 or none'
    )
  settings = stylegan2.DiscSettings(
    width=given.take('channel_max', 512),
    channel_base=given.take('channel_base', 32768),
    architecture=given.take('architecture', 'resnet'),
    mbstd_group=(group or _WHOLE_BATCH) if channels else 0,
    clamp=_clamp(disc),
    # Without classes nothing is mapped.
    depth=mapping.take('num_layers', 8) if classes else 8,
    mapping_rate=mapping.take('lr_multiplier', 0.01) if classes else 0.01,
  )
  given.expect(**_ORDINARY)
  given.drop(*_IGNORED, 'freeze_layers')
  epilogue.expect(activation='lrelu')
  epilogue.drop('conv_clamp')
  epilogue.end()
  ignored = _precision('D', disc)
  width = min(settings.channel_base // 4, settings.width)
  if classes:
    given.expect(cmap_dim=width)
    mapping.expect(**_of_mapping(width))
    mapping.ignore('w_avg_beta')
    ignored |= mapping.end()
  else:
    given.drop('cmap_dim')
  given.end()
  return settings, ignored


# StyleGAN3 (NVlabs/stylegan3).

_STYLEGAN3_NAMES = {
  'kernel': 'weight', 'frequencies': 'freqs', 'magnitude': 'magnitude_ema'
}  # fmt: skip


def _plain(name: str) -> str:
  """With `l3` in place of `L3_36_512`."""
  return re.sub(r'^synthesis\.L(\d+)_\d+_\d+\.', r'synthesis.l\1.', name)


def _stylegan3_constants(
  settings: stylegan3.GenSettings, shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
  """Of all layers by `_plain` names, and of the input, which does not move."""
  signals = stylegan3.signals(settings, shape)
  options = stylegan3.options(settings)
  found = {'synthesis.input.transform': np.eye(3)}
  for i, after in enumerate(signals):
    critical = i >= settings.layers - settings.critical
    filters = alias_free.filters_between(
      signals[max(i - 1, 0)], after, options, critical
    )
    found[f'synthesis.l{i}.up_filter'] = filters.up_taps
    found[f'synthesis.l{i}.down_filter'] = filters.down_taps
  return found


def stylegan3_layout(
  names: Iterable[str], constants: Mapping[str, np.ndarray] | None = None
) -> Layout:
  """Of the generator whose state_dict has these names.

  Args:
    names: of its arrays.
    constants: what its buffers must be, by `_plain` names; None takes any.
  """
  known = constants or {}
  full = {_plain(name): name for name in names}

  def name(path: Path) -> str:
    if path == ('w',):
      return 'mapping.w_avg'
    last = _STYLEGAN3_NAMES.get(path[-1], path[-1])
    found = '.'.join((*path[:-1], last))
    return full.get(found, found)

  def array(path: Path, x: np.ndarray) -> np.ndarray:
    if x.ndim == 4:
      return x.transpose(2, 3, 1, 0)
    return x if path[-1] == 'frequencies' else x.T

  return Layout(
    name,
    array,
    ('up_filter', 'down_filter', 'input.transform'),
    lambda name: known.get(_plain(name)),
  )


def _stylegan3(gen: Saved, disc: Saved | None) -> Model:
  given = _Arguments.of('G', gen)
  mapping = given.nested('mapping_kwargs')
  settings = stylegan3.GenSettings(
    width=given.take('channel_max', 512),
    channel_base=given.take('channel_base', 32768),
    w_dim=given.take('w_dim'),
    depth=mapping.take('num_layers', 2),
    mapping_rate=mapping.take('lr_multiplier', 0.01),
    layers=given.take('num_layers', 14),
    critical=given.take('num_critical', 2),
    first_cutoff=given.take('first_cutoff', 2),
    first_stopband=given.take('first_stopband', 2**2.1),
    last_stopband=given.take('last_stopband_rel', 2**0.3),
    margin=given.take('margin_size', 10),
    output_scale=given.take('output_scale', 0.25),
    kernel=given.take('conv_kernel', 3),
    radial=given.take('use_radial_filters', False),
    filter_size=given.take('filter_size', 6),
    upsampling=given.take('lrelu_upsampling', 2),
    clamp=given.take('conv_clamp', 256),
  )
  latent_dim, classes, shape = _sizes(given)
  given.drop('num_fp16_res')
  given.ignore('magnitude_ema_beta')
  mapping.ignore('w_avg_beta')
  settings_of_disc, ignored = _style_disc(disc, classes, shape)
  ignored |= _precision('G', gen)
  constants = _stylegan3_constants(settings, shape)
  return Model(
    'stylegan3', latent_dim, classes, shape, settings, settings_of_disc,
    types.Pair(stylegan3_layout(gen.arrays, constants), STYLEGAN2),
    given.end() | mapping.end() | ignored,
  )  # fmt: skip


# R3GAN (brownvc/R3GAN), whose classes do not note how they were made.

_R3GAN_PREFIX = 'Model.'


def _places(names: Iterable[str], end: str) -> list[str]:
  """`MainLayers.S.Layers.L` of all names with this end, in order."""
  form = re.compile(rf'MainLayers\.(\d+)\.Layers\.(\d+)\.{re.escape(end)}')
  found = [tuple(map(int, m.groups())) for m in map(form.fullmatch, names) if m]
  return [f'MainLayers.{stage}.Layers.{at}' for stage, at in sorted(found)]


def r3gan_layout(names: Iterable[str], player: str, prefix: str = '') -> Layout:
  """Of a network whose state_dict has these names.

  Args:
    names: of its arrays.
    player: 'gen' or 'disc'.
    prefix: that all of them begin with.
  """
  plain = [name.removeprefix(prefix) for name in names]
  blocks = _places(plain, 'LinearLayer1.Layer.weight')
  basis, *others = _places(plain, 'LinearLayer.weight') or ['']
  if others or not basis:
    raise ValueError(
      'it is no R3GAN: one stage has MainLayers.S.Layers.L.Basis'
    )
  # A 1x1 convolution where the width changes, and one to or from the image.
  convolutions = [
    f'{place}.LinearLayer.Layer.weight'
    for place in _places(plain, 'LinearLayer.Layer.weight')
  ]
  if player == 'gen':
    convolutions.append('AggregationLayer.Layer.weight')
  else:
    convolutions.insert(0, 'ExtractionLayer.Layer.weight')
  of_layer = {
    'basis': f'{basis}.Basis' + ('' if player == 'gen' else '.weight'),
    'Dense_0': f'{basis}.LinearLayer.weight',
    'Embedding_0': 'EmbeddingLayer.weight',
    **{f'Conv_{i}': name for i, name in enumerate(convolutions)},
  }

  def name(path: Path) -> str:
    kind, _, number = path[0].rpartition('_')
    if kind != 'Block':
      return prefix + of_layer[path[0]]
    inner, _, place = path[1].rpartition('_')
    last = {'Conv': 'LinearLayer{}.Layer.weight',
            'BiasedActivation': 'NonLinearity{}.Bias'}[inner]  # fmt: skip
    return f'{prefix}{blocks[int(number)]}.{last.format(int(place) + 1)}'

  def array(path: Path, x: np.ndarray) -> np.ndarray:
    del path
    if x.ndim == 4:
      return x.transpose(2, 3, 1, 0)
    return x.transpose(1, 2, 0) if x.ndim == 3 else x.T

  return Layout(name, array, ('Resampler.Kernel',), lambda name: _RESAMPLING)


def _r3gan_settings(arrays: Arrays, player: str) -> r3gan.GenSettings:
  """By the shapes of its arrays."""
  plain = {
    name.removeprefix(_R3GAN_PREFIX): x.shape for name, x in arrays.items()
  }
  stages: dict[int, list[tuple[int, int]]] = {}
  for place in _places(plain, 'LinearLayer1.Layer.weight'):
    wide, width, *_ = plain[f'{place}.LinearLayer1.Layer.weight']
    if wide != 2 * width:
      raise ValueError(
        f'{place} has {wide} channels in the middle of {width}; here they are '
        'twice as many'
      )
    groups = wide // plain[f'{place}.LinearLayer2.Layer.weight'][1]
    stage = stages.setdefault(int(place.split('.')[1]), [])
    stage.append((width, groups))
  # From 4x4 on in both.
  each = [stages[i] for i in sorted(stages, reverse=player == 'disc')]
  embedding = plain.get('EmbeddingLayer.weight')
  kind = {'gen': r3gan.GenSettings, 'disc': r3gan.DiscSettings}[player]
  return kind(
    width=tuple(blocks[0][0] for blocks in each),
    depth=tuple(map(len, each)),
    groups=tuple(blocks[0][1] for blocks in each),
    **{'embedding': embedding[0]} if embedding else {},
  )


def _r3gan(gen: Saved, disc: Saved | None) -> Model:
  settings = _r3gan_settings(gen.arrays, 'gen')
  side = gen.attributes['img_resolution']
  for name, least, most in (
    ('z_dim', 1, 2**20),
    ('c_dim', 0, 2**20),
    ('img_resolution', 4, 2**14),
  ):
    _check_count(f'G.{name}', gen.attributes.get(name), least, most)
  channels = len(gen.arrays[f'{_R3GAN_PREFIX}AggregationLayer.Layer.weight'])
  layouts = [
    r3gan_layout(net.arrays, player, _R3GAN_PREFIX) if net else None
    for player, net in (('gen', gen), ('disc', disc))
  ]
  return Model(
    'r3gan',
    gen.attributes['z_dim'],
    gen.attributes['c_dim'],
    (side, side, channels),
    settings,
    disc and _r3gan_settings(disc.arrays, 'disc'),
    types.Pair(*layouts),
    _precision('G', gen) | (_precision('D', disc) if disc else {}),
  )
