"""The generator and D in evaluation mode, block by block."""

import functools

import jax
import numpy as np
import pytest

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import sampling, spec as specs, state as states
from gan_jax.networks import mlp
from gan_jax.ops import cpu

LINE = sources.Info(kind='density', shape=(1,), mean=(4.0,), std=(0.5,))
IMAGES = sources.Info(kind='images', shape=(4, 4, 1))


def start(
  config: configs.Config, info: sources.Info
) -> tuple[specs.Spec, states.GanState]:
  spec, hyper = build.make_spec(config, info), build.make_hyper(config)
  init = jax.jit(functools.partial(build.init_state, spec))
  return spec, init(hyper, jax.random.key(0))


@pytest.mark.parametrize('size', [5, 6, 64])
def test_blocks_change_nothing(
  tiny: configs.Config, size: int, monkeypatch: pytest.MonkeyPatch
):
  """With what is left over and without; packs are made before."""
  tiny.packing = 2
  spec, state = start(tiny, LINE)
  latent = types.Latent(jax.random.uniform(jax.random.key(0), (24, 1)))
  x = sampling.sample(spec, state.gen.params, state.gen.vars, latent)
  logits = sampling.judge(spec, state.disc, x)
  monkeypatch.setattr(cpu, 'BLOCK_SAMPLES', size)
  again = sampling.sample(spec, state.gen.params, state.gen.vars, latent)
  np.testing.assert_allclose(again.x, x.x, rtol=1e-6)
  again = sampling.judge(spec, state.disc, x)
  np.testing.assert_allclose(again, logits, 1e-5)


def test_a_sampler_draws_what_its_key_says(tiny: configs.Config):
  """Whole blocks and a rest; from a block on, fewer are the first of more."""
  spec, state = start(tiny, LINE)
  key = jax.random.key(3)

  def draw(num: int, key: jax.Array) -> list[np.ndarray]:
    sampler = sampling.Sampler(spec, num, ema=True)
    return [batch.x for batch in sampler.samples(state, key)]

  blocks = draw(2500, key)
  assert [len(block) for block in blocks] == [1000, 1000, 500]
  many, few = np.concatenate(blocks), np.concatenate(draw(1200, key))
  assert len(np.unique(many)) > 2400
  np.testing.assert_array_equal(few, many[:1200])
  others = np.concatenate(draw(1200, jax.random.key(4)))
  assert not (others == few).any()


@pytest.mark.parametrize('groups', [1, 2])
def test_standing_statistics_are_those_of_the_averaged_generator(groups: int):
  """The means of those of 100 batches, before the first normalisation."""
  config = configs.Config(batch_size=64)
  config.gen.latent_dim = 3
  config.packing = groups
  # As it were the running averages would be the first ones for ever.
  config.gen.net = mlp.GenSettings(
    width=8, depth=1, batch_norm=True, norm_groups=groups, norm_momentum=0.999
  )
  spec, state = start(config, IMAGES)
  other = jax.tree.map(lambda p: 2 * p + 0.1, state.gen.params)
  state = state._replace(gen_ema=other)
  params, vars = sampling.eval_generator(spec, state, ema=True)
  dense = params['Dense_0']
  z = [
    spec.latent(jax.random.split(key)[0], spec.batch_samples).z
    for key in jax.random.split(jax.random.key(0), 100)
  ]
  # `[100, groups, samples, units]`.
  h = jax.numpy.stack(z).reshape(100, groups, 64, 3) @ dense['kernel']
  h += dense['bias'][None, None, None]
  (stats,) = vars['batch_stats'].values()
  np.testing.assert_allclose(stats['mean'], h.mean((0, 1, 2)), atol=1e-5)
  np.testing.assert_allclose(stats['var'], h.var(2).mean((0, 1)), rtol=1e-3)


def test_samples_by_the_statistics_of_their_own_batch(tiny: configs.Config):
  """Batches of a step's size, each as training sees it; the rest is filled."""
  tiny.batch_size, tiny.packing = 4, 2
  tiny.gen.net = {'batch_norm': True, 'norm_groups': 2}
  tiny.eval.batch_stats = True
  spec, state = start(tiny, LINE)
  z = jax.random.uniform(jax.random.key(0), (19, 1))
  found = sampling.sample(
    spec, state.gen.params, state.gen.vars, types.Latent(z)
  )
  assert found.x.shape == (19, 1)
  for first in (0, 8):
    x, _ = spec.gen.apply(
      state.gen.params,
      state.gen.vars,
      types.Latent(z[first : first + 8]),
      key=jax.random.key(1),
      mode=types.TRAIN,
    )
    expected = spec.to_data(x)
    np.testing.assert_allclose(found.x[first : first + 8], expected, rtol=1e-5)
  # A sampler makes whole batches, whatever is asked of the last.
  few, many = (
    np.concatenate(
      [batch.x for batch in sampler.samples(state, jax.random.key(2))]
    )
    for sampler in (sampling.Sampler(spec, num, ema=False) for num in (19, 24))
  )
  np.testing.assert_array_equal(few, many[:19])


def test_own_statistics_need_a_network_that_has_some(tiny: configs.Config):
  tiny.eval.batch_stats = True
  message = "eval.batch_stats=True: gen.name='mlp' has no batch normalisation"
  with pytest.raises(ValueError, match=message):
    start(tiny, LINE)
