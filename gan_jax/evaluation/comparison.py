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
from gan_jax.config import checks as config_checks, fields as configs, values
from gan_jax.evaluation import (
  catalogue,
  features,
  pretrained,
  resizers,
  scene as scenes,
  sets,
)
from gan_jax.metrics import bootstrap, checks, kept

# What keeps the generated images' features for all who read them.
_KEEPER = scenes.Metric(
  figures=(),
  counts=lambda facts: {'generated': scenes.kept_pair(facts)['generated']},
  init=lambda facts: kept.init(),
  update=scenes.keep_features,
  result=lambda scene: {},
)

EXTRACTORS = ('classifier', *pretrained.PRETRAINED)


class SamplesError(ValueError):
  """What G made are no images."""


class Generated(NamedTuple):
  """What is known of the generated images before they come.

  Attributes:
    num: how many there will be.
    shape: of each.
    labelled: whether they come with the classes that were asked for.
  """

  num: int
  shape: tuple[int, int, int]
  labelled: bool = False


class Learnt(NamedTuple):
  """What a classifier would be trained on.

  Attributes:
    images: with labels.
    of_data: whether they are of the data that G is compared with.
  """

  images: sets.Images
  of_data: bool


def parse_metrics(settings: configs.Eval) -> dict[str, scenes.Metric]:
  """What `eval.metrics` names, without aliases, and each once.

  Raises:
    ValueError: a name is unknown, or is of other features than
      `eval.features`.
  """
  values.choose(
    'eval.features', settings.features, dict.fromkeys(EXTRACTORS, None)
  )
  options = dict(catalogue.METRICS)
  options |= {
    a: catalogue.METRICS[name] for a, name in catalogue.ALIASES.items()
  }
  found = {}
  for name in settings.metrics.split(','):
    metric = values.choose('eval.metrics', name, options)
    if metric.only and metric.only != settings.features:
      raise ValueError(
        f'eval.metrics: {name} is the distance in the features of '
        f'{metric.only}, and eval.features={settings.features!r}; set '
        f'eval.features={metric.only}, or ask for fd_{settings.features}'
      )
    found[catalogue.ALIASES.get(name, name)] = metric
  if settings.resizer:
    values.choose('eval.resizer', settings.resizer, resizers.RESIZERS)
    if settings.features == 'classifier':
      raise ValueError(
        f'eval.resizer={settings.resizer!r}: the classifier takes images as '
        f'they are; {", ".join(pretrained.PRETRAINED)} take resized ones'
      )
  if settings.bootstrap and not any(m.again for m in found.values()):
    able = (name for name, m in catalogue.METRICS.items() if m.again)
    raise ValueError(
      f'eval.bootstrap={settings.bootstrap}: none of '
      f'{settings.metrics} has an interval; {", ".join(able)} have'
    )
  return found


def make_extractor(
  settings: configs.Eval, learn: Callable[[], Learnt | None]
) -> features.Extractor:
  """The network that `eval.features` names.

  Args:
    settings: name it.
    learn: opens what a classifier is trained on; None if there is nothing.

  Raises:
    ValueError: its weights cannot be read, or there are no labels to learn, or
      what it is to learn has no split.
  """
  if settings.features in pretrained.PRETRAINED:
    read = pretrained.PRETRAINED[settings.features]
    return read(settings.weights, settings.resizer)
  other = settings.features_data
  if other != configs.Eval.features_data and not settings.features_split:
    raise ValueError(
      f'eval.features_data={other}: eval.features_split must say which split '
      'of it; without both the classifier learns the real images'
    )
  learnt = learn()
  if learnt is None or not learnt.images.class_names:
    raise ValueError(
      "eval.features='classifier': it is trained on images with labels, and "
      'these have none; name some by eval.features_data and '
      'eval.features_split'
    )
  images = learnt.images
  height, width, channels = images.shape
  most = features.most_to_learn(height * width * channels)
  x, label = images.pixels(most)
  assert label is not None
  return features.classifier(x, label, len(images.class_names))


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
    real: sets.Images,
    train: sets.Images,
    held_out: sets.Images | None,
    learn: Callable[[], Learnt | None],
    origins: Mapping[str, str],
    *,
    mirrored: bool = False,
  ):
    """Makes the network that looks, if a metric asks for one.

    Args:
      settings: of the metrics.
      generated: what is to come.
      real: to compare with.
      train: those that G was trained on, in any order.
      held_out: those that it was not, or None.
      learn: as in `make_extractor`.
      origins: of each set, which field says what it is, for messages.
      mirrored: whether G was trained on the mirror images of `train` too.

    Raises:
      ValueError: a metric is unknown, or what it needs is not there.
    """
    self._metrics = parse_metrics(settings)
    self._sets = {'real': real, 'train': train}
    if held_out is not None:
      self._sets['held_out'] = held_out
    self._origins = origins
    num = {name: images.total for name, images in self._sets.items()}
    num = {'held_out': 0, 'generated': generated.num} | num
    self._facts = scenes.Facts(
      num, generated.shape, settings, mirrored=mirrored
    )
    self._check_counts()
    self._check_asked(generated)
    self._extractor: features.Extractor | None = None
    if any(metric.sees for metric in self._metrics.values()):
      self._extractor = make_extractor(settings, learn)
      seen = jax.eval_shape(
        self._extractor.apply,
        self._extractor.params,
        jax.ShapeDtypeStruct((1, *generated.shape), jnp.float32),
      )
      self._facts = self._facts._replace(
        dim=seen.features.shape[-1], logits=seen.logits.shape[1:]
      )
    self._check_network(learn)
    self.names = [
      self._named(figure, metric)
      for metric in self._metrics.values()
      for figure in (*metric.figures, *self._ends(metric))
    ]
    self.warnings = [
      f'{name}: {line}'
      for name, metric in self._metrics.items()
      if (line := metric.shortage(self._facts))
    ]

  @property
  def sees(self) -> bool:
    """Whether a fixed network looks at the images."""
    return self._extractor is not None

  def _ends(self, metric: scenes.Metric) -> tuple[str, ...]:
    """The names of the interval of a metric's first figure, if it has one."""
    if not (self._facts.settings.bootstrap and metric.again):
      return ()
    return f'{metric.figures[0]}_low', f'{metric.figures[0]}_high'

  @property
  def _keeps(self) -> bool:
    metrics = self._metrics.values()
    return bool(self._facts.settings.bootstrap or any(m.keeps for m in metrics))

  def _named(self, figure: str, metric: scenes.Metric) -> str:
    """With the network's name, where the figure is of its features."""
    if not metric.sees or metric.plain or self._extractor is None:
      return figure
    return f'{figure}_{self._extractor.name}'

  def _check_counts(self) -> None:
    settings, facts = self._facts.settings, self._facts
    config_checks.fields(settings, 'eval.')
    if settings.bootstrap and settings.features_kept < facts.num['generated']:
      raise ValueError(
        f'eval.features_kept={settings.features_kept}: eval.bootstrap resamples'
        f' all {facts.num["generated"]} samples, whose features must be kept'
      )
    for name, metric in self._metrics.items():
      counts = metric.counts(facts)
      for which, least in metric.least(facts).items():
        if facts.num[which] < least:
          raise ValueError(
            f'{self._origins[which]}: {name} needs at least {least} '
            f'{_WORDS[which]}{metric.why}; there are {facts.num[which]}'
          )
        if counts[which] < least:
          raise ValueError(
            f'eval.features_kept={settings.features_kept}: {name} needs at '
            f'least {least}{metric.why}'
          )

  def _check_asked(self, generated: Generated) -> None:
    for name, metric in self._metrics.items():
      if metric.asked and not generated.labelled:
        raise ValueError(
          f'eval.metrics: {name} is of the classes that a generator is asked '
          'for, in a game with conditional=True'
        )

  def _check_network(self, learn: Callable[[], Learnt | None]) -> None:
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
      own = self._facts.settings.features == 'classifier'
      learnt = learn() if own else None
      if learnt is None or not learnt.of_data:
        raise ValueError(
          f'eval.metrics: {name} needs a network that knows the classes of '
          "these data: eval.features='classifier', trained on labels of theirs"
        )

  def _seen(self, x: np.ndarray) -> types.Perception:
    assert self._extractor is not None
    parts = zip(*features.perceive(self._extractor, x), strict=True)
    whole: list[Any] = [np.concatenate(part) for part in parts]
    return types.Perception(*whole)

  def _blocks(
    self, blocks: Iterable[sets.Block], *, sees: bool, mirrors: bool
  ) -> Iterator[scenes.Block]:
    """With what the network sees in them, if it is asked."""
    for x, label in blocks:
      yield scenes.Block(
        x,
        label,
        self._seen(x) if sees else None,
        self._seen(x[:, :, ::-1]) if mirrors else None,
      )

  def _states(
    self, which: str, blocks: Callable[[int], Iterable[sets.Block]]
  ) -> dict[str, Any]:
    """Every metric's state after its images of a set; no more are read."""
    metrics = self._metrics | ({'': _KEEPER} if self._keeps else {})
    wanted = {
      name: metric.counts(self._facts).get(which, 0)
      for name, metric in metrics.items()
      if which not in metric.apart
    }
    wanted = {name: count for name, count in wanted.items() if count}
    found = {name: metrics[name].init(self._facts) for name in wanted}
    most = max(wanted.values(), default=0)
    if not most:
      return found
    sees = any(metrics[name].sees for name in wanted)
    both_ways = which == 'train' and self._facts.mirrored
    mirrors = both_ways and any(metrics[name].mirrors for name in wanted)
    done = 0
    for block in self._blocks(blocks(most), sees=sees, mirrors=mirrors):
      for name, count in wanted.items():
        if count > done:
          part = block.first(count - done)
          found[name] = metrics[name].update(found[name], part)
      done += len(block.x)
      if done >= most:
        break
    if done < most:
      raise ValueError(
        f'{self._origins[which]}: {most} images were to come, got {done}'
      )
    return found

  @functools.cached_property
  def _known(self) -> dict[str, dict[str, Any]]:
    """States of all sets but the generated; read when first wanted."""
    return {
      which: self._states(which, images.blocks)
      for which, images in self._sets.items()
    }

  def _train(self) -> Iterator[np.ndarray]:
    for x, _ in self._sets['train'].blocks():
      yield x

  def figures(
    self, generated: Iterable[sets.Block], key: jax.Array
  ) -> scenes.Figures:
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

    known = {'generated': self._states('generated', checked)}
    try:
      checks.result(extent, 'samples')
    except ValueError as error:
      raise SamplesError(str(error)) from None
    known |= self._known
    found: scenes.Figures = {}
    rows = kept.result(known['generated'].pop('')) if self._keeps else None
    for name, metric in self._metrics.items():
      states = {w: each[name] for w, each in known.items() if name in each}
      scene = scenes.Scene(self._facts, states, self._train, key, rows)
      figures = metric.result(scene) | self._interval(metric, scene)
      found |= {
        self._named(figure, metric): value for figure, value in figures.items()
      }
      # What it kept is in nobody's way.
      known['generated'].pop(name, None)
    return found

  def _interval(
    self, metric: scenes.Metric, scene: scenes.Scene
  ) -> scenes.Figures:
    ends = self._ends(metric)
    if not ends:
      return {}
    assert metric.again is not None
    assert scene.features is not None
    interval = bootstrap.interval(
      metric.again(scene),
      scene.features,
      scene.rng(),
      resamples=self._facts.settings.bootstrap,
    )
    return dict(zip(ends, interval, strict=True))

  def stamp(self) -> dict[str, Any]:
    """All of the network and of the metrics that the figures depend on."""
    look = self._extractor
    used = {
      name: metric.counts(self._facts) | metric.settings(self._facts)
      for name, metric in self._metrics.items()
    }
    network = {
      'features': look.name if look else None,
      'features_sha256': look.sha256 if look else None,
    }
    resamples = self._facts.settings.bootstrap
    return (
      network
      | dict(look.facts if look else {})
      | {'used': used}
      | ({'bootstrap': resamples} if resamples else {})
    )


_WORDS = {
  'generated': 'samples',
  'real': 'real images',
  'train': 'training images',
  'held_out': 'images that the generator was not trained on',
}
