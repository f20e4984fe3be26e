"""Latents that D drives (DDLS), against laws and steps in closed form."""

import functools
import json
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from experiments import chosen
from gan_jax import types
from gan_jax.config import checks, fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.evaluation import evaluator, laws
from gan_jax.game import langevin, sampling, spec as specs, state as states
from gan_jax.networks import stylegan2
from gan_jax.ops import cpu
from gan_jax.run import trained
from tests import test_experiments as programs
from tests.test_laws import KEY, LINE, apply_to, measured, normal_game

# Standard errors that a moment of independent chains may be away.
ERRORS = 5


def keys(n: int) -> jax.Array:
  return jax.random.split(jax.random.key(1), n)


def chains(
  settings: langevin.Settings, *, curve: float = 0.0, n: int = 20_000
) -> np.ndarray:
  """Ends `[n]` of chains from 0 on the line, with d(G(z)) = -curve z^2 / 2."""

  def logit(z: jax.Array) -> jax.Array:
    return -curve * jnp.square(z[:, 0]) / 2

  return np.asarray(langevin.move(logit, jnp.zeros((n, 1)), keys(n), settings))[
    :, 0
  ]


@pytest.mark.parametrize('bound', [None, 1.5])
def test_steps_are_those_of_the_paper(bound: float | None):
  """Two of them, at rates that decay, against numpy."""
  z = np.array([[0.5, -1.0], [1.2, 0.3], [-0.7, 0.9]], np.float32)
  settings = langevin.Settings(
    2, 0.2, noise=0.5, decay=0.25, decay_steps=1, bound=bound
  )
  found = langevin.move(
    lambda z: jnp.sin(z[:, 0]) + z[:, 0] * z[:, 1], jnp.array(z), keys(3),
    settings,
  )  # fmt: skip
  for i, rate in enumerate((0.2, 0.05)):
    n = np.stack(
      [jax.random.normal(jax.random.fold_in(key, i), (2,)) for key in keys(3)]
    )
    of_d = np.stack([np.cos(z[:, 0]) + z[:, 1], z[:, 0]], axis=1)
    energy = -of_d if bound else z - of_d
    z = z - rate / 2 * energy + 0.5 * np.sqrt(rate) * n
    if bound:
      z = np.where(z > bound, 2 * bound - z, z)
      z = np.where(z < -bound, -2 * bound - z, z)
  np.testing.assert_allclose(found, z, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('noise', [1.0, 0.5])
@pytest.mark.parametrize('curve', [0.0, 2.0])
def test_the_variance_of_a_quadratic_energy(curve: float, noise: float):
  """E'' = k = 1 + curve: exactly 1 / (k (1 - eps k / 4)) for steps of eps.

  z' = (1 - eps k / 2) z + sqrt(eps) n has v = (1 - eps k / 2)^2 v + eps.
  """
  eps, k, n = 0.4, 1 + curve, 20_000
  found = chains(langevin.Settings(60, eps, noise), curve=curve, n=n)
  expected = noise**2 / (k * (1 - eps * k / 4))
  assert abs(found.mean()) < ERRORS * math.sqrt(expected / n)
  error = expected * math.sqrt(2 / n)
  assert abs(found.var() - expected) < ERRORS * error
  # And not that of the energy itself, for steps as long as these.
  assert abs(found.var() - noise**2 / k) > ERRORS * error


def test_smaller_steps_at_the_end_come_nearer():
  """A rate that decays leaves the variance of the last one, as it is long."""
  n = 20_000
  settings = langevin.Settings(120, 0.8, decay=0.1, decay_steps=60)
  found, k = chains(settings, curve=1.0, n=n).var(), 2.0
  shrink = (1 - 0.08 * k / 2) ** (2 * 60)
  first, last = (1 / (k * (1 - eps * k / 4)) for eps in (0.8, 0.08))
  expected = last + shrink * (first - last)
  assert abs(found - expected) < ERRORS * expected * math.sqrt(2 / n)


def linear_game(
  config: configs.Config, a: np.ndarray, m: np.ndarray
) -> specs.Spec:
  """G(z) = a z and d(x) = -|x - m|^2 / 2."""
  config.gen.latent_dim, config.gen.latent = a.shape[1], 'normal'
  spec = build.make_spec(config, sources.Info('density', (2,)))

  def logit(batch: types.Batch) -> jax.Array:
    return -jnp.square(batch.x - m[None]).sum(axis=-1) / 2

  return spec._replace(
    gen=apply_to(lambda latent: latent.z @ a.T), disc=apply_to(logit)
  )


NOTHING = states.NetState({}, None, {})
A, M = np.array([[1.0, 0.5], [-0.3, 0.8]]), np.array([0.7, -1.1])


def test_a_linear_game_has_the_law_of_its_posterior(tiny: configs.Config):
  """N(0, I) times e^d: precision K = I + a'a, mean K^-1 a'm.

  Of steps of eps the mean is the same, the covariance (K (I - eps K / 4))^-1.
  """
  spec, n, eps = linear_game(tiny, A, M), 20_000, 0.1
  latent = types.Latent(jax.random.normal(jax.random.key(2), (n, 2)))
  z = np.asarray(
    jax.jit(
      lambda latent: sampling.driven(
        spec, {}, {}, NOTHING, latent, langevin.Settings(150, eps), KEY
      )
    )(latent).z
  )
  k = np.eye(2) + A.T @ A
  mean = np.linalg.solve(k, A.T @ M)
  cov = np.linalg.inv(k @ (np.eye(2) - eps * k / 4))
  var = np.diag(cov)
  assert (abs(z.mean(axis=0) - mean) < ERRORS * np.sqrt(var / n)).all()
  error = np.sqrt((cov**2 + np.outer(var, var)) / n)
  assert (abs(np.cov(z.T) - cov) < ERRORS * error).all()


def test_uniform_latents_stay_uniform_in_their_cube():
  """Reflected, where D is the same everywhere: by Kolmogorov and Smirnov."""
  bound, n = 0.7, 20_000
  z = jax.random.uniform(KEY, (n, 1), minval=-bound, maxval=bound)
  settings = langevin.Settings(25, 0.3, bound=bound)
  found = langevin.move(lambda z: 0 * z[:, 0], z, keys(n), settings)
  found = np.asarray(found)[:, 0]
  assert abs(found).max() <= bound
  assert abs(np.corrcoef(found, np.asarray(z)[:, 0])[0, 1]) < 0.05
  assert stats.kstest(found, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3


def test_a_tilted_cube():
  """d = s z: an exponential law on [-1, 1], of mean 1 / tanh(s) - 1 / s."""
  n, s = 20_000, 3.0
  found = langevin.move(
    lambda z: s * z[:, 0], jnp.zeros((n, 1)), keys(n),
    langevin.Settings(1000, 0.002, bound=1.0),
  )  # fmt: skip
  # Steps of length sqrt(.002) shift it by about as much as a face reflects.
  assert found.mean() == pytest.approx(1 / math.tanh(s) - 1 / s, abs=0.02)


@pytest.mark.parametrize('bound', [1.0, math.sqrt(3)])
def test_reflection_by_hand(bound: float):
  z = jnp.array([0.0, 0.3, 1.0, 1.25, -1.5, 2.0, 3.0, 4.25, -7.0]) * bound
  expected = np.array([0, 0.3, 1, 0.75, -0.5, 0, -1, 0.25, 1]) * bound
  found = langevin.reflected(z, bound)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  np.testing.assert_array_equal(found[:3], z[:3])
  assert np.isnan(langevin.reflected(jnp.array([jnp.nan, jnp.inf]), 1.0)).all()


def test_labels_stay_and_d_is_told_them(tiny: configs.Config):
  """Of D(x, y) = (2 y - 1) 4 x the means are those of N(+-4, 1)."""
  spec = linear_game(tiny, A, M)
  told = []

  def logit(batch: types.Batch) -> jax.Array:
    told.append(batch.label)
    if batch.label is None:
      return 0 * batch.x[:, 0]
    return (2 * batch.label - 1) * 4.0 * batch.x[:, 0]

  spec = spec._replace(
    gen=apply_to(lambda latent: latent.z), disc=apply_to(logit)
  )
  label = jnp.arange(4000) % 2
  latent = types.Latent(jnp.zeros((4000, 2)), label)
  settings = langevin.Settings(60, 0.2)
  found = sampling.driven(spec, {}, {}, NOTHING, latent, settings, KEY)
  np.testing.assert_array_equal(found.label, label)
  for y, mean in ((0, -4), (1, 4)):
    own = np.asarray(found.z)[np.asarray(label) == y, 0]
    assert own.mean() == pytest.approx(mean, abs=0.15)
  told.clear()
  blind = spec._replace(tells_disc=False)
  found = sampling.driven(blind, {}, {}, NOTHING, latent, settings, KEY)
  assert told
  assert all(label is None for label in told)
  assert abs(np.asarray(found.z)[:, 0].mean()) < 0.1


def test_chains_and_samples_have_the_same_noise_within_g(tiny: configs.Config):
  """G(z) = z + u and d = -x^2 / 2 without noise of steps: z ends at -u / 2."""
  spec = linear_game(tiny, A, M)

  def gen(params: Any, vars: Any, latent: Any, *, key: Any, mode: Any) -> Any:
    return latent.z + jax.random.normal(key, latent.z.shape), vars

  spec = spec._replace(
    gen=types.Network(lambda key: ({}, {}), gen),
    disc=apply_to(lambda batch: -jnp.square(batch.x).sum(axis=-1) / 2),
  )
  latent, noise = types.Latent(jnp.zeros((5, 2))), jax.random.key(7)
  settings = langevin.Settings(60, 0.4, noise=0.0)
  z = sampling.driven(spec, {}, {}, NOTHING, latent, settings, KEY, noise)
  samples = sampling.sample(spec, {}, {}, z, noise)
  assert abs(z.z).max() > 0.1
  np.testing.assert_allclose(samples.x, -z.z, rtol=1e-4)


def driven_game(
  tiny: configs.Config,
) -> tuple[configs.Config, specs.Spec, states.GanState]:
  tiny.eval.langevin_steps, tiny.eval.langevin_rate = 3, 0.05
  spec, hyper = build.make_spec(tiny, LINE), build.make_hyper(tiny)
  init = jax.jit(functools.partial(build.init_state, spec))
  return tiny, spec, init(hyper, KEY)


def drawn(
  config: configs.Config, spec: specs.Spec, state: states.GanState, num: int
) -> np.ndarray:
  sampler = build.make_sampler(config, spec, num)
  return np.concatenate([batch.x for batch in sampler.samples(state, KEY)])


def test_a_sampler_that_d_drives(
  tiny: configs.Config, monkeypatch: pytest.MonkeyPatch
):
  """A function of state, key and place, whatever the blocks."""
  config, spec, state = driven_game(tiny)
  many = drawn(config, spec, state, 2500)
  np.testing.assert_array_equal(drawn(config, spec, state, 1200), many[:1200])
  monkeypatch.setattr(cpu, 'BLOCK_SAMPLES', 300)
  again = drawn(config, spec, state, 2500)
  np.testing.assert_allclose(again, many, rtol=1e-4, atol=1e-5)
  # D is the state's own.
  disc = jax.tree.map(lambda x: 3 * x, state.disc.params)
  other = state._replace(disc=state.disc._replace(params=disc))
  assert (drawn(config, spec, other, 1200) != many[:1200]).mean() > 0.9


def test_no_steps_change_no_bit(tiny: configs.Config):
  config, spec, state = driven_game(tiny)
  moved = drawn(config, spec, state, 1200)
  config.eval.langevin_steps = 0
  sampler = sampling.Sampler(spec, 1200, ema=True)
  plain = np.concatenate([batch.x for batch in sampler.samples(state, KEY)])
  np.testing.assert_array_equal(drawn(config, spec, state, 1200), plain)
  assert (moved != plain).mean() > 0.9
  z = jax.random.normal(KEY, (5, 2))
  settings = langevin.Settings(0, 0.1)
  still = langevin.move(lambda z: z[:, 0], z, keys(5), settings)
  np.testing.assert_array_equal(still, z)


def test_figures_of_a_law(tiny: configs.Config):
  """U(2, 6), which e^d tilts to the right: an exponential law.

  What is of the game, and its picture, stay those of G.
  """
  tiny.eval.num_samples = 20_000
  before, curves = measured(tiny, normal_game(tiny))
  tiny.eval.langevin_steps, tiny.eval.langevin_rate = 400, 0.005
  after, moved = measured(tiny, normal_game(tiny))
  for name in ('d_real', 'd_fake', 'value', 'max_d_gap'):
    assert before[name] == after[name]
  jax.tree.map(np.testing.assert_array_equal, curves, moved)
  # d of z in units of the networks: x = 4 z, the law exponential on [-1, 1].
  x = stats.truncexpon(b=8, scale=1 / 4)  # From the upper end downwards.
  law = stats.norm(0, 1)
  grid = np.linspace(-4, 4, 4001)
  ks = abs(x.sf((4 - grid) / 4) - law.cdf(grid)).max()
  assert after['ks'] == pytest.approx(ks, abs=0.02)
  assert before['ks'] < ks - 0.2


def test_what_cannot_be_driven_is_refused(tiny: configs.Config):
  tiny.eval.langevin_steps = 5

  def refused(message: str, info: sources.Info = LINE) -> None:
    with pytest.raises(ValueError, match=message) as error:
      build.make_spec(tiny, info)
    assert '\n' not in str(error.value)

  tiny.packing = 2
  refused(r'langevin_steps=5: with packing=2 D judges 2 samples together')
  tiny.packing, tiny.eval.batch_stats = 1, True
  tiny.gen.net = {'batch_norm': True}
  refused(r'langevin_steps=5: with eval\.batch_stats=True')
  tiny.eval.batch_stats = False
  build.make_spec(tiny, LINE)
  tiny.gen.name = tiny.disc.name = 'stylegan2'
  tiny.gen.net = stylegan2.GenSettings(channel_base=64)
  tiny.disc.net = stylegan2.DiscSettings(channel_base=64)
  image = sources.Info('images', (8, 8, 1))
  refused(r'langevin_steps=5: with disc\.net\.mbstd_group=4 D judges 4', image)
  tiny.disc.net = stylegan2.DiscSettings(channel_base=64, mbstd_group=0)
  build.make_spec(tiny, image)
  tiny.eval.truncation = 0.5
  refused(r'langevin_steps=5: .* eval\.truncation=0\.5', image)
  tiny.eval.langevin_rate = 0.0
  with pytest.raises(ValueError, match=r'eval\.langevin_rate=0\.0'):
    checks.validate(tiny)


def test_what_is_said(tiny: configs.Config):
  """In stamps, and a line where D's logit is no log ratio."""
  spec = build.make_spec(tiny, LINE)
  assert 'langevin' not in evaluator.generator_stamp(tiny, spec)
  tiny.eval.langevin_rate = 0.02
  (idle,) = checks.warnings(build.complete(tiny))
  assert idle.endswith('has no effect in training without eval.langevin_steps')
  tiny.eval.langevin_steps = 10
  assert not [*checks.warnings(build.complete(tiny))]
  assert build.langevin_warnings(tiny, spec) == []
  stamp = evaluator.law_stamp(tiny, spec)['langevin']
  assert stamp == '10 steps of 0.02, noise times 1'
  tiny.eval.langevin_decay = 0.5
  tiny.penalties.label_smoothing.weight = 0.1
  spec = build.make_spec(tiny, LINE)
  (line,) = build.langevin_warnings(tiny, spec)
  assert line.startswith('eval.langevin_steps=10: with penalties.label_smooth')
  assert evaluator.generator_stamp(tiny, spec)['langevin'] == (
    '10 steps of 0.02, times 0.5 every 100, noise times 1, D no log ratio'
  )
  tiny.penalties.label_smoothing.weight, tiny.loss = 0.0, 'hinge'
  (line,) = build.langevin_warnings(tiny, build.make_spec(tiny, LINE))
  assert "loss='hinge'" in line


def test_steps_that_are_too_long(tiny: configs.Config):
  """A normal law: beyond eps = 4 nothing is stable."""
  tiny.gen.latent = 'normal'
  config, spec, state = driven_game(tiny)
  config.eval.langevin_steps, config.eval.langevin_rate = 500, 50.0
  run = trained.Run(config, LINE, spec, state)
  with pytest.raises(
    ValueError, match=r'eval\.langevin_rate=50\.0: samples ar'
  ):
    list(trained.samples(run, 5, seed=0))


def test_programs_drive_samples_of_a_run(
  tiny_run: pathlib.Path, tmp_path: pathlib.Path
):
  def sample(*flags: str) -> tuple[np.ndarray, dict[str, Any]]:
    out = tmp_path / 'x.npz'
    done = programs.python(
      'experiments.sample', f'--workdir={tiny_run}', f'--out={out}', *flags
    )
    assert done.returncode == 0, done.stderr
    with np.load(out) as found:
      return found['samples'], json.loads(str(found['stamp']))

  plain, stamp = sample()
  assert 'langevin' not in stamp
  moved, stamp = sample('--langevin_steps=4', '--langevin_rate=0.1')
  assert stamp['langevin'] == '4 steps of 0.1, noise times 1'
  assert (moved != plain).all()
  np.testing.assert_array_equal(sample()[0], plain)
  done = programs.python(
    'experiments.evaluate', f'--workdir={tiny_run}', '--langevin_noise=0.5'
  )
  assert done.returncode == 1
  assert '--langevin_noise: needs --langevin_steps above 0' in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1


def test_flags_are_fields():
  fields = {f for f in vars(configs.Eval()) if f.startswith('langevin_')}
  assert set(chosen.Langevin._fields) == fields
  assert laws.make_measure  # The figures above are by it.
