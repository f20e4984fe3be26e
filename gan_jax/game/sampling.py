"""A game in evaluation mode: samples of its generator, and D's logits."""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.game import objectives, spec as specs, state as states
from gan_jax.ops import blocks

# Statistics of the batch, and nothing else, move on.
_COLLECT = types.Mode(batch_stats=True, dropout=False, update_vars=True)


def _standing_vars(
  spec: specs.Spec,
  gen_params: types.PyTree,
  gen_vars: types.PyTree,
  key: jax.Array,
  passes: int = 100,
) -> types.PyTree:
  """G's `vars` with batch statistics for parameters other than the live ones.

  The moving average of the parameters has no statistics of its own: they are
  collected over `passes` batches of latents (the "standing statistics" of
  Brock et al. 2019, section 3). Other collections stay as they are.
  """
  if 'batch_stats' not in gen_vars:
    return gen_vars

  def forward(stats: types.PyTree, key: jax.Array) -> tuple[types.PyTree, None]:
    latent_key, net_key = jax.random.split(key)
    latent = spec.latent(latent_key, spec.batch_size)
    vars = {**gen_vars, 'batch_stats': stats}
    _, vars = spec.gen.apply(
      gen_params, vars, latent, key=net_key, mode=_COLLECT
    )
    return vars['batch_stats'], None

  keys = jax.random.split(key, passes)
  stats, _ = jax.lax.scan(forward, gen_vars['batch_stats'], keys)
  return {**gen_vars, 'batch_stats': stats}


def draw_labels(key: jax.Array, shares: np.ndarray, n: int) -> jax.Array:
  """n classes as often as `shares` `[K]` says, `[n]` int32."""
  ends = jnp.asarray(np.cumsum(shares)[:-1], jnp.float32)
  place = jax.random.uniform(key, (n,))
  return jnp.searchsorted(ends, place, side='right').astype(jnp.int32)


def eval_generator(
  spec: specs.Spec, state: states.GanState, key: jax.Array, *, ema: bool
) -> tuple[types.PyTree, types.PyTree]:
  """`(params, vars)` of the averaged generator, or of the live one."""
  if not ema:
    return state.gen.params, state.gen.vars
  return state.gen_ema, _standing_vars(spec, state.gen_ema, state.gen.vars, key)


def sample(
  spec: specs.Spec,
  gen_params: types.PyTree,
  gen_vars: types.PyTree,
  latent: types.Latent,
  key: jax.Array | None = None,
) -> types.Batch:
  """G in evaluation mode: N latents to `[N, ...]` in the units of the data.

  Args:
    spec: the game.
    gen_params: G's.
    gen_vars: G's.
    latent: N of them.
    key: of the noise within a network that has some, fresh for each sample;
      None gives the same in each call.
  """
  noise = jax.random.key(0) if key is None else key

  def generate(block: tuple[types.Latent, jax.Array]) -> jax.Array:
    latent, index = block
    # Blocks start at different samples.
    own = jax.random.fold_in(noise, index[0])
    x, _ = spec.gen.apply(
      gen_params, gen_vars, latent, key=own, mode=types.EVAL
    )
    return spec.to_data(x)

  x = blocks.apply(generate, (latent, jnp.arange(len(latent.z))))
  return types.Batch(x, latent.label)


class Sampler:
  """Draws blocks of samples, compiled once for all states of a game."""

  def __init__(self, spec: specs.Spec, num: int, *, ema: bool):
    """Compiles nothing yet.

    Args:
      spec: the game.
      num: samples to draw of each state.
      ema: by the averaged generator.
    """
    self._num, block = num, min(num, 1000)

    def draw(
      generator: tuple[types.PyTree, types.PyTree],
      key: jax.Array,
      index: jax.Array,
    ) -> types.Batch:
      own = jax.random.fold_in(key, index)
      latent = spec.latent(own, block)
      # Labels are of 1.
      return sample(spec, *generator, latent, jax.random.fold_in(own, 2))

    self._generator = jax.jit(functools.partial(eval_generator, spec, ema=ema))
    self._block, self._draw = block, jax.jit(draw)

  def samples(
    self, state: states.GanState, key: jax.Array
  ) -> Iterator[types.Batch]:
    """`num` samples, a function of (state, key): `[n, ...]` after `[n, ...]`.

    They are numpy arrays in the units of the data; images in [-1, 1].
    """
    gen_key, latent_key = jax.random.split(key)
    generator = self._generator(state, gen_key)
    for start in range(0, self._num, self._block):
      index = jnp.int32(start // self._block)
      batch = self._draw(generator, latent_key, index)
      left = self._num - start
      yield jax.tree.map(lambda x, left=left: np.asarray(x)[:left], batch)


def judge(
  spec: specs.Spec, disc: states.NetState, batch: types.Batch
) -> jax.Array:
  """D in evaluation mode: `[m * N, ...]` in units of the data to `[N]`."""

  def look(packed: types.Batch) -> jax.Array:
    logits, _ = spec.disc.apply(
      disc.params, disc.vars, packed, key=jax.random.key(0), mode=types.EVAL
    )
    return logits

  own = batch._replace(x=spec.from_data(batch.x))
  return blocks.apply(look, objectives.pack(own, spec.packing))
