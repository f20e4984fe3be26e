"""What a user can get wrong in a configuration."""

import dataclasses
import importlib.metadata
import json
import pathlib
import types

import jax
import pytest

from gan_jax.config import (
  checks,
  declare,
  fields as configs,
  overrides,
  values,
)
from gan_jax.data import source as sources
from gan_jax.engine import additions, build, choices, sharding
from gan_jax.networks import dcgan, maxout, mlp, r3gan2, stylegan2
from gan_jax.run import train
from gan_jax.storage import workdir as workdirs

RATE = 'optim.gen.learning_rate'


@dataclasses.dataclass(frozen=True)
class Swept(mlp.GenSettings):
  """As it were settings that a schedule can move."""

  scale: float = declare.field(1.0, swept=True)


BAD = [
  ('optim.gen.learning_rate', -1e-3, 'optim.gen.learning_rate=-0.001'),
  ('optim.disc.learning_rate', float('nan'), 'must be finite'),
  ('optim.gen.b1', 1.0, 'optim.gen.b1=1.0: .*below 1'),
  ('disc_steps', 0, 'disc_steps=0: must be at least 1'),
  ('seed', -1, 'seed=-1'),
  ('eval.every', 5, 'eval.every=5: must be a multiple of log_every=4'),
  ('checkpoint.every', 6, 'checkpoint.every=6'),
  ('steps', '12', "steps='12': expected int"),
  ('optim.gen.b1', '0', "optim.gen.b1='0': expected float"),
  (
    'population',
    configs.Population(vary={'penalties.r1.weight': [5.0]}),
    'no population',
  ),
  ('data.channels', 2, 'data.channels=2: must be 0, 1 or 3'),
  ('schedules', {RATE: configs.Schedule()}, 'end=0: must be given, such as'),
  (
    'schedules',
    {RATE: configs.Schedule('inverse_sqrt')},
    'begin=0: must be at least 1',
  ),
  (
    'schedules',
    {RATE: configs.Schedule('exponential', 1e-5)},
    r'rate=0: must be more than 0, or the number stays',
  ),
  (
    'schedules',
    {RATE: configs.Schedule('exponential', rate=1.0, end=9)},
    "end=9: 'exponential' has no end",
  ),
  (
    'schedules',
    {RATE: configs.Schedule(end=9, rate=1.0)},
    "rate=1.0: applies to kind 'exponential' only",
  ),
  ('seed', 2**32, 'seed=4294967296: must be at least 0 and at most 42949672'),
  ('schedules', {RATE: configs.Schedule('line', end=9)}, 'mean .linear'),
  ('schedules', {RATE: configs.Schedule(end=9, unit='days')}, 'steps or sampl'),
  (
    'schedules',
    {'optim.gen.b1': configs.Schedule('cosine', 1.0, end=9)},
    'schedules.optim.gen.b1.final=1.0: must be at least 0 and below 1',
  ),
  (
    'schedules',
    {'optim.gen.b3': configs.Schedule('cosine', end=9)},
    'optim.gen.b3 is not a swept number .did you mean optim.gen.b',
  ),
  (
    'schedules',
    {'steps': configs.Schedule(end=9)},
    'steps is not a swept number',
  ),
  ('schedules', {RATE: 'cosine'}, 'expected a group of fields'),
  ('nonfinite', 'halt', "nonfinite='halt': must be stop, skip or continue"),
  ('loss', 'hing', "loss='hing'.*mean 'hinge'.*relativistic_paired"),
  ('gen.name', 'resnet', "gen.name='resnet'.*mlp, maxout, dcgan"),
  ('gen.latent', 'gaussian', 'uniform, normal'),
  ('gen.net', mlp.GenSettings(activation='swish'), 'gen.net.activation.*silu'),
  (
    'gen.net',
    mlp.GenSettings(kernel_init='he'),
    'gen.net.kernel_i.*orthogonal',
  ),
  ('gen.net', mlp.GenSettings(width=0), 'gen.net.width=0: must be at least 1'),
  ('gen.net', {'width': 0}, 'gen.net.width=0: must be at least 1'),
  ('gen.net', {'width': 'wide'}, "gen.net.width='wide': expected int"),
  (
    'disc.net',
    {'pieces': 3},
    "disc.net.pieces: the network 'mlp' has no such field; it has width, depth",
  ),
  (
    'disc.net',
    maxout.DiscSettings(),
    "holds maxout.DiscSettings, and disc.name='mlp' takes mlp.DiscSettings",
  ),
  ('gen.net', mlp.DiscSettings(), 'holds mlp.DiscS.* takes mlp.GenSettings'),
  ('optim.gen.name', 'lion', 'adam, sgd'),
  ('latents', 'both', 'fresh, shared'),
  ('precision', 'float16', 'float32, bfloat16'),
  ('data.name', 'gauss', "data.name='gauss'.*exponential"),
  ('gen.name', 'dcgan', 'dcgan makes square images'),
  ('gen.name', 'maxout', 'makes images'),
  ('batch_size', 6, 'batch_size=6: must be a multiple of the 4 devices'),
  ('steps', 2**31, 'steps=2147483648: must be'),
  ('ema.half_life', 1e39, r'ema.half_life=1e\+39: must be within float32'),
  ('optim.gen.learning_rate', 1e39, 'must be within float32'),
  ('data.name', '', r"data.name='': must be one of normal, .*folder"),
  ('data.split', 'nonsense', "data.split='nonsense': .*'normal' has no images"),
  ('data.dir', '/nowhere', "data.dir='/nowhere': .*'normal' has no images"),
  ('data.size', 32, "data.size=32: data.name='normal' has no images"),
]


@pytest.mark.parametrize(('field', 'value', 'message'), BAD)
def test_one_line_and_nothing_on_disk(
  tiny: configs.Config,
  tmp_path: pathlib.Path,
  field: str,
  value: object,
  message: str,
):
  if field == 'gen.name':
    tiny.gen = configs.Gen()
  values.assign(tiny, field, value)
  with pytest.raises(ValueError, match=message) as error:
    train.train(tiny, tmp_path / 'a')
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'a').exists()


def test_settings_of_a_network_are_no_swept_numbers(tiny: configs.Config):
  tiny.gen.net = Swept()
  with pytest.raises(ValueError, match=r'gen\.net\.scale: is declared with'):
    checks.validate(tiny)


def test_wgan_gp_and_batch_norm_exclude_each_other(tiny: configs.Config):
  tiny.penalties.wgan_gp.weight = 10.0
  tiny.disc.net = mlp.DiscSettings(batch_norm=True)
  info = sources.Info(kind='density', shape=(1,), mean=(0.0,), std=(1.0,))
  with pytest.raises(ValueError, match=r'disc.net.batch_norm=False'):
    build.make_spec(tiny, info)
  # DCGAN's discriminator has it by default.
  tiny.disc = configs.Disc('dcgan', net=dcgan.DiscSettings(width=8))
  tiny.gen = configs.Gen('dcgan', net=dcgan.GenSettings(width=8))
  info = sources.Info(kind='images', shape=(8, 8, 1))
  with pytest.raises(ValueError, match=r'disc.net.batch_norm=False'):
    build.make_spec(tiny, info)
  # StyleGAN2's looks at the samples of a group together.
  tiny.disc = configs.Disc('stylegan2', net=stylegan2.DiscSettings(width=8))
  with pytest.raises(ValueError, match=r'disc.net.mbstd_group=0'):
    build.make_spec(tiny, info)


def test_orthogonal_and_normalised_weights_exclude_each_other(
  tiny: configs.Config,
):
  tiny.penalties.orthogonal.weight = 1e-4
  gen = r3gan2.Generator((8, 8, 3), r3gan2.GenSettings())
  disc = mlp.Discriminator()
  info = sources.Info(kind='images', shape=(8, 8, 3))
  with pytest.raises(ValueError, match='normalises its weights itself'):
    additions.check_penalties(tiny, gen, disc, info)
  additions.check_penalties(tiny, mlp.Generator((8,)), disc, info)


def test_who_cannot_teach(tiny: configs.Config):
  info = sources.Info(kind='images', shape=(8, 8, 3))

  def refused(config: configs.Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
      build.make_spec(config, info)

  tiny.penalties.label_smoothing.weight = 0.1
  tiny.loss = 'hinge'
  refused(tiny, r"weight=0\.1: in loss='hinge' D learns no labels; it does in")
  tiny.loss, tiny.penalties.label_smoothing.every = 'minimax', 10
  refused(tiny, 'label_smoothing.every=10: with weight=0.1 a label would not')
  tiny.penalties.label_smoothing.every = 1
  # D* is another one then.
  assert not build.make_spec(tiny, info).loss.classifier
  tiny = configs.Config()
  tiny.gen_loss_weight = 0.0
  refused(tiny, 'gen_loss_weight=0: G learns nothing; set a weight of a term')
  tiny.penalties.feature_matching.weight = 1.0
  build.make_spec(tiny, info)
  tiny.disc = configs.Disc('stylegan2', net=stylegan2.DiscSettings(width=8))
  refused(tiny, 'does not show its last layer; mlp, dcgan, sngan, biggan, ')


def test_a_run_of_another_configuration(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  train.train(tiny, tmp_path / 'a')

  def contents() -> dict[str, bytes]:
    files = (tmp_path / 'a').rglob('*')
    return {str(p): p.read_bytes() for p in files if p.is_file()}

  before = contents()
  tiny.gen.net, tiny.loss = mlp.GenSettings(width=9, depth=1), 'hinge'
  with pytest.raises(ValueError, match=r'gen.net.width=8 there, 9') as error:
    train.train(tiny, tmp_path / 'a')
  assert "loss='non_saturating' there, 'hinge' here" in str(error.value)
  assert contents() == before
  tiny.gen.net = mlp.GenSettings(width=8, depth=1)
  tiny.loss, tiny.schedules = 'non_saturating', {RATE: configs.Schedule(end=8)}
  with pytest.raises(ValueError, match=r'schedules.*end=None there, 8 here'):
    train.train(tiny, tmp_path / 'a')
  assert contents() == before
  tiny.schedules, tiny.steps = {}, 8
  with pytest.raises(ValueError, match='steps=12 there, 8 here'):
    train.train(tiny, tmp_path / 'a')


def test_a_run_that_is_older_than_a_setting(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  train.train(tiny, tmp_path)
  path = tmp_path / 'config.json'
  stored = json.loads(path.read_text())
  assert stored['config']['gen']['net'].pop('activation') == 'relu'
  path.write_text(json.dumps(stored))
  tiny.gen.net = mlp.GenSettings(width=8, depth=1, activation='tanh')
  with pytest.raises(ValueError, match=r"activation='relu' there, 'tanh' here"):
    train.train(tiny, tmp_path)
  tiny.gen.net = mlp.GenSettings(width=8, depth=1)
  tiny.steps = 16
  assert train.train(tiny, tmp_path)['step'] == 16
  # One that has been taken away since.
  stored['config']['gen']['net']['gone'] = 3
  path.write_text(json.dumps(stored))
  line = r'configuration \(gen.net.gone=3 there, None here\)'
  with pytest.raises(ValueError, match=line):
    train.train(tiny, tmp_path)


def test_a_workdir_that_cannot_be_written(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  (tmp_path / 'file').write_text('mine')
  for path in (tmp_path / 'file', tmp_path / 'file' / 'below'):
    with pytest.raises(ValueError, match='--workdir'):
      train.train(tiny, path)
  assert (tmp_path / 'file').read_text() == 'mine'


def test_a_damaged_config_json(tiny: configs.Config, tmp_path: pathlib.Path):
  (tmp_path / 'config.json').write_text('{')
  with pytest.raises(ValueError, match='cannot be read'):
    train.train(tiny, tmp_path)
  assert (tmp_path / 'config.json').read_text() == '{'


def test_there_and_back():
  config = configs.Config()
  config.gen.net = mlp.GenSettings(width=3)
  config.schedules[RATE] = configs.Schedule('cosine', 1e-5, end=7)
  config = build.complete(config)
  stored = json.loads(json.dumps(values.to_dict(config)))
  assert stored['disc']['net']['activation'] == 'leaky_relu'
  assert build.complete(values.from_dict(stored)) == config
  stored['gen']['net']['width'] = 'three'
  with pytest.raises(ValueError, match='expected int'):
    build.complete(values.from_dict(stored))
  stored['schedules'][RATE]['end'] = 'late'
  with pytest.raises(ValueError, match=f"{RATE}.end='late': expected int"):
    values.from_dict(stored)
  with pytest.raises(ValueError, match='stepz: no such field; there are seed'):
    values.from_dict({'stepz': 3})


def test_every_float_of_the_game_is_an_array():
  """So that a population can vary it."""
  hyper = build.make_hyper(configs.Config())
  assert {'optim.gen.learning_rate', 'penalties.r1.weight', 'ema.half_life',
          'optim.disc.b1', 'penalties.lecam.decay'} <= hyper.keys()  # fmt: skip
  of_step = (
    'optim.', 'rule.', 'penalties.', 'augment.', 'ema.', 'gen_top_k',
    'latent_step.',
    'gen_loss_weight',
  )  # fmt: skip
  for name, value in values.flatten(configs.Config()).items():
    # A chain of diffusion is a policy, as a network is.
    fixed = name.startswith('augment.diffusion.')
    shapes = isinstance(value, float) and name.startswith(of_step) and not fixed
    assert (name in hyper) == shapes, name


def test_an_int_is_a_float_too(tiny: configs.Config):
  """A file may say `c.ema.half_life = 10_000`."""
  tiny.ema.half_life = 10_000
  checks.validate(tiny)
  assert build.make_hyper(tiny)['ema.half_life'] == 10_000


def test_steps_that_no_row_divides(tiny: configs.Config):
  tiny.steps = 2
  assert not [*checks.warnings(tiny)]
  tiny.steps = 13
  (line,) = checks.warnings(tiny)
  assert line.startswith('steps=13 is no multiple of log_every=4')


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['disc_steps=2', 'rule.name=sga'], 'moves both players at once'),
    (['gen_batches=2', 'latents=shared'], 'gen_batches=2: latents='),
    (['ema.posthoc=abc'], "ema.posthoc='abc': must be numbers"),
    (['eval.ema_length=0.1'], 'eval.ema_length=0.1: must be one of'),
    (['augment.p=0.5'], 'augment.p=0.5: nothing is augmented'),
    (['optim.gen.clip=0.1', 'rule.name=optimistic'], 'optim.gen.clip=0.1'),
    (
      ['schedules.rule.lookahead_alpha=linear,final=1,end=9,ramp=5'],
      'lookahead_alpha.ramp=5: would begin at 0',
    ),
  ],
)
def test_what_excludes_each_other_needs_no_data(flags: list[str], message: str):
  """What `--describe` refuses, as training does."""
  changes = [
    (name, value) for name, _, value in (f.partition('=') for f in flags)
  ]
  config = overrides.apply(configs.Config(), changes, build.complete)

  def check() -> None:
    checks.validate(config)
    choices.check(config)

  with pytest.raises(ValueError, match=message):
    check()


IDLE = [
  ('eval.features', 'inception', 'eval.metrics', ('eval.metrics', 'fid')),
  ('rule.lookahead_steps', 2, "rule.name='lookahead'",
   ('rule.name', 'lookahead')),
  ('rule.sga_align', False, "rule.name='sga'", ('rule.name', 'sga')),
  ('penalties.lecam.decay', 0.5, 'penalties.lecam.weight',
   ('penalties.lecam.weight', 0.1)),
  ('optim.gen.b2', 0.5, "optim.gen.name='adam' or 'rmsprop'", None),
  ('augment.diffusion.noise', 0.5, "augment.policy='diffusion'",
   ('augment.policy', 'diffusion')),
  ('augment.target', 0.3, 'augment.adapt', ('augment.adapt', 'sign')),
  ('gen.net.norm_momentum', 0.5, 'gen.net.batch_norm',
   ('gen.net', mlp.GenSettings(batch_norm=True, norm_momentum=0.5))),
  ('checkpoint.best_mode', 'max', 'checkpoint.best', ('checkpoint.best', 'ks')),
  ('population.at_once', 2, 'several members', ('population.seeds', 2)),
  ('init_player', 'gen', 'init_from', ('init_from', 'run')),
]  # fmt: skip


@pytest.mark.parametrize(('name', 'value', 'what', 'remedy'), IDLE)
def test_settings_without_an_effect(
  tiny: configs.Config,
  name: str,
  value: object,
  what: str,
  remedy: tuple[str, object] | None,
):
  tiny.optim.gen.name = 'adam' if remedy else 'sgd'
  values.assign(tiny, name, value)
  assert [*checks.warnings(tiny)] == [
    f'{name}={value!r}: has no effect in training without {what}'
  ]
  values.assign(tiny, *(remedy or ('optim.gen.name', 'rmsprop')))
  assert not [*checks.warnings(tiny)]


def test_the_live_generator_has_no_length(tiny: configs.Config):
  """--ema=false of a run whose averages have one."""
  tiny.ema.posthoc, tiny.eval.ema_length, tiny.eval.ema = '0.1', 0.1, False
  choices.check(tiny)
  (line,) = checks.warnings(tiny)
  assert line.startswith('eval.ema_length=0.1: has no effect in training')


def test_the_best_figure_of_an_older_run(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  tiny.checkpoint.best = 'ks'
  train.train(tiny, tmp_path)
  path = tmp_path / 'config.json'
  path.write_text(path.read_text().replace('"best": "ks"', '"best": "eval/ks"'))
  assert workdirs.load(tmp_path)[0].checkpoint.best == 'ks'
  workdirs.check(tmp_path, tiny)


def test_schedules_without_an_effect(tiny: configs.Config):
  moves = configs.Schedule('linear', 0.5, end=12)
  tiny.schedules = {'augment.p': moves, 'rule.sga_weight': moves}
  assert [*checks.warnings(tiny)] == [
    'schedules.augment.p: has no effect in training without augment.policy or '
    'augment.pseudo',
    'schedules.rule.sga_weight: has no effect in training without '
    "rule.name='sga'",
  ]
  tiny.augment.policy, tiny.rule.name = 'color', 'sga'
  assert not [*checks.warnings(tiny)]
  weight = 'penalties.r1.weight'
  tiny.schedules = {weight: configs.Schedule('cosine', 0.0, end=12)}
  (line,) = checks.warnings(tiny)
  assert line == f'schedules.{weight}: begins and ends at 0'
  tiny.population.vary = {weight: [0.0, 1.0]}
  assert not [*checks.warnings(tiny)]


@pytest.mark.parametrize(
  'schedule',
  [
    configs.Schedule('linear', 1.0, end=12, ramp=6),
    configs.Schedule('cosine_inverse_sqrt', 1.0, end=2),
  ],
)
def test_numbers_go_where_their_schedules_do(
  schedule: configs.Schedule, tiny: configs.Config
):
  """From 1 to 1, and through less: G learns of its best samples there."""
  tiny.schedules = {'penalties.r1.weight': schedule}
  assert min(values.swept_values(tiny, 'penalties.r1.weight')) == 0
  if not schedule.ramp:
    tiny.schedules = {'gen_top_k': schedule}
    info = sources.Info(kind='density', shape=(1,), mean=(4.0,), std=(0.5,))
    assert build.make_spec(tiny, info).top_k


def test_a_rate_that_ends_before_the_run(tiny: configs.Config):
  tiny.schedules[RATE] = configs.Schedule('cosine', end=tiny.steps)
  assert not [*checks.warnings(tiny)]
  tiny.steps *= 2
  (line,) = checks.warnings(tiny)
  assert 'optim.gen.learning_rate is 0 from step 12 on' in line
  # 8 a step.
  tiny.schedules[RATE] = configs.Schedule('linear', end=90, unit='samples')
  (line,) = checks.warnings(tiny)
  assert 'optim.gen.learning_rate is 0 from step 12 on' in line
  tiny.schedules[RATE] = configs.Schedule('cosine', 1e-5, end=12)
  assert not [*checks.warnings(tiny)]


def test_how_chips_are_laid_out():
  def chip(*coords: int) -> types.SimpleNamespace:
    return types.SimpleNamespace(coords=coords)

  chips = [chip(x, y, 0) for x in range(2) for y in range(4)]
  assert workdirs.topology(chips) == '2x4x1'
  assert workdirs.topology([chip(3, 2, 0)]) == '1x1x1'
  assert workdirs.topology(jax.devices()) is None


def test_provenance_without_git(monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setenv('PATH', '')
  workdirs._commit.cache_clear()
  try:
    assert workdirs.provenance()['commit'] is None
  finally:
    workdirs._commit.cache_clear()


def test_a_libtpu_that_is_no_package(monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setattr(workdirs.jax, 'default_backend', lambda: 'tpu')
  monkeypatch.setenv('TPU_LIBRARY_PATH', '/opt/libtpu.so')
  version = importlib.metadata.version

  def known(name: str) -> str:
    if name == 'libtpu':
      raise importlib.metadata.PackageNotFoundError
    return version(name)

  monkeypatch.setattr(importlib.metadata, 'version', known)
  found = workdirs.provenance()['versions']['libtpu']
  assert found == '/opt/libtpu.so'


def test_devices_must_divide_the_batch():
  config = configs.Config(batch_size=8)
  sharding.check_divides(4, config)
  config.batch_size = 9
  with pytest.raises(ValueError, match=r'a multiple of the 4 devices$'):
    sharding.check_divides(4, config)
  config.batch_size, config.microbatches = 8, 4
  message = 'a multiple of the 4 devices times microbatches=4'
  with pytest.raises(ValueError, match=message):
    sharding.check_divides(4, config)
  config.batch_size = 16
  sharding.check_divides(4, config)
  assert sharding.make_mesh().size == jax.device_count()


@pytest.mark.parametrize('name', ['report.html', 'summary.json', 'tensorboard'])
def test_a_folder_with_other_files_of_these_names(
  name: str, tiny: configs.Config, tmp_path: pathlib.Path
):
  """They are not a run's to replace."""
  (tmp_path / name).write_text('mine')
  (tmp_path / 'notes.txt').write_text('mine')
  with pytest.raises(ValueError, match=rf'has {name} but no config.json'):
    train.train(tiny, tmp_path)
  left = {path.name for path in tmp_path.iterdir()} - {'lock'}
  assert left == {name, 'notes.txt'}
  assert (tmp_path / name).read_text() == 'mine'


@pytest.mark.parametrize('text', ['[1]', '{"a": 1}', '{"config": 2}'])
def test_another_programs_config(
  text: str, tiny: configs.Config, tmp_path: pathlib.Path
):
  (tmp_path / 'config.json').write_text(text)
  with pytest.raises(ValueError, match=r'config\.json: is not of a run'):
    workdirs.check(tmp_path, tiny)


@pytest.mark.parametrize('text', ['[1]', '{"a": 1}', '{"step": "x"}'])
def test_another_programs_summary(text: str, tmp_path: pathlib.Path):
  (tmp_path / 'summary.json').write_text(text)
  with pytest.raises(ValueError, match=r'summary\.json: is not of a run'):
    workdirs.read_summary(tmp_path)
  with pytest.raises(ValueError, match='is a file, not a folder'):
    workdirs.load(tmp_path / 'summary.json')
