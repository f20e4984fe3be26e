"""Averages of several lengths, and those that are made of them."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import checks, fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import posthoc, sampling
from gan_jax.run import members, train, trained
from gan_jax.storage import averages


def test_exponents_are_the_papers():
  """Karras et al. 2024, section 3.1: 16.97 and 6.94."""
  assert posthoc.exponent(0.05) == pytest.approx(16.97, abs=0.005)
  assert posthoc.exponent(0.1) == pytest.approx(6.94, abs=0.005)
  gamma = posthoc.exponent(0.2)
  share = (gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3))
  assert share == pytest.approx(0.2**2)


def followed(walk: np.ndarray, lengths: tuple[float, ...]) -> dict[str, Any]:
  """The averages after each step, `[N, D]` each, from a start to forget."""

  def step(old: Any, now: Any) -> Any:
    new = posthoc.follow(old, *now)
    return new, new

  start = posthoc.init(lengths, jnp.full(walk.shape[1:], 1e6))
  numbers = jnp.arange(1, len(walk) + 1, dtype=jnp.int32)
  _, each = jax.lax.scan(step, start, (jnp.asarray(walk), numbers))
  return {name: np.asarray(x, np.float64) for name, x in each.items()}


def random_walk(steps: int) -> np.ndarray:
  rng = np.random.default_rng(0)
  return rng.normal(size=(steps, 8)).cumsum(axis=0).astype(np.float32)


def test_an_average_has_a_power_for_its_profile():
  walk = random_walk(300)
  each = followed(walk, (0.05, 0.2))
  for length in (0.05, 0.2):
    power = posthoc.exponent(length) + 1
    ends = (np.arange(301) / 300) ** power
    expected = np.diff(ends) @ walk.astype(np.float64)
    got = each[posthoc.name(length)][-1]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_a_stored_average_comes_back():
  stored = [(step, x) for step in (100, 250, 700) for x in (0.05, 0.1)]
  for i, (step, length) in enumerate(stored):
    fit = posthoc.coefficients(stored, step, length)
    np.testing.assert_allclose(fit.coefficients, np.eye(6)[i], atol=1e-9)
    assert fit.misfit < 1e-6


@pytest.mark.parametrize('length', [0.03, 0.07, 0.15])
def test_another_length_is_that_of_the_direct_average(length: float):
  """Of a random walk, whose size is beside the error; and the misfit's."""
  walk = random_walk(4000)
  each = followed(walk, (0.05, 0.1, length))
  errors = []
  for every in (400, 100):
    steps = range(every, 4001, every)
    stored = [(step, x) for step in steps for x in (0.05, 0.1)]
    fit = posthoc.coefficients(stored, 4000, length)
    made = sum(
      share * each[posthoc.name(x)][step - 1]
      for share, (step, x) in zip(fit.coefficients, stored, strict=True)
    )
    away = made - each[posthoc.name(length)][-1]
    errors.append(np.abs(away).max() / walk.std())
    # The misfit by a sum over fine times.
    times = (np.arange(400_000) + 0.5) / 100

    def profile(step: int, length: float, times: np.ndarray = times) -> Any:
      gamma = posthoc.exponent(length)
      return (gamma + 1) / step * (times / step) ** gamma * (times < step)

    wanted = profile(4000, length)
    found = sum(
      share * profile(*own)
      for share, own in zip(fit.coefficients, stored, strict=True)
    )
    distance = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    assert fit.misfit == pytest.approx(distance, rel=0.01, abs=1e-4)
  assert errors[1] < errors[0] / 10
  assert errors[1] < 1e-3


MISTAKES = [
  ('a,.1', None, "ema.posthoc='a,.1': must be numbers"),
  ('.3', None, 'ema.posthoc=0.3: must be above 0 and below 0.2887'),
  ('.1,.10', None, "ema.posthoc='.1,.10': has a length twice"),
  ('.1', 0.05, "eval.ema_length=0.05: must be one of ema.posthoc='.1'"),
]


@pytest.mark.parametrize(('lengths', 'asked', 'message'), MISTAKES)
def test_mistakes(
  tiny: configs.Config, lengths: str, asked: float | None, message: str
):
  tiny.ema.posthoc, tiny.eval.ema_length = lengths, asked
  tiny.ema.posthoc_every = 4
  checks.validate(tiny)
  info = sources.Info('density', (1,), (0.0,), (1.0,))
  with pytest.raises(ValueError, match=message):
    build.make_spec(tiny, info)


def test_they_are_stored_where_a_chunk_ends(tiny: configs.Config):
  tiny.ema.posthoc, tiny.ema.posthoc_every = '.1', 6
  with pytest.raises(ValueError, match='posthoc_every=6: must be a multiple'):
    checks.validate(tiny)
  tiny.ema.posthoc = ''
  checks.validate(tiny)


def leaves(tree: Any) -> list[np.ndarray]:
  return list(map(np.asarray, jax.tree.leaves(tree)))


def test_a_run_and_its_member(
  tiny: configs.Config, tmp_path: pathlib.Path, capsys: Any
):
  """Lengths after training are those that training would have kept."""
  tiny.steps, tiny.log_every, tiny.ema.posthoc_every = 48, 4, 4
  tiny.checkpoint.every = tiny.eval.every = 24
  tiny.ema.posthoc, tiny.eval.ema_length = '0.05,0.08,0.1', 0.08
  tiny.population.seeds = 2
  train.train(tiny, tmp_path / 'two')
  members.export_member(tmp_path / 'two', 1, tmp_path / 'one')
  for workdir, member in ((tmp_path / 'two', 1), (tmp_path / 'one', None)):
    kept = trained.load(workdir, member=member)
    direct = kept.state.memory['posthoc']['0.08']
    looked, _ = sampling.eval_generator(kept.spec, kept.state, ema=True)
    assert looked is direct
    # As though it were not kept.
    for path in (workdir / 'averages').iterdir():
      with np.load(path) as file:
        arrays = {n: file[n] for n in file if not n.startswith('0.08/')}
      np.savez(path, **arrays)
    memory = dict(kept.state.memory['posthoc'])
    del memory['0.08']
    state = kept.state._replace(memory={'posthoc': memory})
    made, about = averages.reconstruct(workdir, state, 0.08, member)
    assert 'of 24 stored averages' in about
    for a, b, now in zip(
      leaves(made), leaves(direct), leaves(kept.state.gen.params), strict=True
    ):
      assert np.abs(a - b).max() < 0.02 * np.abs(b - now).max()
  bare = state._replace(memory={})
  with pytest.raises(ValueError, match=r'ema_length=0.1: .*no averages'):
    averages.reconstruct(workdir, bare, 0.1)
  run = trained.load(tmp_path / 'one', ema_length=0.2)
  assert 'ema_length=0.2: of 36 stored' in capsys.readouterr().err
  assert run.spec.ema_length == 0.2
  # With all digits it is the same run, though 0.2 is none of ema.posthoc.
  run.config.precision = 'bfloat16'
  exact = trained.in_float32(run)
  assert exact.config.precision == 'float32'
  assert exact.config.matmul_precision == 'highest'
  assert exact.config.eval.ema_length == exact.spec.ema_length == 0.2
  for a, b in zip(
    *(leaves(trained.generator(each)) for each in (run, exact)), strict=True
  ):
    np.testing.assert_array_equal(a, b)
  assert run.config.precision == 'bfloat16'
  with pytest.raises(ValueError, match='give one of them'):
    trained.load(tmp_path / 'one', ema=False, ema_length=0.2)
  (tmp_path / 'one' / 'averages' / '8.npz').write_bytes(b'PK')
  with pytest.raises(ValueError, match=r'8\.npz: is damaged'):
    trained.load(tmp_path / 'one', ema_length=0.2)
