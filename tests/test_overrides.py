"""Fields set by text, as on a command line, and a configuration in words."""

import dataclasses
import functools
import math
import typing

import pytest

from gan_jax.config import describe, fields as configs, overrides, values
from gan_jax.engine import build, names
from gan_jax.networks import dcgan, maxout, mlp, r3gan

RATE = 'optim.gen.learning_rate'


def apply(config: configs.Config, *texts: str) -> configs.Config:
  pairs = [text.split('=', 1) for text in texts]
  found = [(name, text) for name, text in pairs]
  return overrides.apply(config, found, build.complete)


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('stpes', r'^stpes: there is no such field.*mean steps'),
    ('gen.nme', r'^gen.nme: there is no such field.*mean gen.name'),
    ('penalties.r1.wait', r'mean penalties.r1.weight'),
  ],
)
def test_a_file_that_sets_what_is_not_there(name: str, message: str):
  config = configs.Config()
  overrides.check_names(config)
  *groups, last = name.split('.')
  setattr(functools.reduce(getattr, groups, config), last, 1)
  with pytest.raises(ValueError, match=message):
    overrides.check_names(config)


def test_each_type_is_read():
  config = apply(
    configs.Config(),
    'steps=2e4',
    'batch_size=1_000',
    'data.flip=true',
    'data.standardise=False',
    f'{RATE}=3e-4',
    'data.split=none',
    'gen.net.batch_norm=1',
    'population.vary=penalties.r1.weight=0,0.5;ema.half_life=10,20',
    'population.seeds=1',
    'population.seeds=2',
  )
  assert (config.steps, config.batch_size) == (20_000, 1000)
  assert (config.data.flip, config.data.standardise) == (True, False)
  assert config.optim.gen.learning_rate == 3e-4
  assert config.data.split == 'none'  # No field that may be None.
  assert config.gen.net == mlp.GenSettings(batch_norm=True)
  assert config.population == configs.Population(
    2, {'penalties.r1.weight': [0.0, 0.5], 'ema.half_life': [10.0, 20.0]}
  )


def test_none_sets_an_optional_field_back():
  assert overrides.parse('x', 'none', int | None) is None
  assert overrides.parse('x', '3', int | None) == 3
  assert overrides.parse('x', 'None', bool | None) is None
  assert overrides.parse('x', 'none', str) == 'none'
  with pytest.raises(ValueError, match=r'^x=a: must be .* number or none$'):
    overrides.parse('x', 'a', int | None)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('steps=2.5', 'steps=2.5: must be a whole number'),
    ('steps=inf', 'steps=inf: must be a whole number'),
    ('steps=none', 'steps=none: must be a whole number'),
    ('data.flip=maybe', 'data.flip=maybe: must be true or false'),
    ('ema.half_life=long', 'ema.half_life=long: must be a number'),
    ('population.vary=1', 'population.vary=1: must be FIELD=NUMBER'),
    ('population.vary=a=1,2;a=3', 'must be FIELD=NUMBER.*each once'),
    ('stepz=1', r'stepz: .*did you mean steps.*there are seed, steps'),
    ('data.flp=1', r'data.flp: .*mean data.flip..; data.\* has name, dir'),
    ('optim.gen.lr.x=1', r'optim.gen.\* has name, learning_rate, b1'),
    ('disc.net.pieces=3', "the network 'mlp' has width, depth, activation"),
    ('gen.net=wide', 'gen.net=wide: must be none'),
    ('gen.name=dcgn', "gen.name='dcgn'.*mean 'dcgan'"),
    ('data=digits', r'data: is a group of fields: data.name, data.dir'),
    ('penalties.r1=1', r'group of fields: penalties.r1.weight, penalties.r1.e'),
    ('schedules=cosine', 'schedules=cosine: they are set one at a time'),
    ('schedules.steps=linear', 'steps is not a swept number'),
    (f'schedules.{RATE}=linear,stop=3', "'stop' is no field.*mean .*step|kind"),
    (f'schedules.{RATE}=linear,end=x', f'{RATE}.end=x: must be a whole'),
    (f'schedules.{RATE}.end=3', f'{RATE}.end is not a swept number'),
  ],
)
def test_mistakes(text: str, message: str):
  with pytest.raises(ValueError, match=message) as error:
    apply(configs.Config(), text)
  assert '\n' not in str(error.value)


def test_another_network_brings_its_own_settings():
  """Wherever its name stands: fields of it may be set before."""

  def faces() -> configs.Config:
    config = configs.Config()
    config.gen.name = config.disc.name = 'dcgan'
    config.gen.net = dcgan.GenSettings(width=64)
    config.disc.net = dcgan.DiscSettings(width=64, batch_norm=False)
    return config

  names = 'gen.name=r3gan', 'disc.name=r3gan'
  for texts in (('gen.net.groups=8', *names), (*names, 'gen.net.groups=8')):
    config = apply(faces(), *texts)
    assert config.gen.net == r3gan.GenSettings(groups=8)
    assert config.disc.net == r3gan.DiscSettings()
  # The same network keeps what the file chose.
  config = apply(faces(), 'disc.name=dcgan', 'gen.net=none')
  assert config.gen.net == dcgan.GenSettings()
  assert config.disc.net == dcgan.DiscSettings(width=64, batch_norm=False)
  config = apply(faces(), 'disc.net.batch_norm=true')
  assert config.disc.net == dcgan.DiscSettings(width=64)
  with pytest.raises(ValueError, match="'r3gan' has width, depth, groups"):
    apply(faces(), *names, 'disc.net.batch_norm=true')


def test_schedules_by_text():
  text = f'schedules.{RATE}=cosine,final=5e-5,end=2e7,unit=samples'
  config = apply(configs.Config(), text, f'schedules.{RATE}.begin=10')
  expected = configs.Schedule('cosine', 5e-5, 10, 20_000_000, unit='samples')
  assert config.schedules == {RATE: expected}
  config = apply(config, f'schedules.{RATE}=exponential,rate=0.5')
  assert config.schedules == {RATE: configs.Schedule('exponential', rate=0.5)}
  assert apply(config, f'schedules.{RATE}=constant').schedules == {}


def test_what_a_population_gives_a_number_that_moves():
  config = configs.Config()
  config.schedules['ema.half_life'] = configs.Schedule('linear', 8.0, end=9)
  assert values.uses_ema(config)
  final = 'schedules.ema.half_life.final'
  config.population.vary = {final: [2.0, 4.0]}
  assert values.swept_values(config, 'ema.half_life') == [0.0, 2.0, 4.0]
  values.assign(config, final, 3.0)
  assert config.schedules['ema.half_life'].final == 3.0
  assert values.swept(config)[final] == 3.0


def test_every_field_has_a_comment():
  kinds = [
    kind for kind in vars(configs).values() if isinstance(kind, type)
  ] + [
    getattr(network, name)
    for network in names.NETWORKS.values()
    for name in ('GenSettings', 'DiscSettings')
  ]
  for kind in kinds:
    hints = typing.get_type_hints(kind)
    for name, comment in describe.comments(kind).items():
      told = comment.endswith('.') or dataclasses.is_dataclass(hints[name])
      assert told, f'{kind.__name__}.{name}'


def test_comments_of_what_is_inherited():
  found = describe.comments(dcgan.DiscSettings)
  assert found['batch_norm'] == 'On every stage but the first.'
  assert found['width'].startswith('Channels at the lowest resolution')
  pieces = describe.comments(maxout.DiscSettings)['pieces']
  assert pieces == (
    'Linear pieces of which each unit takes the largest (Goodfellow et al. '
    '2013, "Maxout networks", eq. 1).'
  )


def test_bounds_are_what_a_field_declares():
  leaves = {leaf.name: leaf for leaf in values.leaves(configs.Config())}
  b1, alpha = leaves['optim.gen.b1'].facts, leaves['rule.lookahead_alpha'].facts
  for facts, bounds in (
    (b1, [(-0.1, False), (0.0, True), (0.999, True), (1.0, False)]),
    (alpha, [(0.0, False), (1e-9, True), (1.0, True), (1.1, False)]),
    (leaves['data.channels'].facts, [(0, True), (2, False), (3, True)]),
    (leaves['optim.gen.eps'].facts, [(math.inf, True)]),
  ):
    for value, accepted in bounds:
      assert facts.accept(value) == accepted
  assert b1.accepted() == 'at least 0 and below 1'
  assert leaves['data.channels'].facts.accepted() == '0, 1 or 3'
