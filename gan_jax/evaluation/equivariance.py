"""How well a generator's images move with its input, by transforms of it."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import decoding
from gan_jax.evaluation import metric as metrics
from gan_jax.game import sampling, spec as specs
from gan_jax.metrics import equivariance

# Images that have one transform, as in the code of StyleGAN3's authors.
_BLOCK = 4

FIGURES = 'eq_t', 'eq_t_frac', 'eq_r'


def check(config: configs.Config, spec: specs.Spec) -> None:
  """Raises ValueError for a generator whose input cannot be transformed."""
  if 'synthesise_moved' not in spec.gen.methods:
    raise ValueError(
      f'gen.name={config.gen.name!r}: its input cannot be moved or turned; '
      "that of 'stylegan3' can"
    )


def measure(
  config: configs.Config,
  spec: specs.Spec,
  side: int,
  generator: tuple[types.PyTree, types.PyTree],
  key: jax.Array,
  num: int,
) -> metrics.Figures:
  """EQ-T, EQ-T_frac and EQ-R in dB, of `num` images rounded up to fours.

  Images are as the network makes them, not clipped. Shifts are uniform up to an
  eighth of the image along each axis, and angles uniform.

  Args:
    config: of the game; `eval.truncation` holds here, too.
    spec: of the game.
    side: of its images.
    generator: its parameters and `vars`.
    key: of latents and transforms.
    num: images.

  Raises:
    ValueError: as `check`, or a block does not divide the images.
  """
  check(config, spec)
  if num % _BLOCK:
    raise ValueError(f'num={num}: must be a multiple of {_BLOCK}')
  step = jax.jit(functools.partial(_block, spec, side, config.eval.truncation))
  sums = [equivariance.Sums() for _ in FIGURES]
  with decoding.progress(num, 'comparing') as bar:
    for i in range(num // _BLOCK):
      found = step(generator, jax.random.fold_in(key, i))
      sums = [
        equivariance.update(own, *map(float, block))
        for own, block in zip(sums, found, strict=True)
      ]
      bar.update(_BLOCK)
  return dict(zip(FIGURES, map(equivariance.result, sums), strict=True))


def _block(
  spec: specs.Spec,
  side: int,
  psi: float | None,
  generator: tuple[types.PyTree, types.PyTree],
  key: jax.Array,
) -> list[tuple[jax.Array, jax.Array]]:
  """Squares and counts of a block, of each of `FIGURES`."""
  latent_key, *keys = jax.random.split(key, 4)
  latent = spec.eval_latent(latent_key, _BLOCK)
  ws = sampling.intermediate(spec, *generator, latent, psi)
  most = equivariance.MOST_SHIFT * side
  draw: Callable[[jax.Array], jax.Array] = functools.partial(
    jax.random.uniform, shape=(2,), minval=-most, maxval=most
  )
  whole, part = jnp.round(draw(keys[0])), draw(keys[1])
  angle = jax.random.uniform(keys[2], (), minval=-jnp.pi, maxval=jnp.pi)
  # From places in the image to those that are looked up.
  still = jnp.eye(3)
  transforms = jnp.stack(
    [
      still,
      still.at[:2, 2].set(-whole / side),
      still.at[:2, 2].set(-part / side),
      still.at[:2, :2].set(equivariance.rotation(-angle)),
    ]
  )
  # All at once: the program has the network once.
  images, _ = spec.gen.methods['synthesise_moved'](
    *generator,
    (jnp.tile(ws, (4, 1, 1)), transforms.repeat(_BLOCK, axis=0)),
    key=jax.random.key(0),
    mode=types.EVAL,
  )
  x, of_whole, of_part, of_angle = jnp.split(images, 4)
  pairs = (
    (equivariance.translated(x, whole), equivariance.whole(of_whole)),
    (
      equivariance.translated(x, part, fractional=True),
      equivariance.whole(of_part),
    ),
    # What is turned loses frequencies, and so must the other.
    (
      equivariance.rotated(x, angle),
      equivariance.pseudo_rotated(of_angle, angle),
    ),
  )
  return [equivariance.difference(*pair) for pair in pairs]
