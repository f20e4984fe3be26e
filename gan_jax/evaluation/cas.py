"""What a classifier learns of generated images: whether it knows real ones."""

import functools
from typing import NamedTuple

import numpy as np

from gan_jax.data import source as sources
from gan_jax.evaluation import classifier, metric as metrics
from gan_jax.metrics import kept

_CONFIG = classifier.Config()


class Labelled(NamedTuple):
  """Images of a set and their classes.

  Attributes:
    x: `[n, H, W, C]` uint8, block by block.
    label: `[n]`.
    score: of a classifier that has learned of them, once there is one.
  """

  x: kept.Kept
  label: kept.Kept
  score: list[float]


def _init(facts: metrics.Facts) -> Labelled:
  del facts
  return Labelled(kept.init(), kept.init(), [])


def _update(state: Labelled, block: metrics.Block) -> Labelled:
  assert block.label is not None
  kept.update(state.x, sources.to_bytes(block.x))
  kept.update(state.label, np.asarray(block.label, np.int32))
  return state


def _counts(facts: metrics.Facts) -> metrics.Counts:
  """As many generated as training images, and all held-out ones."""
  most = classifier.most_to_learn(int(np.prod(facts.shape)))
  learnt = min(most, facts.num['generated'], facts.num['train'])
  return {
    'generated': learnt,
    'train': learnt,
    'held_out': min(most, facts.num['held_out']),
  }


def _score(learnt: Labelled, tested: Labelled, classes: int) -> float:
  """The share of the tested that a classifier of the learnt names rightly."""
  x, label = kept.result(learnt.x), kept.result(learnt.label)
  params = classifier.train(x, label, classes=classes, config=_CONFIG)
  return classifier.accuracy(
    _CONFIG.network(classes),
    params,
    kept.result(tested.x),
    kept.result(tested.label),
  )


def _cas(inputs: metrics.Inputs) -> metrics.Figures:
  generated, train, held_out = (
    inputs.states[name] for name in ('generated', 'train', 'held_out')
  )
  score = functools.partial(
    _score, tested=held_out, classes=inputs.facts.classes
  )
  # Of the same images at each look.
  if not train.score:
    train.score.append(score(train))
  return {'cas': score(generated), 'cas_of_data': train.score[0]}


def _shortage(facts: metrics.Facts) -> str | None:
  counts = _counts(facts)
  if counts['generated'] < facts.num['train']:
    return (
      f'classifiers learn of {counts["generated"]:,} images, and G did of '
      f'{facts.num["train"]:,}'
    )
  return None


# The classification accuracy score (Ravuri & Vinyals 2019), of a small
# classifier, beside that of a classifier of as many training images.
METRICS: dict[str, metrics.Metric] = {
  'cas': metrics.Metric(
    ('cas', 'cas_of_data'),
    counts=_counts,
    init=_init,
    update=_update,
    result=_cas,
    shortage=_shortage,
    settings=lambda facts: {
      'classifier': f'{_CONFIG.epochs} epochs, width {_CONFIG.width}',
    },
    least=lambda facts: {'held_out': 2, 'generated': 2},
    uses_features=False,
    single=True,
    conditional=True,
    labelled=('train', 'held_out'),
    reads=('held_out',),
  ),
}
