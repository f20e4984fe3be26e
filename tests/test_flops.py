"""Operations of linear layers, against those counted by hand."""

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from gan_jax.engine import flops
from gan_jax.ops import conv


def test_counts_what_is_needed_once():
  x, kernel = jnp.ones((2, 6, 6, 4)), jnp.ones((3, 3, 2, 8))

  def f(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return conv.conv(x, kernel, padding='SAME', groups=2).sum()

  one = 2 * 2 * 36 * 9 * 2 * 8
  assert flops.count(f, x, kernel) == one
  # The value is not asked for, and a linear layer's gradient needs no forward.
  assert flops.count(jax.grad(f, argnums=(0, 1)), x, kernel) == 2 * one

  def twice_and_unused(x: jax.Array, kernel: jax.Array) -> jax.Array:
    f(2 * x, kernel)
    return jax.jit(f)(x, kernel) * f(x, kernel)

  assert flops.count(twice_and_unused, x, kernel) == one


def test_counts_beside_what_has_no_result():
  def f(x: jax.Array) -> jax.Array:
    jax.debug.print('{}', x)
    return x @ x

  assert flops.count(f, jnp.ones((4, 4))) == 2 * 4**3


def test_counts_loops_and_transposed_convolutions():
  x, kernel = jnp.ones((3, 4, 4, 5)), jnp.ones((4, 4, 5, 5))

  def up(x: jax.Array, _: None) -> tuple[jax.Array, None]:
    y = conv.conv_transpose(x, kernel, padding='SAME')
    return y[:, ::2, ::2], None

  def loop(x: jax.Array) -> jax.Array:
    return jax.lax.scan(up, x, None, length=7)[0]

  assert flops.count(loop, x) == 7 * 2 * 3 * 16 * 16 * 5 * 5


def test_counts_what_is_split_over_devices():
  """As what each of them does."""
  mesh = jax.make_mesh((4,), ('batch',), axis_types=(AxisType.Auto,))
  rows = PartitionSpec('batch')

  @jax.shard_map(mesh=mesh, in_specs=(rows, PartitionSpec()), out_specs=rows)
  def f(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return x @ kernel

  args = jnp.ones((8, 3)), jnp.ones((3, 5))
  assert flops.count(f, *args) == 2 * 2 * 3 * 5
  assert flops.largest(jax.jit(f).trace(*args).jaxpr) == 2 * 2 * 3 * 5


def test_the_largest_is_one_product_of_one_pass():
  x, kernel = jnp.ones((2, 6, 6, 4)), jnp.ones((3, 3, 4, 8))

  def f(x: jax.Array) -> jax.Array:
    y = conv.conv(x, kernel, padding='SAME').reshape(-1, 8)
    return jax.lax.scan(lambda y, _: (y @ y.T @ y, None), y, None, length=9)[0]

  by_hand = max(2 * 2 * 36 * 9 * 4 * 8, 2 * 72 * 8 * 72)
  assert flops.largest(jax.jit(f).trace(x).jaxpr) == by_hand
  assert flops.largest(jax.jit(jnp.sin).trace(x).jaxpr) == 0
