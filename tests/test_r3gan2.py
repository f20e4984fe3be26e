"""The second R3GAN against its authors' code, and its laws by hand."""

import functools
import itertools

import jax
import jax.numpy as jnp
import make_r3gan2_fixture as fixture
import numpy as np
import optax
import pytest
from flax import traverse_util

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import penalties
from gan_jax.networks import (
  adapter,
  magnitude,
  r3gan2,
  rotary,
  style_layers,
)

KEY = jax.random.key(0)
ANSWERS = np.load(fixture.PATH)
DEPTH = tuple(blocks.count('f') for blocks in fixture.BLOCKS)
ATTENTIONS = tuple(blocks.count('a') for blocks in fixture.BLOCKS)


def theirs(path: tuple[str, ...], disc: bool) -> str:
  """The name that the authors' code has for a parameter of ours."""
  kind, *rest = path[0].split('_')
  if kind in ('FeedForward', 'Attention'):
    side, place = map(int, rest)
    stage = {8: 0, 16: 1, 32: 2}[side]
    # An attention block comes before the feed-forward block of its number.
    layer = place + min(ATTENTIONS[stage], place + (kind == 'FeedForward'))
    if disc:
      stage = 2 - stage
    if path[1] == 'residual':
      return f'MainLayers.{stage}.ParametrizedAlphas.{layer}.Value'
    last = {
      'wide': 'LinearLayer1.Weight.Weight',
      'spatial': 'LinearLayer2.Weight.Weight',
      'narrow': 'LinearLayer3.Weight.Weight',
      'qkv': 'QKVLayer.Weight.Weight',
      'out': 'ProjectionLayer.Weight.Weight',
      'sinks': 'Sinks',
    }[path[1]]
    return f'MainLayers.{stage}.Layers.{layer}.{last}'
  return {
    'gain': 'Gain',
    'from_latent': 'Head.LinearLayer1.Weight.Weight',
    'basis': f'Head.LinearLayer2.Basis.{"Weight." * disc}Weight',
    'mixed': f'Head.LinearLayer{1 if disc else 3}.Weight.Weight',
    'to_logits': 'Head.LinearLayer3.Weight.Weight',
    'to_image': 'AggregationLayer.Weight.Weight',
    'from_image': 'ExtractionLayer.Weight.Weight',
    'Embedding_0': 'EmbeddingLayer.Weight.Weight',
  }[path[0]]


def axes(path: tuple[str, ...], ndim: int) -> tuple[int, ...]:
  """The order of ours in that of PyTorch."""
  if path[-1] == 'embedding' or ndim < 2:
    return tuple(range(ndim))
  return (3, 2, 0, 1) if ndim == 4 else (1, 0)


def seeded(params: types.PyTree, prefix: str, disc: bool) -> types.PyTree:
  """The weights that the fixture was made with."""
  flat = {}
  for path, leaf in traverse_util.flatten_dict(params).items():
    order = axes(path, leaf.ndim)
    shape = tuple(leaf.shape[i] for i in order)
    name = prefix + ('disc.' if disc else 'gen.') + theirs(path, disc)
    drawn = fixture.draw(name, shape)
    flat[path] = jnp.asarray(drawn.transpose(np.argsort(order)))
  return traverse_util.unflatten_dict(flat)


def relative(ours: np.ndarray, others: np.ndarray) -> float:
  return float(np.abs(ours - others).max() / np.abs(others).max())


def settings(kind: type, remat: bool) -> r3gan2.GenSettings:
  return kind(
    fixture.WIDTH, DEPTH, ATTENTIONS, head_width=fixture.HEAD,
    embedding=fixture.EMBEDDING, remat=remat,
  )  # fmt: skip


@pytest.mark.parametrize('classes', [0, fixture.CLASSES])
def test_it_agrees_with_the_authors_code(
  classes: int, monkeypatch: pytest.MonkeyPatch
):
  side = fixture.SIDE
  label = jnp.asarray(fixture.labels()) if classes else None
  z = types.Latent(
    jnp.asarray(fixture.draw('z', (fixture.SAMPLES, fixture.LATENT))), label
  )
  pixels = fixture.draw('x', (fixture.SAMPLES, 3, side, side))
  x = types.Batch(jnp.asarray(pixels.transpose(0, 2, 3, 1)), label)
  remat = bool(classes)  # Which changes no number.
  own = settings(r3gan2.GenSettings, remat)
  gen = adapter.as_network(r3gan2.Generator((side, side, 3), own, classes), z)
  own = settings(r3gan2.DiscSettings, remat)
  disc = adapter.as_network(r3gan2.Discriminator(own, classes), x)
  prefix = f'{classes}/'
  answer = {
    name.removeprefix(prefix): ANSWERS[name]
    for name in ANSWERS
    if name.startswith(prefix)
  }
  params = seeded(jax.eval_shape(gen.init, KEY)[0], prefix, False)
  places = itertools.count()
  monkeypatch.setattr(
    style_layers,
    'draw_noise',
    lambda _, shape: fixture.noise(shape[1], next(places))[..., None],
  )
  samples = jax.jit(
    lambda params: gen.apply(params, {}, z, key=KEY, mode=types.TRAIN)[0]
  )(params)
  expected = answer['samples'].transpose(0, 2, 3, 1)
  assert relative(np.asarray(samples)[:, ::2, ::2], expected) < 1e-4

  params = seeded(jax.eval_shape(disc.init, KEY)[0], prefix, True)

  def judge(params: types.PyTree, batch: types.Batch) -> jax.Array:
    return disc.apply(params, {}, batch, key=KEY, mode=types.TRAIN)[0]

  logits = jax.jit(judge)(params, x)
  assert relative(np.asarray(logits), answer['logits']) < 1e-4
  if not classes:
    return

  @jax.jit
  @jax.value_and_grad
  def penalty(params: types.PyTree) -> jax.Array:
    grads = penalties.input_grads(functools.partial(judge, params), x)
    return penalties.zero_centred(grads)

  value, grads = penalty(params)
  assert relative(np.asarray(value), answer['penalty']) < 1e-4
  seen = 0
  for path, grad in traverse_util.flatten_dict(grads).items():
    got = np.asarray(grad).transpose(axes(path, grad.ndim))
    expected = answer['grad/' + theirs(path, True)]
    assert relative(fixture.kept(got), expected) < 1e-3, path
    seen += 1
  assert seen == sum(name.startswith('grad/') for name in answer)


@pytest.mark.parametrize(
  ('size', 'fields', 'message'),
  [
    (12, {}, 'data.size=12: r3gan2 makes images whose side is 8 times'),
    (16, {'width': (8, 8, 8)}, 'net.width=8,8,8: there are 2 resolutions'),
    (16, {'width': (8, 3)}, 'net.width=8,3: each must divide four times'),
    (8, {'group_width': 3}, 'net.group_width=3: must divide the 16 channels'),
    (8, {'attentions': 2}, 'net.attentions=2: must be at most net.depth=1'),
    (8, {'attentions': 1, 'head_width': 6}, 'net.head_width=6: must be a mul'),
  ],
)
def test_mistakes(size: int, fields: dict, message: str):
  own = r3gan2.GenSettings(**{'width': 8, 'depth': 1, **fields})
  with pytest.raises(ValueError, match=message):
    r3gan2.plan(own, (size, size, 3))


def test_weights_are_centred_and_normalised():
  """By hand, with a small one that 1e-4 is seen beside."""
  rng = np.random.default_rng(0)
  kernel = rng.normal(1.0, 1e-3, (3, 3, 4, 5))
  centred = kernel - kernel.mean(axis=(0, 1, 2))
  rms = np.sqrt((centred**2).mean(axis=(0, 1, 2)))
  embedding = rng.normal(size=(7, 6))
  rows = embedding - embedding.mean(axis=1, keepdims=True)
  rows /= np.sqrt((rows**2).mean(axis=1, keepdims=True)) + 1e-4
  plain = rng.normal(size=(1, 1, 3, 2))
  params = {
    'a': {'centred': kernel, 'residual': np.ones(5)},
    'b': {'embedding': embedding},
    'c': {'kernel': plain},
  }
  params = jax.tree.map(jnp.float32, params)
  got = magnitude.project(params)
  np.testing.assert_allclose(
    got['a']['centred'], centred / (rms + 1e-4), 1e-3, 1e-3
  )
  np.testing.assert_array_equal(got['a']['residual'], 1.0)
  np.testing.assert_allclose(got['b']['embedding'], rows, 1e-4, 1e-5)
  scale = np.sqrt((plain**2).mean(axis=(0, 1, 2))) + 1e-4
  np.testing.assert_allclose(got['c']['kernel'], plain / scale, 1e-5)


def test_magnitudes_stay():
  """Normal inputs of variance 1 come out so, activated or not."""
  x = jax.random.normal(KEY, (32, 8, 8, 32))
  active = magnitude.activate(x)
  # The second moment without its mean is what centred weights see.
  assert float(active.var()) == pytest.approx(1.0, abs=0.02)
  for layer in (magnitude.Conv(64, 3, 16), magnitude.Conv(64, centred=False)):
    y, _ = layer.init_with_output(KEY, x)
    # Beyond the border are zeros.
    assert float(y[:, 1:-1, 1:-1].var()) == pytest.approx(1.0, abs=0.1)
  y, _ = magnitude.Basis(32).init_with_output(KEY, x[:, 0, 0])
  assert float(y.var()) == pytest.approx(1.0, abs=0.15)


def test_attention_sees_how_far_pixels_are_apart():
  """Inner products of rotated channels depend on differences alone."""
  side, channels = 8, 16
  table = rotary.angles(side, side, channels)
  # Row 3, column 5: centres are at (2 i + 1) / 8 - 1.
  turns = 2 * np.pi / 100 ** (np.arange(4) / 4)
  np.testing.assert_allclose(
    table[3 * side + 5], np.tile([*(-1 / 8 * turns), *(3 / 8 * turns)], 2), 1e-5
  )
  query, key = np.random.default_rng(0).normal(size=(2, channels))

  def product(a: tuple[int, int], b: tuple[int, int]) -> float:
    spots = np.zeros((1, side * side, 1, channels), np.float32)
    at = [row * side + column for row, column in (a, b)]
    spots[0, at[0], 0], spots[0, at[1], 0] = query, key
    turned = np.asarray(rotary.rotate(jnp.asarray(spots), table))
    return float(turned[0, at[0], 0] @ turned[0, at[1], 0])

  assert product((0, 1), (2, 4)) == pytest.approx(
    product((3, 3), (5, 6)), rel=1e-4
  )
  assert product((0, 1), (2, 4)) != pytest.approx(
    product((3, 3), (5, 5)), rel=1e-2
  )


def test_resizing_by_hand():
  """Two channels to one of twice the side, and back by the transpose."""
  x = jax.random.normal(KEY, (1, 3, 3, 2))
  wide = np.zeros((8, 8))
  wide[1:-1:2, 1:-1], wide[2:-1:2, 1:-1] = (
    np.repeat(np.asarray(x[0, :, :, i]), 2, axis=1) for i in (0, 1)
  )
  taps = np.array([1, 2, 1]) / 4
  expected = sum(
    taps[i] * taps[j] * wide[i : i + 6, j : j + 6]
    for i in range(3)
    for j in range(3)
  )
  np.testing.assert_allclose(r3gan2._up(x, 1)[0, :, :, 0], expected, 1e-5, 1e-6)
  y = jax.random.normal(KEY, (1, 6, 6, 1))
  _, pull = jax.vjp(lambda x: r3gan2._up(x, 1), x)
  # A mean of two where the transpose is a sum.
  np.testing.assert_allclose(r3gan2._down(y, 2), pull(y)[0] / 2, 1e-5, 1e-6)


def test_an_update_ends_with_normalised_weights():
  """Where Adam's own, of 1e-2 in the first, leads, projected."""
  config = configs.Config(batch_size=4)
  config.gen.name = config.disc.name = 'r3gan2'
  config.disc.net = r3gan2.DiscSettings(width=8, depth=1)
  config.optim.disc.learning_rate = 1e-2
  spec = build.make_spec(config, sources.Info('images', (8, 8, 3)))
  params, _ = spec.disc.init(KEY)
  optimiser = spec.optimisers.disc(build.make_hyper(config))
  grads = jax.tree.map(jnp.cos, params)
  updates, _ = optimiser.update(grads, optimiser.init(params), params)
  found = optax.apply_updates(params, updates)
  moved = jax.tree.map(lambda p, g: p - 1e-2 * jnp.sign(g), params, grads)
  for a, b in zip(
    *map(jax.tree.leaves, (found, magnitude.project(moved))), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
