"""Runs made of what the authors' training loops have pickled."""

import dataclasses
import gzip
import hashlib
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import make_snapshot_fixture as fixture
import numpy as np
import PIL.Image
import pytest

from experiments import files
from experiments.configs import images
from gan_jax import types
from gan_jax.config import overrides
from gan_jax.engine import build
from gan_jax.evaluation import evaluator
from gan_jax.game import sampling
from gan_jax.networks import authors, r3gan, stylegan2, stylegan3
from gan_jax.report import entries, moments
from gan_jax.run import cards, converted, trained
from gan_jax.storage import torch_files, workdir as workdirs

KEY = jax.random.key(0)
NAMES = 'stylegan2', 'stylegan3', 'r3gan'


def unpacked(name: str, folder: pathlib.Path) -> pathlib.Path:
  """The snapshot as its authors' code leaves it."""
  path = folder / f'{name}.pkl'
  path.write_bytes(gzip.decompress(fixture.path(name, 'pkl.gz').read_bytes()))
  return path


def convert(name: str, folder: pathlib.Path) -> pathlib.Path:
  path, out = unpacked(name, folder), folder / name
  snapshot = converted.read(path)
  config = converted.configure(images.get_config(name), snapshot.model)
  converted.make_run(snapshot, config, out)
  return out


@pytest.fixture(scope='module', params=NAMES)
def made(
  request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, pathlib.Path]:
  return request.param, convert(request.param, tmp_path_factory.mktemp('runs'))


def assert_near(ours: Any, theirs: np.ndarray) -> None:
  error = np.abs(np.asarray(ours) - theirs).max()
  assert error <= 1e-4 * np.abs(theirs).max()


def test_answers_of_the_authors_code(made: tuple[str, pathlib.Path]):
  """Of both generators, whole and truncated, and of D, read from the run."""
  name, out = made
  with np.load(fixture.path(name, 'npz')) as file:
    kept = dict(file)
  run = trained.load(out)
  spec, state = run.spec, run.state
  label = None if name == 'stylegan3' else jnp.asarray(fixture.labels())
  latent = types.Latent(jnp.asarray(kept['z']), label)
  options: dict[str, Any] = {'key': KEY, 'mode': types.EVAL}
  for key, params in (('G', state.gen.params), ('G_ema', state.gen_ema)):
    net = params, state.gen.vars
    x, _ = spec.gen.apply(*net, latent, **options)
    assert_near(x, kept[key].transpose(0, 2, 3, 1))
    if name != 'r3gan':
      w = sampling.intermediate(spec, *net, latent, fixture.PSI)
      x, _ = spec.gen.methods['synthesise'](*net, w, **options)
      assert_near(x, kept[f'{key} at psi'].transpose(0, 2, 3, 1))
  x = jnp.asarray(kept['x'].transpose(0, 2, 3, 1))
  disc = state.disc
  logits, _ = spec.disc.apply(
    disc.params, disc.vars, types.Batch(x, label), **options
  )
  assert_near(logits, kept['D'].reshape(-1))


# Of the arguments in the fixture.
GEN = {
  'stylegan2': stylegan2.GenSettings(
    width=8, channel_base=64, w_dim=6, depth=2, clamp=0.5
  ),
  'stylegan3': stylegan3.GenSettings(
    width=8, channel_base=64, w_dim=6, layers=3, critical=1, margin=4,
    kernel=1, radial=True,
  ),
  'r3gan': r3gan.GenSettings(
    width=(8, 8, 4), depth=(1, 2, 1), groups=(4, 4, 2), embedding=16
  ),
}  # fmt: skip


def test_what_the_run_says(made: tuple[str, pathlib.Path]):
  name, out = made
  classes = 0 if name == 'stylegan3' else fixture.CLASSES
  run = trained.load(out)
  config = run.config
  assert build.complete(files.load_config(f'{out}/config.json')) == config
  assert (config.gen.name, config.disc.name) == (name, name)
  assert config.gen.net == GEN[name]
  assert config.gen.latent_dim == fixture.LATENT_DIM
  assert config.conditional == bool(classes)
  assert run.info.shape == (fixture.SIDE, fixture.SIDE, 3)
  assert run.info.class_names == ('0', '1', '2')[:classes]
  assert int(run.state.step) == 0
  (line,) = (out / 'history.jsonl').read_text().splitlines()
  told = json.loads(line)
  digest = hashlib.sha256((out.parent / f'{name}.pkl').read_bytes())
  assert (told['event'], told['file']) == ('convert', f'{name}.pkl')
  assert told['sha256'] == digest.hexdigest()


def test_pages_and_cards_say_where_the_weights_come_from(
  made: tuple[str, pathlib.Path],
):
  """And not that a run of no steps was trained."""
  name, out = made
  digest = hashlib.sha256((out.parent / f'{name}.pkl').read_bytes())
  file = f'{name}.pkl (sha256 {digest.hexdigest()})'
  (entry,) = entries.read(out, 'run', moments.Limits())
  assert entry['state'] == 'converted'
  assert entry['command'] == f'# by experiments.convert, of {file}'
  card = cards.card(trained.load(out), out, {'gen': 1, 'disc': 2})
  assert f'| converted from | {file} |' in card
  assert card.startswith('# A generator that other code has trained')
  assert '| trained |' not in card


def test_a_folder_that_is_there_is_left_alone(tmp_path: pathlib.Path):
  out = tmp_path / 'stylegan3'
  out.mkdir()
  with pytest.raises(ValueError, match='is there already'):
    convert('stylegan3', tmp_path)
  assert not list(out.iterdir())


def saved(name: str, tmp_path: pathlib.Path) -> dict[str, authors.Saved]:
  return torch_files.read_snapshot(unpacked(name, tmp_path))


def test_snapshots_without_some_networks(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  """The generator that is there stands for both; D is as it starts."""
  found = saved('r3gan', tmp_path)
  monkeypatch.setattr(
    torch_files, 'read_snapshot', lambda _: {'ema': found['G_ema']}
  )
  path = tmp_path / 'r3gan.pkl'
  snapshot = converted.read(path)
  assert snapshot.remarks == (
    'it has one generator, ema: both are that',
    'it has no D: that has random weights',
  )
  config = images.get_config('r3gan')
  config.disc.net = r3gan.DiscSettings(width=8, depth=1, groups=4)
  config = converted.configure(config, snapshot.model)
  state = converted.make_run(snapshot, config, tmp_path / 'run')
  basis = found['G_ema'].arrays['Model.MainLayers.0.Layers.0.Basis']
  for params in (state.gen.params, state.gen_ema):
    np.testing.assert_array_equal(params['basis'], basis.transpose(1, 2, 0))
  monkeypatch.setattr(torch_files, 'read_snapshot', lambda _: {})
  with pytest.raises(ValueError, match='has no network G or G_ema'):
    converted.read(path)


def changed(net: authors.Saved, **arguments: Any) -> authors.Saved:
  """As if it had been made with other arguments."""
  own = net.attributes['_init_kwargs'] | arguments
  return net._replace(attributes=dict(net.attributes, _init_kwargs=own))


@pytest.mark.parametrize(
  ('player', 'arguments', 'reason'),
  [
    ('G', {'sharpness': 2}, r'^G was made with sharpness, which is not known'),
    ('G', {'use_noise': False}, r'^G was .* use_noise=False; .* of True$'),
    ('G', {'resample_filter': [1, 1]}, r'resample_filter=\[1, 1\]; '),
    ('G', {'mapping_kwargs': {'layer_features': 4}}, r'^G\.mapping_kwargs was'),
    ('D', {'cmap_dim': 3}, '^D was made with cmap_dim=3'),
    (
      'D',
      {'epilogue_kwargs': {'mbstd_num_channels': 2}},
      'mbstd_num_channels=2; the network here has 1 or none',
    ),
  ],
)
def test_networks_that_ours_cannot_be(
  tmp_path: pathlib.Path, player: str, arguments: dict[str, Any], reason: str
):
  found = saved('stylegan2', tmp_path)
  found[player] = changed(found[player], **arguments)
  with pytest.raises(ValueError, match=reason):
    authors.recognise(found['G'], found['D'])


def test_as_files_converted_from_tensorflow_name_them(tmp_path: pathlib.Path):
  """Widths that are the usual ones, and what says nothing without classes."""
  found = saved('stylegan2', tmp_path)
  mapping = {'num_layers': 2, 'embed_features': 6, 'layer_features': 6}
  gen = changed(
    found['G'], mapping_kwargs=mapping, resample_filter=(1, 3, 3, 1)
  )
  whole = {'mbstd_group_size': None, 'mbstd_num_channels': 1}
  own = {'num_layers': 0, 'embed_features': 8, 'lr_multiplier': 0.1}
  disc = changed(
    found['D'], cmap_dim=8, mapping_kwargs=own, epilogue_kwargs=whole
  )
  model = authors.recognise(gen, disc)
  assert model.gen == GEN['stylegan2']
  assert (model.disc.depth, model.disc.mapping_rate) == (0, 0.1)
  x = jnp.zeros((6, 4, 4, 3))
  assert stylegan2._group(model.disc.mbstd_group, len(x), types.TRAIN) == 6
  # Without classes there is no mapping, whatever is said of it.
  disc = changed(disc, c_dim=0, cmap_dim=512)
  plain = authors.recognise(changed(gen, c_dim=0), disc).disc
  assert (plain.depth, plain.mapping_rate) == (8, 0.01)


def test_what_is_ignored_is_told(tmp_path: pathlib.Path):
  """Also what the authors' classes do where nothing asks for it."""
  assert not converted.read(unpacked('stylegan2', tmp_path)).model.ignored
  model = converted.read(unpacked('stylegan3', tmp_path)).model
  assert model.ignored == {
    'G.magnitude_ema_beta': 0.9995, 'G.use_fp16': True, 'D.use_fp16': True,
  }  # fmt: skip
  assert (model.gen.clamp, model.disc.clamp) == (256, 256)
  gen = saved('r3gan', tmp_path)['G']
  low = {'DataType': type('bfloat16', (), {})}
  model = authors.recognise(gen._replace(parts=(*gen.parts, low)), None)
  assert model.ignored == {'G.DataType': 'bfloat16'}


@pytest.mark.parametrize(
  ('arguments', 'reason'),
  [
    ({'c_dim': 0}, 'D was made with c_dim=0, and G with 3'),
    ({'img_resolution': 32}, 'img_resolution=32, and G with 16'),
    ({'img_channels': 1}, 'img_channels=1, and G with 3'),
  ],
)
def test_a_d_of_another_g(
  tmp_path: pathlib.Path, arguments: dict[str, Any], reason: str
):
  found = saved('stylegan2', tmp_path)
  with pytest.raises(ValueError, match=reason):
    authors.recognise(found['G'], changed(found['D'], **arguments))


def test_networks_of_two_codes(tmp_path: pathlib.Path):
  style, r3gan_pair = saved('stylegan2', tmp_path), saved('r3gan', tmp_path)
  with pytest.raises(ValueError, match='D does not say how it was made'):
    authors.recognise(style['G'], r3gan_pair['D'])
  with pytest.raises(ValueError, match='it is no R3GAN: one stage has'):
    authors.recognise(r3gan_pair['G'], style['D'])


@pytest.mark.parametrize('value', [None, 2.5, -1, 10**9])
def test_numbers_that_are_none(tmp_path: pathlib.Path, value: Any):
  for name, change in (
    ('stylegan2', lambda net: changed(net, c_dim=value)),
    (
      'r3gan',
      lambda net: net._replace(attributes=dict(net.attributes, c_dim=value)),
    ),
  ):
    gen = change(saved(name, tmp_path)['G'])
    with pytest.raises(ValueError, match=rf'c_dim={value}: must be 0 to'):
      authors.recognise(gen, None)


def test_settings_that_cannot_be_a_converted_run(tmp_path: pathlib.Path):
  model = converted.read(unpacked('stylegan3', tmp_path)).model
  config = images.get_config('stylegan3')
  config.init_from = config.branch_from = 'elsewhere'
  config.gen.net = dataclasses.replace(config.gen.net, remat=True)
  config = converted.configure(config, model)
  assert (config.init_from, config.branch_from) == ('', '')
  assert config.gen.net == dataclasses.replace(GEN['stylegan3'], remat=True)
  for change, reason in (
    ({'population.seeds': 2}, 'population: what is converted is a single run'),
    ({'data.name': 'ring'}, "data.name='ring', data.stack=1: must be a folder"),
    ({'data.stack': 3}, 'data.stack=3: must be a folder'),
  ):
    config = overrides.apply(
      images.get_config('stylegan3'),
      [(name, str(value)) for name, value in change.items()],
      build.complete,
    )
    with pytest.raises(ValueError, match=reason):
      converted.configure(config, model)


def test_a_converted_run_is_compared_with_images_and_not_trained_in(
  made: tuple[str, pathlib.Path], tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
):  # fmt: skip
  """The images that it was trained on are not known, which is said."""
  _, out = made
  config, info = workdirs.load(out)
  rng = np.random.default_rng(0)
  for i in range(4):
    pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / f'{i}.png')
  config.data.dir = str(tmp_path)
  _, real = evaluator.open_real(config, info)
  assert real.total == 4
  assert 'trained on is not known' in capsys.readouterr().err
  with pytest.raises(ValueError, match='holds networks that were converted'):
    workdirs.check(out, config, info)


def test_other_arrays(tmp_path: pathlib.Path):
  found = saved('r3gan', tmp_path)['G']
  arrays = dict(found.arrays)
  name = 'Model.AggregationLayer.Layer.weight'
  layout = authors.r3gan_layout(arrays, 'gen', 'Model.')
  tree = {'Conv_1': {'kernel': jnp.zeros((1, 1, 4, 3))}}
  whole = authors.fill(tree, layout, arrays)
  assert whole['Conv_1']['kernel'].shape == (1, 1, 4, 3)
  assert name not in authors.unused([tree], layout, arrays)
  wrong = arrays | {name: np.zeros((3, 5, 1, 1), np.float32)}
  with pytest.raises(ValueError, match=r'weight is \[1, 1, 5, 3\] there'):
    authors.fill(tree, layout, wrong)
  del arrays[name]
  with pytest.raises(ValueError, match=f'it has no {name}'):
    authors.fill(tree, layout, arrays)
  with pytest.raises(ValueError, match='no StyleGAN2, StyleGAN3 or R3GAN: '):
    authors.recognise(authors.Saved({}, {'conv': np.zeros(1)}), None)


# Those that must be what our code has in their place.
CONSTANTS = {
  'stylegan2': ({'resample_filter'}, 8 + 10),
  'stylegan3': ({'resample_filter', 'up_filter', 'down_filter', 'transform'},
                7 + 10),
  'r3gan': ({'Kernel'}, 4),
}  # fmt: skip


@pytest.mark.parametrize('name', NAMES)
def test_filters_are_those_of_the_authors(name: str, tmp_path: pathlib.Path):
  nets = saved(name, tmp_path)
  model = authors.recognise(nets['G'], nets['D'])
  compared = []
  for layout, key in ((model.layouts.gen, 'G'), (model.layouts.disc, 'D')):
    arrays = nets[key].arrays
    authors.check_constants(layout, arrays)
    for buffer in arrays:
      spare = buffer.endswith(layout.spare)
      if not spare or layout.constant(buffer) is None:
        continue
      compared.append(buffer.rpartition('.')[2])
      wrong = arrays | {buffer: arrays[buffer] + 1e-4}
      with pytest.raises(ValueError, match=rf'^{buffer} is not what the netw'):
        authors.check_constants(layout, wrong)
      cut = arrays | {buffer: arrays[buffer][1:]}
      with pytest.raises(ValueError, match=rf'^{buffer} is not what the netw'):
        authors.check_constants(layout, cut)
  kinds, count = CONSTANTS[name]
  assert {*compared} == kinds
  assert len(compared) == count
