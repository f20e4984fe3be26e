"""Parts of a network that stay as they are."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.config import fields as configs
from gan_jax.engine import names, program
from gan_jax.game import frozen, state as states
from gan_jax.networks import mlp

GEN, DISC = 'Dense_1', 'Dense_0/kernel,Dense_1/bias'
# Of networks of two layers.
LEAVES = {f'Dense_{i}/{leaf}' for i in (0, 1) for leaf in ('kernel', 'bias')}


def make_config(**disc: Any) -> configs.Config:
  config = configs.Config(steps=2, batch_size=8, log_every=1)
  config.gen.net, config.disc.net = (
    mlp.GenSettings(4, 1),
    mlp.DiscSettings(4, 1),
  )
  for name, value in disc.items():
    setattr(config.optim.disc, name, value)
  return config


def play(
  config: configs.Config, steps: int
) -> tuple[states.GanState, states.GanState, dict[str, np.ndarray]]:
  """The state before and after so many steps, and the logs."""
  game = program.open_game(config)
  before = jax.device_get(game.start())
  chunk = program.make_chunk(game, steps)
  after, logs, _ = chunk(game.start(), game.hyper, {}, game.keys)
  return before, jax.device_get(after), logs


def moved(before: states.NetState, after: states.NetState) -> set[str]:
  """Names of parameters of which a bit has changed."""
  old, new = states.named(before.params), states.named(after.params)
  assert old.keys() == LEAVES
  return {name for name in old if (old[name] != new[name]).any()}


@pytest.mark.parametrize('rule', names.RULES)
def test_no_bit_of_them_moves_by_any_rule(rule: str):
  config = make_config(frozen=DISC)
  config.optim.gen.frozen = GEN
  config.rule.name, config.rule.lookahead_steps = rule, 1
  before, after, _ = play(config, 2)
  assert moved(before.gen, after.gen) == {'Dense_0/kernel', 'Dense_0/bias'}
  assert moved(before.disc, after.disc) == {'Dense_0/bias', 'Dense_1/kernel'}


@pytest.mark.parametrize('optimiser', names.OPTIMISERS)
@pytest.mark.parametrize('bound', ['clip', 'max_column_norm'])
def test_nothing_bounds_them(optimiser: str, bound: str):
  config = make_config(frozen=DISC, name=optimiser, **{bound: 0.01})
  before, after, _ = play(config, 1)
  assert moved(before.disc, after.disc) == {'Dense_0/bias', 'Dense_1/kernel'}
  assert np.abs(after.disc.params['Dense_0']['kernel']).max() > 0.01
  assert np.linalg.norm(after.disc.params['Dense_1']['kernel']) <= 0.01 * 2.001


def test_a_run_goes_on_when_a_part_is_frozen():
  """What its optimiser remembers has the same form."""
  free, held = (
    program.open_game(make_config(frozen=text)).abstract_state()
    for text in ('', DISC)
  )
  assert jax.tree.structure(free) == jax.tree.structure(held)


def test_the_gradient_is_that_of_the_others():
  """By a step of SGD with a rate of 1, which is the gradient."""
  plain = {'name': 'sgd', 'learning_rate': 1.0, 'b1': 0.0}
  before, after, _ = play(make_config(**plain), 1)
  _, held, logs = play(make_config(**plain, frozen=DISC), 1)
  grads = jax.tree.map(np.subtract, before.disc.params, after.disc.params)
  grads = states.named(grads)
  kept = DISC.split(',')
  assert all(np.abs(grads[name]).max() > 1e-3 for name in kept)
  norm = optax.tree.norm([x for name, x in grads.items() if name not in kept])
  np.testing.assert_allclose(logs['disc/grad_norm'], norm, rtol=1e-5)
  ours = states.named(held.disc.params)
  for name, leaf in states.named(after.disc.params).items():
    if name not in kept:
      np.testing.assert_allclose(ours[name], leaf, rtol=1e-5, atol=1e-7)


def test_what_their_gradient_needs_is_not_computed():
  """Products of the backward pass: of the first layer there is one alone."""
  params = {
    f'Dense_{i}': {'kernel': jnp.ones((n, m))}
    for i, (n, m) in enumerate(((3, 4), (4, 2)))
  }

  def loss(params: Any, still: frozenset[str]) -> jax.Array:
    params = frozen.hold(params, still)
    h = jnp.ones((5, 3))
    for layer in params.values():
      h = jnp.square(h @ layer['kernel'])
    return h.sum()

  def products(still: frozenset[str]) -> int:
    program = jax.make_jaxpr(jax.grad(loss), static_argnums=1)(params, still)
    return str(program).count('dot_general[')

  assert products(frozenset()) == 2 + 3
  assert products(frozenset({'Dense_0/kernel'})) == 2 + 1
  assert products(frozenset({'Dense_1/kernel'})) == 2 + 2


def test_parts_by_their_names():
  params = {'b4': {'fc': {'kernel': 1, 'bias': 2}, 'f': 3}, 'b40': {'x': 4}}
  assert frozen.choose(params, []) == frozenset()
  assert frozen.choose(params, ['b4/fc']) == {'b4/fc/kernel', 'b4/fc/bias'}
  assert frozen.choose(params, ['b4']) == {
    'b4/fc/kernel', 'b4/fc/bias', 'b4/f'
  }  # fmt: skip
  with pytest.raises(ValueError, match=r"^'b' is no part .* has b4, b40$"):
    frozen.choose(params, ['b4', 'b'])


def test_a_part_that_is_not_there_is_refused():
  for text in ('Dense_7', 'Dense_0,,Dense_1'):
    with pytest.raises(ValueError, match=f"^optim.disc.frozen='{text}': '"):
      program.open_game(make_config(frozen=text))
