"""The words everything else speaks."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax

# A nested container of arrays: parameters, optimiser state, checkpoints.
PyTree = Any

# The numbers a researcher sweeps, by their dotted config name, each a float32
# scalar array: {'optim.gen.learning_rate': ..., 'penalties.r1.weight': ...}.
Hyper = dict[str, jax.Array]

# What a step reports: a flat dict of scalars.
Logs = dict[str, jax.Array]

# A discriminator closed over its parameters: a `Batch` to logits `[B]`.
DiscFn = Callable[['Batch'], jax.Array]


class Pair(NamedTuple):
  """One thing of each player: parameters, gradients, optimisers, ..."""

  gen: Any
  disc: Any


class Latent(NamedTuple):
  """What a generator makes samples of.

  Attributes:
    z: `[B, Z]` float32.
    label: `[B]` int32, the class asked for; None in a game without classes.
      A walk from class to class has shares of them, `[B, 1, K]` float32.
  """

  z: jax.Array
  label: jax.Array | None = None


class Batch(NamedTuple):
  """Samples and, in a game of classes, their labels.

  Attributes:
    x: `[B, ...]` float32; images are `[B, H, W, C]` in [-1, 1].
    label: `[B]` int32, or None; or shares, as of a `Latent`.
  """

  x: jax.Array
  label: jax.Array | None = None


class Judged(NamedTuple):
  """What a discriminator makes of samples.

  Attributes:
    logits: `[B]`.
    heads: what else it says of them, `[B, ...]` by name; see
      `networks/conditional.py`.
  """

  logits: jax.Array
  heads: Mapping[str, jax.Array]


class Mode(NamedTuple):
  """How a network computes.

  Attributes:
    batch_stats: normalise by the statistics of the batch, and not by the
      running averages.
    dropout: drop units.
    update_vars: hand on new `vars`; otherwise they come back as they were.
    collect: the new batch statistics are those of the batch alone, and not a
      running average.
  """

  batch_stats: bool
  dropout: bool
  update_vars: bool
  collect: bool = False


# A player in its own update; the other player in that update; after training.
TRAIN = Mode(batch_stats=True, dropout=True, update_vars=True)
OPPONENT = Mode(batch_stats=True, dropout=True, update_vars=False)
EVAL = Mode(batch_stats=False, dropout=False, update_vars=False)


class Apply(Protocol):
  """A network's forward pass; see `Network`."""

  def __call__(
    self,
    params: PyTree,
    vars: PyTree,
    input: Any,
    *,
    key: jax.Array,
    mode: Mode,
  ) -> tuple[Any, PyTree]: ...


class Network(NamedTuple):
  """A network as pure functions.

  Attributes:
    init: `init(key) -> (params, vars)`; `vars` are the collections that no
      gradient reaches, by name: `batch_stats` (running averages), `spectral`
      (the vectors of power iterations), `averages`, `constants` (drawn once,
      and never moved); `{}` if there are none.
    apply: `apply(params, vars, input, *, key, mode) -> (y, vars)`. A generator
      maps a `Latent` to samples `[B, ...]`; a discriminator maps a `Batch` to
      logits `[B]`. `key` feeds dropout and noise.
    advance: `advance(params, vars) -> vars`, at the start of each update of
      its own player: one power iteration of spectral normalisation.
    project: `project(params) -> params`, after each update of its own player:
      forced weight normalisation; None leaves them where the optimiser does.
    methods: others that are called as `apply` is, by name: 'judge', a `Batch`
      to `Judged`, of a discriminator with heads; 'map', a `Latent` to
      intermediate latents, and 'synthesise', from those to samples;
      'synthesise_moved', from those and a transform of the image, too.
    homogeneous: whether it is made of linear layers, biases (parameters of
      that name) and rectifiers alone, with neither `vars` nor dropout, and
      treats each sample by itself; an inner product with its class may end
      it; see `ops/homogeneous.py`.
    truncation: what of a generator can be truncated: 'latent', 'w' (what
      'map' gives, towards `vars['averages']['w']`), or ''.
    entries: paths in a generator's `params` of the kernels `[K, outputs]` that
      act on its input first: of each layer's w in turn, where there is 'map',
      or the one of z, whose first numbers are those of its first rows. `()`
      where no such step is affine in the latent alone.
  """

  init: Callable[[jax.Array], tuple[PyTree, PyTree]]
  apply: Apply
  advance: Callable[[PyTree, PyTree], PyTree] = lambda params, vars: vars
  project: Callable[[PyTree], PyTree] | None = None
  methods: Mapping[str, Apply] = {}
  homogeneous: bool = False
  truncation: str = ''
  entries: tuple[tuple[str, ...], ...] = ()


class Features(NamedTuple):
  """What a fixed network makes of images.

  Attributes:
    features: `[N, D]`, the layer before the last.
    logits: `[N, K]`, of its classes.
  """

  features: jax.Array
  logits: jax.Array
