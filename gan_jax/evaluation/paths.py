"""Figures of two sets of images on the disk."""

import functools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.config import fields as configs
from gan_jax.data import images
from gan_jax.evaluation import (
  catalogue,
  comparison,
  evaluator,
  extractors,
  metric as metrics,
  sets,
)


class Found(NamedTuple):
  """Figures, and all that they depend on besides the key."""

  figures: metrics.Figures
  stamp: dict[str, Any]


def _open(
  path: pathlib.Path, size: int, channels: int, scratch: pathlib.Path
) -> sets.Images:
  scratch.mkdir()
  image_set = sets.open_path(path, size, channels, scratch)
  prints = images.kept_facts(image_set).fingerprint
  return sets.in_any_order(image_set, prints)


class Opened(NamedTuple):
  """Sets of images of one shape.

  Attributes:
    sets: by name.
    stamp: where each is and its fingerprint, the shape of all and how images of
      folders came by it.
  """

  sets: Mapping[str, sets.Images]
  stamp: dict[str, Any]


def open_sets(
  paths: Mapping[str, pathlib.Path],
  scratch: pathlib.Path,
  *,
  size: int = 0,
  channels: int = 0,
) -> Opened:
  """Sets of images on the disk, which can be compared.

  Args:
    paths: by name, of which one is 'real': each as in `sets.open_path`.
    scratch: an empty folder for what must be unpacked.
    size: of folders, as in `sets.open_path`.
    channels: the same.

  Raises:
    ValueError: a set cannot be read, or their images differ in shape, or all
      are npz files, which are taken as they are.
  """
  resized = _resized(paths, size=size, channels=channels)
  found = {
    name: _open(path, size, channels, scratch / name)
    for name, path in paths.items()
  }
  _check_alike(found, paths)
  stamp: dict[str, Any] = {}
  for name, each in found.items():
    stamp[name] = str(paths[name])
    stamp[f'{name}_fingerprint'] = each.fingerprint
    stamp[f'num_{name}'] = each.total
  stamp['shape'] = _in_words(found['real'])
  stamp['resizer'] = _resizer(size, found, resized)
  return Opened(found, stamp)


def count(generated: sets.Images, num: int | None) -> int:
  """How many generated images are taken: `num`, or all.

  Raises:
    ValueError: there are not so many.
  """
  wanted = generated.total if num is None else num
  if wanted > generated.total:
    raise ValueError(f'--num={num}: there are {generated.total} images')
  return wanted


def compare(
  paths: Mapping[str, pathlib.Path],
  settings: configs.Eval,
  scratch: pathlib.Path,
  key: jax.Array,
  *,
  size: int = 0,
  channels: int = 0,
  num: int | None = None,
  data_dir: str = '',
  mirrored: bool = False,
) -> Found:
  """Figures of generated images against real ones.

  Args:
    paths: 'generated', 'real', which count as those that G was trained on, and
      perhaps 'held_out', which it was not: each as in `sets.open_path`.
    settings: of the metrics; a classifier is trained on the real images'
      labels, or on `features_data`.
    scratch: an empty folder for what must be unpacked.
    key: of what is random in metrics.
    size: of folders, as in `sets.open_path`.
    channels: the same.
    num: how many generated images to take; None is all.
    data_dir: of `features_data`.
    mirrored: whether G was trained on the real images' mirror images too.

  Raises:
    ValueError: a set cannot be read, their images differ in shape, or
      something that a metric needs is not there.
  """
  asked = catalogue.parse(settings)
  found, opened = open_sets(paths, scratch, size=size, channels=channels)
  generated = found['generated']
  taken = count(generated, num)
  origins = {name: f'--{name}={path}' for name, path in paths.items()}
  origins = {'held_out': '--held_out', 'train': origins['real']} | origins
  _check_held_out(found, origins)
  asked_for = None
  if any(m.conditional or (m.labels and m.one_class) for m in asked.values()):
    asked_for = _numbers(generated, found['real'], origins)

  @functools.cache
  def learn() -> extractors.Learnt:
    if settings.features_split:
      return extractors.Learnt(
        evaluator.other_labelled(
          settings, configs.Data(dir=data_dir, size=size, channels=channels)
        ),
        of_data=False,
      )
    return extractors.Learnt(found['real'], of_data=True)

  compared = comparison.Comparison(
    settings,
    comparison.Generated(taken, generated.shape, asked_for is not None),
    comparison.Sets(
      found['real'],
      found['real'],
      found.get('held_out'),
      origins,
      mirrored,
    ),
    learn,
  )

  def blocks() -> Iterator[sets.Block]:
    for x, label in generated.blocks(taken):
      named = None if asked_for is None or label is None else asked_for[label]
      yield x, named

  figures = compared.figures(blocks(), key)
  stamp = opened | {'num_generated': taken, **compared.stamp()}
  return Found(figures, stamp | {'warnings': compared.warnings})


def _resized(paths: Mapping[str, pathlib.Path], **form: int) -> list[str]:
  """The names of the sets that take another form, which npz files do not.

  Raises:
    ValueError: one is asked for, and there is none of them.
  """
  resized = [n for n, path in paths.items() if not sets.holds_arrays(path)]
  for name, value in form.items():
    if value and not resized:
      raise ValueError(
        f'--{name}={value}: is of folders and zip files of images; npz files '
        'are taken as they are'
      )
  return resized


def _check_held_out(
  found: Mapping[str, sets.Images], origins: Mapping[str, str]
) -> None:
  held_out, real = found.get('held_out'), found['real']
  if held_out is not None and held_out.fingerprint == real.fingerprint:
    raise ValueError(
      f'{origins["held_out"]}: has the very images of {origins["real"]}, which '
      'count as those that G was trained on'
    )


def _resizer(size: int, found: Iterable[str], resized: Sequence[str]) -> str:
  """In words, and of which sets where it is not of all."""
  words = evaluator.resizer(size)
  apart = size and set(found) != set(resized)
  return f'{words}, of {" and ".join(resized)}' if apart else words


def _numbers(
  generated: sets.Images, real: sets.Images, origins: Mapping[str, str]
) -> np.ndarray | None:
  """`[K]`, the real images' number of each of the generated ones' classes.

  They have the same name; or, where the real ones' have words and the generated
  ones' are numbers, they are those themselves, from 0. None where the generated
  images have no labels.

  Raises:
    ValueError: the real ones have other classes.
  """
  theirs = real.class_names
  if not any(name.isdecimal() for name in theirs):
    theirs = (*theirs, *map(str, range(len(theirs))))
  places = {name: i % len(real.class_names) for i, name in enumerate(theirs)}
  for name in generated.class_names:
    if name not in places:
      there = ', '.join(real.class_names) or 'none'
      raise ValueError(
        f'{origins["generated"]}: its class {name!r} is none of those of '
        f'{origins["real"]}: {there}'
      )
  names = generated.class_names
  return np.array([places[name] for name in names]) if names else None


def _check_alike(
  found: Mapping[str, sets.Images], paths: Mapping[str, pathlib.Path]
) -> None:
  real = found['real']
  for name, each in found.items():
    if each.shape != real.shape:
      raise ValueError(
        f'--{name}={paths[name]}: images of {_in_words(each)}, and real ones '
        f'are of {_in_words(real)}; --size and --channels make those of '
        'folders alike'
      )


def _in_words(each: sets.Images) -> str:
  """The shape of each: '32x32x3'."""
  return 'x'.join(map(str, each.shape))
