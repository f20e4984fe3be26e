"""A game from its configuration; nowhere else does a name become a function."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from gan_jax import types
from gan_jax.config import checks, declare, fields as configs, values
from gan_jax.data import opening, source as sources
from gan_jax.engine import names, sharding
from gan_jax.game import (
  augment,
  looks,
  projection,
  rules,
  sampling,
  schedules,
  spec as specs,
  state as states,
  terms,
)
from gan_jax.networks import (
  adapter,
)
from gan_jax.ops import cpu
from gan_jax.study import population

# Adam's `eps_root` where a rule differentiates through it: the derivative of
# the root it divides by is infinite for a parameter without a gradient, such
# as those of a rectifier that is off.
_ROOT = 1e-16


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
    for name, own in config.schedules.items():
      base, final = hyper[name], hyper[f'schedules.{name}.final']
      # In float32, for so many samples are more than an int32 can count.
      count = step * jnp.float32(per_step if own.unit == 'samples' else 1)
      begin, end = float(own.begin), float(own.end)
      if own.kind == 'exponential':
        rate = hyper[f'schedules.{name}.rate']
        count = jnp.maximum(count - begin, 0)
        now[name] = schedules.exponential(base, final, rate, count)
      else:
        shape = names.SCHEDULES[own.kind]
        now[name] = schedules.ramp(
          shape, base, final, count, begin=begin, end=end
        )
    return now

  return schedule


def make_settings(config: configs.Config, player: str) -> Any:
  """A player's settings: of its network's own dataclass, and all of them.

  Args:
    config: whose `net` of the player is that dataclass, or plain values of some
      of its fields, or None.
    player: 'gen' or 'disc'.

  Raises:
    ValueError: there is no such network, or no such field of it, or a value is
      not what the field takes.
  """
  chosen: configs.Gen | configs.Disc = getattr(config, player)
  network = values.choose(f'{player}.name', chosen.name, names.NETWORKS)
  kind = {'gen': 'GenSettings', 'disc': 'DiscSettings'}[player]
  own: type = getattr(network, kind)
  field, found = f'{player}.net', chosen.net
  if found is None or isinstance(found, Mapping):
    known = [f.name for f in dataclasses.fields(own)]
    for name in found or {}:
      if name not in known:
        raise ValueError(
          f'{field}.{name}: the network {chosen.name!r} has no such field'
          f'{values.near(name, known)}; it has {", ".join(known)}'
        )
    found = values.from_dict(found or {}, own, f'{field}.')
  elif type(found) is not own:
    there = type(found)
    raise ValueError(
      f'{field}: holds {there.__module__.rpartition(".")[2]}.'
      f'{there.__name__}, and {player}.name={chosen.name!r} takes '
      f'{chosen.name}.{kind}'
    )
  checks.fields(found, f'{field}.')
  return found


def complete(config: configs.Config) -> configs.Config:
  """The same configuration, with all settings of both networks in it.

  Raises:
    ValueError: as `make_settings`.
  """
  return dataclasses.replace(
    config,
    gen=dataclasses.replace(config.gen, net=make_settings(config, 'gen')),
    disc=dataclasses.replace(config.disc, net=make_settings(config, 'disc')),
  )


def _make_module(
  config: configs.Config, player: str, **given: Any
) -> nn.Module:
  """The network of a player, with as much as it takes of `given`."""
  settings = make_settings(config, player)
  kind = {'gen': 'Generator', 'disc': 'Discriminator'}[player]
  network = names.NETWORKS[getattr(config, player).name]
  module: type[nn.Module] = getattr(network, kind)
  taken = {f.name for f in dataclasses.fields(module)}
  if given['classes'] and 'classes' not in taken:
    able = [
      name
      for name, other in names.NETWORKS.items()
      if 'classes' in {f.name for f in dataclasses.fields(getattr(other, kind))}
    ]
    raise ValueError(
      f'conditional=True: {player}.name={getattr(config, player).name!r} takes '
      f'no labels; {", ".join(able)} do'
    )
  return module(
    settings=settings, **{k: v for k, v in given.items() if k in taken}
  )


def _make_rule(config: configs.Config) -> rules.Rule:
  """How the players move; raises ValueError where D is to move more often."""
  make = values.choose('rule.name', config.rule.name, names.RULES)
  rule = make(config.rule)
  if config.disc_steps > 1 and not rule.takes_turns:
    raise ValueError(
      f'disc_steps={config.disc_steps}: rule.name={config.rule.name!r} moves '
      'both players at once; set disc_steps=1'
    )
  return rule


def _make_optimiser(
  config: configs.Config, player: str, root: float = 0.0
) -> states.OptimiserFn:
  settings: configs.Optimiser = getattr(config.optim, player)
  field = f'optim.{player}.'
  make = values.choose(field + 'name', settings.name, names.OPTIMISERS)
  clip = max(values.swept_values(config, f'{field}clip'))
  clips = clip > 0
  if clips and config.rule.name == 'optimistic':
    raise ValueError(
      f"{field}clip={clip}: rule.name='optimistic' moves further than an "
      'update, and so out of its bounds; any other rule can clip'
    )

  def optimiser(hyper: types.Hyper) -> optax.GradientTransformation:
    numbers = ('learning_rate', 'b1', 'b2', 'eps')
    made = make(*(hyper[field + name] for name in numbers), root)
    return projection.into_box(made, hyper[f'{field}clip']) if clips else made

  return optimiser


def _make_terms(
  config: configs.Config, adaptive: augment.Adaptive | None
) -> types.Pair:
  """Of each player, those whose weight is not 0 throughout.

  Fields of a term's group that are not swept, but for `every`, reach its
  `value` by their names. Adaptation of augmentations is a term of D's.
  """

  def made(name: str, term: terms.Term) -> terms.Term:
    own = getattr(config.penalties, name)
    fixed = {
      f.name: getattr(own, f.name)
      for f in dataclasses.fields(own)
      if not declare.facts(f).swept and f.name != 'every'
    }
    if fixed and term.value is not None:
      term = term._replace(value=functools.partial(term.value, **fixed))
    return term._replace(every=own.every)

  def chosen(known: Mapping[str, terms.Term]) -> dict[str, terms.Term]:
    return {
      name: made(name, term)
      for name, term in known.items()
      if max(values.swept_values(config, f'penalties.{name}.weight'))
    }

  disc = chosen(names.TERMS.disc)
  if adaptive is not None:
    disc['augment'] = _adapting(adaptive, values.batch_samples(config))
  return types.Pair(chosen(names.TERMS.gen), disc)


def _make_augment(
  config: configs.Config, info: sources.Info
) -> augment.Policy | None:
  """What is done to all that D sees, or None.

  Raises:
    ValueError: there is no such policy, or the data are no images of one
      channel or three; or as `_check_strength`.
  """
  name = config.augment.policy
  if ',' in name:
    parts = [
      values.choose('augment.policy', part.strip(), names.DIFFAUGMENT)
      for part in name.split(',')
    ]
    policy: augment.Policy | None = augment.in_turn(parts)
  else:
    policy = values.choose('augment.policy', name, names.POLICIES)
  suits = info.kind == 'images' and info.shape[-1] in (1, 3)
  if policy is not None and not suits:
    raise ValueError(
      f'augment.policy={name!r}: is of grey images and of colour images, and '
      f'data.name={config.data.name!r} has samples of shape {info.shape}'
    )
  _check_strength(config)
  return policy


def _check_strength(config: configs.Config) -> None:
  """Raises ValueError where p adapts in vain, or nothing is augmented."""
  own = config.augment
  if not own.policy and not own.pseudo:
    if own.adapt:
      raise ValueError(
        f'augment.adapt={own.adapt!r}: nothing is augmented; set '
        'augment.policy or augment.pseudo'
      )
    return
  if not own.adapt and not max(values.swept_values(config, 'augment.p')):
    field = f'policy={own.policy!r}' if own.policy else 'pseudo=True'
    raise ValueError(
      f'augment.{field}: is never applied with augment.p=0; set augment.p (1 '
      'is all samples), a schedule of it, or augment.adapt'
    )
  if own.adapt == 'sign' and not names.LOSSES[config.loss].signed:
    signed = [name for name, loss in names.LOSSES.items() if loss.signed]
    raise ValueError(
      f"augment.adapt='sign': in loss={config.loss!r} the sign of D's logits "
      f'does not tell real from fake; it does in {", ".join(signed)}'
    )


def _make_adaptive(config: configs.Config) -> augment.Adaptive | None:
  """How the strength adapts, or None where it does not."""
  if not config.augment.adapt:
    return None
  overfit = values.choose('augment.adapt', config.augment.adapt, names.OVERFIT)
  return augment.Adaptive(overfit, config.augment.interval)


def _adapting(adaptive: augment.Adaptive, batch_size: int) -> terms.Term:
  """The term of D's that remembers how strong augmentations are."""
  return terms.Term(
    value=None,
    init=augment.not_adapted,
    follow=lambda memory, u: augment.adapt(
      adaptive, memory, u.real.logits, batch_size, u.hyper
    ),
  )


def _make_looks(
  disc: types.Network, of_disc: Mapping[str, terms.Term]
) -> specs.Looks:
  """By Euler's form where a homogeneous D's input gradients are all taken."""
  always = {term.input_grads_of for term in of_disc.values() if term.every == 1}

  def look(which: str) -> looks.Look:
    suits = disc.homogeneous and which in always and not cpu.is_stock()
    return looks.by_euler if suits else looks.plain

  return specs.Looks(real=look('real'), fake=look('fake'))


def _check_penalties(
  config: configs.Config,
  gen: nn.Module,
  disc: nn.Module,
  info: sources.Info,
) -> None:
  """Raises ValueError for a penalty that a network or data make senseless."""
  for name in ('cr', 'cr_fake'):
    weight = max(values.swept_values(config, f'penalties.{name}.weight'))
    if weight and info.kind != 'images':
      raise ValueError(
        f'penalties.{name}.weight={weight}: is of images, and '
        f'data.name={config.data.name!r} has samples of shape {info.shape}'
      )
  weight = max(values.swept_values(config, 'penalties.path_length.weight'))
  if weight and 'map' not in getattr(gen, 'entrances', ()):
    raise ValueError(
      f'penalties.path_length.weight={weight}: gen.name={config.gen.name!r} '
      "has no intermediate latents; 'stylegan2' does"
    )
  weight = max(values.swept_values(config, 'penalties.wgan_gp.weight'))
  if weight and getattr(disc.settings, 'batch_norm', False):
    raise ValueError(
      f'penalties.wgan_gp.weight={weight}: it is of single samples, which '
      'batch normalisation in D couples; set disc.net.batch_norm=False'
    )


def count_classes(config: configs.Config, info: sources.Info) -> int:
  """Classes that both players are told of; 0 in a game without.

  Raises:
    ValueError: they are to be told, and the data have none, or samples are
      packed, of which one D's judgement has several.
  """
  if not config.conditional:
    return 0
  if not info.class_shares:
    raise ValueError(
      f'conditional=True: data.name={config.data.name!r} has no labels'
    )
  if config.packing > 1:
    raise ValueError(
      f'packing={config.packing}: samples of a conditional game are not '
      'packed; set packing=1'
    )
  return len(info.class_shares)


def make_sampler(
  config: configs.Config,
  spec: specs.Spec,
  num: int,
  labels: np.ndarray | None = None,
) -> sampling.Sampler:
  """Of the generator that `config.eval` names, truncated as it says.

  Args:
    config: of the game.
    spec: of the game.
    num: samples of each state.
    labels: `[num]`, the classes to ask for; None asks as often as the data
      have them, in a game of classes.

  Raises:
    ValueError: its generator has nothing to truncate.
  """
  check_truncation(config, spec)
  return sampling.Sampler(
    spec,
    num,
    ema=values.uses_ema(config),
    truncation=config.eval.truncation,
    labels=labels,
  )


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
      f'eval.truncation={asked}: is of normal latents, and '
      f'gen.latent={config.gen.latent!r}'
    )


# Parameters of a D above which its updates are a loop: to compile each takes
# minutes, and what a loop costs is small beside an update.
_LARGE = 100_000


def _is_large(network: types.Network) -> bool:
  params, _ = jax.eval_shape(network.init, jax.random.key(0))
  return sum(leaf.size for leaf in jax.tree.leaves(params)) > _LARGE


def _check_conditioning(
  config: configs.Config, disc: nn.Module, classes: int
) -> None:
  """Raises ValueError where D's classifier is asked for and missing."""
  entrances = getattr(disc, 'entrances', ())
  for name in ('acgan', 'acgan_gen'):
    weight = max(values.swept_values(config, f'penalties.{name}.weight'))
    if weight and not (classes and 'classify' in entrances):
      raise ValueError(
        f'penalties.{name}.weight={weight}: D has no auxiliary classifier; set '
        "conditional=True and disc.net.conditioning='classifier'"
      )


def _make_latents(
  config: configs.Config, info: sources.Info, mesh: Mesh | None
) -> tuple[specs.Latents, specs.Latents]:
  """Of training, and of whoever looks at G."""
  law = values.choose('gen.labels', config.gen.labels, names.LABEL_LAWS)
  shares = np.array(info.class_shares if config.conditional else ())
  asked = law(shares) if law and config.conditional else shares
  return (
    _make_latent(config.gen, asked, mesh),
    _make_latent(config.gen, shares, mesh),
  )


def _make_latent(
  config: configs.Gen, shares: np.ndarray, mesh: Mesh | None
) -> specs.Latents:
  """`latent(key, n)`, split over the mesh where that divides n.

  Args:
    config: of the generator.
    shares: how often each class is asked for, `[K]`; `[0]` without classes.
    mesh: of the devices.
  """
  draw = values.choose('gen.latent', config.latent, names.LATENTS)

  def latent(key: jax.Array, n: int) -> types.Latent:
    made = types.Latent(draw(key, (n, config.latent_dim)))
    if shares.size:
      # A stream of its own, so that z is that of the game without classes.
      label_key = jax.random.fold_in(key, 1)
      made = made._replace(label=sampling.draw_labels(label_key, shares, n))
    if mesh is None or n % mesh.size:
      return made
    split: types.Latent = sharding.split_batch(made, mesh)
    return split

  return latent


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
      or the rule allows D but one step.
  """
  dtype = values.choose('precision', config.precision, names.PRECISIONS)
  loss = values.choose('loss', config.loss, names.LOSSES)
  packed = (*info.shape[:-1], config.packing * info.shape[-1])
  classes = count_classes(config, info)
  gen = _make_module(
    config,
    'gen',
    shape=info.shape,
    classes=classes,
    marginals=marginals,
    dtype=dtype,
  )
  disc = _make_module(config, 'disc', classes=classes, dtype=dtype)
  _check_penalties(config, gen, disc, info)
  _check_conditioning(config, disc, classes)
  rule = _make_rule(config)
  to_data, from_data = _make_units(info)
  latent, eval_latent = _make_latents(config, info, mesh)
  adaptive = _make_adaptive(config)
  of_players = _make_terms(config, adaptive)
  z: Any = jax.ShapeDtypeStruct((1, config.gen.latent_dim), jnp.float32)
  x: Any = jax.ShapeDtypeStruct((1, *packed), jnp.float32)
  label: Any = jax.ShapeDtypeStruct((1,), jnp.int32) if classes else None
  disc_network = adapter.as_network(disc, types.Batch(x, label))
  spec = specs.Spec(
    gen=adapter.as_network(gen, types.Latent(z, label)),
    disc=disc_network,
    loss=loss,
    optimisers=types.Pair(
      _make_optimiser(config, 'gen'),
      _make_optimiser(config, 'disc', _ROOT if rule.through_optimiser else 0.0),
    ),
    latent=latent,
    eval_latent=eval_latent,
    paired_labels=bool(classes) and names.LABEL_LAWS[config.gen.labels] is None,
    loop_disc=config.disc_steps > 1 and _is_large(disc_network),
    schedule=make_schedule(config),
    terms=of_players,
    batch_size=values.batch_samples(config),
    disc_steps=config.disc_steps,
    share_latents=values.choose(
      'latents', config.latents, names.LATENT_SHARING
    ),
    packing=config.packing,
    skip_nonfinite=config.nonfinite == 'skip',
    to_data=to_data,
    from_data=from_data,
    rule=rule,
    look=_make_looks(disc_network, of_players.disc),
    augment=_make_augment(config, info),
    pseudo=config.augment.pseudo,
    adaptive=adaptive,
    top_k=min(values.swept_values(config, 'gen_top_k')) < 1,
  )
  # Networks refuse shapes they cannot make when traced; nothing is compiled.
  jax.eval_shape(spec.gen.init, jax.random.key(0))
  jax.eval_shape(spec.disc.init, jax.random.key(0))
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
  rule = spec.rule.memory(types.Pair(state.gen.params, state.disc.params))
  if jax.tree.leaves(rule):
    memory['rule'] = rule
  return state


def samples_per_step(config: configs.Config) -> int:
  """Real samples that one training step uses."""
  loss = values.choose('loss', config.loss, names.LOSSES)
  own = loss.gen_sees_real and config.latents == 'fresh'
  return values.batch_samples(config) * (config.disc_steps + own)


def make_source(config: configs.Config, key: jax.Array) -> sources.Source:
  """Opens the data: a density by name, or images.

  Args:
    config: validated.
    key: the data's key.

  Raises:
    ValueError: the name is unknown, or the data cannot be read.
  """
  source = opening.open_source(
    config.data,
    key,
    samples_per_step(config),
    shared=population.is_population(config),
  )
  return source if config.conditional else sources.unlabelled(source)
