"""SeFa's directions: by NumPy's SVD, and what moving along them changes."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from flax import traverse_util

from experiments import listed
from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import directions
from gan_jax.networks import (
  biggan,
  dcgan,
  maxout,
  mlp,
  r3gan,
  r3gan2,
  small_dcgan,
  sngan,
  stylegan2,
  stylegan3,
)
from gan_jax.run import train, trained, walk
from tests import test_experiments as programs

KEY = jax.random.key(0)
Z = 10

# A small generator of each network that has directions of z.
OF_Z: dict[str, Any] = {
  'mlp': mlp.GenSettings(width=8, depth=1),
  'maxout': maxout.GenSettings(width=8),
  'dcgan': dcgan.GenSettings(width=8),
  'small_dcgan': small_dcgan.GenSettings(width=8),
  'sngan': sngan.GenSettings(width=2),
  'biggan': biggan.GenSettings(width=2, spectral_norm=False),
  'r3gan': r3gan.GenSettings(width=8, depth=1, groups=2, embedding=3),
}
LABELLED = 'mlp', 'dcgan', 'sngan', 'biggan', 'r3gan'
OF_W: dict[str, Any] = {
  'stylegan2': stylegan2.GenSettings(width=4, w_dim=6, depth=1),
  'stylegan3': stylegan3.GenSettings(
    width=6, channel_base=64, w_dim=6, depth=1, layers=3, critical=1
  ),
}


def untrained(
  name: str,
  net: Any,
  side: int = 32,
  *,
  size: int = Z,
  conditional: bool = False,
) -> trained.Run:
  """A run before its first step."""
  config = configs.Config(batch_size=8, conditional=conditional)
  config.gen = configs.Gen(name=name, net=net, latent='normal')
  config.gen.latent_dim = size
  config.disc.net = mlp.DiscSettings(width=4, depth=1)
  config.data.name = 'folder'
  classes = ('a', 'b', 'c') if conditional else ()
  info = sources.Info(
    'images', (side, side, 1), class_names=classes,
    class_shares=(0.25, 0.25, 0.5) if conditional else (),
  )  # fmt: skip
  config = build.complete(config)
  spec = build.make_spec(config, info)
  state = build.init_state(spec, build.make_hyper(config), KEY)
  return trained.Run(config, info, spec, state)


def kernels(run: trained.Run, *names: str) -> list[np.ndarray]:
  """By their paths, slashes between the parts."""
  flat = traverse_util.flatten_dict(run.state.gen.params, sep='/')
  return [np.asarray(flat[name], np.float64) for name in names]


def by_svd(weights: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
  """Eigenvalues and vectors of A^T A, rows of A of length 1."""
  a = np.concatenate(weights, axis=1).T
  a = a / np.linalg.norm(a, axis=1, keepdims=True)
  _, singular, rows = np.linalg.svd(a, full_matrices=False)
  return singular**2, rows


def check_same(found: directions.Directions, weights: list[np.ndarray]):
  """Up to the sign of each direction."""
  values, rows = by_svd(weights)
  count = len(values)
  np.testing.assert_allclose(found.values[:count], values, rtol=1e-5, atol=1e-9)
  apart = np.abs(found.vectors[:count] @ rows.T) - np.eye(count)
  assert np.abs(apart).max() < 1e-4


# Weights.


def test_known_weights():
  """Three outputs along one axis, one along another, and one nowhere."""
  weights = [
    np.array([[2.0, -0.1], [0.0, 0.0], [0.0, 0.0]]),
    np.array([[7.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]),
  ]
  found = directions.factorise(weights)
  np.testing.assert_allclose(found.values, [3, 1, 0], atol=1e-12)
  np.testing.assert_allclose(found.vectors, np.eye(3), atol=1e-12)


@pytest.mark.parametrize('outputs', [3, 9])
def test_random_weights(outputs: int):
  rng = np.random.default_rng(outputs)
  weights = [rng.normal(size=(5, outputs)), 100 * rng.normal(size=(5, 1))]
  found = directions.factorise(weights)
  check_same(found, weights)
  # Each output counts alike.
  assert found.values.sum() == pytest.approx(outputs + 1)
  np.testing.assert_allclose(
    found.vectors @ found.vectors.T, np.eye(5), atol=1e-12
  )
  largest = np.abs(found.vectors).argmax(axis=1)
  assert (found.vectors[range(5), largest] > 0).all()
  # Moving by a direction of length 1 changes the outputs by sigma.
  a = np.concatenate(weights, axis=1)
  a /= np.linalg.norm(a, axis=0)
  changes = np.linalg.norm(found.vectors @ a, axis=1)
  np.testing.assert_allclose(changes, np.sqrt(found.values), atol=1e-7)


def test_what_weights_are_refused():
  with pytest.raises(ValueError, match='all 0: no direction'):
    directions.factorise([np.zeros((3, 2))])
  with pytest.raises(ValueError, match='not finite'):
    directions.factorise([np.full((3, 2), np.nan)])


def test_moves_by_hand():
  z = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
  moved = directions.moved(z, np.array([0.5, -1.0]), np.array([-2.0, 0.0, 4.0]))
  assert moved.tolist() == [
    [0, 4, 3], [1, 2, 3], [3, -2, 3], [-1, 2, 0], [0, 0, 0], [2, -4, 0]
  ]  # fmt: skip
  w = jnp.zeros((1, 4, 2))
  moved = directions.moved(w, np.array([1.0, 3.0]), np.array([2.0]), (1, 2))
  assert moved.tolist() == [[[0, 0], [2, 6], [2, 6], [0, 0]]]


# Networks.


@pytest.mark.parametrize(
  ('name', 'conditional'),
  [
    *((name, False) for name in OF_Z),
    *((name, True) for name in LABELLED),
  ],
)
def test_first_steps_of_z(name: str, conditional: bool):
  """The kernel that multiplies z, and nothing of the class beside it."""
  run = untrained(name, OF_Z[name], conditional=conditional)
  found = walk.Walker(run).directions()
  (kernel,) = kernels(run, 'Dense_0/kernel')
  assert found.vectors.shape == (Z, Z)
  check_same(found, [kernel[:Z]])
  # It is the only way of z into the network.
  others = np.asarray(kernel).copy()
  others[:Z] = 0
  params = traverse_util.flatten_dict(run.state.gen.params)
  blind = traverse_util.unflatten_dict(
    params | {('Dense_0', 'kernel'): jnp.asarray(others, jnp.float32)}
  )
  latent = run.spec.eval_latent(KEY, 2)
  if conditional:
    latent = latent._replace(label=jnp.zeros(2, jnp.int32))
  vars, rest = run.state.gen.vars, {'key': KEY, 'mode': types.EVAL}
  x, _ = run.spec.gen.apply(blind, vars, latent, **rest)
  np.testing.assert_array_equal(x[0], x[1])


def test_latents_that_blocks_share():
  """Of BigGAN's hierarchical z the first part moves, and the rest stays."""
  net = biggan.GenSettings(width=2, hierarchical=True)
  walker = walk.Walker(untrained('biggan', net, size=12))
  assert walker.directions().vectors.shape == (3, 3)
  (line,) = walker.remarks()
  assert line.startswith('left out: the last 9 of 12 numbers of z')


@pytest.mark.parametrize('architecture', ['skip', 'orig', 'resnet'])
def test_layers_of_stylegan2(architecture: str):
  """As many as there are w, in their order; the last makes the image."""
  net = stylegan2.GenSettings(
    width=4, w_dim=6, depth=1, architecture=architecture
  )
  run = untrained('stylegan2', net, side=16)
  walker = walk.Walker(run)
  names = [
    f'synthesis/{name}/affine/kernel'
    for name in ('b4/conv1', 'b8/conv0', 'b8/conv1', 'b16/conv0', 'b16/conv1',
                 'b16/torgb')
  ]  # fmt: skip
  assert walker.inputs(walker.latents([0])).z.shape == (1, len(names), 6)
  check_same(walker.directions(), kernels(run, *names))
  check_same(walker.directions((1, 2)), kernels(run, *names[1:3]))
  check_same(walker.directions((5, 5)), kernels(run, names[5]))
  # Those of the two lower resolutions.
  lines = walker.remarks()
  assert bool(lines) == (architecture == 'skip')
  if lines:
    assert lines[0].startswith('left out: 2 steps to images')
  with pytest.raises(ValueError, match=r'--layers=2-6: .* layers 0 to 5'):
    walker.directions((2, 6))


def test_each_w_has_its_step():
  """A layer's w reaches the image through the kernel that stands for it."""
  for name in OF_W:
    run = untrained(name, OF_W[name], side=16)
    entries = run.spec.gen.entries
    params = traverse_util.flatten_dict(run.state.gen.params)
    # The one of StyleGAN3's input begins at 0.
    params = {
      path: x + 0.1 if path[-2:] == ('affine', 'kernel') else x
      for path, x in params.items()
    }
    latent = run.spec.eval_latent(KEY, 1)
    vars, rest = run.state.gen.vars, {'key': KEY, 'mode': types.EVAL}
    tree = traverse_util.unflatten_dict(params)
    ws, _ = run.spec.gen.methods['map'](tree, vars, latent, **rest)
    assert ws.shape[1] == len(entries)
    for i, path in enumerate(entries):
      blind = {path: jnp.zeros_like(params[path])}
      # What has a w in common with another layer.
      shared = {
        other: jnp.zeros_like(x)
        for other, x in params.items()
        if other[-3:] == ('torgb', 'affine', 'kernel') and other not in entries
      }
      make = jax.jit(run.spec.gen.methods['synthesise'], static_argnames='mode')
      for changed, reached in (({}, True), (blind, False)):
        own = traverse_util.unflatten_dict(params | shared | changed)
        x, _ = make(own, vars, ws, **rest)
        y, _ = make(own, vars, ws.at[:, i].add(1.0), **rest)
        assert (np.abs(x - y).max() > 1e-6) == reached, (name, i)


def test_samples_along_a_direction():
  """Of z and of w: a table, with the samples themselves in its middle."""
  for name, net in (('mlp', OF_Z['mlp']), ('stylegan2', OF_W['stylegan2'])):
    walker = walk.Walker(untrained(name, net, side=8))
    layers = (0, 1) if walker.has_w else None
    found = walker.directions(layers)
    rows = walker.latents([4, 5])
    distances = np.array([-3.0, 0.0, 3.0])
    table = walker.along(rows, found.vectors[0], distances, layers)
    assert table.shape == (2, 3, 8, 8, 1)
    plain = walker.inputs(rows)
    np.testing.assert_allclose(table[:, 1], walker.make(plain), atol=1e-6)
    step = 3.0 * found.vectors[0].astype(np.float32)
    z = np.array(plain.z)
    (z[:, :2] if layers else z)[...] += step
    expected = walker.make(plain._replace(z=jnp.asarray(z)))
    np.testing.assert_allclose(table[:, 2], expected, atol=1e-5)
    assert np.abs(table[:, 2] - table[:, 1]).max() > 1e-4


def test_what_networks_are_refused():
  net = r3gan2.GenSettings(width=8, depth=1, group_width=8)
  walker = walk.Walker(untrained('r3gan2', net, side=8))
  message = (
    "^gen.name='r3gan2': its first step is no plain affine one of the latent "
    'alone; that of mlp, maxout, dcgan, r3gan, small_dcgan, sngan, biggan, '
    'stylegan2, stylegan3 is$'
  )
  with pytest.raises(ValueError, match=message):
    walker.directions()
  walker = walk.Walker(untrained('mlp', OF_Z['mlp'], side=8))
  with pytest.raises(ValueError, match="'mlp' has no intermediate latents"):
    walker.directions((0, 1))


# The program.


@pytest.mark.parametrize('text', ['a', '1-', '-2', '1-2-3', ''])
def test_layers_that_are_none(text: str):
  if text == '1-':
    assert listed.layers(text) == (1, 1)
    return
  with pytest.raises(ValueError, match='must be as 0-3, or a number'):
    listed.layers(text)


def test_a_picture_of_a_run(tmp_path: pathlib.Path):
  config = configs.Config(steps=2, batch_size=8, log_every=2)
  config.data.name = 'digits'
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.gen.latent_dim = 5
  config.disc.net = mlp.DiscSettings(width=8, depth=1)
  config.eval.every = 2
  workdir, out = tmp_path / 'run', tmp_path / 'a.png'
  train.train(config, workdir)
  program = 'experiments.directions', f'--workdir={workdir}', f'--out={out}'
  done = programs.python(
    *program, '--directions=0,4', '--num=3', '--columns=5', '--seed=7'
  )
  assert done.returncode == 0, done.stderr
  run = trained.load(workdir)
  params = traverse_util.flatten_dict(trained.generator(run)[0], sep='/')
  values, _ = by_svd([np.asarray(params['Dense_0/kernel'], np.float64)])
  told = ', '.join(f'{x:.4g}' for x in values)
  assert (
    f'the first 5 of 5 eigenvalues, whose sum is 8: {told}\n' in done.stdout
  )
  assert "gen.latent='uniform' has no number beyond 1;" in done.stdout
  # The middle of a row is the sample of its seed, 10 pixels apart.
  with PIL.Image.open(out) as picture:
    pixels = np.asarray(picture, np.float32) / 127.5 - 1
  scale = -(-512 // 48)
  second = 28 * scale + 28 * scale // 3 // 2
  assert pixels.shape == (second + 28 * scale, 48 * scale)
  for row in range(3):
    (batch,) = trained.samples(run, 1, seed=7 + row)
    for top in (0, second):
      block = pixels[top + 10 * row * scale :, 20 * scale :]
      shown = block[: 8 * scale : scale, : 8 * scale : scale]
      np.testing.assert_allclose(shown, batch.x[0, ..., 0], atol=0.51 / 127.5)
  out.unlink()
  for flag, message in (
    ('--directions=5', '--directions=5: there are 0 to 4'),
    ('--distance=nan', '--distance=nan: must be above 0 and finite'),
  ):
    done = programs.python(*program, flag)
    assert done.returncode == 1
    assert done.stderr == f'error: {message}\n'
    assert not out.exists()
