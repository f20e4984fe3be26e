"""What a configuration chooses by name, and what its choices exclude.

All of it needs neither data nor networks, so that `--describe` says it, too.
"""

from collections.abc import Callable

import optax

from gan_jax.config import fields as configs, values
from gan_jax.engine import additions, names
from gan_jax.game import latent_steps, projection, rules


def check(config: configs.Config) -> None:
  """Raises ValueError for what no data and no networks can be played with.

  For a name that is none, and for settings that exclude each other.
  """
  chosen = values.flatten(config)
  for field, options in (
    ('precision', names.PRECISIONS),
    ('loss', names.LOSSES),
    ('latents', names.LATENT_SHARING),
    ('gen.latent', names.LATENTS),
    ('gen.labels', names.LABEL_LAWS),
    ('rule.name', names.RULES),
    ('optim.gen.name', names.OPTIMISERS),
    ('optim.disc.name', names.OPTIMISERS),
    ('augment.adapt', {'': None, **names.OVERFIT}),
  ):
    values.choose(field, chosen[field], options)
  additions.choose_policy(config.augment.policy)
  additions.check_strength(config)
  make_rule(config)
  _check_gen_batches(config)
  make_lengths(config)
  for player in ('gen', 'disc'):
    choose_bounds(config, player)


def make_rule(config: configs.Config) -> rules.Rule:
  """How the players move.

  Raises:
    ValueError: they cannot as often, or in parts of a batch.
  """
  make = names.RULES[config.rule.name]
  rule = make(config.rule)
  for name in ('disc_steps', 'gen_steps'):
    count = getattr(config, name)
    if count > 1 and not rule.takes_turns:
      raise ValueError(
        f'{name}={count}: rule.name={config.rule.name!r} moves both players at '
        f'once; set {name}=1'
      )
  if config.microbatches > 1 and rule.second_order:
    raise ValueError(
      f'microbatches={config.microbatches}: rule.name={config.rule.name!r} '
      'differentiates through gradients and would keep all parts in memory; '
      'set microbatches=1'
    )
  return rule


def _check_gen_batches(config: configs.Config) -> None:
  """Raises ValueError where G's fakes are judged one beside one real sample."""
  alone = {
    'latents': config.latents == 'fresh',
    'loss': not names.LOSSES[config.loss].gen_sees_real,
    'gen.labels': not config.conditional
    or names.LABEL_LAWS[config.gen.labels] is not None,
  }
  beside = [name for name, fits in alone.items() if not fits]
  if config.gen_batches > 1 and beside:
    value = values.flatten(config)[beside[0]]
    raise ValueError(
      f'gen_batches={config.gen_batches}: {beside[0]}={value!r} takes as many '
      'generated samples as real ones; set gen_batches=1'
    )


# Of an optimiser's settings, those that bound parameters after each update.
_BOUNDS = {
  'clip': projection.into_box,
  'max_column_norm': projection.into_balls,
}


def choose_bounds(
  config: configs.Config, player: str
) -> dict[str, Callable[..., optax.GradientTransformation]]:
  """Those of a player; raises ValueError where its rule would leave them."""
  field = f'optim.{player}.'
  bounds = {
    name: project
    for name, project in _BOUNDS.items()
    if values.largest(config, field + name) > 0
  }
  if bounds and config.rule.name == 'optimistic':
    name = next(iter(bounds))
    limit = values.largest(config, field + name)
    raise ValueError(
      f"{field}{name}={limit}: rule.name='optimistic' moves further than an "
      'update, and so out of its bounds; any other rule stays in them'
    )
  return bounds


def make_latent_step(config: configs.Config) -> latent_steps.Options | None:
  """How latents move before they are judged; None where they stay."""
  if not values.largest(config, 'latent_step.rate'):
    return None
  bound = names.LATENT_BOUNDS.get(config.gen.latent)
  return latent_steps.Options(config.latent_step.natural, bound)


def make_lengths(config: configs.Config) -> tuple[float, ...]:
  """Those of the averages that are kept beside that of `ema.half_life`.

  Raises:
    ValueError: they are no lengths, or the one that is evaluated is not there.
  """
  lengths, asked = values.ema_lengths(config), config.eval.ema_length
  if asked is not None and asked not in lengths:
    raise ValueError(
      f'eval.ema_length={asked:g}: must be one of '
      f'ema.posthoc={config.ema.posthoc!r}'
    )
  return lengths
