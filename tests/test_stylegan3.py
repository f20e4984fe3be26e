"""StyleGAN3: the authors' own answers, and what its images move with."""

import dataclasses
import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import make_stylegan3_fixture as fixture
import numpy as np
import pytest
from flax import traverse_util

from experiments import recipes
from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import draws, steps
from gan_jax.networks import adapter, alias_free, authors, stylegan3

KEY = jax.random.key(0)
SHAPE = (fixture.SIDE, fixture.SIDE, 3)

# Compiling is what takes time here.
quick = functools.partial(
  jax.jit, compiler_options={'xla_backend_optimization_level': 0}
)


@pytest.fixture(scope='module')
def kept() -> dict[str, np.ndarray]:
  with np.load(fixture.PATH) as file:
    return dict(file)


def settings_of(case: fixture.Case, **changed: Any) -> stylegan3.GenSettings:
  fields: dict[str, Any] = {
    'width': case.width, 'channel_base': 64, 'w_dim': fixture.W_DIM,
    'layers': fixture.LAYERS, 'critical': 1, 'margin': 4, 'kernel': case.kernel,
    'radial': case.radial, 'clamp': case.clamp,
    'magnitude_half_life': fixture.HALF_LIFE,
  }  # fmt: skip
  return stylegan3.GenSettings(**fields | changed)


def network(
  settings: stylegan3.GenSettings,
  classes: int = 0,
  side: int = fixture.SIDE,
  **options: Any,
) -> types.Network:
  z: Any = jax.ShapeDtypeStruct((1, fixture.LATENT_DIM), jnp.float32)
  label: Any = jax.ShapeDtypeStruct((1,), jnp.int32) if classes else None
  module = stylegan3.Generator((side, side, 3), settings, classes, **options)
  return adapter.as_network(module, types.Latent(z, label))


# By the names of the fixture.
LAYOUT = authors.stylegan3_layout(())


def shape_there(
  path: tuple[str, ...], shape: tuple[int, ...]
) -> tuple[int, ...]:
  if len(shape) == 4:
    return *shape[:1:-1], *shape[:2]
  return shape if path[-1] == 'frequencies' else shape[::-1]


def seeded(tree: types.PyTree) -> types.PyTree:
  """The fixture's arrays in the shape of ours."""
  shapes = {
    LAYOUT.name(path): shape_there(path, leaf.shape)
    for path, leaf in traverse_util.flatten_dict(tree).items()
  }
  drawn = authors.fill(tree, LAYOUT, fixture.weights(shapes))
  return jax.tree.map(jnp.asarray, drawn)


def made(net: types.Network) -> tuple[types.PyTree, types.PyTree]:
  """Parameters and `vars` of the fixture, without compiling `init`."""
  params, vars = jax.eval_shape(net.init, KEY)
  return seeded(params), {name: seeded(tree) for name, tree in vars.items()}


def latent_of(case: fixture.Case) -> types.Latent:
  label = fixture.labels(case)
  z = jnp.asarray(fixture.draw('z', fixture.BATCH, fixture.LATENT_DIM))
  return types.Latent(z, None if label is None else jnp.asarray(label))


def assert_near(ours: Any, expected: Any, tolerance: float, name: str) -> None:
  """Relative to the largest of them."""
  assert ours.shape == expected.shape, name
  error = np.abs(np.asarray(ours) - expected).max()
  assert error <= tolerance * np.abs(expected).max() + 1e-7, (name, error)


@pytest.mark.parametrize('name', fixture.CASES)
def test_answers_of_the_authors_code(name: str, kept: dict[str, np.ndarray]):
  """Latents, images as they are and moved, gradients, running averages."""
  case = fixture.CASES[name]
  gen = network(settings_of(case), case.classes)
  params, vars = made(gen)
  latent = latent_of(case)
  images = kept[f'{name}/images']
  y = jnp.asarray(fixture.draw('y', *images.shape).transpose(0, 2, 3, 1))
  own = {'key': KEY, 'mode': types.EVAL}

  @quick
  def play(params: types.PyTree) -> dict[str, Any]:
    ws, _ = gen.methods['map'](params, vars, latent, **own)

    def loss(params: types.PyTree, ws: jax.Array) -> tuple[Any, jax.Array]:
      x, same = gen.methods['synthesise'](params, vars, ws, **own)
      assert same is vars
      return (x * y).sum(), x

    grads, x = jax.grad(loss, (0, 1), has_aux=True)(params, ws)
    trained, after = gen.apply(params, vars, latent, key=KEY, mode=types.TRAIN)
    average = vars['averages']['w'][None]
    found = {
      'w': ws[:, -1], 'truncated': average + 0.7 * (ws[:, 0] - average),
      'images': x, 'trained': trained, 'grad/ws': grads[1],
      'params': grads[0], 'vars': after,
    }  # fmt: skip
    if case.radial:
      moved = ws, jnp.asarray(fixture.transform())
      enter = gen.methods['synthesise_moved']
      found['moved'], _ = enter(params, vars, moved, **own)
    return found

  found = play(params)
  for key in {'images', 'moved', 'trained'} & found.keys():
    found[key] = found[key].transpose(0, 3, 1, 2)
  for path, x in traverse_util.flatten_dict(found.pop('params')).items():
    if path[0] == 'synthesis':
      array = x.transpose(3, 2, 0, 1) if x.ndim == 4 else x.T
      found[f'grad/{LAYOUT.name(path)}'] = array
  after = found.pop('vars')
  for path, x in traverse_util.flatten_dict(after['averages']).items():
    found[f'after/{LAYOUT.name(path)}'] = x
  theirs = {
    key.partition('/')[2] for key in kept
    if key.startswith(f'{name}/') and '/filter/' not in key
  }  # fmt: skip
  assert theirs == found.keys()
  for key, ours in found.items():
    assert_near(ours, kept[f'{name}/{key}'], 1e-4, key)
  for path, x in traverse_util.flatten_dict(after['constants']).items():
    own_tree = traverse_util.flatten_dict(vars['constants'])
    np.testing.assert_array_equal(x, own_tree[path])


@pytest.mark.parametrize('name', fixture.CASES)
def test_filters_of_the_authors_code(name: str, kept: dict[str, np.ndarray]):
  """By Kaiser's window, and the radial ones of configuration R."""
  settings = settings_of(fixture.CASES[name])
  signals = stylegan3.signals(settings, SHAPE)
  options = stylegan3.options(settings)
  for i in range(fixture.LAYERS):
    filters = alias_free.filters_between(
      signals[max(i - 1, 0)], signals[i], options,
      critical=i >= fixture.LAYERS - 1,
    )  # fmt: skip
    for key, ours in (
      ('up', filters.up_taps),
      ('down', filters.down_taps),
    ):
      theirs = kept[f'{name}/filter/l{i}.{key}_filter']
      np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)
  # The last one is critically sampled, and never radial.
  kinds = [
    kept[f'{name}/filter/l{i}.down_filter'].ndim for i in range(fixture.LAYERS)
  ]
  assert kinds == ([2, 2, 1] if settings.radial else [1, 1, 1])


def test_the_layers_of_the_authors_code():
  """Configuration T's at 1024x1024; R has twice the channels."""
  t = stylegan3.signals(stylegan3.GenSettings(), (1024, 1024, 3))
  assert [s.rate for s in t] == [
    16, 16, 32, 32, 64, 128, 128, 256, 256, 512, 1024, 1024, 1024, 1024, 1024
  ]  # fmt: skip
  assert [s.size for s in t] == [*(s.rate + 20 for s in t[:-2]), 1024, 1024]
  assert [s.channels for s in t] == [
    512, 512, 512, 512, 512, 512, 512, 323, 203, 128, 81, 51, 32, 32, 3
  ]  # fmt: skip
  settings = stylegan3.GenSettings(width=1024, channel_base=65536)
  r = stylegan3.signals(settings, (1024, 1024, 3))
  assert [s.channels for s in r][7:] == [645, 406, 256, 161, 102, 64, 64, 3]


def psnr(error: jax.Array) -> float:
  """In dB, of images whose values span 2."""
  return float(10 * np.log10(4 / np.square(error).mean()))


def images_and_moved(
  name: str, transform: np.ndarray, side: int = fixture.SIDE, **changed: Any
) -> tuple[np.ndarray, np.ndarray]:
  """Those of a case of the fixture, `[B, H, W, 3]`."""
  case = fixture.CASES[name]._replace(clamp=None)
  gen = network(settings_of(case, margin=10, **changed), side=side)
  params, vars = made(gen)
  latent = latent_of(case)._replace(label=None)

  @quick
  def play(params: types.PyTree) -> tuple[jax.Array, jax.Array]:
    own = {'key': KEY, 'mode': types.EVAL}
    ws, _ = gen.methods['map'](params, vars, latent, **own)
    x, _ = gen.methods['synthesise'](params, vars, ws, **own)
    moved = ws, jnp.asarray(transform, jnp.float32)
    y, _ = gen.methods['synthesise_moved'](params, vars, moved, **own)
    return x, y

  x, y = play(params)
  return np.asarray(x), np.asarray(y)


@pytest.mark.parametrize('name', ['t', 'r'])
def test_images_move_with_their_input(name: str):
  """By whole samples of all layers, to rounding (appendix E)."""
  transform = np.eye(3)
  transform[:2, 2] = 3 / fixture.SIDE, -2 / fixture.SIDE
  x, moved = images_and_moved(name, transform)
  # What is 3 to the right and 2 above is looked up.
  there, here = moved[:, 2:, :-3], x[:, :-2, 3:]
  assert psnr(there - here) > 90


def test_half_samples_need_the_filters():
  """A pixel is half a sample of the first layers."""
  transform = np.eye(3)
  transform[0, 2] = 1 / 32
  found = []
  for up in (1, 2):
    x, moved = images_and_moved(
      't', transform, side=32, upsampling=up, layers=4
    )
    found.append(psnr(moved[:, :, :-1] - x[:, :, 1:]))
  assert found[1] > found[0] + 30, found


def test_configuration_r_turns_with_its_input():
  """By a quarter, to rounding; configuration T does not (appendix E)."""
  quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
  found = {}
  for name in ('t', 'r'):
    x, turned = images_and_moved(name, quarter)
    found[name] = psnr(turned - np.rot90(x, axes=(1, 2)))
  assert found['r'] > 90 > found['t'] + 30, found


def test_first_weights():
  """Of the first activations, and constants that differ from seed to seed."""
  settings = stylegan3.GenSettings(width=64, w_dim=6, depth=1, layers=3)
  gen = network(settings)
  init = quick(gen.init)
  params, vars = init(KEY)
  _, other = init(jax.random.key(1))
  waves = vars['constants']['synthesis']['input']
  length = np.linalg.norm(waves['frequencies'], axis=1)
  # Even on a disc: of radius r there is r^2 of the largest.
  assert length.max() <= settings.first_cutoff
  share = np.square(length / settings.first_cutoff)
  assert share.mean() == pytest.approx(0.5, abs=0.1)
  assert np.abs(waves['phases']).max() <= 0.5
  again = other['constants']['synthesis']['input']
  for name, x in waves.items():
    assert not np.isclose(x, again[name]).any()
  affine = params['synthesis']['input']['affine']
  np.testing.assert_array_equal(affine['kernel'], 0)
  np.testing.assert_array_equal(affine['bias'], [1, 0, 0, 0])
  averages = vars['averages']
  assert averages['synthesis']['l0']['magnitude'] == 1
  np.testing.assert_array_equal(averages['w'], 0)


def test_remat_changes_nothing():
  """Of gradients, and of the averages that move on the way."""
  latent = latent_of(fixture.CASES['t'])._replace(label=None)

  def gradients(remat: bool) -> tuple[Any, str]:
    gen = network(settings_of(fixture.CASES['r'], layers=2, remat=remat))
    params, vars = made(gen)

    def loss(params: types.PyTree) -> tuple[jax.Array, types.PyTree]:
      own = {'key': KEY, 'mode': types.TRAIN}
      x, after = gen.apply(params, vars, latent, **own)
      return jnp.square(x).sum(), after

    grad = quick(jax.grad(loss, has_aux=True))
    return grad(params), str(grad.trace(params).jaxpr)

  (plain, text), (again, other) = gradients(False), gradients(True)
  # Of two layers and the one that makes the image.
  assert (text.count('prevent_cse'), other.count('prevent_cse')) == (0, 3)
  chex.assert_trees_all_close(again, plain, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_near():
  """Images, averages and parameters are float32."""
  latent = latent_of(fixture.CASES['t'])._replace(label=None)

  def images(dtype: Any) -> tuple[jax.Array, types.PyTree]:
    gen = network(settings_of(fixture.CASES['r'], layers=2), dtype=dtype)
    params, vars = made(gen)
    play = quick(functools.partial(gen.apply, key=KEY, mode=types.TRAIN))
    return play(params, vars, latent)

  (half, vars), (full, _) = images(jnp.bfloat16), images(jnp.float32)
  assert {x.dtype for x in jax.tree.leaves((half, vars))} == {
    jnp.dtype(jnp.float32)
  }
  assert not np.array_equal(half, full)
  assert np.abs(half - full).max() < 0.05 * np.abs(full).max()


@pytest.mark.parametrize(
  ('shape', 'near'),
  [
    ((28, 28, 1), 'such as 16, 32'),
    ((4, 4, 3), 'such as 8, 16'),
    ((8, 16, 3), 'square images'),
    ((2,), 'square images'),
  ],
)
def test_other_sizes_are_refused(shape: tuple[int, ...], near: str):
  with pytest.raises(ValueError, match=f'stylegan3 makes.*{near}'):
    stylegan3.signals(stylegan3.GenSettings(), shape)


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    ('critical', 14, 'gen.net.critical=14: must be below net.layers=14'),
    ('first_cutoff', 8.0, 'gen.net.first_cutoff=8: must be below half the'),
    (
      'first_cutoff',
      4.5,
      'gen.net.first_cutoff=4.5: must be below net.first_s',
    ),
    ('kernel', 5, 'gen.net.kernel=5'),
    ('clamp', 0.0, 'gen.net.clamp=0.0'),
    ('last_stopband', 1.0, 'gen.net.last_stopband=1.0'),
    ('magnitude_half_life', 0.0, 'gen.net.magnitude_half_life=0.0'),
  ],
)
def test_bad_settings_are_refused(field: str, value: Any, message: str):
  config = configs.Config()
  config.gen.name, config.disc.name = 'stylegan3', 'stylegan2'
  config.gen.net = {field: value}
  info = sources.Info(kind='images', shape=SHAPE)
  with pytest.raises(ValueError, match=message):
    build.make_spec(build.complete(config), info)


@pytest.fixture(scope='module')
def stepped() -> tuple[Any, Any, types.Logs]:
  """States of two members before and after a step of configuration R."""
  config = configs.Config()
  recipes.use_stylegan3(config, rotation=True, gamma=1.0)
  config.batch_size, config.gen.latent_dim = 4, fixture.LATENT_DIM
  config.gen.net = dataclasses.replace(
    config.gen.net, width=8, w_dim=6, layers=3
  )
  config.disc.net = stylegan3.DiscSettings(width=8, mbstd_group=2)
  info = sources.Info(kind='images', shape=(8, 8, 3))
  spec, hyper = build.make_spec(config, info), build.make_hyper(config)
  keys = jax.random.split(KEY, 2)
  states = quick(jax.vmap(lambda k: build.init_state(spec, hyper, k)))(keys)

  def play(state: Any, key: jax.Array) -> tuple[Any, types.Logs]:
    x = jax.random.normal(key, (1, 4, 8, 8, 3))
    draw = draws.draw_step(spec, key)
    return steps.make_step(spec)(state, hyper, types.Batch(x), draw)

  after, logs = quick(jax.vmap(play))(states, keys)
  return states, after, logs


def test_a_step_moves_what_is_learned_and_averaged(stepped: tuple[Any, ...]):
  """And not the constants, which the average of G has none of."""
  before, after, logs = stepped
  for player in ('gen', 'disc'):
    old, new = (getattr(state, player).params for state in (before, after))
    for path, x in traverse_util.flatten_dict(new, sep='/').items():
      was = traverse_util.flatten_dict(old, sep='/')[path]
      assert not np.array_equal(x, was), path
  for path, x in traverse_util.flatten_dict(
    after.gen.vars['averages'], sep='/'
  ).items():
    was = traverse_util.flatten_dict(before.gen.vars['averages'], sep='/')[path]
    # Of each member its own.
    assert (np.asarray(x != was).reshape(2, -1).any(axis=1)).all(), path
  constants = [state.gen.vars['constants'] for state in (before, after)]
  chex.assert_trees_all_equal(*constants)
  frequencies = constants[1]['synthesis']['input']['frequencies']
  assert not np.isclose(frequencies[0], frequencies[1]).any()
  averaged = traverse_util.flatten_dict(after.gen_ema)
  assert not {path[-1] for path in averaged} & {'frequencies', 'phases'}
  assert (logs['penalties/r1'] > 0).all()


def test_half_lives_are_of_samples():
  """Of a magnitude, by hand: 4 samples of a half-life of 8 keep 2^-.5."""
  layer = alias_free.Layer(
    *[alias_free.Signal(2.0, 2.0, 4, 4, 3)] * 2,
    alias_free.Options(1, False, 6, 2, None, 8.0),
    critical=False,
    to_rgb=True,
  )
  x = jnp.asarray(fixture.draw('x', 4, 4, 4, 3))
  w = jnp.ones((4, 2))
  vars = layer.init(KEY, x, w, False)
  np.testing.assert_array_equal(vars['averages']['magnitude'], 1)
  _, moved = layer.apply(vars, x, w, True, mutable=['averages'])
  square, kept = np.square(x).mean(), 0.5**0.5
  assert moved['averages']['magnitude'] == pytest.approx(
    kept + (1 - kept) * square, rel=1e-5
  )
