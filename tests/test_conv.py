"""Convolutions agree with `jax.lax` to any order, and compile to it."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.engine import compiler
from gan_jax.ops import conv, cpu, onednn

DIMENSIONS = ('NHWC', 'HWIO', 'NHWC')

# H, W, inputs, outputs, kernel, stride, padding, groups.
CONVS: list[tuple[Any, ...]] = [
  (5, 6, 3, 4, (3, 3), (1, 1), 'SAME', 1),
  (16, 17, 9, 4, (3, 2), (1, 1), ((1, 1), (0, 1)), 1),  # By columns.
  (20, 16, 10, 9, (3, 3), (1, 1), 'SAME', 1),  # By columns, of many rows.
  (8, 9, 3, 12, (3, 3), (1, 1), ((2, 0), (0, 1)), 1),  # From images.
  (8, 7, 12, 3, (3, 3), (1, 1), 'SAME', 1),  # To images.
  (8, 8, 3, 9, (4, 4), (2, 2), ((1, 1), (1, 1)), 1),  # DCGAN.
  (16, 16, 9, 10, (4, 4), (2, 2), ((1, 1), (1, 1)), 1),
  (11, 9, 9, 10, (3, 2), (2, 3), 'SAME', 1),
  (12, 11, 9, 4, (3, 2), (3, 2), 'VALID', 1),
  (4, 4, 6, 5, (4, 4), (1, 1), 'VALID', 1),  # To one pixel.
  (5, 4, 6, 5, (1, 1), (1, 1), 'SAME', 1),
  (5, 4, 6, 5, (1, 1), (2, 2), 'SAME', 1),
  (3, 3, 9, 4, (2, 2), (1, 1), ((4, 3), (3, 4)), 1),  # Much padding.
  (4, 5, 40, 80, (3, 3), (1, 1), 'SAME', 5),  # All groups a block.
  (6, 5, 6, 12, (3, 3), (2, 1), 'SAME', 6),  # By depth.
  (4, 5, 64, 64, (3, 3), (1, 1), 'SAME', 4),  # Each group a block.
  (5, 4, 32, 48, (3, 3), (1, 2), 'SAME', 4),  # Two groups a block.
]
# H, W, inputs, outputs, kernel, stride, padding.
TRANSPOSES: list[tuple[Any, ...]] = [
  (8, 9, 10, 9, (4, 4), (2, 2), 'SAME'),
  (3, 4, 12, 3, (4, 4), (2, 2), 'SAME'),
  (1, 1, 6, 5, (4, 4), (1, 1), 'VALID'),  # From a latent vector.
  (3, 4, 5, 6, (3, 2), (2, 3), 'VALID'),
  (3, 4, 5, 6, (1, 3), (3, 1), 'SAME'),
  (3, 4, 5, 6, (3, 4), (2, 2), ((2, 0), (1, 3))),
]

Function = Callable[[jax.Array, jax.Array], jax.Array]


def pair(case: tuple[Any, ...]) -> tuple[Function, Function]:
  """A case of ours and of `jax.lax`."""
  _, _, _, _, _, strides, padding, *rest = case
  common = {'padding': padding}
  if not rest:
    return (
      functools.partial(conv.conv_transpose, strides=strides, **common),
      functools.partial(
        lax.conv_transpose,
        strides=strides,
        dimension_numbers=DIMENSIONS,
        **common,
      ),
    )
  (groups,) = rest
  return (
    functools.partial(conv.conv, strides=strides, groups=groups, **common),
    functools.partial(
      lax.conv_general_dilated,
      window_strides=strides,
      dimension_numbers=DIMENSIONS,
      feature_group_count=groups,
      **common,
    ),
  )


def operands(
  case: tuple[Any, ...], *members: tuple[int, ...], dtype: Any = jnp.float32
) -> tuple[jax.Array, jax.Array]:
  h, w, inputs, outputs, kernel, *_ = case
  groups = case[7] if len(case) > 7 else 1
  of_x, of_kernel = members or ((), ())
  rng = np.random.default_rng(0)
  x = rng.normal(size=(*of_x, 2, h, w, inputs))
  shape = (*of_kernel, *kernel, inputs // groups, outputs)
  k = rng.normal(size=shape) / np.sqrt(np.prod(shape[-4:-1]))
  return jnp.asarray(x, dtype), jnp.asarray(k, dtype)


# Compiling is what takes time here.
quick = functools.partial(
  jax.jit, compiler_options={'xla_backend_optimization_level': 0}
)


def derivatives(f: Function, x: jax.Array, kernel: jax.Array) -> list[Any]:
  """The value and its forward derivative; the gradient, that of R1."""

  def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jnp.sum(jnp.sin(f(x, kernel)))

  def r1(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jnp.sum(jnp.square(jax.grad(loss)(x, kernel)))

  return [
    *jax.jvp(f, (x, kernel), (jnp.cos(x), jnp.cos(kernel))),
    jax.grad(loss, (0, 1))(x, kernel),
    jax.grad(r1, (0, 1))(x, kernel),
  ]


def assert_close(actual: Any, expected: Any, tolerance: float = 2e-5) -> None:
  """Compares trees; tolerance is relative to each array's largest value."""
  leaves = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
  for a, b in leaves:
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize('case', CONVS + TRANSPOSES, ids=str)
def test_agrees_with_lax(case: tuple[Any, ...]) -> None:
  ours, stock = (quick(functools.partial(derivatives, f)) for f in pair(case))
  assert_close(ours(*operands(case)), stock(*operands(case)))


def test_groups_of_no_images() -> None:
  case = next(case for case in CONVS if case[7] > 1)
  ours, stock = pair(case)
  x, kernel = operands(case)
  assert jnp.array_equal(ours(x[:0], kernel), stock(x[:0], kernel))


@pytest.mark.parametrize('case', [c for c in CONVS if c[7] > 1], ids=str)
def test_groups_by_onednn(case: tuple[Any, ...]) -> None:
  """In a program that `compiler` compiles for one device."""
  ours, stock = (functools.partial(derivatives, f) for f in pair(case))
  compiled = compiler.compile(jax.jit(ours), *operands(case))
  assert onednn.TARGET in compiled.as_text()
  assert_close(compiled(*operands(case)), quick(stock)(*operands(case)))


def test_members_by_onednn() -> None:
  """A population's kernels and images."""
  case = CONVS[-1]
  ours, stock = (functools.partial(derivatives, f) for f in pair(case))
  x, kernel = operands(case, (3,), (3,))
  compiled = compiler.compile(jax.jit(jax.vmap(ours)), x, kernel)
  assert onednn.TARGET in compiled.as_text()
  assert_close(compiled(x, kernel), quick(jax.vmap(stock))(x, kernel))


def test_onednn_crops_where_padding_is_negative() -> None:
  case = (6, 7, 32, 48, (3, 2), (1, 2), ((-1, 2), (1, -2)), 4)
  x, kernel = operands(case)
  ours, _ = pair(case)
  _, stock = pair((*case[:6], ((0, 2), (1, 0)), *case[7:]))
  expected = derivatives(lambda x, k: stock(x[:, 1:, :-2], k), x, kernel)
  f = jax.jit(functools.partial(derivatives, ours))
  assert_close(compiler.compile(f, x, kernel)(x, kernel), expected)


def test_onednn_is_for_one_device_and_float32() -> None:
  case = CONVS[-1]
  x, kernel = operands(case)
  f = jax.jit(pair(case)[0])
  halves = operands(case, dtype=jnp.bfloat16)
  assert onednn.TARGET not in compiler.compile(f, *halves).as_text()
  mesh = jax.make_mesh(
    (2,), ('batch',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  batch = jax.sharding.NamedSharding(mesh, jax.P('batch'))
  split = jax.device_put(x, batch), kernel
  assert onednn.TARGET not in compiler.compile(f, *split).as_text()


def test_crops_where_padding_is_negative() -> None:
  case = (13, 13, 9, 5, (3, 3), (2, 2), ((-1, 1), (0, -2)), 1)
  x, kernel = operands(case)
  ours, _ = pair(case)
  _, stock = pair((*case[:6], ((0, 1), (0, 0)), *case[7:]))
  expected = derivatives(lambda x, k: stock(x[:, 1:, :-2], k), x, kernel)
  assert_close(quick(functools.partial(derivatives, ours))(x, kernel), expected)


def test_third_derivative() -> None:
  x, kernel = operands(CONVS[6])
  for order in (jax.grad, jax.jacfwd):

    def third(f: Function, x: jax.Array, order: Any = order) -> jax.Array:
      r1 = lambda x: derivatives(f, x, kernel)[-1][0].sum()  # noqa: E731
      return jnp.asarray(order(lambda t: r1(t * x))(1.0))

    ours, stock = (quick(functools.partial(third, f)) for f in pair(CONVS[6]))
    assert_close(ours(x), stock(x))


def test_outside_of_jit() -> None:
  ours, stock = pair(CONVS[0])
  assert_close(ours(*operands(CONVS[0])), stock(*operands(CONVS[0])))


@pytest.mark.parametrize('case', [CONVS[6], CONVS[-1], TRANSPOSES[0]], ids=str)
@pytest.mark.parametrize('mapped', [(0, None), (None, 0), (0, 0)], ids=str)
def test_vmap(case: tuple[Any, ...], mapped: tuple[int | None, ...]) -> None:
  members = tuple(() if i is None else (3,) for i in mapped)
  x, kernel = operands(case, *members)

  def gradients(f: Function, x: jax.Array, kernel: jax.Array) -> Any:
    loss = lambda x, k: jnp.sum(jnp.sin(f(x, k)))  # noqa: E731
    r1 = lambda x, k: jnp.sum(jnp.square(jax.grad(loss)(x, k)))  # noqa: E731
    return f(x, kernel), jax.grad(r1, (0, 1))(x, kernel)

  ours, stock = (functools.partial(gradients, f) for f in pair(case))
  actual = quick(jax.vmap(ours, mapped))(x, kernel)
  each = [
    quick(stock)(
      *(
        o if m is None else o[i]
        for o, m in zip((x, kernel), mapped, strict=True)
      )
    )
    for i in range(3)
  ]
  assert_close(actual, jax.tree.map(lambda *leaves: jnp.stack(leaves), *each))


def test_vmap_of_vmap() -> None:
  """A population, each member of which has its own and several batches."""
  x, kernel = operands(CONVS[6], (3, 2), (2,))
  ours, stock = pair(CONVS[6])
  f = jax.vmap(jax.vmap(ours, (0, 0)), (0, None))
  expected = [[stock(x[i, j], kernel[j]) for j in range(2)] for i in range(3)]
  assert_close(quick(f)(x, kernel), jnp.asarray(expected))
  f = jax.vmap(jax.vmap(ours, (0, None)), (1, 0), 1)
  assert_close(quick(f)(x, kernel), jnp.asarray(expected))


def test_scan() -> None:
  case = (6, 6, 4, 4, (3, 3), (1, 1), 'SAME', 1)
  x, kernels = operands(case, (), (3,))

  def loss(f: Function, x: jax.Array, kernels: jax.Array) -> jax.Array:
    x, _ = lax.scan(lambda x, k: (jnp.sin(f(x, k)), None), x, kernels)
    return jnp.sum(x)

  ours, stock = (
    quick(jax.grad(functools.partial(loss, f), (0, 1))) for f in pair(case)
  )
  assert_close(ours(x, kernels), stock(x, kernels))


@pytest.mark.parametrize('case', [CONVS[1], CONVS[6], TRANSPOSES[0]], ids=str)
def test_bfloat16(case: tuple[Any, ...]) -> None:
  """Rounded where results are, and not more."""
  ours, stock = pair(case)

  def gradients(f: Function, x: jax.Array, kernel: jax.Array) -> Any:
    y, pull = jax.vjp(f, x, kernel)
    return y, pull(y)

  halves = operands(case, dtype=jnp.bfloat16)
  actual = quick(functools.partial(gradients, ours))(*halves)
  assert {leaf.dtype for leaf in jax.tree.leaves(actual)} == {
    jnp.dtype(jnp.bfloat16)
  }
  floats = [o.astype(jnp.float32) for o in halves]
  assert_close(actual, gradients(stock, *floats), 2.0**-7)


@pytest.mark.parametrize('case', [CONVS[1], CONVS[-1], TRANSPOSES[0]], ids=str)
def test_sharded(case: tuple[Any, ...]) -> None:
  ours, _ = pair(case)
  x, kernel = operands(case)
  x = jnp.concatenate([x, 2 * x])
  mesh = jax.make_mesh(
    (4,), ('batch',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  batch = jax.sharding.NamedSharding(mesh, jax.P('batch'))
  f = quick(functools.partial(derivatives, ours))
  actual = f(jax.device_put(x, batch), kernel)
  assert actual[0].sharding.is_equivalent_to(batch, 4)
  assert_close(actual, f(x, kernel))


@pytest.mark.parametrize('platform', ['cpu', 'cuda', 'tpu'])
@pytest.mark.parametrize('stock', [False, True])
def test_accelerators_compile_lax(platform: str, stock: bool) -> None:
  """Their program has as many convolutions as that of `jax.lax`."""

  def program(f: Function, case: tuple[Any, ...]) -> str:
    g = jax.jit(lambda x, k: derivatives(f, x, k)[2:])
    lowered = g.trace(*operands(case)).lower(lowering_platforms=(platform,))
    return str(lowered.as_text())

  for case in (CONVS[6], CONVS[-1], TRANSPOSES[0]):
    ours, reference = pair(case)
    if stock:
      with cpu.stock():
        text = program(ours, case)
    else:
      text = program(ours, case)
    assert 'stablehlo.case' not in text
    same = text.count('stablehlo.convolution') == program(
      reference, case
    ).count('stablehlo.convolution')
    assert same == (stock or platform != 'cpu')
    assert ('dot_general' in text) != same


def test_the_switch_is_a_part_of_the_key_of_the_cache() -> None:
  traces = itertools.count()

  @jax.jit
  def f(x: jax.Array, kernel: jax.Array) -> jax.Array:
    next(traces)
    return conv.conv(x, kernel, padding='SAME')

  for _ in range(2):
    f(*operands(CONVS[0]))
    with cpu.stock():
      f(*operands(CONVS[0]))
  assert next(traces) == 2


def test_rejects_channels_that_do_not_fit() -> None:
  with pytest.raises(ValueError, match='do not fit'):
    conv.conv(jnp.zeros((1, 4, 4, 3)), jnp.zeros((3, 3, 4, 5)), padding='SAME')
  with pytest.raises(ValueError, match='padding'):
    conv.conv_transpose(
      jnp.zeros((1, 4, 4, 3)), jnp.zeros((3, 3, 3, 5)), padding='same'
    )
