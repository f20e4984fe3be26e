"""Tasks of D without labels, against mimicry's code and by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import types
from gan_jax.config import fields as configs, values
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import draws, self_supervised, steps
from gan_jax.networks import biggan, biggan_deep, dcgan, mlp, sngan

KEY = jax.random.key(0)


def test_each_quarter_of_a_batch_is_turned_by_one_more():
  x = np.arange(8 * 9, dtype=np.float32).reshape(8, 3, 3, 1)
  found, turns = self_supervised.turned(jnp.asarray(x))
  np.testing.assert_array_equal(turns, [0, 0, 1, 1, 2, 2, 3, 3])
  # As mimicry's code turns the 3rd, the 5th and the 7th of these.
  for place, rows in {
    2: [[20, 23, 26], [19, 22, 25], [18, 21, 24]],
    4: [[44, 43, 42], [41, 40, 39], [38, 37, 36]],
    6: [[60, 57, 54], [61, 58, 55], [62, 59, 56]],
  }.items():
    np.testing.assert_array_equal(found[place, ..., 0], rows)
  np.testing.assert_array_equal(found[:2], x[:2])


def points() -> tuple[np.ndarray, np.ndarray]:
  rng = np.random.default_rng(0)
  return rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 5))


def test_infomax_of_mimicrys_code():
  """The loss, and the sums of the sizes of its two derivatives."""
  local, whole = (jnp.asarray(x) for x in points())
  loss, (of_local, of_whole) = jax.value_and_grad(
    self_supervised.infomax, argnums=(0, 1)
  )(local, whole)
  assert float(loss) == pytest.approx(4.6190788968192, rel=1e-5)
  assert float(jnp.abs(of_local).sum()) == pytest.approx(5.8816915, rel=1e-5)
  assert float(jnp.abs(of_whole).sum()) == pytest.approx(3.2152440, rel=1e-5)


def by_hand(local: np.ndarray, whole: np.ndarray) -> float:
  """Each part against all parts of all other samples, one after the other."""
  total = []
  for i, own_parts in enumerate(local):
    others = [local[k] @ whole[i] for k in range(len(local)) if k != i]
    apart = np.concatenate([*others, [-10.0] * len(own_parts)])
    for part in own_parts:
      own = part @ whole[i]
      total.append(np.logaddexp.reduce([own, *apart]) - own)
  return float(np.mean(total))


def test_the_formula_of_infomax():
  local, whole = points()
  found = self_supervised.infomax(jnp.asarray(local), jnp.asarray(whole))
  assert float(found) == pytest.approx(by_hand(local, whole), rel=1e-5)


def count(disc: Any, side: int = 32) -> int:
  batch = types.Batch(jnp.zeros((1, side, side, 3)), jnp.zeros(1, jnp.int32))
  shapes = jax.eval_shape(
    lambda: disc.init(KEY, batch, types.TRAIN, method='judge')
  )
  sizes = jax.tree.map(lambda leaf: leaf.size, shapes['params'])
  return sum(jax.tree.leaves(sizes))


def test_parameters_of_mimicrys_heads():
  usual = count(sngan.Discriminator())
  rotations = sngan.DiscSettings(rotations=True)
  assert count(sngan.Discriminator(rotations)) - usual == 516
  infomax = sngan.DiscSettings(infomax=1024)
  assert count(sngan.Discriminator(infomax)) - usual == 561_408


@pytest.mark.parametrize('module', [dcgan, sngan, biggan, biggan_deep])
def test_every_network_of_images_has_the_head(module: Any):
  settings = module.DiscSettings(
    width=4, rotations=True, conditioning='projection'
  )
  disc = module.Discriminator(settings, classes=3)
  batch = types.Batch(jnp.zeros((2, 32, 32, 3)), jnp.zeros(2, jnp.int32))
  seen = jax.eval_shape(
    lambda: disc.init_with_output(KEY, batch, types.TRAIN, method='judge')[0]
  )
  assert seen.heads['rotation'].shape == (2, 4)


def test_parts_and_the_whole():
  """The parts are what the last block sees, without what is below 0."""
  disc = sngan.Discriminator(sngan.DiscSettings(width=2, infomax=6))
  batch = types.Batch(jax.random.normal(KEY, (2, 32, 32, 3)))
  (_, heads), variables = jax.jit(
    lambda: disc.init_with_output(
      KEY, batch, types.TRAIN, method='judge', capture_intermediates=True
    )
  )()
  assert heads['local'].shape == (2, 64, 6)
  assert heads['global'].shape == (2, 6)
  heads, variables = jax.device_get((dict(heads), variables))
  seen = variables['intermediates']
  (before,) = seen['Block_2']['__call__']
  assert (before < 0).any()
  for name, h in (
    ('local', np.maximum(before, 0).reshape(2, 64, -1)),
    ('global', heads['features']),
  ):
    own = variables['params'][f'{name}_critic']
    dense = {k: (w['kernel'], w['bias']) for k, w in own.items()}
    hidden = np.maximum(h @ dense['hidden'][0] + dense['hidden'][1], 0)
    expected = hidden @ dense['out'][0] + dense['out'][1]
    expected += h @ dense['shortcut'][0] + dense['shortcut'][1]
    np.testing.assert_allclose(heads[name], expected, rtol=1e-3, atol=1e-5)


def game(task: str) -> configs.Config:
  config = configs.Config(batch_size=8)
  config.gen.latent_dim, config.gen.latent = 4, 'normal'
  if task == 'ssgan':
    config.gen.name = config.disc.name = 'dcgan'
    config.gen.net = dcgan.GenSettings(width=4)
    config.disc.net = dcgan.DiscSettings(width=4, rotations=True)
    config.penalties.ssgan.weight, config.penalties.ssgan_gen.weight = 1.0, 0.2
  else:
    config.gen.name = config.disc.name = 'sngan'
    config.gen.net = sngan.GenSettings(width=1)
    config.disc.net = sngan.DiscSettings(
      width=4, infomax=8, spectral_norm=False
    )
    config.penalties.infomax.weight = config.penalties.infomax_gen.weight = 0.2
  return config


INFO = {
  'ssgan': sources.Info(kind='images', shape=(8, 8, 1)),
  'infomax': sources.Info(kind='images', shape=(32, 32, 1)),
}


@pytest.mark.parametrize('task', ['ssgan', 'infomax'])
def test_d_learns_of_real_images_and_g_of_its_own(task: str):
  config, info = game(task), INFO[task]
  spec, hyper = build.make_spec(config, info), build.make_hyper(config)
  state = build.init_state(spec, hyper, jax.random.key(0))
  still = {k: 0 * v if 'rate' in k else v for k, v in hyper.items()}
  real = jax.random.uniform(KEY, (1, 8, *info.shape), minval=-1.0)
  draw = draws.draw_step(spec, jax.random.key(4))
  step = jax.jit(steps.make_step(spec))
  _, logs = step(state, still, types.Batch(real), draw)
  own: Any = {'key': KEY, 'mode': types.OPPONENT}

  @jax.jit
  def heads(x: jax.Array) -> Any:
    judge = spec.disc.methods['judge']
    return judge(state.disc.params, state.disc.vars, types.Batch(x), **own)[
      0
    ].heads

  def expected(x: jax.Array) -> float:
    if task == 'infomax':
      found = heads(x)
      return by_hand(np.asarray(found['local']), np.asarray(found['global']))
    views = np.stack([np.rot90(x[i], i // 2) for i in range(8)])
    logits = np.asarray(heads(jnp.asarray(views))['rotation'])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return float(-np.log(shares[np.arange(8), np.arange(8) // 2]).mean())

  fakes, _ = spec.gen.apply(
    state.gen.params, state.gen.vars, draw.gen[0].latent,
    key=draw.gen[0].keys.gen, mode=types.TRAIN,
  )  # fmt: skip
  for name, x in ((task, real[0]), (f'{task}_gen', fakes)):
    found = float(logs[f'penalties/{name}'])
    assert found == pytest.approx(expected(x), rel=1e-3), name


@pytest.mark.parametrize('task', ['ssgan', 'infomax'])
def test_a_step_moves_both_players_by_the_task(task: str):
  """All of D's head, and G otherwise than without its term."""
  config, info = game(task), INFO[task]
  # Adam's first step has but the sign of a gradient.
  config.optim.gen.name = 'sgd'
  moved = []
  for weight in (0.2, 0.0):
    getattr(config.penalties, f'{task}_gen').weight = weight
    spec, hyper = build.make_spec(config, info), build.make_hyper(config)
    state = build.init_state(spec, hyper, jax.random.key(0))
    real = jax.random.uniform(KEY, (1, 8, *info.shape), minval=-1.0)
    draw = draws.draw_step(spec, jax.random.key(4))
    step = jax.jit(steps.make_step(spec))
    moved.append(step(state, hyper, types.Batch(real), draw)[0])
  for a, b in zip(
    *(jax.tree.leaves(each.gen.params) for each in moved), strict=True
  ):
    assert bool((a != b).any())
  names = ['rotation'] if task == 'ssgan' else ['local_critic', 'global_critic']
  for name in names:
    for a, b in zip(
      *(jax.tree.leaves(x.disc.params[name]) for x in (state, moved[0])),
      strict=True,
    ):
      assert bool((a != b).any()), name


@pytest.mark.parametrize(
  ('task', 'change', 'message'),
  [
    ('ssgan', {'disc.net': dcgan.DiscSettings(4)},
     r'ssgan\.weight=1\.0: D has no head for it; set disc\.net\.rotations, of '
     r'mlp, dcgan, sngan, biggan or biggan_deep$'),
    ('infomax', {'disc.net': sngan.DiscSettings(width=1)},
     r'infomax\.weight=0\.2: .* set disc\.net\.infomax, of sngan$'),
    ('ssgan', {'penalties.ssgan.weight': 0.0},
     r'disc\.net\.rotations=True: nothing trains it; set penalties\.ssgan\.w'),
    ('infomax', {'penalties.infomax.weight': 0.0},
     r'disc\.net\.infomax=8: nothing trains it'),
    ('infomax', {'microbatches': 8}, r'an update sees one at a time'),
    ('infomax', {'disc.net': sngan.DiscSettings('cnn', 1, infomax=8)},
     r"disc\.net\.infomax=8: is of disc\.net\.architecture='resnet'"),
  ],
)  # fmt: skip
def test_what_cannot_be_learned(
  task: str, change: dict[str, Any], message: str
):
  config = game(task)
  for name, value in change.items():
    values.assign(config, name, value)
  with pytest.raises(ValueError, match=message):
    build.make_spec(config, INFO[task])


@pytest.mark.parametrize(
  ('policy', 'turns'),
  [('ada.b', True), ('ada.bgcfnc', True), ('r3gan', True),
   ('diffaugment', False), ('translation,color', False)],
)  # fmt: skip
def test_what_is_turned_besides_has_no_turns_to_tell(policy: str, turns: bool):
  config = game('ssgan')
  config.augment.policy, config.augment.p = policy, 1.0
  own = sources.Info(kind='images', shape=(8, 8, 3))
  if not turns:
    build.make_spec(config, own)
    return
  message = rf"augment\.policy='{policy}' turns images, too; 'diffaugment' does"
  with pytest.raises(ValueError, match=message):
    build.make_spec(config, own)


def test_turns_need_as_many_samples():
  config = game('ssgan')
  config.microbatches = 2
  build.make_spec(config, INFO['ssgan'])
  config.microbatches = 4
  with pytest.raises(ValueError, match=r'sees 2 samples at .* are 4 turns'):
    build.make_spec(config, INFO['ssgan'])


@pytest.mark.parametrize('shape', [(2,), (8, 16, 1)])
def test_only_square_images_are_turned(shape: tuple[int, ...]):
  config = game('ssgan')
  config.gen.name = config.disc.name = 'mlp'
  config.gen.net = mlp.GenSettings(4)
  config.disc.net = mlp.DiscSettings(4, rotations=True)
  kind = 'images' if len(shape) > 1 else 'points'
  with pytest.raises(ValueError, match=r'rotations=True: needs square images'):
    build.make_spec(config, sources.Info(kind=kind, shape=shape))
