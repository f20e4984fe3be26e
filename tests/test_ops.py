"""Each fast path against its plain reference: gradients, vmap, devices."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.ops import blocks, cpu, linear, resample

Function = Callable[..., jax.Array]


def singly(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A batch by a kernel, one sample at a time."""
  axes = (((1,), (0,)), ((), ()))
  return jax.vmap(lambda x: linear.product(x[None], kernel, axes, None)[0])(x)


def maxout(x: jax.Array, kernel: jax.Array) -> jax.Array:
  return linear.as_matrices(x, kernel, (((1,), (0,)), ((), ())))


# The function, shapes of its arguments, and what only the stock one, and only
# the fast one, traces to.
OPS: dict[str, tuple[Function, tuple[tuple[int, ...], ...], str, str]] = {
  'relu': (linear.relu, ((8, 6),), ' max ', 'select_n'),
  'product': (
    singly, ((8, 6), (6, 5)), "(([2], [0]), ([], []))", '(([1], [0]), ([], []))'
  ),
  'as_matrices': (maxout, ((8, 6), (6, 3, 4)), 'f32[8,3,4] = dot_general',
                  'f32[8,12] = dot_general'),
  'upsample': (resample.upsample, ((8, 4, 6, 2),), 'pad[', 'resample['),
  'downsample': (resample.downsample, ((8, 4, 6, 2),), 'pad[', 'resample['),
  'narrow': (resample.narrow, ((8, 4, 6, 2),), 'pad[', 'resample['),
  'widen': (resample.widen, ((8, 4, 6, 2),), 'pad[', 'resample['),
  'smooth': (resample.smooth, ((8, 4, 6, 2),), 'pad[', 'resample['),
}  # fmt: skip
CASES = [pytest.param(*case[:2], id=name) for name, case in OPS.items()]


def operands(shapes: tuple[tuple[int, ...], ...]) -> list[jax.Array]:
  rng = np.random.default_rng(0)
  return [jnp.asarray(rng.normal(size=s), jnp.float32) for s in shapes]


def derivatives(f: Function, *args: jax.Array) -> list[Any]:
  """The value and its forward derivative; the gradient, that of R1."""
  every = tuple(range(len(args)))

  def loss(*args: jax.Array) -> jax.Array:
    return jnp.sum(jnp.sin(f(*args)))

  def r1(*args: jax.Array) -> jax.Array:
    return jnp.sum(jnp.square(jax.grad(loss)(*args)))

  return [
    *jax.jvp(f, args, tuple(jnp.cos(x) for x in args)),
    jax.grad(loss, every)(*args),
    jax.grad(r1, every)(*args),
  ]


def assert_close(actual: Any, expected: Any) -> None:
  leaves = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
  for a, b in leaves:
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def reference(f: Callable[..., Any], *args: jax.Array) -> Any:
  with cpu.stock():
    return jax.jit(f)(*args)


@pytest.mark.parametrize('name', OPS)
def test_the_switch_chooses(name: str):
  """And is part of the key of jit's cache."""
  f, shapes, plain, fast = OPS[name]
  traced = jax.jit(f).trace
  texts = [str(traced(*operands(shapes)).jaxpr)]
  with cpu.stock():
    texts.append(str(traced(*operands(shapes)).jaxpr))
  texts = [' '.join(text.replace('float32', 'f32').split()) for text in texts]
  assert [fast in text for text in texts] == [True, False], texts
  assert [plain in text for text in texts] == [False, True], texts


@pytest.mark.parametrize(('f', 'shapes'), CASES)
def test_derivatives(f: Function, shapes: tuple[tuple[int, ...], ...]):
  args = operands(shapes)
  both = functools.partial(derivatives, f)
  assert_close(jax.jit(both)(*args), reference(both, *args))


@pytest.mark.parametrize(('f', 'shapes'), CASES)
def test_vmap(f: Function, shapes: tuple[tuple[int, ...], ...]):
  """Members with operands of their own, one after another as the reference."""
  args = operands(tuple((3, *shape) for shape in shapes))
  both = functools.partial(derivatives, f)
  each = [reference(both, *(x[i] for x in args)) for i in range(3)]
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
  assert_close(jax.jit(jax.vmap(both))(*args), stacked)


@pytest.mark.parametrize(('f', 'shapes'), CASES)
def test_sharded(f: Function, shapes: tuple[tuple[int, ...], ...]):
  """A batch that is split over four devices."""
  mesh = jax.make_mesh(
    (4,), ('batch',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  batch = jax.sharding.NamedSharding(mesh, jax.P('batch'))
  x, *rest = operands(shapes)
  both = functools.partial(derivatives, f)
  actual = jax.jit(both)(jax.device_put(x, batch), *rest)
  assert actual[0].sharding.is_equivalent_to(batch, actual[0].ndim)
  assert_close(actual, reference(both, x, *rest))


def test_relu_at_zero_and_without_a_number():
  """The slope at 0 is 0, as flax has it; NaN and infinities stay."""
  x = jnp.array([-jnp.inf, -1.0, -0.0, 0.0, 1.0, jnp.inf, jnp.nan])
  for context in (False, True):
    f = functools.partial(reference, linear.relu) if context else linear.relu
    np.testing.assert_array_equal(
      f(x), [0.0, 0.0, 0.0, 0.0, 1.0, np.inf, np.nan]
    )
    slopes = jax.vmap(jax.grad(linear.relu))
    slopes = functools.partial(reference, slopes) if context else slopes
    np.testing.assert_array_equal(slopes(x)[:6], [0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize('size', [5, 6, 64])
def test_blocks(size: int, monkeypatch: pytest.MonkeyPatch):
  """With a rest, without one, and in one block."""
  monkeypatch.setattr(cpu, 'BLOCK_SAMPLES', size)
  x, weights = operands(((24, 3), (3, 2)))

  def whole(x: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.tanh(x @ weights)

  def by_block(x: jax.Array, weights: jax.Array) -> jax.Array:
    return blocks.apply(lambda x: whole(x, weights), x)

  both = [functools.partial(derivatives, f) for f in (by_block, whole)]
  assert_close(*(jax.jit(f)(x, weights) for f in both))
  many = x[None] * jnp.arange(1.0, 4.0)[:, None, None]
  assert_close(*(jax.jit(jax.vmap(f, (0, None)))(many, weights) for f in both))
