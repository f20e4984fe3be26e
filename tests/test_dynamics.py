"""Eigenvalues against closed forms, and the figure of the small games."""

import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import PIL.Image
import pytest
from jax.flatten_util import ravel_pytree

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.engine import batching, build, names, program, spectrum
from gan_jax.game import dynamics, projection, rules, steps
from gan_jax.networks import mlp

ROOT = pathlib.Path(__file__).parent.parent
ORIGIN = types.Pair(jnp.zeros(()), jnp.zeros(()))


def assert_same_set(ours: np.ndarray, expected: np.ndarray) -> None:
  np.testing.assert_allclose(
    np.sort_complex(ours), np.sort_complex(expected), rtol=1e-4, atol=1e-6
  )


def field_eigenvalues(losses: rules.Losses, params: types.Pair) -> np.ndarray:
  """Of the Jacobian of v at a point."""
  jacobian = jax.jit(lambda x: dynamics.field_jacobian(losses, x))
  return dynamics.eigenvalues(jacobian(params))


@pytest.mark.parametrize('gamma', [0.0, 0.3, 2.0])
def test_eigenvalues_of_the_dirac_gan(gamma: float):
  """Of -v: +-f'(0) i, and with R1 -g/2 +- sqrt(g^2/4 - f'(0)^2).

  Mescheder et al. 2018, lemma 2.3 and section 3, with f'(0) = 1/2.
  """
  found = field_eigenvalues(dynamics.dirac_gan(gamma), ORIGIN)
  root = np.sqrt(complex(gamma**2 / 4 - 0.25))
  expected = np.array([-gamma / 2 + root, -gamma / 2 - root])
  assert found.dtype == np.complex128
  assert_same_set(-found, expected)


def test_eigenvalues_of_a_network_game():
  """Trees of arrays, against the Jacobian in one piece."""

  def logit(disc: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ disc['a']) @ disc['b']

  z = jax.random.normal(jax.random.key(0), (16, 3))

  def gen_loss(gen: jax.Array, disc: dict[str, jax.Array]) -> jax.Array:
    return jax.nn.softplus(-logit(disc, z @ gen)).mean()

  def disc_loss(gen: jax.Array, disc: dict[str, jax.Array]) -> jax.Array:
    return jax.nn.softplus(logit(disc, z @ gen)).mean()

  gen = jax.random.normal(jax.random.key(1), (3, 2))
  disc = {
    'a': jax.random.normal(jax.random.key(2), (2, 6)),
    'b': jax.random.normal(jax.random.key(3), (6,)),
  }
  w, unravel = ravel_pytree((gen, disc))
  first = jnp.arange(w.size) < gen.size

  def field(w: jax.Array) -> jax.Array:
    gen_grad, disc_grad = (
      jax.grad(lambda w, loss=loss: loss(*unravel(w)))(w)
      for loss in (gen_loss, disc_loss)
    )
    return jnp.where(first, gen_grad, disc_grad)

  whole = jax.jit(jax.jacrev(field))(w)
  expected = np.linalg.eigvals(np.asarray(whole, np.float64))
  losses = rules.exact(gen_loss, disc_loss)
  found = field_eigenvalues(losses, types.Pair(gen, disc))
  assert found.shape == (24,)
  assert_same_set(found, expected)
  assert (np.diff(np.abs(found)) <= 0).all()


def test_rates_of_convergence_on_the_bilinear_game():
  """The largest modulus of an eigenvalue of matrices derived by hand."""
  rate, g, s, alpha, k, unroll = 0.3, 0.6, 0.7, 0.4, 3, 4
  one, a = np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]])
  turns = np.array([[1, -rate], [0, 1]]) @ np.array([[1, 0], [rate, 1]])
  back = one + alpha * (np.linalg.matrix_power(turns, k) - one)
  by_hand = {
    'simultaneous': one - rate * a,
    'alternating': turns,
    'extragradient': one - rate * a @ (one - rate * a),
    # Of (w, w before).
    'optimistic': np.block([[one - 2 * rate * a, rate * a], [one, 0 * one]]),
    # A^T A is the identity, and A is its own antisymmetric part.
    'consensus': one - rate * (a + g * one),
    'sga': one - rate * (a + s * one),
    # G's gradient is y + 2 k eta x: y_k = y + k eta x, times x.
    'unrolled': np.array([[1 - 2 * unroll * rate**2, -rate], [rate, 1]]),
  }
  game = configs.Rule(
    consensus_weight=g, sga_weight=s, lookahead_alpha=alpha,
    lookahead_steps=k, unroll_steps=unroll,
  )  # fmt: skip
  hyper = build.make_hyper(configs.Config(rule=game))
  sgd = types.Pair(optax.sgd(rate), optax.sgd(rate))

  def found(name: str) -> float:
    rule = names.RULES[name](game)
    return dynamics.rate_of_convergence(
      rule, dynamics.BILINEAR, sgd, ORIGIN, hyper
    )

  for name, matrix in by_hand.items():
    largest = np.abs(np.linalg.eigvals(matrix)).max()
    assert found(name) == pytest.approx(largest, abs=1e-5), name
  largest = np.abs(np.linalg.eigvals(back)).max() ** (1 / k)
  assert found('lookahead') == pytest.approx(largest, abs=1e-5)
  assert found('simultaneous') == pytest.approx((1 + rate**2) ** 0.5)
  assert by_hand.keys() | {'lookahead'} == names.RULES.keys()


def test_arrows_lead_along_minus_v():
  arrows = dynamics.directions(dynamics.BILINEAR, np.array([-1.0, 0.0, 2.0]))
  assert arrows.shape == (3, 3, 2)
  # At x = 2 and y = -1: -v = (-y, x), of length 1.
  np.testing.assert_allclose(arrows[0, 2], np.array([1, 2]) / 5**0.5, rtol=1e-6)
  np.testing.assert_array_equal(arrows[1, 1], 0)


@pytest.mark.parametrize('gamma', [0.0, 0.4, 1.0, 3.0])
def test_the_dirac_gan_is_critically_damped_at_a_weight_of_one(gamma: float):
  flow = np.array([[0.0, 0.5], [-0.5, -gamma]])
  slowest = np.linalg.eigvals(flow).real.max()
  assert dynamics.dirac_decay(gamma) == pytest.approx(-slowest, abs=1e-6)
  assert dynamics.dirac_decay(gamma) <= dynamics.dirac_decay(1.0) == 0.5


@pytest.mark.parametrize('start', [(0.3, 0.2), (1.5, 0.0), (-0.2, 1.8)])
def test_the_clipped_flow_ends_on_a_circle(start: tuple[float, float]):
  """Against small steps, D first, written out."""
  theta, psi, clip, rate = *start, 0.7, 1e-3
  found = []
  for _ in range(20_000):
    psi = min(max(psi - rate * theta, -clip), clip)
    theta = theta + rate * psi
    found.append(np.hypot(theta, psi))
  expected = dynamics.clipped_radius(np.hypot(*start), clip)
  np.testing.assert_allclose(found[10_000:], expected, rtol=2e-3)
  sgd = optax.sgd(rate)
  own = types.Pair(sgd, projection.into_box(sgd, clip))
  path = dynamics.play(
    rules.ALTERNATING, dynamics.WASSERSTEIN, own, types.Pair(*start), {}, 20_000
  )
  np.testing.assert_allclose(np.hypot(*path)[1:], found, rtol=1e-3)
  assert dynamics.clipped_radius(3.0, 0.0) == 3.0


def test_the_figure_and_its_table(tmp_path: pathlib.Path):
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.game_2d', '--steps=20',
     f'--out={tmp_path}/a.png'],
    cwd=ROOT, capture_output=True, text=True, check=False,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  rows = [line.split() for line in done.stdout.splitlines()]
  table = {row[0]: row[1:] for row in rows if row[0] in names.RULES}
  # The last game is the bilinear one, from (1, 1) with steps of .2.
  distance, modulus = (float(cell) for cell in table['simultaneous'])
  assert distance == pytest.approx(2**0.5 * 1.04**10, rel=1e-2)
  assert modulus == pytest.approx(1.04**0.5, abs=1e-4)
  with PIL.Image.open(tmp_path / 'a.png') as picture:
    assert picture.size[0] > 1000


def test_shape_of_a_spectrum():
  """Of v: a saddle, a rotation, and a number too small to be told from 0."""
  found = np.array([-4.0 + 3.0j, -4.0 - 3.0j, 3.0, 1.0j, -1.0j, -1e-6])
  shape = dynamics.shape(found)
  assert shape.rotation == pytest.approx((9 + 9 + 1 + 1) / (25 + 25 + 9 + 2))
  # The pair of the rotation alone; |3i| < |-4|.
  assert shape.turning == pytest.approx(2 / 5)
  assert shape.growth == pytest.approx(4 / 5)
  assert shape.unstable == pytest.approx(2 / 5)


def _spectrum_config() -> configs.Config:
  c = configs.Config(steps=2, batch_size=8)
  c.data.name = 'ring'
  c.gen.net = mlp.GenSettings(3, 1, 'tanh')
  c.disc.net = mlp.DiscSettings(3, 1, 'tanh')
  c.penalties.r1.weight, c.population.seeds = 0.3, 2
  return c


def test_jacobian_of_a_game_in_training():
  """Against central differences of the gradients that the step follows."""
  game = program.open_game(_spectrum_config())
  spec = game.spec
  state, hyper, keys = batching.take((game.start(), game.hyper, game.keys), 0)
  drawn = program.draw_batch(spec, game.source, {}, keys, state.step)
  found = jax.jit(spectrum.make_jacobian(spec))(state, hyper, drawn)
  params = types.Pair(state.gen.params, state.disc.params)
  flat, unravel = ravel_pytree(params)
  losses = steps.make_losses(spec, hyper, state.step, *drawn)
  carried = steps.position_of(state, spec).carried

  @jax.jit
  def field(x: jax.Array) -> jax.Array:
    return ravel_pytree(rules.vector_field(losses, unravel(x), carried)[0])[0]

  moves = 0.02 * jnp.eye(flat.size)
  columns = [(field(flat + h) - field(flat - h)) / 0.04 for h in moves]
  expected = jnp.stack(columns, axis=1)
  assert found.shape == (27, 27)
  np.testing.assert_allclose(found, expected, rtol=0.05, atol=3e-3)
  # Each player's own block is a Hessian.
  size = sum(x.size for x in jax.tree.leaves(params.gen))
  own = found[:size, :size]
  np.testing.assert_allclose(own, own.T, atol=1e-5)


def test_looks_that_cannot_be():
  config = _spectrum_config()
  with pytest.raises(ValueError, match='every=3: does not divide the 2 steps'):
    next(spectrum.train(config, 3, 16))
  config.gen.net = mlp.GenSettings(4000, 1)
  with pytest.raises(ValueError, match='parameters; the whole Jacobian'):
    next(spectrum.train(config, 1, 16))
  config.population.seeds = 1
  with pytest.raises(ValueError, match=r'population\.seeds=1'):
    next(spectrum.train(config, 1, 16))


TINY = {
  'jacobian': '--games=R1 --steps=1 --every=1 --seeds=2 --width=2 --samples=8',
  'landscape': '--steps=100 --seeds=2 --width=4',
  'damping': '--weights=1,2 --rate=0.1 --seeds=2',
  'clipping': '--clips=1 --rate=0.02 --seeds=2',
  'drifting': '--laws=ring --methods=drifting --samples=16 --batches=8 '
  '--seeds=2',
  'langevin': '--steps=1 --seeds=2 --rates=0.1 --chains=1 --num=16',
}


def started(name: str, flags: str) -> 'subprocess.CompletedProcess[str]':
  return subprocess.run(
    [sys.executable, '-m', f'experiments.{name}', *flags.split()],
    cwd=ROOT, capture_output=True, text=True, check=False,
  )  # fmt: skip


def test_a_page_without_the_block(tmp_path: pathlib.Path):
  """One line, before anything is measured."""
  page = tmp_path / 'a.md'
  flags = f'{TINY["damping"]} --out={tmp_path}/a.png --fill={page}'
  ends = '<!-- table ends -->'
  for text, name, line in (
    (None, ':damping', f'there is no file {page}'),
    ('<!-- table: a -->', ':a', f'{page} has no block of the kind table, or '
     f"one that does not end: '<!-- table: NAME -->' and '{ends}' stand each "
     'on a line'),
    (f'<!-- table: a -->\n{ends}', ':b', f'must name one block of {page}: a'),
    (f'<!-- table: a -->\n{ends}', '', 'must be FILE.md:NAME'),
  ):  # fmt: skip
    if text:
      page.write_text(text)
    done = started('damping', flags + name)
    assert done.stderr == f'error: --fill={page}{name}: {line}\n'
    assert (done.returncode, done.stdout) == (1, '')
  assert page.read_text() == text


def test_too_short_to_fit(tmp_path: pathlib.Path):
  flags = f'--weights=1 --seeds=2 --rate=0.1 --time=1 --out={tmp_path}/a.png'
  done = started('damping', flags)
  assert (done.returncode, done.stderr) == (0, '')
  assert 'nan ± nan (2 failed)' in done.stdout


@pytest.mark.parametrize('name', TINY)
def test_programs_of_small_games(name: str, tmp_path: pathlib.Path):
  page, end = tmp_path / 'a.md', '<!-- table ends -->'
  begin, other = f'<!-- table: {name} -->', f'<!-- table: other -->\n1\n{end}'
  page.write_text(f'before\n{begin}\nan old one\n{end}\n{other}\nafter\n')
  done = started(
    name, f'{TINY[name]} --out={tmp_path}/a.png --fill={page}:{name}'
  )
  assert (done.returncode, done.stderr) == (0, '')
  # What is printed stands in its block of the page, and nothing else is new.
  before, _, text = page.read_text().partition(f'{begin}\n\n')
  table, _, after = text.partition(f'\n\n{end}\n')
  assert (before, after) == ('before\n', f'{other}\nafter\n')
  header, rule, *rows = table.splitlines()
  assert rule == '| --- |' + ' ---: |' * (header.count('|') - 2)
  assert len(rows) == len(done.stdout.splitlines()) - 2
  for row in [header, *rows]:
    for cell in row.strip('| ').split(' | '):
      assert cell in done.stdout
  assert done.stdout.splitlines()[-1] == f'{tmp_path}/a.png'
  with PIL.Image.open(tmp_path / 'a.png') as picture:
    assert picture.size[0] > 200
