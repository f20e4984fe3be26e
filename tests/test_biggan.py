"""SNGAN, SAGAN and BigGAN: their authors' answers, sizes, laws of weights."""

import dataclasses
import functools
import itertools
import math
import re
import types as python_types
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import make_biggan_fixture as fixture
import make_inception_fixture
import make_mimicry_fixture
import make_sngan_fixture
import make_spectral_fixture as spectral_fixture
import numpy as np
import pytest
from flax import traverse_util

from experiments import recipes
from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build, player_terms
from gan_jax.game import draws, penalties, steps
from gan_jax.networks import (
  adapter,
  attention,
  authors,
  authors_biggan,
  biggan,
  conditional,
  layers,
  residual,
  sngan,
  spectral,
)
from gan_jax.ops import homogeneous

KEY = jax.random.key(0)


def latent(size: int, classes: int = 0, n: int = 1) -> types.Latent:
  label = jnp.arange(n) % classes if classes else None
  return types.Latent(jax.random.normal(KEY, (n, size)), label)


def batch(size: int, classes: int = 0, n: int = 1) -> types.Batch:
  x = jax.random.normal(KEY, (n, size, size, 3))
  return types.Batch(x, latent(1, classes, n).label)


def shapes(module: nn.Module, example: types.Latent | types.Batch) -> dict:
  init = functools.partial(module.init, mode=types.EVAL)
  return jax.eval_shape(init, KEY, example)['params']


# From our layers to those of SNGAN's code; BigGAN's are in authors_biggan.
def chainer_name(path: tuple[str, ...], player: str, blocks: int) -> str:
  """The name there of a leaf of ours, in networks of so many blocks."""
  layer, *rest = path
  end = 'b' if path[-1] == 'bias' else 'W'
  first = {'gen': 2, 'disc': 1}[player]
  if layer.startswith('Block'):
    inner, index = rest[0].rsplit('_', 1)
    block = f'/block{int(layer.removeprefix("Block_")) + first}'
    if inner == 'Conv':
      return f'{block}/{("c1", "c2", "c_sc")[int(index)]}/{end}'
    kind = {'gain': 'gamma', 'scale': 'gamma', 'bias': 'beta'}[rest[1]]
    by_class = 's/W' if inner == 'ClassBatchNorm' else ''
    return f'{block}/b{int(index) + 1}/{kind}{by_class}'
  if layer == 'BatchNorm_0':
    kind = 'gamma' if rest == ['scale'] else 'beta'
    return f'/b{blocks + 2}/{kind}'
  if layer == 'Conv_0':
    # In the file for 32x32 it has the next number, in the other the same.
    return f'/c5/{end}' if blocks == 3 else f'/l{blocks + 2}/{end}'
  if layer == 'Dense_0':
    return f'/l1/{end}' if player == 'gen' else f'/l{blocks + 1}/{end}'
  return '/l_y/W'


def cnn_name(path: tuple[str, ...]) -> str:
  """The name in the fixture's standard CNN of a leaf of ours."""
  layer, leaf = path
  end = {'kernel': 'W', 'scale': 'gamma', 'bias': 'b'}[leaf]
  if layer.startswith('BatchNorm'):
    end = end.replace('b', 'beta')
  return f'/{layer}/{end}'


def layout_of(
  name: Callable[[authors.Path], str],
  vector: str = '',
  side: int = 0,
  axis: int = 0,
  up: tuple[str, ...] = (),
) -> authors.Layout:
  """How a network's arrays are laid out in other code.

  Args:
    name: of a leaf there.
    vector: what u is called.
    side: of the pixels that the linear layer gives or takes, whose rows are
      [C, side, side] there; 0 if it does neither.
    axis: of its weights with these rows.
    up: layers that convolve upwards.
  """

  def full(path: authors.Path) -> str:
    if path[-1] != 'u':
      return name(path)
    return name(path[:-1]).removesuffix('weight').removesuffix('W') + vector

  def array(path: authors.Path, x: np.ndarray) -> np.ndarray:
    if x.ndim == 4 and path[0] in up:
      # There it is the gradient of a convolution, which turns the kernel.
      return x.transpose(2, 3, 0, 1)[::-1, ::-1]
    if x.ndim == 4:
      return x.transpose(2, 3, 1, 0)
    pixels = path[0] == 'Dense_0' and side**2
    if pixels and axis < x.ndim and x.shape[axis] % pixels == 0:
      x = np.moveaxis(x, axis, 0)
      rest = x.shape[1:]
      x = x.reshape(-1, side, side, *rest)
      x = np.moveaxis(np.moveaxis(x, 0, 2).reshape(-1, *rest), 0, axis)
    return x.T if path[-1] == 'kernel' else x

  return authors.Layout(full, array)


def theirs(
  layout: authors.Layout, path: authors.Path, shape: tuple[int, ...]
) -> tuple[int, ...]:
  """A shape of ours in their order of axes."""
  for own in itertools.permutations(shape):
    if layout.array(path, np.broadcast_to(0, own)).shape == shape:
      return own
  raise AssertionError(path)


def weighted(
  module: nn.Module, example: Any, layout: authors.Layout
) -> tuple[types.Network, types.PyTree, types.PyTree]:
  """A network with the authors' weights, and the first u of each."""
  network = adapter.as_network(module, example)
  params, vars = jax.eval_shape(network.init, KEY)
  drawn = {}
  for path, leaf in traverse_util.flatten_dict(params).items():
    name = layout.name(path)
    x = fixture.weights({name: theirs(layout, path, leaf.shape)})[name]
    drawn[path] = layout.array(path, x)
  given = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), vars)
  own = traverse_util.flatten_dict(given.get('spectral', {}))
  for path in [path for path in own if path[-1] == 'u']:
    name = layout.name(path)
    u = fixture.weights({name: own[path].shape})[name]
    own[path] = layout.array(path, u)
  if own:
    given['spectral'] = traverse_util.unflatten_dict(own)
  return network, traverse_util.unflatten_dict(drawn), given


def check_answers(
  gen: tuple[types.Network, types.PyTree, types.PyTree],
  disc: tuple[types.Network, types.PyTree, types.PyTree],
  given: tuple[np.ndarray, np.ndarray, np.ndarray | None],
  kept: dict[str, np.ndarray],
  layout: authors.Layout,
  step: int,
) -> None:
  """Samples and logits to 1e-4, the penalty's gradient to 1e-3, of the largest.

  Args:
    gen: with the authors' weights.
    disc: likewise.
    given: latents, images and labels.
    kept: the authors' answers.
    layout: of D.
    step: of every so many rows and columns of samples, one is kept.
  """
  z, x, label = given

  @jax.jit
  def samples(params: types.PyTree, vars: types.PyTree) -> jax.Array:
    network = gen[0]
    vars = network.advance(params, vars)
    given = types.Latent(z, label)
    return network.apply(params, vars, given, key=KEY, mode=types.TRAIN)[0]

  found = samples(*gen[1:])[:, ::step, ::step]
  np.testing.assert_allclose(found, kept['samples'], atol=1e-4)
  check_disc(disc, types.Batch(x, label), kept, layout)


def check_disc(
  disc: tuple[types.Network, types.PyTree, types.PyTree],
  given: types.Batch,
  kept: dict[str, np.ndarray],
  layout: authors.Layout,
) -> None:
  """As `check_answers`."""

  def penalty(params: types.PyTree, vars: types.PyTree) -> Any:
    network = disc[0]
    vars = network.advance(params, vars)

    def judge(batch: types.Batch) -> jax.Array:
      return network.apply(params, vars, batch, key=KEY, mode=types.TRAIN)[0]

    grads = penalties.input_grads(judge, given)
    return penalties.zero_centred(grads), judge(given)

  (value, logits), grads = jax.jit(jax.value_and_grad(penalty, has_aux=True))(
    *disc[1:]
  )
  np.testing.assert_allclose(logits, kept['logits'], rtol=1e-4)
  np.testing.assert_allclose(value, kept['penalty'], rtol=1e-4)
  for path, grad in traverse_util.flatten_dict(grads).items():
    expected = kept.get(f'grad {layout.name(path)}')
    if expected is None:
      assert not np.any(grad), path
      continue
    expected = layout.array(path, expected)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(grad, expected, atol=1e-3 * scale, rtol=0)


def answers(path: Any, case: str) -> dict[str, np.ndarray]:
  with np.load(path) as file:
    return {
      name.removeprefix(f'{case} '): file[name]
      for name in file.files
      if name.startswith(f'{case} ')
    }


@pytest.mark.parametrize('case', fixture.CASES)
def test_biggan_is_its_authors(case: str):
  own = fixture.CASES[case]
  gen = biggan.Generator(
    (own.size, own.size, 3),
    biggan.GenSettings(
      own.width,
      attention=own.attention,
      shared=own.shared,
      hierarchical=bool(own.shared),
    ),
    classes=fixture.CLASSES,
  )
  disc = biggan.Discriminator(
    biggan.DiscSettings(own.width, attention=own.attention // 2),
    classes=fixture.CLASSES,
  )
  of_gen, of_disc = (
    authors_biggan.layout(module.settings, own.size) for module in (gen, disc)
  )
  label = fixture.LABELS
  z, x = fixture.inputs(own.size, own.latent)
  check_answers(
    weighted(gen, types.Latent(z, label), of_gen),
    weighted(disc, types.Batch(x, label), of_disc),
    (z, x, label),
    answers(fixture.PATH, case),
    of_disc,
    own.step,
  )


def resnet_layouts(size: int) -> tuple[authors.Layout, authors.Layout]:
  plan = sngan.PLANS[size]
  blocks = len(plan.up) - 1
  of_gen = functools.partial(chainer_name, player='gen', blocks=blocks)
  of_disc = functools.partial(
    chainer_name, player='disc', blocks=len(plan.down)
  )
  return layout_of(of_gen, 'u', size >> blocks), layout_of(of_disc, 'u')


def cnn_layouts(size: int) -> tuple[authors.Layout, authors.Layout]:
  up = 'Conv_0', 'Conv_1', 'Conv_2'
  return (
    layout_of(cnn_name, 'u', size // 8, up=up),
    layout_of(cnn_name, 'u', size // 8, axis=1),
  )


@pytest.mark.parametrize(('size', 'pixels'), [(32, 64), (48, 9)])
def test_sngan_can_take_means(size: int, pixels: int):
  """A sum is the mean of the pixels, so many times."""

  def disc(pooling: str) -> sngan.Discriminator:
    return sngan.Discriminator(
      sngan.DiscSettings(width=4, spectral_norm=False, pooling=pooling)
    )

  x = jax.random.normal(jax.random.key(0), (2, size, size, 3))
  batch = types.Batch(x)
  params = disc('sum').init(jax.random.key(1), batch, types.TRAIN)['params']
  logits = [
    disc(pooling).apply({'params': params}, batch, types.TRAIN)
    for pooling in ('sum', 'mean')
  ]
  bias = params['Dense_0'].get('bias', 0.0)
  np.testing.assert_allclose(
    logits[0] - bias, pixels * (logits[1] - bias), rtol=1e-4
  )


@pytest.mark.parametrize('case', make_sngan_fixture.CASES)
def test_sngan_is_its_authors(case: str):
  own = make_sngan_fixture.CASES[case]
  shape = own.size, own.size, 3
  kind = 'cnn' if own.cnn else 'resnet'
  gen = sngan.Generator(
    shape, sngan.GenSettings(kind, own.width), classes=own.classes
  )
  disc = sngan.Discriminator(
    sngan.DiscSettings(kind, own.width), classes=own.classes
  )
  of_gen, of_disc = (cnn_layouts if own.cnn else resnet_layouts)(own.size)
  label = fixture.LABELS if own.classes else None
  z, x = fixture.inputs(own.size, make_sngan_fixture.LATENT)
  check_answers(
    weighted(gen, types.Latent(z, label), of_gen),
    weighted(disc, types.Batch(x, label), of_disc),
    (z, x, label),
    answers(make_sngan_fixture.PATH, case),
    of_disc,
    own.step,
  )


@pytest.mark.parametrize('case', make_mimicry_fixture.CASES)
def test_sngan_is_mimicrys(case: str):
  """With the settings of its recipe."""
  config = configs.Config()
  recipe = {'sngan': recipes.use_mimicry, 'wgan_gp': recipes.use_wgan_gp}[case]
  recipe(config, steps=1)
  own = {'width': make_mimicry_fixture.WIDTH}
  gen = sngan.Generator((32, 32, 3), dataclasses.replace(config.gen.net, **own))
  disc = sngan.Discriminator(dataclasses.replace(config.disc.net, **own))
  of_gen, of_disc = resnet_layouts(32)
  z, x = fixture.inputs(32, make_sngan_fixture.LATENT)
  check_answers(
    weighted(gen, types.Latent(z, None), of_gen),
    weighted(disc, types.Batch(x, None), of_disc),
    (z, x, None),
    answers(make_mimicry_fixture.PATH, case),
    of_disc,
    1,
  )


def test_biases_begin_as_pytorchs():
  """Within 1 / sqrt(fan-in), and normalisations' at 0."""
  own = {'width': 8, 'bias_init': 'fan_in_uniform'}
  for module, example in (
    (sngan.Generator((32, 32, 3), sngan.GenSettings(**own)), latent(16)),
    (biggan.Discriminator(biggan.DiscSettings(**own), 5), batch(32, 5)),
  ):
    network = adapter.as_network(module, example)
    params, _ = network.init(KEY)
    flat = traverse_util.flatten_dict(params)
    biases = {path[:-1]: x for path, x in flat.items() if path[-1] == 'bias'}
    for layer, x in biases.items():
      kernel = flat.get((*layer, 'kernel'))
      if kernel is None:
        assert 'BatchNorm' in layer[-1]
        assert not x.any()
        continue
      share = np.abs(x) * np.sqrt(np.prod(kernel.shape[:-1]))
      assert share.max() <= 1
      assert len(x) < 16 or share.max() > 0.8
      assert len(x) < 16 or abs(share.mean() - 0.5) < 0.25


def game_name(path: tuple[str, ...], player: str) -> str:
  """The name in the fixture's game of a leaf of ours."""
  layer, *rest = path
  end = 'bias' if path[-1] == 'bias' else 'weight'
  if layer.startswith('Block'):
    inner, index = rest[0].rsplit('_', 1)
    block = f'{player}.blocks.{layer.removeprefix("Block_")}'
    if inner == 'ClassBatchNorm':
      return f'{block}.norms.{index}.{rest[1]}.weight'
    conv = 'shortcut' if index == '2' else f'convs.{index}'
    return f'{block}.{conv}.{end}'
  if layer == 'SelfAttention_0':
    inner = rest[0]
    at = inner if inner in ('out', 'gamma') else f'convs.{inner[0]}'
    return f'{player}.attention.{at}' + '.weight' * (inner != 'gamma')
  there = {
    'Dense_0': 'linear', 'Conv_0': 'out', 'BatchNorm_0': 'norm.norm',
    'Projection_0': 'embed',
  }  # fmt: skip
  return f'{player}.{there[layer]}.{end}'


def played(layout: authors.Layout, network: types.Network) -> tuple[Any, Any]:
  """The game's first parameters and `vars` of a player, in our order."""
  params, vars = jax.eval_shape(network.init, KEY)
  given = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), vars)
  own = traverse_util.flatten_dict(given['spectral'])
  drawn = {}
  for path, leaf in traverse_util.flatten_dict(params).items():
    name = layout.name(path)
    x = spectral_fixture.weight(name, theirs(layout, path, leaf.shape))
    drawn[path] = layout.array(path, x)
    if (*path, 'u') not in own:
      continue
    u, v = spectral_fixture.vectors(name, x.reshape(len(x), -1))
    own[*path, 'u'] = layout.array((*path, 'u'), u)
    # Each row of a kernel stands for v.
    columns = np.broadcast_to(v, (len(x), v.size)).reshape(x.shape)
    columns = layout.array(path, columns)
    own[*path, 'v'] = (
      v if path[-1] == 'embedding' else columns[..., 0].reshape(-1)
    )
  given['spectral'] = traverse_util.unflatten_dict(own)
  return traverse_util.unflatten_dict(drawn), given


def test_ten_steps_of_pytorch():
  """A small SAGAN in PyTorch, whose weights spectral_norm divides."""
  config = configs.Config(batch_size=spectral_fixture.BATCH, loss='hinge')
  config.conditional = True
  config.gen.name = config.disc.name = 'biggan'
  config.gen.latent_dim = spectral_fixture.LATENT
  width = spectral_fixture.WIDTH
  config.gen.net = biggan.GenSettings(width, attention=16)
  config.disc.net = biggan.DiscSettings(width, attention=16)
  adam = spectral_fixture.ADAM
  for player in (config.optim.gen, config.optim.disc):
    player.learning_rate, player.eps = adam['lr'], adam['eps']
    player.b1, player.b2 = adam['betas']
  side, classes = spectral_fixture.SIDE, fixture.CLASSES
  info = sources.Info(
    'images', (side, side, 3), class_shares=(1 / classes,) * classes
  )
  spec, hyper = build.make_spec(config, info), build.make_hyper(config)
  layouts = types.Pair(
    *(
      layout_of(functools.partial(game_name, player=player), side=first)
      for player, first in (('gen', 4), ('disc', 0))
    )
  )
  start = jax.eval_shape(lambda: build.init_state(spec, hyper, KEY))
  state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), start)
  for player in ('gen', 'disc'):
    layout, network = getattr(layouts, player), getattr(spec, player)
    params, vars = jax.tree.map(jnp.asarray, played(layout, network))
    own = getattr(state, player)._replace(params=params, vars=vars)
    state = state._replace(**{player: own})

  @jax.jit
  def step(state: Any, own: spectral_fixture.Round) -> Any:
    draw = draws.draw_step(spec, KEY)
    (of_disc,) = draw.disc
    of_disc = of_disc._replace(latent=types.Latent(own.disc_z, own.disc_label))
    draw = draw._replace(
      disc=(of_disc,), gen_latents=(types.Latent(own.gen_z, own.gen_label),)
    )
    real = types.Batch(own.x[None], own.label[None])
    return steps.make_step(spec)(state, hyper, real, draw)

  with np.load(spectral_fixture.PATH) as file:
    kept = {
      name.removeprefix('game '): file[name]
      for name in file.files
      if name.startswith('game ')
    }
  for i, expected in enumerate(kept['losses']):
    state, logs = step(state, spectral_fixture.round_of(i))
    found = logs['disc/loss'], logs['gen/loss']
    # In the third update a rectifier is within rounding of 0: weights that are
    # 1e-7 apart, or another machine, may take its other side from there on.
    atol = 1e-5 if i < 3 else 5e-3
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=atol)
  for player in ('gen', 'disc'):
    layout, own = getattr(layouts, player), getattr(state, player)
    spectra = traverse_util.flatten_dict(own.vars['spectral'])
    divided = traverse_util.flatten_dict(
      spectral.normalise(own.params, own.vars['spectral'])
    )
    for path, leaf in traverse_util.flatten_dict(own.params).items():
      name = layout.name(path)
      expected = layout.array(path, kept[name])
      np.testing.assert_allclose(leaf, expected, atol=1e-3, err_msg=name)
      if (*path, 'u') in spectra:
        sigma = np.linalg.norm(leaf) / np.linalg.norm(divided[path])
        expected = kept[f'sigma {name}']
        np.testing.assert_allclose(sigma, expected, rtol=1e-3, err_msg=name)


def made(gen: nn.Module, disc: nn.Module, z: int) -> tuple[Any, Any]:
  """The shapes of two samples of fresh networks, and of their logits."""

  def both(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, _ = gen.init_with_output(KEY, types.Latent(z), types.EVAL)
    return x, disc.init_with_output(KEY, types.Batch(x), types.EVAL)[0]

  x, logits = jax.eval_shape(both, jnp.zeros((2, z)))
  return x.shape, logits.shape


@pytest.mark.parametrize(
  ('file', 'size', 'own'),
  [
    *((sngan, size, {}) for size in sngan.PLANS),
    *((sngan, size, {'architecture': 'cnn'}) for size in (8, 32, 48)),
    *((biggan, size, {}) for size in biggan.PLANS),
  ],
)
def test_sizes(file: Any, size: int, own: dict[str, Any]):
  gen = file.Generator((size, size, 1), file.GenSettings(width=2, **own))
  disc = file.Discriminator(file.DiscSettings(width=2, **own))
  assert made(gen, disc, 5) == ((2, size, size, 1), (2,))


CHANNELS = [
  # SNGAN's tables 5 and 6.
  (sngan, 48, [512, 256, 128, 64], [64, 128, 256, 512, 1024]),
  (sngan, 128, [1024, 1024, 512, 256, 128, 64],
   [64, 128, 256, 512, 1024, 1024]),
  # The BigGAN code's at its default width of 64.
  (biggan, 256, [1024, 1024, 512, 512, 256, 128, 64],
   [64, 128, 256, 512, 512, 1024, 1024]),
]  # fmt: skip


@pytest.mark.parametrize(('file', 'size', 'up', 'down'), CHANNELS)
def test_channels_of_the_tables(
  file: Any, size: int, up: list[int], down: list[int]
):
  params = shapes(file.Generator((size, size, 3)), latent(5))
  base = size >> (len(up) - 1)
  assert params['Dense_0']['kernel'].shape == (5, base * base * up[0])
  assert outputs(params) == up[1:]
  assert outputs(shapes(file.Discriminator(), batch(size))) == down


def outputs(params: types.PyTree) -> list[int]:
  """Channels after each block."""
  blocks = [name for name in params if name.startswith('Block')]
  return [
    params[f'Block_{i}']['Conv_1']['kernel'].shape[-1]
    for i in range(len(blocks))
  ]


def test_resolutions_of_the_blocks():
  """As the tables have them: where attention can be."""
  assert biggan.PLANS[128].sides_up(128) == [8, 16, 32, 64, 128]
  assert biggan.PLANS[128].sides_down(128) == [64, 32, 16, 8, 4, 4]
  assert biggan.PLANS[32].sides_down(32) == [16, 8, 8, 8]
  assert sngan.PLANS[48].sides_up(48) == [12, 24, 48]
  assert sngan.PLANS[48].sides_down(48) == [24, 12, 6, 3, 3]


REFUSED = [
  (sngan, {}, (28, 28, 3), 5, 0,
   'sngan makes images of side 32, 48, 64 or 128; set data.size=32'),
  (sngan, {}, (32, 48, 3), 5, 0, 'sngan makes square images'),
  (sngan, {'architecture': 'cnn'}, (30, 30, 3), 5, 0, 'set data.size=32'),
  (sngan, {'architecture': 'cnn'}, (1,), 5, 0, 'makes square images'),
  (biggan, {}, (100, 100, 3), 5, 0,
   'biggan makes images of side 32, 64, 128 or 256; set data.size=128'),
  (biggan, {'attention': 64}, (32, 32, 3), 5, 0,
   'gen.net.attention=64: at this data.size, blocks give sides of 8, 16, 32'),
  (biggan, {'hierarchical': True}, (32, 32, 3), 10, 0,
   'gen.latent_dim=10: .* 4 equal parts; set gen.latent_dim=8'),
  (biggan, {'hierarchical': True}, (32, 32, 3), 8, 3, 'set gen.net.shared'),
]  # fmt: skip


@pytest.mark.parametrize(
  ('file', 'own', 'shape', 'z', 'classes', 'message'), REFUSED
)
def test_refused_in_one_line(
  file: Any, own: Any, shape: Any, z: int, classes: int, message: str
):
  gen = file.Generator(shape, file.GenSettings(**own), classes=classes)
  with pytest.raises(ValueError, match=message) as error:
    shapes(gen, latent(z, classes))
  # JAX adds lines of its own to what passes through it.
  assert '\n' not in str(error.value).partition('\n---')[0]


def test_disc_refuses():
  disc = biggan.Discriminator(biggan.DiscSettings(attention=32))
  with pytest.raises(ValueError, match=r'disc\.net\.attention=32: .* of 16, 8'):
    shapes(disc, batch(32))
  with pytest.raises(ValueError, match=r'data\.size=16: sngan'):
    shapes(sngan.Discriminator(), batch(16))


def test_attention_by_hand():
  """Against loops over pixels and windows in numpy."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 4, 4, 16)).astype(np.float32)
  layer = attention.SelfAttention(('normal', 1.0))
  variables = layer.init(KEY, x)
  # It starts as the identity.
  np.testing.assert_array_equal(layer.apply(variables, x), x)
  p = jax.tree.map(np.asarray, variables['params'])
  p['gamma'] = np.float32(0.7)
  assert {n: w['kernel'].shape for n, w in p.items() if n != 'gamma'} == {
    'query': (1, 1, 16, 2), 'key': (1, 1, 16, 2), 'value': (1, 1, 16, 8),
    'out': (1, 1, 8, 16),
  }  # fmt: skip
  query, key, value = (
    x.astype(np.float64) @ p[name]['kernel'][0, 0]
    for name in ('query', 'key', 'value')
  )
  corners = [(i, j) for i in (0, 2) for j in (0, 2)]

  def largest(h: np.ndarray) -> np.ndarray:
    return np.stack(
      [h[i : i + 2, j : j + 2].max(axis=(0, 1)) for i, j in corners]
    )

  expected = x.astype(np.float64)
  for n in range(2):
    keys, values = largest(key[n]), largest(value[n])
    for i in range(4):
      for j in range(4):
        weights = np.exp(keys @ query[n, i, j])
        seen = weights / weights.sum() @ values
        expected[n, i, j] += 0.7 * (seen @ p['out']['kernel'][0, 0])
  found = layer.apply({'params': p}, x)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


LAWS = ('glorot_uniform', 'normal', 'orthogonal', 'fan_in_uniform')


def laws(
  monkeypatch: pytest.MonkeyPatch, module: nn.Module, example: Any
) -> dict[tuple[str, ...], tuple[str, float]]:
  """By what law each kernel and each embedding is drawn, and its scale."""
  for i, name in enumerate(LAWS):
    monkeypatch.setitem(
      layers.INITIALISERS,
      name,
      lambda scale, i=i: lambda _, shape, *__: jnp.full(shape, 10 * i + scale),
    )
  init = functools.partial(module.init, mode=types.EVAL)
  found = {}
  params = jax.jit(init)(KEY, example)['params']
  for path, leaf in traverse_util.flatten_dict(params).items():
    if path[-1] in ('kernel', 'embedding'):
      i, scale = divmod(float(leaf.ravel()[0]), 10)
      found[path] = LAWS[int(i)], pytest.approx(scale, abs=1e-5)
  return found


def test_biggans_first_weights(monkeypatch: pytest.MonkeyPatch):
  """Of one law, gains and biases by class included."""
  for name, scale in (('orthogonal', 1.0), ('normal', 0.02)):
    own = {'width': 2, 'kernel_init': name, 'kernel_scale': scale}
    settings = biggan.GenSettings(shared=6, hierarchical=True, **own)
    gen = biggan.Generator((32, 32, 3), settings, classes=5)
    found = laws(monkeypatch, gen, latent(8, 5))
    assert ('shared', 'embedding') in found
    assert ('Block_1', 'VectorBatchNorm_0', 'gain', 'kernel') in found
    gen = biggan.Generator((32, 32, 3), biggan.GenSettings(**own), classes=5)
    by_class = laws(monkeypatch, gen, latent(8, 5))
    assert ('Block_1', 'ClassBatchNorm_0', 'bias', 'embedding') in by_class
    disc = biggan.Discriminator(
      biggan.DiscSettings(attention=16, **own), classes=5
    )
    of_disc = laws(monkeypatch, disc, batch(32, 5))
    every = [*found.values(), *by_class.values(), *of_disc.values()]
    assert all(law == (name, scale) for law in every)


def test_sngans_first_weights(monkeypatch: pytest.MonkeyPatch):
  """Blocks have a gain of sqrt 2, all else of 1; gains by class start at 1."""
  own = {'width': 2}
  gen = sngan.Generator((32, 32, 3), sngan.GenSettings(**own), classes=5)
  disc = sngan.Discriminator(sngan.DiscSettings(**own), classes=5)
  found = laws(monkeypatch, gen, latent(8, 5))
  found |= laws(monkeypatch, disc, batch(32, 5))
  for path, law in found.items():
    inner = path[0].startswith('Block') and path[1] in ('Conv_0', 'Conv_1')
    expected = 'glorot_uniform', math.sqrt(2) if inner else 1.0
    if 'ClassBatchNorm' in path[1]:
      expected = 'normal', 0.0
    assert law == expected, path
  own['shortcut_init'] = 'fan_in_uniform'
  gen = sngan.Generator((32, 32, 3), sngan.GenSettings(**own))
  disc = sngan.Discriminator(sngan.DiscSettings(**own))
  found = laws(monkeypatch, gen, latent(8)) | laws(monkeypatch, disc, batch(32))
  for path, (law, _) in found.items():
    shortcut = path[1] == 'Conv_2' or path[0] == 'Conv_0'
    assert (law == 'fan_in_uniform') == shortcut, path
  settings = sngan.DiscSettings(architecture='cnn', **own)
  plain = laws(monkeypatch, sngan.Discriminator(settings), batch(32))
  assert all(law == ('normal', 0.02) for law in plain.values())


@pytest.mark.parametrize('architecture', ['resnet', 'cnn'])
def test_sngans_epsilon(architecture: str):
  """Where it is all, what batch normalisation gives is its bias: tanh(0)."""

  def images(epsilon: float) -> jax.Array:
    gen = sngan.Generator(
      (32, 32, 3), sngan.GenSettings(architecture, 2, epsilon=epsilon)
    )
    variables = gen.init(KEY, latent(8), types.TRAIN)
    return gen.apply(variables, latent(8), types.TRAIN, mutable=True)[0]

  assert np.abs(images(1e30)).max() < 1e-6 < np.abs(images(1e-5)).max()


@pytest.mark.parametrize('shape', [(3, 3, 4, 8), (1, 1, 4, 12), (5, 16)])
def test_laws_of_first_weights(shape: tuple[int, ...]):
  """Orthogonal rows or columns of W, and Glorot's bounds."""
  w = layers.INITIALISERS['orthogonal'](1.0)(KEY, shape)
  w = np.asarray(w).reshape(-1, shape[-1])
  gram = w @ w.T if len(w) < w.shape[1] else w.T @ w
  np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
  half = math.sqrt(2 * 6 / (math.prod(shape[:-2]) * sum(shape[-2:])))
  w = layers.INITIALISERS['glorot_uniform'](math.sqrt(2))(KEY, shape)
  assert 0.9 * half < np.abs(w).max() <= half
  half = 2 / math.sqrt(math.prod(shape[:-1]))
  w = layers.INITIALISERS['fan_in_uniform'](2.0)(KEY, shape)
  assert 0.9 * half < np.abs(w).max() <= half


def test_which_weights_are_normalised():
  """All of D's, with the embedding of the class; of G's no embedding."""
  gen = biggan.Generator(
    (32, 32, 3),
    biggan.GenSettings(2, shared=6, hierarchical=True),
    classes=5,
  )
  network = adapter.as_network(gen, latent(8, 5))
  params, vars = jax.eval_shape(network.init, KEY)
  of_gen = traverse_util.flatten_dict(vars['spectral'])
  expected = {path for path in kernels_of(params) if path[-1] == 'kernel'}
  assert {path[:-1] for path in of_gen} == expected
  assert ('Block_0', 'VectorBatchNorm_0', 'gain', 'kernel') in expected
  for disc in (
    sngan.Discriminator(classes=5),
    sngan.Discriminator(
      sngan.DiscSettings(architecture='cnn', conditioning='classifier'),
      classes=5,
    ),
    biggan.Discriminator(biggan.DiscSettings(attention=16), classes=5),
  ):
    network = adapter.as_network(disc, batch(32, 5))
    params, vars = jax.eval_shape(network.init, KEY)
    of_disc = traverse_util.flatten_dict(vars['spectral'])
    assert {path[:-1] for path in of_disc} == kernels_of(params)
  for plain in (
    sngan.Generator((32, 32, 3)),
    sngan.Discriminator(sngan.DiscSettings(spectral_norm=False)),
    biggan.Generator((32, 32, 3), biggan.GenSettings(spectral_norm=False)),
  ):
    assert plain.spectral is None
  own = sngan.GenSettings(spectral_norm=True, power_iterations=3)
  assert sngan.Generator((32, 32, 3), own).spectral.iterations == 3


def kernels_of(params: types.PyTree) -> set[tuple[str, ...]]:
  return {
    path
    for path in traverse_util.flatten_dict(params)
    if path[-1] in ('kernel', 'embedding')
  }


def test_orthogonal_penalty_leaves_out_the_embedding():
  """And it sees weights as they are, before they are normalised."""
  config = configs.Config(batch_size=2, conditional=True)
  config.gen.name = config.disc.name = 'biggan'
  config.gen.latent_dim = 8
  config.gen.net = biggan.GenSettings(2, hierarchical=True, shared=6)
  config.disc.net = biggan.DiscSettings(2)
  config.penalties.orthogonal.weight = 1.0
  info = sources.Info(kind='images', shape=(32, 32, 3), class_shares=(0.5, 0.5))
  spec = build.make_spec(config, info)
  params = jax.eval_shape(spec.gen.init, KEY)[0]
  params = jax.tree.map(lambda x: jnp.full(x.shape, 0.1), params)

  def penalty(params: types.PyTree) -> jax.Array:
    update = python_types.SimpleNamespace(params=params)
    return player_terms.TERMS.gen['orthogonal'].value(update)

  value, grads = jax.jit(jax.value_and_grad(penalty))(params)
  assert not np.any(grads['shared']['embedding'])
  # W W^T has 0.01 columns everywhere.
  expected = sum(
    math.prod(x.shape[:-1]) ** 2 * x.shape[-1] * (x.shape[-1] - 1) * 1e-4
    for path, x in traverse_util.flatten_dict(params).items()
    if path[-1] == 'kernel'
  )
  assert float(value) == pytest.approx(expected, rel=1e-4)


def drawn(network: types.Network) -> tuple[types.PyTree, types.PyTree]:
  """Weights and averages without the time that a first state takes."""
  params, vars = jax.eval_shape(network.init, KEY)
  made = {}
  for path, leaf in traverse_util.flatten_dict(params).items():
    draw = make_inception_fixture.rng('/'.join(path))
    x = draw.standard_normal(leaf.shape)
    x /= np.sqrt(math.prod(leaf.shape[:-1]))
    made[path] = np.asarray(x, np.float32)
  vars = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), vars)
  return traverse_util.unflatten_dict(made), vars


CONDITIONAL = [
  (sngan, {}, 5),
  (sngan, {'architecture': 'cnn'}, 5),
  (biggan, {}, 5),
  (biggan, {'shared': 3}, 5),
  (biggan, {'shared': 3, 'hierarchical': True}, 8),
]


@pytest.mark.parametrize(('file', 'own', 'z'), CONDITIONAL)
def test_samples_depend_on_their_class(file: Any, own: dict[str, Any], z: int):
  settings = file.GenSettings(width=1, spectral_norm=False, **own)
  gen = file.Generator((32, 32, 3), settings, classes=3)
  given = latent(z, 3, 2)
  network = adapter.as_network(gen, given)
  params, vars = drawn(network)

  @jax.jit
  def samples(label: jax.Array) -> jax.Array:
    own = given._replace(label=label)
    return network.apply(params, vars, own, key=KEY, mode=types.EVAL)[0]

  first, other = samples(jnp.array([0, 1])), samples(jnp.array([2, 1]))
  assert np.abs(first[0] - other[0]).max() > 1e-3
  np.testing.assert_allclose(first[1], other[1], atol=1e-6)
  assert network.truncation == ('latent' if file is biggan else '')


def test_a_part_of_z_for_each_block_without_classes():
  settings = biggan.GenSettings(1, hierarchical=True, shared=4)
  gen = biggan.Generator((32, 32, 3), settings)
  params = shapes(gen, latent(8))
  assert 'shared' not in params
  norm = params['Block_2']['VectorBatchNorm_1']
  assert norm['gain']['kernel'].shape == (2, 4)
  assert params['Dense_0']['kernel'].shape == (2, 4 * 4 * 4)
  plain = shapes(biggan.Generator((32, 32, 3)), latent(8))
  assert plain['Block_2']['BatchNorm_1']['scale'].shape == (256,)


@pytest.mark.parametrize('file', [sngan, biggan])
def test_classifier(file: Any):
  """An auxiliary classifier in place of the projection."""
  disc = file.Discriminator(
    file.DiscSettings(width=1, conditioning='classifier'), classes=7
  )
  given = batch(32, 7, 2)
  network = adapter.as_network(disc, given)
  init = jax.eval_shape(network.init, KEY)
  apply = network.methods['judge']
  found = jax.eval_shape(
    functools.partial(apply, key=KEY, mode=types.EVAL), *init, given
  )[0]
  assert found.heads['classify'].shape == (2, 7)
  assert not any('embedding' in path for path in kernels_of(init[0]))


@pytest.mark.parametrize('file', [sngan, biggan])
def test_a_plain_disc_is_homogeneous(file: Any):
  settings = file.DiscSettings(width=1, spectral_norm=False)
  disc = file.Discriminator(settings, classes=3)
  given = batch(32, 3, 2)
  network = adapter.as_network(disc, given)
  assert network.homogeneous
  params, vars = drawn(network)

  def judge(params: types.PyTree, batch: types.Batch) -> jax.Array:
    return network.apply(params, vars, batch, key=KEY, mode=types.EVAL)[0]

  found = jax.jit(functools.partial(homogeneous.logits_and_input_grads, judge))(
    params, given
  )
  expected = jax.jit(judge)(params, given)
  np.testing.assert_allclose(found[0], expected, rtol=1e-4)
  attended = biggan.Discriminator(biggan.DiscSettings(attention=16))
  assert not attended.homogeneous


def small(player: str, dtype: Any, **own: Any) -> tuple[types.Network, Any]:
  """One of BigGAN's with everything in it, and its input."""
  common = {'width': 2, 'attention': 8, 'spectral_norm': False, **own}
  given = types.Pair(latent(8, 3, 2), batch(32, 3, 2))
  if player == 'disc':
    settings = biggan.DiscSettings(**common)
    disc = biggan.Discriminator(settings, classes=3, dtype=dtype)
    return adapter.as_network(disc, given.disc), given.disc
  gen = biggan.Generator(
    (32, 32, 3),
    biggan.GenSettings(shared=3, hierarchical=True, **common),
    classes=3,
    dtype=dtype,
  )
  return adapter.as_network(gen, given.gen), given.gen


class Blocks(nn.Module):
  """One block up or down, with attention."""

  up: bool
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    init = 'normal', 0.5
    inits = residual.Inits(init, init)
    common = {'attention': 4, 'remat': self.remat, 'dtype': jnp.float32}
    if not self.up:
      return residual.shrink(x, [8], 1, inits, wide=True, **common)[1]
    norm = functools.partial(
      conditional.normalised,
      mode=types.TRAIN,
      classes=0,
      init=init,
      epsilon=1e-5,
      dtype=jnp.float32,
    )
    return residual.grow(x, [x], (4, 4, 3), [2, 8], norm, inits, **common)


@pytest.mark.parametrize('up', [True, False])
def test_blocks_computed_again_change_nothing(up: bool):
  x = jax.random.normal(KEY, (2, 3) if up else (2, 8, 8, 3))
  variables = jax.jit(Blocks(up).init)(KEY, x)

  def grads(remat: bool) -> tuple[types.PyTree, str]:
    def value(params: types.PyTree) -> jax.Array:
      y, _ = Blocks(up, remat).apply(
        {**variables, 'params': params}, x, mutable=['batch_stats']
      )
      return jnp.square(y).mean()

    params = variables['params']
    return jax.jit(jax.grad(value))(params), str(jax.make_jaxpr(value)(params))

  (once, plain), (again, program) = grads(False), grads(True)
  assert 'remat' not in plain
  assert 'remat' in program
  assert jax.tree.structure(once) == jax.tree.structure(again)
  scale = max(float(np.abs(x).max()) for x in jax.tree.leaves(once))
  for a, b in zip(jax.tree.leaves(once), jax.tree.leaves(again), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6 * scale)


@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_remat_reaches_every_block(player: str):
  network, given = small(player, jnp.float32, remat=True)
  params, vars = jax.eval_shape(network.init, KEY)
  program = str(
    jax.make_jaxpr(
      lambda p, v: network.apply(p, v, given, key=KEY, mode=types.TRAIN)[0]
    )(params, vars)
  )
  assert program.count('remat') == {'gen': 3, 'disc': 4}[player]


def check_half_precision(
  make: Callable[[Any], types.Network], given: Any
) -> None:
  """Activations are bfloat16, what comes out is float32 and much the same.

  Args:
    make: of a dtype; of images 32x32, two at once.
    given: the network's input.
  """

  def found(dtype: Any) -> tuple[jax.Array, str]:
    network = make(dtype)
    params, vars = drawn(network)

    def apply(params: types.PyTree) -> jax.Array:
      return network.apply(params, vars, given, key=KEY, mode=types.TRAIN)[0]

    return jax.jit(apply)(params), str(jax.make_jaxpr(apply)(params))

  (exact, _), (coarse, program) = found(jnp.float32), found(jnp.bfloat16)
  assert coarse.dtype == jnp.float32
  assert 'bf16[2,32,32,' in program
  # Statistics and softmax are float32. Of products, D's last layer and the row
  # of the class that is projected on are, and no other.
  products = re.findall(r':f32\[([\d,]*)\] = (?:conv|dot_general)\[', program)
  last = ['2,1', '2,8'] if isinstance(given, types.Batch) else []
  assert products == last
  error = np.abs(coarse - exact).mean() / np.abs(exact).mean()
  assert 0 < error < 0.1


@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_half_precision(player: str):
  _, given = small(player, jnp.float32)
  check_half_precision(lambda dtype: small(player, dtype)[0], given)
