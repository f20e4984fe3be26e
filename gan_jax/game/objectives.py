"""What the two players minimise, side by side.

    min_G max_D  E log D(x) + E log(1 - D(G(z)))

(Goodfellow et al. 2014, eq. 1). `losses.py` has the formulas of D's logits,
`penalties.py` the terms that are added, `augment.py` what all samples undergo
that D sees. Both losses have the differentiated parameters first and are pure;
`frozen` stops the gradient into the other player.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.game import (
  augment,
  draws,
  latent_steps,
  looks,
  losses,
  spec as specs,
  state as states,
  terms,
)

# A loss `[]`, and what the player hands on with the logs.
Result = tuple[jax.Array, tuple[states.Carried, types.Logs]]


def frozen(loss: Callable[..., Any]) -> Callable[..., Any]:
  """A loss whose second argument, the other player's parameters, is data.

  The gradient is stopped at the parameters and not at D's logits: G learns
  from what passes through D. While only argument 0 is differentiated this
  changes nothing and is free; it holds the contract for whoever differentiates
  with respect to both.
  """

  def frozen_loss(
    params: types.PyTree, others: types.PyTree, *rest: Any
  ) -> Any:
    return loss(params, jax.lax.stop_gradient(others), *rest)

  return frozen_loss


def discriminator_loss(
  disc_params: types.PyTree,
  gen_params: types.PyTree,
  vars: types.Pair,
  real: types.Batch,
  draw: draws.UpdateDraw,
  now: states.StepContext,
  spec: specs.Spec,
) -> Result:
  """D's loss, `spec.loss.disc`, and its terms.

  For the game of 2014, D is a binary classifier of real samples, 1, and
  generated ones, 0:

      max_D  E log D(x) + E log(1 - D(G(z)))

  Args:
    disc_params: differentiated.
    gen_params: G's; its samples are data here.
    vars: of both; D's are written, first by the real samples.
    real: `[B, ...]`.
    draw: latents and keys of this update.
    now: numbers, step and the memory of D's terms.
    spec: the game.
  """
  keys = draw.keys
  vars = vars._replace(disc=spec.disc.advance(disc_params, vars.disc))
  disc = _closed_discriminator(disc_params, vars, keys.disc_penalty, spec)
  gen = _closed_generator(gen_params, vars, keys, spec)
  draw, length = _moved(draw, gen, disc, now.hyper, spec)
  fake = gen(draw.latent)
  if spec.pseudo:
    real = augment.deceive(real, fake, keys.pseudo, now.hyper['augment.p'])

  def see(
    look: looks.Look, vars: types.PyTree, batch: types.Batch,
    key: jax.Array, augment_key: jax.Array,
  ) -> tuple[looks.Seen, types.PyTree]:  # fmt: skip
    return looks.augmented(
      lambda shown: look(spec.disc, disc_params, vars, shown, key, disc),
      pack(batch, spec.packing),
      _augmentation(augment_key, now.hyper, spec),
    )

  seen_real, disc_vars = see(
    spec.look.real, vars.disc, real, keys.disc_real, keys.augment_real
  )
  seen_fake, disc_vars = see(
    spec.look.fake, disc_vars, fake, keys.disc_fake, keys.augment_fake
  )
  loss = spec.loss.disc(real=seen_real.logits, fake=seen_fake.logits)
  params, seen = types.Pair(gen_params, disc_params), (seen_real, seen_fake)
  loss, memory, logs = _with_terms(
    loss, 'disc', params, vars, seen, draw, length, now, spec
  )
  logs |= {'disc/loss': loss, **_logit_logs(seen_real, seen_fake, spec)}
  if spec.augment is not None or spec.pseudo:
    logs['augment/p'] = now.hyper['augment.p']
  if spec.adaptive is not None:
    logs['augment/r_t'] = spec.adaptive.overfit(seen_real.logits).mean()
  return loss, (states.Carried(disc_vars, memory), logs)


def generator_loss(
  gen_params: types.PyTree,
  disc_params: types.PyTree,
  vars: types.Pair,
  real: types.Batch,
  draw: draws.UpdateDraw,
  now: states.StepContext,
  spec: specs.Spec,
) -> Result:
  """G's loss, `spec.loss.gen`, through D, and its terms.

  For the game of 2014, every generated sample is labelled 1 for D:

      max_G  E log D(G(z))            (non-saturating; section 3)
      min_G  E log(1 - D(G(z)))       (saturating; eq. 1)

  Args:
    gen_params: differentiated.
    disc_params: D's.
    vars: of both; G's are written.
    real: `[B, ...]`, for losses that compare with them; for the others the
      compiler drops D's pass over them.
    draw: latents and keys of this update.
    now: numbers, step and the memory of G's terms.
    spec: the game.
  """
  keys = draw.keys
  vars = vars._replace(gen=spec.gen.advance(gen_params, vars.gen))
  draw, length = _moved(
    draw,
    _closed_generator(gen_params, vars, keys, spec),
    _closed_discriminator(disc_params, vars, keys.disc_penalty, spec),
    now.hyper,
    spec,
  )
  x, gen_vars = spec.gen.apply(
    gen_params, vars.gen, draw.latent, key=keys.gen, mode=types.TRAIN
  )
  fake = _as_told(x, draw.latent, spec)

  def see(
    batch: types.Batch, key: jax.Array, augment_key: jax.Array
  ) -> looks.Seen:
    judge = _closed_judge(disc_params, vars, key, spec)
    packed = pack(batch, spec.packing)
    augmentation = _augmentation(augment_key, now.hyper, spec)
    return looks.seen_by(judge, packed, augmentation)

  seen_real = see(real, keys.disc_real, keys.augment_real)
  seen_fake = see(fake, keys.disc_fake, keys.augment_fake)
  loss = _gen_loss(seen_real.logits, seen_fake.logits, now.hyper, spec)
  params, seen = types.Pair(gen_params, disc_params), (seen_real, seen_fake)
  loss, memory, logs = _with_terms(
    loss, 'gen', params, vars, seen, draw, length, now, spec
  )
  return loss, (states.Carried(gen_vars, memory), logs | {'gen/loss': loss})


def _moved(
  draw: draws.UpdateDraw,
  gen: Callable[[types.Latent], types.Batch],
  disc: types.DiscFn,
  hyper: types.Hyper,
  spec: specs.Spec,
) -> tuple[draws.UpdateDraw, jax.Array | None]:
  """An update's latents after a step uphill in D, and its length, if any."""
  if spec.latent_step is None:
    return draw, None
  latent, length = latent_steps.moved(
    draw.latent,
    lambda latent: disc(pack(gen(latent), spec.packing)),
    hyper,
    draw.keys.latent_step,
    spec.latent_step,
  )
  return draw._replace(latent=latent), length


def _gen_loss(
  real: jax.Array, fake: jax.Array, hyper: types.Hyper, spec: specs.Spec
) -> jax.Array:
  """G's loss of D's logits `[B]`, before its terms.

  With `top_k` its gradients come of the best fakes alone; see `losses.of_best`.
  """
  if spec.top_k:
    loss = losses.of_best(spec.loss.gen, real, fake, hyper['gen_top_k'])
  else:
    loss = spec.loss.gen(real=real, fake=fake)
  return hyper['gen_loss_weight'] * loss if spec.weighted else loss


def _with_terms(
  loss: jax.Array,
  player: str,
  params: types.Pair,
  vars: types.Pair,
  seen: tuple[looks.Seen, looks.Seen],
  draw: draws.UpdateDraw,
  length: jax.Array | None,
  now: states.StepContext,
  spec: specs.Spec,
) -> tuple[jax.Array, states.Memory, types.Logs]:
  """A player's loss with its terms, of what D made of real and fake samples.

  `length` is that of the step of the latents, if they took one.
  """
  keys = draw.keys
  judge = _closed_judge(params.disc, vars, keys.disc_penalty, spec)
  augmentation = _augmentation(keys.augment_penalty, now.hyper, spec)
  shown = augmentation or (lambda batch: batch)
  real, fake = seen
  update = terms.Update(
    params=getattr(params, player),
    gen=_closed_generator(params.gen, vars, keys, spec),
    disc=lambda batch: judge(shown(batch)).logits,
    judge=judge,
    shown=shown,
    gen_methods=_closed_methods(params.gen, vars, keys, spec),
    latent=draw.latent,
    real=real,
    fake=fake,
    hyper=now.hyper,
    memory=(),
    key=keys.terms,
    packing=spec.packing,
  )
  player_terms = getattr(spec.terms, player)
  loss, memory, logs = terms.add(
    loss, player_terms, update, now.memory, now.step
  )
  if length is not None:
    loss += now.hyper['latent_step.weight'] * length
    logs[f'{player}/latent_step'] = length
  return loss, memory, logs


def pack(batch: types.Batch, m: int) -> types.Batch:
  """Joins m samples on the last axis: `[m * B, ..., C] -> [B, ..., m * C]`.

  PacGAN (Lin et al. 2018, section 3). A game of classes is not packed.
  """
  if m == 1:
    return batch
  return types.Batch(jnp.concatenate(jnp.split(batch.x, m), axis=-1))


def unpack(x: jax.Array, m: int) -> jax.Array:
  """The inverse of `pack`: `[B, ..., m * C] -> [m * B, ..., C]`."""
  return x if m == 1 else jnp.concatenate(jnp.split(x, m, axis=-1))


def _augmentation(
  key: jax.Array, hyper: types.Hyper, spec: specs.Spec
) -> looks.Augment:
  """Of packed samples, with the draws of one key; None without any."""
  policy, taps = spec.augment, spec.blur_taps
  if policy is None and taps is None:
    return None

  def augmented(batch: types.Batch) -> types.Batch:
    x = unpack(batch.x, spec.packing)
    if taps is not None:
      x = augment.blur(x, hyper['augment.blur'], taps)
    if policy is not None:
      x = augment.augment(policy, x, key, hyper['augment.p'])
    return pack(batch._replace(x=x), spec.packing)

  return augmented


def _closed_generator(
  params: types.PyTree, vars: types.Pair, keys: draws.Keys, spec: specs.Spec
) -> Callable[[types.Latent], types.Batch]:
  """G as a function of latents alone; its `vars` stay."""

  def gen(latent: types.Latent) -> types.Batch:
    x, _ = spec.gen.apply(
      params, vars.gen, latent, key=keys.gen, mode=types.OPPONENT
    )
    return _as_told(x, latent, spec)

  return gen


def _as_told(
  x: jax.Array, latent: types.Latent, spec: specs.Spec
) -> types.Batch:
  """Samples of G as D is shown them."""
  return types.Batch(x, latent.label if spec.tells_disc else None)


def _closed_judge(
  params: types.PyTree, vars: types.Pair, key: jax.Array, spec: specs.Spec
) -> Callable[[types.Batch], types.Judged]:
  """D's logits and heads as a function of samples alone; its `vars` stay."""

  def judge(batch: types.Batch) -> types.Judged:
    return looks.judge(
      spec.disc, params, vars.disc, batch, key=key, mode=types.OPPONENT
    )[0]

  return judge


def _closed_discriminator(
  params: types.PyTree, vars: types.Pair, key: jax.Array, spec: specs.Spec
) -> types.DiscFn:
  """D's logits, likewise."""
  judge = _closed_judge(params, vars, key, spec)
  return lambda batch: judge(batch).logits


def _closed_methods(
  params: types.PyTree, vars: types.Pair, keys: draws.Keys, spec: specs.Spec
) -> dict[str, Callable[[Any], Any]]:
  """Other methods of G, as functions of their input alone."""

  def closed(apply: types.Apply) -> Callable[[Any], Any]:
    return lambda input: apply(
      params, vars.gen, input, key=keys.gen, mode=types.OPPONENT
    )[0]

  return {name: closed(apply) for name, apply in spec.gen.methods.items()}


def _logit_logs(
  real: looks.Seen, fake: looks.Seen, spec: specs.Spec
) -> types.Logs:
  """D's mean logits and accuracy and, where it is a classifier, mean D."""
  logs = {
    'disc/accuracy': accuracy(real.logits, fake.logits, spec.loss),
    'disc/real': real.logits.mean(),
    'disc/fake': fake.logits.mean(),
  }
  if spec.loss.classifier:
    logs['disc/d_real'] = jax.nn.sigmoid(real.logits).mean()
    logs['disc/d_fake'] = jax.nn.sigmoid(fake.logits).mean()
  return logs


def accuracy(
  real: jax.Array, fake: jax.Array, loss: losses.GanLoss
) -> jax.Array:
  """How often D is right, `[]`; 1/2 where it cannot tell.

  The share of samples on their side of 0, or, where 0 says nothing, of pairs
  whose real sample has the larger logit; equal ones count half. NaN where a
  logit is not finite.
  """
  if loss.signed:
    right = ((real > 0).mean() + (fake < 0).mean()) / 2
  else:
    right = ((real > fake).mean() + (real >= fake).mean()) / 2
  # 0 but for what is not finite, of which no comparison tells.
  return right + 0 * (real.mean() + fake.mean())
