"""StyleGAN2: statistics, and the authors' own answers."""

import functools
import itertools
import re
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import make_stylegan2_fixture as fixture
import numpy as np
import pytest
from flax import traverse_util

from experiments import recipes
from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import draws, penalties, sampling, steps, terms
from gan_jax.networks import adapter, authors, style_layers, stylegan2
from gan_jax.ops import cpu, resample

KEY = jax.random.key(0)
SMALL = {'width': 8, 'channel_base': 64}

# Compiling is what takes time here.
quick = functools.partial(
  jax.jit, compiler_options={'xla_backend_optimization_level': 0}
)


def label(classes: int) -> Any:
  return jax.ShapeDtypeStruct((1,), jnp.int32) if classes else None


def network_pair(
  side: int, classes: int, gen: stylegan2.GenSettings,
  disc: stylegan2.DiscSettings, latent_dim: int = 512, **options: Any,
) -> types.Pair:  # fmt: skip
  z: Any = jax.ShapeDtypeStruct((1, latent_dim), jnp.float32)
  x: Any = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  return types.Pair(
    adapter.as_network(
      stylegan2.Generator((side, side, 3), gen, classes, **options),
      types.Latent(z, label(classes)),
    ),
    adapter.as_network(
      stylegan2.Discriminator(disc, classes, **options),
      types.Batch(x, label(classes)),
    ),
  )


def small_game(**changed: Any) -> configs.Config:
  """Of 8x8 images, without classes."""
  config = configs.Config(batch_size=4)
  recipes.use_stylegan2(config, recipes.STYLEGAN2['paper256'])
  config.batch_size, config.gen.latent_dim = 4, 5
  config.gen.net = stylegan2.GenSettings(**SMALL, w_dim=6, depth=1)
  config.disc.net = stylegan2.DiscSettings(
    **SMALL, mbstd_group=2, architecture='orig'
  )
  for name, value in changed.items():
    setattr(config, name, value)
  return config


IMAGES = sources.Info(kind='images', shape=(8, 8, 3))


@pytest.fixture(scope='module')
def kept() -> dict[str, np.ndarray]:
  with np.load(fixture.PATH) as file:
    return dict(file)


def seeded(params: types.PyTree) -> types.PyTree:
  """The weights of the fixture."""
  shapes = {}
  for path, leaf in traverse_util.flatten_dict(params).items():
    name = authors.STYLEGAN2.name(path)
    if path[-1] == 'const':
      shape = leaf.shape[2], *leaf.shape[:2]
    elif leaf.ndim == 4:
      shape = *leaf.shape[:1:-1], *leaf.shape[:2]
    else:
      shape = leaf.shape[::-1]
    shapes[name] = shape
  drawn = authors.fill(params, authors.STYLEGAN2, fixture.weights(shapes))
  return jax.tree.map(jnp.asarray, drawn)


def made(network: types.Network) -> tuple[types.PyTree, types.PyTree]:
  """Weights of the fixture, without compiling `init`, and empty `vars`."""
  params, vars = jax.eval_shape(network.init, KEY)
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), vars)
  return seeded(params), zeros


def noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """What the fixture adds: the same to all samples."""
  del key
  of_side = jnp.asarray(fixture.noise(shape[1]))
  return jnp.broadcast_to(of_side[None, :, :, None], (*shape[:3], 1))


def fixture_networks(case: fixture.Case) -> tuple[types.Pair, types.Pair]:
  """Ours, and their parameters."""
  sizes = {'width': case.width, 'channel_base': case.base, 'depth': 2}
  networks = network_pair(
    case.side,
    case.classes,
    stylegan2.GenSettings(
      **sizes, w_dim=fixture.W_DIM, architecture=case.gen, mixing=0.0
    ),
    stylegan2.DiscSettings(
      **sizes, architecture=case.disc, mbstd_group=case.group
    ),
    fixture.LATENT_DIM,
  )
  return networks, types.Pair(*(made(own)[0] for own in networks))


def fixture_inputs(case: fixture.Case) -> tuple[types.Latent, types.Batch]:
  label = fixture.labels(case)
  label = None if label is None else jnp.asarray(label)
  z = jnp.asarray(fixture.draw('z', fixture.BATCH, fixture.LATENT_DIM))
  x = fixture.draw('images', fixture.BATCH, 3, case.side, case.side)
  return types.Latent(z, label), types.Batch(
    jnp.asarray(x.transpose(0, 2, 3, 1)), label
  )


def assert_near(ours: Any, expected: Any, tolerance: float, name: str) -> None:
  """Relative to the largest of them."""
  assert ours.shape == expected.shape, name
  error = np.abs(np.asarray(ours) - expected).max()
  assert error <= tolerance * np.abs(expected).max() + 1e-7, (name, error)


@pytest.mark.parametrize('name', fixture.CASES)
def test_answers_of_the_authors_code(
  name: str, kept: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
):
  """Latents, truncated ones, images, logits, and the running average."""
  case = fixture.CASES[name]
  (gen, disc), params = fixture_networks(case)
  latent, real = fixture_inputs(case)
  average = fixture.weights({'mapping.w_avg': (fixture.W_DIM,)})
  vars = {'averages': {'w': jnp.asarray(average['mapping.w_avg'])}}
  monkeypatch.setattr(style_layers, 'draw_noise', noise)

  @quick
  def play(params: types.Pair) -> tuple[jax.Array, ...]:
    own = {'key': KEY, 'mode': types.EVAL}
    ws, _ = gen.methods['map'](params.gen, vars, latent, **own)
    images, _ = gen.methods['synthesise'](params.gen, vars, ws, **own)
    logits, _ = disc.apply(params.disc, {}, real, **own)
    _, moved = gen.apply(params.gen, vars, latent, key=KEY, mode=types.TRAIN)
    return ws, images, logits, moved['averages']['w']

  silent = {
    path: leaf * (path[-1] != 'noise_strength')
    for path, leaf in traverse_util.flatten_dict(params.gen).items()
  }
  silent = params._replace(gen=traverse_util.unflatten_dict(silent))
  ws, images, logits, moved = play(params)
  assert ws.shape[1] == 2 * int(np.log2(case.side)) - 2
  assert gen.truncation == 'w'
  w_average = vars['averages']['w'][None, None]
  found = {
    'w': ws[:, -1],
    'truncated': (w_average + 0.7 * (ws - w_average))[:, 0],
    'images_const': images.transpose(0, 3, 1, 2),
    'images_none': play(silent)[1].transpose(0, 3, 1, 2),
    'logits': logits,
    'average': moved,
  }
  for key, ours in found.items():
    assert_near(ours, kept[f'{name}/{key}'], 1e-4, key)


@pytest.mark.parametrize(
  'name', [name for name, case in fixture.CASES.items() if case.penalties]
)
def test_penalties_of_the_authors_code(
  name: str, kept: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
):
  """Gradients of R1 and of path length regularisation, by parameters."""
  case = fixture.CASES[name]
  (gen, disc), params = fixture_networks(case)
  latent, real = fixture_inputs(case)
  monkeypatch.setattr(style_layers, 'draw_noise', noise)
  y = fixture.draw('y', fixture.BATCH // 2, 3, case.side, case.side)
  own = {'key': KEY, 'mode': types.OPPONENT}
  vars = {'averages': {'w': jnp.zeros(fixture.W_DIM)}}
  normal = jax.random.normal
  monkeypatch.setattr(
    jax.random, 'normal',
    lambda key, shape=(), *rest: jnp.asarray(y.transpose(0, 2, 3, 1))
    if len(shape) == 4 else normal(key, shape, *rest),
  )  # fmt: skip

  def r1(params: types.PyTree) -> jax.Array:
    judge = lambda batch: disc.apply(params, {}, batch, **own)[0]  # noqa: E731
    grads = penalties.input_grads(judge, real)
    return fixture.GAMMA * penalties.zero_centred(grads)

  def path(params: types.PyTree) -> tuple[jax.Array, jax.Array]:
    closed = {
      name: lambda input, apply=apply: apply(params, vars, input, **own)[0]
      for name, apply in gen.methods.items()
    }
    value, average = penalties.path_length(
      closed['map'],
      closed['synthesise'],
      jax.tree.map(lambda x: x[: fixture.BATCH // 2], latent),
      jnp.float32(fixture.AVERAGE),
      KEY,
      jnp.float32(0.01),
    )
    return 2 * value, average

  grads, length = quick(jax.grad(path, has_aux=True))(params.gen)
  assert length == pytest.approx(kept[f'{name}/length'], rel=1e-5)
  for kind, ours in (
    ('path', grads),
    ('r1', quick(jax.grad(r1))(params.disc)),
  ):
    prefix = f'{name}/{kind}/'
    arrays = {
      key.removeprefix(prefix): value
      for key, value in kept.items()
      if key.startswith(prefix)
    }
    for at, leaf in traverse_util.flatten_dict(ours).items():
      parameter = authors.STYLEGAN2.name(at)
      if parameter not in arrays:  # What the penalty does not reach.
        assert not np.any(leaf), parameter
        continue
      expected = authors.STYLEGAN2.array(at, arrays[parameter])
      assert_near(leaf, expected, 1e-4, f'{kind} {parameter}')


def centre(x: jax.Array) -> jax.Array:
  """The four pixels that are farthest from the borders."""
  middle = x.shape[1] // 2
  return x[:, middle - 1 : middle + 1, middle - 1 : middle + 1]


@pytest.mark.parametrize('architecture', ['resnet', 'orig'])
def test_second_moments_stay_near_one(architecture: str):
  """Of each layer of D for images of one colour, away from the borders."""
  disc = stylegan2.Discriminator(
    stylegan2.DiscSettings(width=64, architecture=architecture, mbstd_group=0)
  )
  colours = jax.random.rademacher(KEY, (16, 1, 1, 3), jnp.float32)
  x = jnp.broadcast_to(colours, (16, 16, 16, 3))
  example = jax.eval_shape(
    lambda key: disc.init(key, types.Batch(x), types.EVAL), KEY
  )
  rng = np.random.default_rng(0)
  params = {
    path: rng.normal(size=leaf.shape).astype(np.float32)
    * (path[-1] == 'kernel')
    for path, leaf in traverse_util.flatten_dict(example['params']).items()
  }
  _, seen = jax.jit(
    lambda params: disc.apply(
      {'params': params}, types.Batch(x), types.EVAL, capture_intermediates=True
    )
  )(traverse_util.unflatten_dict(params))
  seen = {
    '/'.join(path[:-1]): values[0]
    for path, values in traverse_util.flatten_dict(
      seen['intermediates']
    ).items()
    if len(path) == 3 and path[1] != 'out'  # Of one number.
  }
  assert len(seen) == {'resnet': 9, 'orig': 7}[architecture]
  for name, h in seen.items():
    h = centre(h) if h.ndim == 4 else h
    scale = 0.5 if name.endswith('skip') else 1.0
    scale *= 0.5 if architecture == 'resnet' and 'conv1' in name else 1.0
    moment = float(jnp.square(h).mean()) / scale
    # The last layers see the borders, too.
    least = 0.3 if 'b4' in name else 0.6
    assert least < moment < 1.6, (name, moment)


def test_second_moments_of_gradients_grow_as_little_as_those_of_values():
  """Of the mapping: each leaky rectifier passes (1 + .2^2) / 2 times 2."""
  depth, width, draws = 4, 256, 16
  mapping = style_layers.Mapping(width, depth, 0.01)
  z = jax.random.normal(KEY, (64, width))
  g = jax.random.normal(jax.random.key(1), z.shape)

  @jax.vmap
  def moments(key: jax.Array) -> jax.Array:
    variables = mapping.init(key, z, None)
    w, pull = jax.vjp(lambda z: mapping.apply(variables, z, None), z)
    return jnp.stack([jnp.square(x).mean() for x in (w, pull(g)[0])])

  found = moments(jax.random.split(KEY, draws)).mean(axis=0)
  np.testing.assert_allclose(found, 1.04**depth, rtol=0.15)


def test_mapping_learns_slowly_and_keeps_the_scale():
  mapping = style_layers.Mapping(64, 8, 0.01)
  z = 5 * jax.random.normal(KEY, (64, 32))
  w, variables = jax.jit(lambda key: mapping.init_with_output(key, z, None))(
    KEY
  )
  assert 0.3 < float(jnp.square(w).mean()) < 3
  # A hundredth of the learning rate: weights are as much larger.
  kernels = [layer['kernel'].std() for layer in variables['params'].values()]
  np.testing.assert_allclose(kernels, 100, rtol=0.1)


def test_modulation_by_kernels_of_each_sample():
  """Eq. 1 and 3: scaled and normalised kernels give a variance of 1."""
  x = jax.random.normal(KEY, (3, 16, 16, 24))
  kernel = jax.random.normal(jax.random.key(1), (3, 3, 24, 10))
  style = 1 + 3 * jax.random.normal(jax.random.key(2), (3, 24))
  own = kernel[None] * style[:, None, None, :, None]
  own /= jnp.sqrt(jnp.square(own).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
  expected = jax.vmap(
    lambda x, kernel: jax.lax.conv_general_dilated(
      x[None],
      kernel,
      (1, 1),
      'SAME',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )[0]
  )(x, own)
  ours = style_layers.modulated(x, kernel, style)
  np.testing.assert_allclose(ours, expected, atol=2e-5)
  assert float(ours[:, 1:-1, 1:-1].var()) == pytest.approx(1, abs=0.15)
  # Upwards, of what is the same at all pixels.
  signs = jax.random.rademacher(KEY, (3, 1, 1, 24), jnp.float32)
  even = jnp.broadcast_to(signs, x.shape)
  up = style_layers.modulated(even, kernel, style, up=True)
  assert up.shape == (3, 32, 32, 10)
  same = centre(style_layers.modulated(even, kernel, style))
  np.testing.assert_allclose(centre(up), same, atol=1e-4)


def test_second_moments_in_the_generator():
  """Of each layer, from those of its input, for weights of N(0, 1).

  Where weights alone are random, a demodulated convolution gives the mean
  square under its nine taps, zeros beyond the border included (Karras et al.
  2020, section 2.2), and the leaky rectifier makes 1.04 of it. Colours have no
  demodulation: they have the moment of a style of 1 + N(0, 1), which is 2.
  """
  synthesis = style_layers.Synthesis((16, 16, 16), 3, 'skip', False)
  ws = style_layers.unit_moment(jax.random.normal(KEY, (2, 6, 32)))

  @jax.jit
  @jax.vmap
  def moments(key: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
    rngs = {'params': key, 'noise': key}
    variables = synthesis.init(rngs, ws)
    _, seen = synthesis.apply(
      variables, ws, rngs={'noise': key}, capture_intermediates=True
    )
    seen = {
      '/'.join(path[:-1]): values[0]
      for path, values in traverse_util.flatten_dict(
        seen['intermediates']
      ).items()
    }
    const = jnp.broadcast_to(variables['params']['b4']['const'], (2, 4, 4, 16))

    def under_taps(x: jax.Array) -> jax.Array:
      square = jnp.pad(jnp.square(x).mean(axis=3), ((0, 0), (1, 1), (1, 1)))
      side = x.shape[1]
      return sum(
        square[:, i : i + side, j : j + side]
        for i, j in itertools.product(range(3), range(3))
      )

    found = {}
    x = const
    for block in ('b4', 'b8', 'b16'):
      for conv in ('conv0', 'conv1'):
        if (name := f'{block}/{conv}') not in seen:
          continue
        y = seen[name]
        taps = under_taps(resample.upsample(x) if conv == 'conv0' else x)
        # Borders of what was upsampled first are not those of a convolution
        # that upsamples.
        inner = slice(1, -1) if conv == 'conv0' else slice(None)
        square = jnp.square(y).mean(axis=3)
        found[name] = (
          square[:, inner, inner].mean(),
          1.04 / 9 * taps[:, inner, inner].mean(),
        )
        x = y
      name = f'{block}/torgb'
      found[name] = jnp.square(seen[name]).mean(), 2 * jnp.square(x).mean()
    return found

  found = moments(jax.random.split(jax.random.key(1), 400))
  assert len(found) == 5 + 3
  for name, (moment, expected) in found.items():
    ratio = float((moment / expected).mean())
    assert ratio == pytest.approx(1, abs=0.06), name
  # N(0, 1) under nine taps, or six at the sides and four in the corners.
  least = 1.04 * (4 * 9 + 8 * 6 + 4 * 4) / (9 * 16)
  assert found['b4/conv1'][0].mean() == pytest.approx(least, rel=0.05)


@pytest.mark.parametrize('group', [1, 2, 3, 6])
def test_minibatch_std_by_hand(group: int):
  """Sample i is with i + B / group, i + 2 B / group and so on."""
  x = np.random.default_rng(0).normal(size=(6, 2, 3, 4)).astype(np.float32)
  expected = np.zeros(6)
  for i in range(6):
    members = [j for j in range(6) if j % (6 // group) == i % (6 // group)]
    assert len(members) == group
    variance = np.mean(
      (x[members] - x[members].mean(axis=0, keepdims=True)) ** 2, axis=0
    )
    expected[i] = np.sqrt(variance + 1e-8).mean()
  ours = style_layers.minibatch_std(jnp.asarray(x), group)
  np.testing.assert_array_equal(ours[..., :4], x)
  np.testing.assert_allclose(
    ours[..., 4], np.broadcast_to(expected[:, None, None], (6, 2, 3)), rtol=1e-5
  )


def closed_form(
  scale: jax.Array, average: float
) -> tuple[jax.Array, jax.Array]:
  """Path lengths of images that are `scale` times w: |J^T y| is known."""
  return penalties.path_length(
    lambda latent: jnp.broadcast_to(latent.z[:, None], (5, 2, 4)),
    lambda ws: (scale * ws.sum(axis=1)).reshape(5, 2, 2, 1),
    types.Latent(jnp.ones((5, 4))),
    jnp.float32(average),
    KEY,
    jnp.float32(0.1),
  )


def test_path_length_by_hand_and_by_differences():
  y = np.asarray(jax.random.normal(KEY, (5, 2, 2, 1))).reshape(5, 4)
  norms = np.linalg.norm(y, axis=1) / np.sqrt(2 * 2)
  lengths = 3 * norms
  after = 0.5 + 0.1 * (lengths.mean() - 0.5)
  value, average = closed_form(jnp.float32(3.0), 0.5)
  assert average == pytest.approx(after, rel=1e-5)
  assert value == pytest.approx(np.square(lengths - after).mean(), rel=1e-5)

  def by_numpy(scale: float) -> float:
    lengths = scale * norms
    # Through the average, too.
    return np.square(lengths - 0.5 - 0.1 * (lengths.mean() - 0.5)).mean()

  slope = jax.grad(lambda s: closed_form(s, 0.5)[0])(jnp.float32(3.0))
  differences = (by_numpy(3 + 1e-5) - by_numpy(3 - 1e-5)) / 2e-5
  assert slope == pytest.approx(differences, rel=1e-4)
  assert jnp.isfinite(jax.grad(lambda s: closed_form(s, 0.5)[0])(0.0))


def test_a_term_looks_at_its_share_of_the_batch():
  """And its memory moves at the steps at which it is applied, alone."""
  config = small_game()
  config.penalties.path_length.shrink = 3
  spec, hyper = build.make_spec(config, IMAGES), build.make_hyper(config)
  term = spec.terms.gen['path_length']
  assert term.every == 4
  seen = []
  closed = {
    'map': lambda latent: seen.append(latent.z.shape) or latent.z[:, None],
    'synthesise': lambda ws: ws.reshape(-1, 1, 1, 5),
  }
  update = terms.Update(
    params={}, gen=None, disc=None, judge=None, shown=None,
    gen_methods=closed,
    latent=types.Latent(jnp.ones((8, 5))), real=None, fake=None, hyper=hyper,
    memory=(), key=KEY,
  )  # fmt: skip
  memory = {'path_length': term.init()}
  moved = []
  for step in range(4, 6):
    loss, after, logs = terms.add(
      jnp.float32(1.0), {'path_length': term}, update, memory, jnp.int32(step)
    )
    moved.append(float(after['path_length']))
    assert loss == pytest.approx(1 + 2 * float(logs['penalties/path_length']))
  assert set(seen) == {(2, 5)}
  assert moved[0] > 0
  assert moved[1] == 0


def closed_map(
  config: configs.Config, mode: types.Mode
) -> tuple[Callable[[jax.Array], jax.Array], jax.Array]:
  """`map` as a function of its key, and what it gives after training."""
  spec = build.make_spec(config, IMAGES)
  params, vars = made(spec.gen)
  latent = spec.latent(KEY, 4)
  enter = spec.gen.methods['map']
  own = jax.jit(lambda key: enter(params, vars, latent, key=key, mode=mode)[0])
  plain, _ = enter(params, vars, latent, key=KEY, mode=types.EVAL)
  return own, plain


def test_style_mixing():
  """Of a whole batch from one layer on, and as often as is set."""
  config = small_game()
  enter, plain = closed_map(config, types.OPPONENT)
  assert plain.shape == (4, 4, 6)
  np.testing.assert_array_equal(plain[:, :1], plain[:, 1:2])
  starts = []
  for ws in np.asarray(jax.lax.map(enter, jax.random.split(KEY, 300))):
    mixed = ~np.isclose(ws, plain, atol=1e-6).all(axis=2)
    assert (mixed == mixed[:1]).all()
    count = int(mixed[0].sum())
    assert mixed[0, 4 - count :].all()
    if count:
      np.testing.assert_array_equal(ws[:, -1], ws[:, 4 - count])
    starts.append(4 - count)
  shares = np.bincount(starts, minlength=5) / 300
  np.testing.assert_allclose(shares, [0, 0.3, 0.3, 0.3, 0.1], atol=0.07)
  config.gen.net = stylegan2.GenSettings(**SMALL, w_dim=6, depth=2, mixing=0.0)
  enter, plain = closed_map(config, types.TRAIN)
  np.testing.assert_allclose(enter(KEY), plain, rtol=1e-5)


@pytest.fixture(scope='module')
def stepped() -> list[Any]:
  """A population of two before and after a step with both lazy terms.

  And with the members in the other order.
  """
  config = small_game()
  spec, hyper = build.make_spec(config, IMAGES), build.make_hyper(config)
  empty = jax.eval_shape(lambda: build.init_state(spec, hyper, KEY))
  empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), empty)
  params = [made(own)[0] for own in (spec.gen, spec.disc)]

  def member(scale: float) -> Any:
    gen, disc = jax.tree.map(lambda x: scale * x, params)
    return empty._replace(
      gen=empty.gen._replace(params=gen),
      disc=empty.disc._replace(params=disc),
      gen_ema=gen,
    )

  states = jax.tree.map(lambda *x: jnp.stack(x), member(1.0), member(0.9))
  keys = jax.random.split(KEY, 2)

  def play(state: Any, key: jax.Array) -> tuple[Any, Any]:
    x = jax.random.normal(key, (1, 4, 8, 8, 3))
    draw = draws.draw_step(spec, key)
    return steps.make_step(spec)(state, hyper, types.Batch(x), draw)

  program = quick(jax.vmap(play))
  turned = jax.tree.map(lambda x: x[::-1], states)
  return [
    states, program(states, keys), program(turned, keys[::-1]), keys,
    build.make_spec(config, IMAGES),
  ]  # fmt: skip


def test_a_step_moves_everything(stepped: list[Any]):
  """All weights, the average of w, path lengths."""
  before, (after, logs), _, _, _ = stepped
  for player in ('gen', 'disc'):
    moved = jax.tree.map(
      lambda a, b: bool((a != b).any()),
      getattr(before, player).params,
      getattr(after, player).params,
    )
    flat = traverse_util.flatten_dict(moved, sep='/')
    assert all(flat.values()), [k for k, v in flat.items() if not v]
  assert (after.memory['path_length'] > 0).all()
  assert (logs['penalties/r1'] > 0).all()


def test_the_average_of_w_moves_in_updates_of_the_generator(
  stepped: list[Any],
):
  """Once in a step, by the latents of G's own update."""
  before, (after, _), _, keys, spec = stepped
  first = jax.tree.map(lambda x: x[0], before.gen)
  moved = jax.tree.map(lambda x: x[0], after.gen.vars)
  (draw,) = draws.draw_step(spec, keys[0]).gen
  w, same = spec.gen.methods['map'](
    first.params, moved, draw.latent, key=KEY, mode=types.OPPONENT
  )
  np.testing.assert_allclose(
    moved['averages']['w'], 0.005 * w[:, 0].mean(axis=0), rtol=1e-3, atol=1e-6
  )
  chex.assert_trees_all_equal(same, moved)


def test_members_of_a_population_are_apart(stepped: list[Any]):
  _, (after, _), (turned, _), _, _ = stepped
  again = jax.tree.map(lambda x: x[::-1], turned)
  chex.assert_trees_all_close(again, after, rtol=1e-3, atol=1e-4)
  w = after.gen.vars['averages']['w']
  assert not np.allclose(w[0], w[1])


def test_remat_changes_nothing():
  """Of gradients through both players."""
  z = types.Latent(jnp.asarray(fixture.draw('z', 2, 5)))

  def gradients(remat: bool) -> tuple[Any, str]:
    pair = network_pair(
      8, 0, stylegan2.GenSettings(**SMALL, w_dim=6, depth=1, remat=remat),
      stylegan2.DiscSettings(**SMALL, mbstd_group=2, remat=remat), 5,
    )  # fmt: skip
    (gen, vars), (disc, _) = map(made, pair)
    own = {'key': KEY, 'mode': types.TRAIN}

    def loss(params: tuple[Any, Any]) -> jax.Array:
      x, _ = pair.gen.apply(params[0], vars, z, **own)
      return pair.disc.apply(params[1], {}, types.Batch(x), **own)[0].sum()

    grad = quick(jax.grad(loss))
    return grad((gen, disc)), str(grad.trace((gen, disc)).jaxpr)

  (plain, text), (again, other) = gradients(False), gradients(True)
  # Of G's blocks at 4x4 and 8x8, and of D's at 8x8.
  assert other.count('prevent_cse') == 3
  assert text.count('prevent_cse') == 0
  chex.assert_trees_all_close(again, plain, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_near():
  """Numbers are float32 where they leave a network, and parameters always."""
  gen = stylegan2.GenSettings(**SMALL, w_dim=6, depth=2)
  disc = stylegan2.DiscSettings(**SMALL, mbstd_group=2)
  full = network_pair(8, 0, gen, disc, 5)
  half = network_pair(8, 0, gen, disc, 5, dtype=jnp.bfloat16)
  latent = types.Latent(jax.random.normal(KEY, (4, 5)))

  def look(pair: types.Pair) -> tuple[jax.Array, jax.Array]:
    (params, vars), (own, _) = map(made, pair)
    assert {p.dtype for p in jax.tree.leaves((params, own))} == {
      jnp.dtype(jnp.float32)
    }

    @quick
    def both(params: types.PyTree, own: types.PyTree) -> Any:
      x, _ = pair.gen.apply(params, vars, latent, key=KEY, mode=types.EVAL)
      batch = types.Batch(x)
      return x, pair.disc.apply(own, {}, batch, key=KEY, mode=types.TRAIN)[0]

    return both(params, own)

  gen_params, vars = made(half.gen)
  own = {'key': KEY, 'mode': types.EVAL}
  traced = jax.jit(
    lambda params: half.gen.apply(params, vars, latent, **own)[0]
  ).trace(gen_params)
  convolved = re.findall(r':(\w+)\[[\d,]+\] = conv\[', str(traced.jaxpr))
  assert convolved == ['bf16'] * 5
  for ours, expected in zip(look(half), look(full), strict=True):
    assert ours.dtype == jnp.float32
    assert not np.array_equal(ours, expected)
    error = np.abs(ours - expected).max()
    assert error < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
  ('shape', 'near'),
  [
    ((28, 28, 1), 'such as 16, 32'),
    ((4, 4, 3), 'such as 8, 16'),
    ((96, 96, 3), 'such as 64, 128'),
    ((8, 16, 3), 'square images'),
    ((2,), 'square images'),
  ],
)
def test_other_sizes_are_refused(shape: tuple[int, ...], near: str):
  with pytest.raises(ValueError, match=f'stylegan2 makes.*{near}'):
    stylegan2.sides(shape)
  info = sources.Info(kind='images', shape=shape)
  with pytest.raises(ValueError, match='stylegan2 makes'):
    build.make_spec(small_game(), info)


def test_groups_that_do_not_divide_the_batch():
  """Are refused in training; afterwards, a block may be of any size."""
  disc = stylegan2.Discriminator(stylegan2.DiscSettings(**SMALL))
  batch = types.Batch(jnp.ones((6, 8, 8, 3)))
  init = functools.partial(disc.init, KEY, batch)
  with pytest.raises(ValueError, match='mbstd_group=4: must divide the batch'):
    jax.eval_shape(lambda: init(types.TRAIN))
  jax.eval_shape(lambda: init(types.EVAL))
  for wanted, samples, group in ((4, 6, 3), (4, 7, 1), (4, 3, 3), (0, 5, 0)):
    assert stylegan2._group(wanted, samples, types.EVAL) == group
  config, info = small_game(), sources.Info('images', (8, 8, 3))
  config.batch_size = 2
  config.disc.net = stylegan2.DiscSettings(**SMALL)
  build.make_spec(config, info)  # One group of all.
  config.gen_batches = 3
  with pytest.raises(ValueError, match='must divide the batch of 6 samples'):
    build.make_spec(config, info)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'gen': {'architecture': 'deep'}}, 'gen.net.architecture'),
    ({'gen': {'mixing': 1.5}}, 'gen.net.mixing=1.5'),
    ({'gen': {'w_dim': 0}}, 'gen.net.w_dim=0'),
    ({'disc': {'mbstd_group': -1}}, 'disc.net.mbstd_group=-1'),
  ],
)
def test_bad_settings_are_refused(change: dict, message: str):
  config = small_game()
  for player, net in change.items():
    getattr(config, player).net = net
  with pytest.raises(ValueError, match=message):
    build.complete(config)


def test_path_length_needs_intermediate_latents():
  config = configs.Config()
  config.penalties.path_length.weight = 2.0
  info = sources.Info(kind='density', shape=(1,), mean=(0.0,), std=(1.0,))
  with pytest.raises(ValueError, match=r"gen\.name='mlp' has no intermediate"):
    build.make_spec(config, info)


def test_samples_have_noise_of_their_own(monkeypatch: pytest.MonkeyPatch):
  """Each block of them, and the same again by the same key."""
  monkeypatch.setattr(cpu, 'BLOCK_SAMPLES', 4)
  spec = build.make_spec(small_game(), IMAGES)
  loud, vars = made(spec.gen)
  quiet = traverse_util.flatten_dict(loud)
  quiet = {k: v * (k[-1] != 'noise_strength') for k, v in quiet.items()}
  latent = types.Latent(jnp.ones((10, 5)))

  @quick
  def draw(params: types.PyTree, key: jax.Array) -> jax.Array:
    return sampling.sample(spec, params, vars, latent, key).x

  x = draw(loud, KEY)
  assert len(np.unique(np.asarray(x).reshape(10, -1), axis=0)) == 10
  np.testing.assert_array_equal(draw(loud, KEY), x)
  assert not np.allclose(draw(loud, jax.random.key(1)), x)
  x = draw(traverse_util.unflatten_dict(quiet), KEY)
  np.testing.assert_allclose(x, x[:1].repeat(10, 0), atol=1e-5)


def test_lazy_rates_of_the_recipe():
  """Adam's numbers for terms at every 16th and every 4th step, to the power."""
  config = configs.Config()
  recipes.use_stylegan2(config, recipes.STYLEGAN2['cifar'])
  assert config.optim.gen.learning_rate == pytest.approx(0.002)
  assert config.optim.disc.learning_rate == pytest.approx(0.00235, abs=5e-6)
  assert config.optim.gen.b2 == pytest.approx(0.99**0.8)
  assert config.penalties.path_length.weight == 0
  assert config.gen.net.mixing == 0
  assert config.penalties.r1.weight == 0.01
  assert config.penalties.r1.every == 16
  # Half-life a twentieth of the images so far, up to half a million.
  hyper = build.make_hyper(config)
  schedule = build.make_schedule(config)
  lives = [
    float(schedule(hyper, jnp.int32(images // 64))['ema.half_life'])
    for images in (64_000, 640_000, 64_000_000)
  ]
  assert lives == pytest.approx([3200, 32_000, 500_000])
