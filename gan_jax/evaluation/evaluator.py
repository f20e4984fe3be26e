"""Figures of a generator with the protocol by which they were obtained.

A figure without its protocol is not believed, and rightly: the same generator
has other ones with other real images, features, numbers of samples or weights.
`Evaluator` computes them, for a finished run and within training by the same
code; `stamp` says all that they depend on.
"""

import dataclasses
import functools
import math
import pathlib
import sys
from typing import Any

import jax
import numpy as np

from gan_jax.config import fields as configs, values
from gan_jax.data import images, opening, source as sources
from gan_jax.engine import build
from gan_jax.evaluation import (
  catalogue,
  comparison,
  extractors,
  features,
  laws,
  metric as metrics,
  sets,
)
from gan_jax.game import spec as specs, state as states
from gan_jax.storage import workdir as workdirs


class Evaluator:
  """Figures of states of one game, by one protocol.

  Attributes:
    names: of the figures.
  """

  def __init__(
    self, config: configs.Config, spec: specs.Spec, info: sources.Info
  ):
    """Opens the real images and the network of `eval.features`.

    Args:
      config: its `eval` is the protocol.
      spec: of the game.
      info: of the data that G is trained on.

    Raises:
      ValueError: the game has no images, a metric is unknown, the data are not
        those that G was trained on, or something that is needed is not there.
    """
    self._config, self._spec = config, spec
    data, settings = config.data, config.eval
    if info.kind != 'images':
      raise ValueError(
        f'eval.metrics={settings.metrics!r}: need images; exact densities '
        'have their own figures'
      )
    # Refuses what is cheap to know before a classifier is trained.
    self._sampler = build.make_sampler(config, spec, settings.num_samples)
    asked = catalogue.parse(settings)
    _check_stacks(asked, data.stack)
    self._held_out = None
    if settings.held_out:
      # Files come class by class, and some metrics look at the first ones; of
      # TFDS's order they are those of papers.
      ordered = sets.in_any_order if data.name == 'folder' else sets.in_order
      self._held_out = ordered(*opening.open_held_out(data, settings.held_out))
    self._image_set, self._real = open_real(config, info)
    self._split = settings.split or data.split
    self._comparison = comparison.Comparison(
      settings,
      comparison.Generated(
        settings.num_samples,
        self._real.shape,
        config.conditional,
        config.gen.codes,
      ),
      comparison.Sets(
        self._real,
        sets.in_any_order(self._image_set, info.fingerprint),
        self._held_out,
        {
          'generated': f'eval.num_samples={settings.num_samples}',
          'real': f'eval.split={self._split!r}',
          'train': f'data.split={data.split!r}',
          'held_out': f'eval.held_out={settings.held_out!r}',
        },
        mirrored=data.flip,
      ),
      functools.cache(self._learn),
    )
    self.names = self._comparison.names

  @property
  def warnings(self) -> list[str]:
    """What a reader must know, a line each; more once figures are there."""
    of_langevin = build.langevin_warnings(self._config, self._spec)
    return [*of_langevin, *self._comparison.warnings]

  def _learn(self) -> extractors.Learnt:
    return _learnt(self._config, self._image_set)

  def figures(self, state: states.GanState, key: jax.Array) -> metrics.Figures:
    """Of one state; the same state and key give the same digits.

    Raises:
      comparison.SamplesError: the samples are no images in [-1, 1].
    """
    batches = self._sampler.samples(state, key)
    blocks = (
      (
        np.asarray(batch.x),
        None if batch.label is None else np.asarray(batch.label),
      )
      for batch in batches
    )
    return self._comparison.figures(blocks, jax.random.fold_in(key, 1))

  def figures_or_nan(
    self, state: states.GanState, key: jax.Array
  ) -> metrics.Figures:
    """The same in training, where a generator that fails has figures of NaN."""
    try:
      return self.figures(state, key)
    except comparison.SamplesError:
      return dict.fromkeys(self.names, math.nan)

  def stamp(self) -> dict[str, Any]:
    """All that the figures depend on, besides the state and the key."""
    data, settings = self._config.data, self._config.eval
    extracts = self._comparison.uses_features
    classifier = extracts and settings.features == 'classifier'
    other = settings.features_split
    held_out = self._held_out
    return {
      'data': data.name,
      'stack': data.stack,
      'train_split': data.split,
      'split': self._split,
      'split_fingerprint': self._real.fingerprint,
      'num_real': self._real.total,
      'held_out': settings.held_out or None,
      'held_out_fingerprint': held_out.fingerprint if held_out else None,
      'num_held_out': held_out.total if held_out else 0,
      'num_generated': settings.num_samples,
      'resizer': resizer(data.size),
      'features_data': (
        (settings.features_data if other else data.name) if classifier else None
      ),
      'features_split': (other or data.split) if classifier else None,
      **self._comparison.stamp(),
      **generator_stamp(self._config, self._spec),
    }


def open_real(
  config: configs.Config, info: sources.Info
) -> tuple[images.ImageSet, sets.Images]:
  """The images that G was trained on, and those that it is compared with.

  Args:
    config: of the game; `eval.split` names the second, which are the first
      where it is empty.
    info: of the data that G is trained on.

  Raises:
    ValueError: they cannot be read, or the first are not those of `info`.
  """
  data = config.data
  image_set, found = opening.open_split(data, data.split)
  if not info.fingerprint:
    print(
      'which images the generator was trained on is not known: those of '
      f'data.dir={data.dir!r} are taken for them',
      file=sys.stderr,
    )
  elif found != info.fingerprint:
    raise ValueError(
      f'data.dir={data.dir!r}: these are not the images that the generator '
      'was trained on'
    )
  real_set, prints = image_set, found
  split = config.eval.split or data.split
  if split != data.split:
    real_set, prints = opening.open_split(data, split, 'eval.split')
  return image_set, sets.in_any_order(real_set, prints, data.stack)


def _learnt(
  config: configs.Config, image_set: images.ImageSet
) -> extractors.Learnt:
  """What a classifier is trained on: the data, or another set."""
  data, settings = config.data, config.eval
  if not settings.features_split:
    return extractors.Learnt(sets.in_any_order(image_set), True)
  like = data
  if data.name == 'folder' and settings.features_data != 'folder':
    # Of TFDS, and not in the folder of images.
    like = dataclasses.replace(data, dir='')
  other = other_labelled(settings, like)
  return extractors.Learnt(other, settings.features_data == data.name)


def open_extractor(config: configs.Config) -> features.Extractor:
  """The network that `eval.features` names, for a game of images.

  A classifier is trained on the data, or on what `eval.features_data` and
  `eval.features_split` name, unless the cache has it.

  Raises:
    ValueError: its weights or the data cannot be read, or have no labels.
  """

  def learn() -> extractors.Learnt:
    image_set, _ = opening.open_split(config.data, config.data.split)
    return _learnt(config, image_set)

  return extractors.make(config.eval, learn)


def _check_stacks(asked: dict[str, metrics.Metric], stack: int) -> None:
  for name, metric in asked.items():
    if metric.single and stack > 1:
      raise ValueError(
        f'eval.metrics: {name} looks at images that were trained on or held '
        f'out, and with data.stack={stack} there are only stacks'
      )


def other_labelled(settings: configs.Eval, like: configs.Data) -> sets.Images:
  """The set that `eval.features_data` and `eval.features_split` name.

  Args:
    settings: name it.
    like: where it is, and the size, channels and background of its images.

  Raises:
    ValueError: it cannot be read.
  """
  data = configs.Data(
    name=settings.features_data,
    dir=like.dir,
    size=like.size,
    channels=like.channels,
    background=like.background,
  )
  try:
    image_set, _ = opening.open_split(
      data, settings.features_split, 'eval.features_split'
    )
  except ValueError as error:
    told = str(error).replace('data.name=', 'eval.features_data=', 1)
    raise ValueError(told) from None
  return sets.in_any_order(image_set)


def resizer(size: int) -> str:
  """How images come to be `size` pixels a side, in words; 0 leaves them."""
  return f'area to {size}x{size}' if size else 'none'


def generator_stamp(config: configs.Config, spec: specs.Spec) -> dict[str, Any]:
  """Which generator was sampled, and how."""
  ema, length = values.uses_ema(config), spec.ema_length
  template = jax.eval_shape(spec.gen.init, jax.random.key(0))
  normalised = 'batch_stats' in template[1]
  statistics = 'standing, of 100 batches' if ema else 'running averages'
  if spec.own_statistics:
    statistics = f'of each {spec.part_samples} samples'
  moved = _langevin(config, spec)
  return {
    'weights': ('ema' if length is None else f'ema of length {length:g}')
    if ema
    else 'live',
    'matmul_precision': config.matmul_precision,
    'batch_norm': statistics if normalised else 'none',
    'labels': _labels(config),
    'truncation': (
      f'{spec.gen.truncation} {config.eval.truncation}'
      if config.eval.truncation is not None
      else 'none'
    ),
    # Where there is none, figures are those of stamps from before there was.
    **({'langevin': moved} if moved else {}),
  }


def _langevin(config: configs.Config, spec: specs.Spec) -> str:
  """How D moved the latents, in words; '' where it did not."""
  drive = build.make_langevin(config, spec)
  if drive is None:
    return ''
  words = f'{drive.steps} steps of {drive.rate:g}'
  if drive.decay < 1:
    words += f', times {drive.decay:g} every {drive.decay_steps}'
  words += f', noise times {drive.noise:g}'
  return words if spec.loss.log_ratio else f'{words}, D no log ratio'


def _labels(config: configs.Config) -> str:
  """How often samples are asked for each class."""
  if config.gen.codes:
    return f'{config.gen.codes} codes, all as often'
  return 'as the data have them' if config.conditional else 'none'


def law_figures(
  config: configs.Config,
  spec: specs.Spec,
  source: sources.Source,
  state: states.GanState,
  key: jax.Array,
) -> metrics.Figures:
  """The figures of a game whose data follow a known law."""
  measure = jax.jit(laws.make_measure(config, spec, source))
  return {name: float(x) for name, x in measure(state, key)[0].items()}


def law_stamp(config: configs.Config, spec: specs.Spec) -> dict[str, Any]:
  """What `law_figures` depend on, besides the state and the key."""
  return {**laws.stamp(config), **generator_stamp(config, spec)}


def record(
  path: pathlib.Path, figures: metrics.Figures, stamp: dict[str, Any]
) -> None:
  """Appends a line to `evaluations.jsonl`, whole or not at all."""
  plain = {n: x if math.isfinite(x) else None for n, x in figures.items()}
  workdirs.append_json(path, {'figures': plain, 'stamp': stamp})
