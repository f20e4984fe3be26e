"""Every name that a configuration can choose, and what it stands for."""

import functools
import math
import types as python_types
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.game import (
  ada,
  augment,
  looks,
  losses,
  objectives,
  penalties,
  rules,
  schedules,
  terms,
)
from gan_jax.networks import (
  biggan,
  dcgan,
  maxout,
  mlp,
  r3gan,
  r3gan2,
  small_dcgan,
  sngan,
  stylegan2,
)

LOSSES: dict[str, losses.GanLoss] = {
  'saturating': losses.SATURATING,
  'minimax': losses.MINIMAX,
  'non_saturating': losses.NON_SATURATING,
  'least_squares': losses.LEAST_SQUARES,
  'wasserstein': losses.WASSERSTEIN,
  'hinge': losses.HINGE,
  'relativistic_average': losses.RELATIVISTIC_AVERAGE,
  'relativistic_paired': losses.RELATIVISTIC_PAIRED,
}


def _classification(update: terms.Update, seen: looks.Seen) -> jax.Array:
  """How badly D's auxiliary classifier tells the classes of samples, `[]`."""
  logits = update.methods.disc['classify'](seen.shown)
  return penalties.classification(logits, seen.shown)


def _consistency(update: terms.Update, seen: looks.Seen) -> jax.Array:
  """How far D's logits move with a second view of what it saw, `[]`.

  A D with dropout drops other units in it.
  """
  x = augment.view(seen.shown.x, update.key)
  again = update.bare_disc(seen.shown._replace(x=x))
  return penalties.consistency(seen.logits, again)


def _near(update: terms.Update, name: str) -> types.Batch:
  """What G makes of latents near those of the update."""
  z = update.latent.z
  sigma = update.hyper[f'penalties.{name}.sigma']
  near = z + sigma * jax.random.normal(update.key, z.shape)
  return update.gen(update.latent._replace(z=near))


def _zcr_disc(update: terms.Update) -> jax.Array:
  """How far D's logits move with the latents of its fakes, `[]`.

  Both are augmented by the same draws.
  """
  near = objectives.pack(_near(update, 'zcr'), update.packing)
  return penalties.consistency(
    update.disc(update.fake.batch), update.disc(near)
  )


def _zcr_gen(update: terms.Update) -> jax.Array:
  """Minus how far G's samples move with their latents, `[]`."""
  near = objectives.pack(_near(update, 'zcr_gen'), update.packing)
  return -penalties.consistency(update.fake.batch.x, near.x)


def _path_length(
  update: terms.Update, *, shrink: int
) -> tuple[jax.Array, jax.Array]:
  """The penalty of the first samples of a batch, one in `shrink`, and a."""
  count = max(len(update.latent.z) // shrink, 1)
  return penalties.path_length(
    update.methods.gen['map'],
    update.methods.gen['synthesise'],
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
    'acgan_gen': terms.Term(lambda u: _classification(u, u.fake)),
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
      lambda u: _classification(u, u.real) + _classification(u, u.fake)
    ),
    'cr': terms.Term(lambda u: _consistency(u, u.real)),
    'cr_fake': terms.Term(lambda u: _consistency(u, u.fake)),
    'zcr': terms.Term(_zcr_disc),
  },
)

NETWORKS: dict[str, python_types.ModuleType] = {
  'mlp': mlp,
  'maxout': maxout,
  'dcgan': dcgan,
  'r3gan': r3gan,
  'r3gan2': r3gan2,
  'small_dcgan': small_dcgan,
  'sngan': sngan,
  'biggan': biggan,
  'stylegan2': stylegan2,
}

LATENTS: dict[str, Callable[[jax.Array, tuple[int, int]], jax.Array]] = {
  'uniform': lambda key, shape: jax.random.uniform(key, shape, minval=-1.0),
  # Of variance 1.
  'unit_uniform': lambda key, shape: jax.random.uniform(
    key, shape, minval=-math.sqrt(3), maxval=math.sqrt(3)
  ),
  'normal': jax.random.normal,
}

# Of laws with one: no number is farther from 0.
LATENT_BOUNDS = {'uniform': 1.0, 'unit_uniform': math.sqrt(3)}

OPTIMISERS: dict[str, Callable[..., optax.GradientTransformation]] = {
  'adam': lambda rate, b1, b2, eps, root: optax.adam(
    rate, b1=b1, b2=b2, eps=eps, eps_root=root
  ),
  'sgd': lambda rate, b1, b2, eps, root: optax.sgd(rate, momentum=b1),
  # As in PyTorch, epsilon is added to the root; its square to what the root is
  # taken of, where that must have a derivative.
  'rmsprop': lambda rate, b1, b2, eps, root: optax.rmsprop(
    rate,
    decay=b2,
    eps=root + eps**2 if root else eps,
    eps_in_sqrt=bool(root),
    momentum=b1,
  ),
}

RULES: dict[str, Callable[[configs.Rule], rules.Rule]] = {
  'alternating': lambda _: rules.ALTERNATING,
  'simultaneous': lambda _: rules.Rule(rules.simultaneous),
  'extragradient': lambda _: rules.Rule(rules.extragradient),
  'optimistic': lambda _: rules.Rule(rules.optimistic, memory=rules.no_updates),
  'consensus': lambda _: rules.Rule(
    rules.consensus,
    hyper=lambda hyper: {'weight': hyper['rule.consensus_weight']},
    second_order=True,
  ),
  'sga': lambda rule: rules.Rule(
    functools.partial(rules.sga, align=rule.sga_align),
    hyper=lambda hyper: {'weight': hyper['rule.sga_weight']},
    second_order=True,
  ),
  'lookahead': lambda rule: rules.Rule(
    functools.partial(rules.lookahead, steps=rule.lookahead_steps),
    hyper=lambda hyper: {'alpha': hyper['rule.lookahead_alpha']},
    memory=rules.slow_weights,
    takes_turns=True,
    period=rule.lookahead_steps,
  ),
  'unrolled': lambda rule: rules.Rule(
    functools.partial(rules.unrolled, steps=rule.unroll_steps),
    second_order=True,
    through_optimiser=True,
  ),
}

# Those between two ends; 'exponential' and 'inverse_sqrt' have but one.
SCHEDULES: dict[str, schedules.Shape] = {
  'linear': schedules.linear,
  'cosine': schedules.cosine,
  'cosine_inverse_sqrt': schedules.cosine,
}

PRECISIONS = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}

# How often each class is asked of G, of how often the data have it; None takes
# the classes of the real samples.
LABEL_LAWS: dict[str, Callable[[np.ndarray], np.ndarray] | None] = {
  'data': lambda shares: shares,
  # Not those of which there is no sample.
  'uniform': lambda shares: (shares > 0) / (shares > 0).sum(),
  'paired': None,
}

# What D's samples undergo, by name; parts of DiffAugment go in lists, too.
DIFFAUGMENT = {
  'color': augment.COLOR,
  'translation': augment.TRANSLATION,
  'cutout': augment.CUTOUT,
}

# The parts of ADA's pipeline by their letters, in the order of its code; the
# last one is cutout.
_ADA = {
  'b': ada.BLIT,
  'g': ada.GEOMETRY,
  'c': ada.TINT,
  'f': ada.FILTER,
  'n': ada.NOISE,
}


def _ada(letters: str, **more: float) -> augment.Policy:
  parts = [_ADA[letter] for letter in letters]
  return ada.policy({k: x for part in parts for k, x in part.items()} | more)


POLICIES: dict[str, augment.Policy | None] = {
  '': None,
  **DIFFAUGMENT,
  'diffaugment': augment.in_turn([*DIFFAUGMENT.values()]),
  'ada.b': _ada('b'),
  'ada.bg': _ada('bg'),
  'ada.bgc': _ada('bgc'),
  'ada.bgcf': _ada('bgcf'),
  'ada.bgcfn': _ada('bgcfn'),
  'ada.bgcfnc': _ada('bgcfn', **ada.HOLE),
  'r3gan': ada.policy(ada.R3GAN),
}

# A policy of settings of its own.
DIFFUSION = 'diffusion'

# What of D's logits on real samples tells how much it overfits.
OVERFIT: dict[str, Callable[[jax.Array], jax.Array]] = {
  'sign': jnp.sign,
  'mean': lambda logits: logits,
}

# Of D's last update, the keys that G's have beside its latents; None without.
LATENT_SHARING: dict[str, tuple[str, ...] | None] = {
  'fresh': None,
  'shared': ('gen',),
  'shared_pass': (
    'gen',
    'disc_real',
    'disc_fake',
    'augment_real',
    'augment_fake',
  ),
}
