"""The words everything else speaks."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

# A nested container of arrays: parameters, optimiser state, checkpoints.
PyTree = Any

# The numbers a researcher sweeps, by their dotted config name, each a float32
# scalar array: {'optim.gen.learning_rate': ..., 'penalties.r1.weight': ...}.
Hyper = dict[str, jax.Array]

# What a step reports: a flat dict of scalars.
Logs = dict[str, jax.Array]

# A discriminator closed over its parameters: [B, ...] -> logits [B].
DiscFn = Callable[[jax.Array], jax.Array]


class Batch(NamedTuple):
  """Samples and, where the data have classes, their labels.

  Attributes:
    x: `[B, ...]` float32; images are `[B, H, W, C]` in [-1, 1].
    label: `[B]` int32, or None.
  """

  x: jax.Array
  label: jax.Array | None = None


class Apply(Protocol):
  """A network's forward pass; see `Network`."""

  def __call__(
    self,
    params: PyTree,
    vars: PyTree,
    x: jax.Array,
    *,
    labels: jax.Array | None,
    key: jax.Array,
    train: bool,
  ) -> tuple[jax.Array, PyTree]: ...


class Network(NamedTuple):
  """A network as two pure functions.

  Attributes:
    init: `init(key) -> (params, vars)`; `vars` are the collections that no
      gradient reaches (batch statistics), `{}` if there are none.
    apply: `apply(params, vars, x, *, labels, key, train) -> (y, vars)`. A
      generator maps latents `[B, Z]` to samples `[B, ...]`; a discriminator
      maps samples to logits `[B]`. `key` feeds dropout. `train` chooses batch
      statistics and dropout; otherwise `vars` come back unchanged.
    homogeneous: whether it is made of linear layers, biases (parameters of
      that name) and rectifiers alone, with neither `vars` nor dropout, and
      treats each sample by itself and without its label; see
      `homogeneous.py`.
  """

  init: Callable[[jax.Array], tuple[PyTree, PyTree]]
  apply: Apply
  homogeneous: bool = False


class Perception(NamedTuple):
  """What a fixed classifier sees in images.

  Attributes:
    features: `[N, D]`, the layer before the last.
    logits: `[N, K]`, of its classes.
  """

  features: jax.Array
  logits: jax.Array
