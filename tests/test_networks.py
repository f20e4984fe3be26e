"""Architectures: shapes, sizes they refuse, and the papers' constants."""

import functools
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.networks import (
  adapter,
  dcgan,
  layers,
  maxout,
  mlp,
  r3gan,
  small_dcgan,
)
from gan_jax.ops import linear, resample

KEY = jax.random.key(0)


def parameters(module, example: types.Latent | types.Batch) -> dict:
  init = functools.partial(module.init, mode=types.EVAL)
  return jax.jit(init)(KEY, example)['params']


def shapes(module, example: types.Latent | types.Batch) -> dict:
  init = functools.partial(module.init, mode=types.EVAL)
  return jax.eval_shape(init, KEY, example)['params']


def made(generator, disc) -> tuple[tuple[int, ...], tuple[int, ...]]:
  """The shapes of two samples of fresh networks, and of their logits."""

  def both(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, _ = generator.init_with_output(KEY, types.Latent(z), types.EVAL)
    return x, disc.init_with_output(KEY, types.Batch(x), types.EVAL)[0]

  z = jax.ShapeDtypeStruct((2, 5), jnp.float32)
  x, logits = jax.eval_shape(both, z)
  return x.shape, logits.shape


def latent(size: int) -> types.Latent:
  return types.Latent(jnp.zeros((1, size)))


def batch(*shape: int) -> types.Batch:
  return types.Batch(jnp.zeros((1, *shape)))


@pytest.mark.parametrize('size', [8, 10, 12, 14, 28, 32, 48, 64, 96, 128])
def test_dcgan_sizes(size: int):
  generator = dcgan.Generator((size, size, 3), dcgan.GenSettings(width=32))
  disc = dcgan.Discriminator(dcgan.DiscSettings(width=32))
  assert made(generator, disc) == ((2, size, size, 3), (2,))


@pytest.mark.parametrize(
  'shape', [(4, 4, 1), (25, 25, 1), (36, 36, 3), (28, 32, 1), (1,)]
)
def test_dcgan_refuses(shape: tuple[int, ...]):
  with pytest.raises(ValueError, match='dcgan makes'):
    dcgan.stages(shape)


def test_dcgan_32_is_the_papers():
  params = parameters(dcgan.Generator((32, 32, 3)), latent(100))
  kernels = [
    params[name]['kernel'].shape
    for name in ('Dense_0', *(f'Conv_{i}' for i in range(3)))
  ]
  assert kernels == [
    (100, 4 * 4 * 512), (4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 3)
  ]  # fmt: skip
  kernel = params['Conv_0']['kernel']
  assert float(kernel.std()) == pytest.approx(0.02, rel=0.01)
  disc = dcgan.Discriminator()
  params = parameters(disc, batch(32, 32, 3))
  assert 'BatchNorm_1' in params
  assert 'BatchNorm_2' not in params  # None on the first stage.


def test_dcgan_of_other_stages():
  """Any size halves as often as is said, rounded up."""
  assert dcgan.sides((28, 28, 3), 4) == [28, 14, 7, 4, 2]
  assert dcgan.sides((28, 28, 3), 0) == [28, 14, 7]
  generator = dcgan.Generator(
    (9, 9, 3), dcgan.GenSettings(width=16, kernel=5, stages=4, norm_groups=2)
  )
  disc = dcgan.Discriminator(dcgan.DiscSettings(width=16, kernel=5, stages=4))
  assert made(generator, disc) == ((2, 9, 9, 3), (2,))
  message = 'data.size=8: dcgan of 4 stages .* of at least 9 pixels'
  with pytest.raises(ValueError, match=message):
    dcgan.sides((8, 8, 3), 4)
  with pytest.raises(ValueError, match=r'norm_groups=2: .* by class has one'):
    made(dcgan.Generator((9, 9, 3), generator.settings, classes=3), disc)


@pytest.mark.parametrize('size', [8, 9, 28, 33])
def test_small_dcgan_sizes(size: int):
  generator = small_dcgan.Generator((size, size, 3))
  disc = small_dcgan.Discriminator()
  assert made(generator, disc) == ((2, size, size, 3), (2,))


def test_small_dcgan_is_pacgans():
  """The parameters of their code at 28 x 28, counted by its layers."""
  params = shapes(small_dcgan.Generator((28, 28, 3)), latent(256))
  kernels = [(64, 32), (32, 16), (16, 8), (8, 3)]
  assert [params[f'Conv_{i}']['kernel'].shape for i in range(4)] == [
    (3, 3, *kernel) for kernel in kernels
  ]
  count = sum(x.size for x in jax.tree.leaves(params))
  linear, norms = 257 * 1024, 2 * (64 + 32 + 16 + 8)
  assert count == linear + norms + sum(9 * i * o + o for i, o in kernels)
  params = shapes(small_dcgan.Discriminator(), batch(28, 28, 3))
  count = sum(x.size for x in jax.tree.leaves(params))
  kernels = [(3, 2), (2, 4), (4, 8)]
  convolutions = sum(9 * i * o + o for i, o in kernels)
  assert count == convolutions + 2 * (2 + 4 + 8) + 4 * 4 * 8 + 1
  with pytest.raises(ValueError, match='small_dcgan makes square images'):
    small_dcgan.sides((28, 32, 3))
  with pytest.raises(ValueError, match=r'data.size=7: .* at least 8 x 8'):
    small_dcgan.sides((7, 7, 3))
  for player, least in (('gen', 8), ('disc', 4)):
    config = configs.Config()
    getattr(config, player).name = 'small_dcgan'
    getattr(config, player).net = {'width': least - 1}
    with pytest.raises(ValueError, match=f'{player}.net.width={least - 1}: mu'):
      build.complete(config)


def test_packed_samples_are_normalised_apart():
  """Each third of a batch by its own moments, as PacGAN's code does."""
  x = np.random.default_rng(0).normal(1.0, 3.0, (12, 2, 5)).astype(np.float32)
  norm = layers.batch_norm(
    types.TRAIN, jnp.float32, epsilon=0.1, momentum=0.95, groups=3
  )
  own = norm.init(KEY, x)
  y, changed = norm.apply(own, x, mutable=['batch_stats'])
  parts = np.split(x, 3)
  means, variances = (
    np.array([f(part, axis=(0, 1)) for part in parts])
    for f in (np.mean, np.var)
  )
  expected = [
    (part - mean) / np.sqrt(var + 0.1)
    for part, mean, var in zip(parts, means, variances, strict=True)
  ]
  np.testing.assert_allclose(y, np.concatenate(expected), atol=1e-5)
  stats = jax.tree.map(np.asarray, changed['batch_stats'])
  np.testing.assert_allclose(stats['mean'], 0.05 * means.mean(0), atol=1e-6)
  var = 0.95 + 0.05 * variances.mean(0)
  np.testing.assert_allclose(stats['var'], var, rtol=1e-5)
  norm = layers.batch_norm(types.EVAL, jnp.float32, epsilon=0.1, groups=3)
  y = norm.apply({'params': own['params'], **changed}, x[:4])
  expected = (x[:4] - stats['mean']) / np.sqrt(var + 0.1)
  np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize('name', ['mlp', 'small_dcgan'])
def test_groups_must_divide_a_batch(name: str):
  config = configs.Config(batch_size=3, packing=2)
  config.gen.name = name
  config.gen.net = {'norm_groups': 4}
  info = sources.Info('images', (8, 8, 1))
  message = 'gen.net.norm_groups=4: must divide the 6 inputs of its batch'
  with pytest.raises(ValueError, match=message):
    build.make_spec(config, info)


@pytest.mark.parametrize('side', [7, 8])
@pytest.mark.parametrize('kernel', [3, 4, 5])
def test_images_grow_as_in_tensorflow(kernel: int, side: int):
  """From 4 by the transpose of its 'SAME' convolution to 4."""
  x = jax.random.normal(KEY, (2, 4, 4, 5))
  grow = layers.Conv(3, kernel, 2, True, use_bias=False)
  variables = grow.init(KEY, x)
  # Its kernel, turned and with the channels exchanged, shrinks again.
  turned = variables['params']['kernel'][::-1, ::-1].swapaxes(2, 3)
  shrink = functools.partial(
    jax.lax.conv_general_dilated,
    rhs=turned,
    window_strides=(2, 2),
    padding='SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  large = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
  expected = jax.linear_transpose(shrink, large)(x)[0]
  ours = layers.crop(grow.apply(variables, x), side, kernel)
  np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_networks_of_2014():
  generator = maxout.Generator((28, 28, 1))
  params = parameters(generator, latent(100))
  assert [params[f'Dense_{i}']['kernel'].shape for i in range(3)] == [
    (100, 1200), (1200, 1200), (1200, 784)
  ]  # fmt: skip
  kernel = np.asarray(params['Dense_1']['kernel'])
  assert np.abs(kernel).max() <= 0.05
  assert kernel.std() == pytest.approx(0.05 / np.sqrt(3), rel=0.01)
  disc = maxout.Discriminator()
  params = parameters(disc, batch(28, 28, 1))
  names = 'DenseGeneral_0', 'DenseGeneral_1', 'Dense_0'
  assert [params[name]['kernel'].shape for name in names] == [
    (784, 5, 240), (240, 5, 240), (240, 1)
  ]  # fmt: skip
  first = np.asarray(params['DenseGeneral_0']['kernel'])
  assert np.abs(first).max() <= 0.005
  assert first.std() == pytest.approx(0.005 / np.sqrt(3), rel=0.01)


def test_maxout_unit_by_hand():
  """The largest of each unit's pieces, dropout off in evaluation."""
  disc = maxout.Discriminator(maxout.DiscSettings(width=2, depth=1, pieces=3))
  x = jnp.array([[1.0, -2.0]])
  variables = disc.init(KEY, types.Batch(x), types.EVAL)
  params = jax.tree.map(np.asarray, variables['params'])
  kernel = params['DenseGeneral_0']['kernel']  # [inputs, pieces, units]
  hidden = (kernel[0] - 2 * kernel[1]).max(axis=0)
  expected = hidden[None] @ params['Dense_0']['kernel'][:, 0]
  np.testing.assert_allclose(
    disc.apply(variables, types.Batch(x), types.EVAL), expected, rtol=1e-5
  )


def test_dropout_keeps_the_mean_and_differs_by_key():
  disc = maxout.Discriminator(
    maxout.DiscSettings(width=64, depth=1, kernel_scale=0.5)
  )
  x = jnp.ones((1, 20))
  variables = disc.init(KEY, types.Batch(x), types.EVAL)

  def apply(key: jax.Array) -> jax.Array:
    return disc.apply(
      variables, types.Batch(x), types.TRAIN, rngs={'dropout': key}
    )

  a, b = apply(jax.random.key(1)), apply(jax.random.key(2))
  assert not np.allclose(a, b)
  np.testing.assert_array_equal(a, apply(jax.random.key(1)))


def test_generator_starts_at_the_data_marginals():
  marginals = np.linspace(-0.9, 0.9, 4).reshape(2, 2, 1).astype(np.float32)
  generator = maxout.Generator(
    (2, 2, 1),
    maxout.GenSettings(width=8, kernel_scale=1e-6),
    marginals=marginals,
  )
  x, _ = generator.init_with_output(KEY, latent(3), types.EVAL)
  np.testing.assert_allclose(x[0], marginals, atol=1e-4)


def test_mlp_is_a_stack_of_linear_layers():
  disc = mlp.Discriminator(
    mlp.DiscSettings(width=4, depth=2, activation='tanh')
  )
  x = jax.random.normal(KEY, (3, 2))
  variables = disc.init(KEY, types.Batch(x), types.EVAL)
  h = np.asarray(x)
  for i in range(3):
    layer = variables['params'][f'Dense_{i}']
    h = h @ np.asarray(layer['kernel']) + np.asarray(layer['bias'])
    h = np.tanh(h) if i < 2 else h
  np.testing.assert_allclose(
    disc.apply(variables, types.Batch(x), types.EVAL), h[:, 0], rtol=1e-5
  )


def test_relu_is_flaxs():
  """Its slopes too; what is not a number stays so."""
  x = jnp.array([-jnp.inf, -2.0, -0.0, 0.0, 1e-40, 3.0, jnp.inf])
  for ours, theirs in (
    (linear.relu, jax.nn.relu),
    (jax.vmap(jax.grad(linear.relu)), jax.vmap(jax.grad(jax.nn.relu))),
  ):
    np.testing.assert_array_equal(ours(x), theirs(x))
  assert jnp.isnan(linear.relu(jnp.nan))
  assert linear.relu(jnp.bfloat16(2)).dtype == jnp.bfloat16


def test_single_samples_as_vectors_under_vmap():
  """The same layer, and for its kernel's gradient XLA transposes nothing."""
  layer = layers.dense(3, 'normal', 1.0, jnp.float32)
  x, slopes = (jax.random.normal(KEY, (64, n)) for n in (5, 3))
  variables = layer.init(KEY, x)

  def singly(variables: dict, x: jax.Array) -> jax.Array:
    return jax.vmap(lambda x: layer.apply(variables, x[None])[0])(x)

  y, pull = jax.vjp(singly, variables, x)
  expected, expected_pull = jax.vjp(layer.apply, variables, x)
  np.testing.assert_allclose(y, expected, rtol=1e-6)
  for ours, theirs in zip(
    jax.tree.leaves(pull(slopes)),
    jax.tree.leaves(expected_pull(slopes)),
    strict=True,
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
  compiled = jax.jit(lambda y: pull(y)[0]).lower(slopes).compile()
  assert ' copy(' not in compiled.as_text()


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_parameters_and_outputs_are_float32(dtype: jnp.dtype):
  settings = dcgan.GenSettings(width=8)
  network = adapter.as_network(
    dcgan.Generator((8, 8, 1), settings, dtype=dtype), latent(3)
  )
  params, vars = network.init(KEY)
  z = types.Latent(jnp.ones((2, 3)))
  y, _ = network.apply(params, vars, z, key=KEY, mode=types.TRAIN)
  leaves = [y, *jax.tree.leaves((params, vars))]
  assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}


def test_evaluation_leaves_statistics_alone():
  network = adapter.as_network(
    dcgan.Generator((8, 8, 1), dcgan.GenSettings(width=8)), latent(3)
  )
  params, vars = network.init(KEY)
  z = types.Latent(jax.random.normal(KEY, (4, 3)))
  _, kept = network.apply(params, vars, z, key=KEY, mode=types.EVAL)
  _, moved = network.apply(params, vars, z, key=KEY, mode=types.TRAIN)
  same = jax.tree.map(lambda a, b: bool((a == b).all()), kept, vars)
  assert all(jax.tree.leaves(same))
  same = jax.tree.map(lambda a, b: bool((a == b).all()), moved, vars)
  assert not any(jax.tree.leaves(same))


@pytest.mark.parametrize('size', [4, 8, 32, 64])
def test_r3gan_sizes(size: int):
  generator = r3gan.Generator(
    (size, size, 3), r3gan.GenSettings(width=8, groups=4)
  )
  disc = r3gan.Discriminator(r3gan.DiscSettings(width=8, groups=4))
  assert made(generator, disc) == ((2, size, size, 3), (2,))


@pytest.mark.parametrize('shape', [(2, 2, 1), (28, 28, 1), (8, 4, 3), (1,)])
def test_r3gan_refuses(shape: tuple[int, ...]):
  with pytest.raises(ValueError, match='r3gan makes'):
    r3gan.stages(shape)


def test_r3gan_refuses_groups_that_do_not_divide():
  disc = r3gan.Discriminator(r3gan.DiscSettings(width=8, groups=3))
  with pytest.raises(ValueError, match='groups=3: must divide'):
    shapes(disc, batch(8, 8, 3))


def test_r3gan_for_cifar_is_the_papers():
  """Blocks of three layers, and their constants."""
  params = shapes(r3gan.Generator((32, 32, 3)), latent(64))
  assert {
    name: leaf['kernel'].shape
    for name, leaf in params['Block_7'].items()
    if name.startswith('Conv')
  } == {
    'Conv_0': (1, 1, 768, 1536),
    'Conv_1': (3, 3, 16, 1536),
    'Conv_2': (1, 1, 1536, 768),
  }


def test_r3gan_weights_have_the_papers_variance():
  params = parameters(
    r3gan.Discriminator(r3gan.DiscSettings(width=64, groups=8)),
    batch(32, 32, 3),
  )
  gain = 1.3867504906 / 8**0.25  # sqrt(2 / 1.04); 8 blocks in 4 stages.
  block = params['Block_0']
  for name, fan_in in (('Conv_0', 64), ('Conv_1', 9 * 16)):
    std = float(block[name]['kernel'].std())
    assert std * np.sqrt(fan_in) == pytest.approx(gain, rel=0.03)
  assert not np.any(block['Conv_2']['kernel'])
  assert float(params['basis'].std()) * 4 == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_the_largest_and_its_gradient(axis: int):
  x = jax.random.normal(KEY, (3, 4, 5))
  own, pull = jax.vjp(lambda x: layers.largest(x, axis), x)
  theirs, their_pull = jax.vjp(lambda x: x.max(axis=axis), x)
  np.testing.assert_array_equal(own, theirs)
  g = jax.random.normal(jax.random.key(1), own.shape)
  np.testing.assert_array_equal(pull(g)[0], their_pull(g)[0])
  assert np.isnan(layers.largest(jnp.array([1, jnp.nan, 2]), 0))
  # One of equal ones has it all.
  alike = jax.grad(lambda x: layers.largest(x, axis).sum())(jnp.ones(x.shape))
  np.testing.assert_array_equal(alike.sum(axis=axis), 1)
  assert set(np.unique(alike)) == {0, 1}


def test_r3gan_block_starts_as_the_identity():
  x = jax.random.normal(KEY, (2, 4, 4, 8))
  y, variables = r3gan.Block(4, 1.0).init_with_output(KEY, x)
  np.testing.assert_array_equal(y, x)
  moved = jax.tree.map(lambda p: p + 0.1, variables)
  assert not np.allclose(r3gan.Block(4, 1.0).apply(moved, x), x)
  # As fix-up has it (Zhang et al. 2019): gradients pass as they come, and in a
  # block only the last layer is moved by the first step.
  g = jax.random.normal(jax.random.key(1), x.shape)
  _, pull = jax.vjp(r3gan.Block(4, 1.0).apply, variables, x)
  of_params, of_x = pull(g)
  np.testing.assert_array_equal(of_x, g)
  flat = traverse_util.flatten_dict(of_params['params'])
  moves = {path[0] for path, grad in flat.items() if np.abs(grad).max() > 0}
  assert moves == {'Conv_2'}


def test_r3gan_branches_start_with_fixups_moments():
  """Of L blocks, each activation has L^-1/2 times the one before it."""
  blocks = 8
  x = jax.random.normal(KEY, (16, 16, 16, 64))
  block = r3gan.Block(4, r3gan.block_gain(blocks))
  _, variables = block.init_with_output(KEY, x)
  _, seen = block.apply(variables, x, capture_intermediates=True)
  moments = [
    # Away from the borders, beyond which there are zeros.
    float(jnp.square(values[0][:, 1:-1, 1:-1]).mean())
    for name in ('BiasedActivation_0', 'BiasedActivation_1', 'Conv_2')
    for values in seen['intermediates'][name].values()
  ]
  assert moments == pytest.approx([blocks**-0.5, 1 / blocks, 0], rel=0.05)


def test_r3gan_starts_linear():
  """All its blocks are the identity, and nothing else is not linear."""
  own = {'width': (16, 16, 8), 'depth': 2, 'groups': (4, 4, 2)}
  label = jnp.array([0, 1, 1])
  disc = r3gan.Discriminator(r3gan.DiscSettings(**own, embedding=16), 2)
  gen = r3gan.Generator((16, 16, 3), r3gan.GenSettings(**own))
  a, b = jax.random.normal(KEY, (2, 3, 16, 16, 3))
  z, w = a[:, 0, :6, 0], b[:, 0, :6, 0]
  mode = types.EVAL

  @jax.jit
  def both(x: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    of_x, _ = disc.init_with_output(KEY, types.Batch(x, label), mode)
    return of_x, gen.init_with_output(KEY, types.Latent(z), mode)[0]

  for one, other, mixed in zip(
    both(a, z), both(b, w), both(2 * a - b, 2 * z - w), strict=True
  ):
    assert np.abs(mixed).max() > 0.01
    np.testing.assert_allclose(mixed, 2 * one - other, rtol=1e-4, atol=1e-5)


def test_r3gan_block_by_hand():
  """Against loops over pixels, taps and groups in numpy."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(1, 3, 3, 2)).astype(np.float32)
  block = r3gan.Block(2, 1.0)
  variables = jax.tree.map(
    lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32),
    block.init(KEY, x),
  )
  p = jax.tree.map(np.asarray, variables['params'])

  def activate(h: np.ndarray, name: str) -> np.ndarray:
    h = h + p[name]['bias']
    return np.where(h > 0, h, 0.2 * h)

  h = activate(x @ p['Conv_0']['kernel'][0, 0], 'BiasedActivation_0')
  padded = np.pad(h, ((0, 0), (1, 1), (1, 1), (0, 0)))
  y = np.zeros_like(h)
  for i, j in itertools.product(range(3), range(3)):
    for group in range(2):
      own = slice(2 * group, 2 * group + 2)
      patch = padded[:, i : i + 3, j : j + 3, own]
      y[..., own] += patch @ p['Conv_1']['kernel'][i, j][:, own]
  expected = x + activate(y, 'BiasedActivation_1') @ p['Conv_2']['kernel'][0, 0]
  np.testing.assert_allclose(block.apply(variables, x), expected, rtol=1e-4)


def test_r3gan_resampling_is_the_filters():
  """Up: zeros between pixels, then the filter; down: its transpose / 4."""
  x = np.random.default_rng(0).normal(size=(1, 4, 6, 2)).astype(np.float32)
  filter = np.array([1, 3, 3, 1]) / 8
  spread = np.zeros((12, 16, 2))
  spread[2:10:2, 2:14:2] = x[0]  # Room for the filter at the borders.
  kernel = 4 * np.outer(filter, filter)
  windows = np.lib.stride_tricks.sliding_window_view(spread, (4, 4), (0, 1))
  up = np.einsum('hwcij,ij->hwc', windows, kernel)[:8, :12]
  np.testing.assert_allclose(resample.upsample(x)[0], up, rtol=1e-5, atol=1e-6)
  y = np.random.default_rng(1).normal(size=(1, 8, 12, 2)).astype(np.float32)
  # <upsample(x), y> = 4 <x, downsample(y)>.
  assert np.vdot(up, y) == pytest.approx(
    4 * np.vdot(x, resample.downsample(y)), rel=1e-4
  )


def test_smoothing_is_the_filters():
  """With one row of zeros beyond each border, and with two."""
  x = np.random.default_rng(0).normal(size=(1, 4, 6, 2)).astype(np.float32)
  filter = np.array([1, 3, 3, 1]) / 8
  for f, pad in ((resample.narrow, 1), (resample.widen, 2)):
    padded = np.pad(x[0], ((pad, pad), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), (0, 1))
    expected = np.einsum('hwcij,ij->hwc', windows, np.outer(filter, filter))
    np.testing.assert_allclose(f(x)[0], expected, rtol=1e-5, atol=1e-6)


def test_downsample_rejects_odd_sides():
  with pytest.raises(ValueError, match='even sides'):
    resample.downsample(jnp.zeros((1, 4, 5, 2)))


@pytest.mark.parametrize(
  'f',
  [resample.upsample, resample.downsample, resample.narrow, resample.widen],
)
def test_resampling_is_linear_and_maps(f: Callable[[jax.Array], jax.Array]):
  """Its matrix, from unit vectors, is its Jacobian's by either mode."""
  basis = jnp.eye(32).reshape(32, 4, 4, 2)
  matrix = f(basis).reshape(32, -1).T
  flat = lambda x: f(x.reshape(4, 4, 2)).reshape(-1)  # noqa: E731
  x = jnp.zeros(32)
  np.testing.assert_allclose(jax.jacfwd(flat)(x), matrix, atol=1e-7)
  np.testing.assert_allclose(jax.jacrev(flat)(x), matrix, atol=1e-7)
  # R1's derivative, of the squared norm of a gradient.
  quartic = lambda x: jnp.square(flat(x)).sum() / 2  # noqa: E731
  norm = lambda x: jnp.square(jax.grad(quartic)(x)).sum() / 2  # noqa: E731
  x = jax.random.normal(jax.random.key(0), (32,))
  square = matrix.T @ matrix
  np.testing.assert_allclose(
    jax.grad(norm)(x), square @ square @ x, rtol=1e-3, atol=1e-5
  )
  mapped = jax.vmap(f, 3, 3)(jnp.moveaxis(basis, 0, 3))
  np.testing.assert_array_equal(jnp.moveaxis(mapped, 3, 0), f(basis))


def test_a_spread_first_layer_bends_all_over_its_inputs():
  """Its scale and its biases differ from those of the others."""
  wide = mlp.GenSettings(width=4000, depth=2, spread=3.0)
  params = parameters(mlp.Generator((1,), wide), latent(1))
  first, second = params['Dense_0'], params['Dense_1']
  assert first['kernel'].std() == pytest.approx(3, rel=0.05)
  # U(-3, 3).
  assert jnp.abs(first['bias']).max() == pytest.approx(3, rel=0.01)
  assert first['bias'].mean() == pytest.approx(0, abs=0.1)
  assert second['kernel'].std() == pytest.approx(4000**-0.5, rel=0.05)
  assert not second['bias'].any()


@pytest.mark.parametrize('up', [True, False])
def test_a_box_stands_for_resampling(up: bool):
  """Nearest neighbours before a convolution, or means of 2x2 after it."""
  x = jax.random.normal(KEY, (2, 6, 6, 3))
  plain = layers.Conv(4, 3)
  variables = plain.init(KEY, x)
  if up:
    expected = plain.apply(variables, x.repeat(2, axis=1).repeat(2, axis=2))
  else:
    y = plain.apply(variables, x)
    expected = y.reshape(2, 3, 2, 3, 2, 4).mean(axis=(2, 4))
  found = layers.Conv(4, 3, 2, up, box=True).apply(variables, x)
  np.testing.assert_allclose(found, expected, atol=1e-5)
