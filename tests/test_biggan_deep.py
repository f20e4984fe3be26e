"""BigGAN-deep: its authors' answers, its tables, what is refused."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import make_biggan_deep_fixture as fixture
import make_biggan_fixture as common
import numpy as np
import pytest
import test_biggan
from flax import traverse_util

from gan_jax import types
from gan_jax.config import checks, fields as configs
from gan_jax.networks import adapter, authors_biggan, biggan, biggan_deep
from gan_jax.ops import homogeneous

KEY = jax.random.key(0)


def make(
  size: int, width: int = 2, attention: int = 0, classes: int = 3, **own: Any
) -> tuple[biggan_deep.Generator, biggan_deep.Discriminator]:
  """G and D; attention in D is at half of G's side."""
  gen = biggan_deep.GenSettings(
    width, attention, shared=own.pop('shared', 5), **own
  )
  disc = biggan_deep.DiscSettings(width, attention // 2, **own)
  return (
    biggan_deep.Generator((size, size, 3), gen, classes),
    biggan_deep.Discriminator(disc, classes),
  )


def started(vars: types.PyTree) -> types.PyTree:
  """With running variances of 1 in place of 0."""
  flat = traverse_util.flatten_dict(vars)
  return traverse_util.unflatten_dict(
    {path: x + float(path[-1] == 'var') for path, x in flat.items()}
  )


@pytest.mark.parametrize('name', fixture.CASES)
def test_gen_is_its_authors(name: str):
  """In training; one of them also by the running statistics after that."""
  case = fixture.CASES[name]
  gen, _ = make(case.size, case.width, case.attention, shared=case.shared)
  kept = test_biggan.answers(fixture.PATH, name)
  z, _ = common.inputs(case.size, case.latent)
  given = types.Latent(z, common.LABELS)
  layout = authors_biggan.layout(gen.settings, case.size)
  network, params, vars = test_biggan.weighted(gen, given, layout)

  @jax.jit
  def samples(params: types.PyTree, vars: types.PyTree) -> dict[str, jax.Array]:
    apply = functools.partial(network.apply, params, key=KEY)
    vars = network.advance(params, vars)
    x, vars = apply(vars, given, mode=types.TRAIN)
    if 'later' not in kept:
      return {'samples': x}
    # There a pass in evaluation iterates once more, too, and forgets it.
    vars = network.advance(params, vars)
    later, _ = apply(vars, given, mode=types.EVAL)
    return {'samples': x, 'later': later}

  for key, x in samples(params, started(vars)).items():
    found = x[:, :: case.step, :: case.step]
    np.testing.assert_allclose(found, kept[key], atol=1e-4, err_msg=key)


@pytest.mark.parametrize('name', fixture.CASES)
def test_disc_is_its_authors(name: str):
  """Logits; in one case the penalty and its gradients, too."""
  case = fixture.CASES[name]
  _, disc = make(case.size, case.width, case.attention)
  kept = test_biggan.answers(fixture.PATH, name)
  _, x = common.inputs(case.size, case.latent)
  given = types.Batch(x, common.LABELS)
  layout = authors_biggan.layout(disc.settings, case.size)
  weighted = test_biggan.weighted(disc, given, layout)
  if name == 'full':
    test_biggan.check_disc(weighted, given, kept, layout)
    return

  @jax.jit
  def logits(params: types.PyTree, vars: types.PyTree) -> jax.Array:
    vars = weighted[0].advance(params, vars)
    return weighted[0].apply(params, vars, given, key=KEY, mode=types.TRAIN)[0]

  np.testing.assert_allclose(logits(*weighted[1:]), kept['logits'], rtol=1e-4)


# The multipliers of the paper's tables, as google/compare_gan has them; those
# for 128x128 are its table 7, those for 256x256 its table 8.
TABLES = {
  128: (
    [16, 16, 16, 16, 8, 8, 4, 4, 2, 2, 1],
    [1, 2, 2, 4, 4, 8, 8, 16, 16, 16, 16],
  ),
  256: (
    [16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1],
    [1, 2, 2, 4, 4, 8, 8, 8, 8, 16, 16, 16, 16],
  ),
}


def channels(params: types.PyTree, conv: int) -> list[int]:
  """What a convolution of each block makes."""
  blocks = sum(name.startswith('Block') for name in params)
  return [
    params[f'Block_{i}'][f'Conv_{conv}']['kernel'].shape[-1]
    for i in range(blocks)
  ]


@pytest.mark.parametrize('size', TABLES)
def test_channels_of_the_tables(size: int):
  gen, disc = make(size, 128)
  up, down = TABLES[size]
  params = test_biggan.shapes(gen, test_biggan.latent(7, 3))
  # The embedding of the class has 5 numbers, z 7.
  assert params['Dense_0']['kernel'].shape == (12, 16 * 128 * up[0])
  assert channels(params, 3) == [128 * n for n in up[1:]]
  assert channels(params, 1) == [32 * n for n in up[:-1]]
  params = test_biggan.shapes(disc, test_biggan.batch(size, 3))
  assert params['Conv_0']['kernel'].shape == (3, 3, 3, 128)
  assert channels(params, 3) == [128 * n for n in down[1:]]
  assert channels(params, 1) == [32 * n for n in down[1:]]
  for i, (few, many) in enumerate(itertools.pairwise(down)):
    block = params[f'Block_{i}']
    assert ('Conv_4' in block) == (few < many)
    if few < many:
      shape = block['Conv_4']['kernel'].shape
      assert shape == (1, 1, 128 * few, 128 * (many - few))


@pytest.mark.parametrize('depth', [1, 3])
def test_blocks_of_a_stage(depth: int):
  """Those before G's last keep its channels, as those after D's first do."""
  gen, disc = make(64, 4, depth=depth)
  of_gen = test_biggan.shapes(gen, test_biggan.latent(7, 3))
  of_disc = test_biggan.shapes(disc, test_biggan.batch(64, 3))
  more = depth - 1
  up = [(16, 16), (16, 8), (8, 4), (4, 2)]
  expected = [4 * n for a, b in up for n in [a] * more + [b]]
  assert channels(of_gen, 3) == expected
  expected = [4 * n for n in (2, 4, 8, 16) for _ in range(depth)]
  assert channels(of_disc, 3) == expected


@pytest.mark.parametrize('size', biggan.PLANS)
@pytest.mark.parametrize('classes', [0, 3])
def test_sizes(size: int, classes: int):
  gen, disc = make(size, classes=classes)

  def both(given: types.Latent) -> tuple[jax.Array, jax.Array]:
    x, _ = gen.init_with_output(KEY, given, types.EVAL)
    batch = types.Batch(x, given.label)
    return x, disc.init_with_output(KEY, batch, types.EVAL)[0]

  x, logits = jax.eval_shape(both, test_biggan.latent(4, classes, 2))
  assert (x.shape, logits.shape) == ((2, size, size, 3), (2,))


def test_the_class_and_z_are_told_to_every_block():
  gen, _ = make(32)
  params = test_biggan.shapes(gen, test_biggan.latent(7, 3))
  assert params['shared']['embedding'].shape == (3, 5)
  for i in range(6):
    for j in range(4):
      norm = params[f'Block_{i}'][f'VectorBatchNorm_{j}']
      assert {norm[name]['kernel'].shape[0] for name in norm} == {5 + 7}
  plain, _ = make(32, classes=0)
  params = test_biggan.shapes(plain, test_biggan.latent(7))
  assert 'shared' not in params
  norm = params['Block_5']['VectorBatchNorm_3']
  assert norm['gain']['kernel'].shape == (7, 2)


def test_samples_depend_on_their_class():
  gen, _ = make(32, spectral_norm=False)
  given = test_biggan.latent(4, 3, 2)
  network = adapter.as_network(gen, given)
  assert network.truncation == 'latent'
  params, vars = test_biggan.drawn(network)

  @jax.jit
  def samples(label: jax.Array) -> jax.Array:
    own = given._replace(label=label)
    averages = started(vars)
    return network.apply(params, averages, own, key=KEY, mode=types.EVAL)[0]

  first, other = samples(jnp.array([0, 1])), samples(jnp.array([2, 1]))
  assert np.abs(first[0] - other[0]).max() > 1e-3
  np.testing.assert_allclose(first[1], other[1], atol=1e-6)
  # Shares of classes, as a walk has them.
  walked = samples(jax.nn.one_hot(jnp.array([2, 1]), 3)[:, None])
  np.testing.assert_allclose(walked, other, atol=1e-6)


REFUSED = [
  ((100, 100, 3), 0, 'data.size=100: biggan_deep makes images of side 32, 64, '
   '128 or 256; set data.size=128'),
  ((32, 48, 3), 0, 'biggan_deep makes square images'),
  ((32, 32, 3), 64, r'net\.attention=64: at this data\.size, blocks give sides '
   'of (8, 16, 32|16, 8); 0 is no attention'),
]  # fmt: skip


@pytest.mark.parametrize(('shape', 'attention', 'message'), REFUSED)
def test_refused_in_one_line(
  shape: tuple[int, ...], attention: int, message: str
):
  own = {'width': 2, 'attention': attention}
  gen = biggan_deep.Generator(shape, biggan_deep.GenSettings(**own))
  disc = biggan_deep.Discriminator(biggan_deep.DiscSettings(**own))
  images = types.Batch(jnp.zeros((1, *shape)))
  for module, given in ((gen, test_biggan.latent(4)), (disc, images)):
    with pytest.raises(ValueError, match=message) as error:
      test_biggan.shapes(module, given)
    # JAX adds lines of its own to what passes through it.
    assert '\n' not in str(error.value).partition('\n---')[0]


def test_an_embedding_without_classes_is_told():
  config = configs.Config()
  config.gen.name = config.disc.name = 'biggan_deep'
  config.data.name = 'folder'
  config.gen.net = biggan_deep.GenSettings(shared=64)
  config.disc.net = biggan_deep.DiscSettings()
  told = [x for x in checks.warnings(config) if x.startswith('gen.net')]
  assert told == [
    'gen.net.shared=64: has no effect in training without conditional=True or '
    'gen.codes'
  ]
  config.conditional = True
  assert not [x for x in checks.warnings(config) if x.startswith('gen.net')]


def test_first_weights_are_of_one_law(monkeypatch: pytest.MonkeyPatch):
  gen, disc = make(32, 2, 16, kernel_init='normal', kernel_scale=0.02)
  found = test_biggan.laws(monkeypatch, gen, test_biggan.latent(7, 3))
  assert ('shared', 'embedding') in found
  assert ('Block_1', 'VectorBatchNorm_3', 'gain', 'kernel') in found
  of_disc = test_biggan.laws(monkeypatch, disc, test_biggan.batch(32, 3))
  assert all(law == ('normal', 0.02) for law in found.values())
  assert all(law == ('normal', 0.02) for law in of_disc.values())


def test_which_weights_are_normalised():
  """All of D's, with the embedding of the class; of G's no embedding."""
  gen, disc = make(32, 2, 16)
  for module, given in (
    (gen, test_biggan.latent(7, 3)),
    (disc, test_biggan.batch(32, 3)),
  ):
    network = adapter.as_network(module, given)
    params, vars = jax.eval_shape(network.init, KEY)
    vectors = traverse_util.flatten_dict(vars['spectral'])
    weights = test_biggan.kernels_of(params)
    if module is gen:
      weights = {path for path in weights if path[-1] == 'kernel'}
    assert {path[:-1] for path in vectors} == weights
  gen, disc = make(32, spectral_norm=False)
  assert gen.spectral is disc.spectral is None
  gen, disc = make(32, power_iterations=3)
  assert gen.spectral.iterations == disc.spectral.iterations == 3


def test_a_plain_disc_is_homogeneous():
  _, disc = make(32, spectral_norm=False)
  given = test_biggan.batch(32, 3, 2)
  network = adapter.as_network(disc, given)
  assert network.homogeneous
  params, vars = test_biggan.drawn(network)

  def judge(params: types.PyTree, batch: types.Batch) -> jax.Array:
    return network.apply(params, vars, batch, key=KEY, mode=types.EVAL)[0]

  found = jax.jit(functools.partial(homogeneous.logits_and_input_grads, judge))(
    params, given
  )
  np.testing.assert_allclose(found[0], jax.jit(judge)(params, given), rtol=1e-4)
  assert not make(32, 2, 16)[1].homogeneous


def inputs(player: str) -> types.Latent | types.Batch:
  if player == 'gen':
    return test_biggan.latent(7, 3, 2)
  return test_biggan.batch(32, 3, 2)


@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_every_block_can_be_computed_again(player: str):
  def count(remat: bool) -> int:
    gen, disc = make(32, remat=remat)
    module, given = (gen if player == 'gen' else disc), inputs(player)
    network = adapter.as_network(module, given)

    def apply(params: types.PyTree, vars: types.PyTree) -> jax.Array:
      return network.apply(params, vars, given, key=KEY, mode=types.TRAIN)[0]

    shapes = jax.eval_shape(network.init, KEY)
    return str(jax.make_jaxpr(apply)(*shapes)).count('remat')

  # Two for each of three stages.
  assert [count(remat) for remat in (False, True)] == [0, 6]


@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_half_precision(player: str):
  given = inputs(player)

  def of_dtype(dtype: Any) -> types.Network:
    gen, disc = make(32, 2, 16, spectral_norm=False)
    module = (gen if player == 'gen' else disc).clone(dtype=dtype)
    return adapter.as_network(module, given)

  test_biggan.check_half_precision(of_dtype, given)
