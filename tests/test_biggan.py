"""SNGAN, SAGAN and BigGAN: their authors' answers, sizes, laws of weights."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import make_biggan_fixture as fixture
import make_sngan_fixture
import numpy as np
import pytest
from flax import traverse_util

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import penalties
from gan_jax.networks import (
  adapter,
  attention,
  biggan,
  conditional,
  residual,
  sngan,
  spectral,
)

KEY = jax.random.key(0)
SMALL_GEN = biggan.GenSettings(width=2)
SMALL_DISC = biggan.DiscSettings(width=2)


def latent(size: int, classes: int = 0, n: int = 1) -> types.Latent:
  label = jnp.arange(n) % classes if classes else None
  return types.Latent(jax.random.normal(KEY, (n, size)), label)


def batch(size: int, classes: int = 0, n: int = 1) -> types.Batch:
  x = jax.random.normal(KEY, (n, size, size, 3))
  return types.Batch(x, latent(1, classes, n).label)


def shapes(module: nn.Module, example: types.Latent | types.Batch) -> dict:
  init = functools.partial(module.init, mode=types.EVAL)
  return jax.eval_shape(init, KEY, example)['params']


def count(module: nn.Module, example: types.Latent | types.Batch) -> int:
  leaves = jax.tree.leaves(shapes(module, example))
  return sum(math.prod(leaf.shape) for leaf in leaves)


COUNTS = [
  (sngan, {}, 0, (32, 128), (4_276_739, 1_053_824)),
  (sngan, {}, 10, (32, 128), (4_304_387, 1_055_104)),
  # Of G, table 3 with a bias in each layer and pairs of gains and biases.
  (
    sngan, {'architecture': 'cnn'}, 0, (32, 128),
    (128 * 8192 + 8192 + 16 * (512 * 256 + 256 * 128 + 128 * 64)
     + 3 * (256 + 128 + 64) + 9 * 64 * 3 + 3, 2_935_873),
  ),
  (biggan, {}, 10, (32, 128), (4_304_387, 4_207_361)),
  (
    biggan,
    {'width': 96, 'attention': 64, 'hierarchical': True, 'shared': 128},
    1000, (128, 120), (70_433_988, 87_982_370),
  ),
]  # fmt: skip


@pytest.mark.parametrize(('file', 'own', 'classes', 'sizes', 'counts'), COUNTS)
def test_as_many_parameters_as_the_authors(
  file: Any,
  own: dict[str, Any],
  classes: int,
  sizes: tuple[int, int],
  counts: tuple[int, int],
):
  of_gen, of_disc = (
    {k: v for k, v in own.items() if k in known.__dataclass_fields__}
    for known in (file.GenSettings, file.DiscSettings)
  )
  size, z = sizes
  gen = file.Generator(
    (size, size, 3), file.GenSettings(**of_gen), classes=classes
  )
  disc = file.Discriminator(file.DiscSettings(**of_disc), classes=classes)
  found = count(gen, latent(z, classes)), count(disc, batch(size, classes))
  assert found == counts


# From our layers to those of BigGAN's PyTorch code and of SNGAN's.
_CONVS = ('conv1', 'conv2', 'conv_sc')
_ATTENTION = {'query': 'theta', 'key': 'phi', 'value': 'g', 'out': 'o'}


def torch_name(path: tuple[str, ...], player: str, attended: int) -> str:
  """The name there of a leaf of ours."""
  layer, *rest = path
  end = 'bias' if path[-1] == 'bias' else 'weight'
  if layer.startswith('Block'):
    inner, index = rest[0].rsplit('_', 1)
    block = f'blocks.{layer.removeprefix("Block_")}.0'
    if inner == 'Conv':
      return f'{block}.{_CONVS[int(index)]}.{end}'
    return f'{block}.bn{int(index) + 1}.{rest[1]}.weight'
  if layer == 'SelfAttention_0':
    block = f'blocks.{attended}.1'
    found = 'gamma' if rest == ['gamma'] else f'{_ATTENTION[rest[0]]}.weight'
    return f'{block}.{found}'
  if layer == 'BatchNorm_0':
    return f'output_layer.0.{"gain" if rest == ["scale"] else "bias"}'
  there = {
    'Dense_0': 'linear', 'Conv_0': 'output_layer.2', 'shared': 'shared',
    'Projection_0': 'embed',
  }  # fmt: skip
  return f'{there[layer]}.{end}'


def chainer_name(path: tuple[str, ...], player: str, blocks: int) -> str:
  """The name there of a leaf of ours, in networks of so many blocks."""
  layer, *rest = path
  end = 'b' if path[-1] == 'bias' else 'W'
  first = {'gen': 2, 'disc': 1}[player]
  if layer.startswith('Block'):
    inner, index = rest[0].rsplit('_', 1)
    block = f'/block{int(layer.removeprefix("Block_")) + first}'
    if inner == 'Conv':
      return f'{block}/{("c1", "c2", "c_sc")[int(index)]}/{end}'
    kind = {'gain': 'gamma', 'scale': 'gamma', 'bias': 'beta'}[rest[1]]
    by_class = 's/W' if inner == 'ClassBatchNorm' else ''
    return f'{block}/b{int(index) + 1}/{kind}{by_class}'
  if layer == 'BatchNorm_0':
    kind = 'gamma' if rest == ['scale'] else 'beta'
    return f'/b{blocks + 2}/{kind}'
  if layer == 'Conv_0':
    # In the file for 32x32 it has the next number, in the other the same.
    return f'/c5/{end}' if blocks == 3 else f'/l{blocks + 2}/{end}'
  if layer == 'Dense_0':
    return f'/l1/{end}' if player == 'gen' else f'/l{blocks + 1}/{end}'
  return '/l_y/W'


def theirs(path: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
  """A shape of ours in their order of axes."""
  if len(shape) == 4:
    return shape[3], shape[2], shape[0], shape[1]
  return shape[::-1] if path[-1] == 'kernel' else shape


def ours(
  path: tuple[str, ...], x: np.ndarray, *, to_pixels: bool
) -> np.ndarray:
  """An array of theirs in our order; `to_pixels`: of G's first layer."""
  if x.ndim == 4:
    return x.transpose(2, 3, 1, 0)
  if to_pixels:
    # Rows are [C, 4, 4] there.
    x = x.reshape(-1, 4, 4, *x.shape[1:])
    x = np.moveaxis(x, 0, 2).reshape(-1, *x.shape[3:])
  return x.T if path[-1] == 'kernel' else x


Name = Callable[[tuple[str, ...]], str]


def weighted(
  module: nn.Module, example: Any, name: Name, vector: str
) -> tuple[types.Network, types.PyTree, types.PyTree]:
  """A network with the authors' weights, and the first u of each."""
  network = adapter.as_network(module, example)
  params, vars = jax.eval_shape(network.init, KEY)
  drawn = {}
  flat = traverse_util.flatten_dict(params)
  for path, leaf in flat.items():
    shape = theirs(path, leaf.shape)
    x = fixture.weights({name(path): shape})[name(path)]
    to_pixels = path[0] == 'Dense_0' and leaf.shape[-1] > 1
    drawn[path] = ours(path, x, to_pixels=to_pixels)
  given = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), vars)
  own = traverse_util.flatten_dict(given.get('spectral', {}))
  for path in [path[:-1] for path in own if path[-1] == 'u']:
    key = name(path).removesuffix('weight').removesuffix('W') + vector
    u = fixture.weights({key: own[*path, 'u'].shape})[key]
    to_pixels = path[0] == 'Dense_0' and len(u) > 1
    own[*path, 'u'] = ours(('u',), u, to_pixels=to_pixels)
  if own:
    given['spectral'] = traverse_util.unflatten_dict(own)
  return network, traverse_util.unflatten_dict(drawn), given


def check_answers(
  gen: tuple[types.Network, types.PyTree, types.PyTree],
  disc: tuple[types.Network, types.PyTree, types.PyTree],
  given: tuple[np.ndarray, np.ndarray, np.ndarray | None],
  kept: dict[str, np.ndarray],
  name: Name,
) -> None:
  """Samples and logits to 1e-4, the penalty's gradient to 1e-3, of the largest.

  Args:
    gen: with the authors' weights.
    disc: likewise.
    given: latents, images and labels.
    kept: the authors' answers.
    name: of D's leaves there.
  """
  z, x, label = given

  @jax.jit
  def samples(params: types.PyTree, vars: types.PyTree) -> jax.Array:
    network = gen[0]
    vars = network.advance(params, vars)
    given = types.Latent(z, label)
    return network.apply(params, vars, given, key=KEY, mode=types.TRAIN)[0]

  def penalty(params: types.PyTree, vars: types.PyTree) -> Any:
    network = disc[0]
    vars = network.advance(params, vars)

    def judge(batch: types.Batch) -> jax.Array:
      return network.apply(params, vars, batch, key=KEY, mode=types.TRAIN)[0]

    given = types.Batch(x, label)
    grads = penalties.input_grads(judge, given)
    return penalties.zero_centred(grads), judge(given)

  np.testing.assert_allclose(samples(*gen[1:]), kept['samples'], atol=1e-4)
  (value, logits), grads = jax.jit(jax.value_and_grad(penalty, has_aux=True))(
    *disc[1:]
  )
  np.testing.assert_allclose(logits, kept['logits'], rtol=1e-4)
  np.testing.assert_allclose(value, kept['penalty'], rtol=1e-4)
  for path, grad in traverse_util.flatten_dict(grads).items():
    expected = kept.get(f'grad {name(path)}')
    if expected is None:
      assert not np.any(grad), path
      continue
    expected = ours(path, expected, to_pixels=False)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(grad, expected, atol=1e-3 * scale, rtol=0)


def answers(path: Any, case: str) -> dict[str, np.ndarray]:
  with np.load(path) as file:
    return {
      name.removeprefix(f'{case} '): file[name]
      for name in file.files
      if name.startswith(f'{case} ')
    }


@pytest.mark.parametrize('case', fixture.CASES)
def test_biggan_is_its_authors(case: str):
  own = fixture.CASES[case]
  gen = biggan.Generator(
    (own.size, own.size, 3),
    biggan.GenSettings(
      own.width,
      attention=own.attention,
      shared=own.shared,
      hierarchical=bool(own.shared),
    ),
    classes=fixture.CLASSES,
  )
  disc = biggan.Discriminator(
    biggan.DiscSettings(own.width, attention=own.attention // 2),
    classes=fixture.CLASSES,
  )
  # The second block of G gives 16x16, and the third of D 8x8.
  of_gen = functools.partial(torch_name, player='gen', attended=1)
  of_disc = functools.partial(torch_name, player='disc', attended=2)
  label = fixture.LABELS
  z, x = fixture.inputs(own.size, own.latent)
  check_answers(
    weighted(gen, types.Latent(z, label), of_gen, 'u0'),
    weighted(disc, types.Batch(x, label), of_disc, 'u0'),
    (z, x, label),
    answers(fixture.PATH, case),
    of_disc,
  )


@pytest.mark.parametrize('case', make_sngan_fixture.CASES)
def test_sngan_is_its_authors(case: str):
  own = make_sngan_fixture.CASES[case]
  shape = own.size, own.size, 3
  gen = sngan.Generator(shape, sngan.GenSettings(width=2), classes=own.classes)
  disc = sngan.Discriminator(sngan.DiscSettings(width=2), classes=own.classes)
  plan = sngan.PLANS[own.size]
  of_gen = functools.partial(
    chainer_name, player='gen', blocks=len(plan.up) - 1
  )
  of_disc = functools.partial(
    chainer_name, player='disc', blocks=len(plan.down)
  )
  label = fixture.LABELS if own.classes else None
  z, x = fixture.inputs(own.size, make_sngan_fixture.LATENT)
  check_answers(
    weighted(gen, types.Latent(z, label), of_gen, 'u'),
    weighted(disc, types.Batch(x, label), of_disc, 'u'),
    (z, x, label),
    answers(make_sngan_fixture.PATH, case),
    of_disc,
  )
