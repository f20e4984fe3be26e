"""A game in evaluation mode: samples of its generator, and D's logits."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import types
from gan_jax.game import (
  langevin,
  objectives,
  posthoc,
  spec as specs,
  state as states,
)
from gan_jax.ops import blocks

# Statistics of the batch, and nothing else, move on.
_COLLECT = types.Mode(
  batch_stats=True, dropout=False, update_vars=True, collect=True
)
# Of the latents that they are collected with: a checkpoint has one generator,
# whatever is drawn of it.
_COLLECT_SEED = 0
# They are used, and do not.
_OWN = types.Mode(batch_stats=True, dropout=False, update_vars=False)


def _standing_vars(
  spec: specs.Spec,
  gen_params: types.PyTree,
  gen_vars: types.PyTree,
  passes: int = 100,
) -> types.PyTree:
  """G's `vars` with batch statistics for parameters other than the live ones.

  The moving average of the parameters has no statistics of its own: they are
  the means of those of `passes` batches of latents (the "standing statistics"
  of Brock et al. 2019, section 3). Other collections stay as they are.
  """
  if 'batch_stats' not in gen_vars:
    return gen_vars

  def forward(total: types.PyTree, key: jax.Array) -> tuple[types.PyTree, None]:
    latent_key, net_key = jax.random.split(key)
    latent = spec.latent(latent_key, spec.part_samples)
    _, vars = spec.gen.apply(
      gen_params, gen_vars, latent, key=net_key, mode=_COLLECT
    )
    return optax.tree.add(total, vars['batch_stats']), None

  keys = jax.random.split(jax.random.key(_COLLECT_SEED), passes)
  none = optax.tree.zeros_like(gen_vars['batch_stats'])
  total, _ = jax.lax.scan(forward, none, keys)
  return {**gen_vars, 'batch_stats': optax.tree.scale(1 / passes, total)}


def draw_labels(key: jax.Array, shares: np.ndarray, n: int) -> jax.Array:
  """n classes as often as `shares` `[K]` says, `[n]` int32."""
  ends = jnp.asarray(np.cumsum(shares)[:-1], jnp.float32)
  place = jax.random.uniform(key, (n,))
  return jnp.searchsorted(ends, place, side='right').astype(jnp.int32)


def eval_generator(
  spec: specs.Spec, state: states.GanState, *, ema: bool
) -> tuple[types.PyTree, types.PyTree]:
  """`(params, vars)` of the averaged generator, or of the live one.

  A function of the state alone.
  """
  if not ema:
    return state.gen.params, state.gen.vars
  average = state.gen_ema
  if spec.ema_length is not None:
    average = state.memory[posthoc.MEMORY][posthoc.name(spec.ema_length)]
  return average, _standing_vars(spec, average, state.gen.vars)


def sample(
  spec: specs.Spec,
  gen_params: types.PyTree,
  gen_vars: types.PyTree,
  latent: types.Latent,
  key: jax.Array | None = None,
  psi: float | None = None,
) -> types.Batch:
  """G in evaluation mode: N latents to `[N, ...]` in the units of the data.

  Args:
    spec: the game.
    gen_params: G's.
    gen_vars: G's.
    latent: N of them.
    key: of the noise within a network that has some, fresh for each sample;
      None gives the same in each call.
    psi: moves what G maps them to towards its average, w' = w_avg + psi (w -
      w_avg) (Karras et al. 2019, appendix B); None does not.
  """
  noise = jax.random.key(0) if key is None else key
  if spec.own_statistics:
    x = _by_own_statistics(spec, gen_params, gen_vars, latent, noise)
    return types.Batch(x, latent.label)

  def make(block: tuple[types.Latent, jax.Array]) -> jax.Array:
    latent, index = block
    # Blocks start at different samples.
    block_key = jax.random.fold_in(noise, index[0])
    if psi is None:
      return generate(spec, gen_params, gen_vars, latent, block_key)
    w = intermediate(spec, gen_params, gen_vars, latent, psi)
    return generate(spec, gen_params, gen_vars, w, block_key, 'synthesise')

  x = blocks.apply(make, (latent, jnp.arange(len(latent.z))))
  return types.Batch(x, latent.label)


def _by_own_statistics(
  spec: specs.Spec,
  gen_params: types.PyTree,
  gen_vars: types.PyTree,
  latent: types.Latent,
  key: jax.Array,
) -> jax.Array:
  """Batches as in training, the last one filled up with other latents."""
  num, size = len(latent.z), spec.part_samples
  fill_key, noise = jax.random.split(key)
  if num % size:
    fill = spec.eval_latent(fill_key, size - num % size)
    latent = jax.tree.map(lambda *x: jnp.concatenate(x), latent, fill)
  batches = jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), latent)

  def make(block: tuple[types.Latent, jax.Array]) -> jax.Array:
    latents, index = block
    x, _ = spec.gen.apply(
      gen_params,
      gen_vars,
      latents,
      key=jax.random.fold_in(noise, index),
      mode=_OWN,
    )
    return x

  x = jax.lax.map(make, (batches, jnp.arange(len(batches.z))))
  return spec.to_data(x.reshape(-1, *x.shape[2:])[:num])


def generate(
  spec: specs.Spec,
  gen_params: types.PyTree,
  gen_vars: types.PyTree,
  input: Any,
  key: jax.Array,
  method: str = '',
) -> jax.Array:
  """All of `input` at once, `[N, ...]` in the units of the data.

  Args:
    spec: the game.
    gen_params: G's.
    gen_vars: G's.
    input: a `Latent`, or what the method takes.
    key: of the noise within a network that has some.
    method: a name in `spec.gen.methods`; '' is the usual one.
  """
  apply = spec.gen.methods[method] if method else spec.gen.apply
  x, _ = apply(gen_params, gen_vars, input, key=key, mode=types.EVAL)
  return spec.to_data(x)


def intermediate(
  spec: specs.Spec,
  gen_params: types.PyTree,
  gen_vars: types.PyTree,
  latent: types.Latent,
  psi: jax.Array | float | None = None,
) -> jax.Array:
  """w of a network that has it, `[N, layers, W]`; psi as in `sample`."""
  w, _ = spec.gen.methods['map'](
    gen_params, gen_vars, latent, key=jax.random.key(0), mode=types.EVAL
  )
  if psi is None:
    return w
  average = gen_vars['averages']['w'][None, None]
  return average + psi * (w - average)


def draw_latents(
  spec: specs.Spec, key: jax.Array, n: int, truncation: float | None
) -> types.Latent:
  """n latents for evaluation, bounded where z is what is truncated."""
  latent = spec.eval_latent(key, n)
  if truncation is None or spec.gen.truncation == 'w':
    return latent
  return truncated(latent, truncation, key)


def driven(
  spec: specs.Spec,
  gen_params: types.PyTree,
  gen_vars: types.PyTree,
  disc: states.NetState,
  latent: types.Latent,
  settings: langevin.Settings,
  key: jax.Array,
  noise: jax.Array | None = None,
) -> types.Latent:
  """Latents moved to where D takes G's samples for real (langevin.py).

  D sees samples as in training, not clipped, and in a game of classes with the
  labels, which stay. Gradients are of z alone.

  Args:
    spec: the game, in which D judges each sample by itself.
    gen_params: G's.
    gen_vars: G's.
    disc: D's.
    latent: N of them.
    settings: of the chains.
    key: of the chains; each draws by its place in `latent`.
    noise: of the noise within G, as the `key` of `sample`: the chains and the
      samples made of them then have the same.
  """
  noise = jax.random.key(0) if noise is None else noise

  def move(block: tuple[types.Latent, jax.Array]) -> jax.Array:
    latent, index = block
    block_key = jax.random.fold_in(noise, index[0])  # As in `sample`.
    label = latent.label if spec.tells_disc else None

    def logit(z: jax.Array) -> jax.Array:
      x, _ = spec.gen.apply(
        gen_params,
        gen_vars,
        latent._replace(z=z),
        key=block_key,
        mode=types.EVAL,
      )
      return _logits(spec, disc, types.Batch(x, label))

    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(index)
    return langevin.move(logit, latent.z, keys, settings)

  z = blocks.apply(move, (latent, jnp.arange(len(latent.z))))
  return latent._replace(z=z)


class Sampler:
  """Draws blocks of samples, compiled once for all states of a game."""

  def __init__(
    self,
    spec: specs.Spec,
    num: int,
    *,
    ema: bool,
    truncation: float | None = None,
    labels: np.ndarray | None = None,
    drive: langevin.Settings | None = None,
  ):
    """Compiles nothing yet.

    Args:
      spec: the game.
      num: samples to draw of each state.
      ema: by the averaged generator.
      truncation: of what `spec.gen.truncation` says: the bound of each |z|, or
        psi of w; None leaves both whole.
      labels: `[num]`, the classes to ask for; None asks as often as the data
        have them.
      drive: how D moves latents before samples are made; None leaves them.
    """
    self._num, block = num, min(num, 1000)
    if spec.own_statistics:
      # Whole batches.
      block = -(-block // spec.part_samples) * spec.part_samples
    of_w = spec.gen.truncation == 'w'
    self._labels, self._drive = labels, drive

    def draw(
      generator: tuple[types.PyTree, types.PyTree],
      disc: types.PyTree,
      key: jax.Array,
      index: jax.Array,
      asked: jax.Array | None,
    ) -> types.Batch:
      block_key = jax.random.fold_in(key, index)
      latent = draw_latents(spec, block_key, block, truncation)
      if asked is not None:
        latent = latent._replace(label=asked)
      # Labels are of 1.
      noise = jax.random.fold_in(block_key, 2)
      if drive is not None:
        chain_key = jax.random.fold_in(block_key, 3)
        latent = driven(spec, *generator, disc, latent, drive, chain_key, noise)
      psi = truncation if of_w else None
      return sample(spec, *generator, latent, noise, psi)

    self._generator = jax.jit(functools.partial(eval_generator, spec, ema=ema))
    self._block, self._draw = block, jax.jit(draw)

  def samples(
    self, state: states.GanState, key: jax.Array
  ) -> Iterator[types.Batch]:
    """`num` samples, a function of (state, key): `[n, ...]` after `[n, ...]`.

    They are numpy arrays in the units of the data; images in [-1, 1].
    """
    # The first was of the generator, once.
    _, latent_key = jax.random.split(key)
    generator = self._generator(state)
    # What is not read would still be sent.
    disc = None if self._drive is None else state.disc
    for start in range(0, self._num, self._block):
      index = jnp.int32(start // self._block)
      asked = self._asked(start)
      batch = self._draw(generator, disc, latent_key, index, asked)
      left = self._num - start
      yield jax.tree.map(lambda x, left=left: np.asarray(x)[:left], batch)

  def _asked(self, start: int) -> np.ndarray | None:
    """The classes of a block, of which the last may be short."""
    if self._labels is None:
      return None
    labels = self._labels[start : start + self._block]
    return np.resize(labels, self._block).astype(np.int32)


def truncated(
  latent: types.Latent, bound: float | jax.Array, key: jax.Array
) -> types.Latent:
  """Normal latents drawn again until each |z| is below a bound.

  The truncation trick of Brock et al. 2019, section 3.1.
  """
  z = jax.random.truncated_normal(key, -bound, bound, latent.z.shape)
  return latent._replace(z=z)


def judge(
  spec: specs.Spec, disc: states.NetState, batch: types.Batch
) -> jax.Array:
  """D in evaluation mode: `[m * N, ...]` in units of the data to `[N]`."""

  inputs = batch._replace(x=spec.from_data(batch.x))
  return blocks.apply(
    functools.partial(_logits, spec, disc),
    objectives.pack(inputs, spec.packing),
  )


def _logits(
  spec: specs.Spec, disc: states.NetState, packed: types.Batch
) -> jax.Array:
  """D's, of all at once, in the networks' units: `[N]`."""
  logits, _ = spec.disc.apply(
    disc.params, disc.vars, packed, key=jax.random.key(0), mode=types.EVAL
  )
  return logits
