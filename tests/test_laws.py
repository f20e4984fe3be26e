"""Figures of known laws, and the arrays of pictures, against closed forms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.evaluation import laws
from gan_jax.game import losses, spec as specs

LINE = sources.Info(kind='density', shape=(1,), mean=(4.0,), std=(0.5,))
KEY = jax.random.key(0)


def apply_to(fn: Any) -> types.Network:
  """A network without parameters."""

  def apply(params: Any, vars: Any, input: Any, **_: Any) -> Any:
    return fn(input), vars

  return types.Network(lambda key: ({}, {}), apply)


def measured(
  config: configs.Config, spec: specs.Spec
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
  """Figures and curves of a game that has not begun."""
  source = build.make_source(config, KEY)
  state = build.init_state(spec, build.make_hyper(config), KEY)
  measure = laws.make_measure(config, spec, source)
  return jax.jit(measure)(state, KEY)


def normal_game(config: configs.Config) -> specs.Spec:
  """G is 2 z, so U(2, 6) against N(4, 1/2); D's logit is x - 4, halved."""
  return build.make_spec(config, LINE)._replace(
    gen=apply_to(lambda latent: 4 * latent.z),
    disc=apply_to(lambda batch: batch.x.sum(axis=-1)),
  )


def test_figures_of_a_uniform_law_against_a_normal_one(tiny: configs.Config):
  tiny.eval.num_samples = 100_000
  figures, _ = measured(tiny, normal_game(tiny))
  law = stats.norm(4, 0.5)
  # The densities cross where the normal one is 1/4.
  reach = 0.5 * np.sqrt(2 * np.log(4 * law.pdf(4)))
  within = law.cdf(4 + reach) - law.cdf(4 - reach)
  expected = within - 2 * reach / 4
  assert figures['total_variation'] == pytest.approx(expected, abs=0.01)
  assert figures['support_low'] == pytest.approx(-4, abs=1e-3)
  assert figures['support_high'] == pytest.approx(4, abs=1e-3)


@pytest.mark.parametrize(
  ('loss', 'learned'),
  [
    ('non_saturating', lambda logit: np.log1p(np.exp(-logit))),
    ('saturating', lambda logit: -np.log1p(np.exp(logit))),
    ('minimax', lambda logit: -np.log1p(np.exp(logit))),
    ('least_squares', lambda logit: (logit - 1) ** 2 / 2),
    ('wasserstein', lambda logit: -logit),
    # Of one sample there is no such loss.
    ('relativistic_paired', lambda logit: -logit),
  ],
)
def test_what_g_minimises_along_x(
  tiny: configs.Config, loss: str, learned: Any
):
  tiny.loss = loss
  _, curves = measured(tiny, normal_game(tiny))
  expected = learned((np.asarray(curves['x'], np.float64) - 4) / 0.5)
  np.testing.assert_allclose(curves['gen_loss'], expected, rtol=1e-4, atol=1e-4)
  assert curves['gen_loss_even'] == pytest.approx(float(learned(0.0)))


def test_no_loss_of_x_where_samples_are_packed(tiny: configs.Config):
  tiny.packing = 2
  _, curves = measured(tiny, normal_game(tiny))
  assert jnp.isnan(curves['gen_loss']).all()


def test_no_loss_of_x_where_g_minimises_terms_alone(tiny: configs.Config):
  spec = normal_game(tiny)._replace(loss=losses.NONE)
  figures, curves = measured(tiny, spec)
  assert jnp.isnan(curves['gen_loss']).all()
  assert 'value' not in figures


@pytest.mark.parametrize('packing', [1, 2])
def test_a_linear_d_is_linear_along_a_path(tiny: configs.Config, packing: int):
  info = sources.Info(kind='images', shape=(4, 4, 1))
  tiny.packing = packing
  spec = build.make_spec(tiny, info)._replace(
    disc=apply_to(lambda batch: batch.x.mean(axis=(1, 2, 3)))
  )
  state = build.init_state(spec, build.make_hyper(tiny), KEY)
  real, fake = jax.random.uniform(KEY, (2, 3 * packing, 4, 4, 1))
  path = laws._path(spec, state.disc, types.Batch(real), types.Batch(fake))
  ends = [
    # Packs are of images a third of the batch apart.
    np.asarray(x).reshape(packing, 3, -1).mean(axis=(0, 2))
    for x in (real, fake)
  ]
  t = np.asarray(path['t'])
  expected = np.outer(ends[0], 1 - t) + np.outer(ends[1], t)
  np.testing.assert_allclose(path['logits'], expected, rtol=1e-5)


def test_a_path_is_judged_under_the_real_images_labels(tiny: configs.Config):
  info = sources.Info(kind='images', shape=(4, 4, 1))
  spec = build.make_spec(tiny, info)._replace(
    disc=apply_to(lambda batch: 1.0 * batch.label)
  )
  state = build.init_state(spec, build.make_hyper(tiny), KEY)
  x = jnp.zeros((2, 4, 4, 1))
  real, fake = types.Batch(x, jnp.array([3, 1])), types.Batch(x)
  path = laws._path(spec, state.disc, real, fake)
  expected = np.broadcast_to([[3], [1]], path['logits'].shape)
  np.testing.assert_array_equal(path['logits'], expected)


def test_the_stamp_says_what_the_figures_depend_on(tiny: configs.Config):
  tiny.eval.num_samples, tiny.packing = 1001, 2
  assert laws.stamp(tiny) == {
    'data': 'normal',
    'num_generated': 1000,
    'total_variation_bins': 120,
    'total_variation_interval': [1.0, 7.0],
  }
  tiny.data.name = 'ring'
  assert laws.stamp(tiny).keys() == {'data', 'num_generated'}
