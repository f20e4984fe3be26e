"""Figures of a generator with the protocol by which they were obtained.

A figure without its protocol is not believed, and rightly: the same generator
has other ones with other real images, features, numbers of samples or weights.
`Evaluator` computes them, for a finished run and within training by the same
code; `stamp` says all that they depend on.
"""

import functools
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.config import fields as configs, values
from gan_jax.data import opening, source as sources
from gan_jax.evaluation import features, laws, scene as scenes
from gan_jax.game import sampling, spec as specs, state as states
from gan_jax.metrics import (
  checks,
  frechet,
)
from gan_jax.storage import workdir as workdirs

EXTRACTORS = ('digits', 'inception')


class SamplesError(ValueError):
  """What G made are no images."""


class Evaluator:
  """Figures of states of one game, by one protocol.

  Attributes:
    names: of the figures.
    warnings: what a reader must know, a line each.
  """

  def __init__(
    self, config: configs.Config, spec: specs.Spec, info: sources.Info
  ):
    """Opens the real images and the network that looks at them.

    Args:
      config: its `eval` is the protocol.
      spec: of the game.
      info: of the data that G is trained on.

    Raises:
      ValueError: the game has no images, a metric is unknown, the data are not
        those that G was trained on, or something that is needed is not there.
    """
    self._config, self._spec, self._info = config, spec, info
    settings = config.eval
    self._metrics = [
      values.choose('eval.metrics', name, scenes.METRICS)
      for name in settings.metrics.split(',')
    ]
    self.names = [name for m in self._metrics for name in m.figures]
    self._check_kind()
    pixels, labels, found = opening.read_images(config.data, config.data.split)
    if info.fingerprint and found != info.fingerprint:
      raise ValueError(
        f'data.dir={config.data.dir!r}: these are not the images that the '
        'generator was trained on'
      )
    self._extractor = self._make_extractor(pixels, labels)
    stack = config.data.stack
    self._train = sources.to_unit_range(pixels[: 0 if stack > 1 else None])
    self._split, self._held_out_prints = settings.split or config.data.split, ''
    if self._split != config.data.split:
      pixels, labels, found = opening.read_images(config.data, self._split)
    self._real_prints = found
    classes = len(info.class_names)
    self._real_pixels, self._real_label = _in_any_order(
      pixels, labels, stack, classes
    )
    self._held_out = None
    if settings.held_out:
      held_out, _, self._held_out_prints = opening.read_images(
        config.data, settings.held_out
      )
      self._held_out = sources.to_unit_range(held_out)
    # Shapes of what is seen in one image, [1, D] and [1, ..., K].
    self._sees: types.Perception = jax.eval_shape(
      self._extractor.apply,
      self._extractor.params,
      jax.ShapeDtypeStruct((1, *info.shape), jnp.float32),
    )
    self._check_needs()
    self._sampler = sampling.Sampler(
      spec, settings.num_samples, ema=values.uses_ema(config)
    )
    self.warnings = self._shortages()

  @functools.cached_property
  def _real(self) -> scenes.Images:
    """The real images; looked at first where they are first wanted."""
    x = sources.to_unit_range(self._real_pixels)
    return self._seen(x, self._real_label)

  def _check_kind(self) -> None:
    """Raises ValueError where no data of this kind have what is asked for."""
    stack = self._config.data.stack
    if self._info.kind != 'images':
      raise ValueError(
        f'eval.metrics={self._config.eval.metrics!r}: are of images; a law has '
        'its own figures anyway'
      )
    for name, metric in scenes.METRICS.items():
      if metric.single and metric in self._metrics and stack > 1:
        raise ValueError(
          f'eval.metrics: {name} looks at images that were trained on or held '
          f'out, and with data.stack={stack} there are only stacks'
        )

  def _check_needs(self) -> None:
    """Raises ValueError where a metric lacks what it looks at."""
    settings = self._config.eval
    held_out = 0 if self._held_out is None else len(self._held_out)
    if settings.held_out and settings.held_out == self._config.data.split:
      raise ValueError(
        f'eval.held_out={settings.held_out!r}: the generator is trained on it'
      )
    knows = settings.features == 'digits' and (
      not settings.features_split
      or settings.features_data == self._config.data.name
    )
    for name, metric in scenes.METRICS.items():
      if metric not in self._metrics:
        continue
      if settings.num_samples < metric.generated:
        raise ValueError(
          f'eval.num_samples={settings.num_samples}: {name} needs at least '
          f'{metric.generated}'
        )
      if len(self._real_pixels) < metric.real:
        raise ValueError(
          f'eval.metrics: {name} needs at least {metric.real} real images'
        )
      if held_out < metric.held_out:
        raise ValueError(
          f'eval.held_out={settings.held_out!r}: {name} needs at least '
          f'{metric.held_out} images that the generator was not trained on, '
          f'such as test[80%:]; there are {held_out}'
        )
      if metric.one_class and self._sees.logits.ndim != 2:
        raise ValueError(f'eval.metrics: {name} needs images of one class each')
      if metric.labels and not (knows and self._real_label is not None):
        raise ValueError(
          f'eval.metrics: {name} needs a network that knows the classes of '
          "these data: eval.features='digits', trained on labels of theirs"
        )

  def _make_extractor(
    self, pixels: np.ndarray, labels: np.ndarray | None
  ) -> features.Extractor:
    settings = self._config.eval
    make = values.choose(
      'eval.features',
      settings.features,
      {name: getattr(features, name) for name in EXTRACTORS},
    )
    if settings.features == 'inception':
      extractor: features.Extractor = make(settings.weights)
      return extractor
    if settings.features_split:
      directory = self._config.data.dir
      data = configs.Data(name=settings.features_data, dir=directory)
      pixels, labels, _ = opening.read_images(data, settings.features_split)
    if labels is None or pixels.shape[-1] != 1:
      raise ValueError(
        "eval.features='digits': its classifier is trained on grey images with "
        'labels; name some by eval.features_data and eval.features_split'
      )
    extractor = make(sources.to_unit_range(pixels), labels)
    return extractor

  def _seen(self, x: np.ndarray, label: np.ndarray | None) -> scenes.Images:
    """Images with what the network sees in them."""
    seen = list(features.perceive(self._extractor, x))
    whole: list[Any] = [
      np.concatenate(parts) for parts in zip(*seen, strict=True)
    ]
    return scenes.Images(x, label, types.Perception(*whole))

  def _shortages(self) -> list[str]:
    """What makes a Frechet distance unreliable."""
    if scenes.METRICS['fid'] not in self._metrics:
      return []
    num = min(len(self._real_pixels), self._config.eval.num_samples)
    line = frechet.shortage(num, self._sees.features.shape[-1])
    return [f'fid: {line}'] if line else []

  def figures(self, state: states.GanState, key: jax.Array) -> scenes.Figures:
    """Of one state; the same state and key give the same digits.

    Raises:
      SamplesError: the samples are no images in [-1, 1].
      ValueError: there are too few of them.
    """
    blocks = [batch.x for batch in self._sampler.samples(state, key)]
    x = np.concatenate(blocks)
    try:
      checks.check_images(x, 'samples')
    except ValueError as error:
      raise SamplesError(str(error)) from None
    scene = scenes.Scene(
      real=self._real,
      train=self._train,
      held_out=self._held_out,
      fake=self._seen(x, None),
      num_classes=self._sees.logits.shape[-1],
      key=jax.random.fold_in(key, 1),
    )
    found: scenes.Figures = {}
    for metric in self._metrics:
      found |= metric.value(scene)
    return found

  def figures_or_nan(
    self, state: states.GanState, key: jax.Array
  ) -> scenes.Figures:
    """The same in training, where a generator that fails has figures of NaN."""
    try:
      return self.figures(state, key)
    except SamplesError:
      return dict.fromkeys(self.names, math.nan)

  def stamp(self) -> dict[str, Any]:
    """All that the figures depend on, besides the state and the key."""
    config = self._config
    size = config.data.size
    digits = config.eval.features == 'digits'
    own = config.eval.features_split
    return {
      'data': config.data.name,
      'stack': config.data.stack,
      'train_split': config.data.split,
      'split': self._split,
      'split_fingerprint': self._real_prints,
      'num_real': len(self._real_pixels),
      'held_out': config.eval.held_out or None,
      'held_out_fingerprint': self._held_out_prints or None,
      'num_held_out': 0 if self._held_out is None else len(self._held_out),
      'num_generated': config.eval.num_samples,
      'resizer': f'area to {size}x{size}' if size else 'none',
      'features': self._extractor.name,
      'features_sha256': self._extractor.sha256,
      'features_data': (
        (config.eval.features_data if own else config.data.name)
        if digits
        else None
      ),
      'features_split': (own or config.data.split) if digits else None,
      **generator_stamp(config, self._spec),
    }


def generator_stamp(config: configs.Config, spec: specs.Spec) -> dict[str, Any]:
  """Which generator was sampled, and how."""
  ema = values.uses_ema(config)
  template = jax.eval_shape(spec.gen.init, jax.random.key(0))
  normalised = bool(jax.tree.leaves(template[1]))
  statistics = 'standing, of 100 batches' if ema else 'running averages'
  return {
    'weights': 'ema' if ema else 'live',
    'batch_norm': statistics if normalised else 'none',
  }


def _in_any_order(
  pixels: np.ndarray, labels: np.ndarray | None, stack: int, classes: int
) -> tuple[np.ndarray, np.ndarray | None]:
  """As many samples, uint8, as images: themselves, or stacks of them.

  Files come class by class: the first so many must be of all.
  """
  rng = np.random.default_rng(0)
  orders = [rng.permutation(len(pixels)) for _ in range(stack)]
  order = np.stack(orders, axis=1).reshape(-1)
  x, label = pixels[order], None if labels is None else labels[order]
  return sources.stacked(x, label, stack, classes) if stack > 1 else (x, label)


def law_figures(
  config: configs.Config,
  spec: specs.Spec,
  source: sources.Source,
  state: states.GanState,
  key: jax.Array,
) -> scenes.Figures:
  """The figures of a game whose data follow a known law."""
  measure = jax.jit(laws.make_measure(config, spec, source))
  return {name: float(x) for name, x in measure(state, key)[0].items()}


def record(
  path: pathlib.Path, figures: scenes.Figures, stamp: dict[str, Any]
) -> None:
  """Appends a line to `evaluations.jsonl`, whole or not at all."""
  plain = {n: x if math.isfinite(x) else None for n, x in figures.items()}
  workdirs.append_json(path, {'figures': plain, 'stamp': stamp})
