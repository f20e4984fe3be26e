"""Figures of generated images against real ones, block by block.

Where the images come from does not matter here: of a generator, or of a file.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.config import checks as config_checks, fields as configs
from gan_jax.evaluation import (
  catalogue,
  extractors,
  features,
  metric as metrics,
  sets,
)
from gan_jax.metrics import bootstrap, checks, kept


class SamplesError(ValueError):
  """What G made are no images."""


class Generated(NamedTuple):
  """What is known of the generated images before they come.

  Attributes:
    num: how many there will be.
    shape: of each.
    labelled: whether they come with the classes that were asked for.
    codes: of which they come with one; 0 for none.
  """

  num: int
  shape: tuple[int, int, int]
  labelled: bool = False
  codes: int = 0


class Sets(NamedTuple):
  """What the generated images are compared with.

  Attributes:
    real: to compare with.
    train: those that G was trained on, in any order.
    held_out: those that it was not, or None.
    origins: of each set, which field says what it is, for messages.
    mirrored: whether G was trained on the mirror images of `train` too.
  """

  real: sets.Images
  train: sets.Images
  held_out: sets.Images | None
  origins: Mapping[str, str]
  mirrored: bool = False


class Comparison:
  """Figures of generated images, by one protocol.

  Attributes:
    names: of the figures.
    warnings: what a reader must know, a line each.
  """

  def __init__(
    self,
    settings: configs.Eval,
    generated: Generated,
    known: Sets,
    learn: Callable[[], extractors.Learnt | None],
  ):
    """Makes the network whose features are compared, if a metric needs one.

    Args:
      settings: of the metrics.
      generated: what is to come.
      known: what they are compared with.
      learn: as in `extractors.make`.

    Raises:
      ValueError: a metric is unknown, or what it needs is not there.
    """
    self._metrics = catalogue.parse(settings)
    self._sets = {'real': known.real, 'train': known.train}
    if known.held_out is not None:
      self._sets['held_out'] = known.held_out
    self._origins = known.origins
    num = {name: images.total for name, images in self._sets.items()}
    num = {'held_out': 0, 'generated': generated.num} | num
    self._facts = metrics.Facts(
      num,
      generated.shape,
      settings,
      mirrored=known.mirrored,
      labelled=generated.labelled,
      codes=generated.codes,
      classes=len(known.train.class_names),
    )
    self._check_counts()
    self._check_conditional(generated)
    self._extractor: features.Extractor | None = None
    if any(metric.uses_features for metric in self._metrics.values()):
      self._extractor = extractors.make(settings, learn)
      extracted = jax.eval_shape(
        self._extractor.apply,
        self._extractor.params,
        jax.ShapeDtypeStruct((1, *generated.shape), jnp.float32),
      )
      self._facts = self._facts._replace(
        dim=extracted.features.shape[-1], logits=extracted.logits.shape[1:]
      )
    self._check_network(learn)
    self.names = [
      self._named(figure, metric)
      for metric in self._metrics.values()
      for figure in self._figures(metric)
    ]
    self.warnings = [
      f'{name}: {line}'
      for name, metric in self._metrics.items()
      if (line := metric.shortage(self._facts))
    ]

  @property
  def uses_features(self) -> bool:
    """Whether a metric needs a fixed network."""
    return self._extractor is not None

  def _figures(self, metric: metrics.Metric) -> tuple[str, ...]:
    """The names of all that is found by a metric."""
    first = metric.figures[0]
    classes = metrics.class_names(self._facts, first) if metric.by_class else ()
    return *metric.figures, *classes, *self._ends(metric)

  def _ends(self, metric: metrics.Metric) -> tuple[str, ...]:
    """The names of the interval of a metric's first figure, if it has one."""
    if not (self._facts.settings.bootstrap and metric.resample):
      return ()
    return f'{metric.figures[0]}_low', f'{metric.figures[0]}_high'

  @property
  def _keeps(self) -> bool:
    """Whether the generated images' features are kept for `Inputs`."""
    return any(
      m.reads_features or (m.uses_features and self._ends(m))
      for m in self._metrics.values()
    )

  def _named(self, figure: str, metric: metrics.Metric) -> str:
    """With the network's name, where the figure is of its features."""
    if not metric.uses_features or metric.unsuffixed or self._extractor is None:
      return figure
    return f'{figure}_{self._extractor.name}'

  def _check_counts(self) -> None:
    settings, facts = self._facts.settings, self._facts
    config_checks.fields(settings, 'eval.')
    few = settings.features_kept < facts.num['generated']
    if self._keeps and settings.bootstrap and few:
      raise ValueError(
        f'eval.features_kept={settings.features_kept}: eval.bootstrap resamples'
        f' all {facts.num["generated"]} samples, whose features must be kept'
      )
    for name, metric in self._metrics.items():
      counts, leasts = metric.counts(facts), metric.least(facts)
      for which, least in leasts.items():
        if facts.num[which] < least:
          raise ValueError(
            f'{self._origins[which]}: {name} needs at least {least} '
            f'{_WORDS[which]}{metric.least_reason}; there are '
            f'{facts.num[which]}'
          )
      # Only then: a set may be cut to the number of another.
      for which, least in leasts.items():
        if counts[which] < least:
          raise ValueError(
            f'eval.features_kept={settings.features_kept}: {name} needs at '
            f'least {least}{metric.least_reason}'
          )

  def _check_conditional(self, generated: Generated) -> None:
    for name, metric in self._metrics.items():
      if metric.conditional and not generated.labelled:
        raise ValueError(
          f'eval.metrics: {name} is of the classes that samples were asked '
          'for: of a game with conditional=True, or of files with labels'
        )
      if metric.coded and not generated.codes:
        raise ValueError(
          f'eval.metrics: {name} is of the codes that samples were asked for: '
          'of a game with gen.codes'
        )
      names = {w: self._sets[w].class_names for w in metric.labelled}
      for which, found in names.items():
        if not found:
          raise ValueError(
            f'{self._origins[which]}: {name} needs images with labels'
          )
      if len({*names.values()}) > 1:
        raise ValueError(
          f'{" and ".join(self._origins[w] for w in names)}: {name} needs the '
          'same classes in both'
        )

  def _check_network(
    self, learn: Callable[[], extractors.Learnt | None]
  ) -> None:
    for name, metric in self._metrics.items():
      if metric.one_class and len(self._facts.logits) != 1:
        raise ValueError(f'eval.metrics: {name} needs images of one class each')
      if metric.one_class and not self._facts.logits[0]:
        raise ValueError(
          f'eval.metrics: {name} needs a network that names classes, and '
          f'eval.features={self._facts.settings.features!r} names none'
        )
      if not metric.labels:
        continue
      trained = self._facts.settings.features == 'classifier'
      learnt = learn() if trained else None
      if learnt is None or not learnt.of_data:
        raise ValueError(
          f'eval.metrics: {name} needs a network that knows the classes of '
          "these data: eval.features='classifier', trained on labels of theirs"
        )

  def _extract(self, x: np.ndarray) -> types.Features:
    assert self._extractor is not None
    parts = zip(*features.extract(self._extractor, x), strict=True)
    whole: list[Any] = [np.concatenate(part) for part in parts]
    return types.Features(*whole)

  def _blocks(
    self,
    blocks: Iterable[sets.Block],
    *,
    extracts: bool,
    mirrors: bool,
    coded: bool,
  ) -> Iterator[metrics.Block]:
    """With features, those of mirror images, and codes for labels, if asked."""
    for x, label in blocks:
      yield metrics.Block(
        x,
        None if coded else label,
        self._extract(x) if extracts else None,
        self._extract(x[:, :, ::-1]) if mirrors else None,
        label if coded else None,
      )

  def _states(
    self,
    which: str,
    blocks: Callable[[int], Iterable[sets.Block]],
    keep: int = 0,
  ) -> tuple[dict[str, Any], kept.Kept]:
    """Reads a set, and no more of it than is needed.

    Args:
      which: set.
      blocks: `blocks(most)` reads the first `most` images.
      keep: of so many of them the features are kept.

    Returns:
      Every metric's state after its images, and the features.
    """
    counts = {
      name: metric.counts(self._facts).get(which, 0)
      for name, metric in self._metrics.items()
      if which not in metric.stateless
    }
    used = {
      name: self._metrics[name] for name, count in counts.items() if count
    }
    states = {name: metric.init(self._facts) for name, metric in used.items()}
    rows = kept.init()
    most = max(keep, *counts.values(), 0)
    if not most:
      return states, rows
    extracts = bool(keep) or any(m.uses_features for m in used.values())
    both_ways = which == 'train' and self._facts.mirrored
    mirrors = both_ways and any(m.mirrors for m in used.values())
    done = 0
    coded = which == 'generated' and bool(self._facts.codes)
    read = self._blocks(
      blocks(most), extracts=extracts, mirrors=mirrors, coded=coded
    )
    for block in read:
      for name, metric in used.items():
        if counts[name] > done:
          part = block.first(counts[name] - done)
          states[name] = metric.update(states[name], part)
      if keep > done:
        rows = metrics.keep_features(rows, block.first(keep - done))
      done += len(block.x)
      if done >= most:
        break
    if done < most:
      raise ValueError(
        f'{self._origins[which]}: {most} images were to come, got {done}'
      )
    return states, rows

  @functools.cached_property
  def _known(self) -> dict[str, dict[str, Any]]:
    """States of all sets but the generated; read when first wanted."""
    return {
      which: self._states(which, images.blocks)[0]
      for which, images in self._sets.items()
    }

  def _train(self) -> Iterator[np.ndarray]:
    for x, _ in self._sets['train'].blocks():
      yield x

  def figures(
    self, generated: Iterable[sets.Block], key: jax.Array
  ) -> metrics.Figures:
    """Of blocks of images; the same images and key give the same digits.

    Args:
      generated: `[n, H, W, C]` each, with the classes that were asked for or
        None, as many as was said; they are read once.
      key: of what is random in metrics.

    Raises:
      SamplesError: the images are none in [-1, 1].
    """
    extent = checks.init()

    def checked(most: int) -> Iterator[sets.Block]:
      nonlocal extent
      for x, label in generated:
        try:
          extent = checks.update(extent, x, 'samples')
        except ValueError as error:
          raise SamplesError(str(error)) from None
        yield x, label

    keep = metrics.kept_pair(self._facts)['generated'] if self._keeps else 0
    generated_states, rows = self._states('generated', checked, keep)
    try:
      checks.result(extent, 'samples')
    except ValueError as error:
      raise SamplesError(str(error)) from None
    known = {'generated': generated_states} | self._known
    found: metrics.Figures = {}
    kept_features = kept.result(rows) if keep else None
    for name, metric in self._metrics.items():
      states = {w: each[name] for w, each in known.items() if name in each}
      inputs = metrics.Inputs(
        self._facts, states, self._train, key, kept_features
      )
      figures = metric.result(inputs) | self._interval(metric, inputs)
      line = metric.missing(inputs)
      if line and (warning := f'{name}: {line}') not in self.warnings:
        self.warnings.append(warning)
      found |= {
        self._named(figure, metric): value for figure, value in figures.items()
      }
      # What it kept is in nobody's way.
      known['generated'].pop(name, None)
    return found

  def _interval(
    self, metric: metrics.Metric, inputs: metrics.Inputs
  ) -> metrics.Figures:
    ends = self._ends(metric)
    if not ends:
      return {}
    assert metric.resample is not None
    interval = bootstrap.interval(
      metric.resample(inputs),
      metric.counts(self._facts)['generated'],
      # Apart from what the metric itself draws.
      inputs.rng().spawn(1)[0],
      resamples=self._facts.settings.bootstrap,
    )
    return dict(zip(ends, interval, strict=True))

  def stamp(self) -> dict[str, Any]:
    """All of the network and of the metrics that the figures depend on."""
    extractor = self._extractor
    used = {
      name: metric.counts(self._facts) | metric.settings(self._facts)
      for name, metric in self._metrics.items()
    }
    network = {
      'features': extractor.name if extractor else None,
      'features_sha256': extractor.sha256 if extractor else None,
    }
    resamples = self._facts.settings.bootstrap
    return (
      network
      | dict(extractor.facts if extractor else {})
      | {'used': used}
      | ({'bootstrap': resamples} if resamples else {})
    )


_WORDS = {
  'generated': 'samples',
  'real': 'real images',
  'train': 'training images',
  'held_out': 'images that the generator was not trained on',
}
