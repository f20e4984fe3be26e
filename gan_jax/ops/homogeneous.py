"""Logits read off their own gradient, where a discriminator is homogeneous.

A network of linear layers, biases and (leaky) rectifiers is linear in its
input and its biases together, as long as no rectifier switches. So, by Euler's
theorem on homogeneous functions, at any sample and for any parameters

    D(x) = <x, dD/dx> + <b, dD/db>.

R1 and R2 need dD/dx anyway. If the loss takes its logits from dD/dx too, its
gradient and the penalty's go back through D together: a batch takes four passes
through D (forward, dD/dx, back through that, the kernels) instead of six.
Gradients are the same to rounding.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from gan_jax import types


def logits_and_input_grads(
  disc: Callable[[types.PyTree, types.Batch], jax.Array],
  params: types.PyTree,
  batch: types.Batch,
) -> tuple[jax.Array, jax.Array]:
  """D(x) and dD/dx, of one pass forward and one back.

  Args:
    disc: `disc(params, batch)`, `[B, ...]` to `[B]`; homogeneous, as
      `types.Network.homogeneous` tells.
    params: of `disc`; a leaf called `bias` is one.
    batch: `[B, ...]`.

  Returns:
    Logits `[B]`, as Euler's form gives them, and input gradients `[B, ...]`.
  """
  flat = traverse_util.flatten_dict(params)
  biases = {path: leaf for path, leaf in flat.items() if path[-1] == 'bias'}

  def one(sample: types.Batch) -> tuple[jax.Array, jax.Array]:
    def logit(x: jax.Array, biases: types.PyTree) -> jax.Array:
      tree = traverse_util.unflatten_dict(flat | biases)
      alone = jax.tree.map(lambda a: a[None], sample._replace(x=x))
      return disc(tree, alone)[0]

    grad, push = jax.grad(logit, (0, 1))(sample.x, biases)
    terms = jax.tree.map(jnp.multiply, (sample.x, biases), (grad, push))
    return optax.tree.sum(terms), grad

  return jax.vmap(one)(batch)
