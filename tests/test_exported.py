"""A sampler in a folder: loaded without this package, and trained on."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.engine import program
from gan_jax.game import sampling
from gan_jax.networks import dcgan, mlp
from gan_jax.ops import cpu
from gan_jax.run import beginning, cards, exported, train, trained
from gan_jax.storage import weights, whole
from tests import test_walk

ROOT = pathlib.Path(__file__).parent.parent

# Neither package can be imported in what follows.
ALONE = """
import runpy, sys
sys.modules['gan_jax'] = sys.modules['experiments'] = sys.modules['flax'] = None
script, *sys.argv[1:] = sys.argv[1:]
runpy.run_path(script)
"""


def digits() -> configs.Config:
  """The digits by class, for two steps."""
  config = configs.Config(steps=2, batch_size=8, log_every=2, conditional=True)
  config.data.name = 'digits'
  config.gen.name, config.gen.net = 'dcgan', dcgan.GenSettings(width=4)
  config.disc.net = mlp.DiscSettings(width=8)
  config.eval.every = config.checkpoint.every = 2
  config.ema.half_life = 100.0
  return config


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run, and its export in `model` beside it."""
  folder = tmp_path_factory.mktemp('source')
  train.train(digits(), folder / 'run')
  with whole.folder(folder / 'model') as part:
    exported.export(trained.load(folder / 'run'), folder / 'run', part)
  return folder


def test_a_process_without_this_package_finds_the_same_bits(
  source: pathlib.Path, tmp_path: pathlib.Path
):
  (tmp_path / 'alone.py').write_text(ALONE)
  (tmp_path / 'sample.py').write_text(cards.SCRIPT)
  model, out = source / 'model', tmp_path / 'x.npy'
  done = subprocess.run(
    [sys.executable, 'alone.py', 'sample.py', model, out, '7', '3'],
    cwd=tmp_path, env={**os.environ, 'PYTHONSAFEPATH': '1'},
    capture_output=True, text=True, check=False,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  found = np.load(out)
  run = trained.load(source / 'run')
  (batch,) = trained.samples(run, 7, seed=3)
  # Batch statistics of the average are collected with the seed's key.
  assert found.shape == batch.x.shape
  flat = traverse_util.flatten_dict(
    weights.load(model / 'gen.safetensors')[0], sep='/'
  )
  latent = run.spec.eval_latent(
    jax.random.fold_in(jax.random.split(jax.random.key(3))[1], 0), 7
  )
  assert latent.label is not None
  tree = traverse_util.unflatten_dict(flat, sep='/')
  with cpu.stock():
    own = jax.jit(
      lambda tree, latent: sampling.generate(
        run.spec, tree['params'], tree['vars'], latent, jax.random.key(0)
      )
    )(tree, latent)
  np.testing.assert_array_equal(found, own)


def test_the_docs_have_the_script(source: pathlib.Path):
  assert cards.SCRIPT in (ROOT / 'docs' / 'running.md').read_text()
  card = (source / 'model' / 'README.md').read_text()
  assert cards.SCRIPT in card
  assert '| trained | 2 steps of 8 samples |' in card
  assert '| classes | 10 (0, 1, 2,' in card
  model = json.loads((source / 'model' / 'model.json').read_text())
  assert model['config']['gen']['net']['width'] == 4
  assert model['stamp']['weights'] == 'ema'


def test_any_number_of_samples_truncated_in_w():
  run = test_walk.untrained('stylegan2')
  gen = run.state.gen
  average = {**gen.vars, 'averages': {'w': jnp.arange(6.0)}}
  tree = jax.device_get({'params': gen.params, 'vars': average})
  programs = exported._trace(run, traverse_util.flatten_dict(tree, sep='/'))
  latents, sample = programs.latents, programs.sample
  assert sample.platforms == ('cpu', 'cuda', 'tpu')
  z, label = latents.call(np.uint32(5), np.zeros(3, 'f4'))
  latent = types.Latent(z, label)
  make = jax.jit(
    lambda psi: (
      sampling.sample(run.spec, gen.params, average, latent, psi=psi).x
    )
  )
  for psi in np.float32([0.5, 1]):
    found = sample.call(
      traverse_util.flatten_dict(tree, sep='/'), z, label, psi
    )
    np.testing.assert_allclose(found, make(psi), atol=1e-5)


@pytest.mark.parametrize('player', ['both', 'gen'])
def test_a_run_that_starts_from_an_export(source: pathlib.Path, player: str):
  config = digits()
  config.init_from, config.init_player = str(source / 'model'), player
  config.seed = 5
  game = program.open_game(beginning.pin(config, source / 'new'))
  there = trained.load(source / 'run').state
  new, fresh = beginning.start(game), game.start()
  jax.tree.map(np.testing.assert_array_equal, new.gen.params, there.gen_ema)
  jax.tree.map(np.testing.assert_array_equal, new.gen_ema, there.gen_ema)
  disc = there.disc if player == 'both' else fresh.disc
  jax.tree.map(np.testing.assert_array_equal, new.disc.params, disc.params)
  assert int(new.step) == 0
  config.steps = config.log_every
  config.eval.every = config.checkpoint.every = config.steps
  train.train(config, source / f'from_{player}')


def test_what_is_refused(source: pathlib.Path, tmp_path: pathlib.Path):
  config = digits()
  config.init_from = str(source / 'model')
  config.gen.net = dcgan.GenSettings(width=8)
  with pytest.raises(
    ValueError, match=r'model: gen/params/.* there and .* here'
  ):
    train.train(config, tmp_path / 'new')
  (tmp_path / 'model.json').write_text('{"format": 0, "step": 1}')
  config.init_from = str(tmp_path)
  with pytest.raises(ValueError, match=r'init_from=.*exported in format 0'):
    train.train(config, tmp_path / 'new')
  (tmp_path / 'model.json').write_text('{')
  with pytest.raises(ValueError, match='cannot be read') as error:
    train.train(config, tmp_path / 'new')
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'new').exists()


def test_an_export_of_a_run_whose_samples_d_drives(
  source: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
):
  """It has those of G alone, and says so."""
  run = trained.load(source / 'run')
  run.config.eval.langevin_steps = 3
  exported.export(run, source / 'run', tmp_path)
  assert capsys.readouterr().err == (
    'eval.langevin_steps=3: left out; an export has samples of z as it is\n'
  )
  model = json.loads((tmp_path / exported.MODEL).read_text())
  assert 'langevin' not in model['stamp']
  assert model['config']['eval']['langevin_steps'] == 0
  assert run.config.eval.langevin_steps == 3


def test_a_card_has_the_figures_of_its_own_generator(tmp_path: pathlib.Path):
  own = {'step': 4, 'member': 1, 'weights': 'ema', 'truncation': 'none'}
  others = (
    {'step': 3}, {'member': 0}, {'weights': 'live'}, {'truncation': 'w 0.7'},
    {'langevin': '10 steps of 0.01, noise times 1'},
  )  # fmt: skip
  for i, changed in enumerate(({}, *others)):
    line = {'figures': {f'fd_{i}': 1.5}, 'stamp': own | changed}
    with (tmp_path / 'evaluations.jsonl').open('a') as file:
      file.write(json.dumps(line) + '\n')
  text = cards._figures(tmp_path, own)
  assert '| fd_0 | 1.5 |' in text
  assert text.count('| fd_') == 1
