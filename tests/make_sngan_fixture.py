"""Makes what the tests keep of SNGAN's own code, which is of Chainer.

  python tests/make_sngan_fixture.py CHECKOUT

sngan_fixture.npz holds what small networks of pfnet-research/sngan_projection,
checked out in CHECKOUT, say of a few latents and images. Those that it lacks,
for 48x48 and the standard CNN, are put together here from its blocks and
layers, by tables 5 and 3 of Miyato et al. 2018. Needs chainer 7.8 with numpy
below 1.24, which no test does. Arrays are drawn by their names, as in
make_biggan_fixture.py. PyTorch ports were passed over: torch-mimicry upsamples
bilinearly and its shortcuts see a rectified x, for it activates in place.
"""

import importlib
import pathlib
import sys
from typing import Any, NamedTuple

import make_biggan_fixture as common
import numpy as np

PATH = pathlib.Path(__file__).with_name('sngan_fixture.npz')

LATENT = 6


class Case(NamedTuple):
  """A pair of networks.

  Attributes:
    size: of the images.
    width: ours.
    classes: of both; 0 for none.
    cnn: the standard CNN, and no ResNet.
    step: of every so many rows and columns of samples, one is kept.
  """

  size: int
  width: int
  classes: int = 0
  cnn: bool = False
  step: int = 1


CASES = {
  'plain': Case(32, 2),
  'classes': Case(32, 2, common.CLASSES),
  'larger': Case(64, 2, common.CLASSES),
  'largest': Case(128, 1, common.CLASSES, step=5),
  'middle': Case(48, 2, step=2),
  'cnn': Case(32, 2, cnn=True),
  'middle cnn': Case(48, 2, cnn=True, step=2),
}


def _seeded(network: Any) -> Any:
  """A network with the weights of its names."""
  params = dict(network.namedparams())
  vectors = {
    f'{name}/u': link
    for name, link in network.namedlinks()
    if hasattr(link, 'u')
  }
  shapes = {name: p.shape for name, p in params.items()}
  shapes |= {name: link.u.shape[1:] for name, link in vectors.items()}
  drawn = common.weights(shapes)
  for name, p in params.items():
    # Of gains by class, what is added to 1.
    p.data[:] = drawn[name] + name.endswith('/gammas/W')
  for name, link in vectors.items():
    link.u[:] = drawn[name]
  return network


def _resnets(case: Case) -> tuple[Any, Any]:
  """As that code has them."""
  ending = '' if case.size == 128 else f'_{case.size}'
  gen_file = importlib.import_module(f'gen_models.resnet{ending}')
  disc_file = importlib.import_module(f'dis_models.snresnet{ending}')
  # Their units at 32x32.
  gen, disc = (4, 2) if case.size == 32 else (1, 1)
  return gen_file.ResNetGenerator(
    ch=gen * case.width, dim_z=LATENT, n_classes=case.classes
  ), disc_file.SNResNetProjectionDiscriminator(
    ch=disc * case.width, n_classes=case.classes
  )


def _resnets_for_48(width: int) -> tuple[Any, Any]:
  """Table 5, of their blocks."""
  import chainer

  f, links = chainer.functions, chainer.links
  up = importlib.import_module('gen_models.resblocks')
  down = importlib.import_module('dis_models.resblocks')
  linear = importlib.import_module('source.links.sn_linear')

  class Gen(chainer.Chain):
    def __init__(self):
      super().__init__()
      with self.init_scope():
        self.l1 = links.Linear(LATENT, 6 * 6 * 8 * width)
        self.block2 = up.Block(8 * width, 4 * width, upsample=True)
        self.block3 = up.Block(4 * width, 2 * width, upsample=True)
        self.block4 = up.Block(2 * width, width, upsample=True)
        self.b5 = links.BatchNormalization(width)
        self.c5 = links.Convolution2D(width, 3, 3, 1, 1)

    def __call__(self, _: int, z: np.ndarray, y: None) -> Any:
      h = f.reshape(self.l1(z), (len(z), -1, 6, 6))
      h = self.block4(self.block3(self.block2(h)))
      return f.tanh(self.c5(f.relu(self.b5(h))))

  class Disc(chainer.Chain):
    def __init__(self):
      super().__init__()
      with self.init_scope():
        self.block1 = down.OptimizedBlock(3, width)
        self.block2 = down.Block(width, 2 * width, downsample=True)
        self.block3 = down.Block(2 * width, 4 * width, downsample=True)
        self.block4 = down.Block(4 * width, 8 * width, downsample=True)
        self.block5 = down.Block(8 * width, 16 * width)
        self.l6 = linear.SNLinear(16 * width, 1)

    def __call__(self, x: Any, y: None) -> Any:
      for block in (
        self.block1, self.block2, self.block3, self.block4, self.block5
      ):  # fmt: skip
        x = block(x)
      return self.l6(f.sum(f.relu(x), axis=(2, 3)))

  return Gen(), Disc()


def _cnns(case: Case) -> tuple[Any, Any]:
  """Table 3, of their layers; parameters are called as ours."""
  import chainer

  f, links = chainer.functions, chainer.links
  convolutions = importlib.import_module('source.links.sn_convolution_2d')
  linear = importlib.import_module('source.links.sn_linear')
  side, width = case.size // 8, case.width

  class Gen(chainer.Chain):
    def __init__(self):
      super().__init__()
      with self.init_scope():
        self.Dense_0 = links.Linear(LATENT, side * side * 8 * width)
        self.Conv_0 = links.Deconvolution2D(8 * width, 4 * width, 4, 2, 1)
        self.Conv_1 = links.Deconvolution2D(4 * width, 2 * width, 4, 2, 1)
        self.Conv_2 = links.Deconvolution2D(2 * width, width, 4, 2, 1)
        self.BatchNorm_0 = links.BatchNormalization(4 * width)
        self.BatchNorm_1 = links.BatchNormalization(2 * width)
        self.BatchNorm_2 = links.BatchNormalization(width)
        self.Conv_3 = links.Convolution2D(width, 3, 3, 1, 1)

    def __call__(self, _: int, z: np.ndarray, y: None) -> Any:
      h = f.reshape(self.Dense_0(z), (len(z), -1, side, side))
      h = f.relu(self.BatchNorm_0(self.Conv_0(h)))
      h = f.relu(self.BatchNorm_1(self.Conv_1(h)))
      h = f.relu(self.BatchNorm_2(self.Conv_2(h)))
      return f.tanh(self.Conv_3(h))

  # Channels that go in and come out, kernel and stride.
  layers = [
    (3, width, 3, 1), (width, width, 4, 2),
    (width, 2 * width, 3, 1), (2 * width, 2 * width, 4, 2),
    (2 * width, 4 * width, 3, 1), (4 * width, 4 * width, 4, 2),
    (4 * width, 8 * width, 3, 1),
  ]  # fmt: skip

  class Disc(chainer.Chain):
    def __init__(self):
      super().__init__()
      with self.init_scope():
        for i, (inputs, outputs, kernel, stride) in enumerate(layers):
          conv = convolutions.SNConvolution2D(
            inputs, outputs, kernel, stride, pad=1
          )
          setattr(self, f'Conv_{i}', conv)
        self.Dense_0 = linear.SNLinear(side * side * 8 * width, 1)

    def __call__(self, x: Any, y: None) -> Any:
      for i in range(len(layers)):
        x = f.leaky_relu(getattr(self, f'Conv_{i}')(x), 0.1)
      return self.Dense_0(x)

  return Gen(), Disc()


def _answers(case: Case) -> dict[str, np.ndarray]:
  import chainer

  f = chainer.functions
  if case.cnn:
    gen, disc = _cnns(case)
  elif case.size == 48:
    gen, disc = _resnets_for_48(case.width)
  else:
    gen, disc = _resnets(case)
  _seeded(gen)
  _seeded(disc)
  z, x = common.inputs(case.size, LATENT)
  y = common.LABELS if case.classes else None
  samples = gen(len(z), z=z, y=y)
  images = chainer.Variable(x.transpose(0, 3, 1, 2))
  logits = disc(images, y)
  (grads,) = chainer.grad(
    [f.sum(logits)], [images], enable_double_backprop=True
  )
  penalty = 0.5 * f.mean(f.sum(grads**2, axis=(1, 2, 3)))
  disc.cleargrads()
  penalty.backward()
  return {
    'samples': samples.data.transpose(0, 2, 3, 1)[
      :, :: case.step, :: case.step
    ],
    'logits': logits.data[:, 0],
    'penalty': penalty.data,
    **{
      f'grad {name}': p.grad
      for name, p in disc.namedparams()
      if p.grad is not None
    },
  }


def main(checkout: str) -> None:
  sys.path.insert(0, checkout)
  functions = importlib.import_module('source.functions.max_sv')
  # Theirs is a kernel for a GPU.
  functions._l2normalize = lambda v, eps=1e-12: v / (np.linalg.norm(v) + eps)
  common.keep(PATH, {name: _answers(case) for name, case in CASES.items()})


if __name__ == '__main__':
  main(sys.argv[1])
