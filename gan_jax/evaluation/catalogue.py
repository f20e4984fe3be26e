"""The metrics of images by name."""

from gan_jax.evaluation import feature_metrics, pixel_metrics, scene as scenes

ALIASES = {'fid': 'fd_inception'}

METRICS: dict[str, scenes.Metric] = (
  feature_metrics.METRICS | pixel_metrics.METRICS
)
