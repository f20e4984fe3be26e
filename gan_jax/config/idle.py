"""Settings that are given and have no effect, as others are set."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gan_jax.config import fields as configs, values


class _Need(NamedTuple):
  """What must be set for a field to be read.

  Attributes:
    what: in words.
    is_met: by a configuration.
  """

  what: str
  is_met: Callable[[configs.Config], bool]


def _rule(name: str) -> _Need:
  return _Need(f'rule.name={name!r}', lambda c: c.rule.name == name)


def _penalty(name: str) -> _Need:
  return _Need(
    f'penalties.{name}.weight', lambda c: values.largest_weight(c, name) > 0
  )


def _not_sgd(player: str) -> _Need:
  field = f'optim.{player}.name'
  return _Need(
    f"{field}='adam' or 'rmsprop'",
    lambda c: bool(getattr(c.optim, player).name != 'sgd'),
  )


def _net(player: str, name: str) -> _Need:
  """Of networks that have such a setting."""
  return _Need(
    f'{player}.net.{name}',
    lambda c: bool(getattr(getattr(c, player).net, name, True)),
  )


def _of_resnet(player: str) -> _Need:
  """Of SNGAN, which has another architecture."""
  return _Need(
    f"{player}.net.architecture='resnet'",
    lambda c: bool(getattr(c, player).net.architecture == 'resnet'),
  )


_METRICS = _Need('eval.metrics', lambda c: bool(c.eval.metrics))
_ADAPT = _Need('augment.adapt', lambda c: bool(c.augment.adapt))
_LOSS = _Need("a loss of D's logits", lambda c: bool(c.loss != 'none'))
_LANGEVIN = _Need('eval.langevin_steps', lambda c: c.eval.langevin_steps > 0)
_CLASSES = _Need(
  'conditional=True',
  lambda c: c.conditional or c.disc.net.conditioning == 'codes',
)
_ASKED = _Need('conditional=True or gen.codes', values.asks_for_classes)

# By the field, or the first part of several fields' names. How often a penalty
# is applied and whose classes are asked for are not here: configurations set
# them for who turns the penalty or the classes on.
_NEEDS = {
  'init_player': _Need('init_from', lambda c: bool(c.init_from)),
  'disc.net.conditioning': _CLASSES,
  'gen.net.conditioning': _ASKED,
  'disc.net.numbers': _Need(
    "disc.net.conditioning='codes'",
    lambda c: c.disc.net.conditioning == 'codes',
  ),
  'disc.net.embedding': _Need(
    "disc.net.conditioning='proxies'",
    # R3GAN's is of its projection.
    lambda c: getattr(c.disc.net, 'conditioning', 'proxies') == 'proxies',
  ),
  'gen.net.shared': _Need(
    _ASKED.what,
    # BigGAN's recipe sets it for who turns the classes on.
    lambda c: bool(_ASKED.is_met(c) or c.gen.name == 'biggan'),
  ),
  **{
    f'{player}.net.{name}': _of_resnet(player)
    for player, name in (
      ('gen', 'doubling'),
      ('gen', 'shortcut_init'),
      ('disc', 'shortcut_init'),
      ('disc', 'pooling'),
      ('disc', 'rectified_shortcuts'),
      ('disc', 'last_bias'),
    )
  },
  **{
    f'{player}.net.norm_{name}': _net(player, 'batch_norm')
    for player in ('gen', 'disc')
    for name in ('groups', 'momentum', 'epsilon')
  },
  **{
    f'optim.{player}.{name}': _not_sgd(player)
    for player in ('gen', 'disc')
    for name in ('b2', 'eps')
  },
  'gen_loss_weight': _LOSS,
  'gen_top_k': _Need(
    "gen_loss_weight and a loss of D's logits",
    lambda c: _LOSS.is_met(c) and values.largest(c, 'gen_loss_weight') > 0,
  ),
  **{
    f'latent_step.{name}': _Need(
      'latent_step.rate',
      lambda c: values.largest(c, 'latent_step.rate') > 0,
    )
    for name in ('natural', 'share', 'weight')
  },
  'latent_step.damping': _Need(
    'latent_step.rate and latent_step.natural',
    lambda c: (
      c.latent_step.natural and values.largest(c, 'latent_step.rate') > 0
    ),
  ),
  'rule.consensus_weight': _rule('consensus'),
  'rule.sga_': _rule('sga'),
  'rule.lookahead_': _rule('lookahead'),
  'rule.unroll_steps': _rule('unrolled'),
  'penalties.lecam.decay': _penalty('lecam'),
  'penalties.feature_matching.distance': _penalty('feature_matching'),
  'penalties.path_length.decay': _penalty('path_length'),
  'penalties.path_length.shrink': _penalty('path_length'),
  **{
    f'penalties.{name}.temperature': _penalty(name)
    for name in ('contragan', 'contragan_gen', 'reacgan', 'reacgan_gen')
  },
  'penalties.reacgan.margin': _penalty('reacgan'),
  'penalties.reacgan_gen.margin': _penalty('reacgan_gen'),
  **{f'penalties.{n}.heads': _penalty(n) for n in ('cr', 'cr_fake', 'zcr')},
  'penalties.zcr.sigma': _penalty('zcr'),
  'penalties.zcr_gen.sigma': _penalty('zcr_gen'),
  'augment.p': _Need(
    'augment.policy or augment.pseudo',
    lambda c: bool(c.augment.policy or c.augment.pseudo),
  ),
  'augment.target': _ADAPT,
  'augment.interval': _ADAPT,
  'augment.speed_kimg': _ADAPT,
  'augment.diffusion.': _Need(
    "augment.policy='diffusion'", lambda c: c.augment.policy == 'diffusion'
  ),
  'ema.posthoc_every': _Need('ema.posthoc', lambda c: bool(c.ema.posthoc)),
  'eval.ema_length': _Need('eval.ema', lambda c: c.eval.ema),
  **{f'eval.langevin_{name}': _LANGEVIN for name in ('rate', 'noise', 'decay')},
  'eval.langevin_decay_steps': _Need(
    'eval.langevin_steps and eval.langevin_decay below 1',
    lambda c: c.eval.langevin_steps > 0 and c.eval.langevin_decay < 1,
  ),
  'eval.features': _METRICS,
  'eval.weights': _METRICS,
  'eval.resizer': _METRICS,
  'checkpoint.best_mode': _Need(
    'checkpoint.best', lambda c: bool(c.checkpoint.best)
  ),
  'population.at_once': _Need(
    'several members',
    lambda c: c.population.seeds > 1 or bool(c.population.vary),
  ),
  'population.halving_keep': _Need(
    'population.halving', lambda c: bool(c.population.halving)
  ),
}


def _unmet(config: configs.Config, name: str) -> str:
  """What a field would need to be read; empty where it is read."""
  for field, need in _NEEDS.items():
    several = field[-1] in '._'
    fits = name.startswith(field) if several else name == field
    if fits and not need.is_met(config):
      return need.what
  return ''


def _usual(config: configs.Config) -> dict[str, Any]:
  """The defaults of all fields, also of the networks that are chosen."""
  usual = configs.Config()
  for player in ('gen', 'disc'):
    net = type(getattr(config, player).net)
    if dataclasses.is_dataclass(net):
      getattr(usual, player).net = net()
  return values.flatten(usual)


def warnings(config: configs.Config) -> Iterator[str]:
  """A line for each; the configuration is complete."""
  usual = _usual(config)
  for name, value in values.flatten(config).items():
    if (
      name in usual and value != usual[name] and (what := _unmet(config, name))
    ):
      yield f'{name}={value!r}: has no effect in training without {what}'
  for name in config.population.vary:
    if what := _unmet(config, name):
      yield f'population.vary: {name} has no effect in training without {what}'
  for name, schedule in config.schedules.items():
    if what := _unmet(config, name):
      yield f'schedules.{name}: has no effect in training without {what}'
    elif len({*values.swept_values(config, name)}) == 1 and not schedule.ramp:
      yield f'schedules.{name}: begins and ends at {schedule.final:g}'
