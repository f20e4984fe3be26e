"""The moving average and the schedules against their closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import fields as configs
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


def test_a_schedule_moves_its_own_number_only(tiny: configs.Config):
  tiny.optim.gen.learning_rate_schedule = configs.Schedule(
    'linear', final=0.0, begin=0, end=10
  )
  hyper = build.make_hyper(tiny)
  now = build.make_schedule(tiny)(hyper, jnp.int32(5))
  changed = {name for name in hyper if now[name] != hyper[name]}
  assert changed == {'optim.gen.learning_rate'}
  assert now['optim.gen.learning_rate'] == pytest.approx(5e-4)
