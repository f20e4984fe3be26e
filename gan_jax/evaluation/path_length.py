"""How far a generator's images move where its input moves by little.

The perceptual path length of Karras et al. 2019, "A Style-Based Generator
Architecture for Generative Adversarial Networks", section 4.1:

    E d(G(x(t)), G(x(t + e))) / e^2

of ways x(t) between two random inputs, along straight lines of w or great
circles of normal z, with a perceptual distance d and e = 1e-4.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import decoding
from gan_jax.engine import build
from gan_jax.evaluation import lpips, metric as metrics
from gan_jax.game import sampling, spec as specs, walks
from gan_jax.metrics import path_length

_STEP = 1e-4
# Larger images are shrunk towards this side, where whole numbers of pixels
# become one.
_SIDE = 256
# Ways that are looked at together.
_BLOCK = 8


class Options(NamedTuple):
  """Which ways are meant.

  Attributes:
    space: 'w', or 'z'.
    anywhere: t is uniform in [0, 1], and not 0.
    face: of an image the part that holds the face in FFHQ, 3/8 to 7/8 of its
      rows and 2/8 to 6/8 of its columns.
  """

  space: str = 'w'
  anywhere: bool = False
  face: bool = False

  @property
  def figure(self) -> str:
    """Its name as in the authors' code, such as 'ppl2_wend'."""
    version = 'ppl' if self.face else 'ppl2'
    return f'{version}_{self.space}{"full" if self.anywhere else "end"}'


def check(
  config: configs.Config,
  spec: specs.Spec,
  shape: tuple[int, ...],
  options: Options,
) -> None:
  """Raises ValueError where there are no such ways, or no images to compare.

  Args:
    config: of the game.
    spec: of the game.
    shape: of its samples.
    options: which ways are meant.
  """
  build.check_alone(spec)
  if options.space == 'w' and 'synthesise' not in spec.gen.methods:
    raise ValueError(
      f'--space=w: gen.name={config.gen.name!r} has no intermediate latents; '
      "'stylegan2' and 'stylegan3' do; set --space=z"
    )
  if len(shape) != 3 or shape[-1] not in (1, 3):
    raise ValueError(
      f'data.name={config.data.name!r}: has samples of shape {shape}; images '
      'of 1 or 3 channels are compared'
    )
  image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
  seen = jax.eval_shape(functools.partial(_seen, face=options.face), image)
  height, width = seen.shape[1:3]
  if min(height, width) < lpips.LEAST_SIDE:
    raise ValueError(
      f'data.name={config.data.name!r}: {height}x{width} pixels of an image '
      f'would be compared; LPIPS needs sides of {lpips.LEAST_SIDE}'
    )


def measure(
  config: configs.Config,
  spec: specs.Spec,
  generator: tuple[types.PyTree, types.PyTree],
  distance: lpips.Distance,
  key: jax.Array,
  num: int,
  options: Options,
) -> metrics.Figures:
  """The figure of `num` ways, without a hundredth of them at either end.

  Noise within the network and the class are the same at both ends of a step.
  Images are as the network makes them, not clipped.

  Args:
    config: of the game; `eval.truncation` holds here, too.
    spec: of the game.
    generator: its parameters and `vars`.
    distance: of images.
    key: of all that is drawn.
    num: ways.
    options: which ways are meant.
  """
  step = jax.jit(
    functools.partial(_block, config, spec, distance.apply, options)
  )
  found = []
  with decoding.progress(num, 'comparing') as bar:
    for i in range(-(-num // _BLOCK)):
      own = jax.random.fold_in(key, i)
      block = step(generator, distance.params, own)
      found.append(np.asarray(block))
      bar.update(_BLOCK)
  lengths = np.concatenate(found)[:num]
  return {options.figure: path_length.trimmed_mean(lengths)}


def _block(
  config: configs.Config,
  spec: specs.Spec,
  distance: Callable[..., jax.Array],
  options: Options,
  generator: tuple[types.PyTree, types.PyTree],
  weights: types.PyTree,
  key: jax.Array,
) -> jax.Array:
  """Of a block of ways, `[_BLOCK]`."""
  latent_key, at_key, noise = jax.random.split(key, 3)
  psi = config.eval.truncation
  latent = sampling.draw_latents(spec, latent_key, 2 * _BLOCK, psi)
  if latent.label is not None:
    # A way begins and ends in one class.
    latent = latent._replace(label=jnp.tile(latent.label[:_BLOCK], 2))
  of_w = psi if spec.gen.truncation == 'w' else None
  has_w = 'synthesise' in spec.gen.methods
  to_w = functools.partial(sampling.intermediate, spec, *generator, psi=of_w)

  def image(x: jax.Array) -> jax.Array:
    """What is compared of the sample of w, or of z."""
    method = spec.gen.methods['synthesise'] if has_w else spec.gen.apply
    input: jax.Array | types.Latent = x
    if options.space == 'z':
      label = latent.label
      of_z = types.Latent(x, None if label is None else label[:_BLOCK])
      input = to_w(of_z) if has_w else of_z
    made, _ = method(*generator, input, key=noise, mode=types.EVAL)
    return _seen(made, options.face)

  line: Callable[..., jax.Array] = walks.linear
  if options.space == 'z' and config.gen.latent == 'normal':
    line = walks.spherical
  at = jax.random.uniform(at_key, (_BLOCK,)) * options.anywhere
  share = jnp.stack([at, at + _STEP], axis=1)
  x = to_w(latent) if options.space == 'w' else latent.z
  ends = jax.vmap(line, out_axes=1)(*jnp.split(x, 2), share)
  return distance(weights, image(ends[0]), image(ends[1])) / _STEP**2


def _seen(images: jax.Array, face: bool) -> jax.Array:
  """What is compared of images.

  As in the authors' code for PyTorch the size of the whole image says by how
  much its part is shrunk, too.
  """
  n, height, width, channels = images.shape
  factor = _factor(height, width)
  if face:
    eighths = height // 8, width // 8
    rows, columns = (
      slice(first * eighth, (first + 4) * eighth)
      for first, eighth in zip((3, 2), eighths, strict=True)
    )
    images = images[:, rows, columns]
    height, width = images.shape[1:3]
    factor = math.gcd(factor, height, width)
  parts = images.reshape(
    n, height // factor, factor, width // factor, factor, channels
  )
  return parts.mean(axis=(2, 4))


def _factor(height: int, width: int) -> int:
  """Of the sides: the largest that leaves `_SIDE` pixels, and whole numbers."""
  most = max(min(height, width) // _SIDE, 1)
  return max(
    k for k in range(1, most + 1) if height % k == 0 and width % k == 0
  )
