"""Runs made of the state_dicts that BigGAN's training in PyTorch saves."""

import hashlib
import json
import pathlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import make_biggan_fixture as common
import make_weights_fixture as fixture
import numpy as np
import pytest

from experiments.configs import images
from gan_jax import types
from gan_jax.config import fields as configs, overrides
from gan_jax.engine import build
from gan_jax.networks import authors_biggan, biggan, biggan_deep
from gan_jax.run import converted, trained
from gan_jax.storage import history, torch_files

KEY = jax.random.key(0)
NAMES = 'biggan', 'biggan_deep', 'sagan'


def make_config(name: str) -> configs.Config:
  """How the fixture's networks were made."""
  deep = name == 'biggan_deep'
  config = images.get_config('biggan_deep' if deep else 'biggan')
  package: Any = biggan_deep if deep else biggan
  own: dict[str, Any] = {'shared': fixture.SHARED, 'hierarchical': True}
  if deep:
    del own['hierarchical']
  if name == 'sagan':
    own = {}
  width = fixture.WIDTH
  config.gen.net = package.GenSettings(width, fixture.ATTENTION, **own)
  config.disc.net = package.DiscSettings(width)
  config.gen.latent_dim = fixture.LATENT_DIM[name]
  config.data.size = 0
  config.conditional = True
  return config


def unpacked(name: str, folder: pathlib.Path) -> converted.Files:
  """The files as the authors' code leaves them."""
  with zipfile.ZipFile(fixture.path(name)) as archive:
    archive.extractall(folder)
  paths = [folder / f'{key}.pth' for key in ('G', 'G_ema', 'D')]
  return converted.Files(*(path if path.is_file() else None for path in paths))


def convert(
  files: converted.Files, config: configs.Config, out: pathlib.Path
) -> converted.Snapshot:
  snapshot = converted.read_weights(files, config)
  converted.make_run(snapshot, converted.configure(config, snapshot.model), out)
  return snapshot


class Made(NamedTuple):
  """A run in `folder`, where the files are, too.

  Attributes:
    samples: of parameters and `vars` of G in evaluation, as the fixture keeps
      them.
  """

  name: str
  folder: pathlib.Path
  snapshot: converted.Snapshot
  run: trained.Run
  samples: Callable[[types.PyTree, types.PyTree], jax.Array]


@pytest.fixture(scope='module', params=NAMES)
def made(
  request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Made:
  name: str = request.param
  folder = tmp_path_factory.mktemp(name)
  snapshot = convert(unpacked(name, folder), make_config(name), folder / 'run')
  run = trained.load(folder / 'run')
  z, _ = common.inputs(fixture.SIDE, fixture.LATENT_DIM[name])
  latent = types.Latent(jnp.asarray(z), jnp.asarray(common.LABELS))

  @jax.jit
  def samples(params: types.PyTree, vars: types.PyTree) -> jax.Array:
    x, _ = run.spec.gen.apply(params, vars, latent, key=KEY, mode=types.EVAL)
    return x[:, :: fixture.STEP, :: fixture.STEP].transpose(0, 3, 1, 2)

  return Made(name, folder, snapshot, run, samples)


def assert_near(ours: Any, theirs: np.ndarray) -> None:
  assert ours.shape == theirs.shape
  error = np.abs(np.asarray(ours) - theirs).max()
  assert error <= 1e-4 * np.abs(theirs).max()


def answers(folder: pathlib.Path) -> dict[str, np.ndarray]:
  with np.load(folder / 'answers.npz') as file:
    return dict(file)


def test_answers_of_the_authors_code(made: Made):
  """Of the average, or of G where it is alone, and of D."""
  kept, state = answers(made.folder), made.run.state
  expected = kept['G_ema' if 'G_ema' in kept else 'G']
  assert_near(made.samples(state.gen_ema, state.gen.vars), expected)
  _, x = common.inputs(fixture.SIDE, fixture.LATENT_DIM[made.name])
  batch = types.Batch(jnp.asarray(x), jnp.asarray(common.LABELS))

  @jax.jit
  def judge(params: types.PyTree, vars: types.PyTree) -> jax.Array:
    apply = made.run.spec.disc.apply
    return apply(params, vars, batch, key=KEY, mode=types.EVAL)[0]

  assert_near(judge(state.disc.params, state.disc.vars), kept['D'])


@pytest.mark.parametrize('made', ['biggan', 'biggan_deep'], indirect=True)
def test_the_generator_that_is_trained(made: Made):
  """Its weights, beside the average; with its own statistics it is theirs."""
  config = make_config(made.name)
  alone = converted.read_weights(
    converted.Files(made.folder / 'G.pth', None, None), config
  )
  layout = alone.model.layouts.gen
  shapes = made.run.state.gen
  own = converted.take_over(shapes, layout, alone.gen)
  for x, expected in zip(
    jax.tree.leaves(made.run.state.gen.params),
    jax.tree.leaves(own.params),
    strict=True,
  ):
    np.testing.assert_array_equal(x, expected)
  expected = answers(made.folder)['G']
  assert_near(made.samples(own.params, own.vars), expected)


def test_what_the_run_says(made: Made):
  name, folder, snapshot, run, _ = made
  config, asked = run.config, make_config(name)
  assert (config.gen.net, config.disc.net) == (asked.gen.net, asked.disc.net)
  assert (config.data.size, config.data.channels) == (fixture.SIDE, 3)
  assert run.info.shape == (fixture.SIDE, fixture.SIDE, 3)
  assert run.info.class_names == ('0', '1', '2')
  lines = (folder / 'run' / 'history.jsonl').read_text().splitlines()
  told = {line['file']: line['sha256'] for line in map(json.loads, lines)}
  assert told == {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()
    for path in folder.glob('*.pth')
  }
  one = 'it has one generator, G.pth: both are that'
  both = "running statistics and u0 are the average's, for both generators"
  sigma = 'left out: sv0; sigma is computed of u0 and the weights'
  standing = 'standing statistics, sums there, are averages here'
  assert (
    snapshot.remarks
    == {
      'biggan': (both, sigma),
      'biggan_deep': (both, sigma, standing),
      'sagan': (one, sigma),
    }[name]
  )


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> converted.Files:
  return unpacked('biggan', tmp_path_factory.mktemp('files'))


def test_an_average_alone_is_both(
  files: converted.Files, tmp_path: pathlib.Path
):
  """D is as it starts."""
  config = make_config('biggan')
  config.disc.net = biggan.DiscSettings(1, kernel_init='normal')
  snapshot = converted.read_weights(
    converted.Files(None, files.gen_ema, None), config
  )
  assert snapshot.remarks[:2] == (
    'it has one generator, G_ema.pth: both are that',
    'it has no D: that has random weights',
  )
  config = converted.configure(config, snapshot.model)
  state = converted.make_run(snapshot, config, tmp_path / 'new' / 'run')
  expected = torch_files.read_state_dict(files.gen_ema)['shared.weight']
  for params in (state.gen.params, state.gen_ema):
    np.testing.assert_array_equal(params['shared']['embedding'], expected)
  kernel = np.asarray(state.disc.params['Block_0']['Conv_0']['kernel'])
  assert kernel.shape == (3, 3, 3, 4)
  assert 0.5 < kernel.std() < 2


def refusal(
  files: converted.Files, config: configs.Config, folder: pathlib.Path
) -> str:
  """Why it is refused, in one line, with nothing left behind."""
  with pytest.raises(ValueError) as error:  # noqa: PT011
    convert(files, config, folder / 'run')
  assert not list(folder.iterdir())
  reason = str(error.value)
  assert '\n' not in reason
  return reason


ARRAYS = {
  'missing': (
    'G.pth', 'blocks.1.0.bn2.gain.weight', None,
    'G.pth: it has no blocks.1.0.bn2.gain.weight, for '
    'Block_1/VectorBatchNorm_1/gain/kernel here',
  ),
  'no vector': (
    'D.pth', 'embed.u0', None,
    'D.pth: it has no embed.u0, for Projection_0/Embedding_0/embedding/u here',
  ),
  'no statistics': (
    'G_ema.pth', 'blocks.0.0.bn1.stored_var', None,
    'G_ema.pth: it has no blocks.0.0.bn1.stored_var',
  ),
  'other shape': (
    'G_ema.pth', 'blocks.2.0.conv2.weight', np.zeros((8, 7, 3, 3)),
    'G_ema.pth: blocks.2.0.conv2.weight is [3, 3, 7, 8] there, and '
    'Block_2/Conv_1/kernel [3, 3, 8, 8] here',
  ),
  'first layer': (
    'G.pth', 'linear.weight', np.zeros((127, 2)),
    'G.pth: linear.weight is [2, 127] there, and Dense_0/kernel [2, 128] here',
  ),
  'no axes': (
    'G.pth', 'linear.weight', np.float32(1),
    'G.pth: linear.weight is [] there, and Dense_0/kernel [2, 128] here',
  ),
  'nothing to count': (
    'G.pth', 'shared.weight', np.float32(1), 'G.pth: an array has no axes',
  ),
  'other classes': (
    'D.pth', 'embed.weight', np.zeros((4, 8)),
    'D.pth: embed.weight is [4, 8] there, and '
    'Projection_0/Embedding_0/embedding [3, 8] here',
  ),
  'no G': (
    'G.pth', 'output_layer.2.weight', None,
    'G.pth: it has no output_layer.2.weight, which every G of that code has',
  ),
  'more': (
    'D.pth', 'linear.u1', np.zeros((1, 1)),
    'D.pth: there is nothing here for linear.u1',
  ),
}  # fmt: skip


@pytest.mark.parametrize('case', ARRAYS)
def test_arrays_that_do_not_fit(
  case: str,
  files: converted.Files,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):
  file, name, x, reason = ARRAYS[case]
  read = torch_files.read_state_dict

  def changed(path: pathlib.Path) -> dict[str, np.ndarray]:
    arrays = read(path)
    if path.name == file:
      arrays.pop(name, None)
      arrays |= {} if x is None else {name: np.asarray(x)}
    return arrays

  monkeypatch.setattr(torch_files, 'read_state_dict', changed)
  assert reason in refusal(files, make_config('biggan'), tmp_path)


CONFIGS: dict[str, tuple[Any, str]] = {
  'gen.net.width': (
    4, 'G.pth: output_layer.0.bias is [8] there, and BatchNorm_0/bias [16] here'
  ),
  'gen.net.attention': (
    8, 'G.pth: it has no blocks.0.1.gamma, for SelfAttention_0/gamma here'
  ),
  'gen.net.shared': (
    5, 'G.pth: blocks.0.0.bn1.bias.weight is [5, 8] there, and '
    'Block_0/VectorBatchNorm_0/bias/kernel [7, 8] here'
  ),
  'gen.net.spectral_norm': (
    False, 'G.pth: there is nothing here for linear.u0, blocks.0.0.conv1.u0, '
    'blocks.0.0.conv2.u0, and so on'
  ),
  'gen.latent_dim': (12, 'bn1.bias.weight is [5, 8] there, and '),
  'gen.name': ('sngan', 'gen.name=sngan: the networks of that code are biggan '
    'and biggan_deep'),
  'disc.name': ('sngan', 'disc.name=sngan: D is of gen.name=biggan'),
  'disc.net.attention': (
    8, 'D.pth: it has no blocks.1.1.gamma, for SelfAttention_0/gamma here'
  ),
  'data.size': (
    64, 'G.pth: data.size=64: by its arrays it is 32; set data.size=32'
  ),
  'data.channels': (1, 'G.pth: data.channels=1: by its arrays it is 3; '),
  'conditional': (
    False, 'conditional=False: the networks of that code are of classes; set '
    'conditional=True'
  ),
}  # fmt: skip


@pytest.mark.parametrize('field', CONFIGS)
def test_another_configuration(
  field: str, files: converted.Files, tmp_path: pathlib.Path
):
  value, reason = CONFIGS[field]
  config = overrides.apply(
    make_config('biggan'), [(field, str(value))], build.complete
  )
  assert reason in refusal(files, config, tmp_path)


def test_another_network(files: converted.Files, tmp_path: pathlib.Path):
  config = make_config('biggan_deep')
  assert refusal(files, config, tmp_path).endswith(
    'gen.name=biggan_deep: its arrays are those of biggan; set gen.name=biggan'
  )
  deep = unpacked('biggan_deep', files.disc.parent / 'deep')
  config.gen.net = biggan_deep.GenSettings(fixture.WIDTH, depth=4)
  assert refusal(deep, config, tmp_path).endswith(
    'gen.net.depth=4: it has 6 blocks, of which this is no divisor'
  )


def test_a_folder_that_is_there_is_left_alone(
  files: converted.Files, tmp_path: pathlib.Path
):
  (tmp_path / 'run').mkdir()
  with pytest.raises(ValueError, match='is there already'):
    convert(files, make_config('biggan'), tmp_path / 'run')
  assert [path.name for path in tmp_path.rglob('*')] == ['run']


def test_a_write_that_fails_leaves_nothing(
  files: converted.Files,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):
  def fail(*_: Any, **__: Any) -> None:
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(history, 'add', fail)
  assert 'No space left' in refusal(files, make_config('biggan'), tmp_path)


def test_names_by_the_kind_of_batch_normalisation():
  settings = biggan.GenSettings(fixture.WIDTH)
  path = 'Block_1', 'ClassBatchNorm_0', 'BatchNorm_0', 'var'
  for before in ('stored_', 'bn.stored_', 'bn.running_'):
    names = [f'output_layer.0.{before}mean']
    layout = authors_biggan.layout(settings, fixture.SIDE, names)
    assert layout.name(path) == f'blocks.1.0.bn1.{before}var'
    assert layout.name(('BatchNorm_0', 'mean')) == names[0]
    told = authors_biggan.remarks({names[0]: np.zeros(1)})
    assert len(told) == (before == 'bn.running_')


@pytest.mark.parametrize(
  ('flags', 'reason'),
  [
    ('--gen=G.pth --snapshot=a.pkl --out=b', 'either --snapshot=FILE.pkl or'),
    ('--disc=D.pth --out=b', '--disc=D.pth: needs a generator'),
    ('--gen_ema=G.pth --out=b', '--config=FILE must say how the networks'),
  ],
)
def test_flags_that_are_not_enough(flags: str, reason: str):
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.convert', *flags.split()],
    capture_output=True,
    text=True,
  )
  assert done.returncode == 1
  assert done.stderr.startswith('error: ')
  assert reason in done.stderr
  assert done.stderr.count('\n') == 1
