"""A game from its configuration.

Names of the game become functions here, and in `choices.py`, `players.py`,
`additions.py` and `latents.py` beside it.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from gan_jax import types
from gan_jax.config import fields as configs, values
from gan_jax.data import opening, source as sources
from gan_jax.engine import additions, choices, latents, names, players
from gan_jax.game import (
  langevin,
  posthoc,
  sampling,
  schedules,
  spec as specs,
  state as states,
)
from gan_jax.study import population


def make_hyper(config: configs.Config) -> types.Hyper:
  """Every number that reaches the step as an array, by its dotted name."""
  return {
    name: jnp.asarray(value, jnp.float32)
    for name, value in values.swept(config).items()
  }


def make_schedule(
  config: configs.Config,
) -> Callable[[types.Hyper, jax.Array], types.Hyper]:
  """`schedule(hyper, step) -> hyper`, of every number that moves."""
  per_step = values.batch_samples(config)

  def schedule(hyper: types.Hyper, step: jax.Array) -> types.Hyper:
    now = dict(hyper)
    for name, moving in config.schedules.items():
      base, final = hyper[name], hyper[f'schedules.{name}.final']
      # In float32, for so many samples are more than an int32 can count.
      count = step * jnp.float32(per_step if moving.unit == 'samples' else 1)
      begin, end = float(moving.begin), float(moving.end)
      if moving.kind == 'exponential':
        rate = hyper[f'schedules.{name}.rate']
        since = jnp.maximum(count - begin, 0)
        value = schedules.exponential(base, final, rate, since)
      elif moving.kind == 'inverse_sqrt':
        value = schedules.inverse_sqrt(base, final, count, begin=begin)
      else:
        shape = names.SCHEDULES[moving.kind]
        value = schedules.ramp(shape, base, final, count, begin=begin, end=end)
      if moving.kind == 'cosine_inverse_sqrt':
        value = schedules.falling(value, count, begin=end)
      if moving.ramp:
        value *= jnp.minimum(count / moving.ramp, 1)
      now[name] = value
    return now

  return schedule


def complete(config: configs.Config) -> configs.Config:
  """The same configuration, with all settings of both networks in it.

  Raises:
    ValueError: as `players.make_settings`.
  """
  return dataclasses.replace(
    config,
    gen=dataclasses.replace(
      config.gen, net=players.make_settings(config, 'gen')
    ),
    disc=dataclasses.replace(
      config.disc, net=players.make_settings(config, 'disc')
    ),
  )


def count_classes(config: configs.Config, info: sources.Info) -> int:
  """Classes that G is told of, and D but of codes; 0 in a game without.

  Raises:
    ValueError: they are to be told, and the data have none, or samples are
      packed, of which one D's judgement has several.
  """
  if not values.asks_for_classes(config):
    return 0
  if config.conditional and not info.class_shares:
    raise ValueError(
      f'conditional=True: data.name={config.data.name!r} has no labels'
    )
  if config.packing > 1:
    kind = 'game of codes' if config.gen.codes else 'conditional game'
    raise ValueError(
      f'packing={config.packing}: samples of a {kind} are not packed; set '
      'packing=1'
    )
  return len(info.class_shares)


def make_sampler(
  config: configs.Config,
  spec: specs.Spec,
  num: int,
  labels: np.ndarray | None = None,
) -> sampling.Sampler:
  """Of the generator that `config.eval` names, truncated or driven as it says.

  Args:
    config: of the game.
    spec: of the game.
    num: samples of each state.
    labels: `[num]`, the classes to ask for; None asks as often as the data
      have them, in a game of classes.

  Raises:
    ValueError: its generator has nothing to truncate, or D cannot drive it.
  """
  check_truncation(config, spec)
  return sampling.Sampler(
    spec,
    num,
    ema=values.uses_ema(config),
    truncation=config.eval.truncation,
    labels=labels,
    drive=make_langevin(config, spec),
  )


def make_langevin(
  config: configs.Config, spec: specs.Spec
) -> langevin.Settings | None:
  """How D moves latents before samples are made; None where it does not.

  Raises:
    ValueError: D does not judge, or G make, one sample by itself; or latents
      are truncated, too.
  """
  settings = config.eval
  if not settings.langevin_steps:
    return None
  asked = f'eval.langevin_steps={settings.langevin_steps}'
  group = getattr(players.make_settings(config, 'disc'), 'mbstd_group', 0)
  if settings.truncation is not None:
    raise ValueError(
      f'{asked}: moves latents by their own law, and eval.truncation='
      f'{settings.truncation} has another; set one of them'
    )
  if spec.own_statistics:
    raise ValueError(
      f'{asked}: with eval.batch_stats=True a sample depends on others; here '
      'each is moved alone'
    )
  if spec.packing > 1 or group > 1:
    field, several = 'packing', spec.packing
    if group > 1:
      field, several = 'disc.net.mbstd_group', group
    raise ValueError(
      f'{asked}: with {field}={several} D judges {several} samples together; '
      'here each is moved alone'
    )
  return langevin.Settings(
    steps=settings.langevin_steps,
    rate=settings.langevin_rate,
    noise=settings.langevin_noise,
    decay=settings.langevin_decay,
    decay_steps=settings.langevin_decay_steps,
    bound=names.LATENT_BOUNDS.get(config.gen.latent),
  )


def langevin_warnings(config: configs.Config, spec: specs.Spec) -> list[str]:
  """A line where samples that D drives need not follow the data's law."""
  if not config.eval.langevin_steps or spec.loss.log_ratio:
    return []
  smooth = values.largest_weight(config, 'label_smoothing')
  cause = 'penalties.label_smoothing' if smooth else f'loss={config.loss!r}'
  return [
    f'eval.langevin_steps={config.eval.langevin_steps}: with {cause} the best '
    "D is not log p_data / p_g, so samples follow p_g e^D, not the data's law"
  ]


def check_truncation(config: configs.Config, spec: specs.Spec) -> None:
  """Raises ValueError where `eval.truncation` has nothing to truncate."""
  asked, kind = config.eval.truncation, spec.gen.truncation
  if asked is None:
    return
  if not kind:
    raise ValueError(
      f'eval.truncation={asked}: gen.name={config.gen.name!r} has no truncation'
    )
  if kind == 'latent' and config.gen.latent != 'normal':
    raise ValueError(
      f"eval.truncation={asked}: needs gen.latent='normal', not "
      f'{config.gen.latent!r}'
    )
  if kind == 'latent' and not asked:
    raise ValueError(
      f'eval.truncation={asked}: no |z| is below it; must be above 0'
    )


def check_alone(spec: specs.Spec) -> None:
  """Raises ValueError where G normalises a sample by its batch."""
  if spec.own_statistics:
    raise ValueError(
      'eval.batch_stats=True: samples of this run are normalised by the batch '
      'that they are in, and here each is made alone'
    )


def _make_units(
  info: sources.Info,
) -> tuple[Callable[[jax.Array], jax.Array], Callable[[jax.Array], jax.Array]]:
  """From the networks' units to those of the data, and the reverse.

  Images are clipped to [-1, 1], for not every generator ends in a tanh.
  """
  # Along the last axis of a batch.
  units = (1,) * len(info.shape) + (-1,)
  mean = np.array(info.mean or (0.0,), np.float32).reshape(units)
  std = np.array(info.std or (1.0,), np.float32).reshape(units)

  def to_data(x: jax.Array) -> jax.Array:
    x = x * std + mean
    return jnp.clip(x, -1.0, 1.0) if info.kind == 'images' else x

  return to_data, lambda x: (x - mean) / std


def make_spec(
  config: configs.Config,
  info: sources.Info,
  *,
  mesh: Mesh | None = None,
  marginals: np.ndarray | None = None,
) -> specs.Spec:
  """The game that a configuration describes, for data such as `info` tells.

  Args:
    config: validated.
    info: of the data; the data themselves are not needed.
    mesh: splits the batch over its devices.
    marginals: the data's mean of each pixel, for a generator that starts
      from it.

  Raises:
    ValueError: a name is unknown, a network lacks a field that is set, or it
      cannot make samples of this shape or take labels, or the data have none,
      or the rule allows D but one step, or nothing can be truncated or driven
      by D as asked.
  """
  choices.check(config)
  rule = choices.make_rule(config)
  to_data, from_data = _make_units(info)
  latent, eval_latent = latents.make_latents(config, info, mesh)
  adaptive = additions.make_adaptive(config)
  of_players = additions.make_terms(config, adaptive)
  chosen = players.make(
    config,
    info,
    count_classes(config, info),
    marginals,
    through_optimiser=rule.through_optimiser,
  )
  spec = specs.Spec(
    gen=chosen.networks.gen,
    disc=chosen.networks.disc,
    loss=additions.make_loss(config),
    optimisers=chosen.optimisers,
    latent=latent,
    eval_latent=eval_latent,
    tells_disc=not config.gen.codes,
    paired_labels=config.conditional
    and names.LABEL_LAWS[config.gen.labels] is None,
    loop_disc=config.disc_steps > 1 and chosen.large_disc,
    frozen=chosen.frozen,
    schedule=make_schedule(config),
    terms=of_players,
    batch_samples=values.batch_samples(config),
    disc_steps=config.disc_steps,
    gen_steps=config.gen_steps,
    shared_keys=names.LATENT_SHARING[config.latents],
    packing=config.packing,
    microbatches=config.microbatches,
    gen_batches=config.gen_batches,
    own_statistics=config.eval.batch_stats,
    skip_nonfinite=config.nonfinite == 'skip',
    to_data=to_data,
    from_data=from_data,
    rule=rule,
    look=additions.make_looks(chosen.networks.disc, of_players.disc),
    augment=additions.make_augment(config, info),
    blur_taps=additions.make_blur(config, info),
    pseudo=config.augment.pseudo,
    adaptive=adaptive,
    latent_step=choices.make_latent_step(config),
    top_k=min(values.swept_values(config, 'gen_top_k')) < 1,
    weighted={*values.swept_values(config, 'gen_loss_weight')} != {1.0},
    posthoc=choices.make_lengths(config),
    ema_length=config.eval.ema_length,
  )
  if spec.own_statistics and 'batch_stats' not in chosen.collections:
    raise ValueError(
      f'eval.batch_stats=True: gen.name={config.gen.name!r} has no batch '
      'normalisation as it is set'
    )
  check_truncation(config, spec)
  make_langevin(config, spec)
  return spec


def init_state(
  spec: specs.Spec, hyper: types.Hyper, key: jax.Array
) -> states.GanState:
  """The state before the first step."""
  memory = {
    name: term.init()
    for of_player in spec.terms
    for name, term in of_player.items()
  }
  if spec.skip_nonfinite:
    memory['skipped'] = {name: jnp.int32(0) for name in ('disc', 'gen')}
  state = states.init_state(
    key,
    hyper,
    networks=types.Pair(spec.gen, spec.disc),
    optimisers=spec.optimisers,
    memory=memory,
  )
  if spec.posthoc:
    memory[posthoc.MEMORY] = posthoc.init(spec.posthoc, state.gen.params)
  memory.update(rule_memory(spec, state))
  return state


def rule_memory(spec: specs.Spec, state: states.GanState) -> states.Memory:
  """What the rule of play remembers when it begins at a state's parameters."""
  memory = spec.rule.memory(types.Pair(state.gen.params, state.disc.params))
  return {'rule': memory} if jax.tree.leaves(memory) else {}


def step_shape(config: configs.Config) -> tuple[int, int]:
  """Rounds of real samples that a training step uses, and samples of each."""
  loss = values.choose('loss', config.loss, names.LOSSES)
  rounds = config.disc_steps
  if loss.gen_sees_real and config.latents == 'fresh':
    rounds += config.gen_steps
  return rounds, values.batch_samples(config)


def samples_per_step(config: configs.Config) -> int:
  """Real samples that one training step uses."""
  return math.prod(step_shape(config))


def make_source(
  config: configs.Config,
  key: jax.Array,
  accept: Callable[[sources.Info], None] = lambda info: None,
) -> sources.Source:
  """Opens the data: a density by name, or images.

  Args:
    config: validated.
    key: the data's key.
    accept: as in `opening.open_source`.

  Raises:
    ValueError: the name is unknown, or the data cannot be read.
  """
  source = opening.open_source(
    config.data,
    key,
    step_shape(config),
    shared=population.is_population(config),
    accept=accept,
  )
  return as_played(config, source)


def as_played(config: configs.Config, source: sources.Source) -> sources.Source:
  """With the labels that a game has of the data: its own, none, or codes.

  Raises:
    ValueError: it is to have both.
  """
  if config.gen.codes and config.conditional:
    raise ValueError(
      f'gen.codes={config.gen.codes}: with conditional=True the classes are '
      "the data's; set one of them"
    )
  if config.gen.codes:
    return sources.coded(source, config.gen.codes)
  return source if config.conditional else sources.unlabelled(source)
