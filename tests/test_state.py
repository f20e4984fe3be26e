"""The moving average and the schedules against their closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import fields as configs, values
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import schedules, state as states


@pytest.mark.parametrize('decay', [0.0, 0.5, 0.999, 1 - 1e-6])
def test_debiased_ema_is_the_weighted_mean(decay: float):
  """sum_i d^(n-i) x_i / sum_i d^(n-i), in float64; the start has no weight."""
  values = np.random.default_rng(0).normal(size=50)
  average = jnp.float32(1e6)  # A start that would be seen.
  log_decay = jnp.float32(np.log(decay) if decay else -np.inf)
  for n, value in enumerate(values, 1):
    average = states.debiased_ema(
      average, jnp.float32(value), log_decay, jnp.int32(n)
    )
    weights = np.power(decay, np.arange(n)[::-1])
    expected = (weights * values[:n]).sum() / weights.sum()
    assert average == pytest.approx(expected, abs=2e-5)


def test_schedules():
  base, final = jnp.float32(1.0), jnp.float32(0.2)

  def at(shape: schedules.Shape, step: int) -> float:
    return float(
      schedules.ramp(shape, base, final, jnp.int32(step), begin=10, end=20)
    )

  for shape in (schedules.linear, schedules.cosine):
    assert at(shape, 0) == at(shape, 10) == 1.0
    assert at(shape, 15) == pytest.approx(0.6)
    assert at(shape, 20) == at(shape, 99) == pytest.approx(0.2)
  assert at(schedules.linear, 12) == pytest.approx(0.84)
  # .2 + .8 (1 + cos(pi / 5)) / 2.
  assert at(schedules.cosine, 12) == pytest.approx(0.9236068)


def test_the_2014_decay():
  """Division by 1.000004 at each update, over many updates."""
  rate = jnp.float32(np.log(1.000004))
  value = schedules.exponential(
    jnp.float32(0.1), jnp.float32(1e-6), rate, jnp.int32(500_000)
  )
  assert value == pytest.approx(0.1 / 1.000004**500_000, rel=1e-4)
  floor = schedules.exponential(
    jnp.float32(0.1), jnp.float32(1e-6), rate, jnp.int32(5_000_000)
  )
  assert floor == pytest.approx(1e-6)


def moved(config: configs.Config, name: str, step: int) -> float:
  now = build.make_schedule(config)(build.make_hyper(config), jnp.int32(step))
  return float(now[name])


def test_a_schedule_moves_its_own_number_only(tiny: configs.Config):
  tiny.schedules['optim.gen.learning_rate'] = configs.Schedule(end=10)
  hyper = build.make_hyper(tiny)
  now = build.make_schedule(tiny)(hyper, jnp.int32(5))
  changed = {name for name in hyper if now[name] != hyper[name]}
  assert changed == {'optim.gen.learning_rate'}
  assert now['optim.gen.learning_rate'] == pytest.approx(5e-4)


@pytest.mark.parametrize('name', values.swept(configs.Config()))
def test_every_number_of_the_step_can_move(tiny: configs.Config, name: str):
  """Half a cosine from its own value, in float64; in samples as in steps."""
  values.assign(tiny, name, 0.5)
  tiny.schedules[name] = configs.Schedule('cosine', 0.25, begin=10, end=30)
  expected = 0.25 + 0.25 * (1 + np.cos(np.pi * 0.35)) / 2
  assert moved(tiny, name, 17) == pytest.approx(expected)
  # A step is 8 x 3 samples.
  tiny.packing = 3
  tiny.schedules[name] = configs.Schedule(
    'cosine', 0.25, begin=240, end=720, unit='samples'
  )
  assert moved(tiny, name, 17) == pytest.approx(expected)


def test_more_samples_than_an_int32_counts(tiny: configs.Config):
  """R3GAN's on ImageNet: batches of 4,096, a burn-in of 200 million."""
  tiny.batch_size = 4096
  tiny.schedules['ema.half_life'] = configs.Schedule(
    'linear', 32.0 + 5e9, end=5_000_000_000, unit='samples'
  )
  for step in (0, 48_828, 1_000_000):
    expected = pytest.approx(32 + 4096 * step, rel=1e-6)
    assert moved(tiny, 'ema.half_life', step) == expected


def test_an_exponential_schedule(tiny: configs.Config):
  name = 'penalties.r1.weight'
  tiny.penalties.r1.weight = 2.0
  for unit, rate, begin in (('steps', 0.08, 10), ('samples', 0.01, 80)):
    tiny.schedules[name] = configs.Schedule(
      'exponential', 0.1, begin=begin, rate=rate, unit=unit
    )
    assert moved(tiny, name, 10) == 2.0
    assert moved(tiny, name, 20) == pytest.approx(2 * np.exp(-0.8))
    assert moved(tiny, name, 1000) == pytest.approx(0.1)


def test_edm2s_learning_rate(tiny: configs.Config):
  """As its code has it, for R3GAN's second version on CIFAR-10."""
  tiny.optim.gen.learning_rate, tiny.batch_size = 1e-2, 512
  name = 'optim.gen.learning_rate'
  tiny.schedules[name] = configs.Schedule(
    'inverse_sqrt', 1e-4, begin=512_000, ramp=1_000_000, unit='samples'
  )
  for step in (0, 500, 1000, 1500, 5000, 400_000):
    seen = 512 * step
    rate = 1e-2 / np.sqrt(max(seen / 512_000, 1)) * min(seen / 1e6, 1)
    assert moved(tiny, name, step) == pytest.approx(rate)
  assert moved(tiny, name, 400_000_000) == pytest.approx(1e-4)


def test_a_cosine_that_goes_on_falling(tiny: configs.Config):
  """From .01 to .001 in 20 million samples, then by their root."""
  tiny.optim.gen.learning_rate, tiny.batch_size = 1e-2, 256
  name = 'optim.gen.learning_rate'
  tiny.schedules[name] = configs.Schedule(
    'cosine_inverse_sqrt', 1e-3, end=20_000_000, unit='samples'
  )
  assert moved(tiny, name, 0) == pytest.approx(1e-2)
  way = np.cos(np.pi * 256 * 30_000 / 2e7)
  expected = 1e-3 + (1e-2 - 1e-3) * (1 + way) / 2
  assert moved(tiny, name, 30_000) == pytest.approx(expected)
  assert moved(tiny, name, 78_125) == pytest.approx(1e-3)
  assert moved(tiny, name, 4 * 78_125) == pytest.approx(5e-4)


def test_a_term_that_only_begins_at_nothing_is_there(tiny: configs.Config):
  info = sources.Info(kind='density', shape=(1,), mean=(0.0,), std=(1.0,))
  assert not build.make_spec(tiny, info).terms.disc
  tiny.schedules['penalties.r1.weight'] = configs.Schedule('linear', 1.0, end=9)
  assert build.make_spec(tiny, info).terms.disc.keys() == {'r1'}
