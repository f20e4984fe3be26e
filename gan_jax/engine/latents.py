"""Latents and the labels that are asked for, as functions of a key."""

import jax
import numpy as np
from jax.sharding import Mesh

from gan_jax import types
from gan_jax.config import fields as configs, values
from gan_jax.data import source as sources
from gan_jax.engine import names, sharding
from gan_jax.game import sampling, spec as specs


def make_latents(
  config: configs.Config, info: sources.Info, mesh: Mesh | None
) -> tuple[specs.Latents, specs.Latents]:
  """Of training, and of evaluation."""
  law = values.choose('gen.labels', config.gen.labels, names.LABEL_LAWS)
  told = values.asks_for_classes(config)
  shares = np.array(info.class_shares if told else ())
  asked = law(shares) if law and config.conditional else shares
  return (
    _make_latent(config.gen, asked, mesh),
    _make_latent(config.gen, shares, mesh),
  )


def _make_latent(
  config: configs.Gen, shares: np.ndarray, mesh: Mesh | None
) -> specs.Latents:
  """`latent(key, n)`, split over the mesh where that divides n.

  Args:
    config: of the generator.
    shares: how often each class is asked for, `[K]`; `[0]` without classes.
    mesh: of the devices.
  """
  draw = values.choose('gen.latent', config.latent, names.LATENTS)

  def latent(key: jax.Array, n: int) -> types.Latent:
    made = types.Latent(draw(key, (n, config.latent_dim)))
    if shares.size:
      # A stream of its own, so that z is that of the game without classes.
      label_key = jax.random.fold_in(key, 1)
      made = made._replace(label=sampling.draw_labels(label_key, shares, n))
    if mesh is None or n % mesh.size:
      return made
    split: types.Latent = sharding.split_batch(made, mesh)
    return split

  return latent
