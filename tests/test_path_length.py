"""LPIPS against its package, and path lengths by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import make_lpips_fixture as fixture
import numpy as np
import pytest

from experiments import recipes
from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.evaluation import lpips, path_length as measured
from gan_jax.game import sampling, walks
from gan_jax.metrics import path_length
from gan_jax.networks import stylegan2

KEY = jax.random.key(0)


def test_lpips_of_its_package():
  params = lpips.convert(fixture.vgg(), fixture.linear())
  x, y = (jnp.asarray(a) for a in fixture.images())
  with np.load(fixture.PATH) as file:
    theirs = file['distances']
  # Of two images that are alike, less.
  assert 0 < 5 * theirs[1] < theirs[0]
  found = jax.jit(lpips.distance)(params, x, y)
  np.testing.assert_allclose(found, theirs, rtol=1e-4)
  np.testing.assert_array_equal(jax.jit(lpips.distance)(params, x, x), 0)
  # Grey ones are of three equal channels.
  grey = x[..., :1], y[..., :1]
  three = (jnp.repeat(a, 3, axis=-1) for a in grey)
  np.testing.assert_allclose(
    lpips.distance(params, *grey), lpips.distance(params, *three), rtol=1e-5
  )


def test_points_whose_squared_distances_are_lpips():
  params = lpips.convert(fixture.vgg(), fixture.linear())
  x, y = (jnp.asarray(a) for a in fixture.images())
  embed = jax.jit(lpips.embed)
  a, b = embed(params, x).features, embed(params, y).features
  with np.load(fixture.PATH) as file:
    theirs = file['distances']
  found = jnp.square(a - b).sum(axis=1)
  np.testing.assert_allclose(found, theirs, rtol=1e-4)
  # Where nothing is seen there is a gradient, too.
  dark = jax.tree.map(jnp.zeros_like, params)
  slope = jax.grad(lambda x: lpips.embed(dark, x).features.sum())(x)
  assert bool(jnp.isfinite(slope).all())
  with pytest.raises(
    ValueError, match=r'side of 8 pixels, and 16 are the leas'
  ):
    lpips.extractor('', '', 8)


def test_weights_of_another_network():
  vgg, linear = fixture.vgg(), fixture.linear()
  # VGG-19 has a fourth convolution where VGG-16 halves sides.
  other = vgg | {'features.16.weight': np.zeros((256, 256, 3, 3))}
  with pytest.raises(
    ValueError, match=r'features\.16\.weight is of another ne'
  ):
    lpips.convert(other, linear)
  # AlexNet's channels.
  alex = linear | {'lin1.model.1.weight': np.zeros((1, 192, 1, 1))}
  with pytest.raises(
    ValueError, match=r'lin1.* shape \[1, 192, 1, 1\] instead'
  ):
    lpips.convert(vgg, alex)
  with pytest.raises(ValueError, match=r'no features\.0\.weight; .* VGG-16'):
    lpips.convert(linear, vgg)
  heads = vgg | {'classifier.0.weight': np.zeros((2, 2))}
  lpips.convert(heads, linear)


def test_the_ends_are_left_out():
  """numpy's percentiles by hand: of 201 the 3rd and the 199th stay."""
  lengths = np.arange(201.0)
  lengths[200] = 1e6
  mean = path_length.trimmed_mean(np.random.default_rng(0).permutation(lengths))
  assert mean == pytest.approx(np.arange(2, 199).mean())
  assert path_length.trimmed_mean(np.array([3.0])) == 3


def plain(latent: str = 'normal') -> tuple[configs.Config, Any, Any]:
  """A game whose generator is x = A z, of images 16x16."""
  config = configs.Config()
  config.gen.latent_dim, config.gen.latent = 3, latent
  info = sources.Info(kind='images', shape=(16, 16, 1))
  spec = build.make_spec(config, info)
  matrix = jax.random.normal(KEY, (3, 16 * 16))

  def apply(params: Any, vars: Any, latent: Any, *, key: Any, mode: Any) -> Any:
    del key, mode
    return (latent.z @ params).reshape(-1, 16, 16, 1), vars

  gen = spec.gen._replace(apply=apply)
  return config, spec._replace(gen=gen), matrix


def squares(weight: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
  return weight * jnp.square(x - y).sum(axis=(1, 2, 3))


PIXELS = lpips.Distance(jnp.ones(()), squares)


def drawn(spec: Any, num: int) -> tuple[np.ndarray, np.ndarray]:
  """The ends of ways, as they are drawn."""
  pairs = []
  for i in range(-(-num // 8)):
    key = jax.random.split(jax.random.fold_in(KEY, i), 3)[0]
    pairs.append(np.split(np.asarray(spec.eval_latent(key, 16).z), 2))
  a, b = (np.concatenate(x)[:num] for x in zip(*pairs, strict=True))
  return a, b


@pytest.mark.parametrize('latent', ['normal', 'uniform'])
def test_the_length_of_a_linear_generator(latent: str):
  """|A dz/dt|^2 at the beginning of a circle, or of a line."""
  config, spec, matrix = plain(latent)
  options = measured.Options('z')
  found = measured.measure(config, spec, (matrix, {}), PIXELS, KEY, 20, options)
  a, b = drawn(spec, 20)
  if latent == 'uniform':
    speed = b - a
  else:
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    u, v = a / lengths[0], b / lengths[1]
    cosine = (u * v).sum(axis=1, keepdims=True)
    theta = np.arccos(cosine)
    along = theta * (v - cosine * u) / np.sin(theta)
    speed = lengths[0] * along + (lengths[1] - lengths[0]) * u
  expected = ((speed @ np.asarray(matrix)) ** 2).sum(axis=1)
  # Of 20 the least and the greatest stay.
  assert set(found) == {'ppl2_zend'}
  assert found['ppl2_zend'] == pytest.approx(expected.mean(), rel=2e-2)


def test_steps_anywhere_and_parts_of_faces():
  config, spec, matrix = plain('uniform')
  whole = {}
  for name, options in {
    'end': measured.Options('z'),
    'full': measured.Options('z', anywhere=True),
    'face': measured.Options('z', face=True),
  }.items():
    found = measured.measure(
      config, spec, (matrix, {}), PIXELS, KEY, 16, options
    )
    ((figure, whole[name]),) = found.items()
    assert figure == {'full': 'ppl2_zfull', 'face': 'ppl_zend'}.get(
      name, 'ppl2_zend'
    )
  # A line is as fast at all of its places.
  assert whole['full'] == pytest.approx(whole['end'], rel=2e-2)
  image = np.asarray(matrix).reshape(3, 16, 16)
  part = image[:, 6:14, 4:12].reshape(3, -1)
  a, b = drawn(spec, 16)
  expected = (((b - a) @ part) ** 2).sum(axis=1).mean()
  assert whole['face'] == pytest.approx(expected, rel=2e-2)


def test_large_images_are_shrunk():
  x = jnp.arange(2 * 512 * 512.0).reshape(2, 512, 512, 1)
  found = measured._seen(x, face=False)
  assert found.shape == (2, 256, 256, 1)
  assert float(found[1, 3, 5, 0]) == float(x[1, 6:8, 10:12].mean())
  # A part by as much as the whole.
  face = measured._seen(x, face=True)
  np.testing.assert_array_equal(face, found[:, 96:224, 64:192])
  for sides, seen in {
    (384, 384): (384, 384),  # Two pixels would leave less than 256.
    (800, 800): (400, 400),  # 3 does not divide it.
    (769, 769): (769, 769),
    (1024, 1536): (256, 384),
    (600, 900): (300, 450),
  }.items():
    large = jax.ShapeDtypeStruct((1, *sides, 1), jnp.float32)
    own = jax.eval_shape(lambda x: measured._seen(x, face=False), large)
    assert own.shape == (1, *seen, 1), sides


def style() -> tuple[configs.Config, Any]:
  config = configs.Config()
  recipes.use_stylegan2(config, recipes.STYLEGAN2['cifar'])
  config.batch_size, config.gen.latent_dim = 4, 5
  config.gen.net = stylegan2.GenSettings(
    width=4, channel_base=64, w_dim=4, depth=1, mixing=0.0
  )
  config.conditional = True
  info = sources.Info(
    kind='images', shape=(16, 16, 1), class_shares=(0.5, 0.5),
    class_names=('a', 'b'),
  )  # fmt: skip
  return config, build.make_spec(config, info)


@pytest.mark.parametrize('psi', [None, 0.5])
@pytest.mark.parametrize('space', ['w', 'z'])
def test_ways_of_a_style_network(space: str, psi: float | None):
  """Both ends of a way have one class, and both of a step the same noise."""
  config, spec = style()
  config.eval.truncation = psi
  params, vars = jax.jit(spec.gen.init)(KEY)
  # Noise, which has no weight at first.
  params = jax.tree_util.tree_map_with_path(
    lambda path, x: x + 1.0 if 'noise' in jax.tree_util.keystr(path) else x,
    params,
  )
  vars = jax.tree.map(lambda x: x + 0.3, vars)
  generator = params, vars
  options = measured.Options(space)
  found = measured.measure(config, spec, generator, PIXELS, KEY, 8, options)

  latent_key, _, noise = jax.random.split(jax.random.fold_in(KEY, 0), 3)
  z, own = spec.eval_latent(latent_key, 16)

  @jax.jit
  def lengths(label: jax.Array) -> jax.Array:
    def to_w(z: jax.Array, label: jax.Array) -> jax.Array:
      of = types.Latent(z, label)
      return sampling.intermediate(spec, *generator, of, psi)

    if space == 'w':
      a, b = jnp.split(to_w(z, label), 2)
      ends = a, a + 1e-4 * (b - a)
    else:
      a, b = jnp.split(z, 2)
      moved = [
        walks.spherical(*x, jnp.array([1e-4]))[0]
        for x in zip(a, b, strict=True)
      ]
      ends = to_w(a, label[:8]), to_w(jnp.stack(moved), label[:8])
    x, y = (
      spec.gen.methods['synthesise'](*generator, w, key=noise, mode=types.EVAL)[
        0
      ]
      for w in ends
    )
    return squares(jnp.ones(()), x, y) / 1e-8

  # Of 8 all stay.
  expected = float(lengths(jnp.tile(own[:8], 2)).mean())
  assert found[f'ppl2_{space}end'] == pytest.approx(expected, rel=0.02)
  if space == 'w':
    assert expected != pytest.approx(float(lengths(own).mean()), rel=0.02)


@pytest.mark.parametrize(
  ('shape', 'options', 'message'),
  [
    ((16, 16, 1), measured.Options('w'),
     r"^--space=w: gen\.name='mlp' has no intermediate latents; .*--space=z$"),
    ((16,), measured.Options('z'), r'has samples of shape \(16,\); images of'),
    ((16, 16, 6), measured.Options('z'), r'\(16, 16, 6\); images of 1 or 3'),
    ((8, 32, 1), measured.Options('z'), r': 8x32 pixels of .* sides of 16$'),
    ((16, 16, 1), measured.Options('z', face=True), r': 8x8 pixels of an im'),
  ],
)  # fmt: skip
def test_what_has_no_such_ways(
  shape: tuple[int, ...], options: measured.Options, message: str
):
  config, spec, _ = plain()
  with pytest.raises(ValueError, match=message):
    measured.check(config, spec, shape, options)


def test_samples_of_batches_have_no_ways():
  config, spec, _ = plain()
  spec = spec._replace(own_statistics=True)
  with pytest.raises(ValueError, match=r'eval\.batch_stats=True: samples of'):
    measured.check(config, spec, (16, 16, 1), measured.Options('z'))
