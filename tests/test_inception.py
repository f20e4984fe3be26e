"""Inception against pytorch-fid, whose answers tests/ keeps."""

import jax
import jax.numpy as jnp
import make_inception_fixture as fixture
import numpy as np
import pytest

from gan_jax.evaluation import inception


@pytest.fixture(scope='module')
def kept() -> dict[str, np.ndarray]:
  with np.load(fixture.PATH) as file:
    return dict(file)


@pytest.fixture(scope='module')
def arrays(kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """A checkpoint with the names and shapes of pytorch-fid's."""
  lines = (line.split(' ') for line in str(kept['shapes']).splitlines())
  return fixture.weights(
    {name: tuple(int(n) for n in shape if n) for name, *shape in lines}
  )


def test_features_and_logits_of_pytorch_fid(
  kept: dict[str, np.ndarray], arrays: dict[str, np.ndarray]
):
  params = inception.convert(arrays)
  images = jnp.asarray(2 * fixture.images() - 1)
  ours = jax.jit(inception.apply)(params, images)
  assert ours.features.shape == (2, 2048)
  # They tell the images apart, and are neither dead nor huge.
  assert 0.05 < np.abs(kept['features'][0] - kept['features'][1]).mean() < 5
  np.testing.assert_allclose(ours.features, kept['features'], atol=1e-4)
  np.testing.assert_allclose(ours.logits, kept['logits'], atol=1e-3)


@pytest.mark.parametrize('size', [(32, 17), (28, 28), (299, 299), (400, 330)])
def test_resize_as_pytorch_does(size: tuple[int, int]):
  """Half-pixel centres, edges repeated, and no smoothing when it shrinks."""
  x = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
  y = x.astype(np.float64)
  for axis in (1, 2):
    n = y.shape[axis]
    at = np.clip((np.arange(299) + 0.5) * n / 299 - 0.5, 0, n - 1)
    low = np.floor(at).astype(int)
    share = (at - low).reshape(-1, 1, 1) if axis == 1 else (at - low)[:, None]
    high = np.minimum(low + 1, n - 1)
    y = y.take(low, axis) * (1 - share) + y.take(high, axis) * share
  np.testing.assert_allclose(inception.resized(jnp.asarray(x)), y, atol=1e-4)


def test_grey_becomes_colour():
  grey = jnp.linspace(-1, 1, 28 * 28).reshape(1, 28, 28, 1)
  ours = inception.resized(grey)
  assert ours.shape == (1, 299, 299, 3)
  np.testing.assert_array_equal(ours[..., 0], ours[..., 2])
  with pytest.raises(ValueError, match=r'1 or 3 channels, got \[1, 28, 28\]$'):
    inception.resized(grey[..., 0])


def test_weights_of_another_network(arrays: dict[str, np.ndarray]):
  less = {k: v for k, v in arrays.items() if k != 'Mixed_7c.branch1x1.bn.bias'}
  with pytest.raises(ValueError, match=r'no Mixed_7c\.branch1x1\.bn\.bias; '):
    inception.convert(less)
  name = 'Mixed_5b.branch_pool.conv.weight'
  with pytest.raises(ValueError, match=r'\[32, 9, 1, 1\] instead of \[32, 192'):
    inception.convert({**arrays, name: np.zeros((32, 9, 1, 1))})
  # torchvision's own weights have 1,000 classes.
  with pytest.raises(ValueError, match=r'^weights: fc has shape \[1000, 2'):
    inception.convert({**arrays, 'fc.weight': np.zeros((1000, 2048))})
