"""DINOv2 and CLIP against their own code, whose answers tests/ keeps."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import make_inception_fixture as seeds
import make_vit_fixture as fixture
import numpy as np
import pytest

from gan_jax.config import fields as configs
from gan_jax.evaluation import clip, dinov2, paths, vit
from gan_jax.storage import weights

SIZES = {'side': fixture.SIDE, 'heads': fixture.HEADS}


@pytest.fixture(scope='module')
def kept() -> dict[str, np.ndarray]:
  with np.load(fixture.PATH) as file:
    return dict(file)


def arrays(shapes: np.ndarray) -> dict[str, np.ndarray]:
  """A checkpoint with the names and shapes of the authors'."""
  lines = (line.split() for line in str(shapes).splitlines())
  return fixture.weights({name: tuple(map(int, n)) for name, *n in lines})


def images() -> jax.Array:
  return jnp.asarray(fixture.images() / 127.5 - 1, jnp.float32)


@pytest.mark.parametrize(('name', 'module'), [('dino', dinov2), ('clip', clip)])
def test_features_of_the_authors_code(
  name: str, module: Any, kept: dict[str, np.ndarray]
):
  settings, params = module.convert(arrays(kept[f'{name}_shapes']), **SIZES)
  assert settings.depth == fixture.DEPTH
  assert settings.patch == fixture.PATCH

  @jax.jit
  def look(x: jax.Array) -> jax.Array:
    return module.apply(params, x, settings=settings, side=fixture.SIDE)

  found = look(images())
  # They tell the images apart.
  theirs = kept[name]
  assert np.abs(theirs[0] - theirs[1]).max() > 0.05
  np.testing.assert_allclose(found.features, theirs, atol=1e-4, rtol=0)
  assert found.logits.shape == (2, 0)
  # Another resizer is another figure.
  other = module.apply(
    params, images(), settings=settings, side=42, resizer='clean'
  )
  assert 1e-4 < np.abs(other.features - theirs).max() < 0.1


def test_positions_are_shrunk_as_there(kept: dict[str, np.ndarray]):
  """From 37 x 37 to 16 x 16, by the scale of 16.1."""
  table = np.float32(seeds.rng('table').standard_normal((1, 37 * 37 + 1, 2)))
  small = dinov2.shrunk(table[0, 1:].reshape(37, 37, 2), 16)
  np.testing.assert_allclose(
    small.reshape(-1, 2), kept['shrunk'], atol=1e-5, rtol=0
  )


@pytest.mark.parametrize(
  ('side', 'early', 'projected', 'extra', 'count'),
  # The first has a token for masks besides, the second's patches no bias.
  [(518, False, 0, 1024, 304_368_640), (336, True, 768, -1024, 304_293_888)],
)
def test_the_published_size(
  side: int, early: bool, projected: int, extra: int, count: int
):
  """ViT-L/14 of DINOv2 with its whole table, and of CLIP at 336 pixels."""
  settings = vit.Settings(
    1024, 24, 16, 14, 1e-6, scaled=not early, early=early, projected=projected
  )
  x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  shapes = jax.eval_shape(vit.Vit(settings).init, jax.random.key(0), x)
  sizes = jax.tree.map(lambda leaf: leaf.size, shapes)
  assert sum(jax.tree.leaves(sizes)) + extra == count


def test_clip_looks_at_the_central_square(kept: dict[str, np.ndarray]):
  settings, params = clip.convert(arrays(kept['clip_shapes']), **SIZES)
  wide = jnp.pad(images(), ((0, 0), (0, 0), (8, 9), (0, 0)))
  found = clip.apply(params, wide, settings=settings, side=fixture.SIDE)
  np.testing.assert_allclose(found.features, kept['clip'], atol=1e-4, rtol=0)


def folder(parent: pathlib.Path, name: str) -> pathlib.Path:
  (parent / name).mkdir()
  return parent / name


def test_a_distance_by_a_file_of_weights(
  kept: dict[str, np.ndarray], tmp_path: pathlib.Path
):
  """One head for 64 channels; the file's digest and the resizer are said."""
  lines = (line.split() for line in str(kept['dino_shapes']).splitlines())
  wider = {'24': 64, '72': 192, '96': 256}
  shapes = {k: tuple(wider.get(n) or int(n) for n in v) for k, *v in lines}
  small = {k: v for k, v in shapes.items() if not k.startswith('blocks.1')}
  path = tmp_path / 'small.safetensors'
  weights.save(path, fixture.weights(small), {})
  rng = np.random.default_rng(0)
  found = {}
  for name in ('real', 'generated'):
    found[name] = tmp_path / f'{name}.npz'
    np.savez(found[name], rng.integers(0, 256, (5, 8, 8, 3), np.uint8))
  settings = configs.Eval(
    metrics='fd_dinov2,fd_infinity', features='dinov2', weights=str(path)
  )
  with pytest.raises(ValueError, match=r'fd_infinity needs at least 30 samp'):
    paths.compare(found, settings, folder(tmp_path, 'a'), jax.random.key(0))
  settings.metrics = 'fd_dinov2'
  ours = paths.compare(
    found, settings, folder(tmp_path, 'b'), jax.random.key(0)
  )
  assert ours.figures['fd_dinov2'] > 0
  stamp = ours.stamp
  assert stamp['features_sha256'] == weights.sha256(path)
  assert stamp['features_resizer'] == 'pillow_bicubic'
  assert stamp['features_network'] == 'ViT/14, 1 blocks of width 64'
  settings.metrics = 'is'
  settings.is_splits = 1
  with pytest.raises(ValueError, match=r'is needs a network that names classe'):
    paths.compare(found, settings, folder(tmp_path, 'c'), jax.random.key(0))


def test_weights_of_another_network(kept: dict[str, np.ndarray]):
  dino, other = arrays(kept['dino_shapes']), arrays(kept['clip_shapes'])
  with pytest.raises(ValueError, match=r'no cls_token; .* not of DINOv2 S, B'):
    dinov2.convert(other)
  with pytest.raises(ValueError, match=r'no vision_model\.emb.* CLIP at 336'):
    clip.convert(dino)
  with pytest.raises(ValueError, match=r'weight has shape \[10, 24\] instead'):
    clip.convert(other)
  registers = {'register_tokens': np.zeros((1, 4, 24))}
  with pytest.raises(ValueError, match=r'^weights: register_tokens is of ano'):
    dinov2.convert(dino | registers)
  odd = {'pos_embed': np.zeros((1, 8, 24))}
  with pytest.raises(ValueError, match=r'has 7 positions of patches, no squa'):
    dinov2.convert(dino | odd)
  less = {k: v for k, v in dino.items() if not k.startswith('blocks')}
  with pytest.raises(ValueError, match=r'no blocks\.0\.norm1\.weight'):
    dinov2.convert(less)
