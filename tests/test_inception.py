"""Inception against pytorch-fid, whose answers tests/ keeps."""

import jax
import jax.numpy as jnp
import make_inception_fixture as fixture
import numpy as np
import pytest

from gan_jax.evaluation import inception, resizers


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
  # The inception score's are without the bias, which is not small here.
  assert np.abs(arrays['fc.bias']).max() > 0.01
  biased = np.asarray(ours.logits) + arrays['fc.bias']
  np.testing.assert_allclose(biased, kept['logits'], atol=1e-3)


def test_weights_of_another_network(arrays: dict[str, np.ndarray]):
  less = {k: v for k, v in arrays.items() if k != 'Mixed_7c.branch1x1.bn.bias'}
  with pytest.raises(ValueError, match=r'no Mixed_7c\.branch1x1\.bn\.bias; '):
    inception.convert(less)
  name = 'Mixed_5b.branch_pool.conv.weight'
  with pytest.raises(ValueError, match=r'\[32, 9, 1, 1\] instead of \[32, 192'):
    inception.convert({**arrays, name: np.zeros((32, 9, 1, 1))})
  # torchvision's own weights have 1,000 classes.
  with pytest.raises(
    ValueError, match=r'^weights: fc\.weight has shape \[1000'
  ):
    inception.convert({**arrays, 'fc.weight': np.zeros((1000, 2048))})


def test_pixels_are_centred_as_each_fid_has_them():
  """TensorFlow's graph and clean-fid: (x - 128) / 128; others x / 127.5 - 1."""
  pixels = np.arange(256, dtype=np.float32)
  row = jnp.asarray(np.resize(pixels, (1, 299, 299, 3)) / 127.5 - 1)
  seen = np.resize(pixels, (1, 299, 299, 3))
  for name in resizers.RESIZERS:
    by_128 = name in ('legacy_tensorflow', 'clean')
    expected = (seen - 128) / 128 if by_128 else seen / 127.5 - 1
    found = inception.as_input(row, name)
    np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=name)
