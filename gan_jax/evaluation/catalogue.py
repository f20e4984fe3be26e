"""The metrics of images by name."""

from gan_jax.config import fields as configs, values
from gan_jax.evaluation import (
  cas,
  extractors,
  feature_metrics,
  metric as metrics,
  pixel_metrics,
  pretrained,
  resizers,
)
from gan_jax.metrics import bootstrap

ALIASES = {'fid': 'fd_inception'}

METRICS: dict[str, metrics.Metric] = (
  feature_metrics.METRICS | pixel_metrics.METRICS | cas.METRICS
)


def parse(settings: configs.Eval) -> dict[str, metrics.Metric]:
  """What `eval.metrics` names, without aliases, and each once.

  Raises:
    ValueError: a name is unknown, or is of other features than
      `eval.features`.
  """
  values.choose(
    'eval.features', settings.features, dict.fromkeys(extractors.NAMES, None)
  )
  options = METRICS | {a: METRICS[name] for a, name in ALIASES.items()}
  found = {}
  for name in settings.metrics.split(','):
    metric = values.choose('eval.metrics', name, options)
    if metric.extractor and metric.extractor != settings.features:
      raise ValueError(
        f'eval.metrics: {name} is the distance in the features of '
        f'{metric.extractor}, and eval.features={settings.features!r}; set '
        f'eval.features={metric.extractor}, or ask for fd_{settings.features}'
      )
    found[ALIASES.get(name, name)] = metric
  if settings.resizer:
    values.choose('eval.resizer', settings.resizer, resizers.RESIZERS)
  if settings.features == 'classifier':
    others = ', '.join(pretrained.PRETRAINED)
    if settings.resizer:
      raise ValueError(
        f'eval.resizer={settings.resizer!r}: the classifier takes images as '
        f'they are; {others} take resized ones'
      )
    if settings.weights:
      raise ValueError(
        f'eval.weights={settings.weights}: the classifier is trained here; '
        f'{others} have a file of weights'
      )
  if settings.bootstrap and not any(m.resample for m in found.values()):
    able = (name for name, m in METRICS.items() if m.resample)
    raise ValueError(
      f'eval.bootstrap={settings.bootstrap}: none of '
      f'{settings.metrics} has an interval; {", ".join(able)} have'
    )
  if 0 < settings.bootstrap < bootstrap.LEAST:
    raise ValueError(
      f'eval.bootstrap={settings.bootstrap}: the ends of a 95 % interval need '
      f'{bootstrap.LEAST} resamples at least; 200 are usual'
    )
  if settings.by_class and not any(m.by_class for m in found.values()):
    able = (name for name, m in METRICS.items() if m.by_class)
    raise ValueError(
      f'eval.by_class=True: none of {settings.metrics} is of classes; '
      f'{", ".join(able)} are'
    )
  return found
