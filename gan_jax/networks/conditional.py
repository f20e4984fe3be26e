"""How a network takes the class of a sample.

A generator concatenates an embedding of the class to z, or lets it scale and
shift each normalised channel; a discriminator has an inner product with the
class (projection), a concatenated input, an output of each class, or heads
beside its logit that a term of its loss trains (game/class_losses.py).
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import types
from gan_jax.config import declare
from gan_jax.networks import layers, spectral
from gan_jax.ops import linear


class Embedding(nn.Module):
  """Labels to a learned row each, or a sum of them, `[B, features]`.

  Attributes:
    classes: rows.
    features: of each.
    initial: of the matrix, which has a row for each class.
    dtype: of the result.
  """

  classes: int
  features: int
  initial: layers.Init = ('normal', 1.0)
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, label: jax.Array | None) -> jax.Array:
    name, scale = self.initial
    shape = (self.classes, self.features)
    init = layers.INITIALISERS[name](scale)
    embedding = self.param('embedding', init, shape)
    assert label is not None
    return layers.rows(embedding.astype(self.dtype), label)


class ClassBatchNorm(nn.Module):
  """Batch normalisation with a gain and a bias of each class.

      (1 + gain_y) (h - mean) / std + bias_y

  Miyato & Koyama 2018 (after Dumoulin et al. 2017): both are rows of the
  class, which there start at 0.

  Attributes:
    classes: that there are.
    epsilon: is added to the variance.
    initial: of the rows' initial values.
    dtype: of the activations.
  """

  classes: int
  epsilon: float = 1e-5
  initial: layers.Init = ('normal', 0.0)
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, h: jax.Array, label: jax.Array | None, mode: types.Mode
  ) -> jax.Array:
    norm = layers.batch_norm(
      mode, self.dtype, epsilon=self.epsilon, affine=False
    )
    gain, bias = (
      Embedding(self.classes, h.shape[-1], self.initial, self.dtype, name=n)(
        label
      )
      for n in ('gain', 'bias')
    )
    return affine(norm(h), gain, bias)


class VectorBatchNorm(nn.Module):
  """Batch normalisation with linear functions of a vector y.

      (1 + A y) (h - mean) / std + B y

  Brock et al. 2019, appendix B; A and B have no bias.

  Attributes:
    epsilon: is added to the variance.
    initial: of the initial values of A and B.
    dtype: of the activations.
  """

  epsilon: float = 1e-5
  initial: layers.Init = ('orthogonal', 1.0)
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, h: jax.Array, y: jax.Array, mode: types.Mode) -> jax.Array:
    norm = layers.batch_norm(
      mode, self.dtype, epsilon=self.epsilon, affine=False
    )
    gain, bias = (
      layers.dense(
        h.shape[-1], *self.initial, self.dtype, use_bias=False, name=name
      )(y)
      for name in ('gain', 'bias')
    )
    return affine(norm(h), gain, bias)


def normalised(
  h: jax.Array,
  style: jax.Array | None,
  *,
  mode: types.Mode,
  classes: int,
  dtype: Any,
  init: layers.Init = ('normal', 0.0),
  epsilon: float = 1e-5,
) -> jax.Array:
  """Batch normalisation, called inside a module.

  Args:
    h: `[B, H, W, C]`.
    style: labels `[B]` or `[B, 1, K]` (a gain and a bias of each class),
      vectors `[B, S]` (linear functions of them), or None (parameters).
    mode: of the batch statistics.
    classes: that there are.
    dtype: of the activations.
    init: of the initial weights of what depends on the style.
    epsilon: is added to the variance.
  """
  if style is None:
    return layers.batch_norm(mode, dtype, epsilon=epsilon)(h)
  if style.ndim != 2:
    by_class = ClassBatchNorm(classes, epsilon, init, dtype)
    return by_class(h, style, mode)
  return VectorBatchNorm(epsilon, init, dtype)(h, style, mode)


def affine(h: jax.Array, gain: jax.Array, bias: jax.Array) -> jax.Array:
  """(1 + gain) h + bias, of `[B, ..., C]` and twice `[B, C]`."""
  shape = (h.shape[0], *(1,) * (h.ndim - 2), -1)
  gain, bias = (1 + gain).reshape(shape), bias.reshape(shape)
  return h * linear.spread(gain, h) + linear.spread(bias, h)


class Projection(nn.Module):
  """<embed(y), h> (Miyato & Koyama 2018, eq. 3), `[B, C]` to `[B]`.

  Attributes:
    classes: that there are.
    initial: of the embedding's initial values.
  """

  classes: int
  initial: layers.Init = ('glorot_uniform', 1.0)

  @nn.compact
  def __call__(self, h: jax.Array, label: jax.Array | None) -> jax.Array:
    embed = Embedding(self.classes, h.shape[-1], self.initial)
    return (embed(label) * h).sum(axis=-1)


# The heads that D has beside its logit, by how it takes the class. 'classify'
# and 'twin' are logits of the classes, `[B, K]` unless another shape is given,
# 'embed' has rows of length 1. 'features', the layer before the logit, is
# always there; 'rotation', `[B, 4]`, and of sngan.py 'local' and 'global' are
# where D's settings ask for them.
HEADS: dict[str, tuple[str, ...]] = {
  'projection': (),
  # Mescheder et al. 2018; StarGAN v2 (Choi et al. 2020): the last layer has an
  # output of each class, and D's logit is that of the sample's own.
  'own_logit': (),
  # Kavalerov et al. 2021: 'classify' is the last layer itself, `[B, K + 1]`,
  # whose last class is 'generated'.
  'multi_hinge': ('classify',),
  # Odena et al. 2017, ACGAN.
  'classifier': ('classify',),
  # Gong et al. 2019, TAC-GAN.
  'twin_classifiers': ('classify', 'twin'),
  # Hou et al. 2022, ADC-GAN: `[B, 2 K]`, of real samples and of fakes in turn.
  'discriminative_classifier': ('classify',),
  # Kang & Park 2020, ContraGAN, and Kang et al. 2021, ReACGAN: 'classify' has
  # the cosines of the embedding with a proxy of each class.
  'proxies': ('classify', 'embed'),
  # Chen et al. 2016, InfoGAN: the class that G was asked for, which D is not
  # told, and the first numbers of z, `[B, numbers]`.
  'codes': ('classify', 'numbers'),
}
CONDITIONING = tuple(HEADS)


@dataclasses.dataclass(frozen=True)
class DiscSettings:
  """Of a discriminator with heads, beside its own."""

  # How it takes the class, in a conditional game.
  conditioning: str = declare.field('projection', choices=CONDITIONING)
  # With 'proxies', the size of the space of samples and proxies.
  embedding: int = declare.field(512, at_least=1)
  # With 'codes', how many of z's first numbers are found in a sample.
  numbers: int = declare.field(0, at_least=0)
  # A head that says by how many quarters an image was turned, with any
  # conditioning or none (Chen et al. 2019, SSGAN).
  rotations: bool = False


def outputs(settings: DiscSettings, classes: int) -> int:
  """How many outputs D's last layer has.

  Args:
    settings: `config.disc.net`.
    classes: that there are; 0 for none.
  """
  if classes and settings.conditioning == 'own_logit':
    return classes
  if classes and settings.conditioning == 'multi_hinge':
    return classes + 1
  return 1


def judged(
  last: jax.Array,
  h: jax.Array,
  label: jax.Array | None,
  *,
  classes: int,
  settings: DiscSettings,
  init: layers.Init = ('glorot_uniform', 1.0),
) -> types.Judged:
  """D's last layer in a game of classes; called inside a module.

  Logits and heads are float32, whatever the activations are: they are the size
  of a batch, and some are differences.

  The logit of 'multi_hinge' is D_y - D_K, the output of the sample's own class
  less that of 'generated', and not the margin to the best of all others: it is
  above 0 for what is taken for a real sample of its class, whichever other
  class it looks like, and is linear in shares of classes.

  Args:
    last: what the last layer gives, `[B, outputs]` float32.
    h: the layer before, `[B, C]`.
    label: `[B]`, or shares `[B, 1, K]`, or None.
    classes: that there are; 0 changes nothing.
    settings: `config.disc.net`; a `conditioning` beyond `HEADS` changes nothing
      here.
    init: of the initial weights.
  """
  h = h.astype(jnp.float32)

  def dense(name: str, features: int) -> jax.Array:
    out: jax.Array = layers.dense(features, *init, h.dtype, name=name)(h)
    return out

  codes = settings.conditioning == 'codes'
  how = settings.conditioning if classes or codes else ''
  heads = {'features': h}
  if how in ('own_logit', 'multi_hinge'):
    assert label is not None
    own = layers.shares(label, classes, last.dtype)
    logit = (last[:, :classes] * own).sum(axis=1)
  else:
    logit = last[:, 0]
  if settings.rotations:
    heads['rotation'] = dense('rotation', 4)
  if how == 'projection':
    logit += Projection(classes, init)(h, label)
  if how == 'multi_hinge':
    logit -= last[:, classes]
    heads['classify'] = last
  if how in ('classifier', 'twin_classifiers', 'codes') and classes:
    heads['classify'] = dense('classifier', classes)
  if how == 'twin_classifiers':
    heads['twin'] = dense('twin', classes)
  if how == 'discriminative_classifier':
    heads['classify'] = dense('classifier', 2 * classes)
  if how == 'codes' and settings.numbers:
    heads['numbers'] = dense('numbers', settings.numbers)
  if how == 'proxies':
    size = settings.embedding
    proxies = Embedding(classes, size, init, name='proxies')
    heads['embed'] = _unit(dense('embed', size))
    heads['classify'] = jnp.matmul(
      heads['embed'],
      _unit(proxies(jnp.arange(classes))).T,
      precision=jax.lax.Precision.HIGHEST,
    )
  return types.Judged(logit, heads)


def _unit(x: jax.Array) -> jax.Array:
  """Rows of length 1, float32."""
  x = x.astype(jnp.float32)
  squared = jnp.square(x).sum(axis=1, keepdims=True)
  # The root has no slope at 0.
  return x * jax.lax.rsqrt(jnp.where(squared < 1e-24, 1e-24, squared))


def concatenated(
  h: jax.Array, label: jax.Array | None, classes: int
) -> jax.Array:
  """`[B, C]` with the class beside it, `[B, C + K]` (Mirza & Osindero 2014)."""
  if not classes:
    return h
  assert label is not None
  return jnp.concatenate([h, layers.shares(label, classes, h.dtype)], axis=1)


class Judge(nn.Module):
  """A discriminator with heads beside its logit.

  Whoever derives from it returns in `judge` what `judged` gives.

  Attributes:
    settings: `config.disc.net`.
    classes: that there are; 0 for none.
    dtype: of the activations.
  """

  settings: Any = None
  classes: int = 0
  dtype: Any = jnp.float32

  @property
  def methods(self) -> tuple[str, ...]:
    return ('judge',)

  @property
  def spectral(self) -> spectral.Norm | None:
    iterations = getattr(self.settings, 'power_iterations', 1)
    return spectral.norm_if(self.settings.spectral_norm, iterations=iterations)

  def __call__(self, batch: types.Batch, mode: types.Mode) -> jax.Array:
    return self.judge(batch, mode).logits

  def judge(self, batch: types.Batch, mode: types.Mode) -> types.Judged:
    """Of samples `[B, ...]`."""
    raise NotImplementedError
