"""Losses by which D's heads learn the classes, and G to make them.

B samples of K classes. A classifier gives logits `[B, K]`. Where D compares
samples, `embedding` `[B, E]` has a row of length 1 for each, and `to_proxy`
`[B, K]` its cosines with a learned vector of each class, the class's proxy.
Each function returns a scalar `[]`, and both players minimise it, but for what
is said of G.
"""

import jax
import jax.numpy as jnp
import optax


def classification(logits: jax.Array, label: jax.Array) -> jax.Array:
  """-E log p(y | x) of an auxiliary classifier (Odena et al. 2017, eq. 3).

  With a second one that learns of generated samples alone and that G is to
  mislead it is that of twin classifiers, too (Gong et al. 2019).

  Args:
    logits: of the classes, `[B, K]`.
    label: that they should have, `[B]`.
  """
  return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()


def as_real(label: jax.Array) -> jax.Array:
  """Of 2 K classes, that of a real sample of class y: 2 y."""
  return 2 * label


def as_fake(label: jax.Array) -> jax.Array:
  """Of 2 K classes, that of a generated sample of class y: 2 y + 1."""
  return 2 * label + 1


def multi_hinge(outputs: jax.Array, label: jax.Array) -> jax.Array:
  """E relu(1 - m_y(x)), a hinge loss of many classes.

  With the margin of a class k over the best of all others,

      m_k(x) = D_k(x) - max_{j != k} D_j(x)

  (Crammer & Singer 2001). In the game of Kavalerov et al. 2021, "A multi-class
  hinge loss for conditional GANs", the class K is 'generated': D minimises it
  of real samples with their own classes and of fakes with K, and G of its fakes
  with the classes that were asked for. Of equal others the first is the best.

  Args:
    outputs: of the classes and of 'generated', `[B, K + 1]`.
    label: that samples should have, `[B]`, in 0 to K.
  """
  own = jax.nn.one_hot(label, outputs.shape[1], dtype=bool)
  # Found by its place, and not as what equals the largest: see
  # `layers.largest`, which is for few.
  best = jnp.where(own, -jnp.inf, outputs).argmax(axis=1)
  margin = _of_class(outputs, label) - _of_class(outputs, best)
  return jax.nn.relu(1 - margin).mean()


def numbers(found: jax.Array, codes: jax.Array) -> jax.Array:
  """1/2 E |c - f(x)|^2 of the codes c in a sample (Chen et al. 2016, eq. 5).

  -log of a normal law around f(x) with variance 1, but for a constant: as the
  authors' code has it for MNIST.

  Args:
    found: `[B, N]`.
    codes: `[B, N]`.
  """
  return 0.5 * jnp.square(codes - found).sum(axis=1).mean()


def contrastive(
  embedding: jax.Array,
  to_proxy: jax.Array,
  label: jax.Array,
  temperature: jax.Array,
) -> jax.Array:
  """The conditional contrastive loss, 2C (Kang & Park 2020, "ContraGAN").

  With s_ik the cosine of two samples over the temperature, and p_i that of a
  sample and its class's proxy, the mean over i of

      -log (e^p_i + sum_{k != i, y_k = y_i} e^s_ik)
           / (e^p_i + sum_{k != i} e^s_ik)

  Args:
    embedding: `[B, E]`.
    to_proxy: `[B, K]`.
    label: `[B]`.
    temperature: `[]`, above 0.
  """
  similar, same, others = _compared(embedding, label)
  attraction = _of_class(to_proxy, label) / temperature
  alike = _log_sum(attraction, similar / temperature, same & others)
  return (_log_sum(attraction, similar / temperature, others) - alike).mean()


def data_to_data(
  embedding: jax.Array,
  to_proxy: jax.Array,
  label: jax.Array,
  temperature: jax.Array,
  margin: jax.Array,
) -> jax.Array:
  """Data-to-data cross-entropy, D2D-CE (Kang et al. 2021, "ReACGAN").

  With p_i = -relu(margin - cosine of a sample and its class's proxy) / t, and
  s_ik = relu(cosine of two samples - (1 - margin)) / t, the mean over i of

      -log e^p_i / (e^p_i + sum_{y_k != y_i} e^s_ik)

  A sample that is within the margin of its proxy, and one of another class that
  is out of it, move no further. The authors' code subtracts the largest s from
  the sum but not from p, which gives another number; this is the formula.

  Args:
    embedding: `[B, E]`.
    to_proxy: `[B, K]`.
    label: `[B]`.
    temperature: `[]`, t, above 0.
    margin: `[]`, in [0, 1].
  """
  similar, same, _ = _compared(embedding, label)
  relu = jax.nn.relu
  attraction = -relu(margin - _of_class(to_proxy, label)) / temperature
  repulsion = relu(similar - (1 - margin)) / temperature
  return (_log_sum(attraction, repulsion, ~same) - attraction).mean()


def _compared(
  embedding: jax.Array, label: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Of each two samples, `[B, B]`: cosine, of one class, not the same one."""
  highest = jax.lax.Precision.HIGHEST
  similar = jnp.matmul(embedding, embedding.T, precision=highest)
  same = label[:, None] == label[None, :]
  return similar, same, ~jnp.eye(len(label), dtype=bool)


def _of_class(each: jax.Array, label: jax.Array) -> jax.Array:
  """Of what there is for each class, `[B, K]`, that of one, `[B]`."""
  return jnp.take_along_axis(each, label[:, None], axis=1)[:, 0]


def _log_sum(one: jax.Array, many: jax.Array, where: jax.Array) -> jax.Array:
  """log(e^one + sum of e^many where it counts), `[B]` of `[B]`, `[B, B]`."""
  counted = jnp.where(where, many, -jnp.inf)
  return jax.nn.logsumexp(
    jnp.concatenate([one[:, None], counted], axis=1), axis=1
  )
