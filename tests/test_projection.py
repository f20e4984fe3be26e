"""The latent of a sample is found again."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from gan_jax import types
from gan_jax.data import pixels
from gan_jax.engine import build
from gan_jax.evaluation import features
from gan_jax.run import projection, trained, walk
from tests import test_experiments as programs, test_walk


def linear_extractor(matrix: np.ndarray) -> features.Extractor:
  """Features that are linear in pixels."""

  def apply(params: jax.Array, images: jax.Array) -> types.Features:
    flat = images.reshape(images.shape[0], -1) @ params
    return types.Features(flat, flat)

  return features.Extractor('linear', '', jnp.asarray(matrix), apply)


def lively(name: str) -> trained.Run:
  """An untrained run whose samples differ from each other."""
  run = test_walk.untrained(name)
  gen = run.state.gen
  params = jax.tree.map(lambda x: 2 * x, gen.params)
  return run._replace(
    state=run.state._replace(gen=gen._replace(params=params), gen_ema=params)
  )


def test_a_sample_is_found_again():
  """Much nearer than the best of a thousand, and of its own class."""
  run = lively('mlp')
  walker = walk.Walker(run)
  target = walker.make(walker.inputs(walker.latents([7], [2])))[0]
  projector = projection.Projector(run, None, '')
  assert projector.space == 'z'
  found = projector.project(target, projection.SearchOptions(steps=200))
  assert found.features is None
  assert found.label == 2
  assert found.input.shape == (5,)
  assert found.pixels < 0.1 * found.drawn
  assert found.moved
  far = projector.project(target, projection.SearchOptions(steps=2, rate=1e30))
  assert not far.moved
  assert far.pixels == pytest.approx(far.drawn, rel=1e-5)
  error = np.sqrt(np.square(found.image - target).mean())
  np.testing.assert_allclose(error, found.pixels, rtol=1e-5)
  latent = types.Latent(found.input[None], jnp.array([found.label]))
  np.testing.assert_allclose(walker.make(latent)[0], found.image, atol=1e-5)


@pytest.mark.parametrize(
  ('law', 'bound'), [('uniform', 1.0), ('unit_uniform', 3**0.5)]
)
def test_uniform_latents_stay_in_their_cube_and_a_class_is_kept(
  law: str, bound: float
):
  run = lively('mlp')
  run.config.gen.latent = law
  spec = build.make_spec(build.complete(run.config), run.info)
  run = run._replace(spec=spec)
  projector = projection.Projector(run, None, 'z')
  target = np.ones((8, 8, 1), np.float32)
  found = projector.project(
    target, projection.SearchOptions(steps=40, rate=0.5, label=1)
  )
  assert found.label == 1
  assert np.abs(found.input).max() <= bound * (1 + 1e-6)
  # It went where it could.
  assert np.abs(found.input).max() > 0.99 * bound


def test_w_and_features():
  run = lively('stylegan2')
  matrix = np.random.default_rng(0).normal(size=(64, 3)).astype('float32')
  projector = projection.Projector(run, linear_extractor(matrix), '')
  assert projector.space == 'w'
  target = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8, 1)
  asked = projection.SearchOptions(steps=20, weight=0.5)
  found = projector.project(target, asked)
  assert found.input.shape == (6,)
  own, goal = (x.reshape(-1) @ matrix for x in (found.image, target))
  expected = np.sqrt(np.square(own - goal).mean() / np.square(goal).mean())
  np.testing.assert_allclose(found.features, expected, rtol=1e-4)


def test_no_w():
  with pytest.raises(ValueError, match=r"--space=w: .*'mlp' has no intermed"):
    projection.Projector(test_walk.untrained('mlp'), None, 'w')


def test_what_becomes_of_the_image(tmp_path: pathlib.Path):
  run = test_walk.untrained('mlp')
  path = tmp_path / 'x.png'
  pixel = np.arange(64, dtype=np.uint8).reshape(8, 8)
  PIL.Image.fromarray(pixel).save(path)
  found, line = projection.read_target(path, run)
  np.testing.assert_allclose(found[..., 0], pixel / 127.5 - 1, atol=1e-6)
  assert not line
  colour = np.random.default_rng(0).integers(0, 255, (20, 31, 3), np.uint8)
  PIL.Image.fromarray(colour).save(path)
  found, line = projection.read_target(path, run)
  with PIL.Image.open(path) as image:
    trained_on = pixels.render(image, pixels.Form(8, 1))
  np.testing.assert_allclose(found, trained_on / 127.5 - 1, atol=1e-6)
  assert line == (
    f'{path}: cropped to its centre and resized from 31x20 to 8x8, made grey, '
    'as in training'
  )
  path.write_text('no image')
  with pytest.raises(ValueError, match=r'--image=.*no image of a known format'):
    projection.read_target(path, run)
  with pytest.raises(ValueError, match=r'--image=.*No such file'):
    projection.read_target(tmp_path / 'y.png', run)


def test_the_program_writes_nothing_by_mistake(tmp_path: pathlib.Path):
  done = programs.python(
    'experiments.project', f'--workdir={tmp_path}', '--image=x.png',
    f'--out={tmp_path}/y.png',
  )  # fmt: skip
  assert done.returncode == 1
  assert done.stderr.strip() == f'error: --workdir={tmp_path}: holds no run'
  assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--weight=nan', '--features=inception'], '--weight=nan: must be finite'),
    (['--rate=inf'], '--rate=inf: must be finite'),
    (
      ['--features=classifier', '--weights=x'],
      '--weights: the classifier is trained here',
    ),
    (
      ['--features=inception', '--data_dir=x'],
      '--data_dir: is of the data that the classifier learns of',
    ),
    (['--data_dir=x'], '--data_dir: needs --features'),
  ],
  ids=' '.join,
)
def test_the_program_refuses(
  flags: list[str], message: str, tmp_path: pathlib.Path
):
  done = programs.python(
    'experiments.project', f'--workdir={tmp_path}', '--image=x.png',
    f'--out={tmp_path}/y.png', *flags,
  )  # fmt: skip
  assert done.returncode == 1
  assert done.stderr.strip() == f'error: {message}'
