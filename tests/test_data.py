"""Densities against scipy; batches as a function of (seed, step); digits."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.datasets
from scipy import stats

from gan_jax.config import checks, fields as configs
from gan_jax.data import (
  densities,
  images,
  opening,
  source as sources,
  splits,
)
from gan_jax.engine import build
from gan_jax.metrics import modes

KEY = jax.random.key(0)


class Mixture:
  """The equal mixture of two normals, by scipy's own."""

  parts = (stats.norm(-2, 0.5), stats.norm(2, 0.5))

  def cdf(self, x):
    return sum(part.cdf(x) for part in self.parts) / 2

  def mean(self):
    return 0.0

  def std(self):
    return np.sqrt(4.25)


LAWS = {
  'normal': stats.norm(4, 0.5),
  'uniform': stats.uniform(),
  'exponential': stats.expon(),
  'laplace': stats.laplace(),
  'mixture': Mixture(),
  'beta': stats.beta(2, 5),
}


@pytest.mark.parametrize('name', densities.DENSITIES)
def test_density_against_scipy(name: str):
  ours, scipys = densities.DENSITIES[name], LAWS[name]
  low, high = ours.interval
  x = np.linspace(low - 0.5, high + 0.5, 1001)
  # The edges of a bounded support belong to either side.
  x = x[(np.abs(x - low) > 1e-3) & (np.abs(x - high) > 1e-3)]
  f32 = jnp.asarray(x, jnp.float32)
  np.testing.assert_allclose(ours.cdf(f32), scipys.cdf(x), atol=3e-6)
  assert ours.mean[0] == pytest.approx(scipys.mean(), abs=1e-6)
  assert ours.std[0] == pytest.approx(scipys.std(), rel=1e-6)
  assert scipys.cdf(high) - scipys.cdf(low) > 1 - 5e-6
  samples = np.asarray(ours.sample(KEY, 20_000))
  assert samples.shape == (20_000, 1)
  assert stats.kstest(samples[:, 0], scipys.cdf).pvalue > 1e-3


@pytest.mark.parametrize('name', densities.POINTS)
def test_points_have_the_moments_they_claim(name: str):
  law = densities.POINTS[name]
  x = np.asarray(law.sample(KEY, 200_000))
  np.testing.assert_allclose(x.mean(axis=0), law.mean, atol=0.02)
  np.testing.assert_allclose(x.std(axis=0), law.std, rtol=0.01)


def test_pacgans_mixtures():
  ring, grid = densities.POINTS['ring'], densities.POINTS['grid']
  assert ring.modes is not None
  assert grid.modes is not None
  assert (len(ring.modes), ring.mode_std) == (8, 0.01)
  assert (len(grid.modes), grid.mode_std) == (25, 0.05)
  np.testing.assert_allclose(np.linalg.norm(ring.modes, axis=1), 1, rtol=1e-6)
  assert np.abs(grid.modes).max() == 4
  x = np.asarray(grid.sample(KEY, 50_000))
  off = x - np.round(x / 2) * 2
  assert off.std() == pytest.approx(0.05, rel=0.02)


def test_swiss_roll_is_a_spiral_of_two_turns():
  law = densities.POINTS['swiss_roll']
  t = np.linspace(np.pi / 2, 9 * np.pi / 2, 400_001)
  arm = t[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1) / t[-1]
  np.testing.assert_allclose(law.mean, arm.mean(axis=0), atol=1e-4)
  spread = np.sqrt(arm.var(axis=0) + 0.03**2)
  np.testing.assert_allclose(law.std, spread, rtol=1e-4)
  x = np.asarray(law.sample(KEY, 2000))
  nearest = np.abs(x[:, None] - arm[::1000]).max(axis=2).min(axis=1)
  # Noise of .03 in each direction; all lengths of the arm are there.
  assert (nearest < 4 * 0.03).all()
  radius = np.histogram(np.linalg.norm(x, axis=1), 8, (1 / 9, 1))[0] / 2000
  np.testing.assert_allclose(radius, 1 / 8, atol=0.035)


@pytest.mark.parametrize('n', [1, 2, 5, 16, 17, 1000, 4097])
def test_permute_is_a_permutation(n: int):
  index = jnp.arange(n, dtype=jnp.uint32)
  key = jnp.broadcast_to(jax.random.bits(KEY, (8,))[:, None], (8, n))
  out = np.asarray(sources.permute(index, key, n))
  assert sorted(out.tolist()) == list(range(n))
  if n >= 1000:
    # As a shuffle: neighbours are unrelated, few points are fixed.
    assert abs(np.corrcoef(np.arange(n), out)[0, 1]) < 0.1
    assert (out == np.arange(n)).sum() < 8


@pytest.mark.parametrize(('size', 'n'), [(4, 12), (5, 12), (30, 12), (7, 7)])
def test_every_epoch_sees_every_example_once(size: int, n: int):
  rows = functools.partial(sources.batch_indices, size=size, n=n)
  stream = np.asarray(
    jax.jit(jax.vmap(rows, in_axes=(None, 0)))(KEY, jnp.arange(3 * n))
  ).reshape(-1)
  epochs = stream.reshape(-1, n)
  assert (np.sort(epochs, axis=1) == np.arange(n)).all()
  # Another order in each epoch, and another with another seed.
  assert len({tuple(epoch) for epoch in epochs}) > 0.9 * len(epochs)
  other = rows(jax.random.key(1), jnp.int32(0))
  assert tuple(other.tolist()) != tuple(stream[:size].tolist())


def test_positions_are_uniform_over_keys():
  """Chi-square of where example 0 of 10 goes over 2,000 keys."""
  keys = jax.random.bits(KEY, (8, 2000))
  where = sources.permute(jnp.zeros(2000, jnp.uint32), keys, 10)
  assert stats.chisquare(np.bincount(where, minlength=10)).pvalue > 1e-3


def test_no_overflow_late_in_a_long_run():
  """Step 50 million of batches of 1,024 from a million examples."""
  step, size, n = 50_000_000, 1024, 1_000_003
  first = step * size  # Beyond 2^32, in Python's integers.
  epochs = (first + np.arange(size)) // n
  rows = sources.batch_indices(KEY, jnp.int32(step), size=size, n=n)
  assert len(set(epochs.tolist())) == 1
  assert len(set(rows.tolist())) == size


def digits_config(**data: object) -> configs.Config:
  config = configs.Config(batch_size=16)
  config.data = configs.Data(name='digits', **data)  # type: ignore[arg-type]
  return config


def test_digits_are_scikit_learns():
  source = build.make_source(digits_config(), KEY)
  assert source.info.shape == (8, 8, 1)
  assert source.info.num_examples == 1797
  assert source.info.class_names == tuple('0123456789')
  pixels, labels = source.chunk(0, 1)
  original = sklearn.datasets.load_digits()
  np.testing.assert_array_equal(labels, original.target)
  np.testing.assert_allclose(
    np.asarray(pixels) / 255 * 16, original.data, atol=0.05
  )
  batch = source.batch(source.chunk(0, 1), KEY, jnp.int32(0))
  assert batch.x.dtype == jnp.float32
  assert batch.x.min() == -1
  assert batch.x.max() == 1
  marginals = original.images.mean(axis=0) / 8 - 1
  np.testing.assert_allclose(source.marginals[..., 0], marginals, atol=0.01)


@pytest.mark.parametrize(
  'data',
  [
    {},
    {'flip': True},
    {'flip': True, 'stack': 3},
    {'dequantise': True, 'stack': 3},
  ],
)
def test_streamed_batches_are_the_resident_ones(data: dict[str, Any]):
  resident = build.make_source(digits_config(**data), KEY)
  streamed = build.make_source(digits_config(device_limit_gb=0.0, **data), KEY)
  from_resident, from_streamed = (
    jax.jit(resident.batch),
    jax.jit(streamed.batch),
  )
  for first in (0, 4, 8, 40):  # In order, then a jump as after a resume.
    arrays = streamed.chunk(first, 4)
    for step in range(first, first + 4):
      a = from_resident(resident.chunk(0, 1), KEY, jnp.int32(step))
      b = from_streamed(arrays, KEY, jnp.int32(step))
      np.testing.assert_array_equal(a.x, b.x)
      np.testing.assert_array_equal(a.label, b.label)
  np.testing.assert_array_equal(resident.marginals, streamed.marginals)


def test_dequantised_values_are_between_two_of_8_bits():
  """SNGAN's x / 128 - 1 + U(0, 1 / 128), drawn anew at each step."""
  config = digits_config(dequantise=True)
  config.batch_size = 512
  noisy = build.make_source(config, KEY)
  assert noisy.about.endswith(', dequantised')
  config.data.dequantise = False
  plain = build.make_source(config, KEY)
  parts = []
  for step in (3, 4):
    x = noisy.batch(noisy.chunk(0, 1), KEY, jnp.int32(step)).x
    y = plain.batch(plain.chunk(0, 1), KEY, jnp.int32(step)).x
    assert x.dtype == jnp.float32
    assert -1 <= x.min() < x.max() < 1
    parts.append(np.asarray((x + 1) * 128 - jnp.round((y + 1) * 127.5)))
  assert -1e-4 < np.min(parts) < 1e-3
  assert 0.999 < np.max(parts) < 1 + 1e-4
  assert stats.kstest(parts[0].ravel(), 'uniform').pvalue > 1e-3
  assert np.abs(np.corrcoef(*(x.ravel() for x in parts))[0, 1]) < 0.02


@pytest.mark.parametrize('name', ['flip', 'dequantise'])
def test_densities_have_no_pixels(tiny: configs.Config, name: str):
  setattr(tiny.data, name, True)
  with pytest.raises(ValueError, match=f"data.{name}=True: data.name='normal'"):
    build.make_source(tiny, KEY)


def test_flips_are_half():
  config = digits_config(flip=True)
  config.batch_size = 512
  flipped = build.make_source(config, KEY)
  config.data.flip = False
  plain = build.make_source(config, KEY)
  (x,) = flipped.batch(flipped.chunk(0, 1), KEY, jnp.int32(3)).x
  (y,) = plain.batch(plain.chunk(0, 1), KEY, jnp.int32(3)).x
  same = np.asarray((x == y).all(axis=(1, 2, 3)))
  mirrored = np.asarray((x == y[:, :, ::-1]).all(axis=(1, 2, 3)))
  assert (same | mirrored).all()
  assert 0.4 < mirrored.mean() < 0.6


def test_stacks_are_of_images_and_their_labels():
  """Every channel is an image of the set; the label's digits are theirs."""
  config = digits_config(stack=3)
  config.conditional = True
  source = build.make_source(config, KEY)
  assert source.info.shape == source.marginals.shape == (8, 8, 3)
  pixels, labels = source.chunk(0, 1)
  images = np.asarray(pixels)
  known: dict[bytes, set[int]] = {}
  for image, label in zip(images, labels.tolist(), strict=True):
    known.setdefault(image.tobytes(), set()).add(label)
  seen = []
  for step in range(3):
    (x,), (label,) = source.batch((pixels, labels), KEY, jnp.int32(step))
    assert x.shape == (16, 8, 8, 3)
    grey = np.asarray(((x + 1) * 127.5).round(), np.uint8)
    for stack, number in zip(grey, label.tolist(), strict=True):
      for i, digit in enumerate(f'{number:03d}'):
        image = np.ascontiguousarray(stack[..., i]).tobytes()
        assert int(digit) in known[image]
        seen.append(image)
  # No image comes twice in an epoch, but for copies in the set itself.
  assert len(set(seen)) > 0.99 * len(seen)


def test_stacks_have_a_thousand_modes_alike():
  """Of N draws the divergence from uniform is about (K - 1) / (2 N)."""
  config = digits_config(stack=3)
  config.batch_size, config.conditional = 26_000, True
  source = build.make_source(config, KEY)
  _, label = source.batch(source.chunk(0, 1), KEY, jnp.int32(0))
  found = modes.coverage_of(np.bincount(label[0], minlength=1000))
  assert found.modes == 1000
  assert found.reverse_kl == pytest.approx(999 / 52_000, rel=0.1)


def test_stacks_are_of_grey_images_alone():
  with pytest.raises(ValueError, match='stacks are made of grey images'):
    build.make_source(digits_config(stack=3, channels=3), KEY)
  config = configs.Config()
  config.data.stack = 3
  with pytest.raises(ValueError, match='stacks are made of images'):
    build.make_source(config, KEY)
  config.data.stack = 2
  with pytest.raises(ValueError, match='must be 1 or 3'):
    checks.validate(config)


def test_a_fixed_set_of_points():
  config = configs.Config(batch_size=10)
  config.data = configs.Data(name='ring', num_points=20)
  source = build.make_source(config, KEY)
  x = np.concatenate(
    [
      source.batch(source.chunk(0, 1), KEY, jnp.int32(step)).x[0]
      for step in (0, 1)
    ]
  )
  y = np.concatenate(
    [
      source.batch(source.chunk(0, 1), KEY, jnp.int32(step)).x[0]
      for step in (2, 3)
    ]
  )
  np.testing.assert_array_equal(np.sort(x, axis=0), np.sort(y, axis=0))


def test_streamed_sets_have_the_fingerprint_that_metrics_look_for(
  monkeypatch: pytest.MonkeyPatch,
):
  """Of more than 10,000 images too, and wherever they differ."""
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (12_050, 2, 2, 1), np.uint8)
  labels = rng.integers(0, 2, 12_050).astype(np.int32)
  found = images.in_memory(pixels, labels, ('a', 'b', 'c'))
  monkeypatch.setattr(images, '_BLOCK', 4 * 999)
  monkeypatch.setattr(opening, 'open_images', lambda *_, **__: found)
  config = digits_config(device_limit_gb=0.0)
  streamed = build.make_source(config, KEY).info
  assert opening.open_split(config.data, 'train')[1] == streamed.fingerprint
  config.data.device_limit_gb = 1.0
  assert build.make_source(config, KEY).info == streamed
  known = {streamed.fingerprint}
  for changed in (pixels[12_001], labels[12_002:12_003]):
    changed += 1
    known.add(build.make_source(config, KEY).info.fingerprint)
  assert len(known) == 3


def test_slices_of_digits_are_disjoint_and_whole():
  whole = opening.open_images(digits_config().data, 'train')
  parts = [
    opening.open_images(digits_config().data, split)
    for split in ('train[:90%]', 'train[90%:]')
  ]
  assert [part.total for part in parts] == [1617, 180]

  def rows(part: images.ImageSet) -> list[bytes]:
    return sorted(image.tobytes() for image in part.fetch(range(part.total))[0])

  assert sorted(rows(parts[0]) + rows(parts[1])) == rows(whole)
  # Of all classes, though the set has an order of its own.
  assert parts[1].labels is not None
  assert np.bincount(parts[1].labels, minlength=10).min() > 8


def test_slices_of_rows_are_shuffled():
  """Sets without names often come class by class."""
  rows = splits.by_row(10_000, 'train[90%:]')
  assert len(rows) == 1000
  # Uniform: of standard deviation 2,887, and 91 of their mean.
  assert abs(rows.mean() - 5000) < 5 * 91
  assert abs(rows.std() - 2887) < 300


def test_what_is_said_of_a_law():
  config = configs.Config(batch_size=4)
  said = build.make_source(config, KEY).about
  assert said == 'normal, drawn afresh at every step'
  config.data = configs.Data(name='ring', num_points=2000)
  assert build.make_source(config, KEY).about == '2,000 points of ring'
