"""What a generator makes on the ways between latents, and beside the data."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gan_jax import types
from gan_jax.config import checks, words
from gan_jax.data import opening, source as sources
from gan_jax.engine import build, names
from gan_jax.evaluation import sets
from gan_jax.game import directions, sampling, walks
from gan_jax.metrics import neighbours
from gan_jax.run import trained

_Between = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class Near(NamedTuple):
  """Training images that are nearest to N samples.

  Attributes:
    found: `[N, k, H, W, C]` in [-1, 1], nearest first.
    distance: `[N, k]`, root mean squares over pixels.
    row: `[N, k]`, where in the split they are.
    mirrored: `[N, k]`, whether it is their mirror images that are near.
  """

  found: np.ndarray
  distance: np.ndarray
  row: np.ndarray
  mirrored: np.ndarray


class Walker:
  """One generator of a run, at latents of one's own choice.

  Samples are made one by one, so that the noise within a network is the same in
  all of them.

  Attributes:
    classes: of the game; 0 without.
    has_w: whether there are intermediate latents; ways then go through them.
  """

  def __init__(self, run: trained.Run):
    """Collects the generator's batch statistics, should it need them.

    Raises:
      ValueError: `run.config.eval.truncation` is set, and there is nothing to
        truncate, or samples need a batch.
    """
    build.check_truncation(run.config, run.spec)
    build.check_alone(run.spec)
    self._run, self._spec = run, run.spec
    self.classes = build.count_classes(run.config, run.info)
    self.has_w = 'map' in run.spec.gen.methods
    self._psi = run.config.eval.truncation
    self._generator = trained.generator(run)

  def latents(
    self, seeds: Sequence[int], labels: Sequence[int] | None = None
  ) -> types.Latent:
    """The first latent that `experiments.sample` draws with each seed.

    Args:
      seeds: N of them, or one.
      labels: classes, N of them or one; None draws them with the seeds in a
        game of classes.

    Raises:
      ValueError: the numbers of seeds and classes do not fit.
    """
    count = max(len(seeds), len(labels or ()))
    for name, given in (('seeds', seeds), ('classes', labels)):
      if given and len(given) not in (1, count):
        raise ValueError(
          f'--{name}: {len(given)} of them, and {count} of the other; give as '
          'many, or one'
        )
    drawn = [self._first(seed) for seed in seeds] * (count // len(seeds))
    latent: types.Latent = jax.tree.map(lambda *x: jnp.concatenate(x), *drawn)
    if labels is None:
      return latent
    return latent._replace(label=jnp.resize(jnp.int32(labels), (count,)))

  def _first(self, seed: int) -> types.Latent:
    _, key = jax.random.split(jax.random.key(seed))
    own = jax.random.fold_in(key, 0)
    return sampling.draw_latents(self._spec, own, 1, self._psi)

  def inputs(self, latent: types.Latent) -> types.Latent:
    """What `make` takes: w in place of z where the network has it."""
    if not self.has_w:
      return latent
    psi = self._psi if self._spec.gen.truncation == 'w' else None
    params, vars = self._generator
    w = sampling.intermediate(self._spec, params, vars, latent, psi)
    return latent._replace(z=w)

  def make(self, inputs: types.Latent) -> np.ndarray:
    """Samples `[N, ...]` in the units of the data."""
    return np.asarray(self._make(self._generator, inputs))

  @functools.cached_property
  def _make(self) -> Callable[..., jax.Array]:
    method = 'synthesise' if self.has_w else ''

    def one(
      generator: tuple[types.PyTree, types.PyTree], inputs: types.Latent
    ) -> jax.Array:
      batch = jax.tree.map(lambda x: x[None], inputs)
      x = sampling.generate(
        self._spec,
        *generator,
        batch.z if self.has_w else batch,
        jax.random.key(0),
        method,
      )
      return x[0]

    return jax.jit(
      lambda generator, inputs: jax.lax.map(
        functools.partial(one, generator), inputs
      )
    )

  def judge(self, images: np.ndarray, label: jax.Array | None) -> np.ndarray:
    """D's logits of samples, `[N]`.

    Raises:
      ValueError: D judges several samples at once.
    """
    self.check_logits()
    batch = types.Batch(jnp.asarray(images), label)
    judge = jax.jit(functools.partial(sampling.judge, self._spec))
    return np.asarray(judge(self._run.state.disc, batch))

  def check_logits(self) -> None:
    """Raises ValueError where no sample has a logit of its own."""
    if self._spec.packing > 1:
      raise ValueError(
        f'--logits: packing={self._spec.packing}, so D judges as many samples '
        'at once and none alone'
      )

  def way(self, stops: types.Latent, steps: int) -> types.Latent:
    """Inputs from each stop to the next: on great circles, or in w.

    Normal latents go along great circles, others along straight lines; classes
    change by shares, in w as well.

    Args:
      stops: N latents.
      steps: of each of the N - 1 legs, its end not included; the last stop
        comes at the very end.
    """
    if stops.label is not None:
      shares = jax.nn.one_hot(stops.label, self.classes)
      at = self.inputs(stops)._replace(label=shares[:, None])
    else:
      at = self.inputs(stops)
    normal = self._run.config.gen.latent == 'normal' and not self.has_w
    z = _legs(at.z, steps, walks.spherical if normal else walks.linear)
    if at.label is None:
      return types.Latent(z)
    return types.Latent(z, _legs(at.label, steps, walks.linear))

  def truncated(self, bound: float) -> 'Walker':
    """The same with another truncation.

    Raises:
      ValueError: there is nothing to truncate, or the bound is not above 0.
    """
    config = self._run.config
    settings = dataclasses.replace(config.eval, truncation=bound)
    config = dataclasses.replace(config, eval=settings)
    checks.validate(config)
    return Walker(self._run._replace(config=config))

  def mixed(
    self, rows: types.Latent, columns: types.Latent, first: int, last: int
  ) -> types.Latent:
    """Inputs of `[R * C]` samples: some layers of each row are a column's.

    Raises:
      ValueError: the network has no w, or not these layers.
    """
    if not self.has_w:
      raise ValueError(
        f'--mode=mixing: gen.name={self._run.config.gen.name!r} has no '
        "intermediate latents; 'stylegan2' and 'stylegan3' do"
      )
    own, other = self.inputs(rows), self.inputs(columns)
    self._check_layers((first, last))
    return types.Latent(walks.mixed(own.z, other.z, first, last))

  def directions(
    self, layers: tuple[int, int] | None = None
  ) -> directions.Directions:
    """Those along which samples change most (SeFa), of w or of z.

    Args:
      layers: of a network with w, the first and the last of those whose affine
        steps count, itself included; None is all.

    Raises:
      ValueError: the network's first step is not affine in its latent alone, or
        it has not these layers, or its weights are not finite or all 0.
    """
    entries = self._spec.gen.entries
    if not entries:
      able = [
        name
        for name, network in names.NETWORKS.items()
        if hasattr(network.Generator, 'entries')
      ]
      raise ValueError(
        f'gen.name={self._run.config.gen.name!r}: its first step is no plain '
        f'affine one of the latent alone; that of {", ".join(able)} is'
      )
    if layers is not None:
      self._check_layers(layers)
      entries = entries[layers[0] : layers[1] + 1]
    weights = traverse_util.flatten_dict(self._generator[0])
    # Below those of z there may be rows of the class.
    size = None if self.has_w else self._run.config.gen.latent_dim
    return directions.factorise([weights[path][:size] for path in entries])

  def _check_layers(self, layers: tuple[int, int]) -> None:
    if not self.has_w:
      raise ValueError(
        f'--layers: gen.name={self._run.config.gen.name!r} has no intermediate '
        "latents; 'stylegan2' and 'stylegan3' do"
      )
    (first, last), count = layers, len(self._spec.gen.entries)
    if not 0 <= first <= last < count:
      raise ValueError(
        f'--layers={first}-{last}: this network has layers 0 to {count - 1}'
      )

  def along(
    self,
    rows: types.Latent,
    direction: np.ndarray,
    distances: np.ndarray,
    layers: tuple[int, int] | None = None,
  ) -> np.ndarray:
    """Samples `[N, T, ...]`: each latent moved by each distance.

    Args:
      rows: N latents.
      direction: a row of `directions(layers).vectors`.
      distances: `[T]`, in units of the latent.
      layers: whose w move, as of `directions`.
    """
    own = self.inputs(rows)
    z = directions.moved(own.z, direction, distances, layers)
    repeated = jax.tree.map(lambda x: x.repeat(len(distances), axis=0), own)
    images = self.make(repeated._replace(z=z))
    return images.reshape(len(own.z), len(distances), *images.shape[1:])

  def remarks(self) -> list[str]:
    """What a reader must know of `directions` of this network, a line each."""
    gen, weights = self._run.config.gen, self._generator[0]
    paths, entries = traverse_util.flatten_dict(weights), self._spec.gen.entries
    lines = []
    if self.has_w:
      steps = {path for path in paths if path[-2:] == ('affine', 'kernel')}
      if more := len(steps - {*entries}):
        counted = words.counted(more, 'step')
        lines.append(
          f'left out: {counted} to images of lower resolutions, which move '
          'with the w of the next layer and do not count'
        )
      return lines
    first = paths[entries[0]].shape[0]
    if first < gen.latent_dim:
      lines.append(
        f'left out: the last {gen.latent_dim - first} of {gen.latent_dim} '
        'numbers of z, which later blocks take, stay as they are'
      )
    if bound := names.LATENT_BOUNDS.get(gen.latent):
      lines.append(
        f'gen.latent={gen.latent!r} has no number beyond {bound:.3g}; moved '
        'ones may be, and G was not trained there'
      )
    return lines

  def nearest(self, images: np.ndarray, k: int) -> Near:
    """The k training images nearest to each of some samples, by pixels.

    Where training mirrors them, each counts the way that is nearer.

    Raises:
      ValueError: the data cannot be read or are others, or samples are stacks.
    """
    data, info = self._run.config.data, self._run.info
    if data.stack > 1:
      raise ValueError(
        f'--mode=nearest: data.stack={data.stack}, and stacks are drawn anew; '
        'there is none that was trained on'
      )
    image_set, found = opening.open_split(data, data.split)
    if not info.fingerprint:
      raise ValueError(
        '--mode=nearest: which images this generator was trained on is not '
        'known, for its networks were converted'
      )
    if found != info.fingerprint:
      raise ValueError(
        f'data.dir={data.dir!r}: these are not the images that the generator '
        'was trained on'
      )
    if not 1 <= k <= image_set.total:
      raise ValueError(f'--columns={k}: there are {image_set.total} images')
    # A sample is as far from an image's mirror image as its own is from it.
    turned = [images, images[:, :, ::-1]] if data.flip else [images]
    flat = np.concatenate(turned).reshape(len(turned) * len(images), -1)
    blocks = (
      x.reshape(len(x), -1) for x, _ in sets.in_order(image_set).blocks()
    )
    # What is near a sample, beside what is near its mirror image.
    row, distance = (
      np.concatenate(np.split(part, len(turned)), axis=1)
      for part in neighbours.closest(flat, blocks, k)
    )
    first = _first_of_each(row, distance, k)
    row, distance = (
      np.take_along_axis(part, first, axis=1) for part in (row, distance)
    )
    pixels, _ = image_set.fetch(row.reshape(-1).tolist())
    shown = np.array(sources.to_unit_range(pixels))
    shown = shown.reshape(*row.shape, *info.shape)
    mirrored = first >= k
    shown[mirrored] = shown[mirrored][:, :, ::-1]
    return Near(shown, distance / np.sqrt(flat.shape[1]), row, mirrored)


def _first_of_each(row: np.ndarray, distance: np.ndarray, k: int) -> np.ndarray:
  """Columns `[N, k]` of the k nearest rows, none of them twice."""
  columns = []
  for rows, order in zip(row, distance.argsort(kind='stable'), strict=True):
    _, first = np.unique(rows[order], return_index=True)
    columns.append(order[np.sort(first)[:k]])
  return np.stack(columns)


def _legs(stops: jax.Array, steps: int, between: _Between) -> jax.Array:
  share = jnp.arange(steps) / steps
  legs = [between(a, b, share) for a, b in itertools.pairwise(stops)]
  return jnp.concatenate([*legs, stops[-1:]])
