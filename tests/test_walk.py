"""Ways between latents, pictures of them, and files written whole."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from sklearn import datasets

from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import sampling, walks
from gan_jax.metrics import neighbours
from gan_jax.networks import dcgan, mlp, stylegan2
from gan_jax.report import animation, ways
from gan_jax.run import exported, projection, train, trained, walk
from gan_jax.storage import whole
from tests import test_experiments as programs

KEY = jax.random.key(0)
SHARES = (0.25, 0.25, 0.5)

NETS = {
  'mlp': mlp.GenSettings(width=8, depth=1),
  'dcgan': dcgan.GenSettings(width=4),
  'stylegan2': stylegan2.GenSettings(width=4, w_dim=6, depth=1),
}


def untrained(name: str) -> trained.Run:
  """A run before its first step; its latents are normal."""
  config = configs.Config(batch_size=8, conditional=True)
  config.gen = configs.Gen(name=name, net=NETS[name], latent='normal')
  config.gen.latent_dim = 5
  config.disc.net = mlp.DiscSettings(width=4, depth=1)
  config.data.name = 'folder'
  info = sources.Info(
    'images', (8, 8, 1), class_names=('a', 'b', 'c'), class_shares=SHARES
  )
  config = build.complete(config)
  spec = build.make_spec(config, info)
  state = build.init_state(spec, build.make_hyper(config), KEY)
  return trained.Run(config, info, spec, state)


# The ways.


def test_a_quarter_of_a_circle():
  a, b = jnp.array([2.0, 0.0]), jnp.array([0.0, 4.0])
  found = walks.spherical(a, b, jnp.array([0.0, 1 / 3, 0.5, 1.0]))
  angles = np.array([0, np.pi / 6, np.pi / 4, np.pi / 2])
  lengths = np.array([2, 8 / 3, 3, 4])
  circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
  np.testing.assert_allclose(found, lengths[:, None] * circle, atol=1e-6)


def test_directions_without_a_circle():
  """The same twice, nearly the same, and opposite ones."""
  a, half = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.5])
  np.testing.assert_allclose(walks.spherical(a, a, half)[0], a, rtol=1e-6)
  near = a * (1 + 1e-6)
  np.testing.assert_allclose(walks.spherical(a, near, half)[0], a, rtol=1e-5)
  assert np.isfinite(walks.spherical(a, -a, half)).all()


def test_a_straight_line():
  a, b = jnp.array([[0.1, 0.7]]), jnp.array([[0.1, -0.3]])
  found = walks.linear(a, b, jnp.array([0.0, 0.3, 1.0]))
  np.testing.assert_allclose(found[:, 0, 1], [0.7, 0.4, -0.3], atol=1e-7)
  assert (found[:, 0, 0] == a[0, 0]).all()


def test_layers_of_another():
  rows = jnp.arange(2.0)[:, None, None] * jnp.ones((1, 4, 1))
  columns = 10 + jnp.arange(3.0)[:, None, None] * jnp.ones((1, 4, 1))
  table = walks.mixed(rows, columns, 1, 2).reshape(2, 3, 4)
  assert table[1, 2].tolist() == [1, 12, 12, 1]
  assert table[0, 1].tolist() == [0, 11, 11, 0]


@pytest.mark.parametrize('name', ['mlp', 'dcgan'])
def test_whole_shares_are_classes(name: str):
  """All of one class gives the same sample as its number."""
  run = untrained(name)
  params, vars = run.state.gen.params, run.state.gen.vars
  params = jax.tree.map(lambda x: x + 0.1 * jnp.sin(jnp.arange(x.size)).reshape(
    x.shape), params)  # fmt: skip
  latent = run.spec.eval_latent(KEY, 3)._replace(label=jnp.array([2, 0, 1]))
  shares = jax.nn.one_hot(latent.label, 3)[:, None]
  make = jax.jit(
    lambda latent: sampling.generate(run.spec, params, vars, latent, KEY)
  )
  x, y = make(latent), make(latent._replace(label=shares))
  other = make(latent._replace(label=jnp.roll(shares, 1, axis=0)))
  np.testing.assert_allclose(x, y, atol=1e-6)
  assert np.abs(x - other).max() > 1e-3


# Walkers.


def test_a_walk_passes_through_its_stops():
  run = untrained('mlp')
  walker = walk.Walker(run)
  stops = walker.latents([3, 5, 3], [1])
  inputs = walker.way(stops, 4)
  images = walker.make(inputs)
  assert images.shape == (9, 8, 8, 1)
  np.testing.assert_allclose(images[0], images[8], atol=1e-6)
  for seed, image in ((3, images[0]), (5, images[4])):
    (batch,) = trained.samples(run, 1, seed=seed, labels=np.array([1]))
    np.testing.assert_allclose(batch.x[0], image, atol=1e-6)
  moved = np.abs(np.diff(images, axis=0)).max(axis=(1, 2, 3))
  assert (moved > 0).all()
  logits = walker.judge(images, inputs.label)
  assert logits.shape == (9,)
  np.testing.assert_allclose(logits[0], logits[8], rtol=1e-5)


def test_a_walk_in_w_and_its_tables():
  run = untrained('stylegan2')
  average = {'averages': {'w': jnp.arange(6.0) / 6}}
  gen = run.state.gen._replace(vars={**run.state.gen.vars, **average})
  run = run._replace(state=run.state._replace(gen=gen))
  walker = walk.Walker(run)
  stops = walker.inputs(walker.latents([1], [0, 2]))
  assert stops.z.shape == (2, 4, 6)
  inputs = walker.way(walker.latents([1], [0, 2]), 2)
  np.testing.assert_allclose(inputs.z[1], stops.z.mean(axis=0), rtol=1e-5)
  np.testing.assert_allclose(inputs.label[1, 0], [0.5, 0, 0.5])
  own = walker.truncated(1e-6)
  near = own.inputs(own.latents([1, 2])).z
  expected = np.broadcast_to(np.arange(6) / 6, near.shape)
  np.testing.assert_allclose(near, expected, atol=1e-5)
  rows, columns = walker.latents([1, 2]), walker.latents([3])
  assert walker.mixed(rows, columns, 0, 1).z.shape == (2, 4, 6)
  with pytest.raises(ValueError, match=r'--layers=2-4: .* layers 0 to 3'):
    walker.mixed(rows, columns, 2, 4)


def test_what_a_network_lacks():
  walker = walk.Walker(untrained('mlp'))
  latent = walker.latents([1])
  with pytest.raises(ValueError, match="'mlp' has no intermediate latents"):
    walker.mixed(latent, latent, 0, 1)
  with pytest.raises(ValueError, match="'mlp' has no truncation"):
    walker.truncated(0.5)
  with pytest.raises(
    ValueError, match='--seeds: 2 of them, and 3 of the other'
  ):
    walker.latents([1, 2], [0, 1, 2])


def test_samples_that_need_a_batch(tmp_path: pathlib.Path):
  run = untrained('mlp')
  run = run._replace(spec=run.spec._replace(own_statistics=True))
  for make in (
    lambda: walk.Walker(run),
    lambda: projection.Projector(run, None, ''),
    lambda: exported.export(run, tmp_path, tmp_path / 'out'),
  ):
    with pytest.raises(ValueError, match='samples of this run are normal'):
      make()


def test_the_closest_of_blocks():
  rng = np.random.default_rng(0)
  samples, train = rng.normal(size=(3, 7)), rng.normal(size=(50, 7))
  samples, train = samples.astype('float32'), train.astype('float32')
  found = neighbours.closest(samples, np.split(train, [2, 30, 31]), 4)
  away = np.linalg.norm(samples[:, None] - train[None], axis=-1)
  order = away.argsort(axis=1)[:, :4]
  np.testing.assert_array_equal(found.row, order)
  np.testing.assert_allclose(
    found.distance, np.take_along_axis(away, order, axis=1), rtol=1e-5
  )


# Pictures and files.


def test_pictures_of_a_walk(tmp_path: pathlib.Path):
  images = np.linspace(-1, 1, 5)[:, None, None, None] * np.ones((1, 8, 8, 1))
  logits = np.arange(5.0)
  assert ways.strip(images, None, 2).shape[-1] == 1
  strip = ways.strip(images, logits, 2)
  assert strip.shape[1:] == (532, 3)
  plain, marked = ways.frames(images, None, 2), ways.frames(images, logits, 2)
  assert plain[0].shape == (320, 320, 1)
  assert np.unique(plain[-1]).tolist() == [255]
  red = [(x[320:] == ways._HERE).all(axis=-1).any(axis=0) for x in marked]
  places = [int(np.flatnonzero(x)[0]) for x in red]
  assert places == sorted(set(places))
  for name, frames in (('a.gif', plain), ('b.webp', marked)):
    animation.save(tmp_path / name, frames, rate=10)
    with PIL.Image.open(tmp_path / name) as picture:
      assert picture.n_frames == 5
      assert picture.info['loop'] == 0


def test_no_encoder(monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setenv('PATH', '')
  with pytest.raises(ValueError, match=r'ffmpeg.*write \.gif or \.webp'):
    animation.check('.mp4')


def test_files_are_whole_or_not_there(tmp_path: pathlib.Path):
  def fail(folder: bool) -> None:
    make = whole.folder if folder else whole.file
    with make(tmp_path / 'x.PNG') as part:
      (part / 'a' if folder else part).write_text('half')
      raise RuntimeError

  for folder in (True, False):
    with pytest.raises(RuntimeError):
      fail(folder)
    assert not [*tmp_path.iterdir()]
  with whole.file(tmp_path / 'x.PNG') as part:
    assert part.suffix == '.png'
    part.write_text('all')
  with whole.folder(tmp_path / 'y') as part:
    (part / 'a').write_text('all')
  assert {path.name for path in tmp_path.iterdir()} == {'x.PNG', 'y'}
  for path, message in ((tmp_path / 'y', 'not empty'), (
    tmp_path / 'x.PNG', 'is a file'), (tmp_path / 'no/z', 'cannot be written')
  ):  # fmt: skip
    with pytest.raises(ValueError, match=message), whole.folder(path):
      pass


def test_suffixes(tmp_path: pathlib.Path):
  kinds = '.png', '.npz'
  assert whole.suffix(f'{tmp_path}/x.NPZ', kinds) == '.npz'
  assert whole.suffix(f'{tmp_path}/x.png/', kinds, folder=True) == ''
  assert whole.suffix(f'{tmp_path}/x', kinds, folder=True) == ''
  for path in (f'{tmp_path}/x', f'{tmp_path}/x.gif'):
    with pytest.raises(ValueError, match=r'must end in \.png or \.npz'):
      whole.suffix(path, kinds)
  with pytest.raises(ValueError, match='no folder'):
    whole.suffix('/nowhere/x.png', kinds)


@pytest.fixture
def conditional_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run of two steps on digits, by class."""
  config = configs.Config(steps=2, batch_size=8, log_every=2, conditional=True)
  config.data.name = 'digits'
  config.gen.net, config.disc.net = NETS['mlp'], mlp.DiscSettings(width=8)
  config.eval.every = 2
  workdir = tmp_path_factory.mktemp('runs') / 'run'
  train.train(config, workdir)
  return workdir


def test_walks_of_a_run(conditional_run: pathlib.Path, tmp_path: pathlib.Path):
  """A folder of samples, a walk, and the training images beside samples."""
  out = tmp_path / 'samples'
  own = f'--workdir={conditional_run}'
  done = programs.python('experiments.sample', own, '--num=5', f'--out={out}/')
  assert done.returncode == 0, done.stderr
  labels = json.loads((out / 'dataset.json').read_text())['labels']
  assert [name for name, _ in labels] == [f'{i:06d}.png' for i in range(5)]
  (batch,) = trained.samples(trained.load(conditional_run), 5, seed=0)
  assert [label for _, label in labels] == batch.label.tolist()
  with PIL.Image.open(out / '000003.png') as picture:
    pixels = np.asarray(picture, np.float32) / 127.5 - 1
  np.testing.assert_allclose(pixels, batch.x[3, ..., 0], atol=0.51 / 127.5)
  walker = walk.Walker(trained.load(conditional_run))
  digits = datasets.load_digits().images.astype(np.float32) / 8 - 1
  near = walker.nearest(digits[[5, 30], ..., None] * 0.9, 3)
  assert near.row[:, 0].tolist() == [5, 30]
  np.testing.assert_allclose(
    near.found[0, 0, ..., 0], digits[5], atol=0.51 / 127.5
  )
  away = np.sqrt(np.square(near.found[0, 0, ..., 0] - 0.9 * digits[5]).mean())
  np.testing.assert_allclose(near.distance[0, 0], away, rtol=1e-5)
  assert not near.mirrored.any()
  # Each image once, the way that is nearer.
  run = trained.load(conditional_run)
  run.config.data.flip = True
  asked = np.stack([digits[5], digits[30][:, ::-1]])[..., None]
  near = walk.Walker(run).nearest(asked, 900)
  assert near.row[:, 0].tolist() == [5, 30]
  assert near.mirrored[:, 0].tolist() == [False, True]
  assert all(len(set(rows)) == 900 for rows in near.row)
  np.testing.assert_allclose(near.found[1, 0], asked[1], atol=0.51 / 127.5)
  ways = np.stack([digits, digits[:, :, ::-1]])
  away = np.square(ways - asked[1, ..., 0]).mean(axis=(2, 3)).min(axis=0)
  np.testing.assert_allclose(
    near.distance[1], np.sqrt(np.sort(away)[:900]), atol=0.51 / 127.5
  )
  done = programs.python(
    'experiments.walk', own, '--seeds=1', '--classes=3,x',
    f'--out={tmp_path}/walk.gif',
  )  # fmt: skip
  assert done.returncode == 1
  assert done.stderr.startswith('error: --classes=x: there is no such class')
  done = programs.python(
    'experiments.walk', own, '--mode=nearest', '--seeds=1', '--columns=4,5',
    f'--out={tmp_path}/near.png',
  )  # fmt: skip
  assert done.stderr.startswith('error: --columns=4,5: in --mode=nearest it is')
  assert [path.name for path in tmp_path.iterdir()] == ['samples']
