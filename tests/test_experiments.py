"""Every configuration and every program, as a user would start them."""

import dataclasses
import importlib
import importlib.metadata
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

import chex
import jax
import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets

from experiments import files, launch
from gan_jax.config import checks, fields as configs, values
from gan_jax.data import prepared
from gan_jax.engine import build, names, program
from gan_jax.run import train
from gan_jax.storage import workdir as workdirs
from gan_jax.study import tables

ROOT = pathlib.Path(__file__).parent.parent
CONFIGS = sorted(
  path
  for path in (ROOT / 'experiments' / 'configs').glob('*.py')
  if path.stem != '__init__'
)


def module_of(path: pathlib.Path) -> types.ModuleType:
  return importlib.import_module(f'experiments.configs.{path.stem}')


def colon(path: pathlib.Path, argument: str) -> str:
  """As `--config` has a file and its argument."""
  return f'{path}:{argument}' if argument else str(path)


# Each file, with each argument that it takes.
EACH = [
  (path, argument)
  for path in CONFIGS
  for argument in getattr(module_of(path), 'ARGUMENTS', {'': None})
]
IMAGES = ('digits', 'images', 'mnist', 'stacked_mnist')
TFDS = (
  'cifar10', 'few_clothes', 'imagenet', 'mnist', 'mnist_2014', 'stacked_mnist'
)  # fmt: skip


def shrunken(net: Any, width: int) -> Any:
  """The same settings of a narrow network."""
  changed = {'width': width, 'depth': 1, 'groups': 2, 'w_dim': 8, 'layers': 3}
  if getattr(net, 'attention', 0):
    changed['attention'] = 16
  own = {f.name for f in dataclasses.fields(net)}
  return dataclasses.replace(
    net, **{name: value for name, value in changed.items() if name in own}
  )


def shrink(config: configs.Config) -> configs.Config:
  """The same game for one step, with narrow networks."""
  config.steps = config.log_every = config.eval.every = 1
  config.checkpoint.every = 1
  config.batch_size = 4
  if config.microbatches > 1:
    config.batch_size, config.microbatches = 8, 2
  config.eval.num_samples = 64
  config.data.num_points = min(config.data.num_points, 100)
  tables = config.gen.name in ('sngan', 'biggan', 'biggan_deep')
  config.data.size = 32 if tables else min(config.data.size, 8)
  config = build.complete(config)
  width = 2 if tables else 8
  if tables:
    # Each D step is compiled by itself.
    config.disc_steps, config.gen.latent_dim = 1, 8
  config.gen.net = shrunken(config.gen.net, width)
  config.disc.net = shrunken(config.disc.net, width)
  return config


def once_each() -> list[tuple[pathlib.Path, str]]:
  """All but the later ones of the networks that take long to compile."""
  # Of these, other tests play a step; of BigGAN-deep BigGAN's is near enough.
  kept, seen = [], {'r3gan', 'r3gan2', 'stylegan2', 'stylegan3', 'biggan_deep'}
  played = {'digits': ('dcgan',), 'grid_2d': ('pacgan3', 'pacgan4')}
  for path, argument in EACH:
    if argument in played.get(path.stem, ()):
      continue
    config = files.load_config(colon(path, argument))
    game = name = config.gen.name
    if name == 'dcgan':
      game += f' {config.augment.policy} {config.conditional}'
    if game not in seen:
      kept.append((path, argument))
    if name in ('dcgan', 'sngan', 'biggan', 'small_dcgan'):
      seen.add(game)
  return kept


@pytest.mark.parametrize(('path', 'argument'), EACH)
def test_no_config_is_warned_of(path: pathlib.Path, argument: str):
  """As where no row divides its steps, which are then played one by one."""
  config = build.complete(files.load_config(colon(path, argument)))
  assert not [*checks.warnings(config)]


@pytest.fixture
def shrunken_config(
  path: pathlib.Path,
  argument: str,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
) -> Iterator[configs.Config]:
  """The config of a file and its argument, on data made up for it."""
  config = shrink(files.load_config(colon(path, argument)))
  if config.data.name == 'folder':
    config.data.dir = str(tmp_path / 'images')
    for i in range(12):
      image = np.full((20, 24, 3), 20 * i, np.uint8)
      folder = tmp_path / 'images' / f'of_{i % 2}'
      folder.mkdir(parents=True, exist_ok=True)
      PIL.Image.fromarray(image).save(folder / f'{i}.png')
    if config.eval.held_out:
      # Of few files, a tenth may be none.
      config.data.split, config.eval.held_out = 'train[:50%]', 'train[50%:]'
      config.eval.split = config.eval.split and config.eval.held_out
  elif path.stem in TFDS:
    config.data.dir, config.data.split = str(tmp_path), 'train'
    (tmp_path / config.data.name).mkdir(parents=True)
  # The mock's records hold no bytes to tell them by, and it knows no sizes.
  monkeypatch.setattr(prepared, '_key', lambda *_: '')
  monkeypatch.setattr(prepared, 'overlap', lambda *_: False)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  with tensorflow_datasets.testing.mock_data(num_examples=100):
    yield config


@pytest.mark.parametrize(('path', 'argument'), EACH)
def test_every_config_is_whole(path: pathlib.Path, argument: str):
  assert 'python -m experiments.train' in (module_of(path).__doc__ or '')
  config = files.load_config(colon(path, argument))
  checks.validate(config)
  if argument in names.NETWORKS:
    assert config.gen.name == config.disc.name == argument
  assert config.eval.every % config.log_every == 0


PLAYED = once_each()


@pytest.mark.parametrize(
  ('path', 'argument'), [each for each in EACH if each not in PLAYED]
)
def test_every_config_has_a_step(shrunken_config: configs.Config):
  """Of those that are not played below: traced."""
  game = program.open_game(shrunken_config)
  state = jax.eval_shape(game.initial_state)
  chunk, arrays = program.make_chunk(game, 1), game.source.chunk(0, 1)
  after, *_ = jax.eval_shape(chunk, state, game.hyper, arrays, game.keys)
  chex.assert_trees_all_equal_shapes_and_dtypes(after, state)


@pytest.mark.parametrize(('path', 'argument'), PLAYED)
def test_every_config_runs_a_step(
  shrunken_config: configs.Config, tmp_path: pathlib.Path
):
  summary = train.train(shrunken_config, tmp_path / 'run')
  assert summary['step'] == 1


@pytest.mark.parametrize('name', IMAGES)
def test_every_config_of_images_has_other_networks(name: str):
  arguments = module_of(pathlib.Path(f'{name}.py')).ARGUMENTS
  assert len(arguments) > 1
  config = module_of(pathlib.Path(f'{name}.py')).get_config('r3gan')
  assert config.loss == 'relativistic_paired'
  ratio = {
    name: schedule.final / values.flatten(config)[name]
    for name, schedule in config.schedules.items()
    if name.startswith('penalties')
  }
  # Table 9 of Huang et al. 2024: gamma falls to a tenth on all data.
  assert ratio == {
    'penalties.r1.weight': pytest.approx(0.1),
    'penalties.r2.weight': pytest.approx(0.1),
  }


@pytest.mark.parametrize(
  ('config', 'expected'),
  [
    # Arjovsky et al. 2017, algorithm 1, and the defaults of its code.
    (
      'images.py:wgan',
      {
        'loss': 'wasserstein', 'batch_size': 64, 'disc_steps': 5,
        'optim.gen.name': 'rmsprop', 'optim.gen.learning_rate': 5e-5,
        'optim.disc.name': 'rmsprop', 'optim.disc.learning_rate': 5e-5,
        'optim.disc.b2': 0.99, 'optim.disc.clip': 0.01, 'optim.gen.clip': 0.0,
        'gen.latent': 'normal', 'gen.latent_dim': 100, 'ema.half_life': 0.0,
      },
    ),
    # Gulrajani et al. 2017, by the table of mimicry's README and its code.
    (
      'cifar10.py:wgan_gp',
      {
        'loss': 'wasserstein', 'batch_size': 64, 'disc_steps': 5,
        'steps': 100_000, 'penalties.wgan_gp.weight': 10.0,
        'optim.gen.learning_rate': 2e-4, 'optim.gen.b1': 0.0,
        'optim.gen.b2': 0.9, 'disc.net.spectral_norm': False,
        'disc.net.pooling': 'mean', 'gen.latent_dim': 128, 'gen_batches': 1,
      },
    ),
    # Chen et al. 2019 and Lee et al. 2021, by the same.
    (
      'cifar10.py:ssgan',
      {
        'loss': 'hinge', 'disc_steps': 5, 'steps': 100_000,
        'penalties.ssgan.weight': 1.0, 'penalties.ssgan_gen.weight': 0.2,
        'disc.net.rotations': True, 'disc.net.spectral_norm': True,
        'gen_batches': 1, 'data.dequantise': False,
      },
    ),
    (
      'cifar10.py:infomax',
      {
        'penalties.infomax.weight': 0.2, 'penalties.infomax_gen.weight': 0.2,
        'disc.net.infomax': 1024, 'optim.disc.learning_rate': 2e-4,
      },
    ),
    # The scripts BigGAN_bs256x8 and SAGAN_bs128x2 of Brock et al. 2019.
    ('imagenet.py:128', {'batch_size': 8 * 256, 'microbatches': 8}),
    ('imagenet.py:sagan', {'batch_size': 2 * 128, 'microbatches': 2}),
    ('images.py:biggan', {'batch_size': 256, 'microbatches': 1}),
    # Karras et al. 2021: train.py and docs/configs.md of their code.
    (
      'ffhq.py:stylegan3_r_256',
      {
        'batch_size': 64, 'steps': 390_600, 'gen.net.width': 1024,
        'gen.net.channel_base': 32768, 'gen.net.kernel': 1,
        'gen.net.radial': True, 'disc.net.channel_base': 16384,
        'disc.net.width': 512, 'disc.net.mbstd_group': 4,
        'penalties.r1.weight': 1.0, 'penalties.r1.every': 16,
        'penalties.path_length.weight': 0.0, 'optim.gen.b1': 0.0,
        'optim.gen.learning_rate': 0.0025, 'optim.gen.b2': 0.99,
        'optim.disc.learning_rate': 0.0025 * 16 / 17,
        'optim.disc.b2': 0.99 ** (16 / 17), 'augment.blur': 10.0,
        'schedules.augment.blur.final': 0.0,
        'schedules.augment.blur.end': 400_000,
        'schedules.ema.half_life.final': 20_000.0,
        'schedules.ema.half_life.end': 400_000, 'augment.policy': '',
      },
    ),
    (
      'ffhq.py:stylegan3_t_1024',
      {
        'batch_size': 32, 'gen.net.width': 512, 'gen.net.kernel': 3,
        'gen.net.radial': False, 'gen.net.channel_base': 32768,
        'penalties.r1.weight': 32.8, 'augment.blur': 0.0,
        'optim.disc.learning_rate': 0.002 * 16 / 17,
      },
    ),
    (
      'images.py:stylegan3_256',
      {'penalties.r1.weight': 2.0, 'augment.policy': 'ada.bgc'},
    ),
    # The script BigGAN_deep of Brock et al. 2019.
    (
      'imagenet.py:biggan_deep',
      {
        'batch_size': 8 * 256, 'microbatches': 8, 'disc_steps': 1,
        'loss': 'hinge', 'data.size': 128, 'gen.latent': 'normal',
        'gen.latent_dim': 128, 'gen.net.shared': 128, 'gen.net.width': 128,
        'disc.net.width': 128, 'gen.net.depth': 2, 'disc.net.depth': 2,
        'gen.net.attention': 64, 'disc.net.attention': 64,
        'gen.net.kernel_init': 'orthogonal', 'gen.net.epsilon': 1e-5,
        'optim.gen.learning_rate': 1e-4, 'optim.disc.learning_rate': 4e-4,
        'optim.gen.b1': 0.0, 'optim.disc.b1': 0.0, 'optim.gen.b2': 0.999,
        'optim.disc.b2': 0.999, 'optim.gen.eps': 1e-6, 'optim.disc.eps': 1e-6,
        'penalties.orthogonal.weight': 0.0,
      },
    ),
  ],
)  # fmt: skip
def test_numbers_are_those_of_the_authors(
  config: str, expected: dict[str, object]
):
  made = build.complete(files.load_config(f'experiments/configs/{config}'))
  found = values.flatten(made)
  assert {name: found[name] for name in expected} == expected


TABLES = sorted(
  path
  for path in (ROOT / 'experiments' / 'tables').glob('*.py')
  if path.stem != '__init__'
)


@pytest.mark.parametrize('path', TABLES, ids=lambda path: path.stem)
def test_every_table_can_be_played(path: pathlib.Path):
  module = importlib.import_module(f'experiments.tables.{path.stem}')
  assert f'--table=experiments/tables/{path.name}' in module.__doc__
  table = module.get_table()
  tables.check(table)
  for config in table.rows.values():
    assert config.population.seeds > 1
    assert not [*checks.warnings(build.complete(config))]


def test_fewer_steps_of_a_table_shorten_its_schedules():
  config = configs.Config(steps=1000, batch_size=4)
  for name, end, unit in (
    ('optim.gen.learning_rate', 1000, 'steps'),
    ('optim.disc.learning_rate', 600, 'steps'),
    ('penalties.r1.weight', 4000, 'samples'),
  ):
    config.schedules[name] = configs.Schedule(end=end, unit=unit)
  tables.set_steps(config, 100)
  assert config.steps == 100
  assert [x.end for x in config.schedules.values()] == [100, 600, 400]


def python(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
  return subprocess.run(
    [sys.executable, '-m', *arguments],
    cwd=ROOT,
    env={**os.environ, **env},
    capture_output=True,
    text=True,
    check=False,
  )


SMALL = (
  '--config.steps=4', '--config.log_every=2', '--config.eval.every=2',
  '--config.checkpoint.every=2', '--config.batch_size=4',
)  # fmt: skip


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('x = (', "file.py:1: SyntaxError: '(' was never closed"),
    ('import notthere', 'file.py:1: ModuleNotFoundError: No module named'),
    ('\ndef get_config():\n  return c\n', 'file.py:3: NameError: name'),
    ('a, b = 1, 2, 3', 'file.py:1: ValueError: too many values to unpack'),
    ('x = float("abc")', 'file.py:1: ValueError: could not convert string'),
    ('raise SyntaxError()', 'file.py: SyntaxError: '),
    (
      'from gan_jax.config.fields import Config\n'
      'def get_config():\n  return Config(stesp=1)\n',
      'file.py:3: TypeError: Config.__init__() got an unexpected',
    ),
  ],
)
def test_a_mistake_in_a_config_has_its_place(
  text: str, message: str, tmp_path: pathlib.Path
):
  path = tmp_path / 'file.py'
  path.write_text(text)
  with pytest.raises(ValueError, match=re.escape(message)) as error:
    files.load_config(str(path))
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('flag', ['--describe', '--helpshort'])
def test_a_reader_that_has_left_is_no_mistake(flag: str):
  """As `| head` leaves, once it has its lines."""
  reader, writer = os.pipe()
  os.close(reader)
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.train', DIGITS, flag],
    cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False,
  )  # fmt: skip
  os.close(writer)
  assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b'')


def test_train_then_sample(tmp_path: pathlib.Path):
  command = (
    'experiments.train',
    f'--config={ROOT}/experiments/configs/digits.py',
    f'--workdir={tmp_path}/run',
    '--config.gen.net.width=8',
    '--config.disc.net.width=8',
    '--deterministic',
    *SMALL,
  )
  done = python(*command)
  assert done.returncode == 0, done.stderr
  assert 'd_real' in done.stdout
  assert f'{tmp_path}/run' in done.stdout
  assert 'step       4 of 4' in done.stderr
  assert '--deterministic: nothing to set' in done.stderr
  (session,) = workdirs.sessions(tmp_path / 'run')
  assert session['deterministic'] is True
  left = {path.name for path in (tmp_path / 'run').iterdir()}
  assert {'samples', 'metrics.jsonl', 'summary.json', 'tensorboard'} <= left
  assert len(list((tmp_path / 'run' / 'samples').glob('*.png'))) == 3

  for name in ('a', 'b'):
    done = python(
      'experiments.sample', f'--workdir={tmp_path}/run', '--num=5',
      '--seed=3', f'--out={tmp_path}/{name}.npz',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
  a, b = (np.load(tmp_path / f'{name}.npz')['samples'] for name in 'ab')
  assert a.shape == (5, 8, 8, 1)
  assert np.abs(a).max() <= 1
  np.testing.assert_array_equal(a, b)
  done = python(
    'experiments.sample', f'--workdir={tmp_path}/run', '--num=7', '--noema',
    f'--out={tmp_path}/grid.png',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  with PIL.Image.open(tmp_path / 'grid.png') as grid:
    assert grid.mode == 'L'


DIGITS = f'--config={ROOT}/experiments/configs/digits.py'
GAUSSIAN = f'--config={ROOT}/experiments/configs/gaussian_1d.py'
RING = f'--config={ROOT}/experiments/configs/ring_2d.py'

MISTAKES = [
  ((GAUSSIAN, '--config.stepz=3'), 2, 'did you mean steps'),
  ((GAUSSIAN, '--config.steps=many'), 2, 'steps=many'),
  ((GAUSSIAN, '--config.loss=hing'), 1, "did you mean 'hinge'"),
  ((GAUSSIAN, '--config.data.name=mnist'), 1, 'tfds build mnist'),
  ((GAUSSIAN, '--confg=3'), 2, 'confg'),
  ((GAUSSIAN, 'stray'), 2, "'stray'"),
  (('--config=nowhere.py',), 2, 'nowhere.py'),
  (('--config=no/config.json',), 2, '--config=no/config.json: holds no run'),
  (('--config=README.md',), 2, '--config=README.md: is no Python file (.py)'),
  (('--config=docs',), 2, '--config=docs: is a folder'),
  ((GAUSSIAN, '--workdir='), 2, '--workdir=: is empty'),
  ((DIGITS, '--config.data.dir=here'), 1, "data.name='digits' needs none"),
  ((DIGITS, '--config.data.size=7000000'), 1, 'data.size=7000000: dcgan'),
  ((f'{RING}:wide',), 2, 'takes no argument'),
  ((f'{DIGITS}:biggan',), 2, 'there are dcgan, small_dcgan, r3gan'),
  ((DIGITS, '--config.gen.net.batch_norm=true'), 2, "'dcgan' has width"),
  ((DIGITS, '--config.gen.latent'), 2, '--config.gen.latent=VALUE'),
  (('--config.steps=3',), 2, '--config.steps: needs --config=FILE'),
  ((), 1, '--config=FILE'),
]


@pytest.mark.parametrize(('flags', 'code', 'message'), MISTAKES)
def test_a_mistake_is_one_line(
  flags: tuple[str, ...], code: int, message: str, tmp_path: pathlib.Path
):
  done = python(
    'experiments.train', f'--workdir={tmp_path}/run', *flags,
    TFDS_DATA_DIR=str(tmp_path),
  )  # fmt: skip
  assert done.returncode == code
  assert done.stderr.startswith('error: ')
  assert len(done.stderr.strip().splitlines()) == 1
  assert message in done.stderr
  assert not (tmp_path / 'run').exists()


def test_describe_trains_nothing(tmp_path: pathlib.Path):
  done = python(
    'experiments.train', DIGITS, '--describe', '--config.gen.name=r3gan',
    f'--workdir={tmp_path}/run', '--config.schedules.optim.gen.b2='
    'linear,final=0.9,end=2e3,unit=samples',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert not (tmp_path / 'run').exists()
  shown = done.stdout.splitlines()
  after = {line: shown[i + 1].strip() for i, line in enumerate(shown[:-1])}
  line = (
    '* optim.gen.learning_rate = 0.0005   [default 0.001; swept; at least 0]'
  )
  assert after[line] == 'The size of an update.'
  # Of the network of the command line, with its own defaults.
  assert after['  gen.net.width = 768   [at least 1]'].startswith('Channels')
  assert "* gen.name = 'r3gan'   [default 'mlp']" in shown
  assert after['  penalties.r2: The same on generated samples.'].startswith(
    'penalties.r2.weight = '
  )
  final = (
    '* schedules.optim.gen.b2.end = 2000   [not in the default; at least 0]'
  )
  assert final in shown
  help = python('experiments.train', '--helpshort').stdout
  # Its own and those that it shares.
  assert '--[no]describe' in help
  assert '--config:' in help
  # Which names a default of the products, and is at its own.
  (line,) = [each for each in shown if 'matmul_precision =' in each]
  assert line.startswith('  ')


def test_describe_looks_names_up(tmp_path: pathlib.Path):
  done = python(
    'experiments.train', DIGITS, '--describe', '--config.rule.sga_weight=2'
  )
  idle = (
    "rule.sga_weight=2.0: has no effect in training without rule.name='sga'"
  )
  assert (done.returncode, done.stderr) == (0, f'warning: {idle}\n')
  done = python('experiments.train', DIGITS, '--describe', '--config.loss=hing')
  assert done.returncode == 1
  assert done.stderr.startswith("error: loss='hing': there is no such choice")
  file = tmp_path / 'config.py'
  file.write_text(
    'from gan_jax.config import fields\n'
    'def get_config():\n  c = fields.Config()\n  c.optim.gen.lr = 1\n  return c'
  )
  done = python('experiments.train', f'--config={file}', '--describe')
  assert done.returncode == 2
  assert 'config.py: optim.gen.lr: there is no such field' in done.stderr


def test_where_a_tables_images_are(tmp_path: pathlib.Path):
  for table, message in (
    ('ring_losses', '--data_dir=/nowhere: no row reads any files'),
    ('parzen', '/nowhere'),
  ):
    done = python(
      'experiments.table', f'--table=experiments/tables/{table}.py',
      f'--workdir={tmp_path}', '--data_dir=/nowhere',
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]


def test_rows_of_a_table_by_their_titles(tmp_path: pathlib.Path):
  """A title may hold what would mean something else in a pattern."""
  table = (
    'experiments.table', '--table=experiments/tables/ring_losses.py',
    f'--workdir={tmp_path}', '--status',
  )  # fmt: skip
  one = python(*table, '--rows=hinge, R1+R2').stdout.splitlines()
  assert one[0].startswith('hinge, R1+R2 ')
  assert one[1:] == ['0 of 1 rows are done']
  assert python(*table, '--rows=^hinge').stdout.endswith('of 4 rows are done\n')
  none = python(*table, '--rows=hinge, R9').stderr
  assert (
    "is no title and matches none; there are 'non-saturating, none', '" in none
  )


def test_a_relative_path_from_another_folder(tmp_path: pathlib.Path):
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.train', '--describe',
     '--config=experiments/configs/digits.py'],
    cwd=tmp_path, env={**os.environ, 'PYTHONPATH': str(ROOT)},
    capture_output=True, text=True, check=False,
  )  # fmt: skip
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert f'there is no such file in {tmp_path}' in line
  assert f'there is one in {ROOT}, so run this from there' in line


def test_flags_that_stand_apart_from_their_values():
  argv = ['x', '--config.steps', '4', '--workdir=a', '--config.gen.net=none']
  rest, found = launch._split(argv)
  assert rest == ['x', '--workdir=a']
  assert found == [('steps', '4'), ('gen.net', 'none')]


def test_a_gpu_is_asked_for_the_same_bits(monkeypatch: pytest.MonkeyPatch):
  for platforms, plugins, known in (
    ('', ['xla_cuda12'], True),
    ('cuda,cpu', ['xla_cuda13'], True),
    ('', ['xla_rocm7', 'other'], True),
    ('cpu', ['xla_cuda12'], False),
    ('tpu,cpu', ['xla_cuda12'], False),
    ('', ['metal'], False),
    ('', [], False),
  ):
    assert launch._can_have_gpu(platforms, plugins) is known
  found = types.SimpleNamespace(names={'xla_cuda12'})
  monkeypatch.setattr(importlib.metadata, 'entry_points', lambda group: found)
  monkeypatch.setenv('JAX_PLATFORMS', '')
  monkeypatch.setenv('XLA_FLAGS', '--xla_a=1')
  given = {'deterministic': types.SimpleNamespace(value=True)}
  monkeypatch.setattr(launch, 'flags', types.SimpleNamespace(FLAGS=given))
  told = launch._set_deterministic()
  assert os.environ['XLA_FLAGS'] == (
    '--xla_a=1 --xla_gpu_deterministic_ops=true'
  )
  assert told == f'--deterministic: XLA_FLAGS={os.environ["XLA_FLAGS"]}'
  for platform, xla_flags, same in (
    ('cpu', '', True),
    ('tpu', '', True),
    ('gpu', '', False),
    ('gpu', '--xla_a=1 --xla_gpu_deterministic_ops=true', True),
    ('gpu', '--xla_gpu_deterministic_ops', True),
    (
      'gpu',
      '--xla_gpu_deterministic_ops=true --xla_gpu_deterministic_ops=false',
      False,
    ),
  ):
    assert workdirs.is_deterministic(platform, xla_flags) is same


def test_sampling_mistakes(tmp_path: pathlib.Path):
  for flags, message in (
    ((f'--workdir={tmp_path}', f'--out={tmp_path}/x.npz'), 'holds no run'),
    ((f'--workdir={tmp_path}', f'--out={tmp_path}/x.gif'), '.png or .npz'),
    ((f'--workdir={tmp_path}', '--out=/nowhere/x.npz'), 'no folder'),
  ):
    done = python('experiments.sample', *flags)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr


def test_summarise_and_curves(tiny: configs.Config, tmp_path: pathlib.Path):
  for tiny.seed in (0, 1):
    train.train(tiny, tmp_path / f'{tiny.seed}')
  (tmp_path / '2').mkdir()  # As of a run that has not ended.
  done = python('experiments.summarise', f'--runs={tmp_path}/*')
  assert done.returncode == 0, done.stderr
  assert done.stderr == f'skipped: {tmp_path}/2: has no summary.json\n'
  table = {
    line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()
  }
  figures = [
    json.loads((tmp_path / name / 'summary.json').read_text())['ks']
    for name in '01'
  ]
  assert table['2'] == ['runs']
  assert float(table['ks'][1]) == pytest.approx(np.mean(figures), abs=1e-4)
  assert float(table['ks'][2]) == pytest.approx(
    np.std(figures, ddof=1), abs=1e-4
  )
  flags = (f'--runs={tmp_path}/0,{tmp_path}/1', f'--out={tmp_path}/c.png')
  with (tmp_path / '0' / 'metrics.jsonl').open('a') as file:
    file.write('{"step": 16, "gen/lo')  # As while a run is at work.
  done = python('experiments.curves', '--metric=gen/loss', *flags)
  assert done.returncode == 0, done.stderr
  with PIL.Image.open(tmp_path / 'c.png') as picture:
    assert picture.size[0] > 100
  done = python('experiments.curves', '--metric=gen/los', *flags)
  assert done.returncode == 1
  assert 'there are' in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1


def test_metrics_are_json_rows_with_a_step(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  train.train(tiny, tmp_path / 'a')
  rows = [
    json.loads(line)
    for line in io.StringIO((tmp_path / 'a' / 'metrics.jsonl').read_text())
  ]
  assert [row['step'] for row in rows] == [0, 4, 8, 12]
  assert 'eval/ks' in rows[-1]
  assert 'gen/loss' in rows[-1]
