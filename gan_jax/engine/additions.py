"""What is added to the plain game: terms, augmentation, and what forbids them.

As `build.py` asks for it, which makes the game.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping

import flax.linen as nn

from gan_jax import types
from gan_jax.config import declare, fields as configs, values
from gan_jax.data import source as sources
from gan_jax.engine import names, player_terms
from gan_jax.game import (
  augment,
  diffusion,
  looks,
  losses,
  spec as specs,
  terms,
)
from gan_jax.ops import cpu


def make_terms(
  config: configs.Config, adaptive: augment.Adaptive | None
) -> types.Pair:
  """Of each player, those whose weight is not 0 throughout.

  Fields of a term's group that are not swept, but for `every`, reach its
  `value` by their names. Adaptation of augmentations is a term of D's.
  """

  def made(name: str, term: terms.Term) -> terms.Term:
    settings = getattr(config.penalties, name)
    fixed = {
      f.name: getattr(settings, f.name)
      for f in dataclasses.fields(settings)
      if not declare.facts(f).swept and f.name != 'every'
    }
    if fixed and term.value is not None:
      term = term._replace(value=functools.partial(term.value, **fixed))
    return term._replace(every=settings.every)

  def chosen(known: Mapping[str, terms.Term]) -> dict[str, terms.Term]:
    return {
      name: made(name, term)
      for name, term in known.items()
      if values.largest_weight(config, name)
    }

  disc = chosen(player_terms.TERMS.disc)
  if adaptive is not None:
    disc['augment'] = _adapting(adaptive, config)
  return types.Pair(chosen(player_terms.TERMS.gen), disc)


def make_loss(config: configs.Config) -> losses.GanLoss:
  """The players' losses of D's logits, and what those logits tell."""
  loss = names.LOSSES[config.loss]
  if values.largest_weight(config, 'label_smoothing'):
    # D's sigmoid is that share of the probability of being real.
    loss = loss._replace(classifier=False, log_ratio=False)
  how = getattr(config.disc.net, 'conditioning', '')
  if not loss.of_logits and how == 'multi_hinge':
    # Its logit is that of a class against 'generated'.
    loss = loss._replace(signed=True)
  return loss


def left_out(
  config: configs.Config, policy: augment.Policy | None, info: sources.Info
) -> list[str]:
  """A line on what an augmentation does not do to these data, or none."""
  grey = info.kind == 'images' and info.shape[-1] == 1
  if policy is None or not policy.of_colors or not grey:
    return []
  return [
    f'augment.policy={config.augment.policy!r}: goes without '
    f'{" and ".join(policy.of_colors)}, for the images are grey'
  ]


def make_augment(
  config: configs.Config, info: sources.Info
) -> augment.Policy | None:
  """What is done to all that D sees, or None.

  Raises:
    ValueError: there is no such policy, or it needs images of one channel or
      three, which the data are not; or as `_make_diffusion`.
  """
  name = config.augment.policy
  policy = choose_policy(name)
  if name == names.DIFFUSION:
    return _make_diffusion(config.augment.diffusion)
  suits = info.kind == 'images' and info.shape[-1] in (1, 3)
  if policy is not None and not suits:
    raise ValueError(
      f'augment.policy={name!r}: needs images with 1 or 3 channels; '
      f'data.name={config.data.name!r} has samples of shape {info.shape}'
    )
  return policy


def make_blur(config: configs.Config, info: sources.Info) -> int | None:
  """Pixels on either side of the widest blur; None without one.

  Raises:
    ValueError: there is one, and the data are no images.
  """
  widest = values.largest(config, 'augment.blur')
  if not widest:
    return None
  if info.kind != 'images':
    raise ValueError(
      f'augment.blur={widest:g}: needs images; '
      f'data.name={config.data.name!r} has samples of shape {info.shape}'
    )
  return math.floor(3 * widest)


def choose_policy(name: str) -> augment.Policy | None:
  """Of `augment.policy`; None without one, and of a diffusion, as it is set.

  Raises:
    ValueError: there is no such policy, or no such part of one.
  """
  if ',' not in name:
    known = {**names.POLICIES, names.DIFFUSION: None}
    return values.choose('augment.policy', name, known)
  return augment.in_turn([
    values.choose('augment.policy', part.strip(), names.DIFFAUGMENT)
    for part in name.split(',')
  ])  # fmt: skip


def _make_diffusion(settings: configs.Diffusion) -> augment.Policy:
  """Raises ValueError where the chain or its betas would shrink."""
  for low, high in (
    ('least_steps', 'most_steps'),
    ('beta_first', 'beta_last'),
  ):
    if getattr(settings, high) < getattr(settings, low):
      raise ValueError(
        f'augment.diffusion.{high}={getattr(settings, high)}: takes numbers '
        f'from augment.diffusion.{low}={getattr(settings, low)} on'
      )
  return diffusion.policy(
    diffusion.Chain(
      least=settings.least_steps,
      most=settings.most_steps,
      beta_first=settings.beta_first,
      beta_last=settings.beta_last,
      noise=settings.noise,
      untouched=settings.untouched,
      priority=settings.mixture == 'priority',
    )
  )


def check_strength(config: configs.Config) -> None:
  """Raises ValueError where adapting p or a policy has no effect."""
  settings = config.augment
  if not settings.policy and not settings.pseudo:
    for name in ('adapt', 'p'):
      if value := getattr(settings, name):
        raise ValueError(
          f'augment.{name}={value!r}: nothing is augmented; set '
          'augment.policy or augment.pseudo'
        )
    return
  # A diffusion of strength 0 is a short one.
  idle = settings.pseudo or settings.policy != names.DIFFUSION
  strongest = values.largest(config, 'augment.p')
  if idle and not settings.adapt and not strongest:
    # A diffusion is never idle.
    of_policy = settings.policy not in ('', names.DIFFUSION)
    field = f'policy={settings.policy!r}' if of_policy else 'pseudo=True'
    raise ValueError(
      f'augment.{field}: is never applied with augment.p=0; set augment.p (1 '
      'is all samples), a schedule of it, or augment.adapt'
    )
  if settings.adapt == 'sign' and not make_loss(config).signed:
    signed = [name for name, loss in names.LOSSES.items() if loss.signed]
    raise ValueError(
      f"augment.adapt='sign': in loss={config.loss!r} the sign of D's logits "
      f'does not tell real from fake; it does in {", ".join(signed)}'
    )


def make_adaptive(config: configs.Config) -> augment.Adaptive | None:
  """How the strength adapts, or None where it does not."""
  if not config.augment.adapt:
    return None
  overfit = names.OVERFIT[config.augment.adapt]
  bounded = config.augment.policy == names.DIFFUSION
  most = 1.0 if bounded else math.inf
  return augment.Adaptive(overfit, config.augment.interval, most)


def _adapting(adaptive: augment.Adaptive, config: configs.Config) -> terms.Term:
  """The term of D's that remembers how strong augmentations are."""
  # It is told of each part of a batch.
  samples = values.batch_samples(config) // config.microbatches
  adaptive = adaptive._replace(interval=adaptive.interval * config.microbatches)
  return terms.Term(
    value=None,
    init=augment.not_adapted,
    follow=lambda memory, u: augment.adapt(
      adaptive, memory, u.real.logits, samples, u.hyper
    ),
  )


def make_looks(
  disc: types.Network, of_disc: Mapping[str, terms.Term]
) -> specs.Looks:
  """By Euler's form where a homogeneous D's input gradients are all taken."""
  always = {term.input_grads_of for term in of_disc.values() if term.every == 1}

  def look(which: str) -> looks.Look:
    suits = disc.homogeneous and which in always and not cpu.is_stock()
    return looks.by_input_gradients if suits else looks.plain

  return specs.Looks(real=look('real'), fake=look('fake'))


def check_penalties(
  config: configs.Config,
  gen: nn.Module,
  disc: nn.Module,
  info: sources.Info,
) -> None:
  """Raises ValueError for a penalty that a network or data make invalid."""
  for name in ('cr', 'cr_fake'):
    weight = values.largest_weight(config, name)
    if weight and info.kind != 'images':
      raise ValueError(
        f'penalties.{name}.weight={weight}: needs images; '
        f'data.name={config.data.name!r} has samples of shape {info.shape}'
      )
  weight = values.largest_weight(config, 'path_length')
  if weight and 'map' not in getattr(gen, 'methods', ()):
    raise ValueError(
      f'penalties.path_length.weight={weight}: gen.name={config.gen.name!r} '
      "has no intermediate latents; 'stylegan2' and 'stylegan3' do"
    )
  weight = values.largest_weight(config, 'wgan_gp')
  for name, off in (('batch_norm', False), ('mbstd_group', 0)):
    if weight and getattr(disc.settings, name, off):
      raise ValueError(
        f'penalties.wgan_gp.weight={weight}: needs a D that judges each '
        f'sample alone; set disc.net.{name}={off}'
      )
  weight = values.largest_weight(config, 'orthogonal')
  if weight and hasattr(gen, 'project'):
    raise ValueError(
      f'penalties.orthogonal.weight={weight}: gen.name={config.gen.name!r} '
      'normalises its weights itself'
    )


def check_groups(
  config: configs.Config, gen: nn.Module, disc: nn.Module
) -> None:
  """Raises ValueError where a batch has no so many equal parts, or groups."""
  judged = config.batch_size // config.microbatches
  sizes = {'gen': (gen, judged * config.packing), 'disc': (disc, judged)}
  for player, (module, size) in sizes.items():
    groups = getattr(module.settings, 'norm_groups', 1)
    if size % groups:
      raise ValueError(
        f'{player}.net.norm_groups={groups}: must divide the {size} inputs of '
        f'{"a part of " * (config.microbatches > 1)}its batch'
      )
  wanted = getattr(disc.settings, 'mbstd_group', 0)
  for size in (judged, config.gen_batches * judged):
    if wanted and size % min(wanted, size):
      raise ValueError(
        f'disc.net.mbstd_group={wanted}: must divide the '
        f'{"part of the " * (config.microbatches > 1)}batch of {size} samples'
      )
