"""Losses of classes against their formulas and the authors' code."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import cifar10
from gan_jax import types
from gan_jax.config import checks, fields as configs, idle
from gan_jax.data import source as sources
from gan_jax.engine import build, player_terms
from gan_jax.game import class_losses, looks, terms
from gan_jax.networks import (
  adapter,
  biggan,
  biggan_deep,
  conditional,
  dcgan,
  mlp,
  sngan,
)
from tests import test_conditional

KEY = jax.random.key(0)
LABEL = np.array([0, 2, 1, 1, 0, 0])


def unit(x: jax.Array) -> jax.Array:
  return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def drawn() -> tuple[jax.Array, jax.Array]:
  """Embeddings `[6, 4]` and proxies `[3, 4]`, of any length."""
  rng = np.random.default_rng(0)
  x = rng.standard_normal((6, 4))
  return jnp.asarray(x), jnp.asarray(rng.standard_normal((3, 4)))


def contrastive(x: jax.Array, v: jax.Array, t: float) -> jax.Array:
  e = unit(x)
  return class_losses.contrastive(
    e, e @ unit(v).T, jnp.asarray(LABEL), jnp.float32(t)
  )


def data_to_data(
  x: jax.Array, v: jax.Array, t: float, margin: float
) -> jax.Array:
  e = unit(x)
  return class_losses.data_to_data(
    e, e @ unit(v).T, jnp.asarray(LABEL), jnp.float32(t), jnp.float32(margin)
  )


def test_classification_is_the_cross_entropy():
  logits = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
  label = np.array([0, 2, 1, 1, 0])
  share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  expected = -np.log(share[np.arange(5), label]).mean()
  found = class_losses.classification(jnp.asarray(logits), jnp.asarray(label))
  assert float(found) == pytest.approx(expected, rel=1e-5)


# The loss, and the sums of the sizes of its derivatives with respect to
# embeddings and proxies, as StudioGAN's code (by the authors of both papers)
# has them of these numbers; in its D2D-CE without the largest similarity that
# one of two terms is lowered by.
@pytest.mark.parametrize(
  ('loss', 'numbers', 'expected'),
  [
    (contrastive, (1.0,),
     (0.8791555491682335, 0.8461737224586238, 0.3206397122512848)),
    (contrastive, (0.5,),
     (0.8361908495790656, 1.4959510384251777, 0.5806592297182861)),
    (data_to_data, (0.5, 0.98),
     (3.5514863538907675, 2.937770455511143, 1.435105900581541)),
    (data_to_data, (0.25, 0.7),
     (4.333631039772006, 5.498432158748797, 1.41611788989403)),
  ],
)  # fmt: skip
def test_the_authors_code(
  loss: Callable[..., jax.Array],
  numbers: tuple[float, ...],
  expected: tuple[float, float, float],
):
  value, grads = jax.value_and_grad(loss, argnums=(0, 1))(*drawn(), *numbers)
  found = [float(value), *(float(jnp.abs(g).sum()) for g in grads)]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_formula_of_2c():
  e, v = (np.asarray(unit(x)) for x in drawn())
  total = 0.0
  for i, y in enumerate(LABEL):
    own = math.exp(e[i] @ v[y])
    others = [k for k in range(6) if k != i]
    alike = [k for k in others if LABEL[k] == y]
    above = own + sum(math.exp(e[i] @ e[k]) for k in alike)
    below = own + sum(math.exp(e[i] @ e[k]) for k in others)
    total -= math.log(above / below) / 6
  assert float(contrastive(*drawn(), 1.0)) == pytest.approx(total, rel=1e-5)


def test_within_its_margins_a_sample_stays():
  """At its proxy, and with all other classes on the other side."""
  v = jnp.eye(3)
  x = v[LABEL]

  def loss(x: jax.Array) -> jax.Array:
    return data_to_data(x, v, 0.5, 0.6)

  # A term for each sample of another class, and its own, all of e^0.
  others = [(y != LABEL).sum() for y in LABEL]
  expected = np.mean([math.log(1 + n) for n in others])
  assert float(loss(x)) == pytest.approx(expected, rel=1e-5)
  np.testing.assert_allclose(jax.grad(loss)(x), 0, atol=1e-6)


def test_a_class_of_one_sample_is_told_apart_by_its_proxy():
  value = class_losses.contrastive(
    jnp.eye(2), jnp.eye(2), jnp.array([0, 1]), jnp.float32(1)
  )
  expected = math.log((math.e + 1) / math.e)
  assert float(value) == pytest.approx(expected, rel=1e-5)


def test_embeddings_and_proxies_have_length_one():
  settings = mlp.DiscSettings(8, 1, conditioning='proxies', embedding=5)
  disc = mlp.Discriminator(settings, classes=3)
  x = jax.random.normal(KEY, (6, 2)).at[0].set(0)
  batch = types.Batch(x, jnp.asarray(LABEL))
  network = adapter.as_network(disc, batch)
  params, vars = network.init(KEY)

  def heads(params: Any) -> Any:
    judge = network.methods['judge']
    return judge(params, vars, batch, key=KEY, mode=types.EVAL)[0].heads

  made = heads(params)
  e, proxies = made['embed'], params['proxies']['embedding']
  assert e.shape == (6, 5)
  np.testing.assert_allclose(jnp.linalg.norm(e[1:], axis=1), 1, rtol=1e-5)
  np.testing.assert_allclose(made['classify'], e @ unit(proxies).T, atol=1e-5)

  # The first sample's is 0, as biases begin at 0.
  total = lambda params: heads(params)['embed'].sum()  # noqa: E731
  grads = jax.tree.leaves(jax.grad(total)(params))
  assert all(bool(jnp.isfinite(g).all()) for g in grads)


# Each kind of heads with the terms that train them, and those terms' values
# before anything is learned: `n` classes are as likely as each other.
GAMES: dict[str, tuple[str, dict[str, Callable[[int], float]]]] = {
  'acgan': ('classifier', {
    'acgan': lambda n: 2 * math.log(n), 'acgan_gen': math.log,
  }),
  'tacgan': ('twin_classifiers', {
    'tacgan': lambda n: 2 * math.log(n), 'tacgan_gen': lambda n: 0.0,
  }),
  'adcgan': ('discriminative_classifier', {
    'adcgan': lambda n: 2 * math.log(2 * n), 'adcgan_gen': lambda n: 0.0,
  }),
}  # fmt: skip


def game(name: str, how: str) -> configs.Config:
  config = configs.Config(batch_size=16)
  config.conditional = True
  config.data.name = 'ring'
  config.gen.latent_dim = 2
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.disc.net = mlp.DiscSettings(8, 1, conditioning=how)
  for field in (name, f'{name}_gen'):
    getattr(config.penalties, field).weight = 1.0
  return config


@pytest.mark.parametrize('name', GAMES)
def test_heads_that_know_nothing(name: str):
  how, expected = GAMES[name]
  config = game(name, how)
  # The layer before the heads gives 0, and D does not learn.
  config.disc.net = mlp.DiscSettings(8, 1, conditioning=how, kernel_scale=0.0)
  config.optim.disc.learning_rate = 0.0
  _, logs = test_conditional.played(config)
  for term, value in expected.items():
    found = float(logs[f'penalties/{term}'])
    assert found == pytest.approx(value(8), rel=1e-4, abs=1e-5), term


def seen(label: np.ndarray, **heads: np.ndarray) -> looks.Seen:
  batch = types.Batch(jnp.zeros((len(label), 1)), jnp.asarray(label))
  made = {name: jnp.asarray(head) for name, head in heads.items()}
  return looks.Seen(batch, jnp.zeros(len(label)), lambda: batch.x, batch, made)


def of_update(player: str, name: str, real: looks.Seen, fake: Any) -> float:
  """A term's value where D's heads say this of real and generated samples."""
  update: Any = terms.Update(
    *(None,) * 6, real=real, fake=fake, hyper={}, memory=(), key=KEY
  )  # fmt: skip
  value = getattr(player_terms.TERMS, player)[name].value
  assert value is not None
  return float(value(update))


def test_the_sides_of_twin_classifiers():
  """D's first learns of real samples, the twin of fakes; G misleads that."""
  label = np.array([0, 1])
  right, wrong = 9 * np.eye(2), 9 * np.eye(2)[::-1]
  no: Any = None
  real = seen(label, classify=right, twin=wrong)
  fake = seen(label, classify=wrong, twin=right)
  assert of_update('disc', 'tacgan', real, fake) < 0.001
  assert of_update('disc', 'tacgan', fake, real) > 17
  assert of_update('gen', 'tacgan_gen', no, fake) == pytest.approx(9, rel=1e-3)
  assert of_update('gen', 'tacgan_gen', no, real) == pytest.approx(-9, rel=1e-3)


def test_the_sides_of_a_discriminative_classifier():
  label = np.array([1, 0])
  # Of 2 K classes: real of class 1, and fake of class 0, for instance.
  as_real, as_fake = 9 * np.eye(4)[[2, 0]], 9 * np.eye(4)[[3, 1]]
  no: Any = None
  real, fake = seen(label, classify=as_real), seen(label, classify=as_fake)
  assert of_update('disc', 'adcgan', real, fake) < 0.001
  assert of_update('disc', 'adcgan', fake, real) > 17
  assert of_update('gen', 'adcgan_gen', no, real) == pytest.approx(-9, rel=1e-3)
  assert of_update('gen', 'adcgan_gen', no, fake) == pytest.approx(9, rel=1e-3)


@pytest.mark.parametrize('name', ['tacgan', 'adcgan', 'contragan', 'reacgan'])
def test_both_players_learn_of_the_heads(name: str):
  """A step moves G elsewhere than without G's term, and all heads of D."""
  how = GAMES[name][0] if name in GAMES else 'proxies'
  config = game(name, how)
  state, logs = test_conditional.played(config)
  assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(logs))
  getattr(config.penalties, f'{name}_gen').weight = 0.0
  without, _ = test_conditional.played(config)
  moved = jax.tree.map(
    lambda a, b: bool((a != b).any()), state.gen.params, without.gen.params
  )
  assert all(jax.tree.leaves(moved))
  spec = build.make_spec(config, build.make_source(config, KEY).info)
  hyper = build.make_hyper(config)
  first = build.init_state(spec, hyper, KEY).disc.params
  heads = {'tacgan': {'classifier', 'twin'}, 'adcgan': {'classifier'}}
  for head in heads.get(name, {'embed', 'proxies'}):
    for leaf, now in zip(
      jax.tree.leaves(first[head]),
      jax.tree.leaves(state.disc.params[head]),
      strict=True,
    ):
      assert bool((leaf != now).any()), head


@pytest.mark.parametrize('module', [mlp, dcgan, sngan, biggan, biggan_deep])
@pytest.mark.parametrize('how', ['twin_classifiers', 'proxies'])
def test_every_network_has_the_heads(module: Any, how: str):
  width = {'width': 8 if module in (mlp, dcgan) else 2}
  settings = module.DiscSettings(**width, conditioning=how, embedding=6)
  shape = (2,) if module is mlp else (32, 32, 3)
  disc = module.Discriminator(settings, classes=4)
  one: Any = jax.ShapeDtypeStruct((3, *shape), jnp.float32)
  batch = types.Batch(one, jax.ShapeDtypeStruct((3,), jnp.int32))  # type: ignore[arg-type]
  network = adapter.as_network(disc, batch)
  made = jax.eval_shape(
    lambda key, batch: network.methods['judge'](
      *network.init(key), batch, key=key, mode=types.TRAIN
    )[0],
    KEY,
    batch,
  ).heads
  last = {'classify': 4, 'twin': 4, 'embed': 6}
  assert made.keys() == {'features', *conditional.HEADS[how]}
  for name in conditional.HEADS[how]:
    assert made[name].shape == (3, last[name])
    assert made[name].dtype == jnp.float32
  assert made['features'].shape[0] == 3


@pytest.mark.parametrize(
  ('how', 'weights', 'message'),
  [
    ('classifier', {'tacgan': 1}, r"conditioning='twin_classifiers'"),
    ('twin_classifiers', {'acgan': 1}, r"conditioning='classifier'"),
    ('projection', {'adcgan_gen': 1}, r"='discriminative_classifier'"),
    ('classifier', {'reacgan': 1}, r"conditioning='proxies'"),
    ('proxies', {'contragan_gen': 1}, 'nothing trains it; set .*contragan'),
    ('codes', {'infogan': 1}, 'codes.: of a game without labels'),
    ('twin_classifiers', {}, r'set penalties\.tacgan\.weight, and penalties'),
  ],
)
def test_heads_without_their_terms_and_terms_without_heads(
  how: str, weights: dict[str, float], message: str
):
  config = game('acgan', how)
  config.penalties = configs.Penalties()
  for name, weight in weights.items():
    getattr(config.penalties, name).weight = weight
  checks.validate(config)
  with pytest.raises(ValueError, match=message):
    build.make_spec(config, build.make_source(config, KEY).info)


def test_proxies_compare_samples():
  config = game('reacgan', 'proxies')
  config.microbatches = config.batch_size
  with pytest.raises(ValueError, match='an update sees one at a time'):
    build.make_spec(config, build.make_source(config, KEY).info)


def test_what_nothing_reads_is_told():
  config = game('acgan', 'classifier')
  config.disc.net = mlp.DiscSettings(
    8, 1, conditioning='classifier', embedding=6
  )
  config.penalties.reacgan.margin = 0.5
  lines = list(idle.warnings(config))
  assert len(lines) == 2
  assert 'disc.net.embedding=6' in lines[0]
  assert 'proxies' in lines[0]
  assert 'penalties.reacgan.margin=0.5' in lines[1]


@pytest.mark.parametrize('name', ['contragan', 'reacgan'])
def test_the_authors_numbers_of_parameters(name: str):
  """As the log of ContraGAN that its authors keep in StudioGAN has them."""
  config = cifar10.get_config(name)
  info = sources.Info('images', (32, 32, 3), class_shares=(0.1,) * 10)
  spec = build.make_spec(config, info)
  sizes = [
    sum(x.size for x in jax.tree.leaves(jax.eval_shape(net.init, KEY)[0]))
    for net in (spec.gen, spec.disc)
  ]
  assert sizes == [9_416_196, 2_517_186]
