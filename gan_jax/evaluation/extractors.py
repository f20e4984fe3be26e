"""The network that `eval.features` names."""

from collections.abc import Callable
from typing import NamedTuple

from gan_jax.config import fields as configs
from gan_jax.evaluation import classifier, features, pretrained, sets

NAMES = ('classifier', *pretrained.PRETRAINED)


class Learnt(NamedTuple):
  """What a classifier would be trained on.

  Attributes:
    images: with labels.
    of_data: whether they are of the data that G is compared with.
  """

  images: sets.Images
  of_data: bool


def make(
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
  most = classifier.most_to_learn(height * width * channels)
  x, label = images.pixels(most)
  assert label is not None
  return features.classifier(x, label, len(images.class_names))
