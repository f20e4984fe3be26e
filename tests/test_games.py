"""Every update rule against its formula: in numpy, and in the GAN's step."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from gan_jax import types
from gan_jax.config import checks, fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build, names, sharding
from gan_jax.game import (
  draws,
  dynamics,
  objectives,
  rules,
  spec as specs,
  state as states,
  steps,
)
from gan_jax.networks import maxout, mlp
from gan_jax.storage import checkpoint

LINE = sources.Info(kind='density', shape=(1,), mean=(4.0,), std=(0.5,))
RATE, R1, CONSENSUS, SGA, ALPHA, PERIOD, UNROLL = 0.3, 0.4, 0.6, 0.7, 0.4, 3, 3
GAME = configs.Rule(
  consensus_weight=CONSENSUS,
  sga_weight=SGA,
  sga_align=False,
  lookahead_alpha=ALPHA,
  lookahead_steps=PERIOD,
  unroll_steps=UNROLL,
)
HYPER = build.make_hyper(configs.Config(rule=GAME))
JOINT = [name for name, make in names.RULES.items()
         if not make(GAME).takes_turns]  # fmt: skip
# What test_steps.py does not play already.
NEW = [name for name in names.RULES if name != 'alternating']


def make_rule(name: str) -> rules.Rule:
  return names.RULES[name](GAME)


@dataclasses.dataclass
class Reference:
  """A game of two numbers in numpy.

  Attributes:
    losses: the same game for the rules.
    field: v(w), `[2] -> [2]`.
    jacobian: of v, `[2] -> [2, 2]`.
    cross: the derivative of L_G with respect to D's number.
  """

  losses: rules.Losses
  field: Callable[[np.ndarray], np.ndarray]
  jacobian: Callable[[np.ndarray], np.ndarray]
  cross: Callable[[np.ndarray], float]


# Neither zero-sum nor without a potential, so that J, J^T and A all differ.
A = np.array([[0.3, 1.2], [-0.8, 0.1]])
QUADRATIC = Reference(
  losses=rules.exact(
    gen=lambda x, y: 0.5 * A[0, 0] * x**2 + A[0, 1] * x * y,
    disc=lambda x, y: 0.5 * A[1, 1] * y**2 + A[1, 0] * x * y,
  ),
  field=lambda w: A @ w,
  jacobian=lambda w: A,
  cross=lambda w: A[0, 1] * w[0],
)


def slope(w: np.ndarray) -> float:
  """f'(psi theta) for f(t) = -log(1 + exp(-t))."""
  return 1 / (1 + np.exp(w[0] * w[1]))


def dirac_jacobian(w: np.ndarray) -> np.ndarray:
  theta, psi = w
  first = slope(w)
  second = -first * (1 - first)
  turn = first + second * psi * theta
  return np.array([[second * psi**2, turn], [-turn, R1 - second * theta**2]])


DIRAC = Reference(
  losses=dynamics.dirac_gan(R1),
  field=lambda w: slope(w) * np.array([w[1], -w[0]]) + [0, R1 * w[1]],
  jacobian=dirac_jacobian,
  cross=lambda w: slope(w) * w[0],
)


def iterates(name: str, game: Reference, begin: np.ndarray, n: int):
  """The first n iterates of a rule with SGD, `[n + 1, 2]`."""
  v, jacobian = game.field, game.jacobian
  gen, disc = np.array([1, 0]), np.array([0, 1])
  path = [begin]
  slow, before = begin, np.zeros(2)
  for t in range(n):
    w = path[-1]
    match name:
      case 'simultaneous':
        new = w - RATE * v(w)
      case 'alternating' | 'lookahead':
        half = w - RATE * disc * v(w)
        new = half - RATE * gen * v(half)
        if name == 'lookahead' and (t + 1) % PERIOD == 0:
          slow = new = slow + ALPHA * (new - slow)
      case 'extragradient':
        new = w - RATE * v(w - RATE * v(w))
      case 'optimistic':
        new, before = w - 2 * RATE * v(w) + RATE * before, v(w)
      case 'consensus':
        new = w - RATE * (v(w) + CONSENSUS * jacobian(w).T @ v(w))
      case 'sga':
        turn = (jacobian(w) - jacobian(w).T) / 2
        new = w - RATE * (v(w) + SGA * turn.T @ v(w))
      case 'unrolled':
        ahead, sensitivity = w.copy(), 0.0
        for _ in range(UNROLL):
          j = jacobian(ahead)
          sensitivity -= RATE * (j[1, 0] + j[1, 1] * sensitivity)
          ahead = ahead - RATE * disc * v(ahead)
        total = v(ahead)[0] + game.cross(ahead) * sensitivity
        new = w - RATE * np.array([total, v(w)[1]])
    path.append(new)
  return np.stack(path)


def played(
  rule: rules.Rule, losses: rules.Losses, begin: np.ndarray, n: int
) -> np.ndarray:
  """The same by the rule itself."""
  sgd = types.Pair(optax.sgd(RATE), optax.sgd(RATE))
  params = types.Pair(*jnp.asarray(begin, jnp.float32))
  return np.stack(dynamics.play(rule, losses, sgd, params, HYPER, n), axis=1)


@pytest.mark.parametrize('name', names.RULES)
@pytest.mark.parametrize('game', [QUADRATIC, DIRAC], ids=['quadratic', 'dirac'])
def test_iterates_are_those_of_the_formula(name: str, game: Reference):
  begin = np.array([1.0, 0.6])
  ours = played(make_rule(name), game.losses, begin, 10)
  np.testing.assert_allclose(
    ours, iterates(name, game, begin, 10), rtol=1e-4, atol=1e-5
  )


def test_aligned_adjustment_turns_from_unstable_points():
  """At a maximum of both players the adjustment changes its sign."""
  rule = functools.partial(rules.sga, weight=SGA, align=True)
  for sign in (1, -1):
    # v = s w + rotation: stable where s is positive.
    j = np.array([[2.0 * sign, 1.0], [-1.0, 2.0 * sign]])
    losses = rules.exact(
      gen=lambda x, y, j=j: 0.5 * j[0, 0] * x**2 + j[0, 1] * x * y,
      disc=lambda x, y, j=j: 0.5 * j[1, 1] * y**2 + j[1, 0] * x * y,
    )
    w = np.array([1.0, 0.5])
    turn = (j - j.T) / 2
    expected = w - RATE * (j @ w + sign * SGA * turn.T @ j @ w)
    ours = played(rules.Rule(rule), losses, w, 1)[-1]
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_simultaneous_steps_circle_outwards():
  """By sqrt(1 + eta^2) a step on xy."""
  path = played(
    make_rule('simultaneous'), dynamics.BILINEAR, np.array([1.0, 0.0]), 20
  )
  expected = (1 + RATE**2) ** (np.arange(21) / 2)
  np.testing.assert_allclose(np.hypot(*path.T), expected, rtol=1e-5)
  path = played(
    make_rule('simultaneous'), dynamics.dirac_gan(), np.array([1.0, 1.0]), 500
  )
  assert np.hypot(*path[-1]) > 2 * np.hypot(*path[0])


def test_alternating_steps_stay_on_an_ellipse():
  """x^2 + y^2 + eta xy is conserved on the bilinear game."""
  path = played(
    make_rule('alternating'), dynamics.BILINEAR, np.array([1.0, 0.0]), 1000
  )
  x, y = path.T
  np.testing.assert_allclose(x**2 + y**2 + RATE * x * y, 1.0, rtol=1e-3)


@pytest.mark.parametrize(
  'name', ['extragradient', 'optimistic', 'consensus', 'sga', 'lookahead',
           'unrolled'],
)  # fmt: skip
def test_the_other_rules_converge_on_the_bilinear_game(name: str):
  path = played(make_rule(name), dynamics.BILINEAR, np.array([1.0, 1.0]), 600)
  assert np.hypot(*path[-1]) < 1e-3


@pytest.mark.parametrize('name', names.RULES)
def test_r1_makes_the_dirac_gan_converge(name: str):
  """Mescheder et al. 2018, theorem 4.1, for steps as small as these."""
  path = played(
    make_rule(name), dynamics.dirac_gan(R1), np.array([1.0, 1.0]), 600
  )
  assert np.hypot(*path[-1]) < 1e-3


# Adam in numpy, with optax's conventions.
B1, B2, EPS, ROOT = 0.5, 0.9, 1e-8, 1e-16


def adam() -> optax.GradientTransformation:
  return optax.adam(RATE, b1=B1, b2=B2, eps=EPS, eps_root=ROOT)


def adam_update(
  g: np.ndarray, m: np.ndarray, v: np.ndarray, t: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Kingma & Ba 2015, algorithm 1: the update, and the moments after it."""
  m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g**2
  root = np.sqrt(v / (1 - B2**t) + ROOT) + EPS
  return -RATE * m / (1 - B1**t) / root, m, v


def test_extragradient_with_adam_is_extra_adam():
  """Gidel et al. 2019, algorithm 4: two updates of the moments a step."""
  w, m, v = np.array([1.0, 0.6]), np.zeros(2), np.zeros(2)
  for t in range(3):
    ahead, m, v = adam_update(DIRAC.field(w), m, v, 2 * t + 1)
    update, m, v = adam_update(DIRAC.field(w + ahead), m, v, 2 * t + 2)
    w = w + update
  ours = dynamics.play(
    make_rule('extragradient'), DIRAC.losses, types.Pair(adam(), adam()),
    types.Pair(jnp.float32(1.0), jnp.float32(0.6)), HYPER, 3,
  )  # fmt: skip
  np.testing.assert_allclose(np.stack(ours)[:, -1], w, rtol=1e-4)


def test_optimistic_with_adam_is_optimistic_adam():
  """Daskalakis et al. 2018, algorithm 1."""
  w, m, v = np.array([1.0, 0.6]), np.zeros(2), np.zeros(2)
  last = np.zeros(2)
  for t in range(3):
    update, m, v = adam_update(DIRAC.field(w), m, v, t + 1)
    w, last = w + 2 * update - last, update
  ours = dynamics.play(
    make_rule('optimistic'), DIRAC.losses, types.Pair(adam(), adam()),
    types.Pair(jnp.float32(1.0), jnp.float32(0.6)), HYPER, 3,
  )  # fmt: skip
  np.testing.assert_allclose(np.stack(ours)[:, -1], w, rtol=1e-4)


def test_unrolled_gradient_goes_through_adam():
  """Against central differences of the same loss in numpy, in float64."""

  def answered(theta: float) -> float:
    """L_G at D's answer after all updates."""
    psi, m, v = np.array(0.6), np.array(0.0), np.array(0.0)
    for t in range(UNROLL):
      g = DIRAC.field(np.array([theta, psi]))[1]
      update, m, v = adam_update(g, m, v, t + 1)
      psi = psi + update
    return float(-np.log1p(np.exp(-psi * theta)))

  h = 1e-5
  expected = (answered(1.0 + h) - answered(1.0 - h)) / (2 * h)
  optimisers = types.Pair(optax.sgd(RATE), adam())
  begin = rules.start(
    types.Pair(jnp.float32(1.0), jnp.float32(0.6)), optimisers
  )
  position, outcome = jax.jit(
    lambda begin: rules.unrolled(begin, DIRAC.losses, optimisers, steps=UNROLL)
  )(begin)
  assert outcome.grads.gen == pytest.approx(expected, rel=1e-3)
  # Far from what D's present answer would give.
  assert abs(DIRAC.field(np.array([1.0, 0.6]))[0] - expected) > 0.05
  # D itself moves once.
  update, *_ = adam_update(
    DIRAC.field(np.array([1.0, 0.6]))[1], np.array(0.0), np.array(0.0), 1
  )
  assert position.params.disc == pytest.approx(0.6 + update, rel=1e-5)
  assert position.opt_state.disc[0].count == 1


# The rules in the GAN's step.


def keyed_step(spec: specs.Spec) -> Any:
  """`step(state, hyper, batch, key)`, which draws by itself."""
  step = steps.make_step(spec)
  return lambda state, hyper, batch, key: step(
    state, hyper, batch, draws.draw_step(spec, key)
  )


def compiled(
  fn: Callable[..., Any], *args: Any, **options: bool | int
) -> Callable[..., Any]:
  """`fn` for arguments such as these; compiling is what takes time here."""
  options = {'xla_backend_optimization_level': 0} | options
  made: Callable[..., Any] = jax.jit(fn).lower(*args).compile(options)
  return made


def gan(name: str, config: configs.Config) -> configs.Config:
  config.rule = dataclasses.replace(GAME, name=name)
  return config


def start(
  config: configs.Config,
) -> tuple[specs.Spec, types.Hyper, states.GanState, types.Batch]:
  spec = build.make_spec(config, LINE)
  hyper = build.make_hyper(config)
  state = build.init_state(spec, hyper, jax.random.key(0))
  x = jax.random.normal(jax.random.key(1), (build.samples_per_step(config), 1))
  return spec, hyper, state, types.Batch(x.reshape(-1, spec.batch_samples, 1))


def close(a: types.PyTree, b: types.PyTree, tolerance: float = 1e-5) -> None:
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_allclose(x, y, rtol=10 * tolerance, atol=tolerance)


def identical(a: types.PyTree, b: types.PyTree) -> bool:
  leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  return all(bool((x == y).all()) for x, y in leaves)


class Written(NamedTuple):
  """Both losses as functions of both players' parameters alone."""

  gen: Callable[[Any, Any], jax.Array]
  disc: Callable[[Any, Any], jax.Array]


def handwritten(
  spec: specs.Spec, batch: types.Batch, key: jax.Array, r1: jax.Array
) -> Written:
  """The non-saturating game with R1, written out."""
  gen_keys, disc_keys = (draws.split_keys(k) for k in jax.random.split(key))
  if spec.shared_keys is not None:
    gen_keys = disc_keys

  def logits(disc: types.PyTree, x: jax.Array) -> jax.Array:
    return spec.disc.apply(disc, {}, types.Batch(x), key=key, mode=types.TRAIN)[
      0
    ]

  def fake(gen: types.PyTree, key: jax.Array) -> jax.Array:
    latent = spec.latent(key, 8)
    return spec.gen.apply(gen, {}, latent, key=key, mode=types.TRAIN)[0]

  def gen_loss(gen: types.PyTree, disc: types.PyTree) -> jax.Array:
    return -jax.nn.log_sigmoid(logits(disc, fake(gen, gen_keys.latents))).mean()

  def disc_loss(gen: types.PyTree, disc: types.PyTree) -> jax.Array:
    real = batch.x[0]
    grads = jax.grad(lambda x: logits(disc, x).sum())(real)
    right = jax.nn.log_sigmoid(logits(disc, real))
    wrong = jax.nn.log_sigmoid(-logits(disc, fake(gen, disc_keys.latents)))
    return -(right + wrong).mean() + r1 * 0.5 * (grads**2).mean()

  return Written(gen_loss, disc_loss)


def one_step(
  name: str, losses: Written, params: types.Pair, scale: jax.Array
) -> types.Pair:
  """The first SGD step of a rule, from the whole field and its Jacobian."""
  rate = RATE * scale
  w, unravel = ravel_pytree(params)
  gen_grad, disc_grad = jax.grad(losses.gen, 0), jax.grad(losses.disc, 1)

  def v(w: jax.Array) -> jax.Array:
    p = unravel(w)
    return ravel_pytree(types.Pair(gen_grad(*p), disc_grad(*p)))[0]

  def answered(gen: types.PyTree) -> jax.Array:
    """L_G at D's answer, with every update of D written out."""
    disc = params.disc
    for _ in range(UNROLL):
      grads = disc_grad(gen, disc)
      disc = jax.tree.map(lambda p, g: p - rate * g, disc, grads)
    loss: jax.Array = losses.gen(gen, disc)
    return loss

  match name:
    case 'simultaneous':
      followed = v(w)
    case 'extragradient':
      followed = v(w - rate * v(w))
    case 'optimistic':
      followed = 2 * v(w)
    case 'consensus':
      followed = v(w) + CONSENSUS * scale * jax.jacfwd(v)(w).T @ v(w)
    case 'sga':
      j = jax.jacfwd(v)(w)
      followed = v(w) + SGA * scale * (j.T - j) @ v(w) / 2
    case 'unrolled':
      there = unravel(v(w))._replace(gen=jax.grad(answered)(params.gen))
      followed = ravel_pytree(there)[0]
  new: types.Pair = unravel(w - rate * followed)
  return new


@pytest.mark.parametrize('name', JOINT)
def test_members_of_a_population_follow_the_formula(
  tiny: configs.Config, name: str
):
  """Two members with states, numbers and keys of their own, under vmap."""
  tiny.latents = 'shared' if name == 'simultaneous' else 'fresh'
  tiny.gen.net = mlp.GenSettings(width=3, depth=1, activation='tanh')
  tiny.disc.net = mlp.DiscSettings(width=3, depth=1, activation='tanh')
  tiny.penalties.r1.weight = R1
  for player in (tiny.optim.gen, tiny.optim.disc):
    player.name, player.learning_rate, player.b1 = 'sgd', RATE, 0.0
  spec, hyper, _, batch = start(gan(name, tiny))
  scales = jnp.array([1.0, 0.5])
  hypers = {n: x * scales for n, x in hyper.items()}
  keys = jax.random.split(jax.random.key(5))
  members = jax.vmap(functools.partial(build.init_state, spec))(hypers, keys)
  args = (members, hypers, batch, keys)
  step = jax.vmap(keyed_step(spec), in_axes=(0, 0, None, 0))
  new, logs = compiled(step, *args)(*args)

  def alone(
    state: states.GanState, scale: jax.Array, key: jax.Array
  ) -> tuple[types.Pair, types.Pair]:
    params = types.Pair(state.gen.params, state.disc.params)
    losses = handwritten(spec, batch, key, R1 * scale)
    values = types.Pair(losses.gen(*params), losses.disc(*params))
    return one_step(name, losses, params, scale), values

  def member(tree: types.PyTree, i: int) -> types.PyTree:
    return jax.tree.map(lambda x: x[i], tree)

  reference = compiled(alone, *member((members, scales, keys), 0))
  for i in range(2):
    expected, values = reference(*member((members, scales, keys), i))
    close((member(new.gen.params, i), member(new.disc.params, i)), expected)
    if name not in ('extragradient', 'unrolled'):
      close((logs['gen/loss'][i], logs['disc/loss'][i]), values)
  assert new.step.tolist() == [1, 1]


@pytest.mark.parametrize(
  ('loss', 'gen_steps'), [('non_saturating', 1), ('relativistic_paired', 2)]
)
def test_alternating_is_the_two_players_updates_bit_for_bit(
  tiny: configs.Config, loss: str, gen_steps: int
):
  tiny.disc_steps, tiny.gen_steps, tiny.loss = 2, gen_steps, loss
  tiny.penalties.lecam.weight = 0.1
  for player in (tiny.optim.gen, tiny.optim.disc):
    player.name, player.b1 = 'sgd', 0.0
  spec, hyper, state, batch = start(tiny)
  assert 'rule' not in state.memory

  def by_hand(
    state: states.GanState,
    hyper: types.Hyper,
    batch: types.Batch,
    key: jax.Array,
  ) -> Any:
    keys = jax.random.split(key, gen_steps + 2)
    gen_keys, disc_keys = keys[:gen_steps], keys[gen_steps:]
    vars, memory = types.Pair({}, {}), state.memory
    gen, disc = state.gen.params, state.disc.params
    rate = hyper['optim.gen.learning_rate']

    def drawn(key: jax.Array) -> draws.UpdateDraw:
      keys = draws.split_keys(key)
      return draws.UpdateDraw(
        spec.latent(keys.latents, spec.batch_samples), keys
      )

    for i, disc_key in enumerate(disc_keys):
      real = types.Batch(batch.x[i])
      now = states.StepContext(hyper, state.step, memory)
      grads, (carried, _) = jax.grad(
        objectives.discriminator_loss, has_aux=True
      )(disc, gen, vars, real, drawn(disc_key), now, spec)
      disc = jax.tree.map(lambda p, g: p + -rate * g, disc, grads)
      memory = carried.memory
    now = states.StepContext(hyper, state.step, {})
    for gen_key, x in zip(gen_keys, batch.x[-gen_steps:], strict=True):
      grads, _ = jax.grad(objectives.generator_loss, has_aux=True)(
        gen, disc, vars, types.Batch(x), drawn(gen_key), now, spec
      )
      gen = jax.tree.map(lambda p, g: p + -rate * g, gen, grads)
    return gen, disc, memory

  args = (state, hyper, batch, jax.random.key(6))
  # Operation by operation: XLA may fuse the two programs differently.
  with jax.disable_jit():
    new, _ = keyed_step(spec)(*args)
    expected = by_hand(*args)
  assert identical((new.gen.params, new.disc.params, new.memory), expected)


def test_lookahead_goes_back_every_k_steps(tiny: configs.Config):
  """Alternating steps, and then a share of the way; the average follows."""
  tiny.disc_steps = 2
  tiny.ema.half_life = 0.0
  plain, hyper, fast, batch = start(tiny)
  spec, hyper, _, _ = start(gan('lookahead', tiny))
  keys = jax.random.split(jax.random.key(0), 2 * PERIOD)

  def together(alphas: jax.Array) -> states.GanState:
    """The states of two members after each step."""

    def member(alpha: jax.Array) -> states.GanState:
      numbers = {**hyper, 'rule.lookahead_alpha': alpha}
      begin = build.init_state(spec, hyper, jax.random.key(0))
      step = keyed_step(spec)

      def body(state: states.GanState, key: jax.Array) -> Any:
        state = step(state, numbers, batch, key)[0]
        return state, state

      return jax.lax.scan(body, begin, keys)[1]

    return jax.vmap(member)(alphas)

  alphas = jnp.array([ALPHA, 1.0])
  pair = compiled(together, alphas)(alphas)
  ours, whole = (jax.tree.map(lambda x, i=i: x[i], pair) for i in range(2))
  args = (fast, hyper, batch, keys[0])
  fast_step = compiled(keyed_step(plain), *args)
  unhindered = slow = fast
  for t, key in enumerate(keys):
    fast, _ = fast_step(fast, hyper, batch, key)
    unhindered, _ = fast_step(unhindered, hyper, batch, key)
    if (t + 1) % PERIOD == 0:
      gen, disc = (
        jax.tree.map(lambda s, f: s + ALPHA * (f - s), old.params, new.params)
        for old, new in ((slow.gen, fast.gen), (slow.disc, fast.disc))
      )
      fast = fast._replace(
        gen=fast.gen._replace(params=gen), disc=fast.disc._replace(params=disc)
      )
      slow = fast
    now = jax.tree.map(lambda x, t=t: x[t], ours)
    close((now.gen, now.disc), (fast.gen, fast.disc))
    close(now.gen_ema, fast.gen.params)
  close(now.memory['rule'], (slow.gen.params, slow.disc.params))
  # All of the way is plain alternation.
  last = jax.tree.map(lambda x: x[-1], whole)
  close((last.gen, last.disc), (unhindered.gen, unhindered.disc))


class Program(NamedTuple):
  """Two Adam steps in a scan, with what they need.

  Attributes:
    run: `run(state, hyper) -> (state, logs)`.
    spec: the game.
    hyper: its numbers.
    begin: the state before the first step.
    batch: of every step.
  """

  run: Callable[..., Any]
  spec: specs.Spec
  hyper: types.Hyper
  begin: states.GanState
  batch: types.Batch


def step_key(step: int | jax.Array) -> jax.Array:
  return jax.random.fold_in(jax.random.key(2), step)


@functools.cache
def program(name: str) -> Program:
  """With batch statistics, a lazy penalty, its averages, and dropout or not."""
  config = configs.Config(batch_size=4, loss='relativistic_average')
  config.gen.net = mlp.GenSettings(width=4, depth=1, batch_norm=True)
  config.disc.net = mlp.DiscSettings(
    width=4, depth=1, batch_norm=True, activation='relu'
  )
  dropout = name in ('extragradient', 'consensus')
  if dropout:
    config.disc.name = 'maxout'
    config.disc.net = maxout.DiscSettings(width=4, depth=1, pieces=2)
  config.penalties.lecam = configs.LeCam(weight=0.1, every=2)
  spec, hyper, state, batch = start(gan(name, config))
  if name == 'unrolled':
    # A unit that is off: its gradient is 0, where the root in Adam's update
    # has no derivative.
    state.disc.params['BatchNorm_0']['bias'] = jnp.array([-100.0, 0, 0, 0])
  step = keyed_step(spec)

  def run(state: states.GanState, hyper: types.Hyper) -> Any:
    def body(state: states.GanState, _: None) -> Any:
      return step(state, hyper, batch, step_key(state.step))

    return jax.lax.scan(body, state, None, length=2)

  # Without optimisation a maximum may differ from the number it is.
  made = compiled(
    run, state, hyper, xla_backend_optimization_level=int(dropout)
  )
  return Program(made, spec, hyper, state, batch)


def statistics_count_each_batch_once(made: Program) -> None:
  """However often a rule looks at it, with players that stand still."""
  run, spec, hyper, begin, batch = made
  still = {n: 0 * x if 'rate' in n else x for n, x in hyper.items()}
  state, logs = run(begin, still)
  gen_vars, disc_vars = begin.gen.vars, begin.disc.vars
  for t in range(2):
    gen_keys, disc_keys = (
      draws.split_keys(k) for k in jax.random.split(step_key(t))
    )

    def fake(keys: draws.Keys, vars: types.PyTree = gen_vars) -> Any:
      latent = spec.latent(keys.latents, spec.batch_samples)
      return spec.gen.apply(
        begin.gen.params, vars, latent, key=keys.gen, mode=types.TRAIN
      )

    logits = []
    for x, key in (
      (batch.x[0], disc_keys.disc_real),
      (fake(disc_keys)[0], disc_keys.disc_fake),
    ):
      y, disc_vars = spec.disc.apply(
        begin.disc.params, disc_vars, types.Batch(x), key=key, mode=types.TRAIN
      )
      logits.append(y.mean())
    gen_vars = fake(gen_keys)[1]
    close((logs['disc/real'][t], logs['disc/fake'][t]), logits)
  close((state.gen.vars, state.disc.vars), (gen_vars, disc_vars))


@pytest.mark.parametrize('name', NEW)
def test_every_rule_trains_in_a_scan(name: str):
  run, _, hyper, begin, _ = made = program(name)
  statistics_count_each_batch_once(made)
  state, logs = run(begin, hyper)
  state, logs = run(state, hyper)
  assert state.step == 4
  leaves = jax.tree.leaves((state, logs))
  assert all(bool(jnp.isfinite(x).all()) for x in leaves)
  # Adam moves every parameter by about its rate of .001 a step.
  for new, old in ((state.gen, begin.gen), (state.disc, begin.disc)):
    moved = optax.tree.norm(optax.tree.sub(new.params, old.params))
    assert 0.001 < moved < 0.1
  assert logs.keys() == {
    'disc/loss', 'disc/real', 'disc/fake', 'disc/accuracy', 'disc/grad_norm',
    'penalties/lecam', 'gen/loss', 'gen/grad_norm',
  }  # fmt: skip
  assert ('rule' in state.memory) == (name in ('optimistic', 'lookahead'))


@pytest.mark.parametrize('name', ['optimistic', 'lookahead'])
def test_memory_is_in_the_checkpoint(name: str, tmp_path: pathlib.Path):
  """Stopped between two looks back, and taken up from the disk."""
  run, spec, hyper, begin, _ = program(name)
  half, _ = run(begin, hyper)
  whole, _ = run(half, hyper)
  with checkpoint.Checkpoints(tmp_path, configs.Checkpoint(keep=1)) as saved:
    saved.save(half, {}, {})
  template = jax.eval_shape(
    functools.partial(build.init_state, spec), hyper, jax.random.key(0)
  )
  with checkpoint.Checkpoints(tmp_path, configs.Checkpoint(keep=1)) as saved:
    where = sharding.state_sharding(
      template, sharding.make_mesh(), 'replicated'
    )
    template = sharding.abstract(template, where)
    restored = saved.restore(template, saved.steps[-1])
  memory = jax.tree.leaves(restored.memory['rule'])
  assert any(bool((x != 0).any()) for x in memory)
  restored = jax.device_put(restored, jax.devices()[0])
  assert identical(run(restored, hyper)[0], whole)


@pytest.mark.parametrize('name', JOINT)
def test_moving_at_once_allows_one_update(tiny: configs.Config, name: str):
  for field in ('disc_steps', 'gen_steps'):
    more = dataclasses.replace(tiny, **{field: 2})
    with pytest.raises(ValueError, match=f"{field}=2: rule.name='{name}'"):
      build.make_spec(gan(name, more), LINE)


def test_wrong_settings_of_the_game(tiny: configs.Config):
  tiny.rule.name = 'extra_gradient'
  with pytest.raises(ValueError, match="mean 'extragradient'"):
    build.make_spec(tiny, LINE)
  for field, value in (
    ('lookahead_alpha', 0.0),
    ('lookahead_alpha', 1.5),
    ('lookahead_steps', 0),
    ('unroll_steps', 0),
    ('consensus_weight', -1.0),
  ):
    config = configs.Config()
    setattr(config.rule, field, value)
    with pytest.raises(ValueError, match=f'^rule.{field}={value}: must be'):
      checks.validate(config)
