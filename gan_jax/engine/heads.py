"""What D is asked beside its logit, and the terms of the losses that teach it.

As `players.py` asks for it, which makes the networks.
"""

import itertools

import flax.linen as nn

from gan_jax import types
from gan_jax.config import fields as configs, values
from gan_jax.data import source as sources
from gan_jax.engine import additions, names
from gan_jax.networks import conditional

# By how D takes the class: the terms that train its heads, those of D first.
_TRAINED_BY: dict[str, types.Pair] = {
  'classifier': types.Pair(disc=('acgan',), gen=('acgan_gen',)),
  'twin_classifiers': types.Pair(disc=('tacgan',), gen=('tacgan_gen',)),
  'discriminative_classifier': types.Pair(
    disc=('adcgan',), gen=('adcgan_gen',)
  ),
  'multi_hinge': types.Pair(disc=('mhgan',), gen=('mhgan_gen',)),
  'codes': types.Pair(disc=('infogan',), gen=('infogan_gen',)),
  'proxies': types.Pair(
    disc=('contragan', 'reacgan'), gen=('contragan_gen', 'reacgan_gen')
  ),
}

# By the setting of D that gives it the head: the terms that train it, without
# classes.
_TASKS: dict[str, types.Pair] = {
  'rotations': types.Pair(disc='ssgan', gen='ssgan_gen'),
  'infomax': types.Pair(disc='infomax', gen='infomax_gen'),
}


# By which an image can be turned in SSGAN.
_TURNS = 4


def check_teachers(config: configs.Config, disc: nn.Module) -> None:
  """Raises ValueError where D cannot teach so, or a player learns nothing."""
  if share := values.largest_weight(config, 'label_smoothing'):
    known = [name for name, x in names.LOSSES.items() if x.classifier]
    if config.loss not in known:
      raise ValueError(
        f'penalties.label_smoothing.weight={share}: in loss={config.loss!r} D '
        f'learns no labels; it does in {", ".join(known)}'
      )
    every = config.penalties.label_smoothing.every
    if share * every >= 1:
      raise ValueError(
        f'penalties.label_smoothing.every={every}: with weight={share} a label '
        'would not be above 0; their product must be below 1'
      )
  matched = values.largest_weight(config, 'feature_matching')
  if matched and not isinstance(disc, conditional.Judge):
    raise ValueError(
      f'penalties.feature_matching.weight={matched}: '
      f'disc.name={config.disc.name!r} does not show its last layer; '
      f'{", ".join(_with_setting("conditioning"))} do'
    )
  untaught = {}
  if not min(values.swept_values(config, 'gen_loss_weight')):
    untaught = {'gen': 'gen_loss_weight=0'}
  if config.loss == 'none':
    untaught = dict.fromkeys(('gen', 'disc'), "loss='none'")
  # Others bound a player, and do not tell it what samples are like.
  examples = types.Pair(gen='feature_matching', disc='mhgan')
  for player, cause in untaught.items():
    example = getattr(examples, player)
    of_heads = (getattr(pair, player) for pair in _TRAINED_BY.values())
    teachers = {example, *itertools.chain(*of_heads)}
    weights = (f'penalties.{name}.weight' for name in teachers)
    if not any(values.least_peak(config, name) for name in weights):
      raise ValueError(
        f'{cause}: {player[0].upper()} learns nothing; set a weight of a term '
        f'that teaches it, such as penalties.{example}.weight'
      )


def check_conditioning(
  config: configs.Config, disc: nn.Module, classes: int
) -> None:
  """Raises ValueError where D's heads are missing, or without their terms."""
  set_to = getattr(disc.settings, 'conditioning', '')
  how = set_to if classes or set_to == 'codes' else ''
  _check_codes(config, how, getattr(disc.settings, 'numbers', 0))

  for kind, terms_of in _TRAINED_BY.items():
    for name in (*terms_of.disc, *terms_of.gen):
      weight = values.largest_weight(config, name)
      if kind != how and weight:
        raise ValueError(
          f'penalties.{name}.weight={weight}: D has no head for it; '
          f'set {_classes_for(kind)} and disc.net.conditioning={kind!r}'
        )
  named = how in _TRAINED_BY and not (how == 'codes' and not config.gen.codes)
  for name in ('cr', 'cr_fake', 'zcr'):
    if getattr(config.penalties, name).heads and not named:
      if set_to in _TRAINED_BY:
        raise ValueError(
          f'penalties.{name}.heads=True: D has no outputs of classes without '
          f'{_classes_for(set_to)}'
        )
      raise ValueError(
        f'penalties.{name}.heads=True: D has no outputs of classes; set '
        f'disc.net.conditioning to {_in_words([*_TRAINED_BY])}'
      )
  samples = config.batch_size // config.microbatches
  if how == 'proxies' and samples < 2:
    raise ValueError(
      "disc.net.conditioning='proxies': compares samples, and an update sees "
      'one at a time; set a larger batch_size, or fewer microbatches'
    )
  if how in _TRAINED_BY:
    of_disc, of_gen = _TRAINED_BY[how].disc, _TRAINED_BY[how].gen
    if not any(values.largest_weight(config, name) for name in of_disc):
      raise ValueError(
        f'disc.net.conditioning={how!r}: nothing trains it; set '
        f'{_either(of_disc)}, and {_either(of_gen)} for G'
      )


def check_tasks(
  config: configs.Config, disc: nn.Module, info: sources.Info
) -> None:
  """Raises ValueError where what D is to learn besides has no head, or no term.

  Or where samples cannot be turned, or are too few to be told apart.
  """
  for setting, of in _TASKS.items():
    has = getattr(disc.settings, setting, 0)
    for name in (of.disc, of.gen):
      weight = values.largest_weight(config, name)
      if weight and not has:
        raise ValueError(
          f'penalties.{name}.weight={weight}: D has no head for it; set '
          f'disc.net.{setting}, of {_in_words(_with_setting(setting))}'
        )
    if has and not values.largest_weight(config, of.disc):
      raise ValueError(
        f'disc.net.{setting}={has}: nothing trains it; set '
        f'penalties.{of.disc}.weight, and penalties.{of.gen}.weight for G'
      )
  if getattr(disc.settings, 'rotations', False):
    _check_rotations(config, info)
  samples = config.batch_size // config.microbatches
  if getattr(disc.settings, 'infomax', 0) and samples < 2:
    raise ValueError(
      f'disc.net.infomax={disc.settings.infomax}: compares samples, and an '
      'update sees one at a time; set a larger batch_size, or fewer '
      'microbatches'
    )


def _check_rotations(config: configs.Config, info: sources.Info) -> None:
  """Raises ValueError where by how much an image was turned cannot be told."""
  if info.kind != 'images' or info.shape[0] != info.shape[1]:
    raise ValueError(
      'disc.net.rotations=True: needs square images; '
      f'data.name={config.data.name!r} has samples of shape {info.shape}'
    )
  policy = additions.choose_policy(config.augment.policy)
  if policy is not None and policy.turns:
    raise ValueError(
      f'disc.net.rotations=True: augment.policy={config.augment.policy!r} '
      "turns images, too; 'diffaugment' does not"
    )
  samples = config.batch_size // config.microbatches
  if samples < _TURNS:
    raise ValueError(
      f'disc.net.rotations=True: an update sees {samples} samples at a time, '
      f'and there are {_TURNS} turns; set a larger batch_size, or fewer '
      'microbatches'
    )


def _check_codes(config: configs.Config, how: str, numbers: int) -> None:
  """Raises ValueError where nobody makes or finds InfoGAN's codes."""
  gen = config.gen
  if gen.codes and how != 'codes':
    raise ValueError(
      f'gen.codes={gen.codes}: D is to find them; set disc.net.conditioning='
      f"'codes', of {_in_words(_with_setting('conditioning'))}"
    )
  if how != 'codes':
    return
  if config.conditional:
    raise ValueError(
      "disc.net.conditioning='codes': of a game without labels, and "
      'conditional=True has those of the data; set one of them'
    )
  if not (gen.codes or numbers):
    raise ValueError(
      "disc.net.conditioning='codes': there are none; set gen.codes or "
      'disc.net.numbers'
    )
  if numbers > gen.latent_dim:
    raise ValueError(
      f'disc.net.numbers={numbers}: z has gen.latent_dim={gen.latent_dim}'
    )
  if config.packing > 1:
    raise ValueError(
      f'packing={config.packing}: codes are those of single samples; set '
      'packing=1'
    )


def _with_setting(name: str) -> list[str]:
  """The networks whose D has heads, and this setting."""
  return [
    network
    for network, file in names.NETWORKS.items()
    if issubclass(file.Discriminator, conditional.Judge)
    and hasattr(file.DiscSettings(), name)
  ]


def _classes_for(how: str) -> str:
  """What gives D the classes of this conditioning, as a setting."""
  return 'gen.codes' if how == 'codes' else 'conditional=True'


def _in_words(names: list[str]) -> str:
  *others, last = names
  return f'{", ".join(others)} or {last}' if others else last


def _either(names: tuple[str, ...]) -> str:
  """Their weights, in words."""
  return ' or '.join(f'penalties.{name}.weight' for name in names)
