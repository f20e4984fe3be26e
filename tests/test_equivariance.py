"""Figures of equivariance: the authors' operators, and whole generators."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import make_stylegan3_fixture as fixture
import numpy as np
import pytest

from experiments import recipes
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.evaluation import equivariance as measured
from gan_jax.metrics import equivariance
from gan_jax.networks import stylegan3

KEY = jax.random.key(0)


@pytest.fixture(scope='module')
def kept() -> dict[str, np.ndarray]:
  with np.load(fixture.PATH) as file:
    return dict(file)


def operators(x: jax.Array) -> dict[str, equivariance.Masked]:
  """By the fixture's names."""
  found = {
    'whole': equivariance.translated(x, jnp.array(fixture.WHOLE)),
    'part': equivariance.translated(
      x, jnp.array(fixture.PART), fractional=True
    ),
  }
  for i, angle in enumerate(map(jnp.float32, fixture.ANGLES)):
    found[f'turned{i}'] = equivariance.rotated(x, angle)
    found[f'pseudo{i}'] = equivariance.pseudo_rotated(x, angle)
  return found


def test_operators_of_the_authors_code(kept: dict[str, np.ndarray]):
  """Shifts, rotations, and filters in their place, with their masks."""
  side = fixture.EQ_SIDE
  x = jnp.asarray(fixture.draw('eq', 1, 1, side, side)).reshape(
    1, side, side, 1
  )
  for name, (image, mask) in jax.jit(operators)(x).items():
    expected = kept[f'eq/{name}/mask']
    assert 0 < expected.sum() < side**2, name
    np.testing.assert_array_equal(mask, expected, err_msg=name)
    error = np.abs(image[0, :, :, 0] - kept[f'eq/{name}/x']).max()
    assert error < 1e-4, (name, error)


def test_decibels_by_hand():
  """Of pixels that both have: images span 2, so that .02 is 40 dB."""
  x = jnp.zeros((2, 4, 4, 3))
  y = x.at[:, :2].set(0.02).at[:, 2:].set(100.0)
  upper = jnp.zeros((4, 4)).at[:2].set(1.0)
  squares, count = equivariance.difference((x, upper), equivariance.whole(y))
  assert count == 2 * 2 * 4 * 3
  sums = equivariance.Sums()
  assert math.isnan(equivariance.result(sums))
  for _ in range(2):
    sums = equivariance.update(sums, float(squares), float(count))
  assert equivariance.result(sums) == pytest.approx(40, abs=1e-3)
  assert equivariance.result(equivariance.Sums(0.0, 3.0)) == math.inf


def game(**net: Any) -> configs.Config:
  config = configs.Config()
  recipes.use_stylegan3(config, gamma=1.0)
  config.batch_size, config.gen.latent_dim = 4, 5
  config.gen.net = stylegan3.GenSettings(
    width=6, channel_base=64, w_dim=6, depth=1, layers=3, critical=1, **net
  )
  return config


INFO = sources.Info(kind='images', shape=(32, 32, 3))


def test_configurations_of_stylegan3():
  """Both move with their input, and the second turns with it, too."""
  found = {}
  for name, net in (('t', {}), ('r', {'kernel': 1, 'radial': True})):
    config = game(**net)
    spec = build.make_spec(config, INFO)
    generator = jax.jit(spec.gen.init)(KEY)
    found[name] = measured.measure(config, spec, 32, generator, KEY, 4)
  t, r = found['t'], found['r']
  assert list(t) == ['eq_t', 'eq_t_frac', 'eq_r']
  assert min(t['eq_t'], r['eq_t'], t['eq_t_frac'], r['eq_t_frac']) > 40, found
  assert r['eq_r'] > t['eq_r'] + 10, found


def test_other_networks_are_refused():
  config = configs.Config()
  spec = build.make_spec(config, INFO)
  message = "gen.name='mlp': its input cannot be moved or turned; that of"
  with pytest.raises(ValueError, match=message):
    measured.check(config, spec)
