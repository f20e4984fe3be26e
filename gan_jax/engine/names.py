"""Every name that a configuration can choose, and what it stands for."""

import functools
import math
import types as python_types
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.config import fields as configs
from gan_jax.game import ada, augment, losses, rules, schedules
from gan_jax.networks import (
  biggan,
  biggan_deep,
  dcgan,
  maxout,
  mlp,
  r3gan,
  r3gan2,
  small_dcgan,
  sngan,
  stylegan2,
  stylegan3,
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
  'none': losses.NONE,
}


NETWORKS: dict[str, python_types.ModuleType] = {
  'mlp': mlp,
  'maxout': maxout,
  'dcgan': dcgan,
  'r3gan': r3gan,
  'r3gan2': r3gan2,
  'small_dcgan': small_dcgan,
  'sngan': sngan,
  'biggan': biggan,
  'biggan_deep': biggan_deep,
  'stylegan2': stylegan2,
  'stylegan3': stylegan3,
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
