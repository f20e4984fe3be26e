"""The two players' losses as functions of D's logits.

D(x) = sigmoid(logit) is the probability that x is real, and with
softplus(t) = log(1 + e^t)

    -log D(x)        = softplus(-logit)
    -log(1 - D(x))   = softplus(logit)

which stay finite where log(sigmoid(.)) does not. Every loss is minimised by
its player. A loss is added by writing one more `GanLoss` constant.
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

softplus = jax.nn.softplus


class LossFn(Protocol):
  """Logits on real and on generated samples, each `[B]`, to a scalar `[]`."""

  def __call__(self, *, real: jax.Array, fake: jax.Array) -> jax.Array: ...


class GanLoss(NamedTuple):
  """A game: what each player minimises.

  Attributes:
    disc: the discriminator's loss.
    gen: the generator's loss.
    gen_sees_real: whether `gen` depends on `real`, so that the generator's
      step needs a real batch.
    classifier: whether sigmoid(logit) estimates the probability of being
      real, so that D's optimum is D* = p_data / (p_data + p_g) and the value
      of the game is minus D's loss.
    signed: whether D is to be above 0 on real samples and below it on fakes.
    log_ratio: whether D's optimum is log p_data / p_g plus a constant, as of
      every classifier.
    of_logits: whether there is any; without, all that the players minimise are
      their terms.
  """

  disc: LossFn
  gen: LossFn
  gen_sees_real: bool = False
  classifier: bool = False
  signed: bool = False
  log_ratio: bool = False
  of_logits: bool = True


def _nothing(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  del real, fake
  return jnp.zeros(())


def _cross_entropy(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  """-E log D(x) - E log(1 - D(G(z))): real is 1, fake is 0."""
  return softplus(-real).mean() + softplus(fake).mean()


def _saturating(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  """E log(1 - D(G(z))), the minimax game itself."""
  del real
  return -softplus(fake).mean()


def _minimax(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  """Minus D's loss, with the term that depends on G through D alone."""
  return -_cross_entropy(real=real, fake=fake)


def _non_saturating(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  """-E log D(G(z)): every fake is labelled 1."""
  del real
  return softplus(-fake).mean()


def _least_squares_disc(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  return 0.5 * jnp.square(real - 1).mean() + 0.5 * jnp.square(fake).mean()


def _least_squares_gen(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  del real
  return 0.5 * jnp.square(fake - 1).mean()


def _critic(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  return fake.mean() - real.mean()


def _raise_fake(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  """-E D(G(z)), shared by the Wasserstein and the hinge game."""
  del real
  return -fake.mean()


def _hinge_disc(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()


def _relativistic_average(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  """Real is to look more real than the average fake, and the reverse."""
  return (
    softplus(-(real - fake.mean())).mean() + softplus(fake - real.mean()).mean()
  )


def _relativistic_paired(*, real: jax.Array, fake: jax.Array) -> jax.Array:
  """Each real is to look more real than the fake of the same index."""
  return softplus(-(real - fake)).mean()


def _with_targets_swapped(disc: LossFn) -> LossFn:
  """The generator of a relativistic game: D's loss, real and fake swapped."""

  def gen(*, real: jax.Array, fake: jax.Array) -> jax.Array:
    return disc(real=fake, fake=real)

  return gen


def of_best(
  gen: LossFn, real: jax.Array, fake: jax.Array, share: jax.Array
) -> jax.Array:
  """G's loss, whose gradients come of the fakes that D likes best alone.

  Top-k training (Sinha et al. 2020, algorithm 1): the k highest logits count,
  k the share of the batch to the nearest whole number. Where a loss is a mean
  over single fakes, its derivatives are those of the mean over the k. The value
  stays that of all fakes, so that it can be compared while k moves.

  Args:
    gen: of a `GanLoss`.
    real: D's logits on real samples, `[B]`.
    fake: D's logits on generated samples, `[B]`.
    share: `[]`, in (0, 1].

  Returns:
    `[]`.
  """
  count = jnp.clip(jnp.round(share * len(fake)), 1, len(fake))
  stop = jax.lax.stop_gradient
  rank = jnp.argsort(jnp.argsort(-stop(fake)))
  best = jnp.where(rank < count, fake, stop(fake))
  # What real samples add to G's loss is of all of them.
  of_real = gen(real=real, fake=stop(fake))
  of_best = gen(real=stop(real), fake=best)
  constant = stop(of_best)
  moving = of_real - stop(of_real) + len(fake) / count * (of_best - constant)
  return constant + moving


# All that the players minimise are their terms, such as multi-hinge losses.
NONE = GanLoss(disc=_nothing, gen=_nothing, of_logits=False)

# Goodfellow et al. 2014, eq. 1: min_G max_D E log D(x) + E log(1 - D(G(z))).
SATURATING = GanLoss(
  disc=_cross_entropy,
  gen=_saturating,
  classifier=True,
  signed=True,
  log_ratio=True,
)

# The same value for both players, E log D(x) too. That term has a gradient for
# G where D is a function of G: unrolled GANs (Metz et al. 2017, eq. 1).
MINIMAX = GanLoss(
  disc=_cross_entropy,
  gen=_minimax,
  gen_sees_real=True,
  classifier=True,
  signed=True,
  log_ratio=True,
)

# Goodfellow et al. 2014, section 3, end: G maximises log D(G(z)) instead, for
# the same fixed point and gradients that do not vanish while D is winning.
NON_SATURATING = GanLoss(
  disc=_cross_entropy,
  gen=_non_saturating,
  classifier=True,
  signed=True,
  log_ratio=True,
)

# Mao et al. 2017, eq. 9 (a=0, b=c=1), on D's raw output.
LEAST_SQUARES = GanLoss(
  disc=_least_squares_disc,
  gen=_least_squares_gen,
)

# Arjovsky et al. 2017, eq. 3; D is to be 1-Lipschitz by a penalty.
WASSERSTEIN = GanLoss(disc=_critic, gen=_raise_fake)

# Lim & Ye 2017; Miyato et al. 2018, eqs. 16 and 17.
HINGE = GanLoss(disc=_hinge_disc, gen=_raise_fake, signed=True)

# Jolicoeur-Martineau 2018, the RaSGAN.
RELATIVISTIC_AVERAGE = GanLoss(
  disc=_relativistic_average,
  gen=_with_targets_swapped(_relativistic_average),
  gen_sees_real=True,
)

# Jolicoeur-Martineau 2018, the RSGAN; the loss of R3GAN (Huang et al. 2024).
# Of a pair of a real sample and a fake, sigmoid(d(a) - d(b)) is to be the
# probability that a is the real one, p(a) p_g(b) / (p(a) p_g(b) + p_g(a) p(b)):
# d is log p / p_g but for a constant.
RELATIVISTIC_PAIRED = GanLoss(
  disc=_relativistic_paired,
  gen=_with_targets_swapped(_relativistic_paired),
  gen_sees_real=True,
  log_ratio=True,
)
