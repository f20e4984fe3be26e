"""LPIPS against its package, and path lengths by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import make_lpips_fixture as fixture
import numpy as np
import pytest

from experiments import recipes
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.evaluation import lpips, path_length as measured
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


def pixels(x: jax.Array, y: jax.Array) -> jax.Array:
  return jnp.square(x - y).sum(axis=(1, 2, 3))


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
  found = measured.measure(config, spec, (matrix, {}), pixels, KEY, 20, options)
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
      config, spec, (matrix, {}), pixels, KEY, 16, options
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
  # 384 is no multiple.
  assert measured._seen(x[:, :384, :384], face=False).shape[1] == 384
  assert measured._seen(x, face=True).shape == (2, 256, 256, 1)


def style() -> configs.Config:
  config = configs.Config()
  recipes.use_stylegan2(config, recipes.STYLEGAN2['cifar'])
  config.batch_size, config.gen.latent_dim = 4, 5
  config.gen.net = stylegan2.GenSettings(
    width=4, channel_base=64, w_dim=4, depth=1, mixing=0.0
  )
  return config


def test_ways_through_w_end_where_noise_is_the_same():
  """A step of no length moves nothing, though noise is drawn for each way."""
  config = style()
  config.conditional = True
  info = sources.Info(
    kind='images', shape=(16, 16, 1), class_shares=(0.5, 0.5),
    class_names=('a', 'b'),
  )  # fmt: skip
  spec = build.make_spec(config, info)
  params, vars = jax.jit(spec.gen.init)(KEY)
  noisy = jax.tree_util.tree_map_with_path(
    lambda path, x: x + 1.0 if 'noise' in jax.tree_util.keystr(path) else x,
    params,
  )
  seen = []

  def distance(x: jax.Array, y: jax.Array) -> jax.Array:
    seen.append(x.shape)
    return pixels(x, y)

  found = measured.measure(
    config, spec, (noisy, vars), distance, KEY, 8, measured.Options()
  )
  assert seen == [(8, 16, 16, 1)]
  # Other noise would be (1e4)^2 times as large.
  assert 0 < found['ppl2_wend'] < 1e5


@pytest.mark.parametrize(
  ('shape', 'options', 'message'),
  [
    ((16, 16, 1), measured.Options('w'),
     r"^--space=w: gen\.name='mlp' has no intermediate latents; .*--space=z$"),
    ((16,), measured.Options('z'), r'has samples of shape \(16,\); images of'),
    ((16, 16, 6), measured.Options('z'), r'\(16, 16, 6\); images of 1 or 3'),
    ((8, 8, 1), measured.Options('z'), r'has images of side 8; 16 is the leas'),
    ((16, 16, 1), measured.Options('z', face=True), r'has parts of side 8; 16'),
  ],
)  # fmt: skip
def test_what_has_no_such_ways(
  shape: tuple[int, ...], options: measured.Options, message: str
):
  config, spec, _ = plain()
  with pytest.raises(ValueError, match=message):
    measured.check(config, spec, shape, options, lpips.LEAST_SIDE)
