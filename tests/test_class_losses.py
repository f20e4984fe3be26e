"""Losses of classes against their formulas and the authors' code."""

import dataclasses
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
from gan_jax.engine import additions, build, player_terms
from gan_jax.game import class_losses, looks, objectives, terms
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


# The loss, the sum of the sizes of its derivatives, and the sum of those times
# the outputs, by the same code, of outputs times a scale.
@pytest.mark.parametrize(
  ('scale', 'label', 'expected'),
  [
    (1, LABEL, (1.6721359321275155, 2.0, 0.6721359321275152)),
    (1, np.full(6, 3), (1.187564571927595, 2.0, 0.18756457192759485)),
    (3, LABEL, (3.118271849435113, 4 / 3, 2.451605182768446)),
    (3, np.full(6, 3), (1.8771020199260213, 4 / 3, 1.2104353532593546)),
  ],
)
def test_the_authors_multi_hinge(
  scale: int, label: np.ndarray, expected: tuple[float, float, float]
):
  outputs = scale * drawn()[0]
  value, grad = jax.value_and_grad(class_losses.multi_hinge)(
    outputs, jnp.asarray(label)
  )
  found = [value, jnp.abs(grad).sum(), (grad * outputs).sum()]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_formula_of_the_multi_hinge():
  outputs, total = np.asarray(drawn()[0]), 0.0
  for row, y in zip(outputs, LABEL, strict=True):
    best = max(other for j, other in enumerate(row) if j != y)
    total += max(0.0, 1 - (row[y] - best)) / 6
  found = class_losses.multi_hinge(jnp.asarray(outputs), jnp.asarray(LABEL))
  assert float(found) == pytest.approx(total, rel=1e-5)


def test_beyond_its_margin_a_sample_stays():
  """The first is; the second draws at its class and the best other alone."""
  outputs = jnp.array([[2.5, -4.0, 1.0], [0.0, 0.25, -3.0]])
  grad = jax.grad(class_losses.multi_hinge)(outputs, jnp.array([0, 0]))
  np.testing.assert_array_equal(grad, [[0, 0, 0], [-0.5, 0.5, 0]])


# An MLP of one hidden layer, whose last layer is 'Dense_1'.
def small(how: str) -> tuple[types.Network, types.Batch]:
  settings = mlp.DiscSettings(8, 1, conditioning=how)
  batch = types.Batch(jax.random.normal(KEY, (6, 2)), jnp.asarray(LABEL))
  return adapter.as_network(
    mlp.Discriminator(settings, classes=3), batch
  ), batch


def judged(
  network: types.Network, params: Any, batch: types.Batch
) -> types.Judged:
  judge = network.methods['judge']
  made: types.Judged = judge(params, {}, batch, key=KEY, mode=types.EVAL)[0]
  return made


def test_the_logit_is_the_output_of_the_class():
  network, batch = small('own_logit')
  params = test_conditional.varied({'params': network.init(KEY)[0]})['params']
  logits, heads = judged(network, params, batch)
  last = params['Dense_1']
  outputs = heads['features'] @ last['kernel'] + last['bias'][None]
  assert outputs.shape == (6, 3)
  own = outputs[jnp.arange(6), LABEL]
  np.testing.assert_allclose(logits, own, rtol=1e-5)

  # Of a sample of class 2, the second here, no other output learns.
  grads = jax.grad(lambda p: judged(network, p, batch).logits[1])(params)
  assert (grads['Dense_1']['kernel'][:, :2] == 0).all()
  assert (grads['Dense_1']['kernel'][:, 2] != 0).any()
  np.testing.assert_array_equal(grads['Dense_1']['bias'], [0, 0, 1])

  # In a share of each class, of a walk.
  share = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(3), 6))
  mixed = judged(network, params, batch._replace(label=share[:, None]))
  np.testing.assert_allclose(
    mixed.logits, (outputs * share).sum(axis=1), rtol=1e-5
  )


def test_the_logit_is_the_class_against_generated():
  network, batch = small('multi_hinge')
  params = test_conditional.varied({'params': network.init(KEY)[0]})['params']
  logits, heads = judged(network, params, batch)
  outputs = heads['classify']
  assert outputs.shape == (6, 4)
  expected = outputs[jnp.arange(6), LABEL] - outputs[:, 3]
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


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
  # No output is larger than another.
  'mhgan': ('multi_hinge', {
    'mhgan': lambda n: 2.0, 'mhgan_gen': lambda n: 1.0,
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


def of_update(
  player: str,
  name: str,
  real: Any,
  fake: Any,
  judge: Any = None,
  **settings: bool,
) -> float:
  """A term's value where D's heads say this of real and generated samples."""
  update: Any = terms.Update(
    *(None,) * 3, judge, lambda batch: batch, *(None,) * 2, real=real,
    fake=fake, hyper={}, memory=(), key=KEY,
  )  # fmt: skip
  value = getattr(player_terms.TERMS, player)[name].value
  assert value is not None
  return float(value(update, **settings))


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


def test_the_sides_of_a_multi_hinge():
  """Real samples are of their class and fakes 'generated'; G denies it."""
  label = np.array([0, 1])
  as_asked, as_generated = 9 * np.eye(3)[label], 9 * np.eye(3)[[2, 2]]
  no: Any = None
  real, fake = (seen(label, classify=x) for x in (as_asked, as_generated))
  assert of_update('disc', 'mhgan', real, fake) == 0
  assert of_update('disc', 'mhgan', fake, real) == 20
  assert of_update('gen', 'mhgan_gen', no, real) == 0
  assert of_update('gen', 'mhgan_gen', no, fake) == 10


@pytest.mark.parametrize('name', ['cr', 'cr_fake'])
@pytest.mark.parametrize('head', ['classify', 'embed'])
def test_consistency_of_outputs_of_the_classes(name: str, head: str):
  """StudioGAN's: mean squares of the logits and of one head, of proxies'
  'embed' and not 'classify'."""
  rng = np.random.default_rng(0)
  heads = {'features': (2, 5), 'classify': (2, 3)}
  if head == 'embed':
    heads['embed'] = (2, 4)
  images = types.Batch(jnp.zeros((2, 8, 8, 1)), jnp.array([0, 1]))
  one, other = (
    {key: rng.normal(size=shape) for key, shape in heads.items()}
    for _ in range(2)
  )
  logits = rng.normal(size=(2, 2))
  first = looks.Seen(images, logits[0], lambda: images.x, images, one)
  sets = (first, None) if name == 'cr' else (None, first)
  again = types.Judged(logits[1], other)
  of_logits = ((logits[0] - logits[1]) ** 2).mean()
  of_head = ((one[head] - other[head]) ** 2).mean()
  for with_heads, expected in ((False, 0.0), (True, of_head)):
    found = of_update('disc', name, *sets, lambda _: again, heads=with_heads)
    assert found == pytest.approx(of_logits + expected, rel=1e-5)


@pytest.mark.parametrize('heads', [False, True])
def test_outputs_of_the_classes_with_near_latents(heads: bool):
  z, label = jnp.arange(8.0).reshape(4, 2), jnp.zeros(4, jnp.int32)
  batch = types.Batch(z, label)
  update: Any = terms.Update(
    None, lambda latent: types.Batch(latent.z, latent.label), None,
    lambda batch: types.Judged(batch.x.sum(axis=1), {'classify': batch.x}),
    lambda batch: batch._replace(x=2 * batch.x), None, types.Latent(z, label),
    None, looks.Seen(batch, None, None, batch),
    {'penalties.zcr.sigma': jnp.float32(0.1)}, (), KEY,
  )  # fmt: skip
  move = 2 * 0.1 * np.asarray(jax.random.normal(KEY, z.shape))
  expected = (move.sum(axis=1) ** 2).mean() + heads * (move**2).mean()
  value = player_terms.TERMS.disc['zcr'].value
  assert value is not None
  assert float(value(update, heads=heads)) == pytest.approx(expected, rel=1e-4)


def test_consistency_without_outputs_of_the_classes():
  config = game('acgan', 'projection')
  config.penalties = configs.Penalties()
  config.penalties.zcr.weight, config.penalties.zcr.heads = 1.0, True
  message = r'penalties\.zcr\.heads=True: D has no outputs .* or proxies$'
  with pytest.raises(ValueError, match=message):
    build.make_spec(config, build.make_source(config, KEY).info)
  config.penalties.zcr.weight, config.penalties.cr.heads = 0.0, True
  for line, name in zip(idle.warnings(config), ('cr', 'zcr'), strict=True):
    assert line.startswith(f'penalties.{name}.heads=True: has no effect')
  config.disc.net = mlp.DiscSettings(8, 1, conditioning='classifier')
  config.conditional = False
  with pytest.raises(ValueError, match=r'of classes without conditional=True$'):
    build.make_spec(config, build.make_source(config, KEY).info)


def alone() -> configs.Config:
  """MHGAN as it is meant: without another loss."""
  config = game('mhgan', 'multi_hinge')
  config.loss = 'none'
  config.penalties.mhgan_gen.weight = 0.05
  config.penalties.feature_matching.weight = 1.0
  config.penalties.feature_matching.distance = 'mean_absolute'
  return config


def test_terms_are_all_that_the_players_minimise():
  config = alone()
  state, logs = test_conditional.played(config)
  gen = logs['penalties/feature_matching'] + 0.05 * logs['penalties/mhgan_gen']
  assert float(logs['gen/loss']) == pytest.approx(float(gen), rel=1e-5)
  assert float(logs['disc/loss']) == float(logs['penalties/mhgan']) > 0
  assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(logs))
  # All of D learns, and all of G.
  spec = build.make_spec(config, build.make_source(config, KEY).info)
  first = build.init_state(spec, build.make_hyper(config), KEY)
  for player in ('gen', 'disc'):
    moved = jax.tree.map(
      lambda a, b: bool((a != b).any()),
      getattr(first, player).params,
      getattr(state, player).params,
    )
    assert all(jax.tree.leaves(moved)), player
  # Each of them has its part in it.
  for name in ('feature_matching', 'mhgan_gen'):
    config = alone()
    getattr(config.penalties, name).weight = 0.0
    without, _ = test_conditional.played(config)
    assert any(
      bool((a != b).any())
      for a, b in zip(
        jax.tree.leaves(without.gen.params),
        jax.tree.leaves(state.gen.params),
        strict=True,
      )
    ), name


@pytest.mark.parametrize('how', ['own_logit', 'multi_hinge'])
def test_no_parameter_is_idle(how: str):
  """Of the last layer, each column; a batch has samples of all classes."""
  network, batch = small(how)
  params = test_conditional.varied({'params': network.init(KEY)[0]})['params']

  def loss(params: Any) -> jax.Array:
    logits, heads = judged(network, params, batch)
    if how == 'own_logit':
      return jax.nn.softplus(logits).mean()
    small = 1e-3 * heads['classify']
    as_generated = class_losses.multi_hinge(small, jnp.full(6, 3))
    return class_losses.multi_hinge(small, batch.label) + as_generated

  grads = jax.grad(loss)(params)
  assert all(bool((g != 0).any()) for g in jax.tree.leaves(grads))
  assert bool((grads['Dense_1']['kernel'] != 0).any(axis=0).all())
  assert bool((grads['Dense_1']['bias'] != 0).all())


@pytest.mark.parametrize(
  'name', ['tacgan', 'adcgan', 'mhgan', 'contragan', 'reacgan']
)
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
  heads = {
    'tacgan': {'classifier', 'twin'},
    'adcgan': {'classifier'},
    'mhgan': {'Dense_1'},
  }
  for head in heads.get(name, {'embed', 'proxies'}):
    for leaf, now in zip(
      jax.tree.leaves(first[head]),
      jax.tree.leaves(state.disc.params[head]),
      strict=True,
    ):
      assert bool((leaf != now).any()), head


@pytest.mark.parametrize('module', [mlp, dcgan, sngan, biggan, biggan_deep])
@pytest.mark.parametrize('how', ['twin_classifiers', 'proxies', 'multi_hinge'])
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
  classify = 5 if how == 'multi_hinge' else 4
  last = {'classify': classify, 'twin': 4, 'embed': 6}
  assert made.keys() == {'features', *conditional.HEADS[how]}
  for name in conditional.HEADS[how]:
    assert made[name].shape == (3, last[name])
    assert made[name].dtype == jnp.float32
  assert made['features'].shape[0] == 3


@pytest.mark.parametrize(
  ('module', 'made'),
  [
    (mlp, {'width': 8}),
    (dcgan, {'width': 8}),
    (sngan, {'width': 2}),
    (sngan, {'width': 2, 'architecture': 'cnn'}),
    (biggan, {'width': 2}),
    (biggan_deep, {'width': 2}),
  ],
)
def test_outputs_of_every_network(module: Any, made: dict[str, Any]):
  """The last layer alone has other shapes than with an inner product."""
  shape = (2,) if module is mlp else (32, 32, 3)
  one: Any = jax.ShapeDtypeStruct((3, *shape), jnp.float32)
  batch = types.Batch(one, jax.ShapeDtypeStruct((3,), jnp.int32))  # type: ignore[arg-type]

  def shapes(how: str) -> dict[str, tuple[int, ...]]:
    settings = module.DiscSettings(**made, conditioning=how)
    disc = module.Discriminator(settings, classes=4)
    network = adapter.as_network(disc, batch)
    params, vars = jax.eval_shape(network.init, KEY)
    logits = jax.eval_shape(
      lambda p, v, b: network.apply(p, v, b, key=KEY, mode=types.TRAIN)[0],
      params, vars, batch,
    )  # fmt: skip
    assert logits.shape == (3,)
    flat = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path): leaf.shape for path, leaf in flat}

  usual = shapes('projection')
  usual.pop("['Projection_0']['Embedding_0']['embedding']")
  for how, outputs in {'own_logit': 4, 'multi_hinge': 5}.items():
    found = shapes(how)
    assert found.keys() == usual.keys()
    others = {path for path in found if found[path] != usual[path]}
    # SNGAN's last layer has no bias at 32x32.
    both = module is not sngan or 'architecture' in made
    assert {path.rsplit('[', 1)[1] for path in others} == (
      {"'kernel']", "'bias']"} if both else {"'kernel']"}
    )
    assert len({path.rsplit('[', 1)[0] for path in others}) == 1
    assert all(
      found[path] == (*usual[path][:-1], outputs) and usual[path][-1] == 1
      for path in others
    )


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
    ('own_logit', {'mhgan': 1}, r"conditioning='multi_hinge'"),
    ('multi_hinge', {'mhgan_gen': 1}, r'nothing trains it; .*\.mhgan\.weight'),
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


def test_a_player_without_a_loss_has_a_term():
  config = alone()
  config.penalties.mhgan_gen.weight = 0.0
  config.penalties.feature_matching.weight = 0.0
  info = build.make_source(config, KEY).info
  with pytest.raises(ValueError, match=r"loss='none': G learns nothing; set a"):
    build.make_spec(config, info)
  # What bounds it does not teach it.
  config.penalties.orthogonal.weight = 1.0
  with pytest.raises(ValueError, match=r"loss='none': G learns nothing; set a"):
    build.make_spec(config, info)
  config.penalties.mhgan_gen.weight = 0.05
  build.make_spec(config, info)
  # It may begin at nothing, but not stay there in any member.
  config.penalties.mhgan.weight = 0.0
  schedule = configs.Schedule('linear', end=100, final=1.0)
  config.schedules['penalties.mhgan.weight'] = schedule
  build.make_spec(config, info)
  config.schedules.clear()
  config.population.vary = {'penalties.mhgan.weight': [0.0, 1.0]}
  with pytest.raises(ValueError, match=r"loss='none': D learns nothing; set a"):
    build.make_spec(config, info)
  config.population.vary = {}
  config.disc.net = mlp.DiscSettings(8, 1, conditioning='projection')
  config.penalties = configs.Penalties()
  config.penalties.feature_matching.weight = 1.0
  with pytest.raises(ValueError, match=r"loss='none': D learns nothing; set a"):
    build.make_spec(config, info)


def test_what_is_of_a_loss_alone():
  config = alone()
  assert not list(idle.warnings(config))
  config.gen_loss_weight, config.gen_top_k = 0.5, 0.5
  lines = list(idle.warnings(config))
  assert len(lines) == 2
  for line, name in zip(lines, ('gen_loss_weight', 'gen_top_k'), strict=True):
    assert line.startswith(f'{name}=0.5: has no effect')
    assert line.endswith("a loss of D's logits")
  config.gen_loss_weight, config.gen_top_k = 1.0, 1.0
  config.population.vary = {'gen_loss_weight': [0.5, 1.0]}
  (line,) = idle.warnings(config)
  assert line.startswith('population.vary: gen_loss_weight has no effect')


def test_the_sign_of_a_class_against_generated_tells():
  """So D's accuracy is known, and augmentation can adapt to it."""
  config = alone()
  source = build.make_source(config, KEY)
  spec = build.make_spec(config, source.info)
  assert spec.loss.signed
  assert not spec.loss.of_logits
  real, fake = jnp.array([1.0, -1.0]), jnp.array([2.0, -1.0])
  assert float(objectives.accuracy(real, fake, spec.loss)) == 0.5
  config.augment.pseudo, config.augment.adapt = True, 'sign'
  additions.check_strength(config)
  config.disc.net = mlp.DiscSettings(8, 1, conditioning='classifier')
  with pytest.raises(ValueError, match="in loss='none' the sign of D's"):
    additions.check_strength(config)


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


# As the log of ContraGAN that its authors keep in StudioGAN has them; in others
# D's last layer is linear, of 192 numbers, a bias, and so many outputs, where
# ContraGAN also has one of 512, and proxies.
_COMMON = 2_517_186 - 193 - 193 * 512 - 10 * 512


@pytest.mark.parametrize(
  ('name', 'disc'),
  [
    ('contragan', 2_517_186),
    ('reacgan', 2_517_186),
    ('mhgan', _COMMON + 193 * 11),
    ('mdgan', _COMMON + 193 * 10),
  ],
)
def test_the_authors_numbers_of_parameters(name: str, disc: int):
  config = cifar10.get_config(name)
  info = sources.Info('images', (32, 32, 3), class_shares=(0.1,) * 10)
  spec = build.make_spec(config, info)
  sizes = [
    sum(x.size for x in jax.tree.leaves(jax.eval_shape(net.init, KEY)[0]))
    for net in (spec.gen, spec.disc)
  ]
  assert sizes == [9_416_196, disc]


def test_the_authors_losses():
  """As StudioGAN's files MHGAN.yaml and MDGAN.yaml have them."""

  def weights(config: configs.Config) -> dict[str, float]:
    each = dataclasses.fields(config.penalties)
    found = {f.name: getattr(config.penalties, f.name).weight for f in each}
    return {name: weight for name, weight in found.items() if weight}

  config = cifar10.get_config('mhgan')
  assert config.loss == 'none'
  expected = {'mhgan': 1.0, 'mhgan_gen': 0.05, 'feature_matching': 1.0}
  assert weights(config) == expected
  assert config.penalties.feature_matching.distance == 'mean_absolute'
  config = cifar10.get_config('mdgan')
  assert config.loss == 'non_saturating'
  assert weights(config) == {'r1': 1.0}
