"""What a metric of images is, and what it is computed from.

It is `(init, update, result)`: a state for each set of images, into which its
blocks go one by one, and figures of the states. None keeps more of a set than
`counts` says. `catalogue.py` has them by name.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.metrics import kept


class Block(NamedTuple):
  """Some images of a set, and what a fixed network makes of them.

  Attributes:
    x: `[n, H, W, C]` float32 in [-1, 1].
    label: `[n]`, or None.
    extracted: features and logits; None where no metric asks for them.
    mirrored: those of the mirror images, of training images that G saw both
      ways, where a metric asks for them.
    code: `[n]`, that generated images were made of, or None.
  """

  x: np.ndarray
  label: np.ndarray | None
  extracted: types.Features | None
  mirrored: types.Features | None = None
  code: np.ndarray | None = None

  def first(self, num: int) -> 'Block':
    """The first `num` of them, or all."""
    return jax.tree.map(lambda array: array[:num], self)

  @property
  def features(self) -> np.ndarray:
    """`[n, D]`, of a block that has them."""
    assert self.extracted is not None
    return np.asarray(self.extracted.features)

  @property
  def logits(self) -> np.ndarray:
    """`[n, K]`, or `[n, C, K]` of stacks, of a block that has them."""
    assert self.extracted is not None
    return np.asarray(self.extracted.logits)


class Facts(NamedTuple):
  """What is known before an image is read.

  Attributes:
    num: images of each set: 'generated', 'real' (of `eval.split`), 'train'
      (those that G was trained on), 'held_out' (those it was not; may be 0).
    shape: of an image, `(H, W, C)`.
    settings: of the metrics.
    dim: features of an image.
    logits: shape of an image's logits, `(K,)`, or `(C, K)` of stacks.
    mirrored: whether G was trained on the mirror images of 'train' too.
    labelled: whether samples come with the classes that were asked for.
    codes: of which samples come with one, InfoGAN's; 0 for none.
    classes: of the training images; 0 where they have no labels.
  """

  num: Mapping[str, int]
  shape: tuple[int, int, int]
  settings: configs.Eval
  dim: int = 0
  logits: tuple[int, ...] = ()
  mirrored: bool = False
  labelled: bool = False
  codes: int = 0
  classes: int = 0


class Inputs(NamedTuple):
  """What a metric's figures are made of.

  Attributes:
    facts: as they were.
    states: of the metric, by the sets' names.
    train: reads the images that G was trained on, block by block, from the
      first.
    key: for metrics that draw subsets.
    features: of the generated images, `[N, D]`, where a metric `reads_features`
      or an interval of a metric of features is asked for.
  """

  facts: Facts
  states: Mapping[str, Any]
  train: Callable[[], Iterator[np.ndarray]]
  key: jax.Array
  features: np.ndarray | None = None

  def generated(self) -> np.ndarray:
    """The generated images' features, which are there."""
    assert self.features is not None
    return self.features

  def rng(self) -> np.random.Generator:
    """Determined by the key."""
    return np.random.default_rng(np.asarray(jax.random.key_data(self.key)))


Counts = dict[str, int]
Figures = dict[str, float]


class Metric(NamedTuple):
  """What `eval.metrics` names.

  Attributes:
    figures: the names of what it gives; where it uses features, the
      name of their network is added, as in `kid_inception`.
    counts: how many images of each set it uses, the first ones.
    init: its state before the first image of a set.
    update: the state with a block more; the given one is used up.
    result: the figures.
    settings: what else the figures depend on, for the stamp.
    shortage: a line of warning where there are too few images, or None.
    missing: a line of warning where what was read gives no figure, or None.
    least: images of each set without which there is no figure.
    uses_features: needs a fixed network.
    mirrors: takes mirror images too, of training images that G saw both ways.
    single: takes images one by one, and stacks have no images of their own.
    one_class: needs a network that gives an image one class.
    labels: needs a network that knows the classes of the data.
    conditional: is of generated images that were asked for by class.
    coded: is of generated images that were asked for by code.
    labelled: sets whose images must have classes, the same of all.
    extractor: the one network of whose features it is, or ''.
    unsuffixed: its figures' names go without the network's.
    stateless: sets of which it has no state, for `result` reads them.
    reads_features: `result` reads the inputs' `features`.
    resample: its first figure as a function of row indices, `[N]`, of the
      generated images that it is of, some more than once; None for one that
      resampling says nothing about.
    by_class: `result` adds its first figure of each class, where asked for.
    least_reason: what `least` comes from, for the message.
    reads: of `settings` and of the command line, what it alone takes.
  """

  figures: tuple[str, ...]
  counts: Callable[[Facts], Counts]
  init: Callable[[Facts], Any]
  update: Callable[[Any, Block], Any]
  result: Callable[[Inputs], Figures]
  settings: Callable[[Facts], dict[str, Any]] = lambda facts: {}
  shortage: Callable[[Facts], str | None] = lambda facts: None
  missing: Callable[[Inputs], str | None] = lambda inputs: None
  least: Callable[[Facts], Counts] = lambda facts: {}
  uses_features: bool = True
  mirrors: bool = False
  single: bool = False
  one_class: bool = False
  labels: bool = False
  conditional: bool = False
  coded: bool = False
  labelled: tuple[str, ...] = ()
  extractor: str = ''
  unsuffixed: bool = False
  stateless: tuple[str, ...] = ()
  reads_features: bool = False
  resample: Callable[[Inputs], Callable[[np.ndarray], float]] | None = None
  by_class: bool = False
  least_reason: str = ''
  reads: tuple[str, ...] = ()


def class_names(facts: Facts, figure: str) -> tuple[str, ...]:
  """Of a figure of each class, where they are asked for."""
  if not facts.settings.by_class:
    return ()
  return tuple(f'{figure}_{k}' for k in range(facts.logits[0]))


def pair(facts: Facts, most: int | None = None) -> Counts:
  """All real and all generated images, or `most` of either."""
  pair = {name: facts.num[name] for name in ('real', 'generated')}
  if most is None:
    return pair
  return {name: min(num, most) for name, num in pair.items()}


def equal_pair(facts: Facts, most: int) -> Counts:
  """As many of either, as a comparison of neighbourhoods wants."""
  return dict.fromkeys(('real', 'generated'), min(*pair(facts, most).values()))


def generated(facts: Facts) -> Counts:
  """All generated images."""
  return {'generated': facts.num['generated']}


def kept_pair(facts: Facts) -> Counts:
  """Those of either whose features are kept."""
  return pair(facts, facts.settings.features_kept)


def keep_features(state: kept.Kept, block: Block) -> kept.Kept:
  """`[n, D]`, with those of a block more."""
  return kept.update(state, block.features)


def keep_both_ways(state: kept.Kept, block: Block) -> kept.Kept:
  """`[n, W, D]`: the features, and those of mirror images where there are."""
  ways = [block.features]
  if block.mirrored is not None:
    ways.append(np.asarray(block.mirrored.features))
  return kept.update(state, np.stack(ways, axis=1))


def keep_pixels(state: kept.Kept, block: Block) -> kept.Kept:
  """`[n, H, W, C]`, with the images of a block more."""
  return kept.update(state, block.x)


def most_pixels(facts: Facts) -> int:
  """Images that a metric of pixels keeps of a set."""
  return min(10_000, kept.BYTES // (4 * int(np.prod(facts.shape))))
