"""What the two players minimise, side by side."""

import functools

import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.game import (
  draws,
  penalties,
  spec as specs,
)
from gan_jax.ops import homogeneous


def pack(x: jax.Array, m: int) -> jax.Array:
  """Joins m samples on the last axis: `[m * B, ..., C] -> [B, ..., m * C]`."""
  if m == 1:
    return x
  return jnp.concatenate(jnp.split(x, m), axis=-1)


def discriminator_loss(
  disc_params: types.PyTree,
  gen_params: types.PyTree,
  disc_vars: types.PyTree,
  gen_vars: types.PyTree,
  batch: types.Batch,
  z: jax.Array,
  keys: draws.Keys,
  *,
  spec: specs.Spec,
  hyper: types.Hyper,
  step: jax.Array,
  averages: penalties.LogitAverages,
  frozen: bool = True,
) -> tuple[jax.Array, tuple[types.PyTree, types.Logs]]:
  """D as a binary classifier of real against generated samples.

  Args:
    disc_params: differentiated.
    gen_params: frozen; G's samples are data here.
    disc_vars: D's non-trainable collections.
    gen_vars: G's; read, never written.
    batch: real samples, `[B, ...]`.
    z: latents `[B, Z]`.
    keys: this update's keys.
    spec: the game.
    hyper: its numbers at this step.
    step: `[]` int32, for lazily applied penalties.
    averages: LeCam's moving averages.
    frozen: whether `gen_params` are; only a rule that differentiates through
      both players' losses lets them move.

  Returns:
    The loss `[]` and `(new_disc_vars, logs)`.
  """
  if frozen:
    gen_params = jax.lax.stop_gradient(gen_params)
  generated, _ = spec.gen.apply(
    gen_params, gen_vars, z, labels=batch.label, key=keys.gen, train=True
  )
  apply = functools.partial(spec.disc.apply, labels=batch.label, train=True)

  def disc(x: jax.Array) -> jax.Array:
    """As penalties see it."""
    return apply(disc_params, disc_vars, x, key=keys.disc_penalty)[0]

  # Whose slopes every step takes: a homogeneous D's logits come with them.
  every_step = [p.slopes_of for p in spec.penalties.values() if p.every == 1]

  def see(
    name: str, x: jax.Array, vars: types.PyTree, key: jax.Array
  ) -> tuple[specs.Seen, types.PyTree]:
    """Shows D samples, and hands on its `vars`."""
    x = pack(x, spec.packing)
    # Where G is not frozen, it hears of the logits alone here too: slopes do
    # not change with the sample, but for where a rectifier switches.
    if spec.disc.homogeneous and name in every_step:
      logits, slopes = homogeneous.logits_and_slopes(
        lambda params, x: apply(params, vars, x, key=key)[0], disc_params, x
      )
      return specs.Seen(x, logits, lambda: slopes), vars
    logits, vars = apply(disc_params, vars, x, key=key)
    return specs.Seen(x, logits, lambda: penalties.slopes(disc, x)), vars

  real, new_vars = see('real', batch.x, disc_vars, keys.disc_real)
  fake, new_vars = see('fake', generated, new_vars, keys.disc_fake)
  loss = spec.loss.disc(real=real.logits, fake=fake.logits)
  logs = _verdict(real.logits, fake.logits, classifier=spec.loss.classifier)
  for i, (name, penalty) in enumerate(spec.penalties.items()):
    key = jax.random.fold_in(keys.points, i)
    this_round = specs.Round(disc, real, fake, averages, key)
    value = _lazily(penalty, this_round, step)
    loss += hyper[f'penalties.{name}.weight'] * value
    logs[f'penalties/{name}'] = value
  return loss, (new_vars, {'disc/loss': loss, **logs})


def _verdict(
  real: jax.Array, fake: jax.Array, *, classifier: bool
) -> types.Logs:
  """What D's logits on real and on generated samples, `[B]` each, tell."""
  logs = {
    'disc/accuracy': ((real > 0).mean() + (fake < 0).mean()) / 2,
    'disc/real': real.mean(),
    'disc/fake': fake.mean(),
  }
  if classifier:
    logs['disc/d_real'] = jax.nn.sigmoid(real).mean()
    logs['disc/d_fake'] = jax.nn.sigmoid(fake).mean()
  return logs


def _lazily(
  penalty: specs.Penalty, this_round: specs.Round, step: jax.Array
) -> jax.Array:
  """k times the penalty at each k-th step, 0 at the others."""
  if penalty.every == 1:
    return penalty.value(this_round)
  return jax.lax.cond(
    step % penalty.every == 0,
    lambda: penalty.every * penalty.value(this_round),
    lambda: jnp.zeros(()),
  )


def generator_loss(
  gen_params: types.PyTree,
  disc_params: types.PyTree,
  gen_vars: types.PyTree,
  disc_vars: types.PyTree,
  batch: types.Batch,
  z: jax.Array,
  keys: draws.Keys,
  *,
  spec: specs.Spec,
  frozen: bool = True,
) -> tuple[jax.Array, tuple[types.PyTree, types.Logs]]:
  """G through a frozen D, every fake labelled real.

  Args:
    gen_params: differentiated.
    disc_params: frozen. Its gradient is stopped at the parameters and not at
      the logits: G learns from what passes through D.
    gen_vars: G's non-trainable collections.
    disc_vars: D's; read, never written.
    batch: real samples `[B, ...]`, for losses that compare with them; for the
      others the compiler drops D's pass over them.
    z: latents `[B, Z]`.
    keys: this update's keys.
    spec: the game.
    frozen: whether `disc_params` are; as of `discriminator_loss`.

  Returns:
    The loss `[]` and `(new_gen_vars, logs)`.
  """
  if frozen:
    # Redundant while only argument 0 is differentiated, and then free; it
    # holds the contract for whoever differentiates with respect to both trees.
    disc_params = jax.lax.stop_gradient(disc_params)
  fake, new_vars = spec.gen.apply(
    gen_params, gen_vars, z, labels=batch.label, key=keys.gen, train=True
  )

  def disc(x: jax.Array, key: jax.Array) -> jax.Array:
    packed = pack(x, spec.packing)
    logits, _ = spec.disc.apply(
      disc_params, disc_vars, packed, labels=batch.label, key=key, train=True
    )
    return logits

  loss = spec.loss.gen(
    real=disc(batch.x, keys.disc_real), fake=disc(fake, keys.disc_fake)
  )
  return loss, (new_vars, {'gen/loss': loss})
