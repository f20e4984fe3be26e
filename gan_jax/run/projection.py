"""The latent whose sample is nearest to a given image."""

import functools
import math
import pathlib
import sys
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm

from gan_jax import types
from gan_jax.data import pixels, source as sources
from gan_jax.engine import build, names
from gan_jax.evaluation import features
from gan_jax.game import sampling
from gan_jax.run import trained

# Latents that are drawn, so many at a time, of which the nearest few are
# optimised together.
DRAWN, _BLOCK, _STARTS = 1000, 50, 8
# Steps in one compiled call.
_CHUNK = 10


# Of inputs and their classes: the costs, and the mean squares over pixels.
_Cost = Callable[[jax.Array, jax.Array | None], tuple[jax.Array, jax.Array]]


class SearchOptions(NamedTuple):
  """How to search.

  Attributes:
    seed: of the first latents.
    steps: of Adam, whose rate falls to 0 as a cosine.
    rate: Adam's, in standard deviations of the latents.
    label: the class of the sample; None keeps those of the nearest starts.
    weight: of the features.
  """

  seed: int = 0
  steps: int = 300
  rate: float = 0.1
  label: int | None = None
  weight: float = 1.0


class Found(NamedTuple):
  """The nearest sample.

  Attributes:
    image: `[H, W, C]` in [-1, 1].
    input: z `[Z]`, or w `[W]`, the same for all layers.
    label: of its class, or None.
    pixels: its root mean square distance to the target, in [-1, 1].
    features: the same of features over their root mean square for the target;
      None without an extractor.
    drawn: `pixels` of the best of `DRAWN` random samples.
    moved: whether a step of Adam came nearer than they.
  """

  image: np.ndarray
  input: np.ndarray
  label: int | None
  pixels: float
  features: float | None
  drawn: float
  moved: bool


def read_target(path: pathlib.Path, run: trained.Run) -> tuple[np.ndarray, str]:
  """An image as training would have it, and what was made of it.

  Returns:
    `[H, W, C]` float32 in [-1, 1], and '' or a line that says it.

  Raises:
    ValueError: it is not there, cannot be read, or has no such shape.
  """
  height, width, channels = run.info.shape
  if run.config.data.stack > 1 or channels not in (1, 3):
    raise ValueError(
      f'--image={path}: samples have {channels} channels that are no colours'
    )
  data = run.config.data
  form = pixels.Form(
    height if height == width else 0, channels, data.background
  )
  try:
    with pixels.quietly(), pixels.opened(path) as image:
      header = pixels.header(image)
      found = pixels.render(image, form)
  except OSError as error:
    raise ValueError(f'--image={path}: {error.strerror}') from None
  except pixels.UnreadableError as error:
    raise ValueError(f'--image={path}: {error}') from None
  if found.shape != run.info.shape:
    raise ValueError(
      f'--image={path}: is {header.width}x{header.height}, and samples are '
      f'{width}x{height}'
    )
  made = []
  if (header.width, header.height) != (width, height):
    how = 'cropped to its centre and ' if header.width != header.height else ''
    made.append(
      f'{how}resized from {header.width}x{header.height} to {width}x{height}'
    )
  if header.colour and channels == 1:
    made.append('made grey')
  line = f'{path}: {", ".join(made)}, as in training' if made else ''
  return np.asarray(sources.to_unit_range(found)), line


class Projector:
  """Searches the inputs of one generator."""

  def __init__(
    self, run: trained.Run, extractor: features.Extractor | None, space: str
  ):
    """Collects the generator's batch statistics, should it need them.

    Args:
      run: from `trained.load`.
      extractor: whose features are compared besides pixels, or None.
      space: 'z'; 'w' for intermediate latents; '' for w where there is one.

    Raises:
      ValueError: the network has no w, or samples need a batch.
    """
    build.check_alone(run.spec)
    has_w = 'map' in run.spec.gen.methods
    if space == 'w' and not has_w:
      raise ValueError(
        f'--space=w: gen.name={run.config.gen.name!r} has no intermediate '
        "latents; 'stylegan2' and 'stylegan3' do"
      )
    self.space = space or ('w' if has_w else 'z')
    self._run, self._spec, self._extractor = run, run.spec, extractor
    self._bound = names.LATENT_BOUNDS.get(run.config.gen.latent, math.inf)
    self._generator = trained.generator(run)

  def _samples(self, x: jax.Array, label: jax.Array | None) -> jax.Array:
    """Of `[N, Z]` or `[N, W]`, each by itself: with the same noise."""
    params, vars = self._generator
    key = jax.random.key(0)

    def one(latent: types.Latent) -> jax.Array:
      batch = jax.tree.map(lambda a: a[None], latent)
      if self.space == 'z':
        return sampling.generate(self._spec, params, vars, batch, key)[0]
      w = jnp.broadcast_to(batch.z[:, None], (1, self._layers, x.shape[-1]))
      return sampling.generate(self._spec, params, vars, w, key, 'synthesise')[
        0
      ]

    return jax.vmap(one)(types.Latent(x, label))

  @functools.cached_property
  def _layers(self) -> int:
    """Of w."""
    latent = self._spec.eval_latent(jax.random.key(0), 1)
    w = jax.eval_shape(self._mapped, latent)
    return int(w.shape[1])

  def _mapped(self, latent: types.Latent) -> jax.Array:
    params, vars = self._generator
    return sampling.intermediate(self._spec, params, vars, latent)

  def _distances(
    self, images: jax.Array, target: jax.Array, seen: jax.Array | None
  ) -> tuple[jax.Array, jax.Array]:
    """Mean squares of pixels and of features, `[N]` each."""
    near = jnp.square(images - target[None]).mean(axis=(1, 2, 3))
    if seen is None or self._extractor is None:
      return near, jnp.zeros_like(near)
    own = self._extractor.apply(self._extractor.params, images).features
    square = jnp.square(own - seen).mean(axis=1)
    return near, square / jnp.square(seen).mean()

  def _first(
    self, cost: _Cost, key: jax.Array, label: int | None
  ) -> tuple[types.Latent, float]:
    """The nearest few of random inputs, and the least of `pixels`."""
    latent = self._spec.eval_latent(key, DRAWN)
    if label is not None:
      latent = latent._replace(label=jnp.full(DRAWN, label, jnp.int32))
    if self.space == 'w':
      latent = latent._replace(z=self._mapped(latent)[:, 0])
    blocks = jax.tree.map(lambda a: a.reshape(-1, _BLOCK, *a.shape[1:]), latent)
    cost_of = jax.jit(lambda blocks: jax.lax.map(lambda b: cost(*b), blocks))
    total, near = (x.reshape(-1) for x in cost_of(blocks))
    order = jnp.argsort(total)[:_STARTS]
    first = jax.tree.map(lambda a: a[order], latent)
    return first, float(jnp.sqrt(near.min()))

  def project(self, target: np.ndarray, asked: SearchOptions) -> Found:
    """Adam from the nearest of random samples; the best that it passes.

    Minimises the mean square over pixels plus `asked.weight` times that over
    features, of which those of the target have mean square 1. Uniform latents
    stay in their cube.

    Args:
      target: `[H, W, C]` in [-1, 1].
      asked: how.
    """
    goal = jnp.asarray(target)
    seen = None
    if self._extractor is not None:
      seen = self._extractor.apply(self._extractor.params, goal[None]).features

    def cost(
      x: jax.Array, label: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
      near, alike = self._distances(self._samples(x, label), goal, seen)
      return near + asked.weight * alike, near

    first, drawn = self._first(cost, jax.random.key(asked.seed), asked.label)
    best, least, began = self._descend(cost, first, asked)
    chosen = jax.tree.map(lambda a: a[int(least.argmin())][None], best)
    image = self._samples(chosen.z, chosen.label)
    near, alike = self._distances(image, goal, seen)
    label = None if chosen.label is None else int(chosen.label[0])
    return Found(
      image=np.asarray(image[0]),
      input=np.asarray(chosen.z[0]),
      label=label,
      pixels=float(jnp.sqrt(near[0])),
      features=None if seen is None else float(jnp.sqrt(alike[0])),
      drawn=drawn,
      moved=bool(least.min() < began),
    )

  def _descend(
    self, cost: _Cost, first: types.Latent, asked: SearchOptions
  ) -> tuple[types.Latent, np.ndarray, float]:
    """The best input on the way of each start and its cost; the first least."""
    if self.space == 'w':
      scale = jnp.std(first.z)
    else:
      scale = jnp.float32(min(self._bound / math.sqrt(3), 1.0))
    rates = optax.cosine_decay_schedule(asked.rate, max(asked.steps, 1))
    optimiser = optax.adam(lambda count: scale * rates(count))

    def value(x: jax.Array) -> tuple[jax.Array, jax.Array]:
      each, _ = cost(x, first.label)
      return each.sum(), each

    def step(carry: types.PyTree, _: None) -> tuple[types.PyTree, jax.Array]:
      x, opt_state, best, least = carry
      grads, each = jax.grad(value, has_aux=True)(x)
      best = jnp.where((each < least)[:, None], x, best)
      least = jnp.minimum(each, least)
      updates, opt_state = optimiser.update(grads, opt_state)
      x = optax.apply_updates(x, updates)
      if self.space == 'z':
        x = jnp.clip(x, -self._bound, self._bound)
      return (x, opt_state, best, least), least.min()

    @functools.partial(jax.jit, static_argnames='length')
    def run(carry: types.PyTree, length: int) -> tuple[types.PyTree, jax.Array]:
      return jax.lax.scan(step, carry, length=length)

    x = first.z
    carry = x, optimiser.init(x), x, jnp.full(len(x), jnp.inf)
    # The last of them only looks at what the one before has found.
    left, began = asked.steps + 1, math.nan
    with tqdm.tqdm(
      total=left, desc='projecting', unit=' steps', file=sys.stderr,
      leave=False, disable=None,
    ) as bar:  # fmt: skip
      while left:
        length = min(_CHUNK, left)
        carry, least = run(carry, length)
        if left > asked.steps:
          began = float(least[0])
        left -= length
        bar.set_postfix(distance=f'{float(least[-1]):.5f}', refresh=False)
        bar.update(length)
    return first._replace(z=carry[2]), np.asarray(carry[3]), began
