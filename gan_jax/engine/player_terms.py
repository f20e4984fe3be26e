"""The terms that a configuration can add to a player's loss, by name."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.game import (
  augment,
  class_losses,
  looks,
  objectives,
  penalties,
  self_supervised,
  terms,
)


def _classification(seen: looks.Seen, head: str = 'classify') -> jax.Array:
  """How badly a classifier of D tells the classes of samples, `[]`."""
  return class_losses.classification(seen.heads[head], _label(seen))


def _label(seen: looks.Seen) -> jax.Array:
  """Of samples in a game of classes, `[B]`."""
  assert seen.shown.label is not None
  return seen.shown.label


def _twin_gen(update: terms.Update) -> jax.Array:
  """G is to be right by the classifier of real samples, and not by the twin."""
  return _classification(update.fake) - _classification(update.fake, 'twin')


def _as_real(seen: looks.Seen) -> jax.Array:
  """How badly samples pass for real ones of their class, `[]`."""
  label = class_losses.as_real(_label(seen))
  return class_losses.classification(seen.heads['classify'], label)


def _as_fake(seen: looks.Seen) -> jax.Array:
  """How badly samples pass for generated ones of their class, `[]`."""
  label = class_losses.as_fake(_label(seen))
  return class_losses.classification(seen.heads['classify'], label)


def _multi_hinge(seen: looks.Seen) -> jax.Array:
  """How far samples are from a margin around their own class, `[]`."""
  return class_losses.multi_hinge(seen.heads['classify'], _label(seen))


def _as_generated(seen: looks.Seen) -> jax.Array:
  """The same for the class of all generated samples, the last, `[]`."""
  outputs = seen.heads['classify']
  generated = jnp.full(len(outputs), outputs.shape[1] - 1)
  return class_losses.multi_hinge(outputs, generated)


def _codes(update: terms.Update) -> jax.Array:
  """How badly D finds the codes that fakes were made of, `[]`."""
  heads, latent, total = update.fake.heads, update.latent, jnp.zeros(())
  if 'classify' in heads:
    assert latent.label is not None
    total += class_losses.classification(heads['classify'], latent.label)
  if 'numbers' in heads:
    codes = latent.z[:, : heads['numbers'].shape[1]]
    total += class_losses.numbers(heads['numbers'], codes)
  return total


def _among_proxies(
  loss: Callable[..., jax.Array],
  update: terms.Update,
  seen: looks.Seen,
  name: str,
  *numbers: str,
) -> jax.Array:
  """A loss of samples among proxies of the classes, and numbers of its term."""
  heads, group = seen.heads, f'penalties.{name}'
  own = (update.hyper[f'{group}.{number}'] for number in numbers)
  return loss(heads['embed'], heads['classify'], _label(seen), *own)


_contrastive = functools.partial(_among_proxies, class_losses.contrastive)
_data_to_data = functools.partial(_among_proxies, class_losses.data_to_data)


def _moved(
  one: types.Judged | looks.Seen, other: types.Judged, heads: bool
) -> jax.Array:
  """How far D's logits, and with `heads` its head of classes, move, `[]`."""
  total = penalties.consistency(one.logits, other.logits)
  # Of proxies their space and not the cosines, as in StudioGAN.
  name = 'embed' if 'embed' in other.heads else 'classify'
  if heads:
    total += penalties.consistency(one.heads[name], other.heads[name])
  return total


def _consistency(
  update: terms.Update, seen: looks.Seen, heads: bool
) -> jax.Array:
  """How far D's outputs move with a second view of what it saw, `[]`.

  A D with dropout drops other units in it.
  """
  x = augment.view(seen.shown.x, update.key)
  return _moved(seen, update.judge(seen.shown._replace(x=x)), heads)


def _rotation(update: terms.Update, seen: looks.Seen) -> jax.Array:
  """How badly D tells by how much samples were turned, `[]`."""
  x, turns = self_supervised.turned(seen.shown.x)
  heads = update.judge(seen.shown._replace(x=x)).heads
  return class_losses.classification(heads['rotation'], turns)


def _infomax(seen: looks.Seen) -> jax.Array:
  """How badly D finds parts of samples by the whole, `[]`."""
  return self_supervised.infomax(seen.heads['local'], seen.heads['global'])


def _near(update: terms.Update, name: str) -> types.Batch:
  """What G makes of latents near those of the update."""
  z = update.latent.z
  sigma = update.hyper[f'penalties.{name}.sigma']
  near = z + sigma * jax.random.normal(update.key, z.shape)
  return update.gen(update.latent._replace(z=near))


def _zcr_disc(update: terms.Update, *, heads: bool) -> jax.Array:
  """How far D's outputs move with the latents of its fakes, `[]`.

  Both are augmented by the same draws.
  """
  near = objectives.pack(_near(update, 'zcr'), update.packing)
  one, other = (
    update.judge(update.shown(batch)) for batch in (update.fake.batch, near)
  )
  return _moved(one, other, heads)


def _zcr_gen(update: terms.Update) -> jax.Array:
  """Minus how far G's samples move with their latents, `[]`."""
  near = objectives.pack(_near(update, 'zcr_gen'), update.packing)
  return -penalties.consistency(update.fake.batch.x, near.x)


def _feature_matching(update: terms.Update, *, distance: str) -> jax.Array:
  """How far the means of D's last layer are from each other, `[]`."""
  return penalties.feature_matching(
    update.real.heads['features'], update.fake.heads['features'], distance
  )


def _path_length(
  update: terms.Update, *, shrink: int
) -> tuple[jax.Array, jax.Array]:
  """The penalty of the first samples of a batch, one in `shrink`, and a."""
  count = max(len(update.latent.z) // shrink, 1)
  return penalties.path_length(
    update.gen_methods['map'],
    update.gen_methods['synthesise'],
    jax.tree.map(lambda x: x[:count], update.latent),
    update.memory,
    update.key,
    update.hyper['penalties.path_length.decay'],
  )


# What may be added to each player's loss; each has a weight in the config's
# group `penalties`.
TERMS = types.Pair(
  gen={
    'orthogonal': terms.Term(lambda u: penalties.orthogonal(u.params)),
    'acgan_gen': terms.Term(lambda u: _classification(u.fake)),
    'tacgan_gen': terms.Term(_twin_gen),
    'adcgan_gen': terms.Term(lambda u: _as_real(u.fake) - _as_fake(u.fake)),
    'mhgan_gen': terms.Term(lambda u: _multi_hinge(u.fake)),
    'contragan_gen': terms.Term(
      lambda u: _contrastive(u, u.fake, 'contragan_gen', 'temperature')
    ),
    'reacgan_gen': terms.Term(
      lambda u: _data_to_data(u, u.fake, 'reacgan_gen', 'temperature', 'margin')
    ),
    'infogan_gen': terms.Term(_codes),
    'ssgan_gen': terms.Term(lambda u: _rotation(u, u.fake)),
    'infomax_gen': terms.Term(lambda u: _infomax(u.fake)),
    'feature_matching': terms.Term(_feature_matching),
    'path_length': terms.Term(
      _path_length, init=lambda: jnp.zeros(()), joint=True
    ),
    'zcr_gen': terms.Term(_zcr_gen),
  },
  disc={
    'r1': terms.Term(
      lambda u: penalties.zero_centred(u.real.input_grads()),
      input_grads_of='real',
    ),
    'r2': terms.Term(
      lambda u: penalties.zero_centred(u.fake.input_grads()),
      input_grads_of='fake',
    ),
    'wgan_gp': terms.Term(
      lambda u: penalties.wgan_gp(u.disc, u.real.batch, u.fake.batch, u.key)
    ),
    'dragan': terms.Term(
      lambda u: penalties.dragan(u.disc, u.real.batch, u.key)
    ),
    'label_smoothing': terms.Term(
      lambda u: penalties.label_smoothing(u.real.logits)
    ),
    'lecam': terms.Term(
      lambda u: penalties.lecam(u.real.logits, u.fake.logits, u.memory),
      init=penalties.no_logits,
      follow=lambda memory, u: penalties.follow_logits(
        memory,
        u.real.logits,
        u.fake.logits,
        u.hyper['penalties.lecam.decay'],
      ),
    ),
    'acgan': terms.Term(
      lambda u: _classification(u.real) + _classification(u.fake)
    ),
    'tacgan': terms.Term(
      lambda u: _classification(u.real) + _classification(u.fake, 'twin')
    ),
    'adcgan': terms.Term(lambda u: _as_real(u.real) + _as_fake(u.fake)),
    'mhgan': terms.Term(lambda u: _multi_hinge(u.real) + _as_generated(u.fake)),
    'infogan': terms.Term(_codes),
    'ssgan': terms.Term(lambda u: _rotation(u, u.real)),
    'infomax': terms.Term(lambda u: _infomax(u.real)),
    'contragan': terms.Term(
      lambda u: _contrastive(u, u.real, 'contragan', 'temperature')
    ),
    'reacgan': terms.Term(
      lambda u: _data_to_data(u, u.real, 'reacgan', 'temperature', 'margin')
    ),
    'cr': terms.Term(lambda u, heads: _consistency(u, u.real, heads)),
    'cr_fake': terms.Term(lambda u, heads: _consistency(u, u.fake, heads)),
    'zcr': terms.Term(_zcr_disc),
  },
)
