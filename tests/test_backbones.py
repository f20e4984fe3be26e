"""ResNet, DINO and Swin against the code that StudioGAN evaluates with."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import make_backbones_fixture as fixture
import make_vit_fixture as images
import numpy as np
import pytest

from gan_jax.evaluation import dino, pretrained, resnet, swin, vit
from gan_jax.storage import weights

MODULES = {'resnet': resnet, 'dino': dino, 'swin': swin}


@pytest.fixture(scope='module')
def kept() -> dict[str, np.ndarray]:
  with np.load(fixture.PATH) as file:
    return dict(file)


def arrays(name: str, kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """A checkpoint with the names and shapes of the authors'."""
  lines = (line.split() for line in str(kept[f'{name}_shapes']).splitlines())
  shapes = {key: tuple(map(int, n)) for key, *n in lines}
  return fixture.weights(name, shapes)


def checkpoint(name: str, kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """As `convert` takes it: DINO's has no classes."""
  found = arrays(name, kept)
  return {n: x for n, x in found.items() if name != 'dino' or 'linear' not in n}


@pytest.mark.parametrize('name', fixture.NAMES)
def test_features_and_logits_of_studiogan(
  name: str, kept: dict[str, np.ndarray]
):
  module: Any = MODULES[name]
  side = fixture.SIDES[name]
  sizes: dict[str, Any] = {
    'resnet': {},
    'dino': {'side': side, 'heads': fixture.HEADS['dino']},
    'swin': {'side': side},
  }
  settings, params = module.convert(checkpoint(name, kept), **sizes[name])

  @jax.jit
  def look(x: jax.Array) -> Any:
    return module.apply(params, x, settings=settings, side=side)

  found = look(jnp.asarray(images.images() / 127.5 - 1, jnp.float32))
  theirs, logits = kept[name], kept[f'{name}_logits']
  # They tell the images apart, and so do logits.
  assert np.abs(theirs[0] - theirs[1]).max() > 0.05
  assert np.abs(logits[0] - logits[1]).max() > 0.01
  scale = np.abs(theirs).max()
  np.testing.assert_allclose(found.features, theirs, atol=1e-5 * scale, rtol=0)
  if name == 'dino':
    assert found.logits.shape == (2, 0)
  else:
    scale = np.abs(logits).max()
    np.testing.assert_allclose(found.logits, logits, atol=1e-5 * scale, rtol=0)


def size(network: Any, side: int) -> int:
  x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  shapes = jax.eval_shape(network.init, jax.random.key(0), x)
  return sum(jax.tree.leaves(jax.tree.map(lambda leaf: leaf.size, shapes)))


def test_the_published_sizes():
  """Batch normalisation, of which ResNet-50 has 26,560 units, is folded in."""
  settings = resnet.Settings(classes=1000)
  assert size(resnet.ResNet(settings), 224) + 26_560 == 25_557_032
  assert str(settings) == 'ResNet-50 of width 64'
  small = vit.Settings(384, 12, 6, 8, 1e-6, last=4)
  assert size(vit.Vit(small), 224) == 21_670_272
  base = swin.Settings(128, (2, 2, 18, 2), (4, 8, 16, 32), 7, 4, 1000)
  assert size(swin.Swin(base), 224) == 87_768_224


def test_tokens_of_shifted_windows():
  """Of 4 tokens a side, windows of 2 and a shift by 1."""
  near = ~swin.apart(4, 2, 1)
  # The first lies within the image, of the last each token is from a corner.
  assert near[0].all()
  np.testing.assert_array_equal(near[3], np.eye(4))
  # Of the two between them, one edge is cut.
  np.testing.assert_array_equal(near[1], np.kron(np.ones((2, 2)), np.eye(2)))
  np.testing.assert_array_equal(near[2], np.kron(np.eye(2), np.ones((2, 2))))


def test_weights_of_another_network(kept: dict[str, np.ndarray]):
  of = {name: checkpoint(name, kept) for name in MODULES}
  with pytest.raises(ValueError, match=r'no conv1\.weight; .* not of a ResNet'):
    resnet.convert(of['swin'])
  with pytest.raises(ValueError, match=r'no cls_token; .* not of DINO S or B'):
    dino.convert(of['resnet'])
  with pytest.raises(ValueError, match=r'patch_embed\.norm.* of Swin Transfor'):
    swin.convert(of['dino'])
  # DINOv2's blocks scale what they add.
  other = of['dino'] | {'blocks.0.ls1.gamma': np.zeros(24)}
  with pytest.raises(ValueError, match=r'ls1\.gamma is of another netw'):
    dino.convert(other)
  with pytest.raises(ValueError, match=r'odd is of another network than a Res'):
    resnet.convert(of['resnet'] | {'odd': np.zeros(1)})
  with pytest.raises(
    ValueError, match=r"fc\..* another network than SwAV's Res"
  ):
    resnet.convert_swav(of['resnet'])
  less = {n: x for n, x in of['resnet'].items() if not n.startswith('fc.')}
  with pytest.raises(
    ValueError, match=r'no fc\.bias; they are not of a ResNet'
  ):
    resnet.convert(less)
  place = 'layers.0.blocks.0.attn.relative_position_bias_table'
  with pytest.raises(ValueError, match=r'relative_pos.* \[25\] instead of'):
    swin.convert(of['swin'] | {place: np.zeros(25)})


def test_windows_that_do_not_fit(kept: dict[str, np.ndarray]):
  """Of 224 pixels 56 tokens a side, which windows of 12 do not divide."""
  own = checkpoint('swin', kept)
  for name, array in own.items():
    if name.endswith('bias_table'):
      own[name] = np.zeros((23**2, array.shape[1]))
  with pytest.raises(
    ValueError, match=r'windows of 12 do not divide 56 tokens'
  ):
    swin.convert(own)


def test_swav_by_its_own_file(
  kept: dict[str, np.ndarray], tmp_path: pathlib.Path
):
  """Learned on several GPUs, with layers that are of no use here."""
  resnets = arrays('resnet', kept)
  swav = {
    f'module.{n}': x for n, x in resnets.items() if not n.startswith('fc.')
  }
  swav |= {
    'module.projection_head.0.weight': np.zeros((4, 2048), np.float32),
    'module.prototypes.weight': np.zeros((3, 4), np.float32),
  }
  path = tmp_path / 'swav.safetensors'
  weights.save(path, swav, {})
  extractor = pretrained.read('swav', str(path))
  assert extractor.facts == {
    'features_resizer': 'friendly',
    'features_of_bits': 8,
    'features_network': 'ResNet-17 of width 64',
  }
  assert extractor.sha256 == weights.sha256(path)
  _, params = resnet.convert(resnets)
  params.pop('fc')
  jax.tree.map(np.testing.assert_array_equal, extractor.params, params)


def test_a_file_that_is_not_there(tmp_path: pathlib.Path):
  line = r'/no: there are no weights; .* https.*/swav_800ep_pretrain\.pth\.tar$'
  with pytest.raises(ValueError, match=line):
    pretrained.read('swav', str(tmp_path / 'no'))
