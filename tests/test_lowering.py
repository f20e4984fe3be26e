"""A step of every network lowers for GPU and TPU, on a machine without one."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import make_lpips_fixture as lpips_fixture
import numpy as np
import pytest

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import source as sources
from gan_jax.engine import build, names
from gan_jax.evaluation import (
  classifier,
  inception as inceptions,
  lpips,
  resizers,
  resnet,
  swin,
  vit,
)
from gan_jax.game import draws, drift, steps
from gan_jax.metrics import (
  kernel,
  neighbours,
  parzen,
  prdc,
  products,
  sliced,
)
from gan_jax.ops import fir
from tests import test_experiments as programs

CLASSES = 3


def takes_labels(name: str) -> bool:
  modules = names.NETWORKS[name].Generator, names.NETWORKS[name].Discriminator
  return all(
    'classes' in {f.name for f in dataclasses.fields(module)}
    for module in modules
  )


def game(name: str) -> tuple[configs.Config, sources.Info]:
  """Conditional where it can be, in bfloat16, with R1 at every other step."""
  config = configs.Config(
    batch_size=4, precision='bfloat16', matmul_precision='highest'
  )
  config.gen.name = config.disc.name = name
  config.gen.latent_dim, config.gen.latent = 8, 'normal'
  config.conditional = takes_labels(name)
  config.penalties.r1.weight, config.penalties.r1.every = 1.0, 2
  if name == 'mlp':  # One is enough: what D sees does not depend on it.
    config.augment.policy, config.augment.adapt = 'ada.bgcfnc', 'sign'
  config = build.complete(config)
  config.gen.net = programs.shrunken(config.gen.net, 8)
  config.disc.net = programs.shrunken(config.disc.net, 8)
  shares = (1 / CLASSES,) * CLASSES
  return config, sources.Info('images', (32, 32, 3), class_shares=shares)


def products_at(text: str) -> set[str]:
  """The precisions of all products and convolutions of a lowered program."""
  lines = [
    line
    for line in text.splitlines()
    if 'stablehlo.dot_general' in line or 'stablehlo.convolution' in line
  ]
  assert lines
  found = set()
  for line in lines:
    told = re.search(r'precision(?:_config)? = \[([^\]]*)\]', line)
    assert told, line
    found |= {x.split()[-1].strip('>') for x in told.group(1).split(',')}
  return found


def traced_step(config: configs.Config, info: sources.Info) -> Any:
  spec = build.make_spec(config, info)
  hyper = build.make_hyper(config)
  key = jax.random.key(0)
  state = jax.eval_shape(lambda: build.init_state(spec, hyper, key))

  def step(state: Any, key: jax.Array) -> Any:
    x = jnp.zeros((1, 4, *info.shape))
    label = jnp.zeros((1, 4), jnp.int32) if config.conditional else None
    draw = draws.draw_step(spec, key)
    return steps.make_step(spec)(state, hyper, types.Batch(x, label), draw)

  return jax.jit(step).trace(state, key)


@pytest.mark.parametrize('name', names.NETWORKS)
def test_a_step_lowers_for_gpu_and_tpu(name: str):
  config, info = game(name)
  traced = traced_step(config, info)
  for platform in ('cuda', 'tpu'):
    lowered = traced.lower(lowering_platforms=(platform,)).as_text()
    # Nothing is called that only the CPU has.
    assert 'onednn' not in lowered
    assert 'xbf16>' in lowered
    assert products_at(lowered) == {'HIGHEST'}


@pytest.mark.parametrize(('platform', 'count'), [('tpu', 2), ('cuda', 0)])
def test_filters_are_convolutions_on_a_tpu(platform: str, count: int):
  """Of float32, as sums are: an image in bfloat16 keeps their digits."""

  def doubled(x: jax.Array) -> jax.Array:
    return fir.resample(x, np.hanning(8)[1:-1], up=2)

  x = jax.ShapeDtypeStruct((2, 8, 8, 4), jnp.bfloat16)
  lowered = jax.jit(doubled).trace(x).lower(lowering_platforms=(platform,))
  products = re.findall(
    r'stablehlo\.convolution.*-> tensor<[0-9x]+x(\w+)>', lowered.as_text()
  )
  assert products == ['f32'] * count


@pytest.mark.parametrize('name', ['maxout', 'small_dcgan'])
@pytest.mark.parametrize('precision', ['default', 'high'])
def test_products_are_as_precise_as_asked(name: str, precision: str):
  config, info = game(name)
  config = dataclasses.replace(config, matmul_precision=precision)
  lowered = traced_step(config, info).lower(lowering_platforms=('tpu',))
  assert products_at(lowered.as_text()) == {precision.upper()}


def test_what_measures_multiplies_float32():
  images = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
  key = jax.random.key(0)
  network = classifier.Classifier()

  def classify(images: jax.Array) -> Any:
    init = network.init(key, images, train=False)

    def loss(params: Any) -> jax.Array:
      return network.apply(params, images, train=False).logits.sum()

    return jax.grad(loss)(init)

  def inception(images: jax.Array) -> Any:
    x = resizers.resize(images, inceptions.SIDE, inceptions.RESIZER)
    params = inceptions.Inception().init(key, x)
    return inceptions.apply(params['params'], images)

  def distance(images: jax.Array) -> jax.Array:
    rows = images.reshape(2, -1)
    return sliced.sliced_wasserstein_1(rows, rows, key, projections=2)

  def transformer(images: jax.Array) -> Any:
    settings = vit.Settings(8, 1, 2, 4, 1e-6, early=True, projected=4)
    params = vit.Vit(settings).init(key, images)['params']
    return vit.features(settings, params, images, resizers.IMAGENET)

  def residual(images: jax.Array) -> Any:
    settings = resnet.Settings((1, 1, 1, 1), 2, classes=3)
    params = resnet.ResNet(settings).init(key, images)['params']
    return resnet.apply(params, images, settings=settings, side=32)

  def shifted(images: jax.Array) -> Any:
    settings = swin.Settings(4, (2, 1), (1, 2), 2, 2, 3)
    params = swin.Swin(settings).init(key, images)['params']
    return swin.apply(params, images, settings=settings, side=8)

  def perceived(images: jax.Array) -> jax.Array:
    weights = lpips_fixture.vgg(), lpips_fixture.linear()
    large = jnp.tile(images, (1, 2, 2, 1))
    return lpips.distance(lpips.convert(*weights), large, large)

  def rows_of(measure: Any) -> Any:
    return lambda images: measure(images.reshape(2, -1))

  one, norms = jnp.ones(1), jnp.ones(2)
  of_rows = (
    lambda x: kernel._row_means(x, x, key, size=2),
    lambda x: products.inner(x, x),
    lambda x: prdc._reach_of_block(x, 0, x, norms, k=1),
    lambda x: neighbours._nearest_of_block(x, x, norms),
    lambda x: prdc._block_of_products(x, x),
    lambda x: parzen._of_block(x, x, norms, one),
    lambda x: drift.field(x, x, 0.1),
  )
  for measure in (
    classify, inception, distance, transformer, residual, shifted, perceived,
    *map(rows_of, of_rows),
  ):  # fmt: skip
    lowered = jax.jit(measure).trace(images).lower(lowering_platforms=('tpu',))
    assert products_at(lowered.as_text()) == {'HIGHEST'}
