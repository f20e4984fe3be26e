"""R3GAN against its authors' code."""

import jax
import jax.numpy as jnp
import make_r3gan_fixture as fixture
import numpy as np
import pytest
from flax import traverse_util

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import penalties
from gan_jax.networks import adapter, r3gan

KEY = jax.random.key(0)
ANSWERS = np.load(fixture.PATH)


def theirs(path: tuple[str, ...], disc: bool) -> str:
  """The name that the authors' code has for a parameter of ours."""
  first = path[0]
  depth = fixture.DEPTH[::-1] if disc else fixture.DEPTH
  if first.startswith('Block_'):
    place = int(first.removeprefix('Block_'))
    stage = 0
    while place >= depth[stage]:
      place -= depth[stage]
      stage += 1
    # The transition comes before a stage's blocks in G, and after them in D.
    layer = place if disc else place + 1
    kind, number = path[1].rsplit('_', 1)
    last = {
      'Conv': f'LinearLayer{int(number) + 1}.Layer.weight',
      'BiasedActivation': f'NonLinearity{int(number) + 1}.Bias',
    }[kind]
    return f'MainLayers.{stage}.Layers.{layer}.{last}'
  if disc:
    basis = f'MainLayers.2.Layers.{depth[2]}'
    return {
      'Conv_0': 'ExtractionLayer.Layer.weight',
      # Widths change from 16x16 to 8x8 alone.
      'Conv_1': f'MainLayers.0.Layers.{depth[0]}.LinearLayer.Layer.weight',
      'basis': f'{basis}.Basis.weight',
      'Dense_0': f'{basis}.LinearLayer.weight',
      'Embedding_0': 'EmbeddingLayer.weight',
    }[first]
  return {
    'Conv_0': 'MainLayers.2.Layers.0.LinearLayer.Layer.weight',
    'Conv_1': 'AggregationLayer.Layer.weight',
    'basis': 'MainLayers.0.Layers.0.Basis',
    'Dense_0': 'MainLayers.0.Layers.0.LinearLayer.weight',
    'Embedding_0': 'EmbeddingLayer.weight',
  }[first]


def to_theirs(x: np.ndarray) -> np.ndarray:
  """From HWIO, IO, HWC or KC to the axes of PyTorch."""
  if x.ndim == 4:
    return x.transpose(3, 2, 0, 1)
  return x.transpose(2, 0, 1) if x.ndim == 3 else x.T


def to_ours(x: np.ndarray) -> np.ndarray:
  if x.ndim == 4:
    return x.transpose(2, 3, 1, 0)
  return x.transpose(1, 2, 0) if x.ndim == 3 else x.T


def seeded(params: types.PyTree, prefix: str, disc: bool) -> types.PyTree:
  """The weights that the fixture was made with."""
  flat = {}
  for path, leaf in traverse_util.flatten_dict(params).items():
    shape = to_theirs(np.zeros(leaf.shape)).shape
    name = prefix + ('disc.' if disc else 'gen.') + theirs(path, disc)
    flat[path] = jnp.asarray(to_ours(fixture.draw(name, shape)))
  return traverse_util.unflatten_dict(flat)


def relative(ours: np.ndarray, others: np.ndarray) -> float:
  return float(np.abs(ours - others).max() / np.abs(others).max())


@pytest.mark.parametrize('classes', [0, fixture.CLASSES])
def test_it_agrees_with_the_authors_code(classes: int):
  own = fixture.WIDTH, fixture.DEPTH, fixture.GROUPS, fixture.EMBEDDING
  label = jnp.asarray(fixture.labels()) if classes else None
  z = types.Latent(
    jnp.asarray(fixture.draw('z', (fixture.SAMPLES, fixture.LATENT))), label
  )
  pixels = fixture.draw('x', (fixture.SAMPLES, 3, 16, 16))
  x = types.Batch(jnp.asarray(pixels.transpose(0, 2, 3, 1)), label)
  gen = adapter.as_network(
    r3gan.Generator((16, 16, 3), r3gan.GenSettings(*own), classes), z
  )
  disc = adapter.as_network(
    r3gan.Discriminator(r3gan.DiscSettings(*own), classes), x
  )
  prefix = f'{classes}/'
  answer = {
    name.removeprefix(prefix): ANSWERS[name]
    for name in ANSWERS
    if name.startswith(prefix)
  }
  params = seeded(jax.eval_shape(gen.init, KEY)[0], prefix, False)
  samples, _ = gen.apply(params, {}, z, key=KEY, mode=types.TRAIN)
  expected = answer['samples'].transpose(0, 2, 3, 1)
  assert relative(np.asarray(samples), expected) < 1e-4

  params = seeded(jax.eval_shape(disc.init, KEY)[0], prefix, True)

  @jax.jit
  def penalty(params: types.PyTree) -> tuple[jax.Array, jax.Array]:
    def judge(batch: types.Batch) -> jax.Array:
      return disc.apply(params, {}, batch, key=KEY, mode=types.TRAIN)[0]

    return penalties.zero_centred(penalties.input_grads(judge, x)), judge(x)

  (value, logits), grads = jax.value_and_grad(penalty, has_aux=True)(params)
  assert relative(np.asarray(logits), answer['logits']) < 1e-4
  assert relative(np.asarray(value), answer['penalty']) < 1e-4
  seen = 0
  for path, grad in traverse_util.flatten_dict(grads).items():
    expected = answer['grad/' + theirs(path, True)]
    got = to_theirs(np.asarray(grad))
    if np.abs(expected).max() < 1e-12:
      np.testing.assert_allclose(got, expected, atol=1e-6)
    else:
      assert relative(got, expected) < 1e-3, path
    seen += 1
  assert seen == sum(name.startswith('grad/') for name in answer)


def test_remat_changes_no_number():
  batch = types.Batch(jax.random.normal(KEY, (2, 8, 8, 3)))

  def grads(remat: bool) -> types.PyTree:
    settings = r3gan.DiscSettings(8, 1, 4, remat=remat)
    disc = adapter.as_network(r3gan.Discriminator(settings), batch)
    params, _ = disc.init(KEY)

    def loss(params: types.PyTree) -> jax.Array:
      return disc.apply(params, {}, batch, key=KEY, mode=types.TRAIN)[0].sum()

    return jax.jit(jax.grad(loss))(params)

  ours, plain = grads(True), grads(False)
  assert jax.tree.structure(ours) == jax.tree.structure(plain)
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'width': (8, 8)}, 'net.width=8,8: there are 3 resolutions, from 4 to 16'),
    ({'width': (8, 8, 3)}, 'net.groups=4: must divide the 6 channels'),
  ],
)
def test_a_number_for_each_resolution_or_one_for_all(
  settings: dict, message: str
):
  own = r3gan.GenSettings(**{'width': 8, 'groups': 4, **settings})
  z = types.Latent(jnp.zeros((1, 4)))
  with pytest.raises(ValueError, match=message):
    r3gan.Generator((16, 16, 3), own).init(KEY, z, types.EVAL)


@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_what_is_refused_is_said_to_be_of_a_player(player: str):
  config = configs.Config()
  for name, kind in (('gen', r3gan.GenSettings), ('disc', r3gan.DiscSettings)):
    net = kind(width=3 if name == player else 4, groups=4, depth=1)
    getattr(config, name).name, getattr(config, name).net = 'r3gan', net
  info = sources.Info(kind='images', shape=(8, 8, 3))
  with pytest.raises(ValueError, match=rf'^{player}\.net\.groups=4: must div'):
    build.make_spec(config, info)
