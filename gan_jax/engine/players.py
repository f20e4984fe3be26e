"""Both networks of a game, with their optimisers, by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import types
from gan_jax.config import checks, fields as configs, values
from gan_jax.data import source as sources
from gan_jax.engine import additions, choices, heads, kept, names
from gan_jax.game import frozen, projection, state as states
from gan_jax.networks import adapter

# What is added within the root that Adam or RMSProp divides by, where a rule
# differentiates through it: its derivative is infinite for a parameter without
# a gradient, such as those of a rectifier that is off.
_ROOT = 1e-16


# Parameters of a D above which its updates are a loop: to compile each takes
# minutes, and what a loop costs is small beside an update.
_LARGE = 100_000


class Players(NamedTuple):
  """What a game is played with.

  Attributes:
    networks: functions of latents and of packed samples.
    optimisers: from the hyperparameters to each player's optimiser.
    frozen: names of each player's parameters that stay as they are.
    collections: of the generator's `vars`.
    large_disc: whether to compile each of D's updates by itself takes long.
  """

  networks: types.Pair
  optimisers: types.Pair
  frozen: types.Pair
  collections: frozenset[str]
  large_disc: bool


def make(
  config: configs.Config,
  info: sources.Info,
  classes: int,
  marginals: np.ndarray | None,
  *,
  through_optimiser: bool,
) -> Players:
  """Both players of a configuration.

  Args:
    config: validated.
    info: of the data.
    classes: that both are told of; 0 in a game without.
    marginals: the data's mean of each pixel, for a generator that starts from
      it.
    through_optimiser: whether the rule of play differentiates through D's.

  Raises:
    ValueError: a name is unknown, a network lacks a field or a part that is
      set, or cannot make samples of this shape, take labels, or have what the
      losses need of it.
  """
  dtype = names.PRECISIONS[config.precision]
  gen = _make_module(
    config,
    'gen',
    shape=info.shape,
    classes=classes,
    marginals=marginals,
    dtype=dtype,
  )
  disc = _make_module(config, 'disc', classes=classes, dtype=dtype)
  additions.check_penalties(config, gen, disc, info)
  heads.check_teachers(config, disc)
  heads.check_conditioning(config, disc, classes)
  heads.check_tasks(config, disc, info)
  additions.check_groups(config, gen, disc)
  networks = _make_networks(config, types.Pair(gen, disc), info, classes)
  facts = {'game': values.to_dict(config), 'data': [info, marginals]}
  gen_params, gen_vars = _first_shapes(networks.gen, 'gen', facts)
  disc_params, _ = _first_shapes(networks.disc, 'disc', facts)
  still = _choose_frozen(config, types.Pair(gen_params, disc_params))
  root = _ROOT if through_optimiser else 0.0
  size = sum(leaf.size for leaf in jax.tree.leaves(disc_params))
  return Players(
    networks,
    types.Pair(
      _make_optimiser(config, 'gen', networks.gen, still.gen),
      _make_optimiser(config, 'disc', networks.disc, still.disc, root),
    ),
    still,
    frozenset(gen_vars),
    size > _LARGE,
  )


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
  expected: type = getattr(network, kind)
  field, settings = f'{player}.net', chosen.net
  if settings is None or isinstance(settings, Mapping):
    known = [f.name for f in dataclasses.fields(expected)]
    for name in settings or {}:
      if name not in known:
        raise ValueError(
          f'{field}.{name}: the network {chosen.name!r} has no such field'
          f'{values.near(name, known)}; it has {", ".join(known)}'
        )
    settings = values.from_dict(settings or {}, expected, f'{field}.')
  elif type(settings) is not expected:
    there = type(settings)
    raise ValueError(
      f'{field}: holds {there.__module__.rpartition(".")[2]}.'
      f'{there.__name__}, and {player}.name={chosen.name!r} takes '
      f'{chosen.name}.{kind}'
    )
  checks.fields(settings, f'{field}.')
  return settings


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
    asked = (
      f'gen.codes={config.gen.codes}'
      if config.gen.codes
      else ('conditional=True')
    )
    raise ValueError(
      f'{asked}: {player}.name={getattr(config, player).name!r} takes no '
      f'labels; {", ".join(able)} do'
    )
  return module(
    settings=settings, **{k: v for k, v in given.items() if k in taken}
  )


def _make_networks(
  config: configs.Config, modules: types.Pair, info: sources.Info, classes: int
) -> types.Pair:
  """Both players' modules as functions of latents and of packed samples."""
  packed = (*info.shape[:-1], config.packing * info.shape[-1])
  z: Any = jax.ShapeDtypeStruct((1, config.gen.latent_dim), jnp.float32)
  x: Any = jax.ShapeDtypeStruct((1, *packed), jnp.float32)
  label: Any = jax.ShapeDtypeStruct((1,), jnp.int32) if classes else None
  return types.Pair(
    *(
      adapter.as_network(module, example, config.matmul_precision)
      for module, example in zip(
        modules, (types.Latent(z, label), types.Batch(x, label)), strict=True
      )
    )
  )


def _first_shapes(
  network: types.Network, player: str, facts: Mapping[str, Any]
) -> types.PyTree:
  """Shapes of its parameters and variables; nothing is compiled.

  Args:
    network: of the player.
    player: 'gen' or 'disc'.
    facts: all that it depends on; tracing a large network takes a second.

  Raises:
    ValueError: it refuses what it is to make, or how it is set. Networks do so
      when traced, and know not which player's they are.
  """
  try:
    return kept.value(
      {**facts, 'shapes': player},
      lambda: jax.eval_shape(network.init, jax.random.key(0)),
    )
  except ValueError as error:
    if not str(error).startswith('net.'):
      raise
    raise ValueError(f'{player}.{error}') from None


def _choose_frozen(config: configs.Config, params: types.Pair) -> types.Pair:
  """Names of both players' parameters that stay as they are.

  Args:
    config: of the game.
    params: of both players, or their shapes.

  Raises:
    ValueError: a network has no such part.
  """

  def of(player: str) -> frozenset[str]:
    text = getattr(config.optim, player).frozen
    parts = [part.strip('/ ') for part in text.split(',')] if text else []
    try:
      return frozen.choose(getattr(params, player), parts)
    except ValueError as error:
      raise ValueError(f'optim.{player}.frozen={text!r}: {error}') from None

  return types.Pair(of('gen'), of('disc'))


def _make_optimiser(
  config: configs.Config,
  player: str,
  network: types.Network,
  still: frozenset[str],
  root: float = 0.0,
) -> states.OptimiserFn:
  settings: configs.Optimiser = getattr(config.optim, player)
  field = f'optim.{player}.'
  make = values.choose(field + 'name', settings.name, names.OPTIMISERS)
  bounds = choices.choose_bounds(config, player)
  if bounds and network.project is not None:
    name = next(iter(bounds))
    raise ValueError(
      f'{field}{name}: {player}.name={getattr(config, player).name!r} sets the '
      'norms of its weights itself after each update'
    )

  def optimiser(hyper: types.Hyper) -> optax.GradientTransformation:
    numbers = ('learning_rate', 'b1', 'b2', 'eps')
    transform = make(*(hyper[field + name] for name in numbers), root)
    for name, project in bounds.items():
      transform = project(transform, hyper[field + name])
    if network.project is not None:
      transform = optax.chain(transform, projection.onto(network.project))
    return frozen.keeping(transform, still)

  return optimiser
